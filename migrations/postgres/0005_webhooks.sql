-- Customers' endpoints. The secret is sealed with the master key.
CREATE TABLE webhook_endpoints (
    account_id         UUID NOT NULL REFERENCES accounts (id),
    id                 UUID NOT NULL,
    url                TEXT NOT NULL,
    events             JSON NOT NULL,
    secret_sealed      TEXT NOT NULL,
    enabled            BOOLEAN NOT NULL,
    exhausted_in_a_row BIGINT NOT NULL CHECK (exhausted_in_a_row >= 0),
    created_at         TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE UNIQUE INDEX webhook_endpoints_id ON webhook_endpoints (id);

-- The outbox: one event for one endpoint, written in the transaction of what happened.
CREATE TABLE webhook_deliveries (
    account_id    UUID NOT NULL,
    id            UUID NOT NULL,
    endpoint_id   UUID NOT NULL,
    event         TEXT NOT NULL,
    generation_id UUID NOT NULL,
    data          JSON NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'exhausted')),
    tries         BIGINT NOT NULL CHECK (tries >= 0),
    next_try_at   TIMESTAMPTZ,
    created_at    TIMESTAMPTZ NOT NULL,
    finished_at   TIMESTAMPTZ,
    last_status   BIGINT,
    last_error    TEXT,
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, endpoint_id) REFERENCES webhook_endpoints (account_id, id) ON DELETE CASCADE,
    CHECK ((status = 'pending') = (next_try_at IS NOT NULL)),
    CHECK ((status = 'pending') = (finished_at IS NULL))
);
CREATE INDEX webhook_deliveries_pending
    ON webhook_deliveries (account_id, endpoint_id, next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (account_id, endpoint_id);
