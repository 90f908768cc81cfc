-- A queue that is sent again is due at one time: with the id in the index, a page of it is read
-- without sorting all of it.
DROP INDEX webhook_deliveries_pending;
CREATE INDEX webhook_deliveries_pending
    ON webhook_deliveries (account_id, endpoint_id, next_try_at, id) WHERE next_try_at IS NOT NULL;
