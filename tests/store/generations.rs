//! Generations with their credit: the hot units of work.

use std::collections::HashSet;

use actors::batch::{AcceptRefusal, Advance, AdvanceRefusal};
use actors::failure::{Failure, FailureCode};
use actors::generation::{Event, Generation, Status};
use actors::id::{AccountId, GenerationId, NodeId};
use actors::ports::{DeliveryStore, GenerationStore, IdSource, StoreError};
use actors::webhook::EventName;
use babysea::ids::SystemIds;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;

use crate::support::{TestStore, at, attempt, completed, new, taken};

on_both!(
    a_success_is_charged_and_told,
    a_failure_is_refunded,
    a_failover_keeps_both_attempts,
    a_cancel_is_refunded_and_a_late_result_is_discarded,
    an_account_that_does_not_exist_is_refused,
    two_hundred_at_once_against_credit_for_ten_run_ten,
    a_cancel_and_a_completion_settle_once,
    an_old_owner_is_fenced,
    one_bad_unit_fails_alone,
    a_generation_is_found_by_its_owner_only,
    what_is_due_is_listed_in_pages,
    the_database_refuses_to_change_history,
);

fn failed() -> Event {
    Event::Failed { failure: Failure::new(FailureCode::ProviderError, "It broke."), at: at(4) }
}

async fn stored(test: &TestStore, generation: &Generation) -> Generation {
    let found = test.store.find(generation.account_id, generation.id).await.unwrap();
    found.expect("it was accepted")
}

async fn cancel(
    test: &TestStore,
    account_id: AccountId,
    id: GenerationId,
) -> Result<Generation, AdvanceRefusal> {
    let events = vec![Event::Canceled { at: at(3) }];
    test.store.advance(Advance { account_id, id, epoch: None, events }).await.unwrap()
}

async fn a_success_is_charged_and_told(test: TestStore) {
    let account = test.account("1").await;
    let endpoint = test.endpoint(account, &EventName::DEFAULT).await.state.id;
    let accepted = test.accepted(account).await;
    assert_eq!(accepted.status(), Status::Pending);
    assert_eq!(stored(&test, &accepted).await, accepted);
    let processing = test.advance(&accepted, vec![taken(1)]).await.unwrap();
    assert_eq!(stored(&test, &processing).await, processing);
    assert_eq!(test.balance(account).await.to_string(), "0.900");
    let succeeded = test.advance(&processing, vec![completed(1)]).await.unwrap();
    assert_eq!(succeeded.status(), Status::Succeeded);
    assert_eq!(stored(&test, &succeeded).await, succeeded);
    let ledger = ["add 1.000 1.000", "reserve 0.100 0.900", "charge 0.100 0.900"];
    assert_eq!(test.ledger(account).await, ledger);
    let told = test.store.list_pending(account, endpoint, at(1000), None, 10).await.unwrap();
    let told: Vec<EventName> = told.iter().map(|delivery| delivery.event).collect();
    assert_eq!(told, [EventName::GenerationStarted, EventName::GenerationCompleted]);
    let again = test.advance(&succeeded, vec![completed(1)]).await;
    assert!(matches!(again, Err(AdvanceRefusal::Conflict(_))), "a repetition changes nothing");
    test.finish().await;
}

async fn a_failure_is_refunded(test: TestStore) {
    let account = test.account("1").await;
    let generation = test.accepted(account).await;
    let failed = test.advance(&generation, vec![failed()]).await.unwrap();
    assert_eq!(stored(&test, &failed).await, failed);
    let ledger = ["add 1.000 1.000", "reserve 0.100 0.900", "refund 0.100 1.000"];
    assert_eq!(test.ledger(account).await, ledger);
    test.finish().await;
}

async fn a_failover_keeps_both_attempts(test: TestStore) {
    let account = test.account("1").await;
    let generation = test.accepted(account).await;
    let failure = Failure::new(FailureCode::ProviderUnavailable, "It is down.");
    let failover = vec![
        Event::AttemptFailed { attempt: 1, failure, at: at(2) },
        Event::AttemptStarted(attempt()),
    ];
    let next = test.advance(&generation, failover).await.unwrap();
    let done = test.advance(&next, vec![taken(2), completed(2)]).await.unwrap();
    assert_eq!(stored(&test, &done).await, done);
    let outcomes: Vec<&str> =
        done.attempts().iter().map(|attempt| attempt.outcome.as_str()).collect();
    assert_eq!(outcomes, ["failed", "used"]);
    test.finish().await;
}

async fn a_cancel_is_refunded_and_a_late_result_is_discarded(test: TestStore) {
    let account = test.account("1").await;
    let generation = test.processing(account).await;
    let canceled = cancel(&test, account, generation.id).await.unwrap();
    assert_eq!(canceled.status(), Status::Canceled);
    let late = Event::ResultDiscarded { attempt: 1, cost: None, at: at(9) };
    let discarded = test.advance(&canceled, vec![late]).await.unwrap();
    assert_eq!(discarded.attempts()[0].outcome.as_str(), "discarded");
    assert_eq!(stored(&test, &discarded).await, discarded);
    assert_eq!(test.balance(account).await.to_string(), "1.000");
    test.finish().await;
}

async fn an_account_that_does_not_exist_is_refused(test: TestStore) {
    let (account_id, id) = (AccountId(SystemIds.next()), GenerationId(SystemIds.next()));
    let refused = test.store.accept(new(account_id, id), attempt()).await.unwrap();
    assert_eq!(refused, Err(AcceptRefusal::UnknownAccount));
    let refused = cancel(&test, account_id, id).await;
    assert_eq!(refused, Err(AdvanceRefusal::NotFound));
    test.finish().await;
}

