//! What is counted of accounts, together with what happens.

use std::sync::Arc;
use std::time::Duration;

use actors::api_key::KeyStatus;
use actors::batch::DeleteRefusal;
use actors::failure::{Failure, FailureCode};
use actors::generation::{Event, NewAttempt};
use actors::id::AccountId;
use actors::logged_request::LoggedRequest;
use actors::ports::tallies::{Grain, TallyStore};
use actors::ports::{GenerationStore, IdSource, KeyStore, RequestLogStore};
use actors::tally::What;
use babysea::identity::{NewKey, create_key};
use babysea::ids::SystemIds;
use providers::name::ProviderName::SandboxInline;

use crate::support::{TestStore, at, attempt, by, completed, taken};

on_both!(
    what_ends_is_counted_once_and_stays_when_it_is_gone,
    a_refused_write_counts_nothing,
    requests_are_counted_by_class_endpoint_key_and_code,
    hours_are_put_together_and_add_up_to_the_same,
    what_was_there_before_is_counted_as_it_would_have_been,
);

/// As `at what name times total`, one line each.
async fn lines(test: &TestStore, account: AccountId, grain: Grain, over: &[What]) -> Vec<String> {
    let tallies = test.store.list_tallies(account, "2000", grain, over).await.unwrap();
    let line = |it: &actors::ports::tallies::CountedTally| {
        let (what, tally) = (it.what.as_str(), it.tally);
        format!("{} {what} {} {} {}", it.at, it.name, tally.times, tally.total).trim().to_owned()
    };
    tallies.iter().map(line).collect()
}

/// Fails over from the first provider, and succeeds with the second.
async fn rescued(test: &TestStore, account: AccountId) -> actors::generation::Generation {
    let generation = test.processing(account).await;
    let failure = Failure::new(FailureCode::ProviderError, "broken");
    let second = NewAttempt { provider: SandboxInline, ..attempt() };
    let events = vec![
        Event::AttemptFailed { attempt: 1, failure, at: at(2) },
        Event::AttemptStarted(second),
    ];
    test.advance(&generation, events).await.unwrap();
    test.advance(&generation, vec![taken(2), completed(2)]).await.unwrap()
}

async fn what_ends_is_counted_once_and_stays_when_it_is_gone(test: TestStore) {
    let (account, other) = (test.account("10").await, test.account("1").await);
    let generation = rescued(&test, account).await;
    let canceled = test.accepted(account).await;
    test.advance(&canceled, vec![Event::Canceled { at: at(4) }]).await.unwrap();
    test.processing(account).await;
    let expected = [
        "failover  1 1",
        "key  2 100",
        "model sandbox/failover 2 100",
        "outcome canceled 1 0",
        "provider sandbox_inline used 1",
        "provider sandbox_polling canceled 1",
        "provider sandbox_polling failed 1",
    ];
    let counted = lines(&test, account, Grain::Day, &[]).await;
    for line in expected {
        assert!(counted.iter().any(|it| it.starts_with(line)), "{line} in {counted:#?}");
    }
    assert!(counted.iter().any(|it| it.starts_with("outcome succeeded 1")), "{counted:#?}");
    assert!(counted.iter().any(|it| it.starts_with("latency ")), "{counted:#?}");
    let removed = test.store.delete(account, generation.id).await.unwrap();
    assert_eq!(removed, Ok::<(), DeleteRefusal>(()));
    assert_eq!(lines(&test, account, Grain::Day, &[]).await, counted);
    assert!(lines(&test, other, Grain::Day, &[]).await.is_empty());
    test.finish().await;
}

/// The part of the migration that counts what is there, one statement each.
fn backfill(test: &TestStore) -> impl Iterator<Item = &'static str> {
    let migration = match test.is_sqlite() {
        true => include_str!("../../migrations/sqlite/0018_insight.sql"),
        false => include_str!("../../migrations/postgres/0018_insight.sql"),
    };
    let counts = |part: &'static str| part.find("INSERT INTO tallies").map(|at| &part[at..]);
    migration.split(";\n").filter_map(counts)
}

