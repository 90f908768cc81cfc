//! The audit finds every rule that is broken by hand, and nothing else.

use std::collections::BTreeSet;

use actors::batch::{Advance, DeliveryTried};
use actors::failure::{Failure, FailureCode};
use actors::generation::Event;
use actors::ports::{AccountStore, DeliveryStore, GenerationStore, Grant};
use actors::webhook::{EventName, TryResult};
use babysea::store::Db;
use babysea::store::audit::{audit, invariants};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::{TRIES_MAX, TestStore, at, completed, credits};

/// How each rule is broken: its name, and a statement in which names in braces are ids.
const BROKEN: [(&str, &str); 38] = [
    (
        "ledger.seq_has_no_gaps",
        "UPDATE ledger_entries SET seq = 100 WHERE kind = 'reserve' AND generation_id = {pending}",
    ),
    (
        "ledger.balance_after_adds_up",
        "UPDATE ledger_entries SET balance_after_millicredits = balance_after_millicredits + 1
         WHERE seq = 2",
    ),
    ("ledger.balance_is_the_sum", "UPDATE accounts SET balance_millicredits = 7"),
    ("ledger.balance_is_the_last", "UPDATE accounts SET balance_millicredits = 7"),
    (
        "ledger.entry_is_well_formed",
        "UPDATE ledger_entries SET delta_millicredits = 5 WHERE kind = 'charge'",
    ),
    ("ledger.grant_happens_once", "UPDATE ledger_entries SET key = 'same' WHERE kind = 'add'"),
    (
        "ledger.reserve_happens_once",
        "UPDATE ledger_entries SET generation_id = {succeeded}
         WHERE kind = 'reserve' AND generation_id = {processing}",
    ),
    (
        "ledger.settlement_happens_once",
        "UPDATE ledger_entries SET generation_id = {succeeded}
         WHERE kind = 'refund' AND generation_id = {failed}",
    ),
    (
        "ledger.generation_is_reserved",
        "UPDATE generations SET amount_millicredits = 101 WHERE id = {processing}",
    ),
    (
        "ledger.generation_is_settled",
        "UPDATE ledger_entries SET kind = 'refund' WHERE kind = 'charge'",
    ),
    (
        "ledger.settlement_equals_reserve",
        "UPDATE ledger_entries SET amount_millicredits = 101 WHERE kind = 'charge'",
    ),
    ("ledger.reserve_has_a_generation", "DELETE FROM generations WHERE id = {processing}"),
    ("account.counts_are_true", "UPDATE accounts SET images_in_flight = 9"),
    (
        "generation.amount_is_the_price",
        "UPDATE generations SET cost_per_output_millicredits = 1 WHERE id = {succeeded}",
    ),
    (
        "generation.counts_for_a_key",
        "UPDATE generations SET spend_month = 202611 WHERE id = {succeeded}",
    ),
    (
        "generation.is_claimed_once",
        "INSERT INTO idempotency_records (account_id, route, key, body_sha256, generation_id,
                                          created_at, expires_at)
         SELECT account_id, 'image/lab/image', key, '0000000000000000000000000000000000000000000000000000000000000000', id,
                created_at, created_at
         FROM generations, (SELECT 'a' AS key UNION SELECT 'b') AS keys WHERE id = {succeeded}",
    ),
    (
        "generation.state_is_well_formed",
        "UPDATE generations SET due_at = NULL WHERE id = {processing}",
    ),
    (
        "generation.times_are_in_order",
        "UPDATE generations SET completed_at = '2020-01-01T00:00:00+00:00' WHERE id = {canceled}",
    ),
    (
        "generation.outputs_are_as_asked",
        "UPDATE generations SET outputs = '[]' WHERE id = {succeeded}",
    ),
    ("generation.has_an_attempt", "DELETE FROM attempts WHERE generation_id = {pending}"),
    (
        "generation.uses_one_attempt",
        "UPDATE attempts SET outcome = 'discarded' WHERE generation_id = {succeeded}",
    ),
    (
        "attempt.numbers_have_no_gaps",
        "UPDATE attempts SET number = 3 WHERE generation_id = {processing}",
    ),
    (
        "attempt.one_is_open",
        "INSERT INTO attempts (account_id, generation_id, number, correlation, provider,
                               raw_model, submitted_at, deadline_at, outcome)
         SELECT account_id, generation_id, 2, correlation, provider,
                raw_model, submitted_at, deadline_at, outcome
         FROM attempts WHERE generation_id = {processing}",
    ),
    (
        "attempt.none_is_open_at_the_end",
        "UPDATE attempts SET outcome = 'pending', resolved_at = NULL
         WHERE generation_id = {canceled}",
    ),
    (
        "attempt.follows_acceptance",
        "UPDATE attempts SET submitted_at = '2020-01-01T00:00:00+00:00'
         WHERE generation_id = {processing}",
    ),
    (
        "attempt.is_well_formed",
        "UPDATE attempts SET failure_code = NULL WHERE generation_id = {failed}",
    ),
    (
        "delivery.happens_once",
        "UPDATE webhook_deliveries SET event = 'generation.completed'
         WHERE generation_id = {succeeded}",
    ),
    (
        "delivery.tells_the_truth",
        "UPDATE webhook_deliveries SET event = 'generation.failed'
         WHERE event = 'generation.completed'",
    ),
    (
        "delivery.is_well_formed",
        "UPDATE webhook_deliveries SET finished_at = NULL WHERE status = 'delivered'",
    ),
    (
        "delivery.tries_are_bounded",
        "UPDATE webhook_deliveries SET tries = 6 WHERE status = 'delivered'",
    ),
    (
        "request_log.days_cover_the_rows",
        "INSERT INTO logged_requests (account_id, id, api_key_id, key_name, key_prefix, key_status,
             method, endpoint, status, replayed, ip_hash, requested_at, took_us)
         SELECT id, id, id, 'ci', 'bye_aaaaa', 'active', 'GET', '/v1/status', 200, {false}, '',
                created_at, 1
         FROM accounts",
    ),
    ("delivery.tries_are_logged", "UPDATE webhook_tries SET number = 2"),
    (
        "delivery.resent_is_repeated",
        "UPDATE webhook_deliveries SET status = 'resent', queued_at = finished_at
         WHERE status = 'delivered'",
    ),
    (
        "delivery.waits_for_a_disabled_endpoint",
        "UPDATE webhook_endpoints SET enabled = FALSE",
    ),
    ("endpoint.is_well_formed", "UPDATE webhook_endpoints SET disabled_reason = 'gone'"),
    ("alerts.default_is_armed", "UPDATE accounts SET alert_below_millicredits = 0"),
    ("account.primary_owner_is_an_owner", "UPDATE accounts SET primary_owner_id = id"),
    ("account.deleted_is_closed", "UPDATE accounts SET deleted_at = created_at"),
];

