-- What is kept for a disabled endpoint, in order. It was looked for in the whole log of the
-- endpoint, both to be sent and to be counted. Costs nothing as long as nothing is kept.
CREATE INDEX webhook_deliveries_kept
    ON webhook_deliveries (account_id, endpoint_id, id) WHERE status = 'queued';

-- What an endpoint never took, newest first: rare among many that it did.
CREATE INDEX webhook_deliveries_failed
    ON webhook_deliveries (account_id, endpoint_id, id) WHERE status IN ('exhausted', 'expired');

-- The number beside the bell, which every page shows.
CREATE INDEX notifications_unread ON notifications (account_id) WHERE read_at IS NULL;
