-- Accounts and their balance. `ledger_seq` is the number of the last ledger entry, so that
-- the next one is written without looking for it.
CREATE TABLE accounts (
    id                   BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name                 TEXT NOT NULL,
    kind                 TEXT NOT NULL CHECK (kind IN ('personal', 'team')),
    plan                 TEXT NOT NULL CHECK (plan IN ('free', 'starter', 'pro', 'scale', 'enterprise')),
    email                TEXT,
    balance_millicredits INTEGER NOT NULL CHECK (balance_millicredits >= 0),
    ledger_seq           INTEGER NOT NULL CHECK (ledger_seq >= 0),
    created_at           TEXT NOT NULL
) STRICT;
