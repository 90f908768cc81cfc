-- The state machine of actors/src/generation.rs, repeated as CHECKs: what is known in a
-- state is present exactly in that state.
-- `owner` and `epoch` say which process runs it; `due_at` says when somebody must have
-- looked at it again, and is absent once it has ended.
CREATE TABLE generations (
    account_id          BLOB NOT NULL REFERENCES accounts (id),
    id                  BLOB NOT NULL CHECK (length(id) = 16),
    model               TEXT NOT NULL,
    media               TEXT NOT NULL CHECK (media IN ('image', 'video')),
    status              TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'succeeded', 'failed', 'canceled')),
    input               TEXT NOT NULL,
    amount_millicredits INTEGER NOT NULL CHECK (amount_millicredits > 0),
    catalogue_version   TEXT NOT NULL,
    owner               BLOB NOT NULL CHECK (length(owner) = 16),
    epoch               INTEGER NOT NULL CHECK (epoch >= 1),
    created_at          TEXT NOT NULL,
    deadline_at         TEXT NOT NULL,
    due_at              TEXT,
    started_at          TEXT,
    completed_at        TEXT,
    outputs             TEXT,
    predict_time_ms     INTEGER,
    failure_code        TEXT,
    failure_message     TEXT,
    PRIMARY KEY (account_id, id),
    CHECK ((status IN ('pending', 'processing')) = (due_at IS NOT NULL)),
    CHECK ((status IN ('succeeded', 'failed', 'canceled')) = (completed_at IS NOT NULL)),
    CHECK (status <> 'pending' OR started_at IS NULL),
    CHECK (status NOT IN ('processing', 'succeeded') OR started_at IS NOT NULL),
    CHECK ((status = 'succeeded') = (outputs IS NOT NULL)),
    CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CHECK ((status = 'failed') = (failure_message IS NOT NULL))
) STRICT;
CREATE INDEX generations_due ON generations (owner, due_at, id) WHERE due_at IS NOT NULL;

-- One submission to one provider. Written before the request leaves. Attempts outlive a
-- deleted generation, so there is no foreign key to it.
CREATE TABLE attempts (
    account_id      BLOB NOT NULL REFERENCES accounts (id),
    generation_id   BLOB NOT NULL CHECK (length(generation_id) = 16),
    number          INTEGER NOT NULL CHECK (number >= 1),
    correlation     BLOB NOT NULL CHECK (length(correlation) = 16),
    provider        TEXT NOT NULL,
    raw_model       TEXT NOT NULL,
    submitted_at    TEXT NOT NULL,
    deadline_at     TEXT NOT NULL,
    job             TEXT,
    outcome         TEXT NOT NULL CHECK (outcome IN ('pending', 'used', 'failed', 'discarded', 'canceled')),
    resolved_at     TEXT,
    failure_code    TEXT,
    failure_message TEXT,
    PRIMARY KEY (account_id, generation_id, number),
    CHECK ((outcome = 'pending') = (resolved_at IS NULL)),
    CHECK ((outcome = 'failed') = (failure_code IS NOT NULL)),
    CHECK ((outcome = 'failed') = (failure_message IS NOT NULL)),
    CHECK (outcome <> 'used' OR job IS NOT NULL)
) STRICT, WITHOUT ROWID;
