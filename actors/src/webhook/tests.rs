//! What is sent, byte for byte.

use providers::{Error, JobRef};
use uuid::Uuid;

use super::*;
use crate::fakes::new_generation;
use crate::generation::{Event, NewAttempt, StoredFile};

fn at() -> DateTime<Utc> {
    "2026-06-02T08:15:14.002Z".parse().unwrap()
}

/// The generation of the contract's examples after these events.
fn example(events: Vec<Event>) -> Generation {
    let fal = providers::name::ProviderName::Fal;
    let mut new = new_generation(Uuid::nil(), &[fal], at());
    new.account_id = AccountId::parse("3f6c1d0e-8b1a-4d57-9c7e-51d0a6b2e904").unwrap();
    new.id = GenerationId::parse("b7d2f0a4-6e35-4c1f-8a90-2f4be1c6d713").unwrap();
    new.model = "bfl/flux-schnell".to_owned();
    let mut generation = Generation::new(new);
    let started = NewAttempt {
        correlation: Uuid::nil(),
        provider: fal,
        raw_model: String::new(),
        cost: None,
        at: at(),
        deadline_at: at(),
    };
    for event in [vec![Event::AttemptStarted(started)], events].concat() {
        generation.apply(event).unwrap();
    }
    generation
}

fn accepted() -> Event {
    Event::Accepted { attempt: 1, job: JobRef("pj-5520ce1b".to_owned()), cost: None, at: at() }
}

fn succeeded() -> Generation {
    let key = "us/b7d2f0a4/0.webp".to_owned();
    let outputs = vec![StoredFile { key, bytes: 1 }];
    let completed =
        Event::Completed { attempt: 1, outputs, predict_time: None, cost: None, at: at() };
    example(vec![accepted(), completed])
}

/// `webhook_data` as it is sent.
fn data(generation: &Generation) -> String {
    let urls = |file: &StoredFile| format!("https://files.example.net/files/{}", file.key);
    let files: Vec<String> = generation.kept_files().iter().map(urls).collect();
    generation_data(generation, &files).to_string()
}

/// The part that every example begins with.
const WHOSE: &str = concat!(
    r#"{"account_id":"3f6c1d0e-8b1a-4d57-9c7e-51d0a6b2e904","#,
    r#""model_identifier":"bfl/flux-schnell","#
);
const ID: &str = r#""generation_id":"b7d2f0a4-6e35-4c1f-8a90-2f4be1c6d713""#;
const JOB: &str = r#""generation_prediction_id":"pj-5520ce1b","#;

#[test]
fn a_started_generation_is_told_as_in_the_contract() {
    let status = r#""generation_provider_initialize":"fal","generation_status":"processing","#;
    let wanted = format!("{WHOSE}{status}{JOB}{ID}}}");
    assert_eq!(data(&example(vec![accepted()])), wanted);
}

