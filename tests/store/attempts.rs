//! Attempts across all accounts.

use actors::attempt::AttemptOutcome;
use actors::failure::{Failure, FailureCode};
use actors::generation::Event;
use actors::id::{AccountId, GenerationId};
use actors::ports::{AttemptStore, GenerationStore, IdSource};
use babysea::ids::SystemIds;
use providers::name::ProviderName;

use crate::support::{TestStore, at, attempt, completed, new, taken};

on_both!(ended_attempts_of_all_accounts_are_listed_latest_first);

/// A generation that was made at the time of these tests.
async fn run(test: &TestStore, account_id: AccountId, events: Vec<Event>) {
    let id = GenerationId(SystemIds.next_at(at(1)));
    let accepted = test.store.accept(new(account_id, id), attempt()).await.unwrap().unwrap();
    test.advance(&accepted, events).await.unwrap();
}

async fn ended_attempts_of_all_accounts_are_listed_latest_first(test: TestStore) {
    let (one, other) = (test.account("1").await, test.account("1").await);
    let failure = Failure::new(FailureCode::ProviderTimeout, "It took too long.");
    let failed = Event::Failed { failure: failure.clone(), at: at(5) };
    run(&test, one, vec![taken(1), completed(1)]).await;
    run(&test, other, vec![failed]).await;
    run(&test, other, vec![taken(1)]).await;
    run(&test, one, vec![Event::Canceled { at: at(4) }]).await;
    let polling = |outcome| (ProviderName::SandboxPolling, outcome);
    let all = [
        polling(AttemptOutcome::Failed { at: at(5), failure }),
        polling(AttemptOutcome::Canceled { at: at(4) }),
        polling(AttemptOutcome::Used { at: at(3) }),
    ];
    let list =
        async |since, limit| test.store.list_ended_any_account(at(since), limit).await.unwrap();
    assert_eq!(list(0, 10).await, all);
    assert_eq!(list(0, 2).await, all[..2]);
    assert_eq!(list(3, 10).await, all[..2], "what ended at that very time is not after it");
    assert_eq!(list(5, 10).await, []);
    test.finish().await;
}
