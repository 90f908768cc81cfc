//! Looking through requests, activity and generations.

use std::sync::Arc;
use std::time::Duration;

use actors::activity::{Activity, Actor, By};
use actors::api_key::{ApiKey, KeyStatus};
use actors::failure::{Failure, FailureCode};
use actors::generation::{Event, Status};
use actors::id::{AccountId, ActivityId};
use actors::logged_request::{LoggedRequest, RequestLine, StatusClass};
use actors::ports::credits::CreditStore;
use actors::ports::logs::{GenerationFilter, LogStore, Page, RequestFilter, Window};
use actors::ports::{IdSource, KeyStore, RequestLogStore};
use actors::webhook::EventName;
use babysea::identity::{NewKey, create_key};
use babysea::ids::SystemIds;

use crate::support::{TestStore, at, by, completed};

on_both!(
    a_log_is_paged_in_both_directions_and_within_a_time,
    requests_are_found_by_key_class_and_text,
    a_search_ends_after_so_many_rows_and_goes_on_with_the_next_page,
    generations_are_found_by_state_model_and_id,
    activity_is_found_by_category_and_by_what_it_says,
    a_generation_tells_its_credit_and_its_deliveries,
);

async fn key(test: &TestStore, account_id: AccountId, name: &str) -> Arc<ApiKey> {
    Arc::new(create_key(&test.context, NewKey::full_access(account_id, name)).await.unwrap().key)
}

fn request(key: &Arc<ApiKey>, second: i64, status: u16) -> LoggedRequest {
    LoggedRequest {
        id: SystemIds.next_at(at(second)),
        key: Arc::clone(key),
        key_status: KeyStatus::Active,
        method: "GET".to_owned(),
        endpoint: "/v1/status".to_owned(),
        query: Some("days=7".to_owned()),
        status,
        code: (status >= 400).then_some("BSE1005"),
        replayed: status == 201,
        ip_hash: "ab".repeat(32),
        user_agent: None,
        at: at(second),
        took: Duration::from_micros(1500),
    }
}

async fn found(
    test: &TestStore,
    account_id: AccountId,
    window: &Window,
    filter: RequestFilter,
) -> Page<RequestLine> {
    test.store.search_requests(account_id, window, &filter, 3).await.unwrap()
}

fn seconds(page: &Page<RequestLine>) -> Vec<i64> {
    page.rows.iter().map(|line| (line.at - at(0)).num_seconds()).collect()
}

async fn a_log_is_paged_in_both_directions_and_within_a_time(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    let key = key(&test, account, "farm").await;
    let lines = (0..7).map(|second| request(&key, second, 200)).collect();
    test.store.log_requests(lines).await.unwrap();
    let any = RequestFilter::default;
    let mut window = Window::default();
    let mut seen = Vec::new();
    loop {
        let page = found(&test, account, &window, any()).await;
        seen.extend(seconds(&page));
        let Some(next) = page.next else { break };
        window.after = Some(next);
    }
    assert_eq!(seen, [6, 5, 4, 3, 2, 1, 0]);
    let oldest = Window { oldest_first: true, ..Window::default() };
    let page = found(&test, account, &oldest, any()).await;
    assert_eq!(seconds(&page), [0, 1, 2]);
    let page = found(&test, account, &Window { after: page.next, ..oldest }, any()).await;
    assert_eq!(seconds(&page), [3, 4, 5]);
    let middle = Window { from: Some(at(2)), until: Some(at(4)), ..Window::default() };
    assert_eq!(seconds(&found(&test, account, &middle, any()).await), [3, 2]);
    assert!(found(&test, other, &Window::default(), any()).await.rows.is_empty());
    test.finish().await;
}

async fn requests_are_found_by_key_class_and_text(test: TestStore) {
    let account = test.account("1").await;
    let (farm, desk) = (key(&test, account, "Farm").await, key(&test, account, "desk").await);
    let lines = [(&farm, 200), (&desk, 304), (&farm, 429), (&desk, 500), (&farm, 201)];
    let lines = lines.into_iter().zip(0..).map(|((key, status), at)| request(key, at, status));
    test.store.log_requests(lines.collect()).await.unwrap();
    let all = Window::default();
    for (class, expected) in [
        (StatusClass::Success, vec![4, 0]),
        (StatusClass::Redirect, vec![1]),
        (StatusClass::ClientError, vec![2]),
        (StatusClass::ServerError, vec![3]),
    ] {
        let filter = RequestFilter { class: Some(class), key: None };
        assert_eq!(seconds(&found(&test, account, &all, filter).await), expected, "{class:?}");
    }
    let of_desk = |class| RequestFilter { key: Some(desk.id), class };
    assert_eq!(seconds(&found(&test, account, &all, of_desk(None)).await), [3, 1]);
    let failed = of_desk(Some(StatusClass::ServerError));
    assert_eq!(seconds(&found(&test, account, &all, failed).await), [3]);
    for (text, expected) in [
        ("farm", vec![4, 2, 0]),
        ("429", vec![2]),
        ("replay", vec![4]),
        ("bse1005", vec![3, 2]),
        ("100%", vec![]),
    ] {
        let window = Window { text: Some(text.to_owned()), ..Window::default() };
        let page = found(&test, account, &window, RequestFilter::default()).await;
        assert_eq!((seconds(&page), page.next), (expected, None), "{text}");
    }
    test.store.delete_key(account, farm.id, by(9)).await.unwrap();
    let left = found(&test, account, &all, RequestFilter::default()).await;
    assert_eq!(seconds(&left), [3, 1], "rows go with their key");
    test.finish().await;
}

