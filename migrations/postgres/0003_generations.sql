-- The state machine of actors/src/generation.rs, repeated as CHECKs: what is known in a
-- state is present exactly in that state.
-- `owner` and `epoch` say which process runs it; `due_at` says when somebody must have
-- looked at it again, and is absent once it has ended.
CREATE TABLE generations (
    account_id          UUID NOT NULL REFERENCES accounts (id),
    id                  UUID NOT NULL,
    model               TEXT NOT NULL,
    media               TEXT NOT NULL CHECK (media IN ('image', 'video')),
    status              TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'succeeded', 'failed', 'canceled')),
    input               JSON NOT NULL,
    amount_millicredits BIGINT NOT NULL CHECK (amount_millicredits > 0),
    catalogue_version   TEXT NOT NULL,
    owner               UUID NOT NULL,
    epoch               BIGINT NOT NULL CHECK (epoch >= 1),
    created_at          TIMESTAMPTZ NOT NULL,
    deadline_at         TIMESTAMPTZ NOT NULL,
    due_at              TIMESTAMPTZ,
    started_at          TIMESTAMPTZ,
    completed_at        TIMESTAMPTZ,
    outputs             JSON,
    predict_time_ms     BIGINT,
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
);
CREATE INDEX generations_due ON generations (owner, due_at, id) WHERE due_at IS NOT NULL;

-- One submission to one provider. Written before the request leaves. Attempts outlive a
-- deleted generation, so there is no foreign key to it.
CREATE TABLE attempts (
    account_id      UUID NOT NULL REFERENCES accounts (id),
    generation_id   UUID NOT NULL,
    number          BIGINT NOT NULL CHECK (number >= 1),
    correlation     UUID NOT NULL,
    provider        TEXT NOT NULL,
    raw_model       TEXT NOT NULL,
    submitted_at    TIMESTAMPTZ NOT NULL,
    deadline_at     TIMESTAMPTZ NOT NULL,
    job             TEXT,
    outcome         TEXT NOT NULL CHECK (outcome IN ('pending', 'used', 'failed', 'discarded', 'canceled')),
    resolved_at     TIMESTAMPTZ,
    failure_code    TEXT,
    failure_message TEXT,
    PRIMARY KEY (account_id, generation_id, number),
    CHECK ((outcome = 'pending') = (resolved_at IS NULL)),
    CHECK ((outcome = 'failed') = (failure_code IS NOT NULL)),
    CHECK ((outcome = 'failed') = (failure_message IS NOT NULL)),
    CHECK (outcome <> 'used' OR job IS NOT NULL)
);
