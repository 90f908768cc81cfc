//! What has been kept for as long as its account's plan says.

use actors::account::Plan;
use actors::batch::{DeliveryTried, EndpointFault};
use actors::generation::{Event, Generation};
use actors::id::{AccountId, GenerationId};
use actors::ports::deliveries::{DeliveryLog, LogQuery, NotificationStore};
use actors::ports::retention::{GenerationKey, RetentionStore};
use actors::ports::{DeliveryStore, GenerationStore, IdSource, RequestLogStore};
use actors::usage::UsageWindow;
use actors::webhook::endpoint::DisableReason;
use actors::webhook::{EventName, TryResult};
use babysea::ids::SystemIds;

use crate::support::{TestStore, at, attempt, completed, new, taken};

on_both!(
    files_are_listed_once_they_are_old_enough_and_until_they_are_removed,
    what_has_ended_is_listed_by_its_end_and_never_what_is_in_flight,
    pages_go_from_account_to_account,
    a_changed_plan_counts_at_once,
    what_may_have_files_is_in_flight_or_has_succeeded,
    closed_deliveries_go_with_their_tries_and_pending_ones_stay,
    notifications_go,
    attempts_go_with_the_age_of_their_generation_once_it_is_gone,
);

/// A generation that was made at the time of these tests.
async fn made(test: &TestStore, account_id: AccountId, events: Vec<Event>) -> Generation {
    let id = GenerationId(SystemIds.next_at(at(1)));
    let accepted = test.store.accept(new(account_id, id), attempt()).await.unwrap().unwrap();
    match events.is_empty() {
        true => accepted,
        false => test.advance(&accepted, events).await.unwrap(),
    }
}

async fn succeeded(test: &TestStore, account_id: AccountId) -> GenerationKey {
    let generation = made(test, account_id, vec![taken(1), completed(1)]).await;
    (account_id, generation.id)
}

async fn with_files(test: &TestStore, plan: Plan, before: i64) -> Vec<GenerationKey> {
    let store = &test.store;
    store.list_files_before_any_account(plan, at(before), None, 10).await.unwrap()
}

async fn ended(test: &TestStore, plan: Plan, before: i64) -> Vec<GenerationKey> {
    let store = &test.store;
    store.list_ended_before_any_account(plan, at(before), None, 10).await.unwrap()
}

async fn files_are_listed_once_they_are_old_enough_and_until_they_are_removed(test: TestStore) {
    let account = test.account("1").await;
    let key = succeeded(&test, account).await;
    made(&test, account, vec![Event::Canceled { at: at(2) }]).await;
    made(&test, account, vec![taken(1)]).await;
    assert!(with_files(&test, Plan::Pro, 3).await.is_empty(), "it has ended at that very time");
    assert_eq!(with_files(&test, Plan::Pro, 4).await, [key]);
    assert!(with_files(&test, Plan::Free, 4).await.is_empty());
    let generation = test.store.find(account, key.1).await.unwrap().unwrap();
    let removed = vec![Event::FilesRemoved { at: at(90) }];
    let generation = test.advance(&generation, removed.clone()).await.unwrap();
    assert!(test.advance(&generation, removed).await.is_err(), "once is enough");
    assert!(with_files(&test, Plan::Pro, 4).await.is_empty());
    let read = test.store.find(account, key.1).await.unwrap().unwrap();
    assert_eq!((read.files_removed_at(), read.kept_files().len()), (Some(at(90)), 0));
    assert_eq!(read, generation);
    test.finish().await;
}

async fn what_has_ended_is_listed_by_its_end_and_never_what_is_in_flight(test: TestStore) {
    let account = test.account("1").await;
    let done = succeeded(&test, account).await;
    let canceled = made(&test, account, vec![Event::Canceled { at: at(5) }]).await;
    made(&test, account, vec![taken(1)]).await;
    made(&test, account, Vec::new()).await;
    assert!(ended(&test, Plan::Pro, 3).await.is_empty());
    assert_eq!(ended(&test, Plan::Pro, 4).await, [done]);
    let mut both = [done, (account, canceled.id)];
    both.sort();
    assert_eq!(ended(&test, Plan::Pro, 100_000).await, both);
    assert!(ended(&test, Plan::Scale, 100_000).await.is_empty());
    test.finish().await;
}

