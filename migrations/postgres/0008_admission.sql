-- What an account has in flight and how many generations have a record: kept on its row, which
-- every acceptance and every end writes anyway, so that a cap is exact and costs no look-up.
ALTER TABLE accounts ADD COLUMN images_in_flight BIGINT NOT NULL DEFAULT 0 CHECK (images_in_flight >= 0);
ALTER TABLE accounts ADD COLUMN videos_in_flight BIGINT NOT NULL DEFAULT 0 CHECK (videos_in_flight >= 0);
ALTER TABLE accounts ADD COLUMN generations BIGINT NOT NULL DEFAULT 0 CHECK (generations >= 0);
UPDATE accounts SET
    images_in_flight = (SELECT COUNT(*) FROM generations WHERE account_id = accounts.id AND media = 'image' AND due_at IS NOT NULL),
    videos_in_flight = (SELECT COUNT(*) FROM generations WHERE account_id = accounts.id AND media = 'video' AND due_at IS NOT NULL),
    generations = (SELECT COUNT(*) FROM generations WHERE account_id = accounts.id);

-- Out of which price an amount was made, which key asked for it, and in which month (202611) it
-- counts against that key's limit.
ALTER TABLE generations ADD COLUMN cost_per_output_millicredits BIGINT NOT NULL DEFAULT 0 CHECK (cost_per_output_millicredits >= 0);
ALTER TABLE generations ADD COLUMN price_source TEXT NOT NULL DEFAULT 'operator' CHECK (price_source IN ('published', 'operator', 'placeholder'));
ALTER TABLE generations ADD COLUMN api_key_id UUID;
ALTER TABLE generations ADD COLUMN spend_month BIGINT;
UPDATE generations SET cost_per_output_millicredits = amount_millicredits / CAST(input ->> 'count' AS BIGINT);

-- What a key may spend in a calendar month, and what it has in `spent_month`.
ALTER TABLE api_keys ADD COLUMN monthly_limit_millicredits BIGINT CHECK (monthly_limit_millicredits >= 0);
ALTER TABLE api_keys ADD COLUMN spent_month BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN spent_millicredits BIGINT NOT NULL DEFAULT 0 CHECK (spent_millicredits >= 0);

-- Requests that happen once. Written in the transaction of the generation that they make; what
-- was answered is added afterwards, with no body for a failure, which the generation tells.
CREATE TABLE idempotency_records (
    account_id    UUID NOT NULL REFERENCES accounts (id),
    route         TEXT NOT NULL,
    key           TEXT NOT NULL,
    body_sha256   TEXT NOT NULL CHECK (length(body_sha256) = 64),
    generation_id UUID NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    expires_at    TIMESTAMPTZ NOT NULL,
    answered      TEXT CHECK (answered IN ('success', 'failure')),
    answer_body   TEXT,
    PRIMARY KEY (account_id, route, key),
    CHECK ((answered IS NOT NULL AND answered = 'success') = (answer_body IS NOT NULL))
);
CREATE INDEX idempotency_records_expires ON idempotency_records (expires_at);
CREATE INDEX idempotency_records_generation ON idempotency_records (account_id, generation_id);