async fn two_hundred_at_once_against_credit_for_ten_run_ten(test: TestStore) {
    let account = test.account("1").await;
    let racers = (0..200).map(|_| {
        let id = GenerationId(SystemIds.next());
        test.store.accept(new(account, id), attempt())
    });
    let answers: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    let (ran, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((ran.len(), refused.len()), (10, 190));
    assert!(
        refused
            .iter()
            .all(|refused| matches!(refused, Err(AcceptRefusal::InsufficientCredit { .. })))
    );
    assert_eq!(test.balance(account).await.to_string(), "0.000");
    test.finish().await;
}

async fn a_cancel_and_a_completion_settle_once(test: TestStore) {
    let account = test.account("20").await;
    let running = join_all((0..200).map(|_| test.processing(account))).await;
    let races = running.iter().map(async |generation| {
        let complete = test.advance(generation, vec![completed(1)]);
        let (completed, canceled) = tokio::join!(complete, cancel(&test, account, generation.id));
        match (&completed, &canceled) {
            (Ok(won), Err(AdvanceRefusal::Conflict(seen)))
            | (Err(AdvanceRefusal::Conflict(seen)), Ok(won)) => {
                assert_eq!(won.status(), seen.status(), "the loser is told who won");
            }
            both => panic!("one wins and one loses: {both:?}"),
        }
        completed.is_ok()
    });
    let won = join_all(races).await.into_iter().filter(|completed| *completed).count();
    let charged = i64::try_from(won).unwrap() * 100;
    assert_eq!(test.balance(account).await.thousandths(), 20_000 - charged);
    test.finish().await;
}

async fn an_old_owner_is_fenced(test: TestStore) {
    let account = test.account("1").await;
    let ended = test.processing(account).await;
    test.advance(&ended, vec![completed(1)]).await.unwrap();
    let generation = test.processing(account).await;
    let next_owner = NodeId(SystemIds.next());
    assert_eq!(test.store.adopt_any_account(next_owner).await.unwrap(), 1, "only what runs");
    let refused = test.advance(&generation, vec![completed(1)]).await;
    assert_eq!(refused, Err(AdvanceRefusal::Fenced));
    let due = test.store.list_due_any_account(next_owner, at(5000), None, 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].epoch, generation.epoch + 1);
    assert!(
        test.store.list_due_any_account(test.node, at(5000), None, 10).await.unwrap().is_empty()
    );
    test.advance(&due[0], vec![completed(1)]).await.unwrap();
    test.finish().await;
}

async fn one_bad_unit_fails_alone(test: TestStore) {
    let account = test.account("10").await;
    let twin = test.accepted(account).await;
    let ids: Vec<GenerationId> = (0..20)
        .map(|number| if number == 7 { twin.id } else { GenerationId(SystemIds.next()) })
        .collect();
    let units = ids.iter().map(|id| test.store.accept(new(account, *id), attempt()));
    let answers = join_all(units).await;
    let failed: Vec<usize> = answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.is_err())
        .map(|(at, _)| at)
        .collect();
    assert_eq!(failed, [7]);
    assert!(matches!(answers[7], Err(StoreError::Database(_))));
    assert!(answers.into_iter().flatten().all(|accepted| accepted.is_ok()));
    assert_eq!(test.balance(account).await.to_string(), "8.000");
    test.finish().await;
}

async fn a_generation_is_found_by_its_owner_only(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    let generation = test.accepted(account).await;
    assert!(test.store.find(other, generation.id).await.unwrap().is_none());
    assert_eq!(cancel(&test, other, generation.id).await, Err(AdvanceRefusal::NotFound));
    let found = test.store.find_any_account(generation.id).await.unwrap();
    assert_eq!(found, Some(generation));
    test.finish().await;
}

async fn what_is_due_is_listed_in_pages(test: TestStore) {
    let account = test.account("1").await;
    let running: HashSet<GenerationId> =
        join_all((0..7).map(|_| test.accepted(account))).await.iter().map(|one| one.id).collect();
    let ended = test.processing(account).await;
    test.advance(&ended, vec![completed(1)]).await.unwrap();
    let mut listed: Vec<GenerationId> = Vec::new();
    let mut after: Option<(DateTime<Utc>, GenerationId)> = None;
    loop {
        let page = test.store.list_due_any_account(test.node, at(5000), after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3);
        after = Some((last.due_at().unwrap(), last.id));
        listed.extend(page.iter().map(|generation| generation.id));
    }
    assert_eq!(listed.len(), 7, "each once");
    assert_eq!(listed.into_iter().collect::<HashSet<_>>(), running);
    let due = test.store.list_due_any_account(test.node, at(100), None, 10).await.unwrap();
    assert!(due.is_empty(), "none is due before its attempt's deadline");
    test.finish().await;
}

async fn the_database_refuses_to_change_history(test: TestStore) {
    test.account("1").await;
    for statement in [
        "UPDATE ledger_entries SET description = 'nothing happened'",
        "UPDATE ledger_entries SET balance_after_millicredits = 5",
        "DELETE FROM ledger_entries",
    ] {
        let refused = test.refusal(statement).await;
        assert!(refused.contains("append-only"), "{refused}");
    }
    test.finish().await;
}
