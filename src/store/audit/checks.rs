//! The rules, each as a statement that answers what breaks it.
//!
//! Every statement takes `$1`, the most rows it may answer, and answers `account_id`, `id`,
//! `place` and `detail`; what the first three mean is the [`Subject`]. One takes `$2` too, see
//! [`Check::needs_tries_max`].

/// What a row of a check speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// An account.
    Account,
    /// A generation of an account.
    Generation,
    /// The entry with number `place` of an account.
    Entry,
    /// The attempt with number `place` at a generation.
    Attempt,
    /// A delivery of an account.
    Delivery,
    /// A webhook endpoint of an account.
    Endpoint,
}

/// A rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    /// Its name, in reports.
    pub(super) invariant: &'static str,
    /// What it speaks of.
    pub(super) subject: Subject,
    /// Answers what breaks it.
    pub(super) sql: &'static str,
}

/// Numbers are unique within an account, so as many as the highest, from 1, leaves no gap.
const SEQ: &str = "
    SELECT accounts.id AS account_id, NULL AS id, NULL AS place,
           'has ' || COALESCE(entries, 0) || ' entries, numbered ' || COALESCE(lowest, 0)
           || ' to ' || COALESCE(highest, 0) || ', and the last number is said to be '
           || accounts.ledger_seq AS detail
    FROM accounts
    LEFT JOIN (
        SELECT account_id, COUNT(*) AS entries, MIN(seq) AS lowest, MAX(seq) AS highest
        FROM ledger_entries GROUP BY account_id
    ) AS ledger ON ledger.account_id = accounts.id
    WHERE COALESCE(entries, 0) <> accounts.ledger_seq
       OR COALESCE(highest, 0) <> accounts.ledger_seq
       OR COALESCE(lowest, 1) <> 1
    LIMIT $1";

/// With each balance following from the one before, and the first from nothing, every balance
/// is the sum of all deltas up to it; and where it is not, this names the row that is wrong.
const RUNNING_BALANCE: &str = "
    SELECT entry.account_id, NULL AS id, entry.seq AS place,
           'leaves ' || entry.balance_after_millicredits || ' after '
           || COALESCE(before.balance_after_millicredits, 0) || ' and a delta of '
           || entry.delta_millicredits || ' thousandths' AS detail
    FROM ledger_entries AS entry
    LEFT JOIN ledger_entries AS before
      ON before.account_id = entry.account_id AND before.seq = entry.seq - 1
    WHERE (entry.seq = 1 OR before.seq IS NOT NULL)
      AND entry.balance_after_millicredits
          <> COALESCE(before.balance_after_millicredits, 0) + entry.delta_millicredits
    LIMIT $1";

const BALANCE: &str = "
    SELECT accounts.id AS account_id, NULL AS id, NULL AS place,
           'has ' || accounts.balance_millicredits || ' thousandths, and its deltas add up to '
           || COALESCE(total, 0) AS detail
    FROM accounts
    LEFT JOIN (
        SELECT account_id, CAST(SUM(delta_millicredits) AS BIGINT) AS total
        FROM ledger_entries GROUP BY account_id
    ) AS ledger ON ledger.account_id = accounts.id
    WHERE COALESCE(total, 0) <> accounts.balance_millicredits
    LIMIT $1";

const LAST_BALANCE: &str = "
    SELECT accounts.id AS account_id, NULL AS id, NULL AS place,
           'has ' || accounts.balance_millicredits || ' thousandths, and its last entry leaves '
           || entry.balance_after_millicredits AS detail
    FROM accounts
    JOIN ledger_entries AS entry
      ON entry.account_id = accounts.id AND entry.seq = accounts.ledger_seq
    WHERE entry.balance_after_millicredits <> accounts.balance_millicredits
    LIMIT $1";

