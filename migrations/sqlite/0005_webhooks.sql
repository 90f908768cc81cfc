-- Customers' endpoints. The secret is sealed with the master key.
CREATE TABLE webhook_endpoints (
    account_id         BLOB NOT NULL REFERENCES accounts (id),
    id                 BLOB NOT NULL CHECK (length(id) = 16),
    url                TEXT NOT NULL,
    events             TEXT NOT NULL,
    secret_sealed      TEXT NOT NULL,
    enabled            INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    exhausted_in_a_row INTEGER NOT NULL CHECK (exhausted_in_a_row >= 0),
    created_at         TEXT NOT NULL,
    PRIMARY KEY (account_id, id)
) STRICT;
CREATE UNIQUE INDEX webhook_endpoints_id ON webhook_endpoints (id);

-- The outbox: one event for one endpoint, written in the transaction of what happened.
CREATE TABLE webhook_deliveries (
    account_id    BLOB NOT NULL,
    id            BLOB NOT NULL CHECK (length(id) = 16),
    endpoint_id   BLOB NOT NULL,
    event         TEXT NOT NULL,
    generation_id BLOB NOT NULL,
    data          TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'exhausted')),
    tries         INTEGER NOT NULL CHECK (tries >= 0),
    next_try_at   TEXT,
    created_at    TEXT NOT NULL,
    finished_at   TEXT,
    last_status   INTEGER,
    last_error    TEXT,
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, endpoint_id) REFERENCES webhook_endpoints (account_id, id) ON DELETE CASCADE,
    CHECK ((status = 'pending') = (next_try_at IS NOT NULL)),
    CHECK ((status = 'pending') = (finished_at IS NULL))
) STRICT;
CREATE INDEX webhook_deliveries_pending
    ON webhook_deliveries (account_id, endpoint_id, next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (account_id, endpoint_id);
