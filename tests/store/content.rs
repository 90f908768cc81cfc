//! What an account sees of its generations as a whole: list, count, delete.

use std::sync::{Arc, Mutex};

use actors::batch::{Advance, AdvanceRefusal, DeleteRefusal};
use actors::generation::{Event, Status};
use actors::id::{AccountId, GenerationId};
use actors::ports::{DeliveryStore, GenerationListener, GenerationStore, IdSource};
use actors::webhook::EventName;
use babysea::ids::SystemIds;
use chrono::TimeDelta;
use futures_util::future::join_all;

use crate::support::{TestStore, at, attempt, completed, new};

on_both!(
    a_list_is_newest_first_and_has_each_once,
    what_others_have_is_neither_listed_nor_counted,
    what_has_ended_is_deleted_once_and_its_ledger_stays,
    what_is_in_flight_is_not_deleted,
    a_deletion_in_the_batch_of_the_end_sees_it,
    a_deletion_against_a_completion_loses_or_comes_after,
    whoever_watches_is_told_of_changes_and_deletions,
);

async fn a_list_is_newest_first_and_has_each_once(test: TestStore) {
    let account = test.account("10").await;
    let mut accepted: Vec<_> = (0..23)
        .map(|number| {
            // Several of each millisecond, and not in the order in which they are written.
            let created_at = at(1) + TimeDelta::milliseconds(number * 7 % 5);
            let id = GenerationId(SystemIds.next_at(created_at));
            let mut new = new(account, id);
            new.created_at = created_at;
            (created_at, id, new)
        })
        .collect();
    for (_, _, new) in &accepted {
        let mut first = attempt();
        first.at = new.created_at;
        test.store.accept(new.clone(), first).await.unwrap().unwrap();
    }
    accepted.sort_by_key(|(created_at, id, _)| std::cmp::Reverse((*created_at, *id)));
    let expected: Vec<GenerationId> = accepted.iter().map(|(_, id, _)| *id).collect();
    let mut listed = Vec::new();
    for offset in (0..30).step_by(10) {
        let page = test.store.list(account, offset, 10).await.unwrap();
        assert!(page.len() <= 10 && page.iter().all(|one| one.attempts().len() == 1));
        listed.extend(page.iter().map(|generation| generation.id));
    }
    assert_eq!(listed, expected);
    assert_eq!(test.store.count(account).await.unwrap(), 23);
    assert!(test.store.list(account, u64::MAX, 10).await.unwrap().is_empty());
    test.finish().await;
}

async fn what_others_have_is_neither_listed_nor_counted(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    let own = test.accepted(account).await;
    test.accepted(other).await;
    assert_eq!(test.store.list(account, 0, 10).await.unwrap(), [own]);
    assert_eq!(test.store.count(account).await.unwrap(), 1);
    assert_eq!(test.store.count(AccountId(SystemIds.next())).await.unwrap(), 0);
    test.finish().await;
}

async fn what_has_ended_is_deleted_once_and_its_ledger_stays(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    let endpoint = test.endpoint(account, &EventName::DEFAULT).await.state.id;
    let generation = test.processing(account).await;
    test.advance(&generation, vec![completed(1)]).await.unwrap();
    let foreign = test.store.delete(other, generation.id).await.unwrap();
    assert_eq!(foreign, Err(DeleteRefusal::NotFound));
    let many = join_all((0..20).map(|_| test.store.delete(account, generation.id))).await;
    let (won, lost): (Vec<_>, Vec<_>) =
        many.into_iter().map(Result::unwrap).partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|lost| *lost == Err(DeleteRefusal::NotFound)));
    assert_eq!(test.store.find(account, generation.id).await.unwrap(), None);
    let late = vec![Event::ResultDiscarded { attempt: 1, cost: None, at: at(9) }];
    assert_eq!(test.advance(&generation, late).await, Err(AdvanceRefusal::NotFound));
    let ledger = ["add 1.000 1.000", "reserve 0.100 0.900", "charge 0.100 0.900"];
    assert_eq!(test.ledger(account).await, ledger);
    assert_eq!(
        test.store.list_pending(account, endpoint, at(1000), None, 10).await.unwrap().len(),
        2
    );
    test.finish().await;
}