/// Takes away what would refuse the statements above.
const UNGUARD_SQLITE: &str = "
    PRAGMA ignore_check_constraints = ON;
    PRAGMA foreign_keys = OFF;
    DROP TRIGGER ledger_entries_no_update;
    DROP TRIGGER ledger_entries_no_delete;
    DROP INDEX ledger_entries_reserve;
    DROP INDEX ledger_entries_settlement;
    DROP INDEX ledger_entries_key;";
const UNGUARD_POSTGRES: &str = "
    DROP TRIGGER ledger_entries_no_update ON ledger_entries;
    DROP TRIGGER ledger_entries_no_delete ON ledger_entries;
    DROP INDEX ledger_entries_reserve;
    DROP INDEX ledger_entries_settlement;
    DROP INDEX ledger_entries_key;
    DO $$ DECLARE rule record; BEGIN
        FOR rule IN SELECT conname, conrelid::regclass AS relation FROM pg_constraint
                    WHERE contype IN ('c', 'f') AND connamespace = 'public'::regnamespace
        LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', rule.relation, rule.conname);
        END LOOP;
    END $$;";

/// A database with something in every state, and the ids of what is there.
struct Filled {
    test: TestStore,
    ids: Vec<(&'static str, Uuid)>,
}

impl Filled {
    async fn new(test: TestStore) -> Self {
        let account = test.account("10").await;
        let grant = Grant {
            amount: credits("1"),
            key: "order:1".to_owned(),
            description: "An order".to_owned(),
            at: at(0),
        };
        test.store.grant(account, grant, test.act()).await.unwrap().unwrap();
        let endpoint = test.endpoint(account, &EventName::DEFAULT).await.state.id;
        let succeeded = test.processing(account).await;
        test.advance(&succeeded, vec![completed(1)]).await.unwrap();
        let failed = test.processing(account).await;
        let failure = Failure::new(FailureCode::ProviderError, "It broke.");
        test.advance(&failed, vec![Event::Failed { failure, at: at(4) }]).await.unwrap();
        let canceled = test.processing(account).await;
        let cancel = Advance {
            account_id: account,
            id: canceled.id,
            epoch: None,
            events: vec![Event::Canceled { at: at(4) }],
        };
        test.store.advance(cancel).await.unwrap().unwrap();
        let processing = test.processing(account).await;
        let pending = test.accepted(account).await;
        let deliveries =
            test.store.list_pending(account, endpoint, at(99), None, 10).await.unwrap();
        let result = TryResult { status: Some(200), at: at(9), ..TryResult::default() };
        let delivery = deliveries[0].clone();
        let tried = DeliveryTried { delivery, endpoint_calm: false, spread: 0.5, result };
        test.store.record_tries(account, vec![tried]).await.unwrap();
        let ids = vec![
            ("{succeeded}", succeeded.id.0),
            ("{failed}", failed.id.0),
            ("{canceled}", canceled.id.0),
            ("{processing}", processing.id.0),
            ("{pending}", pending.id.0),
        ];
        Self { test, ids }
    }

