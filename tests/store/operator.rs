//! What those who run the server do, and the log of it.

use actors::account::Plan;
use actors::activity::{Actor, By};
use actors::id::{AccountId, ActivityId, UserId};
use actors::operator::{AccountChange, Act, OperatorAction, Subject};
use actors::ports::operator::{OperatorStore, Waiting};
use actors::ports::people::{SessionStore, UserStore};
use actors::ports::teams::ActivityStore;
use actors::ports::{AccountStore, Grant, IdSource, KeyStore};
use actors::webhook::EventName;
use babysea::identity::{NewKey, act, create_key};
use babysea::ids::SystemIds;

use crate::people::{by_user, made, person, session};
use crate::support::{TestStore, at, credits};

on_both!(
    what_is_done_to_an_account_is_written_down_with_it,
    what_changes_nothing_is_not_written_down,
    a_grant_is_written_down_once,
    what_is_done_to_people_is_written_down_with_it,
    nobody_changes_the_log,
    a_key_knows_that_its_account_is_suspended,
    a_person_says_why_and_a_command_need_not,
    what_waits_is_counted_by_age_and_by_endpoint,
);

/// What somebody does then. Later ids sort after earlier ones.
fn signed(actor: Actor, reason: &str, seconds: i64) -> Act {
    let id = ActivityId(SystemIds.next_at(at(seconds)));
    Act { by: By { actor, id, at: at(seconds) }, reason: reason.to_owned() }
}

async fn log(test: &TestStore, about: Option<AccountId>) -> Vec<OperatorAction> {
    test.store.list_operator_actions(about, None, 100).await.unwrap()
}

/// The log of an account as `action was became by`, the newest first, without how it was made.
async fn told(test: &TestStore, about: AccountId) -> Vec<String> {
    let line = |it: &OperatorAction| format!("{} {} {} {}", it.action, it.was, it.became, it.actor);
    let all = log(test, Some(about)).await;
    all.iter().filter(|it| it.action != "account.created").map(line).collect()
}

async fn what_is_done_to_an_account_is_written_down_with_it(test: TestStore) {
    let ada = Actor::User(made(&test, "ada@example.com").await.id);
    let (account, other) = (test.account("1").await, test.account("1").await);
    let change = async |change, act| {
        assert!(test.store.change_account(account, change, act).await.unwrap());
        test.store.find_account(account).await.unwrap().unwrap()
    };
    let plan = AccountChange::Plan(Plan::Scale);
    assert_eq!(change(plan, signed(ada, "a sale", 10)).await.plan, Plan::Scale);
    let suspended = AccountChange::Suspension(true);
    let found = change(suspended, signed(ada, "a chargeback", 11)).await;
    assert_eq!(found.suspended_at, Some(at(11)));
    assert_eq!(
        change(AccountChange::Suspension(false), signed(Actor::System, "", 12)).await.suspended_at,
        None
    );
    assert_eq!(
        told(&test, account).await,
        [
            "account.resumed suspended active cli",
            "account.suspended active suspended ada@example.com",
            "account.plan_changed pro scale ada@example.com",
        ]
    );
    let last = log(&test, Some(account)).await.remove(1);
    assert_eq!(
        (last.reason.as_str(), last.at, last.name.as_str()),
        ("a chargeback", at(11), "Test")
    );
    assert_eq!(last.subject, Subject::Account(account));
    assert!(told(&test, other).await.is_empty());
    // Its members are told what, and neither by whom nor why.
    let activities = test.store.list_activities(account, None, 10).await.unwrap();
    assert_eq!(activities.len(), 3);
    assert!(activities.iter().all(|it| it.actor == "system" && !it.description.contains("sale")));
    let nobody = AccountId(SystemIds.next());
    assert!(!test.store.change_account(nobody, plan, test.act()).await.unwrap());
    let all = log(&test, None).await;
    assert_eq!(all.len(), 5, "two were made");
    let page = test.store.list_operator_actions(None, Some(all[1].id), 2).await.unwrap();
    assert_eq!(page, all[2..4]);
    test.finish().await;
}

async fn what_changes_nothing_is_not_written_down(test: TestStore) {
    let account = test.account("1").await;
    for change in [
        AccountChange::Plan(Plan::Pro),
        AccountChange::Suspension(false),
        AccountChange::FailoverOnModeration(false),
    ] {
        assert!(test.store.change_account(account, change, test.act()).await.unwrap());
    }
    assert!(told(&test, account).await.is_empty());
    assert!(test.store.list_activities(account, None, 10).await.unwrap().is_empty());
    test.finish().await;
}

async fn a_grant_is_written_down_once(test: TestStore) {
    let account = test.account("1").await;
    let grant = |amount: &str| Grant {
        amount: credits(amount),
        key: "order:1".to_owned(),
        description: "Order".to_owned(),
        at: at(5),
    };
    for _ in 0..2 {
        test.store.grant(account, grant("2.5"), test.act()).await.unwrap().unwrap();
    }
    test.store.grant(account, grant("3"), test.act()).await.unwrap().unwrap_err();
    assert_eq!(told(&test, account).await, ["credit.granted 1.000 3.500 cli"]);
    test.finish().await;
}

