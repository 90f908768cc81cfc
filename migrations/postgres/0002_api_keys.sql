-- Credentials. Several keys may share a prefix; the hash is bcrypt of the whole key.
-- The lifecycle is read from the times: revoked, expired, rotated (in grace), else active.
CREATE TABLE api_keys (
    account_id   UUID NOT NULL REFERENCES accounts (id),
    id           UUID NOT NULL,
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL CHECK (length(prefix) = 9),
    hash         TEXT NOT NULL,
    scopes       JSON NOT NULL,
    allowed_ips  JSON NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ,
    rotated_at   TIMESTAMPTZ,
    revoked_at   TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ,
    PRIMARY KEY (account_id, id),
    CHECK (rotated_at IS NULL OR expires_at IS NOT NULL)
);
CREATE UNIQUE INDEX api_keys_id ON api_keys (id);
CREATE INDEX api_keys_prefix ON api_keys (prefix);