    async fn execute(&self, statements: &[&str]) {
        let sqlite = self.test.is_sqlite();
        let no = if sqlite { "0" } else { "false" };
        // All on one connection, since what SQLite is told to ignore holds for one.
        let mut text = statements.join(";\n").replace("{false}", no);
        for (name, id) in &self.ids {
            let id = if sqlite { format!("X'{}'", id.simple()) } else { format!("'{id}'") };
            text = text.replace(name, &id);
        }
        match self.test.connect().await {
            Db::Sqlite(pool, _) => {
                sqlx::raw_sql(AssertSqlSafe(text)).execute(&pool).await.unwrap();
                pool.close().await;
            }
            Db::Postgres(pool) => {
                sqlx::raw_sql(AssertSqlSafe(text)).execute(&pool).await.unwrap();
                pool.close().await;
            }
        }
    }

    /// Breaks what a statement breaks; answers which rules are reported.
    async fn broken(&self, statement: &str) -> BTreeSet<&'static str> {
        let unguard = if self.test.is_sqlite() { UNGUARD_SQLITE } else { UNGUARD_POSTGRES };
        self.execute(&[unguard, statement]).await;
        self.test.findings().await.iter().map(|finding| finding.invariant).collect()
    }
}

on_both!(
    a_whole_database_has_no_findings,
    a_deleted_generation_that_was_settled_is_no_finding,
    an_open_attempt_of_a_generation_that_is_gone_is_reported,
    missing_guards_are_reported,
);

async fn a_whole_database_has_no_findings(test: TestStore) {
    let filled = Filled::new(test).await;
    let report = audit(&filled.test.store, TRIES_MAX).await.unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    let counts: Vec<(&str, i64)> = report.checked;
    let expected = [
        ("accounts", 1),
        ("ledger_entries", 10),
        ("generations", 5),
        ("attempts", 5),
        ("webhook_endpoints", 1),
        ("webhook_deliveries", 7),
        ("webhook_tries", 1),
        ("notifications", 0),
        ("credit_alerts", 0),
        ("users", 0),
        ("members", 0),
    ];
    assert_eq!(counts, expected);
    filled.test.finish().await;
}

async fn a_deleted_generation_that_was_settled_is_no_finding(test: TestStore) {
    let filled = Filled::new(test).await;
    let deleted = "DELETE FROM generations WHERE id IN ({succeeded}, {failed})";
    filled.execute(&[deleted, "UPDATE accounts SET generations = generations - 2"]).await;
    filled.test.finish().await;
}

async fn an_open_attempt_of_a_generation_that_is_gone_is_reported(test: TestStore) {
    let filled = Filled::new(test).await;
    let reported = filled.broken("DELETE FROM generations WHERE id = {processing}").await;
    assert!(reported.contains("attempt.none_is_open_at_the_end"), "{reported:?}");
    filled.test.discard().await;
}

async fn missing_guards_are_reported(test: TestStore) {
    let filled = Filled::new(test).await;
    let reported = filled.broken("SELECT 1").await;
    assert_eq!(reported, BTreeSet::from(["ledger.is_append_only"]));
    filled.test.discard().await;
}

#[test]
fn every_rule_has_a_way_to_break_it() {
    let tested: BTreeSet<&str> = BROKEN.iter().map(|(invariant, _)| *invariant).collect();
    assert_eq!(tested, invariants().collect::<BTreeSet<&str>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_broken_rule_is_reported_on_sqlite() {
    for (invariant, statement) in BROKEN {
        let filled = Filled::new(TestStore::sqlite().await).await;
        let reported = filled.broken(statement).await;
        assert!(reported.contains(invariant), "{invariant}: {reported:?}");
        filled.test.discard().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_broken_rule_is_reported_on_postgres() {
    for (invariant, statement) in BROKEN {
        let Some(test) = TestStore::postgres().await else { return };
        let filled = Filled::new(test).await;
        let reported = filled.broken(statement).await;
        assert!(reported.contains(invariant), "{invariant}: {reported:?}");
        filled.test.discard().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dangling_reference_is_reported_on_sqlite() {
    let filled = Filled::new(TestStore::sqlite().await).await;
    let reported =
        filled.broken("UPDATE webhook_deliveries SET endpoint_id = X'00' WHERE tries = 1").await;
    assert!(reported.contains("database.references_exist"), "{reported:?}");
    filled.test.discard().await;
}
