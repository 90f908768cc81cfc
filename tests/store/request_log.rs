//! The log of requests, the days they add up to, and usage.

use std::sync::Arc;
use std::time::Duration;

use actors::account::Plan;
use actors::api_key::{ApiKey, KeyStatus};
use actors::failure::{Failure, FailureCode};
use actors::generation::{Event, Generation, NewAttempt};
use actors::id::{AccountId, GenerationId};
use actors::logged_request::{LoggedRequest, RequestCounts};
use actors::ports::{GenerationStore, IdSource, KeyStore, RequestLogStore};
use actors::usage::{EndpointUsage, ProviderUsage, Usage, UsageWindow};
use babysea::identity::{NewKey, create_key};
use babysea::ids::SystemIds;
use babysea::request_log::forget_old;
use babysea::store::Db;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use providers::name::ProviderName::{SandboxInline, SandboxPolling};

use crate::support::{TestStore, at, attempt, by, completed, new, taken};

on_both!(
    requests_are_kept_and_counted_into_their_days,
    a_batch_that_was_written_already_is_not_counted_again,
    deleting_a_key_removes_its_requests_and_keeps_what_was_counted,
    a_request_of_a_deleted_key_is_only_counted,
    batches_that_race_add_up,
    requests_leave_when_their_plan_keeps_them_no_longer,
    usage_groups_attempts_by_provider_and_outcome,
    usage_begins_with_the_first_day_of_its_window,
    a_forgotten_request_leaves_its_day_and_a_lost_day_is_found,
);

const DAY: i64 = 24 * 60 * 60;

async fn key(test: &TestStore, account_id: AccountId) -> Arc<ApiKey> {
    let new = NewKey::full_access(account_id, "render farm");
    Arc::new(create_key(&test.context, new).await.unwrap().key)
}

fn request(key: &Arc<ApiKey>, at: DateTime<Utc>, status: u16) -> LoggedRequest {
    LoggedRequest {
        id: SystemIds.next_at(at),
        key: Arc::clone(key),
        key_status: KeyStatus::Active,
        method: "GET".to_owned(),
        endpoint: "/v1/status".to_owned(),
        query: Some("days=7".to_owned()),
        status,
        code: (status >= 400).then_some("BSE1005"),
        replayed: false,
        ip_hash: "ab".repeat(32),
        user_agent: None,
        at,
        took: Duration::from_micros(1500),
    }
}

/// The rows of the log: how many.
async fn rows(test: &TestStore) -> i64 {
    let count = "SELECT COUNT(*) FROM logged_requests";
    match test.connect().await {
        Db::Sqlite(pool, _) => sqlx::query_scalar(count).fetch_one(&pool).await.unwrap(),
        Db::Postgres(pool) => sqlx::query_scalar(count).fetch_one(&pool).await.unwrap(),
    }
}

async fn usage(test: &TestStore, account_id: AccountId, days: u32, now: DateTime<Utc>) -> Usage {
    test.store.usage(account_id, UsageWindow::of_days(days, now)).await.unwrap()
}

async fn total(test: &TestStore, account_id: AccountId) -> u64 {
    let usage = usage(test, account_id, 90, at(0)).await;
    usage.endpoints.iter().map(|endpoint| endpoint.counts.total()).sum()
}

