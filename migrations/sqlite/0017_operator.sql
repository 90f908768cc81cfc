-- A suspended account cannot use the API until that is ended.
ALTER TABLE accounts ADD COLUMN suspended_at TEXT;

-- What an account was granted: little among all that has moved. The columns that a sum needs, `kind`
-- among them, or SQLite would rather read all movements in the order of the primary key.
CREATE INDEX ledger_entries_grants
    ON ledger_entries (account_id, kind, seq, amount_millicredits) WHERE kind = 'add';

-- What those who run the server did to accounts and people: append-only. Who it was is looked up, as
-- in activities; commands are nobody's.
CREATE TABLE operator_actions (
    id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    actor      TEXT NOT NULL CHECK (actor IN ('user', 'cli')),
    actor_id   BLOB CHECK (length(actor_id) = 16),
    action     TEXT NOT NULL,
    account_id BLOB REFERENCES accounts (id),
    user_id    BLOB CHECK (length(user_id) = 16),
    was        TEXT NOT NULL,
    became     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    at         TEXT NOT NULL,
    CHECK ((actor = 'cli') = (actor_id IS NULL))
) STRICT;
CREATE INDEX operator_actions_account ON operator_actions (account_id, id) WHERE account_id IS NOT NULL;

-- INSERT OR REPLACE deletes what is in its way without firing the trigger on DELETE.
CREATE TRIGGER operator_actions_no_replace BEFORE INSERT ON operator_actions
WHEN EXISTS (SELECT 1 FROM operator_actions WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'operator actions are append-only');
END;
CREATE TRIGGER operator_actions_no_update BEFORE UPDATE ON operator_actions
BEGIN
    SELECT RAISE(ABORT, 'operator actions are append-only');
END;
CREATE TRIGGER operator_actions_no_delete BEFORE DELETE ON operator_actions
BEGIN
    SELECT RAISE(ABORT, 'operator actions are append-only');
END;