const IN_FLIGHT: &str = "
    SELECT accounts.id AS account_id, NULL AS id, NULL AS place,
           'counts ' || accounts.images_in_flight || ' images and ' || accounts.videos_in_flight
           || ' videos in flight, ' || accounts.generations || ' generations in all, and there are '
           || COALESCE(images, 0) || ', ' || COALESCE(videos, 0) || ' and '
           || COALESCE(recorded, 0) AS detail
    FROM accounts
    LEFT JOIN (
        SELECT account_id,
               COUNT(*) AS recorded,
               COUNT(*) FILTER (WHERE due_at IS NOT NULL AND media = 'image') AS images,
               COUNT(*) FILTER (WHERE due_at IS NOT NULL AND media = 'video') AS videos
        FROM generations GROUP BY account_id
    ) AS counted ON counted.account_id = accounts.id
    WHERE accounts.images_in_flight <> COALESCE(images, 0)
       OR accounts.videos_in_flight <> COALESCE(videos, 0)
       OR accounts.generations <> COALESCE(recorded, 0)
    LIMIT $1";

const PRICED: &str = "
    SELECT account_id, id, NULL AS place,
           'costs ' || amount_millicredits || ' thousandths, ' || cost_per_output_millicredits
           || ' for each of ' || COALESCE(CAST(input ->> 'count' AS TEXT), 'no') || ' outputs'
           AS detail
    FROM generations
    WHERE amount_millicredits
          IS DISTINCT FROM cost_per_output_millicredits * CAST(input ->> 'count' AS BIGINT)
    LIMIT $1";

/// A key that is gone has no limit.
const COUNTED: &str = "
    SELECT generations.account_id, generations.id, NULL AS place,
           'counts for the month ' || spend_month || ' and no key asked for it' AS detail
    FROM generations
    WHERE spend_month IS NOT NULL AND api_key_id IS NULL
    LIMIT $1";

const CLAIMED_ONCE: &str = "
    SELECT account_id, generation_id AS id, NULL AS place,
           'is claimed by ' || COUNT(*) || ' idempotency keys' AS detail
    FROM idempotency_records
    GROUP BY account_id, generation_id HAVING COUNT(*) > 1
    LIMIT $1";

const ENTRY_FORM: &str = "
    SELECT account_id, NULL AS id, seq AS place,
           'a ' || kind || ' of ' || amount_millicredits || ' with a delta of '
           || delta_millicredits || ' leaving ' || balance_after_millicredits AS detail
    FROM ledger_entries
    WHERE kind NOT IN ('reserve', 'charge', 'refund', 'add')
       OR amount_millicredits <= 0
       OR balance_after_millicredits < 0
       OR delta_millicredits <> CASE kind
              WHEN 'reserve' THEN -amount_millicredits
              WHEN 'charge' THEN 0
              ELSE amount_millicredits
          END
       OR (kind = 'add') <> (generation_id IS NULL)
       OR (kind = 'add') <> (key IS NOT NULL)
    LIMIT $1";

const GRANT_ONCE: &str = "
    SELECT entry.account_id, NULL AS id, entry.seq AS place,
           'its key was used before: ' || entry.key AS detail
    FROM ledger_entries AS entry
    JOIN ledger_entries AS other ON other.key = entry.key
    WHERE entry.key IS NOT NULL AND other.key IS NOT NULL
      AND (other.account_id, other.seq) < (entry.account_id, entry.seq)
    LIMIT $1";

const RESERVED_ONCE: &str = "
    SELECT account_id, generation_id AS id, NULL AS place,
           'has ' || COUNT(*) || ' reserves' AS detail
    FROM ledger_entries
    WHERE kind = 'reserve'
    GROUP BY account_id, generation_id HAVING COUNT(*) > 1
    LIMIT $1";

const SETTLED_ONCE: &str = "
    SELECT account_id, generation_id AS id, NULL AS place,
           'has ' || COUNT(*) || ' charges and refunds' AS detail
    FROM ledger_entries
    WHERE kind IN ('charge', 'refund')
    GROUP BY account_id, generation_id HAVING COUNT(*) > 1
    LIMIT $1";

const RESERVED: &str = "
    SELECT generations.account_id, generations.id, NULL AS place,
           'costs ' || generations.amount_millicredits || ' thousandths, and '
           || COALESCE(CAST(entry.amount_millicredits AS TEXT), 'nothing')
           || ' is reserved' AS detail
    FROM generations
    LEFT JOIN ledger_entries AS entry
      ON entry.account_id = generations.account_id
     AND entry.generation_id = generations.id
     AND entry.kind = 'reserve'
    WHERE entry.amount_millicredits IS DISTINCT FROM generations.amount_millicredits
    LIMIT $1";

