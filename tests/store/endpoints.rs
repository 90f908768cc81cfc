//! Webhook endpoints and their deliveries.

use std::time::Duration;

use actors::account::Plan;
use actors::batch::{DeliveryTried, EndpointFault, TryOutcome};
use actors::id::{AccountId, DeliveryId, EndpointId};
use actors::notification::NotificationKind;
use actors::ports::deliveries::{DeliveryLog, LogQuery, LoggedDelivery, NotificationStore};
use actors::ports::retention::RetentionStore as _;
use actors::ports::{
    BacklogStore, DeliveryStore, Enabling, EndpointRefusal, EndpointStore, IdSource,
};
use actors::webhook::endpoint::{DisableReason, EnableRefusal};
use actors::webhook::{DeliveryStatus, EventName, TryResult, WebhookDelivery};
use babysea::address_guard::UrlProblem;
use babysea::endpoint_admin::{
    deliver_queued, edit, enable, replay, replay_between, rotate_secret,
};
use babysea::identity::{IdentityError, NewEndpoint, create_endpoint};
use babysea::ids::SystemIds;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::support::{TRIES_MAX, TestStore, at, by, completed};

on_both!(
    an_endpoint_is_stored_as_it_was_made,
    what_cannot_receive_webhooks_is_refused,
    the_number_of_endpoints_is_bounded,
    an_endpoint_belongs_to_its_account,
    a_disabled_endpoint_keeps_its_events_and_sends_them_when_told,
    what_was_queued_for_too_long_expires,
    a_delivery_and_a_time_are_replayed_as_new_deliveries,
    more_than_a_page_is_sent_again_in_order,
    an_endpoint_that_failed_is_probed_with_the_oldest_event_after_its_cooldown,
    an_answer_of_410_disables_and_queues_what_is_pending,
    an_endpoint_that_asks_for_a_pause_is_not_due_until_it_is_over,
    due_endpoints_are_listed_page_by_page,
    a_try_that_is_recorded_twice_counts_once_and_is_in_the_log,
    what_is_believed_of_a_delivery_is_checked_when_it_is_written,
    pending_deliveries_are_listed_page_by_page,
    a_rotated_secret_may_go_on_beside_the_new_one,
    events_are_edited_and_only_those_that_can_be_asked_for,
    a_delivery_is_tried_until_its_tries_are_used_up,
    fifteen_exhausted_deliveries_in_a_row_disable_an_endpoint,
    a_success_begins_the_count_again,
);

async fn an_endpoint_is_stored_as_it_was_made(test: TestStore) {
    let account_id = test.account("1").await;
    let events = vec![
        EventName::GenerationFailed,
        EventName::GenerationStarted,
        EventName::GenerationFailed,
    ];
    let url = "https://hooks.example.com/a?b=c".to_owned();
    let endpoint =
        create_endpoint(&test.context, NewEndpoint { account_id, url, events }).await.unwrap();
    let each_once = [EventName::GenerationStarted, EventName::GenerationFailed];
    assert_eq!(endpoint.state.events, each_once);
    let found = test.store.find_endpoint(account_id, endpoint.state.id).await.unwrap().unwrap();
    let listed = test.store.list_endpoints(account_id).await.unwrap().pop().unwrap();
    for stored in [found, listed] {
        assert_eq!((&stored.state, &stored.url), (&endpoint.state, &endpoint.url));
        assert_eq!(stored.secret.expose_secret(), endpoint.secret.expose_secret());
        assert_eq!(stored.created_at, endpoint.created_at);
    }
    test.finish().await;
}

