-- Authenticated requests, one row each, for as long as the account's plan keeps them. They go
-- with their key; what they add up to stays in request_days.
CREATE TABLE logged_requests (
    account_id   UUID NOT NULL,
    id           UUID NOT NULL,
    api_key_id   UUID NOT NULL,
    key_name     TEXT NOT NULL,
    key_prefix   TEXT NOT NULL,
    key_status   TEXT NOT NULL CHECK (key_status IN ('active', 'rotated', 'expired', 'revoked')),
    method       TEXT NOT NULL,
    endpoint     TEXT NOT NULL,
    query        TEXT,
    status       BIGINT NOT NULL CHECK (status BETWEEN 100 AND 599),
    code         TEXT,
    replayed     BOOLEAN NOT NULL,
    ip_hash      TEXT NOT NULL,
    user_agent   TEXT,
    requested_at TIMESTAMPTZ NOT NULL,
    took_us      BIGINT NOT NULL CHECK (took_us >= 0),
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, api_key_id) REFERENCES api_keys (account_id, id) ON DELETE CASCADE
);
CREATE INDEX logged_requests_key ON logged_requests (account_id, api_key_id);

-- How many requests an account made on a day of UTC at an endpoint, by code (empty: none).
CREATE TABLE request_days (
    account_id    UUID NOT NULL REFERENCES accounts (id),
    day           TEXT NOT NULL CHECK (length(day) = 10),
    endpoint      TEXT NOT NULL,
    code          TEXT NOT NULL,
    successes     BIGINT NOT NULL CHECK (successes >= 0),
    client_errors BIGINT NOT NULL CHECK (client_errors >= 0),
    server_errors BIGINT NOT NULL CHECK (server_errors >= 0),
    PRIMARY KEY (account_id, day, endpoint, code)
);

-- What the attempt is estimated to cost, in millionths of a credit.
ALTER TABLE attempts ADD COLUMN estimated_cost_microcredits BIGINT NOT NULL DEFAULT 0;
