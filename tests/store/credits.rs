//! What members see of their credit.

use actors::generation::NewAttempt;
use actors::id::{AccountId, GenerationId};
use actors::ledger::EntryKind;
use actors::ports::credits::CreditStore;
use actors::ports::{AccountStore, GenerationStore, Grant, IdSource};
use babysea::ids::SystemIds;

use crate::support::{TestStore, at, attempt, completed, credits, new, taken};

on_both!(
    a_ledger_is_read_backwards_in_pages,
    a_generation_has_its_own_entries,
    what_was_spent_since_a_time_leaves_out_what_was_granted,
    an_account_stands_as_it_does,
);

/// Reserves 0.100 at a time.
async fn reserve(test: &TestStore, account_id: AccountId, seconds: i64) -> GenerationId {
    let mut wanted = new(account_id, GenerationId(SystemIds.next()));
    wanted.created_at = at(seconds);
    let id = wanted.id;
    let first = NewAttempt { at: at(seconds), deadline_at: at(seconds + 99), ..attempt() };
    test.store.accept(wanted, first).await.unwrap().unwrap();
    id
}

async fn grant(test: &TestStore, account_id: AccountId, amount: &str, seconds: i64) {
    let key = format!("more:{}", SystemIds.next());
    let (amount, description) = (credits(amount), "More".to_owned());
    let grant = Grant { amount, key, description, at: at(seconds) };
    test.store.grant(account_id, grant, test.act()).await.unwrap().unwrap();
}

async fn a_ledger_is_read_backwards_in_pages(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    for seconds in 1..=4 {
        grant(&test, account, "1", seconds).await;
    }
    let page = async |account, before| {
        let page = test.store.list_entries_before(account, before, 2).await.unwrap();
        page.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(page(account, None).await, [5, 4]);
    assert_eq!(page(account, Some(4)).await, [3, 2]);
    assert_eq!(page(account, Some(2)).await, [1]);
    assert_eq!(page(other, None).await, [1]);
    test.finish().await;
}

async fn a_generation_has_its_own_entries(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    test.accepted(account).await;
    let generation = test.accepted(account).await;
    test.advance(&generation, vec![taken(1), completed(1)]).await.unwrap();
    let of = async |account| {
        let entries = test.store.list_entries_of(account, generation.id).await.unwrap();
        entries.iter().map(|entry| entry.kind).collect::<Vec<_>>()
    };
    assert_eq!(of(account).await, [EntryKind::Reserve, EntryKind::Charge]);
    assert!(of(other).await.is_empty());
    test.finish().await;
}

async fn what_was_spent_since_a_time_leaves_out_what_was_granted(test: TestStore) {
    let account = test.account("10").await;
    for seconds in 1..=9 {
        reserve(&test, account, seconds).await;
        grant(&test, account, "0.5", seconds).await;
    }
    let since = async |seconds| test.store.spent_since(account, at(seconds)).await.unwrap();
    for (seconds, spent) in [(-5, 900), (0, 900), (1, 900), (2, 800), (9, 100), (10, 0)] {
        assert_eq!(since(seconds).await, spent, "since {seconds}");
    }
    let nobody = AccountId(SystemIds.next());
    assert_eq!(test.store.spent_since(nobody, at(0)).await.unwrap(), 0);
    test.finish().await;
}

async fn an_account_stands_as_it_does(test: TestStore) {
    let account = test.account("1").await;
    test.accepted(account).await;
    let standing = test.store.find_standing(account).await.unwrap().unwrap();
    assert_eq!((standing.images_in_flight, standing.videos_in_flight), (1, 0));
    assert_eq!(standing.balance.credits, credits("0.900"));
    assert_eq!(test.store.find_standing(AccountId(SystemIds.next())).await.unwrap(), None);
    assert_eq!(test.store.requests_since(account, at(0).date_naive()).await.unwrap(), 0);
    test.finish().await;
}
