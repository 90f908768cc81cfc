//! Looking for deliveries in the log of an endpoint, and what owners were told.

use actors::alert::AlertSettings;
use actors::batch::DeliveryTried;
use actors::generation::NewAttempt;
use actors::id::{AccountId, EndpointId, GenerationId, NotificationId};
use actors::notification::Notification;
use actors::ports::deliveries::{
    DeliveryLog, EndpointHealth, LogFilter, LogPage, LogQuery, NotificationStore,
};
use actors::ports::{DeliveryStore, EndpointStore, GenerationStore, IdSource};
use actors::webhook::{DeliveryStatus, EventName, TryResult, WebhookDelivery};
use babysea::endpoint_admin::{deliver_queued, enable, set_alerts};
use babysea::ids::SystemIds;

use crate::support::{TRIES_MAX, TestStore, at, attempt, by, completed, credits, new};

on_both!(
    a_log_is_narrowed_to_how_deliveries_stand,
    a_log_is_read_page_by_page,
    a_log_is_searched_for_events_errors_codes_and_ids,
    the_health_of_an_endpoint_is_its_last_deliveries_and_what_waits,
    notifications_are_read_and_dismissed_by_their_account_only,
);

/// An endpoint and its deliveries: started, delivered; completed, given up; then queued twice.
async fn endpoint_with_log(test: &TestStore, account_id: AccountId) -> EndpointId {
    let id = test.endpoint(account_id, &EventName::DEFAULT).await.state.id;
    let generation = test.processing(account_id).await;
    test.advance(&generation, vec![completed(1)]).await.unwrap();
    let pending = test.store.list_pending(account_id, id, at(1000), None, 10).await.unwrap();
    record(test, account_id, &pending[0], 1, Some(204), None).await;
    for number in 1..=TRIES_MAX {
        let error = "the endpoint answered 503 in 100% of tries";
        record(test, account_id, &pending[1], number, Some(503), Some(error)).await;
    }
    test.store.disable_endpoint(account_id, id, by(20)).await.unwrap();
    let queued = test.processing(account_id).await;
    test.advance(&queued, vec![completed(1)]).await.unwrap();
    id
}

async fn record(
    test: &TestStore,
    account_id: AccountId,
    delivery: &WebhookDelivery,
    number: u32,
    status: Option<u16>,
    error: Option<&str>,
) {
    let error = error.map(str::to_owned);
    let result = TryResult { status, error, at: at(10), ..TryResult::default() };
    let delivery = WebhookDelivery { tries: number - 1, ..delivery.clone() };
    let tried = DeliveryTried { delivery, endpoint_calm: false, spread: 0.5, result };
    let outcomes = test.store.record_tries(account_id, vec![tried]).await.unwrap();
    assert!(outcomes[0].is_some());
}

async fn list(
    test: &TestStore,
    account_id: AccountId,
    id: EndpointId,
    query: LogQuery,
    limit: u32,
) -> LogPage {
    test.store.list_deliveries(account_id, id, &query, limit).await.unwrap()
}

fn statuses(page: &LogPage) -> Vec<DeliveryStatus> {
    page.deliveries.iter().map(|logged| logged.delivery.status).collect()
}

async fn a_log_is_narrowed_to_how_deliveries_stand(test: TestStore) {
    use DeliveryStatus::{Delivered, Exhausted, Pending, Queued, Resent};
    let (account_id, other) = (test.account("10").await, test.account("10").await);
    let id = endpoint_with_log(&test, account_id).await;
    let of = async |filter| {
        let query = LogQuery { filter, ..LogQuery::default() };
        statuses(&list(&test, account_id, id, query, 10).await)
    };
    assert_eq!(of(None).await, [Queued, Queued, Exhausted, Delivered]);
    assert_eq!(of(Some(LogFilter::Delivered)).await, [Delivered]);
    assert_eq!(of(Some(LogFilter::Failed)).await, [Exhausted]);
    assert_eq!(of(Some(LogFilter::Queued)).await, [Queued; 2]);
    assert!(of(Some(LogFilter::Pending)).await.is_empty());
    test.clock.set(at(1000));
    enable(&test.context, account_id, id, false).await.unwrap();
    deliver_queued(&test.context, account_id, id).await.unwrap();
    assert_eq!(of(Some(LogFilter::Pending)).await, [Pending; 2]);
    assert_eq!(of(None).await[2..4], [Resent; 2]);
    assert!(of(Some(LogFilter::Queued)).await.is_empty());
    let foreign = list(&test, other, id, LogQuery::default(), 10).await;
    assert!(foreign.deliveries.is_empty() && foreign.next.is_none());
    test.finish().await;
}

async fn a_log_is_read_page_by_page(test: TestStore) {
    let account_id = test.account("10").await;
    let id = test.endpoint(account_id, &[EventName::GenerationStarted]).await.state.id;
    for _ in 0..4 {
        test.processing(account_id).await;
    }
    let all = list(&test, account_id, id, LogQuery::default(), 4).await;
    assert_eq!((all.deliveries.len(), all.next), (4, None), "and there are no more");
    let first = list(&test, account_id, id, LogQuery::default(), 3).await;
    assert_eq!(first.next, Some(first.deliveries[2].delivery.id));
    let query = LogQuery { before: first.next, ..LogQuery::default() };
    let second = list(&test, account_id, id, query, 3).await;
    assert_eq!((&second.deliveries[..], second.next), (&all.deliveries[3..], None));
    test.finish().await;
}