async fn a_search_ends_after_so_many_rows_and_goes_on_with_the_next_page(test: TestStore) {
    let account = test.account("1").await;
    let (farm, rare) = (key(&test, account, "farm").await, key(&test, account, "rare").await);
    let mut lines = vec![request(&rare, 0, 200)];
    lines.extend((1..=2500).map(|second| request(&farm, second, 200)));
    test.store.log_requests(lines).await.unwrap();
    let mut window = Window { text: Some("rare".to_owned()), ..Window::default() };
    let page = found(&test, account, &window, RequestFilter::default()).await;
    assert!(page.rows.is_empty());
    window.after = Some(page.next.expect("there is more to look at"));
    let page = found(&test, account, &window, RequestFilter::default()).await;
    assert_eq!((seconds(&page), page.next), (vec![0], None));
    let by_key = RequestFilter { key: Some(rare.id), class: None };
    let page = found(&test, account, &Window::default(), by_key).await;
    assert_eq!(seconds(&page), [0], "an index knows the keys");
    test.finish().await;
}

async fn generations_are_found_by_state_model_and_id(test: TestStore) {
    let (account, other) = (test.account("10").await, test.account("1").await);
    let running = test.processing(account).await;
    let done = test.processing(account).await;
    test.advance(&done, vec![completed(1)]).await.unwrap();
    let failed = test.processing(account).await;
    let failure = Failure::new(FailureCode::ProviderError, "the model is on fire");
    let events = vec![
        Event::AttemptFailed { attempt: 1, failure: failure.clone(), at: at(3) },
        Event::Failed { failure, at: at(3) },
    ];
    test.advance(&failed, events).await.unwrap();
    let search = async |account, window: Window, filter: GenerationFilter| {
        let page = test.store.search_generations(account, &window, &filter, 10).await.unwrap();
        page.rows.iter().map(|generation| generation.id).collect::<Vec<_>>()
    };
    let (all, any) = (Window::default, GenerationFilter::default);
    assert_eq!(search(account, all(), any()).await, [failed.id, done.id, running.id]);
    let oldest = Window { oldest_first: true, ..all() };
    assert_eq!(search(account, oldest, any()).await, [running.id, done.id, failed.id]);
    let newest = test.store.newest_generations(account, 2).await.unwrap();
    assert_eq!(newest, [(failed.id, "failed".to_owned()), (done.id, "succeeded".to_owned())]);
    for (status, id) in [
        (Status::Processing, running.id),
        (Status::Succeeded, done.id),
        (Status::Failed, failed.id),
    ] {
        let filter = GenerationFilter { status: Some(status), ..any() };
        assert_eq!(search(account, all(), filter).await, [id], "{status:?}");
    }
    let model = |name: &str| GenerationFilter { model: Some(name.to_owned()), ..any() };
    assert_eq!(search(account, all(), model("sandbox/failover")).await.len(), 3);
    assert!(search(account, all(), model("sandbox/inline")).await.is_empty());
    let text = |text: &str| Window { text: Some(text.to_owned()), ..all() };
    assert_eq!(search(account, text("on fire"), any()).await, [failed.id]);
    assert_eq!(search(account, text(&done.id.to_string()), any()).await, [done.id]);
    assert!(search(account, text("a test"), any()).await.is_empty(), "prompts are not searched");
    assert!(search(other, text(&done.id.to_string()), any()).await.is_empty());
    test.finish().await;
}

async fn activity_is_found_by_category_and_by_what_it_says(test: TestStore) {
    let account = test.account("1").await;
    let farm = key(&test, account, "farm").await;
    let endpoint = test.endpoint(account, &[EventName::GenerationFailed]).await;
    let by_farm = By { actor: Actor::Key(farm.id), id: ActivityId(SystemIds.next()), at: at(5) };
    test.store.revoke_key(account, farm.id, by_farm).await.unwrap();
    let search = async |text: Option<&str>, category: Option<&str>| -> Vec<Activity> {
        let window = Window { text: text.map(str::to_owned), ..Window::default() };
        test.store.search_activities(account, &window, category, 10).await.unwrap().rows
    };
    let names = |rows: &[Activity]| -> Vec<String> {
        rows.iter().map(|row| format!("{}.{}", row.category, row.action)).collect()
    };
    let webhook = search(None, Some("webhook")).await;
    assert_eq!(names(&webhook), ["webhook.created"]);
    assert!(webhook[0].description.contains(&endpoint.state.id.to_string()));
    assert_eq!(names(&search(Some("key.revoked"), None).await), ["api_key.revoked"]);
    let farms = search(Some("farm"), None).await;
    assert_eq!(farms.len(), 2, "as what it was done to, and as who did it: {farms:?}");
    assert_eq!(farms.iter().filter(|row| row.actor == "farm").count(), 1);
    assert!(search(Some("rocket"), None).await.is_empty());
    test.finish().await;
}

async fn a_generation_tells_its_credit_and_its_deliveries(test: TestStore) {
    let (account, other) = (test.account("10").await, test.account("1").await);
    test.endpoint(account, &[EventName::GenerationStarted, EventName::GenerationCompleted]).await;
    let generation = test.processing(account).await;
    test.processing(account).await;
    test.advance(&generation, vec![completed(1)]).await.unwrap();
    let entries = test.store.list_entries_of(account, generation.id).await.unwrap();
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["reserve", "charge"]);
    let deliveries = test.store.generation_deliveries(account, generation.id, 10).await.unwrap();
    let events: Vec<_> = deliveries.iter().map(|one| one.delivery.event.as_str()).collect();
    assert_eq!(events, ["generation.started", "generation.completed"]);
    assert!(test.store.list_entries_of(other, generation.id).await.unwrap().is_empty());
    assert!(test.store.generation_deliveries(other, generation.id, 10).await.unwrap().is_empty());
    test.finish().await;
}
