-- Movements of credit: append-only. `delta` is signed, so the balance is the sum of the
-- deltas at every row.
CREATE TABLE ledger_entries (
    account_id                 UUID NOT NULL REFERENCES accounts (id),
    seq                        BIGINT NOT NULL CHECK (seq >= 1),
    kind                       TEXT NOT NULL CHECK (kind IN ('reserve', 'charge', 'refund', 'add')),
    amount_millicredits        BIGINT NOT NULL CHECK (amount_millicredits > 0),
    delta_millicredits         BIGINT NOT NULL,
    balance_after_millicredits BIGINT NOT NULL CHECK (balance_after_millicredits >= 0),
    generation_id              UUID,
    model                      TEXT,
    key                        TEXT,
    description                TEXT,
    created_at                 TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account_id, seq),
    CHECK (delta_millicredits = CASE kind
        WHEN 'reserve' THEN -amount_millicredits
        WHEN 'charge' THEN 0
        ELSE amount_millicredits
    END),
    CHECK ((kind = 'add') = (generation_id IS NULL)),
    CHECK ((kind = 'add') = (key IS NOT NULL))
);
-- One reserve, and one charge or one refund, for each generation; one add for each key.
CREATE UNIQUE INDEX ledger_entries_reserve
    ON ledger_entries (account_id, generation_id) WHERE kind = 'reserve';
CREATE UNIQUE INDEX ledger_entries_settlement
    ON ledger_entries (account_id, generation_id) WHERE kind IN ('charge', 'refund');
CREATE UNIQUE INDEX ledger_entries_key ON ledger_entries (key) WHERE key IS NOT NULL;

CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger entries are append-only';
END;
$$;
CREATE TRIGGER ledger_entries_no_update BEFORE UPDATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER ledger_entries_no_delete BEFORE DELETE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER ledger_entries_no_truncate BEFORE TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