async fn requests_are_kept_and_counted_into_their_days(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    let key = key(&test, account).await;
    let batch = |offset: i64| {
        let mut refused = request(&key, at(offset), 429);
        refused.endpoint = "/v1/usage".to_owned();
        let unavailable = LoggedRequest { code: Some("BSE3002"), ..request(&key, at(offset), 503) };
        vec![request(&key, at(offset), 200), request(&key, at(offset), 304), refused, unavailable]
    };
    test.store.log_requests(batch(0)).await.unwrap();
    test.store.log_requests(batch(1)).await.unwrap();
    test.store.log_requests(Vec::new()).await.unwrap();
    assert_eq!(rows(&test).await, 8);
    let endpoint = |name: &str, [successes, client_errors, server_errors]: [u64; 3], code: &str| {
        let counts = RequestCounts { successes, client_errors, server_errors };
        EndpointUsage { endpoint: name.to_owned(), counts, codes: vec![(code.to_owned(), 2)] }
    };
    let expected =
        [endpoint("/v1/status", [4, 0, 2], "BSE3002"), endpoint("/v1/usage", [0, 2, 0], "BSE1005")];
    assert_eq!(usage(&test, account, 1, at(2)).await.endpoints, expected);
    assert_eq!(usage(&test, other, 1, at(2)).await, Usage::default(), "it is not theirs");
    test.finish().await;
}

async fn a_batch_that_was_written_already_is_not_counted_again(test: TestStore) {
    let account = test.account("1").await;
    let key = key(&test, account).await;
    let batch = vec![request(&key, at(0), 200), request(&key, at(0), 200)];
    for _ in 0..3 {
        test.store.log_requests(batch.clone()).await.unwrap();
    }
    assert_eq!((rows(&test).await, total(&test, account).await), (2, 2));
    test.finish().await;
}

async fn deleting_a_key_removes_its_requests_and_keeps_what_was_counted(test: TestStore) {
    let account = test.account("1").await;
    let (gone, stays) = (key(&test, account).await, key(&test, account).await);
    let batch = [&gone, &gone, &stays].map(|key| request(key, at(0), 200)).to_vec();
    test.store.log_requests(batch).await.unwrap();
    assert!(test.store.delete_key(account, gone.id, by(0)).await.unwrap());
    assert_eq!((rows(&test).await, total(&test, account).await), (1, 3));
    test.finish().await;
}

async fn a_request_of_a_deleted_key_is_only_counted(test: TestStore) {
    let account = test.account("1").await;
    let (gone, stays) = (key(&test, account).await, key(&test, account).await);
    assert!(test.store.delete_key(account, gone.id, by(0)).await.unwrap());
    let batch = [&gone, &stays].map(|key| request(key, at(0), 200)).to_vec();
    test.store.log_requests(batch).await.unwrap();
    assert_eq!((rows(&test).await, total(&test, account).await), (1, 2));
    test.finish().await;
}

async fn batches_that_race_add_up(test: TestStore) {
    let account = test.account("1").await;
    let key = key(&test, account).await;
    let batches = (0..8).map(|_| {
        let batch = (0..25).map(|_| request(&key, at(0), 200)).collect();
        test.store.log_requests(batch)
    });
    assert!(join_all(batches).await.iter().all(Result::is_ok));
    assert_eq!((rows(&test).await, total(&test, account).await), (200, 200));
    test.finish().await;
}

async fn requests_leave_when_their_plan_keeps_them_no_longer(test: TestStore) {
    // On Pro, which keeps them for 30 days.
    let account = test.account("1").await;
    let key = key(&test, account).await;
    let old = (0..600).map(|_| request(&key, at(0), 200));
    let young = [request(&key, at(1), 200), request(&key, at(DAY), 200)];
    test.store.log_requests(old.chain(young).collect()).await.unwrap();
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let forget = async |keep_max, now| forget_old(&test.store, keep_max, now).await.unwrap();
    assert_eq!(forget(year, at(30 * DAY)).await, 0);
    assert_eq!(forget(year, at(30 * DAY + 1)).await, 600);
    assert_eq!(rows(&test).await, 2);
    let of_others = test.store.forget_requests_any_account(Plan::Free, at(90 * DAY), 10).await;
    assert_eq!(of_others.unwrap(), 0);
    assert_eq!(forget(Duration::from_secs(1), at(DAY)).await, 1);
    assert_eq!((rows(&test).await, total(&test, account).await), (1, 602));
    test.finish().await;
}