const SETTLED: &str = "
    SELECT generations.account_id, generations.id, NULL AS place,
           'is ' || generations.status || ' and settled with '
           || COALESCE(entry.kind, 'nothing') AS detail
    FROM generations
    LEFT JOIN ledger_entries AS entry
      ON entry.account_id = generations.account_id
     AND entry.generation_id = generations.id
     AND entry.kind IN ('charge', 'refund')
    WHERE entry.kind IS DISTINCT FROM CASE generations.status
              WHEN 'succeeded' THEN 'charge'
              WHEN 'failed' THEN 'refund'
              WHEN 'canceled' THEN 'refund'
          END
    LIMIT $1";

const SETTLED_AS_RESERVED: &str = "
    SELECT entry.account_id, NULL AS id, entry.seq AS place,
           'a ' || entry.kind || ' of ' || entry.amount_millicredits || ' thousandths after '
           || COALESCE('a reserve of ' || reserve.amount_millicredits || ' with number '
                       || reserve.seq, 'no reserve') AS detail
    FROM ledger_entries AS entry
    LEFT JOIN ledger_entries AS reserve
      ON reserve.account_id = entry.account_id
     AND reserve.generation_id = entry.generation_id
     AND reserve.kind = 'reserve'
    WHERE entry.kind IN ('charge', 'refund')
      AND (reserve.seq IS NULL
           OR reserve.amount_millicredits <> entry.amount_millicredits
           OR reserve.seq >= entry.seq)
    LIMIT $1";

/// A deleted generation has been settled before.
const NO_ORPHAN: &str = "
    SELECT reserve.account_id, NULL AS id, reserve.seq AS place,
           'reserves ' || reserve.amount_millicredits
           || ' thousandths for a generation that does not exist, and is not settled' AS detail
    FROM ledger_entries AS reserve
    LEFT JOIN generations
      ON generations.account_id = reserve.account_id AND generations.id = reserve.generation_id
    LEFT JOIN ledger_entries AS settlement
      ON settlement.account_id = reserve.account_id
     AND settlement.generation_id = reserve.generation_id
     AND settlement.kind IN ('charge', 'refund')
    WHERE reserve.kind = 'reserve' AND generations.id IS NULL AND settlement.seq IS NULL
    LIMIT $1";

const STATE_FORM: &str = "
    SELECT account_id, id, NULL AS place,
           'is ' || status
           || CASE WHEN due_at IS NULL THEN '' ELSE ', due' END
           || CASE WHEN started_at IS NULL THEN '' ELSE ', started' END
           || CASE WHEN completed_at IS NULL THEN '' ELSE ', completed' END
           || CASE WHEN outputs IS NULL THEN '' ELSE ', with outputs' END
           || CASE WHEN failure_code IS NULL AND failure_message IS NULL
                   THEN '' ELSE ', with a failure' END AS detail
    FROM generations
    WHERE status NOT IN ('pending', 'processing', 'succeeded', 'failed', 'canceled')
       OR (status IN ('pending', 'processing')) <> (due_at IS NOT NULL)
       OR (status IN ('succeeded', 'failed', 'canceled')) <> (completed_at IS NOT NULL)
       OR (status = 'pending' AND started_at IS NOT NULL)
       OR (status IN ('processing', 'succeeded') AND started_at IS NULL)
       OR (status = 'succeeded') <> (outputs IS NOT NULL)
       OR (status = 'failed') <> (failure_code IS NOT NULL)
       OR (status = 'failed') <> (failure_message IS NOT NULL)
       OR (files_removed_at IS NOT NULL AND status <> 'succeeded')
    LIMIT $1";

const TIME_ORDER: &str = "
    SELECT account_id, id, NULL AS place,
           'was created at ' || CAST(created_at AS TEXT) || ', started at '
           || COALESCE(CAST(started_at AS TEXT), 'no time') || ' and completed at '
           || COALESCE(CAST(completed_at AS TEXT), 'no time') AS detail
    FROM generations
    WHERE completed_at < created_at OR started_at < created_at OR completed_at < started_at
       OR files_removed_at < completed_at
    LIMIT $1";