async fn what_is_in_flight_is_not_deleted(test: TestStore) {
    let account = test.account("1").await;
    for generation in [test.accepted(account).await, test.processing(account).await] {
        let refused = test.store.delete(account, generation.id).await.unwrap();
        assert_eq!(refused, Err(DeleteRefusal::InFlight));
        assert_eq!(test.store.find(account, generation.id).await.unwrap(), Some(generation));
    }
    test.finish().await;
}

fn cancel(account_id: AccountId, id: GenerationId) -> Advance {
    Advance { account_id, id, epoch: None, events: vec![Event::Canceled { at: at(3) }] }
}

async fn a_deletion_in_the_batch_of_the_end_sees_it(test: TestStore) {
    let account = test.account("50").await;
    let running = join_all((0..200).map(|_| test.processing(account))).await;
    // They queue up together, so that most share a commit.
    let ends = running.iter().map(async |one| {
        let canceled = test.store.advance(cancel(account, one.id));
        let deleted = test.store.delete(account, one.id);
        let (canceled, deleted) = tokio::join!(canceled, deleted);
        assert_eq!(canceled.unwrap().unwrap().status(), Status::Canceled);
        deleted.unwrap()
    });
    assert!(join_all(ends).await.iter().all(Result::is_ok));
    assert_eq!(test.store.count(account).await.unwrap(), 0);
    assert_eq!(test.balance(account).await.to_string(), "50.000");
    test.finish().await;
}

async fn a_deletion_against_a_completion_loses_or_comes_after(test: TestStore) {
    let account = test.account("50").await;
    let running = join_all((0..200).map(|_| test.processing(account))).await;
    let races = running.iter().enumerate().map(async |(number, one)| {
        let complete = async { test.advance(one, vec![completed(1)]).await };
        let delete = async { test.store.delete(account, one.id).await.unwrap() };
        let (completed, deleted) = match number % 2 {
            0 => tokio::join!(complete, delete),
            _ => {
                let (deleted, completed) = tokio::join!(delete, complete);
                (completed, deleted)
            }
        };
        assert_eq!(completed.unwrap().status(), Status::Succeeded, "nothing hinders it");
        match deleted {
            Ok(()) => 0,
            Err(refusal) => {
                assert_eq!(refusal, DeleteRefusal::InFlight);
                1
            }
        }
    });
    let left: u64 = join_all(races).await.into_iter().sum();
    assert_eq!(test.store.count(account).await.unwrap(), left);
    assert_eq!(test.balance(account).await.to_string(), "30.000");
    test.finish().await;
}

/// Remembers what it is told.
#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<GenerationId>>);

impl GenerationListener for Told {
    fn changed(&self, ids: &mut dyn Iterator<Item = (AccountId, GenerationId)>) {
        self.0.lock().unwrap().extend(ids.map(|(_, id)| id));
    }
}

async fn whoever_watches_is_told_of_changes_and_deletions(test: TestStore) {
    let account = test.account("1").await;
    let told: Arc<Told> = Arc::clone(&test.told);
    let seen = || std::mem::take(&mut *told.0.lock().unwrap());
    let generation = test.accepted(account).await;
    assert!(seen().is_empty(), "nobody can know of it yet");
    let canceled = test.store.advance(cancel(account, generation.id)).await.unwrap();
    assert_eq!((canceled.is_ok(), seen()), (true, vec![generation.id]));
    let refused = test.store.advance(cancel(account, generation.id)).await.unwrap();
    assert_eq!((refused.is_ok(), seen()), (false, vec![]));
    test.store.delete(account, generation.id).await.unwrap().unwrap();
    assert_eq!(seen(), [generation.id]);
    test.finish().await;
}
