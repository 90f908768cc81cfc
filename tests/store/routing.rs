//! Attempts across all accounts, and what is made of them.

use actors::attempt::{AttemptOutcome, CostSource, EndedAttempt, ProviderCost};
use actors::failure::{Failure, FailureCode};
use actors::generation::{Event, Generation, NewAttempt};
use actors::id::{AccountId, GenerationId};
use actors::operator::AccountChange;
use actors::ports::routing::RoutingStore;
use actors::ports::{AccountStore, GenerationStore, IdSource};
use actors::router::{Router, RouterRules};
use actors::routing::choice::{Decision, Source};
use babysea::catalogue_file::{Sources, load};
use babysea::config::{Config, Overrides};
use babysea::ids::SystemIds;
use providers::Cost;
use providers::name::ProviderName::{SandboxInline, SandboxPolling};

use crate::support::{TestStore, at, attempt, completed, new, taken};

on_both!(
    ended_attempts_of_all_accounts_are_listed_latest_first,
    ended_attempts_of_an_account_are_listed_page_by_page,
    an_attempt_is_read_as_it_was_written,
    what_is_known_of_providers_is_kept_by_region,
    an_account_says_whether_refused_content_goes_on,
);

/// A generation that was made at the time of these tests.
async fn run(test: &TestStore, account_id: AccountId, events: Vec<Event>) -> Generation {
    let id = GenerationId(SystemIds.next_at(at(1)));
    let accepted = test.store.accept(new(account_id, id), attempt()).await.unwrap().unwrap();
    test.advance(&accepted, events).await.unwrap()
}

fn ended(outcome: AttemptOutcome) -> EndedAttempt {
    EndedAttempt {
        model: "sandbox/failover".to_owned(),
        provider: SandboxPolling,
        outcome,
        submitted_at: at(1),
        work_milli: 2000,
        cost_share: None,
    }
}

async fn ended_attempts_of_all_accounts_are_listed_latest_first(test: TestStore) {
    let (one, other) = (test.account("1").await, test.account("1").await);
    let failure = Failure::new(FailureCode::ProviderTimeout, "It took too long.");
    let failed = Event::Failed { failure: failure.clone(), at: at(5) };
    run(&test, one, vec![taken(1), completed(1)]).await;
    run(&test, other, vec![failed]).await;
    run(&test, other, vec![taken(1)]).await;
    run(&test, one, vec![Event::Canceled { at: at(4) }]).await;
    let all = [
        ended(AttemptOutcome::Failed { at: at(5), failure }),
        ended(AttemptOutcome::Canceled { at: at(4) }),
        ended(AttemptOutcome::Used { at: at(3) }),
    ];
    let list =
        async |since, limit| test.store.list_ended_any_account(at(since), limit).await.unwrap();
    assert_eq!(list(0, 10).await, all);
    assert_eq!(list(0, 2).await, all[..2]);
    assert_eq!(list(3, 10).await, all[..2], "what ended at that very time is not after it");
    assert_eq!(list(5, 10).await, []);
    test.finish().await;
}

async fn ended_attempts_of_an_account_are_listed_page_by_page(test: TestStore) {
    let (one, other) = (test.account("1").await, test.account("1").await);
    let mut expected = Vec::new();
    for _ in 0..5 {
        let generation = run(&test, one, vec![taken(1), completed(1)]).await;
        expected.push(((generation.id, 1), ended(AttemptOutcome::Used { at: at(3) })));
    }
    expected.sort_by_key(|(place, _)| *place);
    run(&test, one, vec![taken(1)]).await;
    run(&test, other, vec![taken(1), completed(1)]).await;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = test.store.list_ended(one, at(0), after, 2).await.unwrap();
        after = page.last().map(|(place, _)| *place);
        found.extend(page.clone());
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(found, expected);
    let later = test.store.list_ended(one, at(1), None, 10).await.unwrap();
    assert_eq!(later, [], "what was sent at that very time is not after it");
    test.finish().await;
}

