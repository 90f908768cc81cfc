-- A replay names the first of what it tells, and no other replay.
WITH RECURSIVE told (account_id, id, first_id) AS (
    SELECT again.account_id, again.id, again.replay_of FROM webhook_deliveries AS again
    WHERE again.replay_of IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM webhook_deliveries AS before
        WHERE before.account_id = again.account_id AND before.id = again.replay_of
          AND before.replay_of IS NOT NULL)
    UNION ALL
    SELECT again.account_id, again.id, told.first_id FROM told
    JOIN webhook_deliveries AS again
      ON again.account_id = told.account_id AND again.replay_of = told.id)
UPDATE webhook_deliveries SET replay_of = told.first_id FROM told
WHERE webhook_deliveries.account_id = told.account_id AND webhook_deliveries.id = told.id
  AND webhook_deliveries.replay_of <> told.first_id;
-- A queue is sent in the order of what it tells: what was resent in vain and queued again is as old
-- as what it repeats.
CREATE INDEX webhook_deliveries_queue
    ON webhook_deliveries (account_id, endpoint_id, COALESCE(replay_of, id)) WHERE status = 'queued';