async fn what_was_there_before_is_counted_as_it_would_have_been(test: TestStore) {
    let account = test.account("10").await;
    rescued(&test, account).await;
    let canceled = test.accepted(account).await;
    test.advance(&canceled, vec![Event::Canceled { at: at(4) }]).await.unwrap();
    // In flight, and has failed once: it is counted when it ends.
    let flying = test.processing(account).await;
    let failure = Failure::new(FailureCode::ProviderError, "broken");
    let second = NewAttempt { provider: SandboxInline, ..attempt() };
    let events = vec![
        Event::AttemptFailed { attempt: 1, failure, at: at(2) },
        Event::AttemptStarted(second),
    ];
    test.advance(&flying, events).await.unwrap();
    let counted = lines(&test, account, Grain::Day, &[]).await;
    test.execute("DELETE FROM tallies").await;
    for statement in backfill(&test) {
        test.execute(statement).await;
    }
    assert_eq!(lines(&test, account, Grain::Day, &[]).await, counted);
    test.advance(&flying, vec![taken(2), completed(2)]).await.unwrap();
    let ended = lines(&test, account, Grain::Day, &[]).await;
    assert!(ended.iter().any(|it| it.ends_with("failover  2 2")), "{ended:#?}");
    test.finish().await;
}

async fn a_refused_write_counts_nothing(test: TestStore) {
    let account = test.account("10").await;
    let generation = test.processing(account).await;
    test.advance(&generation, vec![completed(1)]).await.unwrap();
    let counted = lines(&test, account, Grain::Day, &[]).await;
    test.advance(&generation, vec![Event::Canceled { at: at(9) }]).await.unwrap_err();
    test.advance(&generation, vec![completed(1)]).await.unwrap_err();
    test.advance(&generation, vec![Event::FilesRemoved { at: at(9) }]).await.unwrap();
    assert_eq!(lines(&test, account, Grain::Day, &[]).await, counted);
    test.finish().await;
}

async fn requests_are_counted_by_class_endpoint_key_and_code(test: TestStore) {
    let account = test.account("1").await;
    let new = NewKey::full_access(account, "farm");
    let key = Arc::new(create_key(&test.context, new).await.unwrap().key);
    let request = |status: u16| LoggedRequest {
        id: SystemIds.next_at(at(5)),
        key: Arc::clone(&key),
        key_status: KeyStatus::Active,
        method: "GET".to_owned(),
        endpoint: "/v1/status".to_owned(),
        query: None,
        status,
        code: (status >= 400).then_some("BSE1005"),
        replayed: false,
        ip_hash: "ab".repeat(32),
        user_agent: None,
        at: at(5),
        took: Duration::from_micros(1500),
    };
    let batch = vec![request(200), request(200), request(429)];
    test.store.log_requests(batch.clone()).await.unwrap();
    test.store.log_requests(batch).await.unwrap();
    let expected = [
        format!("caller {} 3 1", key.id),
        "code BSE1005 1 0".to_owned(),
        "endpoint GET /v1/status 3 1".to_owned(),
        "request 2xx 2 3000".to_owned(),
        "request 4xx 1 1500".to_owned(),
    ];
    assert_eq!(lines(&test, account, Grain::Day, &[]).await, expected);
    test.store.delete_key(account, key.id, by(9)).await.unwrap();
    assert_eq!(lines(&test, account, Grain::Day, &[]).await, expected, "it stays counted");
    test.finish().await;
}

async fn hours_are_put_together_and_add_up_to_the_same(test: TestStore) {
    let (account, other) = (test.account("10").await, test.account("10").await);
    for id in [account, account, other] {
        rescued(&test, id).await;
    }
    let hours = lines(&test, account, Grain::Hour, &[What::Outcome]).await;
    assert!(
        hours.iter().any(|line| line.starts_with("2096-10-02T07 outcome succeeded 2")),
        "{hours:#?}"
    );
    let days = lines(&test, account, Grain::Day, &What::ALL).await;
    let of_other = lines(&test, other, Grain::Day, &What::ALL).await;
    let compact = async |day: &str| {
        test.store.compact_tallies_any_account(day.parse().unwrap(), 1000).await.unwrap()
    };
    assert_eq!(compact("2096-10-02").await, 0, "a day that is not over has its hours");
    assert_eq!(compact("2096-10-03").await, 2);
    assert_eq!(compact("2096-10-03").await, 0);
    assert_eq!(test.count("SELECT COUNT(*) FROM tallies WHERE length(at) = 13").await, 0);
    assert_eq!(lines(&test, account, Grain::Day, &What::ALL).await, days);
    assert_eq!(lines(&test, other, Grain::Day, &What::ALL).await, of_other);
    // What comes late is added to its day when it is put together again.
    rescued(&test, account).await;
    assert_eq!(compact("2096-10-03").await, 1);
    let late = lines(&test, account, Grain::Day, &[What::Outcome]).await;
    assert!(
        late.iter().any(|line| line.starts_with("2096-10-02 outcome succeeded 3")),
        "{late:#?}"
    );
    test.finish().await;
}