const OUTPUTS: &str = "
    SELECT account_id, id, NULL AS place,
           'has ' || json_array_length(outputs) || ' outputs and was asked for '
           || COALESCE(CAST(input ->> 'count' AS TEXT), 'no number') AS detail
    FROM generations
    WHERE outputs IS NOT NULL
      AND json_array_length(outputs) IS DISTINCT FROM CAST(input ->> 'count' AS BIGINT)
    LIMIT $1";

/// The first attempt is written with the generation.
const ATTEMPTED: &str = "
    SELECT generations.account_id, generations.id, NULL AS place, 'has no attempt' AS detail
    FROM generations
    LEFT JOIN attempts
      ON attempts.account_id = generations.account_id
     AND attempts.generation_id = generations.id
     AND attempts.number = 1
    WHERE attempts.number IS NULL
    LIMIT $1";

const ATTEMPT_NUMBERS: &str = "
    SELECT account_id, generation_id AS id, NULL AS place,
           'has ' || COUNT(*) || ' attempts, numbered ' || MIN(number) || ' to ' || MAX(number)
           AS detail
    FROM attempts
    GROUP BY account_id, generation_id HAVING MIN(number) <> 1 OR MAX(number) <> COUNT(*)
    LIMIT $1";

const ONE_OPEN_ATTEMPT: &str = "
    SELECT account_id, generation_id AS id, NULL AS place,
           'has ' || COUNT(*) || ' open attempts' AS detail
    FROM attempts
    WHERE outcome = 'pending'
    GROUP BY account_id, generation_id HAVING COUNT(*) > 1
    LIMIT $1";

/// Attempts outlive a deleted generation, which has ended before.
const NOTHING_OPEN_AT_THE_END: &str = "
    SELECT attempts.account_id, attempts.generation_id AS id, attempts.number AS place,
           'is open, and its generation is ' || COALESCE(generations.status, 'gone') AS detail
    FROM attempts
    LEFT JOIN generations
      ON generations.account_id = attempts.account_id AND generations.id = attempts.generation_id
    WHERE attempts.outcome = 'pending'
      AND COALESCE(generations.status, 'gone') NOT IN ('pending', 'processing')
    LIMIT $1";

const ONE_USED: &str = "
    SELECT generations.account_id, generations.id, NULL AS place,
           'is ' || generations.status || ' and used ' || COALESCE(used, 0) || ' attempts'
           AS detail
    FROM generations
    LEFT JOIN (
        SELECT account_id, generation_id, COUNT(*) AS used
        FROM attempts WHERE outcome = 'used' GROUP BY account_id, generation_id
    ) AS counted
      ON counted.account_id = generations.account_id
     AND counted.generation_id = generations.id
    WHERE COALESCE(used, 0) <> CASE WHEN generations.status = 'succeeded' THEN 1 ELSE 0 END
    LIMIT $1";

const ATTEMPT_AFTER_ACCEPTANCE: &str = "
    SELECT attempts.account_id, attempts.generation_id AS id, attempts.number AS place,
           'left at ' || CAST(attempts.submitted_at AS TEXT)
           || ', before its generation was accepted at '
           || CAST(generations.created_at AS TEXT) AS detail
    FROM attempts
    JOIN generations
      ON generations.account_id = attempts.account_id AND generations.id = attempts.generation_id
    WHERE attempts.submitted_at < generations.created_at
    LIMIT $1";

const ATTEMPT_FORM: &str = "
    SELECT account_id, generation_id AS id, number AS place,
           'is ' || outcome
           || CASE WHEN resolved_at IS NULL THEN ', unresolved' ELSE ', resolved' END
           || CASE WHEN job IS NULL THEN ', without a job' ELSE '' END
           || CASE WHEN failure_code IS NULL THEN '' ELSE ', with a failure' END
           || CASE WHEN provider_cost_microdollars IS NULL THEN '' ELSE ', with a cost' END
           || CASE WHEN provider_cost_source IS NULL THEN '' ELSE ' that somebody told' END
           AS detail
    FROM attempts
    WHERE outcome NOT IN ('pending', 'used', 'failed', 'discarded', 'canceled')
       OR (outcome = 'pending') <> (resolved_at IS NULL)
       OR (outcome = 'failed') <> (failure_code IS NOT NULL)
       OR (outcome = 'failed') <> (failure_message IS NOT NULL)
       OR (outcome = 'used' AND job IS NULL)
       OR resolved_at < submitted_at
       OR (provider_cost_microdollars IS NULL) <> (provider_cost_source IS NULL)
       OR (number > 1 AND propensity_ppm IS NOT NULL)
    LIMIT $1";

