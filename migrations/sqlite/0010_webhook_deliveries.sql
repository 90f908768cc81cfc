-- Why and since when an endpoint is disabled, and how it comes back.
ALTER TABLE webhook_endpoints ADD COLUMN probing INTEGER NOT NULL DEFAULT 0 CHECK (probing IN (0, 1));
ALTER TABLE webhook_endpoints ADD COLUMN failing_since TEXT;
ALTER TABLE webhook_endpoints ADD COLUMN disabled_reason TEXT CHECK (disabled_reason IN ('owner', 'failing', 'failing_too_long', 'gone', 'probe_failed', 'quarantined'));
ALTER TABLE webhook_endpoints ADD COLUMN disabled_at TEXT;
ALTER TABLE webhook_endpoints ADD COLUMN cooldown_until TEXT;
ALTER TABLE webhook_endpoints ADD COLUMN cooldown_ms INTEGER CHECK (cooldown_ms >= 0);
ALTER TABLE webhook_endpoints ADD COLUMN paused_until TEXT;

-- The secret before the last rotation, sealed like the other one, and until when it signs too.
ALTER TABLE webhook_endpoints ADD COLUMN previous_secret_sealed TEXT;
ALTER TABLE webhook_endpoints ADD COLUMN previous_secret_until TEXT;

-- Deliveries can be queued, resent and expired, and can be about something else than a
-- generation. SQLite cannot change a CHECK, so the table is made anew, on both databases alike.
DROP INDEX webhook_deliveries_pending;
DROP INDEX webhook_deliveries_endpoint;
ALTER TABLE webhook_deliveries RENAME TO webhook_deliveries_0005;
CREATE TABLE webhook_deliveries (
    account_id    BLOB NOT NULL,
    id            BLOB NOT NULL CHECK (length(id) = 16),
    endpoint_id   BLOB NOT NULL,
    event         TEXT NOT NULL,
    generation_id BLOB,
    data          TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('pending', 'queued', 'delivered', 'exhausted', 'resent', 'expired')),
    tries         INTEGER NOT NULL CHECK (tries >= 0),
    next_try_at   TEXT,
    created_at    TEXT NOT NULL,
    queued_at     TEXT,
    finished_at   TEXT,
    last_status   INTEGER,
    last_error    TEXT,
    replay_of     BLOB CHECK (length(replay_of) = 16),
    in_order      INTEGER NOT NULL DEFAULT 0 CHECK (in_order IN (0, 1)),
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, endpoint_id) REFERENCES webhook_endpoints (account_id, id) ON DELETE CASCADE,
    CHECK ((status = 'pending') = (next_try_at IS NOT NULL)),
    CHECK ((status IN ('pending', 'queued')) = (finished_at IS NULL)),
    CHECK (status NOT IN ('queued', 'resent', 'expired') OR queued_at IS NOT NULL)
) STRICT;
INSERT INTO webhook_deliveries (
    account_id, id, endpoint_id, event, generation_id, data, status, tries, next_try_at, created_at,
    finished_at, last_status, last_error)
SELECT
    account_id, id, endpoint_id, event, generation_id, data, status, tries, next_try_at, created_at,
    finished_at, last_status, last_error
FROM webhook_deliveries_0005;
DROP TABLE webhook_deliveries_0005;
-- What had been kept for a disabled endpoint.
UPDATE webhook_deliveries SET status = 'queued', next_try_at = NULL, queued_at = created_at
WHERE status = 'pending' AND EXISTS (
    SELECT 1 FROM webhook_endpoints
    WHERE webhook_endpoints.account_id = webhook_deliveries.account_id
      AND webhook_endpoints.id = webhook_deliveries.endpoint_id
      AND NOT webhook_endpoints.enabled);
CREATE INDEX webhook_deliveries_pending
    ON webhook_deliveries (account_id, endpoint_id, next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (account_id, endpoint_id, id);
CREATE INDEX webhook_deliveries_queued ON webhook_deliveries (queued_at) WHERE status = 'queued';
CREATE INDEX webhook_deliveries_replays
    ON webhook_deliveries (account_id, replay_of) WHERE replay_of IS NOT NULL;

-- Every try of a delivery.
CREATE TABLE webhook_tries (
    account_id  BLOB NOT NULL,
    delivery_id BLOB NOT NULL,
    number      INTEGER NOT NULL CHECK (number >= 1),
    at          TEXT NOT NULL,
    status      INTEGER,
    error       TEXT,
    took_ms     INTEGER NOT NULL CHECK (took_ms >= 0),
    excerpt     TEXT,
    PRIMARY KEY (account_id, delivery_id, number),
    FOREIGN KEY (account_id, delivery_id) REFERENCES webhook_deliveries (account_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- What owners are told in the dashboard.
CREATE TABLE notifications (
    account_id BLOB NOT NULL REFERENCES accounts (id),
    id         BLOB NOT NULL CHECK (length(id) = 16),
    kind       TEXT NOT NULL CHECK (kind IN ('webhook.disabled', 'credits.low_balance')),
    data       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    read_at    TEXT,
    PRIMARY KEY (account_id, id)
) STRICT;

-- A balance below this crosses a threshold that has not fired: on the account's row, which every
-- reserve writes anyway. Zero when there is none.
ALTER TABLE accounts ADD COLUMN alert_below_millicredits INTEGER NOT NULL DEFAULT 500 CHECK (alert_below_millicredits >= 0);

-- What an account wants to be told of its balance; without a row, the default.
CREATE TABLE credit_alerts (
    account_id BLOB NOT NULL REFERENCES accounts (id),
    enabled    INTEGER NOT NULL,
    thresholds TEXT NOT NULL,
    in_app     INTEGER NOT NULL,
    webhook    INTEGER NOT NULL,
    fired      TEXT NOT NULL,
    told_at    TEXT,
    PRIMARY KEY (account_id)
) STRICT;
