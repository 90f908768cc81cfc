-- A replay names the first of what it tells, and no other replay. Each of these halves the way there,
-- and nobody has sent anything again so often.
UPDATE webhook_deliveries SET replay_of = before.replay_of FROM webhook_deliveries AS before
WHERE before.account_id = webhook_deliveries.account_id AND before.id = webhook_deliveries.replay_of
  AND before.replay_of IS NOT NULL;
UPDATE webhook_deliveries SET replay_of = before.replay_of FROM webhook_deliveries AS before
WHERE before.account_id = webhook_deliveries.account_id AND before.id = webhook_deliveries.replay_of
  AND before.replay_of IS NOT NULL;
UPDATE webhook_deliveries SET replay_of = before.replay_of FROM webhook_deliveries AS before
WHERE before.account_id = webhook_deliveries.account_id AND before.id = webhook_deliveries.replay_of
  AND before.replay_of IS NOT NULL;
UPDATE webhook_deliveries SET replay_of = before.replay_of FROM webhook_deliveries AS before
WHERE before.account_id = webhook_deliveries.account_id AND before.id = webhook_deliveries.replay_of
  AND before.replay_of IS NOT NULL;
-- A queue is sent in the order of what it tells: what was resent in vain and queued again is as old
-- as what it repeats.
CREATE INDEX webhook_deliveries_queue
    ON webhook_deliveries (account_id, endpoint_id, COALESCE(replay_of, id)) WHERE status = 'queued';