async fn pages_go_from_account_to_account(test: TestStore) {
    let mut keys = Vec::new();
    for _ in 0..3 {
        let account = test.account("1").await;
        for _ in 0..3 {
            keys.push(succeeded(&test, account).await);
        }
    }
    keys.sort();
    let (mut listed, mut after) = (Vec::<GenerationKey>::new(), None);
    loop {
        let page = test.store.list_files_before_any_account(Plan::Pro, at(9), after, 2).await;
        let page = page.unwrap();
        after = page.last().copied();
        listed.extend(&page);
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(listed, keys);
    test.finish().await;
}

async fn a_changed_plan_counts_at_once(test: TestStore) {
    let account = test.account("1").await;
    let key = succeeded(&test, account).await;
    test.execute("UPDATE accounts SET plan = 'free'").await;
    assert!(with_files(&test, Plan::Pro, 9).await.is_empty());
    assert_eq!(with_files(&test, Plan::Free, 9).await, [key]);
    test.finish().await;
}

async fn what_may_have_files_is_in_flight_or_has_succeeded(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    let done = succeeded(&test, account).await;
    let pending = (account, made(&test, account, Vec::new()).await.id);
    let canceled = made(&test, account, vec![Event::Canceled { at: at(5) }]).await;
    let cleared = made(&test, account, vec![taken(1), completed(1)]).await;
    test.advance(&cleared, vec![Event::FilesRemoved { at: at(9) }]).await.unwrap();
    let unknown = GenerationId(SystemIds.next());
    let asked = [done, pending, (account, canceled.id), (account, cleared.id), (account, unknown)];
    let mut keepers = test.store.list_keepers_any_account(&asked).await.unwrap();
    keepers.sort();
    let mut expected = [done, pending];
    expected.sort();
    assert_eq!(keepers, expected);
    assert!(test.store.list_keepers_any_account(&[(other, done.1)]).await.unwrap().is_empty());
    assert!(test.store.list_keepers_any_account(&[]).await.unwrap().is_empty());
    test.finish().await;
}

async fn closed_deliveries_go_with_their_tries_and_pending_ones_stay(test: TestStore) {
    let account = test.account("1").await;
    let events = [EventName::GenerationStarted, EventName::GenerationCompleted];
    let endpoint = test.endpoint(account, &events).await.state.id;
    succeeded(&test, account).await;
    let pending = test.store.list_pending(account, endpoint, at(100), None, 10).await.unwrap();
    assert_eq!(pending.len(), 2);
    let result = TryResult { status: Some(200), at: at(10), ..TryResult::default() };
    let tried =
        DeliveryTried { delivery: pending[0].clone(), endpoint_calm: false, spread: 0.5, result };
    assert!(test.store.record_tries(account, vec![tried]).await.unwrap()[0].is_some());
    let forget = async |plan, before| {
        test.store.forget_deliveries_any_account(plan, at(before), 10).await.unwrap()
    };
    // It ended at 10, long after it was made.
    assert_eq!((forget(Plan::Pro, 10).await, forget(Plan::Free, 100).await), (0, 0));
    assert_eq!(test.count("SELECT COUNT(*) FROM webhook_tries").await, 1);
    assert_eq!(forget(Plan::Pro, 100).await, 1);
    assert_eq!(test.count("SELECT COUNT(*) FROM webhook_tries").await, 0);
    let left =
        test.store.list_deliveries(account, endpoint, &LogQuery::default(), 10).await.unwrap();
    assert_eq!(
        left.deliveries.iter().map(|one| one.delivery.id).collect::<Vec<_>>(),
        [pending[1].id]
    );
    assert_eq!(forget(Plan::Pro, 100_000).await, 0, "one that is to be sent is never too old");
    test.finish().await;
}

async fn notifications_go(test: TestStore) {
    let account = test.account("1").await;
    let endpoint_id = test.endpoint(account, &EventName::DEFAULT).await.state.id;
    let fault = EndpointFault { endpoint_id, reason: DisableReason::Quarantined, at: at(5) };
    assert!(test.store.disable(account, fault).await.unwrap());
    let forget = async |plan, before| {
        test.store.forget_notifications_any_account(plan, at(before), 10).await.unwrap()
    };
    assert_eq!((forget(Plan::Pro, 5).await, forget(Plan::Free, 9).await), (0, 0));
    assert_eq!(test.store.list_notifications(account, None, 10).await.unwrap().len(), 1);
    assert_eq!((forget(Plan::Pro, 9).await, forget(Plan::Pro, 9).await), (1, 0));
    assert!(test.store.list_notifications(account, None, 10).await.unwrap().is_empty());
    test.finish().await;
}

async fn attempts_go_with_the_age_of_their_generation_once_it_is_gone(test: TestStore) {
    let account = test.account("1").await;
    let failed_over = vec![
        Event::AttemptFailed {
            attempt: 1,
            failure: providers::Error::Unavailable.into(),
            at: at(2),
        },
        Event::AttemptStarted(attempt()),
        taken(2),
        completed(2),
    ];
    let gone = made(&test, account, failed_over).await;
    let kept = succeeded(&test, account).await;
    test.store.delete(account, gone.id).await.unwrap().unwrap();
    let forget = async |before| {
        test.store.forget_attempts_any_account(Plan::Pro, at(before), 10).await.unwrap()
    };
    let submissions = async || {
        let usage = test.store.usage(account, UsageWindow::of_days(90, at(9))).await.unwrap();
        (usage.generations, usage.providers.iter().map(|one| one.submissions).sum::<u64>())
    };
    assert_eq!((forget(1).await, submissions().await), (0, (2, 3)), "usage counts what is gone");
    assert_eq!((forget(2).await, submissions().await), (1, (1, 1)));
    assert_eq!(forget(100_000).await, 0, "a record is not without its attempts");
    let kept = test.store.find(account, kept.1).await.unwrap().unwrap();
    assert_eq!(kept.attempts().len(), 1);
    test.finish().await;
}