/// An accepted generation whose id and times are those of a moment.
async fn accepted(test: &TestStore, account_id: AccountId, at: DateTime<Utc>) -> Generation {
    let id = GenerationId(SystemIds.next_at(at));
    let first = NewAttempt { at, ..attempt() };
    let new = actors::generation::NewGeneration { created_at: at, ..new(account_id, id) };
    test.store.accept(new, first).await.unwrap().unwrap()
}

async fn usage_groups_attempts_by_provider_and_outcome(test: TestStore) {
    let account = test.account("10").await;
    let begin = async || accepted(&test, account, at(1)).await;
    let failed = |attempt| {
        let failure = Failure::new(FailureCode::ProviderError, "It broke.");
        Event::AttemptFailed { attempt, failure, at: at(3) }
    };
    // Used; failed over and used; canceled; discarded after a failure; open.
    let used = begin().await;
    test.advance(&used, vec![taken(1), completed(1)]).await.unwrap();
    let moved = begin().await;
    let second = NewAttempt { provider: SandboxInline, at: at(3), ..attempt() };
    let events = vec![failed(1), Event::AttemptStarted(second), taken(2), completed(2)];
    test.advance(&moved, events).await.unwrap();
    let canceled = begin().await;
    test.advance(&canceled, vec![Event::Canceled { at: at(3) }]).await.unwrap();
    let late = begin().await;
    let failure = Failure::new(FailureCode::ProviderTimeout, "It was late.");
    let discarded = Event::ResultDiscarded { attempt: 1, cost: None, at: at(5) };
    test.advance(&late, vec![failed(1), Event::Failed { failure, at: at(4) }]).await.unwrap();
    test.advance(&late, vec![discarded]).await.unwrap();
    begin().await;

    let found = usage(&test, account, 1, at(5)).await;
    assert_eq!(found.generations, 5);
    let inline = ProviderUsage {
        submissions: 1,
        used: 1,
        cost_microcredits: 100_000,
        ..ProviderUsage::new(SandboxInline)
    };
    let polling = ProviderUsage {
        submissions: 5,
        used: 1,
        canceled: 1,
        discarded: 1,
        failed: 1,
        cost_microcredits: 500_000,
        wasted_microcredits: 300_000,
        ..ProviderUsage::new(SandboxPolling)
    };
    assert_eq!(found.providers, [inline, polling]);
    test.finish().await;
}

async fn usage_begins_with_the_first_day_of_its_window(test: TestStore) {
    let account = test.account("10").await;
    let key = key(&test, account).await;
    let midnight = at(0).date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let millisecond = chrono::TimeDelta::milliseconds(1);
    for at in [midnight - millisecond, midnight] {
        let generation = accepted(&test, account, at).await;
        test.advance(&generation, vec![Event::Canceled { at }]).await.unwrap();
        test.store.log_requests(vec![request(&key, at, 200)]).await.unwrap();
    }
    for (days, seen) in [(1, 1), (2, 2), (90, 2)] {
        let usage = usage(&test, account, days, at(0)).await;
        let requests: u64 = usage.endpoints.iter().map(|endpoint| endpoint.counts.total()).sum();
        assert_eq!((usage.generations, requests), (seen, seen), "{days} days");
    }
    test.finish().await;
}

async fn a_forgotten_request_leaves_its_day_and_a_lost_day_is_found(test: TestStore) {
    let account = test.account("1").await;
    let key = key(&test, account).await;
    test.store.log_requests(vec![request(&key, at(0), 200)]).await.unwrap();
    assert!(test.findings().await.is_empty());
    let lose = "DELETE FROM request_days";
    match test.connect().await {
        Db::Sqlite(pool, _) => drop(sqlx::query(lose).execute(&pool).await.unwrap()),
        Db::Postgres(pool) => drop(sqlx::query(lose).execute(&pool).await.unwrap()),
    }
    let findings = test.findings().await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].invariant, "request_log.days_cover_the_rows");
    forget_old(&test.store, Duration::ZERO, at(1)).await.unwrap();
    test.finish().await;
}