#[test]
fn a_failed_generation_is_told_as_in_the_contract() {
    let failed = Event::Failed { failure: Error::TimedOut.into(), at: at() };
    let error = concat!(
        r#","generation_error":"The provider did not answer in time.","#,
        r#""generation_error_code":"BSE4001"}"#
    );
    let wanted = format!(r#"{WHOSE}"generation_status":"failed",{ID}{error}"#);
    assert_eq!(data(&example(vec![accepted(), failed])), wanted);
}

#[test]
fn a_canceled_generation_is_told_as_in_the_contract() {
    let canceled = Event::Canceled { at: at() };
    let status = r#""generation_status":"canceled","#;
    let wanted = format!(r#"{WHOSE}{status}{JOB}{ID},"credits_refunded":true}}"#);
    assert_eq!(data(&example(vec![accepted(), canceled.clone()])), wanted);
    // What is not known is left out.
    let wanted = format!(r#"{WHOSE}{status}{ID},"credits_refunded":true}}"#);
    assert_eq!(data(&example(vec![canceled])), wanted);
}

#[test]
fn a_completed_generation_is_sent_byte_for_byte_as_in_the_contract() {
    let generation = succeeded();
    // The contract's file server has no `/files` in its URLs.
    let data = data(&generation).replace("/files/us/", "/us/");
    let delivery = WebhookDelivery {
        account_id: generation.account_id,
        endpoint_id: EndpointId(Uuid::nil()),
        id: DeliveryId::parse("5a1e93c8-0f47-4b2d-a6d8-73c9e0b1f264").unwrap(),
        event: EventName::GenerationCompleted,
        generation_id: Some(generation.id),
        data: serde_json::from_str(&data).unwrap(),
        ..WebhookDelivery::blank(at())
    };
    let secret = "whsec_0123456789abcdef0123456789abcdef";
    let body = delivery.body();
    let headers = delivery.headers(&body, &endpoint(secret), at());
    let wanted = "t=1780388114,v1=235a6d4b6f2d2ed8e67fdf44d635cbb405a17432ed8d972070c48764cd802d98";
    assert_eq!(headers[1], ("x-babysea-signature", wanted.to_owned()), "{body}");
}

/// An endpoint with this secret.
pub(super) fn endpoint(secret: &str) -> WebhookEndpoint {
    let (account_id, id) = (AccountId(Uuid::nil()), EndpointId(Uuid::nil()));
    WebhookEndpoint {
        state: EndpointState::new(account_id, id, EventName::DEFAULT.to_vec()),
        url: "https://hooks.test/".parse().unwrap(),
        secret: SecretString::from(secret),
        previous: None,
        created_at: at(),
    }
}

/// A failed try.
pub(super) fn failed(status: u16, at: DateTime<Utc>) -> TryResult {
    TryResult { status: Some(status), error: Some("no".to_owned()), at, ..TryResult::default() }
}

#[test]
fn the_tail_follows_the_fast_tries_and_is_spread() {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let policy = DeliveryPolicy { tail: vec![minutes(1), minutes(5)], ..DeliveryPolicy::default() };
    assert_eq!((policy.fast_tries(), policy.tries_max()), (5, 7));
    let mut delivery = WebhookDelivery::blank(at());
    let mut waits = Vec::new();
    while delivery.status == DeliveryStatus::Pending {
        delivery.record(&failed(500, at()), &policy, 0.0);
        waits.push((delivery.next_try_at - at()).num_milliseconds());
    }
    assert_eq!(waits, [500, 1500, 3000, 5000, 48_000, 240_000, 240_000]);
    assert_eq!((delivery.status, delivery.tries), (DeliveryStatus::Exhausted, 7));
}

#[test]
fn an_endpoint_can_ask_for_a_longer_wait_but_not_for_one_without_end() {
    let policy = DeliveryPolicy::default();
    for (asked, waited) in [(0, 1), (1, 1), (90, 90), (1_000_000, 3600)] {
        let mut delivery = WebhookDelivery { tries: 1, ..WebhookDelivery::blank(at()) };
        let retry_after = Some(Duration::from_secs(asked));
        delivery.record(&TryResult { retry_after, ..failed(429, at()) }, &policy, 0.5);
        assert_eq!((delivery.next_try_at - at()).num_seconds(), waited, "{asked}");
    }
}

#[test]
fn what_was_queued_while_on_its_way_counts_when_it_arrives() {
    let policy = DeliveryPolicy::default();
    let queued = || WebhookDelivery {
        status: DeliveryStatus::Queued,
        queued_at: Some(at()),
        ..WebhookDelivery::blank(at())
    };
    let mut delivery = queued();
    delivery.record(&failed(500, at()), &policy, 0.5);
    assert_eq!(delivery.status, DeliveryStatus::Queued);
    delivery.record(&TryResult { status: Some(200), ..TryResult::default() }, &policy, 0.5);
    assert_eq!((delivery.status, delivery.tries), (DeliveryStatus::Delivered, 2));
}