const DELIVERED_ONCE: &str = "
    SELECT account_id, generation_id AS id, NULL AS place,
           'has ' || COUNT(*) || ' deliveries of ' || event || ' for one endpoint' AS detail
    FROM webhook_deliveries
    WHERE replay_of IS NULL AND generation_id IS NOT NULL
    GROUP BY account_id, endpoint_id, generation_id, event HAVING COUNT(*) > 1
    LIMIT $1";

/// A generation that is gone says nothing about what it was.
const DELIVERED_TRUE: &str = "
    SELECT delivery.account_id, delivery.id, NULL AS place,
           'tells of ' || delivery.event || ', and the generation is ' || generations.status
           AS detail
    FROM webhook_deliveries AS delivery
    JOIN generations
      ON generations.account_id = delivery.account_id AND generations.id = delivery.generation_id
    WHERE NOT CASE delivery.event
              WHEN 'generation.started' THEN generations.started_at IS NOT NULL
              WHEN 'generation.completed' THEN generations.status = 'succeeded'
              WHEN 'generation.failed' THEN generations.status = 'failed'
              WHEN 'generation.canceled' THEN generations.status = 'canceled'
              ELSE false
          END
    LIMIT $1";

const DELIVERY_FORM: &str = "
    SELECT account_id, id, NULL AS place,
           'is ' || status || ' after ' || tries || ' tries'
           || CASE WHEN finished_at IS NULL THEN ', unfinished' ELSE ', finished' END
           || CASE WHEN next_try_at IS NULL THEN '' ELSE ', with a next try' END AS detail
    FROM webhook_deliveries
    WHERE status NOT IN ('pending', 'queued', 'delivered', 'exhausted', 'resent', 'expired')
       OR (status = 'pending') <> (next_try_at IS NOT NULL)
       OR (status IN ('pending', 'queued')) <> (finished_at IS NULL)
       OR (status IN ('delivered', 'exhausted') AND tries < 1)
       OR (status IN ('queued', 'resent', 'expired') AND queued_at IS NULL)
       OR tries < 0
       OR finished_at < created_at
    LIMIT $1";

/// What was tried before there was a log has no rows in it.
const TRIES_LOGGED: &str = "
    SELECT delivery.account_id, delivery.id, NULL AS place,
           'was tried ' || tries || ' times, and ' || logged || ' tries are in the log, numbered '
           || lowest || ' to ' || highest AS detail
    FROM webhook_deliveries AS delivery
    JOIN (
        SELECT account_id, delivery_id, COUNT(*) AS logged,
               MIN(number) AS lowest, MAX(number) AS highest
        FROM webhook_tries GROUP BY account_id, delivery_id
    ) AS log ON log.account_id = delivery.account_id AND log.delivery_id = delivery.id
    WHERE highest <> tries OR logged <> highest - lowest + 1
    LIMIT $1";

const RESENT: &str = "
    SELECT account_id, id, NULL AS place,
           'was resent, and there is no delivery that repeats it' AS detail
    FROM webhook_deliveries AS delivery
    WHERE status = 'resent' AND NOT EXISTS (
        SELECT 1 FROM webhook_deliveries AS again
        WHERE again.account_id = delivery.account_id AND again.created_at >= delivery.finished_at
          AND again.replay_of = COALESCE(delivery.replay_of, delivery.id))
    LIMIT $1";

const QUEUED: &str = "
    SELECT delivery.account_id, delivery.id, NULL AS place,
           'is pending, and its endpoint is disabled' AS detail
    FROM webhook_deliveries AS delivery
    JOIN webhook_endpoints AS endpoint
      ON endpoint.account_id = delivery.account_id AND endpoint.id = delivery.endpoint_id
    WHERE delivery.next_try_at IS NOT NULL AND NOT endpoint.enabled
    LIMIT $1";

