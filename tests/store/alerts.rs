//! What owners are told of their balance.

use actors::alert::{AlertSettings, low_balance_data};
use actors::generation::NewAttempt;
use actors::id::{AccountId, GenerationId};
use actors::notification::NotificationKind;
use actors::ports::deliveries::{DeliveryLog, LogQuery, NotificationStore};
use actors::ports::{AccountStore, GenerationStore, Grant, IdSource};
use actors::webhook::EventName;
use babysea::endpoint_admin::set_alerts;
use babysea::ids::SystemIds;

use crate::support::{TestStore, at, attempt, credits, new};

on_both!(
    an_account_that_never_chose_is_told_below_half_a_credit_once,
    only_a_grant_well_above_arms_a_threshold_again,
    what_was_held_back_is_told_when_credit_does_not_suffice,
    thresholds_crossed_at_once_are_one_event_for_who_subscribes,
    settings_are_checked_and_kept,
);

/// Reserves 0.100 at a time of the day.
async fn reserve(test: &TestStore, account_id: AccountId, seconds: i64) {
    assert!(may_reserve(test, account_id, seconds).await);
}

/// Whether the credit suffices for that.
async fn may_reserve(test: &TestStore, account_id: AccountId, seconds: i64) -> bool {
    let mut wanted = new(account_id, GenerationId(SystemIds.next()));
    wanted.created_at = at(seconds);
    let first = NewAttempt { at: at(seconds), deadline_at: at(seconds + 99), ..attempt() };
    test.store.accept(wanted, first).await.unwrap().is_ok()
}

async fn told(test: &TestStore, account_id: AccountId) -> usize {
    let all = test.store.list_notifications(account_id, None, 100).await.unwrap();
    assert!(all.iter().all(|one| one.kind == NotificationKind::CreditsLowBalance));
    all.len()
}

async fn grant(test: &TestStore, account_id: AccountId, amount: &str) {
    let key = format!("more:{}", SystemIds.next());
    let description = "More".to_owned();
    let grant = Grant { amount: credits(amount), key, description, at: at(1) };
    test.store.grant(account_id, grant, test.act()).await.unwrap().unwrap();
}

async fn an_account_that_never_chose_is_told_below_half_a_credit_once(test: TestStore) {
    let account_id = test.account("0.600").await;
    reserve(&test, account_id, 1).await;
    assert_eq!(told(&test, account_id).await, 0, "0.500 is not below it");
    reserve(&test, account_id, 2).await;
    reserve(&test, account_id, 10_000).await;
    let all = test.store.list_notifications(account_id, None, 100).await.unwrap();
    assert_eq!(all.len(), 1);
    let wanted = low_balance_data(account_id, credits("0.400"), &[credits("0.500")]);
    assert_eq!(all[0].data, wanted);
    test.finish().await;
}

async fn only_a_grant_well_above_arms_a_threshold_again(test: TestStore) {
    let account_id = test.account("0.500").await;
    reserve(&test, account_id, 1).await;
    assert_eq!(told(&test, account_id).await, 1);
    grant(&test, account_id, "0.300").await;
    reserve(&test, account_id, 10_000).await;
    reserve(&test, account_id, 20_000).await;
    reserve(&test, account_id, 30_000).await;
    assert_eq!(told(&test, account_id).await, 1, "0.700 was within the band");
    grant(&test, account_id, "0.350").await;
    reserve(&test, account_id, 40_000).await;
    reserve(&test, account_id, 50_000).await;
    reserve(&test, account_id, 60_000).await;
    assert_eq!(told(&test, account_id).await, 2, "0.750 was not");
    test.finish().await;
}

async fn what_was_held_back_is_told_when_credit_does_not_suffice(test: TestStore) {
    let account_id = test.account("0.450").await;
    reserve(&test, account_id, 1).await;
    assert_eq!(told(&test, account_id).await, 1);
    grant(&test, account_id, "0.700").await;
    for seconds in 2..12 {
        reserve(&test, account_id, seconds).await;
    }
    let poor = test.account("0.050").await;
    assert!(!may_reserve(&test, poor, 1).await);
    assert_eq!(told(&test, poor).await, 0, "it has not fallen");
    for (seconds, count) in [(12, 1), (10_000, 2), (20_000, 2)] {
        assert!(!may_reserve(&test, account_id, seconds).await);
        assert_eq!(told(&test, account_id).await, count);
    }
    test.finish().await;
}

async fn thresholds_crossed_at_once_are_one_event_for_who_subscribes(test: TestStore) {
    let account_id = test.account("1").await;
    let subscribed = [EventName::CreditsLowBalance];
    let endpoint = test.endpoint(account_id, &subscribed).await.state.id;
    test.endpoint(account_id, &EventName::DEFAULT).await;
    let settings = AlertSettings {
        thresholds: ["0.950", "0.920", "0.100"].map(credits).to_vec(),
        webhook: true,
        ..AlertSettings::default()
    };
    set_alerts(&test.context, account_id, settings).await.unwrap();
    reserve(&test, account_id, 1).await;
    reserve(&test, account_id, 2).await;
    let log = test
        .store
        .list_deliveries(account_id, endpoint, &LogQuery::default(), 10)
        .await
        .unwrap()
        .deliveries;
    assert_eq!(log.len(), 1);
    let delivery = &log[0].delivery;
    assert_eq!((delivery.event, delivery.generation_id), (EventName::CreditsLowBalance, None));
    let crossed = ["0.950", "0.920"].map(credits);
    assert_eq!(*delivery.data, low_balance_data(account_id, credits("0.900"), &crossed));
    test.finish().await;
}

async fn settings_are_checked_and_kept(test: TestStore) {
    let account_id = test.account("0.300").await;
    reserve(&test, account_id, 1).await;
    let with = |thresholds: &[&str]| AlertSettings {
        thresholds: thresholds.iter().copied().map(credits).collect(),
        ..AlertSettings::default()
    };
    assert!(set_alerts(&test.context, account_id, with(&["0"])).await.is_err());
    assert!(set_alerts(&test.context, AccountId(SystemIds.next()), with(&["1"])).await.is_err());
    let set = set_alerts(&test.context, account_id, with(&["0.250", "5", "5"])).await.unwrap();
    let kept = test.store.find_alerts(account_id).await.unwrap();
    assert_eq!((&kept.settings, kept.fired.len()), (&set, 0));
    assert_eq!(set.thresholds, ["5", "0.250"].map(credits));
    assert_eq!(kept.alert_below(), credits("5"));
    test.finish().await;
}