async fn what_cannot_receive_webhooks_is_refused(test: TestStore) {
    let account_id = test.account("1").await;
    let make = async |url: &str, events: &[EventName]| {
        let new = NewEndpoint { account_id, url: url.to_owned(), events: events.to_vec() };
        create_endpoint(&test.context, new).await.unwrap_err()
    };
    let refused = make("http://hooks.example.com/", &EventName::DEFAULT).await;
    assert!(matches!(refused, IdentityError::Url(UrlProblem::Scheme)), "{refused}");
    let refused = make("https://10.0.0.1/", &EventName::DEFAULT).await;
    assert!(matches!(refused, IdentityError::Url(UrlProblem::Address(_))), "{refused}");
    let refused = make("https://hooks.example.com/", &[]).await;
    assert!(matches!(refused, IdentityError::Invalid { field: "the events", .. }), "{refused}");
    assert!(test.store.list_endpoints(account_id).await.unwrap().is_empty());
    test.finish().await;
}

async fn the_number_of_endpoints_is_bounded(test: TestStore) {
    let account_id = test.account("1").await;
    let endpoint = test.endpoint(account_id, &EventName::DEFAULT).await;
    let mut next = endpoint.clone();
    next.state.id = EndpointId(SystemIds.next());
    let refused = test.store.create_endpoint(next.clone(), 1, by(0)).await.unwrap();
    assert_eq!(refused, Err(EndpointRefusal::TooMany(1)));
    next.state.account_id = AccountId(SystemIds.next());
    let refused = test.store.create_endpoint(next, 10, by(0)).await.unwrap();
    assert_eq!(refused, Err(EndpointRefusal::UnknownAccount));
    test.finish().await;
}

async fn an_endpoint_belongs_to_its_account(test: TestStore) {
    let (owner, other) = (test.account("1").await, test.account("1").await);
    let id = test.endpoint(owner, &EventName::DEFAULT).await.state.id;
    assert!(test.store.find_endpoint(other, id).await.unwrap().is_none());
    assert!(!test.store.disable_endpoint(other, id, by(1)).await.unwrap());
    assert!(!test.store.edit_endpoint(other, id, &EventName::DEFAULT, by(0)).await.unwrap());
    let enabled = test.store.enable_endpoint(other, id, enabling(1, false), by(0)).await.unwrap();
    assert_eq!(enabled, Err(EndpointRefusal::UnknownEndpoint));
    let secret = SecretString::from("whsec_other");
    assert!(!test.store.rotate_endpoint_secret(other, id, secret, None, by(0)).await.unwrap());
    assert!(!test.store.delete_endpoint(other, id, by(0)).await.unwrap());
    let found = test.store.find_endpoint_owner_any_account(id).await.unwrap();
    assert_eq!(found, Some(owner));
    test.processing(owner).await;
    assert!(test.store.delete_endpoint(owner, id, by(0)).await.unwrap(), "with its deliveries");
    assert!(!test.store.delete_endpoint(owner, id, by(0)).await.unwrap());
    assert_eq!(test.store.find_endpoint_owner_any_account(id).await.unwrap(), None);
    test.finish().await;
}

async fn pending(test: &TestStore, account_id: AccountId, id: EndpointId) -> Vec<WebhookDelivery> {
    test.store.list_pending(account_id, id, at(100_000), None, 100).await.unwrap()
}

/// That an endpoint is to be enabled.
fn enabling(seconds: i64, force: bool) -> Enabling {
    Enabling { at: at(seconds), force, probe: DeliveryId(SystemIds.next()) }
}

async fn log(test: &TestStore, account_id: AccountId, id: EndpointId) -> Vec<LoggedDelivery> {
    let mut log = test
        .store
        .list_deliveries(account_id, id, &LogQuery::default(), 1000)
        .await
        .unwrap()
        .deliveries;
    log.reverse();
    log
}

async fn statuses(test: &TestStore, account_id: AccountId, id: EndpointId) -> Vec<DeliveryStatus> {
    log(test, account_id, id).await.iter().map(|logged| logged.delivery.status).collect()
}