async fn an_attempt_is_read_as_it_was_written(test: TestStore) {
    let account_id = test.account("1").await;
    let mut new = new(account_id, GenerationId(SystemIds.next_at(at(1))));
    let decision = Decision { source: Source::Exploration, propensity_ppm: Some(50_000) };
    new.input.route.decision = decision;
    let first = NewAttempt { cost: Some(Cost(1_234)), ..attempt() };
    let accepted = test.store.accept(new, first).await.unwrap().unwrap();
    let failure = Failure::new(FailureCode::ProviderError, "It broke.");
    let failed = Event::AttemptFailed { attempt: 1, failure, at: at(2) };
    let second = NewAttempt { provider: SandboxInline, at: at(2), ..attempt() };
    let taken = test.advance(&accepted, vec![failed, Event::AttemptStarted(second), taken(2)]);
    let taken = taken.await.unwrap();
    let Event::Completed { outputs, predict_time, at: end, .. } = completed(2) else { panic!() };
    let cost = Some(Cost(7_000));
    let completed = Event::Completed { attempt: 2, outputs, predict_time, cost, at: end };
    test.advance(&taken, vec![completed]).await.unwrap();
    let found = test.store.find(account_id, accepted.id).await.unwrap().unwrap();
    let [first, second] = found.attempts() else { panic!("{found:?}") };
    let cost = |microdollars, source| Some(ProviderCost { cost: Cost(microdollars), source });
    assert_eq!(first.model, "sandbox/failover");
    assert_eq!((first.decision, first.work_milli), (decision, 2000));
    assert_eq!(first.provider_cost, cost(1_234, CostSource::Catalogue));
    let follows = Decision { source: Source::Exploration, propensity_ppm: None };
    assert_eq!(second.decision, follows, "how likely the first was says nothing about the second");
    assert_eq!(second.provider_cost, cost(7_000, CostSource::Reported));
    let ended = test.store.list_ended_any_account(at(0), 10).await.unwrap();
    let shares: Vec<Option<f64>> = ended.iter().map(|attempt| attempt.cost_share).collect();
    assert_eq!(shares, [Some(0.07), Some(0.012_34)], "over the price of 0.100");
    test.finish().await;
}

fn rules() -> RouterRules {
    Config::load(None, &Overrides::default()).unwrap().routing.rules
}

async fn what_is_known_of_providers_is_kept_by_region(test: TestStore) {
    let catalogue = load(Sources { sandbox: true, ..Sources::default() }).unwrap();
    let router = Router::new(&catalogue, rules());
    assert_eq!(test.store.find_routing("us").await.unwrap(), None);
    let nothing = router.snapshot(at(1));
    test.store.save_routing("us", nothing.clone()).await.unwrap();
    router.note(&ended(AttemptOutcome::Used { at: at(3) }));
    let something = router.snapshot(at(4));
    assert_ne!(nothing, something);
    test.store.save_routing("eu", something.clone()).await.unwrap();
    assert_eq!(test.store.find_routing("us").await.unwrap(), Some(nothing));
    test.store.save_routing("us", something.clone()).await.unwrap();
    for region in ["us", "eu"] {
        assert_eq!(test.store.find_routing(region).await.unwrap(), Some(something.clone()));
    }
    test.finish().await;
}

async fn an_account_says_whether_refused_content_goes_on(test: TestStore) {
    let account_id = test.account("1").await;
    let goes_on = async || {
        let id = GenerationId(SystemIds.next());
        let accepted = test.store.accept(new(account_id, id), attempt()).await.unwrap().unwrap();
        let found = test.store.find(account_id, id).await.unwrap().unwrap();
        assert_eq!(found.input.route, accepted.input.route);
        let account = test.store.find_account(account_id).await.unwrap().unwrap();
        let allowed = found.input.route.failover_on_moderation;
        assert_eq!(account.failover_on_moderation, allowed);
        allowed
    };
    assert!(!goes_on().await);
    let allow = async |account_id, allowed| {
        let change = AccountChange::FailoverOnModeration(allowed);
        test.store.change_account(account_id, change, test.act()).await.unwrap()
    };
    assert!(allow(account_id, true).await);
    assert!(goes_on().await);
    assert!(allow(account_id, false).await);
    assert!(!goes_on().await);
    assert!(!allow(AccountId(SystemIds.next()), true).await);
    test.finish().await;
}
