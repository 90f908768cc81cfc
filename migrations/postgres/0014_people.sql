-- People who sign in. E-mail addresses are in lower case. Whoever has not chosen a password yet,
-- or signs in by other means, has no hash.
CREATE TABLE users (
    id            UUID NOT NULL PRIMARY KEY,
    email         TEXT NOT NULL,
    name          TEXT NOT NULL,
    password_hash TEXT,
    operator      BOOLEAN NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (email);

-- Signed-in browsers. The cookie holds the token, here is its SHA-256.
CREATE TABLE sessions (
    user_id      UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id           UUID NOT NULL,
    token_hash   TEXT NOT NULL CHECK (length(token_hash) = 64),
    user_agent   TEXT,
    created_at   TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, id)
);
CREATE UNIQUE INDEX sessions_token ON sessions (token_hash);
CREATE INDEX sessions_expires ON sessions (expires_at);

-- What can be done once by whoever has the token of a link or the code of a mail.
CREATE TABLE one_time_tokens (
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id         UUID NOT NULL,
    purpose    TEXT NOT NULL CHECK (purpose IN ('password_reset', 'email_change', 'transfer', 'account_deletion', 'user_deletion')),
    account_id UUID REFERENCES accounts (id),
    token_hash TEXT NOT NULL CHECK (length(token_hash) = 64),
    email      TEXT,
    tries_left BIGINT NOT NULL CHECK (tries_left >= 0),
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, id),
    CHECK ((purpose = 'email_change') = (email IS NOT NULL)),
    CHECK ((purpose IN ('transfer', 'account_deletion')) = (account_id IS NOT NULL))
);
CREATE INDEX one_time_tokens_hash ON one_time_tokens (token_hash);
CREATE INDEX one_time_tokens_expires ON one_time_tokens (expires_at);

-- A team has a name in addresses; a personal account is called `personal` by its owner. The
-- primary owner is a member too. An account that was deleted keeps its row, for
-- the ledger, and everything else is gone by `removed_at`.
ALTER TABLE accounts ADD COLUMN slug TEXT;
ALTER TABLE accounts ADD COLUMN primary_owner_id UUID REFERENCES users (id);
ALTER TABLE accounts ADD COLUMN deleted_at TIMESTAMPTZ;
ALTER TABLE accounts ADD COLUMN removed_at TIMESTAMPTZ;
CREATE UNIQUE INDEX accounts_slug ON accounts (slug) WHERE slug IS NOT NULL;
CREATE INDEX accounts_primary_owner ON accounts (primary_owner_id) WHERE primary_owner_id IS NOT NULL;
CREATE INDEX accounts_deleted ON accounts (id) WHERE deleted_at IS NOT NULL AND removed_at IS NULL;

-- Who belongs to which account.
CREATE TABLE members (
    account_id UUID NOT NULL REFERENCES accounts (id),
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role       TEXT NOT NULL CHECK (role IN ('owner', 'member')),
    joined_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account_id, user_id)
);
CREATE INDEX members_user ON members (user_id);

-- Who may become a member. The link holds the token, here is its SHA-256.
CREATE TABLE invitations (
    account_id UUID NOT NULL REFERENCES accounts (id),
    id         UUID NOT NULL,
    email      TEXT NOT NULL,
    role       TEXT NOT NULL CHECK (role IN ('owner', 'member')),
    token_hash TEXT NOT NULL CHECK (length(token_hash) = 64),
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE UNIQUE INDEX invitations_email ON invitations (account_id, email);
CREATE UNIQUE INDEX invitations_token ON invitations (token_hash);

-- What people did, for the account's members to read. Who it was is looked up: a person who is
-- gone leaves no name behind.
CREATE TABLE activities (
    account_id  UUID NOT NULL REFERENCES accounts (id),
    id          UUID NOT NULL,
    actor       TEXT NOT NULL CHECK (actor IN ('user', 'key', 'system')),
    actor_id    UUID,
    category    TEXT NOT NULL,
    action      TEXT NOT NULL,
    description TEXT NOT NULL,
    at          TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account_id, id),
    CHECK ((actor = 'system') = (actor_id IS NULL))
);

-- Mail to be sent: written in the transaction of its reason. What it says may hold a link, so it
-- is sealed, and gone once the mail is.
CREATE TABLE mails (
    id          UUID NOT NULL PRIMARY KEY,
    account_id  UUID REFERENCES accounts (id),
    recipient   TEXT NOT NULL,
    kind        TEXT NOT NULL,
    sealed      TEXT,
    status      TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'failed')),
    tries       BIGINT NOT NULL CHECK (tries >= 0),
    next_try_at TIMESTAMPTZ,
    created_at  TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    last_error  TEXT,
    CHECK ((status = 'pending') = (next_try_at IS NOT NULL)),
    CHECK ((status = 'pending') = (sealed IS NOT NULL)),
    CHECK ((status = 'pending') = (finished_at IS NULL))
);
CREATE INDEX mails_pending ON mails (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX mails_finished ON mails (finished_at) WHERE finished_at IS NOT NULL;

-- Whether the primary owner is told by mail of a low balance.
ALTER TABLE credit_alerts ADD COLUMN email BOOLEAN NOT NULL DEFAULT TRUE;