async fn a_disabled_endpoint_keeps_its_events_and_sends_them_when_told(test: TestStore) {
    let account_id = test.account("1").await;
    let id = test.endpoint(account_id, &EventName::DEFAULT).await.state.id;
    let generation = test.processing(account_id).await;
    let due = async || test.store.list_due_endpoints_any_account(at(100), None, 10).await.unwrap();
    assert_eq!(due().await, [(account_id, id)]);
    assert!(test.store.disable_endpoint(account_id, id, by(2)).await.unwrap());
    test.advance(&generation, vec![completed(1)]).await.unwrap();
    assert!(due().await.is_empty());
    assert_eq!(statuses(&test, account_id, id).await, [DeliveryStatus::Queued; 2]);
    test.clock.set(at(60));
    let queued = async || deliver_queued(&test.context, account_id, id).await;
    let refused = queued().await.unwrap_err();
    assert!(matches!(refused, IdentityError::Endpoint(EndpointRefusal::Disabled)), "{refused}");
    enable(&test.context, account_id, id, false).await.unwrap();
    assert!(due().await.is_empty(), "not without being told");
    assert_eq!(queued().await.unwrap(), 2);
    assert_eq!(queued().await.unwrap(), 0, "each once");
    assert_eq!(due().await, [(account_id, id)]);
    let log = log(&test, account_id, id).await;
    let [started, ended, again, end] = &log[..] else { panic!("{log:#?}") };
    for (before, after) in [(started, again), (ended, end)] {
        assert_eq!(before.delivery.status, DeliveryStatus::Resent);
        assert_eq!(before.resent_status, Some(DeliveryStatus::Pending));
        assert_eq!(after.delivery.replay_of, Some(before.delivery.id));
        assert_eq!(after.delivery.data, before.delivery.data);
        assert_eq!(after.delivery.created_at, at(60), "a timestamp of its own");
        assert!(after.delivery.in_order);
    }
    test.finish().await;
}

async fn what_was_queued_for_too_long_expires(test: TestStore) {
    let account_id = test.account("1").await;
    let id = test.endpoint(account_id, &EventName::DEFAULT).await.state.id;
    test.store.disable_endpoint(account_id, id, by(0)).await.unwrap();
    let first = test.processing(account_id).await;
    let second = test.processing(account_id).await;
    test.advance(&first, vec![completed(1)]).await.unwrap();
    test.advance(&second, vec![completed(1)]).await.unwrap();
    // Two began at 2 seconds, and ended at 3.
    let expire = async |plan, before, limit| {
        test.store.expire_queued_any_account(plan, at(before), at(50), limit).await.unwrap()
    };
    assert_eq!((expire(Plan::Pro, 2, 10).await, expire(Plan::Scale, 3, 10).await), (0, 0));
    let expire = async |limit| expire(Plan::Pro, 3, limit).await;
    assert_eq!((expire(1).await, expire(10).await, expire(10).await), (1, 1, 0));
    use DeliveryStatus::{Expired, Queued};
    assert_eq!(statuses(&test, account_id, id).await, [Expired, Expired, Queued, Queued]);
    test.clock.set(at(100));
    enable(&test.context, account_id, id, false).await.unwrap();
    assert_eq!(deliver_queued(&test.context, account_id, id).await.unwrap(), 2);
    test.finish().await;
}

async fn a_delivery_and_a_time_are_replayed_as_new_deliveries(test: TestStore) {
    let account_id = test.account("10").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    for _ in 0..3 {
        test.processing(account_id).await;
    }
    let first = pending(&test, account_id, id).await.remove(0);
    try_it(&test, &first, 1, None, at(5)).await;
    test.clock.set(at(100));
    assert_eq!(replay(&test.context, account_id, first.id).await.unwrap(), 1);
    let unknown = DeliveryId(SystemIds.next());
    let refused = replay(&test.context, account_id, unknown).await.unwrap_err();
    let unknown = EndpointRefusal::UnknownDelivery;
    assert!(matches!(refused, IdentityError::Endpoint(why) if why == unknown));
    let between = async |from, until| {
        replay_between(&test.context, account_id, id, at(from), at(until)).await
    };
    // The replay itself is at 100 and is not repeated; the other two are still to be sent.
    assert_eq!(between(0, 101).await.unwrap(), 1);
    assert_eq!((between(0, 2).await.unwrap(), between(3, 101).await.unwrap()), (0, 0));
    assert!(between(5, 5).await.is_err());
    let log = log(&test, account_id, id).await;
    assert_eq!(log.len(), 5);
    assert_eq!(log[0].delivery.status, DeliveryStatus::Delivered, "it stays as it was");
    assert_eq!(log[3].delivery.replay_of, Some(first.id));
    assert!(!log[3].delivery.in_order);
    test.finish().await;
}