const ENDPOINT_FORM: &str = "
    SELECT account_id, id, NULL AS place,
           CASE WHEN enabled THEN 'is enabled' ELSE 'is disabled' END
           || CASE WHEN probing THEN ', probed' ELSE '' END
           || COALESCE(', disabled for ' || disabled_reason, '') AS detail
    FROM webhook_endpoints
    WHERE (probing AND NOT enabled)
       OR (enabled AND disabled_reason IS NOT NULL)
       OR (disabled_reason IS NULL) <> (disabled_at IS NULL)
       OR (cooldown_until IS NULL) <> (cooldown_ms IS NULL)
       OR (previous_secret_sealed IS NULL) <> (previous_secret_until IS NULL)
    LIMIT $1";

/// Whoever never chose is told below 0.500, until that has happened: then there is a row.
const ALERTED: &str = "
    SELECT accounts.id AS account_id, NULL AS id, NULL AS place,
           'alerts below ' || alert_below_millicredits || ' thousandths, and has never chosen'
           AS detail
    FROM accounts
    LEFT JOIN credit_alerts ON credit_alerts.account_id = accounts.id
    WHERE credit_alerts.account_id IS NULL AND alert_below_millicredits <> 500
      AND accounts.deleted_at IS NULL
    LIMIT $1";

/// Whoever is named by the account has the row of an owner there, and nobody is a member of what
/// nobody answers for.
const OWNED: &str = "
    SELECT accounts.id AS account_id, NULL AS id, NULL AS place,
           'has a primary owner who is no owner, or members and no primary owner' AS detail
    FROM accounts
    LEFT JOIN members AS owner
      ON owner.account_id = accounts.id AND owner.user_id = accounts.primary_owner_id
    WHERE (accounts.primary_owner_id IS NOT NULL AND COALESCE(owner.role, '') <> 'owner')
       OR (accounts.primary_owner_id IS NULL
           AND EXISTS (SELECT 1 FROM members WHERE members.account_id = accounts.id))
    LIMIT $1";

const CLOSED: &str = "
    SELECT accounts.id AS account_id, NULL AS id, NULL AS place,
           'was deleted, and has members, keys or endpoints' AS detail
    FROM accounts
    WHERE accounts.deleted_at IS NOT NULL
      AND (EXISTS (SELECT 1 FROM members WHERE members.account_id = accounts.id)
           OR EXISTS (SELECT 1 FROM api_keys WHERE api_keys.account_id = accounts.id)
           OR EXISTS (SELECT 1 FROM webhook_endpoints
                      WHERE webhook_endpoints.account_id = accounts.id))
    LIMIT $1";

const TRIES: &str = "
    SELECT account_id, id, NULL AS place,
           'is ' || status || ' after ' || tries || ' tries, and the settings allow '
           || CAST($2 AS BIGINT) AS detail
    FROM webhook_deliveries
    WHERE tries > $2 OR (status = 'pending' AND tries >= $2)
    LIMIT $1";

/// Rows leave the log and days stay, so a day counts as many as there are rows, or more.
const DAYS_COVER_ROWS: &str = "
    SELECT logged.account_id, NULL AS id, NULL AS place,
           'has ' || logged.requests || ' requests in the log at ' || logged.endpoint || ' on '
           || logged.day || ' with code ' || logged.code || ', and '
           || COALESCE(counted.successes + counted.client_errors + counted.server_errors, 0)
           || ' are counted' AS detail
    FROM (
        SELECT account_id, substr(CAST(requested_at AS TEXT), 1, 10) AS day, endpoint,
               COALESCE(code, '') AS code, COUNT(*) AS requests
        FROM logged_requests
        GROUP BY account_id, substr(CAST(requested_at AS TEXT), 1, 10), endpoint,
                 COALESCE(code, '')
    ) AS logged
    LEFT JOIN request_days AS counted
      ON counted.account_id = logged.account_id
     AND counted.day = logged.day
     AND counted.endpoint = logged.endpoint
     AND counted.code = logged.code
    WHERE logged.requests
          > COALESCE(counted.successes + counted.client_errors + counted.server_errors, 0)
    LIMIT $1";

