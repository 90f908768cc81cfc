-- A suspended account cannot use the API until that is ended.
ALTER TABLE accounts ADD COLUMN suspended_at TIMESTAMPTZ;

-- What an account was granted: little among all that has moved. The columns that a sum needs, `kind`
-- among them, or SQLite would rather read all movements in the order of the primary key.
CREATE INDEX ledger_entries_grants
    ON ledger_entries (account_id, kind, seq, amount_millicredits) WHERE kind = 'add';

-- What those who run the server did to accounts and people: append-only. Who it was is looked up, as
-- in activities; commands are nobody's.
CREATE TABLE operator_actions (
    id         UUID NOT NULL PRIMARY KEY,
    actor      TEXT NOT NULL CHECK (actor IN ('user', 'cli')),
    actor_id   UUID,
    action     TEXT NOT NULL,
    account_id UUID REFERENCES accounts (id),
    user_id    UUID,
    was        TEXT NOT NULL,
    became     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    at         TIMESTAMPTZ NOT NULL,
    CHECK ((actor = 'cli') = (actor_id IS NULL))
);
CREATE INDEX operator_actions_account ON operator_actions (account_id, id) WHERE account_id IS NOT NULL;

CREATE FUNCTION refuse_operator_action_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'operator actions are append-only';
END;
$$;
CREATE TRIGGER operator_actions_no_update BEFORE UPDATE ON operator_actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_operator_action_change();
CREATE TRIGGER operator_actions_no_delete BEFORE DELETE ON operator_actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_operator_action_change();
CREATE TRIGGER operator_actions_no_truncate BEFORE TRUNCATE ON operator_actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_operator_action_change();