async fn more_than_a_page_is_sent_again_in_order(test: TestStore) {
    let account_id = test.account("1000").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    test.store.disable_endpoint(account_id, id, by(0)).await.unwrap();
    let all = (0..501).map(async |_| test.processing(account_id).await);
    futures_util::future::join_all(all).await;
    test.clock.set(at(100));
    enable(&test.context, account_id, id, false).await.unwrap();
    assert_eq!(deliver_queued(&test.context, account_id, id).await.unwrap(), 501);
    let log = test
        .store
        .list_deliveries(account_id, id, &LogQuery::default(), 2000)
        .await
        .unwrap()
        .deliveries;
    let repeated: Vec<DeliveryId> =
        log.iter().filter_map(|logged| logged.delivery.replay_of).collect();
    assert_eq!(repeated.len(), 501);
    assert!(repeated.windows(2).all(|pair| pair[0] > pair[1]), "newest first");
    test.finish().await;
}

async fn an_endpoint_that_failed_is_probed_with_the_oldest_event_after_its_cooldown(
    test: TestStore,
) {
    let account_id = test.account("10").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    let others = [EventName::WebhookDisabled];
    let other = test.endpoint(account_id, &others).await.state.id;
    test.processing(account_id).await;
    test.processing(account_id).await;
    let fault = EndpointFault { endpoint_id: id, reason: DisableReason::Quarantined, at: at(10) };
    assert!(test.store.disable(account_id, fault).await.unwrap());
    assert!(!test.store.disable(account_id, fault).await.unwrap());
    let queued = log(&test, account_id, id).await;
    assert_eq!(queued[0].delivery.queued_at, Some(at(10)));
    // The owner is told.
    let told = pending(&test, account_id, other).await;
    assert_eq!(told[0].event, EventName::WebhookDisabled);
    assert_eq!(told[0].data["webhook_disabled_reason"], "quarantined");
    let notified = test.store.list_notifications(account_id, None, 10).await.unwrap();
    assert_eq!(notified[0].kind, NotificationKind::WebhookDisabled);
    assert_eq!(notified[0].data, *told[0].data);
    let enable = async |seconds, force| {
        test.store.enable_endpoint(account_id, id, enabling(seconds, force), by(0)).await.unwrap()
    };
    let early = enable(69, false).await.unwrap_err();
    let until = at(70);
    assert_eq!(early, EndpointRefusal::NotYet(EnableRefusal::CoolingDown { until }));
    enable(69, true).await.unwrap();
    let state = async || test.store.find_endpoint(account_id, id).await.unwrap().unwrap().state;
    assert!(state().await.probing);
    let probe = pending(&test, account_id, id).await;
    assert_eq!(probe.len(), 1);
    assert_eq!(probe[0].replay_of, Some(queued[0].delivery.id), "the oldest");
    for number in 1..=TRIES_MAX {
        try_it(&test, &probe[0], number, Some("500"), at(80)).await;
    }
    let failed = state().await;
    assert_eq!(failed.disabled.unwrap().reason, DisableReason::ProbeFailed);
    assert_eq!(failed.cooldown.unwrap().length, Duration::from_secs(120), "doubled");
    enable(200, false).await.unwrap();
    let probe = pending(&test, account_id, id).await.remove(0);
    try_it(&test, &probe, 1, None, at(201)).await;
    let open = state().await;
    assert!(open.enabled && !open.probing && open.cooldown.is_none());
    test.finish().await;
}

