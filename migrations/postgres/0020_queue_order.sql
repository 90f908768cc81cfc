-- A queue is sent in the order of what it tells: what was resent in vain and queued again is as old
-- as what it repeats.
CREATE INDEX webhook_deliveries_queue
    ON webhook_deliveries (account_id, endpoint_id, COALESCE(replay_of, id)) WHERE status = 'queued';