async fn what_is_done_to_people_is_written_down_with_it(test: TestStore) {
    let (ada, bob) = (made(&test, "ada@example.com").await, made(&test, "bob@example.com").await);
    let store = &test.store;
    let act = |seconds| signed(Actor::User(ada.id), "a handover", seconds);
    for seconds in [10, 11] {
        store.set_operator(bob.id, true, act(seconds)).await.unwrap().unwrap();
    }
    for (letter, seconds) in [('a', 1), ('b', 2)] {
        let by = by_user(bob.id, seconds);
        store
            .create_session(session(&bob, seconds), &letter.to_string().repeat(64), None, by)
            .await
            .unwrap();
    }
    assert_eq!(store.end_sessions(bob.id, act(12)).await.unwrap(), Some(2));
    assert!(store.list_sessions(bob.id, at(3)).await.unwrap().is_empty());
    assert_eq!(store.end_sessions(UserId(SystemIds.next()), act(13)).await.unwrap(), None);
    store.set_operator(bob.id, false, act(14)).await.unwrap().unwrap_err();
    let lines: Vec<String> = log(&test, None)
        .await
        .iter()
        .map(|it| format!("{} {} {} {} {}", it.action, it.name, it.was, it.became, it.actor))
        .collect();
    assert_eq!(
        lines,
        [
            "user.sessions_ended bob@example.com 2 0 ada@example.com",
            "user.operator_granted bob@example.com user operator ada@example.com",
        ]
    );
    // An operator who is made is told of too.
    let mut cleo = person("cleo@example.com");
    cleo.user.operator = true;
    store.create_user(cleo, act(15).by).await.unwrap().unwrap();
    assert_eq!(log(&test, None).await[0].name, "cleo@example.com");
    test.finish().await;
}

async fn nobody_changes_the_log(test: TestStore) {
    test.account("1").await;
    for statement in
        ["UPDATE operator_actions SET reason = 'another'", "DELETE FROM operator_actions"]
    {
        let refused = test.refusal(statement).await;
        assert!(refused.contains("append-only"), "{refused}");
    }
    assert_eq!(log(&test, None).await.len(), 1);
    test.finish().await;
}

async fn a_key_knows_that_its_account_is_suspended(test: TestStore) {
    let account = test.account("1").await;
    let key = create_key(&test.context, NewKey::full_access(account, "ci")).await.unwrap().key;
    let suspended = async || {
        let found = test.store.find_key_any_account(key.id).await.unwrap().unwrap();
        let same = test.store.list_keys_by_prefix_any_account(&key.prefix).await.unwrap();
        assert_eq!(same, std::slice::from_ref(&found));
        found.suspended
    };
    assert!(!suspended().await);
    for is in [true, false] {
        let change = AccountChange::Suspension(is);
        test.store.change_account(account, change, test.act()).await.unwrap();
        assert_eq!(suspended().await, is);
    }
    test.finish().await;
}

async fn a_person_says_why_and_a_command_need_not(test: TestStore) {
    let person = test.context.of(UserId(SystemIds.next()));
    for bad in ["", "  ", "two\nlines", &"x".repeat(501)] {
        assert!(act(&person, bad).is_err(), "{bad:?}");
    }
    assert_eq!(act(&person, " a sale ").unwrap().reason, "a sale");
    assert_eq!(act(&test.context, " ").unwrap().reason, "");
    // It holds the store, whose end is waited for.
    drop(person);
    test.finish().await;
}

async fn what_waits_is_counted_by_age_and_by_endpoint(test: TestStore) {
    let waiting = async |seconds| test.store.waiting_any_account(at(seconds), 100).await.unwrap();
    assert_eq!(waiting(1).await, Waiting::default());
    let (account, other) = (test.account("1").await, test.account("1").await);
    let busy = test.endpoint(account, &[EventName::GenerationStarted]).await.state.id;
    let calm = test.endpoint(other, &[EventName::GenerationStarted]).await.state.id;
    test.processing(account).await;
    test.processing(account).await;
    test.processing(other).await;
    test.accepted(account).await;
    // All were accepted at the first second.
    for (seconds, ages) in [(5, [3, 0, 0, 0]), (30, [0, 3, 0, 0]), (99, [0, 0, 3, 0])] {
        let found = waiting(seconds).await.generations;
        let statuses: Vec<&str> = found.iter().map(|it| it.status.as_str()).collect();
        assert_eq!(statuses, ["pending", "processing"]);
        assert_eq!((found[1].ages, found[1].oldest_at), (ages, at(1)));
    }
    assert_eq!(waiting(9999).await.generations[0].ages, [0, 0, 0, 1]);
    let endpoints = waiting(5).await.endpoints;
    let counted: Vec<_> = endpoints.iter().map(|it| (it.endpoint_id, it.pending)).collect();
    assert_eq!(counted, [(busy, 2), (calm, 1)]);
    assert_eq!((endpoints[0].account_id, endpoints[0].account_name.as_str()), (account, "Test"));
    let some = test.store.waiting_any_account(at(5), 2).await.unwrap();
    assert_eq!(some.generations.iter().map(|it| it.ages[0]).sum::<u64>(), 2, "no more is counted");
    test.finish().await;
}