async fn an_answer_of_410_disables_and_queues_what_is_pending(test: TestStore) {
    let account_id = test.account("10").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    test.processing(account_id).await;
    test.processing(account_id).await;
    let deliveries = pending(&test, account_id, id).await;
    let result = TryResult {
        status: Some(410),
        error: Some("the endpoint answered 410".to_owned()),
        at: at(9),
        ..TryResult::default()
    };
    let outcome = record(&test, &deliveries[0], 1, result).await;
    assert!(!outcome.endpoint_enabled);
    assert_eq!(statuses(&test, account_id, id).await, [DeliveryStatus::Queued; 2]);
    // One was on its way and has arrived all the same.
    try_it(&test, &deliveries[1], 1, None, at(10)).await;
    use DeliveryStatus::{Delivered, Queued};
    assert_eq!(statuses(&test, account_id, id).await, [Queued, Delivered]);
    test.finish().await;
}

async fn an_endpoint_that_asks_for_a_pause_is_not_due_until_it_is_over(test: TestStore) {
    let account_id = test.account("10").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    test.processing(account_id).await;
    test.processing(account_id).await;
    let delivery = pending(&test, account_id, id).await.remove(0);
    let result = TryResult {
        status: Some(429),
        error: Some("the endpoint answered 429".to_owned()),
        at: at(10),
        retry_after: Some(Duration::from_secs(60)),
        ..TryResult::default()
    };
    record(&test, &delivery, 1, result).await;
    let due =
        async |now| test.store.list_due_endpoints_any_account(at(now), None, 10).await.unwrap();
    assert!(due(69).await.is_empty());
    assert_eq!(test.store.backlog(at(69)).await.unwrap().delivery_due_at, None);
    assert_eq!(due(70).await, [(account_id, id)]);
    assert_eq!(test.store.backlog(at(70)).await.unwrap().delivery_due_at, Some(at(2)));
    test.finish().await;
}

async fn due_endpoints_are_listed_page_by_page(test: TestStore) {
    let account_id = test.account("10").await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let endpoint = test.endpoint(account_id, &[EventName::GenerationStarted]).await;
        ids.push((account_id, endpoint.state.id));
    }
    test.processing(account_id).await;
    let page =
        async |after| test.store.list_due_endpoints_any_account(at(100), after, 2).await.unwrap();
    assert_eq!(page(None).await, ids[..2]);
    assert_eq!(page(Some(ids[1])).await, ids[2..4]);
    assert_eq!(page(Some(ids[3])).await, ids[4..]);
    test.finish().await;
}

