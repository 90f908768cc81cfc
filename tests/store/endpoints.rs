//! Webhook endpoints and their deliveries.

use actors::batch::{DeliveryTried, TryOutcome};
use actors::id::{AccountId, EndpointId};
use actors::ports::{DeliveryStore, EndpointRefusal, EndpointStore, IdSource};
use actors::webhook::{DeliveryStatus, EventName, TryResult, WebhookDelivery};
use babysea::address_guard::UrlProblem;
use babysea::identity::{IdentityError, NewEndpoint, create_endpoint};
use babysea::ids::SystemIds;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;

use crate::support::{TestStore, at, completed};

on_both!(
    an_endpoint_is_stored_as_it_was_made,
    what_cannot_receive_webhooks_is_refused,
    the_number_of_endpoints_is_bounded,
    an_endpoint_belongs_to_its_account,
    a_disabled_endpoint_keeps_its_deliveries_and_is_told_nothing,
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
    let refused = make("http://hooks.example.com/", &EventName::ALL).await;
    assert!(matches!(refused, IdentityError::Url(UrlProblem::Scheme)), "{refused}");
    let refused = make("https://10.0.0.1/", &EventName::ALL).await;
    assert!(matches!(refused, IdentityError::Url(UrlProblem::Address(_))), "{refused}");
    let refused = make("https://hooks.example.com/", &[]).await;
    assert!(matches!(refused, IdentityError::Invalid { field: "the events", .. }), "{refused}");
    assert!(test.store.list_endpoints(account_id).await.unwrap().is_empty());
    test.finish().await;
}

async fn the_number_of_endpoints_is_bounded(test: TestStore) {
    let account_id = test.account("1").await;
    let endpoint = test.endpoint(account_id, &EventName::ALL).await;
    let mut next = endpoint.clone();
    next.state.id = EndpointId(SystemIds.next());
    let refused = test.store.create_endpoint(next.clone(), 1).await.unwrap();
    assert_eq!(refused, Err(EndpointRefusal::TooMany(1)));
    next.state.account_id = AccountId(SystemIds.next());
    let refused = test.store.create_endpoint(next, 10).await.unwrap();
    assert_eq!(refused, Err(EndpointRefusal::UnknownAccount));
    test.finish().await;
}

async fn an_endpoint_belongs_to_its_account(test: TestStore) {
    let (owner, other) = (test.account("1").await, test.account("1").await);
    let id = test.endpoint(owner, &EventName::ALL).await.state.id;
    assert!(test.store.find_endpoint(other, id).await.unwrap().is_none());
    assert!(!test.store.set_endpoint_enabled(other, id, false).await.unwrap());
    assert!(!test.store.delete_endpoint(other, id).await.unwrap());
    let found = test.store.find_endpoint_owner_any_account(id).await.unwrap();
    assert_eq!(found, Some(owner));
    test.processing(owner).await;
    assert!(test.store.delete_endpoint(owner, id).await.unwrap(), "with its deliveries");
    assert!(!test.store.delete_endpoint(owner, id).await.unwrap());
    assert_eq!(test.store.find_endpoint_owner_any_account(id).await.unwrap(), None);
    test.finish().await;
}

async fn pending(test: &TestStore, account_id: AccountId, id: EndpointId) -> Vec<WebhookDelivery> {
    test.store.list_pending(account_id, id, 100).await.unwrap()
}

async fn a_disabled_endpoint_keeps_its_deliveries_and_is_told_nothing(test: TestStore) {
    let account_id = test.account("1").await;
    let id = test.endpoint(account_id, &EventName::ALL).await.state.id;
    let generation = test.processing(account_id).await;
    let due = async || test.store.list_due_endpoints_any_account(at(100), 10).await.unwrap();
    assert_eq!(due().await, [(account_id, id)]);
    assert!(test.store.set_endpoint_enabled(account_id, id, false).await.unwrap());
    test.advance(&generation, vec![completed(1)]).await.unwrap();
    assert!(due().await.is_empty());
    assert_eq!(pending(&test, account_id, id).await.len(), 2, "they wait");
    assert!(test.store.set_endpoint_enabled(account_id, id, true).await.unwrap());
    assert_eq!(due().await, [(account_id, id)]);
    test.finish().await;
}

async fn try_it(
    test: &TestStore,
    delivery: &WebhookDelivery,
    error: Option<&str>,
    at: DateTime<Utc>,
) -> TryOutcome {
    let status = if error.is_some() { 500 } else { 204 };
    let result = TryResult { status: Some(status), error: error.map(str::to_owned), at };
    let tried = DeliveryTried { delivery_id: delivery.id, result };
    test.store.record_try(delivery.account_id, tried).await.unwrap().unwrap()
}

async fn a_delivery_is_tried_until_its_tries_are_used_up(test: TestStore) {
    let account_id = test.account("1").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    test.processing(account_id).await;
    let delivery = pending(&test, account_id, id).await.pop().unwrap();
    assert_eq!((delivery.tries, delivery.event), (0, EventName::GenerationStarted));
    for tries in 1..5 {
        let outcome = try_it(&test, &delivery, Some("500"), at(10)).await;
        assert_eq!(
            (outcome.delivery.status, outcome.delivery.tries),
            (DeliveryStatus::Pending, tries)
        );
        let waiting = pending(&test, account_id, id).await.pop().unwrap();
        assert_eq!(waiting, outcome.delivery);
        assert_eq!(waiting.next_try_at, at(11));
    }
    let outcome = try_it(&test, &delivery, Some("500"), at(20)).await;
    assert_eq!(outcome.delivery.status, DeliveryStatus::Exhausted);
    assert!(outcome.endpoint_enabled);
    assert!(pending(&test, account_id, id).await.is_empty());
    let late = try_it(&test, &delivery, None, at(21)).await;
    assert_eq!(late.delivery.status, DeliveryStatus::Exhausted, "what has ended stays");
    let endpoint = test.store.find_endpoint(account_id, id).await.unwrap().unwrap();
    assert_eq!(endpoint.state.exhausted_in_a_row, 1);
    test.finish().await;
}

async fn exhaust(test: &TestStore, account_id: AccountId, id: EndpointId) -> TryOutcome {
    test.processing(account_id).await;
    let delivery = pending(test, account_id, id).await.pop().unwrap();
    for _ in 1..5 {
        try_it(test, &delivery, Some("timeout"), at(10)).await;
    }
    try_it(test, &delivery, Some("timeout"), at(20)).await
}

async fn fifteen_exhausted_deliveries_in_a_row_disable_an_endpoint(test: TestStore) {
    let account_id = test.account("10").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    for number in 1..=15 {
        let outcome = exhaust(&test, account_id, id).await;
        assert_eq!(outcome.endpoint_enabled, number < 15, "after {number}");
    }
    test.store.set_endpoint_enabled(account_id, id, true).await.unwrap();
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
    let outcome = try_it(&test, &delivery, None, at(10)).await;
    assert_eq!(outcome.delivery.status, DeliveryStatus::Delivered);
    let endpoint = test.store.find_endpoint(account_id, id).await.unwrap().unwrap();
    assert_eq!(endpoint.state.exhausted_in_a_row, 0);
    test.finish().await;
}