/// Every rule that is a statement on both databases.
pub(super) const CHECKS: &[Check] = {
    use Subject::{Account, Attempt, Delivery, Endpoint, Entry, Generation};
    &[
        check("ledger.seq_has_no_gaps", Account, SEQ),
        check("ledger.balance_after_adds_up", Entry, RUNNING_BALANCE),
        check("ledger.balance_is_the_sum", Account, BALANCE),
        check("ledger.balance_is_the_last", Account, LAST_BALANCE),
        check("ledger.entry_is_well_formed", Entry, ENTRY_FORM),
        check("ledger.grant_happens_once", Entry, GRANT_ONCE),
        check("ledger.reserve_happens_once", Generation, RESERVED_ONCE),
        check("ledger.settlement_happens_once", Generation, SETTLED_ONCE),
        check("ledger.generation_is_reserved", Generation, RESERVED),
        check("ledger.generation_is_settled", Generation, SETTLED),
        check("ledger.settlement_equals_reserve", Entry, SETTLED_AS_RESERVED),
        check("ledger.reserve_has_a_generation", Entry, NO_ORPHAN),
        check("account.counts_are_true", Account, IN_FLIGHT),
        check("generation.amount_is_the_price", Generation, PRICED),
        check("generation.counts_for_a_key", Generation, COUNTED),
        check("generation.is_claimed_once", Generation, CLAIMED_ONCE),
        check("generation.state_is_well_formed", Generation, STATE_FORM),
        check("generation.times_are_in_order", Generation, TIME_ORDER),
        check("generation.outputs_are_as_asked", Generation, OUTPUTS),
        check("generation.has_an_attempt", Generation, ATTEMPTED),
        check("generation.uses_one_attempt", Generation, ONE_USED),
        check("attempt.numbers_have_no_gaps", Generation, ATTEMPT_NUMBERS),
        check("attempt.one_is_open", Generation, ONE_OPEN_ATTEMPT),
        check("attempt.none_is_open_at_the_end", Attempt, NOTHING_OPEN_AT_THE_END),
        check("attempt.follows_acceptance", Attempt, ATTEMPT_AFTER_ACCEPTANCE),
        check("attempt.is_well_formed", Attempt, ATTEMPT_FORM),
        check("delivery.happens_once", Generation, DELIVERED_ONCE),
        check("delivery.tells_the_truth", Delivery, DELIVERED_TRUE),
        check("delivery.is_well_formed", Delivery, DELIVERY_FORM),
        check("delivery.tries_are_bounded", Delivery, TRIES),
        check("request_log.days_cover_the_rows", Account, DAYS_COVER_ROWS),
        check("delivery.tries_are_logged", Delivery, TRIES_LOGGED),
        check("delivery.resent_is_repeated", Delivery, RESENT),
        check("delivery.waits_for_a_disabled_endpoint", Delivery, QUEUED),
        check("endpoint.is_well_formed", Endpoint, ENDPOINT_FORM),
        check("alerts.default_is_armed", Account, ALERTED),
        check("account.primary_owner_is_an_owner", Account, OWNED),
        check("account.deleted_is_closed", Account, CLOSED),
    ]
};

impl Check {
    /// Whether the statement takes `$2`, the most tries of a delivery.
    pub(super) fn needs_tries_max(&self) -> bool {
        self.sql == TRIES
    }
}

const fn check(invariant: &'static str, subject: Subject, sql: &'static str) -> Check {
    Check { invariant, subject, sql }
}

/// What makes the database refuse a change of the ledger, by name. A rule of the schema and
/// not of rows: whoever took it away can change history without a trace.
pub(super) const GUARDS: [(&str, &str); 4] = [
    ("ledger.is_append_only", "ledger_entries_no_update"),
    ("ledger.is_append_only", "ledger_entries_no_delete"),
    ("operator_actions.are_append_only", "operator_actions_no_update"),
    ("operator_actions.are_append_only", "operator_actions_no_delete"),
];
pub(super) const GUARDS_SQLITE: &str = "SELECT name FROM sqlite_master
     WHERE type = 'trigger' AND tbl_name IN ('ledger_entries', 'operator_actions')";
pub(super) const GUARDS_POSTGRES: &str = "SELECT tgname::text FROM pg_trigger
     WHERE tgrelid IN ('ledger_entries'::regclass, 'operator_actions'::regclass)
       AND NOT tgisinternal AND tgenabled <> 'D'";