async fn a_try_that_is_recorded_twice_counts_once_and_is_in_the_log(test: TestStore) {
    let account_id = test.account("1").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    test.processing(account_id).await;
    let delivery = pending(&test, account_id, id).await.remove(0);
    let result = TryResult {
        status: Some(503),
        error: Some("the endpoint answered 503".to_owned()),
        at: at(9),
        took: Duration::from_millis(1234),
        excerpt: Some("{\"busy\": \"ä\"}".to_owned()),
        retry_after: None,
    };
    for number in [1, 1, 2, 1] {
        record(&test, &delivery, number, result.clone()).await;
    }
    let tries = test.store.list_tries(account_id, delivery.id).await.unwrap();
    assert_eq!(tries.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(tries[0].result, result);
    let logged = test.store.find_delivery(account_id, delivery.id).await.unwrap().unwrap();
    assert_eq!((logged.delivery.tries, logged.last_status), (2, Some(503)));
    let other = test.account("1").await;
    assert!(test.store.find_delivery(other, delivery.id).await.unwrap().is_none());
    assert!(test.store.list_tries(other, delivery.id).await.unwrap().is_empty());
    test.finish().await;
}

/// Whoever has tried a delivery says how it was before; here that is no longer true.
async fn what_is_believed_of_a_delivery_is_checked_when_it_is_written(test: TestStore) {
    let account_id = test.account("1").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    for _ in 0..5 {
        test.processing(account_id).await;
    }
    let [twice, arrived, failed, fine, gone] =
        pending(&test, account_id, id).await.try_into().unwrap();
    let success = |at| TryResult { status: Some(204), at, ..TryResult::default() };
    let failure = TryResult { error: Some("no".to_owned()), ..success(at(10)) };
    let calm =
        async |tried: Vec<DeliveryTried>| test.store.record_tries(account_id, tried).await.unwrap();
    for time in [at(10), at(11)] {
        let outcome = calm(vec![tried(&twice, 1, success(time), true)]).await.remove(0).unwrap();
        assert_eq!(
            (outcome.delivery.status, outcome.delivery.tries),
            (DeliveryStatus::Delivered, 1)
        );
    }
    assert_eq!(test.store.list_tries(account_id, twice.id).await.unwrap().len(), 1);
    // The rest is queued.
    assert!(test.store.disable_endpoint(account_id, id, by(12)).await.unwrap());
    let outcomes = calm(vec![
        tried(&arrived, 1, success(at(13)), true),
        tried(&failed, 1, failure, true),
        tried(&fine, 1, success(at(14)), true),
    ]);
    let statuses: Vec<DeliveryStatus> =
        outcomes.await.into_iter().map(|outcome| outcome.unwrap().delivery.status).collect();
    use DeliveryStatus::{Delivered, Queued};
    assert_eq!(statuses, [Delivered, Queued, Delivered]);
    let logged = test.store.find_delivery(account_id, failed.id).await.unwrap().unwrap();
    assert_eq!((logged.delivery.status, logged.delivery.tries), (Queued, 1));
    assert!(test.store.delete_endpoint(account_id, id, by(14)).await.unwrap());
    assert_eq!(calm(vec![tried(&gone, 1, success(at(15)), true)]).await, [None]);
    test.finish().await;
}

async fn pending_deliveries_are_listed_page_by_page(test: TestStore) {
    let account_id = test.account("1").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    for _ in 0..5 {
        test.processing(account_id).await;
    }
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        let page = test.store.list_pending(account_id, id, at(100), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.next_try_at, last.id));
        listed.extend(page);
    }
    assert_eq!(listed, pending(&test, account_id, id).await);
    assert_eq!(listed.len(), 5);
    test.finish().await;
}

async fn a_rotated_secret_may_go_on_beside_the_new_one(test: TestStore) {
    let account_id = test.account("1").await;
    let before = test.endpoint(account_id, &EventName::DEFAULT).await;
    let id = before.state.id;
    let find = async || test.store.find_endpoint(account_id, id).await.unwrap().unwrap();
    let rotated = rotate_secret(&test.context, account_id, id, 24).await.unwrap();
    let found = find().await;
    assert_eq!(found.secret.expose_secret(), rotated.secret.expose_secret());
    let (previous, until) = found.previous.unwrap();
    assert_eq!(previous.expose_secret(), before.secret.expose_secret());
    assert_eq!(Some(until), rotated.previous_until);
    rotate_secret(&test.context, account_id, id, 0).await.unwrap();
    assert!(find().await.previous.is_none());
    assert!(rotate_secret(&test.context, account_id, id, 169).await.is_err());
    test.finish().await;
}

async fn events_are_edited_and_only_those_that_can_be_asked_for(test: TestStore) {
    let account_id = test.account("1").await;
    let id = test.endpoint(account_id, &EventName::DEFAULT).await.state.id;
    let edit = async |events: &[EventName]| edit(&test.context, account_id, id, events).await;
    edit(&[EventName::CreditsLowBalance, EventName::GenerationFailed]).await.unwrap();
    let found = test.store.find_endpoint(account_id, id).await.unwrap().unwrap();
    let wanted = [EventName::GenerationFailed, EventName::CreditsLowBalance];
    assert_eq!(found.state.events, wanted);
    assert!(edit(&[EventName::WebhookTest]).await.is_err());
    assert!(edit(&[]).await.is_err());
    test.finish().await;
}

async fn try_it(
    test: &TestStore,
    delivery: &WebhookDelivery,
    number: u32,
    error: Option<&str>,
    at: DateTime<Utc>,
) -> TryOutcome {
    let status = if error.is_some() { 500 } else { 204 };
    let error = error.map(str::to_owned);
    let result = TryResult { status: Some(status), error, at, ..TryResult::default() };
    record(test, delivery, number, result).await
}

