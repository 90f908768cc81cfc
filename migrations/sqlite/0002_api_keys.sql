-- Credentials. Several keys may share a prefix; the hash is bcrypt of the whole key.
-- The lifecycle is read from the times: revoked, expired, rotated (in grace), else active.
CREATE TABLE api_keys (
    account_id   BLOB NOT NULL REFERENCES accounts (id),
    id           BLOB NOT NULL CHECK (length(id) = 16),
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL CHECK (length(prefix) = 9),
    hash         TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    allowed_ips  TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    expires_at   TEXT,
    rotated_at   TEXT,
    revoked_at   TEXT,
    last_used_at TEXT,
    PRIMARY KEY (account_id, id),
    CHECK (rotated_at IS NULL OR expires_at IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX api_keys_id ON api_keys (id);
CREATE INDEX api_keys_prefix ON api_keys (prefix);