async fn a_log_is_searched_for_events_errors_codes_and_ids(test: TestStore) {
    let account_id = test.account("10").await;
    let id = endpoint_with_log(&test, account_id).await;
    let of = async |text: &str| {
        let query = LogQuery { text: Some(text.to_owned()), ..LogQuery::default() };
        list(&test, account_id, id, query, 10).await.deliveries
    };
    assert_eq!(of("generation.").await.len(), 4);
    assert_eq!(of("started").await.len(), 2);
    assert_eq!(of("503").await.len(), 1);
    assert_eq!(of("in 100% of").await.len(), 1);
    for nothing in ["100_ of", "%%", "rocket", "!"] {
        assert!(of(nothing).await.is_empty(), "{nothing}");
    }
    let found = of("204").await.remove(0).delivery;
    let generation_id = found.generation_id.unwrap().to_string();
    assert_eq!(of(&generation_id).await.len(), 2, "of one generation");
    assert_eq!(of(&found.id.to_string()).await[0].delivery, found);
    let failed = LogQuery {
        text: Some("started".to_owned()),
        filter: Some(LogFilter::Failed),
        ..LogQuery::default()
    };
    assert!(list(&test, account_id, id, failed, 10).await.deliveries.is_empty());
    test.finish().await;
}

async fn the_health_of_an_endpoint_is_its_last_deliveries_and_what_waits(test: TestStore) {
    use DeliveryStatus::{Exhausted, Pending, Queued};
    let account_id = test.account("10").await;
    let id = endpoint_with_log(&test, account_id).await;
    let health =
        async |recent, max| test.store.endpoint_health(account_id, id, recent, max).await.unwrap();
    let recent = vec![Queued, Queued, Exhausted];
    assert_eq!(health(3, 10).await, EndpointHealth { recent, pending: 0, queued: 2 });
    assert_eq!(health(1, 1).await, EndpointHealth { recent: vec![Queued], pending: 0, queued: 1 });
    test.clock.set(at(1000));
    enable(&test.context, account_id, id, false).await.unwrap();
    deliver_queued(&test.context, account_id, id).await.unwrap();
    let recent = vec![Pending, Pending];
    assert_eq!(health(2, 10).await, EndpointHealth { recent, pending: 2, queued: 0 });
    test.finish().await;
}

async fn notifications_are_read_and_dismissed_by_their_account_only(test: TestStore) {
    let (account_id, other) = (test.account("0.600").await, test.account("10").await);
    // Each falls below another threshold.
    let thresholds = ["0.550", "0.450", "0.350"].map(credits).to_vec();
    let settings = AlertSettings { thresholds, ..AlertSettings::default() };
    set_alerts(&test.context, account_id, settings).await.unwrap();
    for hour in 1..=3 {
        let mut wanted = new(account_id, GenerationId(SystemIds.next()));
        wanted.created_at = at(hour * 3600);
        let deadline_at = at(hour * 3600 + 99);
        let first = NewAttempt { at: at(hour * 3600), deadline_at, ..attempt() };
        test.store.accept(wanted, first).await.unwrap().unwrap();
    }
    let store = &test.store;
    let all = store.list_notifications(account_id, None, 10).await.unwrap();
    let ids = |page: &[Notification]| page.iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|one| one.read_at.is_none()));
    let second = store.list_notifications(account_id, Some(all[0].id), 1).await.unwrap();
    assert_eq!(ids(&second), [all[1].id]);
    let unread = async || store.count_unread(account_id, 100).await.unwrap();
    assert_eq!((unread().await, store.count_unread(account_id, 2).await.unwrap()), (3, 2));
    let read = async |account, id| store.read_notifications(account, id, at(9)).await.unwrap();
    assert_eq!((read(other, None).await, read(other, Some(all[0].id)).await), (0, 0));
    assert_eq!(read(account_id, Some(all[0].id)).await, 1);
    assert_eq!(read(account_id, Some(all[0].id)).await, 0, "once");
    assert_eq!((unread().await, read(account_id, None).await, unread().await), (2, 2, 0));
    let kept = store.list_notifications(account_id, None, 10).await.unwrap();
    assert!(kept.iter().all(|one| one.read_at == Some(at(9))));
    let dismiss = async |account, id| store.dismiss_notification(account, id).await.unwrap();
    assert!(!dismiss(other, all[1].id).await);
    assert!(!dismiss(account_id, NotificationId(SystemIds.next())).await);
    assert!(dismiss(account_id, all[1].id).await);
    let left = store.list_notifications(account_id, None, 10).await.unwrap();
    assert_eq!(ids(&left), [all[0].id, all[2].id]);
    test.finish().await;
}