async fn record(
    test: &TestStore,
    delivery: &WebhookDelivery,
    number: u32,
    result: TryResult,
) -> TryOutcome {
    let tried = tried(delivery, number, result, false);
    let outcomes = test.store.record_tries(delivery.account_id, vec![tried]).await.unwrap();
    outcomes.into_iter().next().unwrap().unwrap()
}

fn tried(
    delivery: &WebhookDelivery,
    number: u32,
    result: TryResult,
    endpoint_calm: bool,
) -> DeliveryTried {
    let delivery = WebhookDelivery { tries: number - 1, ..delivery.clone() };
    DeliveryTried { delivery, endpoint_calm, spread: 0.5, result }
}

async fn a_delivery_is_tried_until_its_tries_are_used_up(test: TestStore) {
    let account_id = test.account("1").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    test.processing(account_id).await;
    let delivery = pending(&test, account_id, id).await.pop().unwrap();
    assert_eq!((delivery.tries, delivery.event), (0, EventName::GenerationStarted));
    for tries in 1..5 {
        let outcome = try_it(&test, &delivery, tries, Some("500"), at(10)).await;
        assert_eq!(
            (outcome.delivery.status, outcome.delivery.tries),
            (DeliveryStatus::Pending, tries)
        );
        let waiting = pending(&test, account_id, id).await.pop().unwrap();
        assert_eq!(waiting, outcome.delivery);
        assert_eq!(waiting.next_try_at, at(11));
    }
    let outcome = try_it(&test, &delivery, 5, Some("500"), at(20)).await;
    assert_eq!(outcome.delivery.status, DeliveryStatus::Exhausted);
    assert!(outcome.endpoint_enabled);
    assert!(pending(&test, account_id, id).await.is_empty());
    let late = try_it(&test, &delivery, 6, None, at(21)).await;
    assert_eq!(late.delivery.status, DeliveryStatus::Exhausted, "what has ended stays");
    let endpoint = test.store.find_endpoint(account_id, id).await.unwrap().unwrap();
    assert_eq!(endpoint.state.exhausted_in_a_row, 1);
    test.finish().await;
}

async fn exhaust(test: &TestStore, account_id: AccountId, id: EndpointId) -> TryOutcome {
    test.processing(account_id).await;
    let delivery = pending(test, account_id, id).await.pop().unwrap();
    for number in 1..5 {
        try_it(test, &delivery, number, Some("timeout"), at(10)).await;
    }
    try_it(test, &delivery, 5, Some("timeout"), at(20)).await
}

async fn fifteen_exhausted_deliveries_in_a_row_disable_an_endpoint(test: TestStore) {
    let account_id = test.account("10").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    for number in 1..=15 {
        let outcome = exhaust(&test, account_id, id).await;
        assert_eq!(outcome.endpoint_enabled, number < 15, "after {number}");
    }
    let enabled =
        test.store.enable_endpoint(account_id, id, enabling(1000, false), by(0)).await.unwrap();
    assert_eq!(enabled, Ok(()));
    let endpoint = test.store.find_endpoint(account_id, id).await.unwrap().unwrap();
    assert_eq!((endpoint.state.enabled, endpoint.state.exhausted_in_a_row), (true, 0));
    test.finish().await;
}

async fn a_success_begins_the_count_again(test: TestStore) {
    let account_id = test.account("10").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    exhaust(&test, account_id, id).await;
    test.processing(account_id).await;
    let delivery = pending(&test, account_id, id).await.pop().unwrap();
    let outcome = try_it(&test, &delivery, 1, None, at(10)).await;
    assert_eq!(outcome.delivery.status, DeliveryStatus::Delivered);
    let endpoint = test.store.find_endpoint(account_id, id).await.unwrap().unwrap();
    assert_eq!(endpoint.state.exhausted_in_a_row, 0);
    test.finish().await;
}
