//! What customers are told, and how it is signed.
//!
//! A delivery is one event for one endpoint: `pending -> delivered | exhausted`. While its
//! endpoint is disabled it stays pending.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use url::Url;

use crate::generation::{Generation, State, Status};
use crate::id::{AccountId, DeliveryId, EndpointId, GenerationId};

/// A customer's URL, secret and event filter.
#[derive(Debug, Clone)]
pub struct WebhookEndpoint {
    /// What decides whether something is sent.
    pub state: EndpointState,
    /// Where to send.
    pub url: Url,
    /// `whsec_` and 32 characters; the whole text is the signing key.
    pub secret: SecretString,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The part of an endpoint that changes with what happens to its deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointState {
    /// Whose.
    pub account_id: AccountId,
    /// Its id.
    pub id: EndpointId,
    /// What it wants to be told.
    pub events: Vec<EventName>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Deliveries in a row that used up their tries.
    pub exhausted_in_a_row: u32,
}

/// An event that an endpoint can subscribe to (`spec/contract.md` 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventName {
    /// A provider accepted the job.
    GenerationStarted,
    /// It succeeded.
    GenerationCompleted,
    /// It failed.
    GenerationFailed,
    /// It was canceled.
    GenerationCanceled,
}

impl EventName {
    /// Every event.
    pub const ALL: [Self; 4] = [
        Self::GenerationStarted,
        Self::GenerationCompleted,
        Self::GenerationFailed,
        Self::GenerationCanceled,
    ];

    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GenerationStarted => "generation.started",
            Self::GenerationCompleted => "generation.completed",
            Self::GenerationFailed => "generation.failed",
            Self::GenerationCanceled => "generation.canceled",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }

    /// The event that tells of entering a status; nobody is told of pending.
    pub fn of(status: Status) -> Option<Self> {
        match status {
            Status::Pending => None,
            Status::Processing => Some(Self::GenerationStarted),
            Status::Succeeded => Some(Self::GenerationCompleted),
            Status::Failed => Some(Self::GenerationFailed),
            Status::Canceled => Some(Self::GenerationCanceled),
        }
    }
}

/// One event for one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookDelivery {
    /// Whose.
    pub account_id: AccountId,
    /// For which endpoint.
    pub endpoint_id: EndpointId,
    /// Its id, the same at every try; receivers dedupe on it.
    pub id: DeliveryId,
    /// What happened.
    pub event: EventName,
    /// To which generation.
    pub generation_id: GenerationId,
    /// `webhook_data`.
    pub data: Value,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// How it stands.
    pub status: DeliveryStatus,
    /// Tries so far.
    pub tries: u32,
    /// When the next try is due, while it is pending.
    pub next_try_at: DateTime<Utc>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryStatus {
    /// To be sent.
    Pending,
    /// Acknowledged with a 2xx.
    Delivered,
    /// Every try was used up.
    Exhausted,
}

impl DeliveryStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Exhausted];

    /// The text in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// How one try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryResult {
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Why it does not count as delivered; absent when it does.
    pub error: Option<String>,
    /// When it ended.
    pub at: DateTime<Utc>,
}

impl TryResult {
    /// Whether the endpoint acknowledged it.
    pub fn is_success(&self) -> bool {
        self.error.is_none()
    }
}

/// How often and when to try, and when to give an endpoint up.
#[derive(Debug, Clone)]
pub struct DeliveryPolicy {
    /// The wait before each try, so its length is the number of tries
    /// (`spec/contract.md` 8.5).
    pub waits: Vec<Duration>,
    /// Deliveries in a row that used up their tries, after which an endpoint is disabled.
    pub disable_after: u32,
}

impl WebhookDelivery {
    /// Takes the result of a try in.
    pub fn record(&mut self, result: &TryResult, policy: &DeliveryPolicy) {
        self.tries = self.tries.saturating_add(1);
        if result.is_success() {
            self.status = DeliveryStatus::Delivered;
            return;
        }
        match policy.waits.get(self.tries as usize) {
            Some(wait) => self.next_try_at = result.at + *wait,
            None => self.status = DeliveryStatus::Exhausted,
        }
    }

    /// The body to send: the same bytes at every try.
    pub fn body(&self) -> String {
        json!({
            "webhook_event": self.event.as_str(),
            "webhook_timestamp": self.timestamp(),
            "webhook_delivery_id": self.id.to_string(),
            "webhook_data": self.data,
        })
        .to_string()
    }

    /// `webhook_timestamp`, also sent as a header.
    pub fn timestamp(&self) -> String {
        self.created_at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// The documented headers (`spec/contract.md` 8.3), signed for a try at `now`.
    pub fn headers(
        &self,
        body: &str,
        secret: &SecretString,
        now: DateTime<Utc>,
    ) -> Vec<(&'static str, String)> {
        vec![
            ("content-type", "application/json".to_owned()),
            ("x-babysea-signature", signature(secret, now.timestamp(), body.as_bytes())),
            ("x-babysea-event", self.event.as_str().to_owned()),
            ("x-babysea-timestamp", self.timestamp()),
            ("x-babysea-delivery-id", self.id.to_string()),
        ]
    }
}

impl EndpointState {
    /// Takes a finished delivery in; answers whether the endpoint is to be disabled now.
    pub fn record(&mut self, finished: DeliveryStatus, policy: &DeliveryPolicy) -> bool {
        match finished {
            DeliveryStatus::Pending => return false,
            DeliveryStatus::Delivered => self.exhausted_in_a_row = 0,
            DeliveryStatus::Exhausted => {
                self.exhausted_in_a_row = self.exhausted_in_a_row.saturating_add(1);
            }
        }
        let disable = self.enabled && self.exhausted_in_a_row >= policy.disable_after;
        if disable {
            self.enabled = false;
        }
        disable
    }
}

/// `t=<unix seconds>,v1=<lowercase hex>` over `<t>.<body>` (`spec/contract.md` 8.4).
pub fn signature(secret: &SecretString, unix_seconds: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(unix_seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={unix_seconds},v1={hex}")
}

/// Turns the key of a stored file into the URL that customers see.
#[derive(Debug, Clone)]
pub struct FileUrls {
    /// `server.public_url` without a trailing slash.
    pub base: String,
}

impl FileUrls {
    /// The URL of a stored file.
    pub fn url(&self, key: &str) -> String {
        format!("{}/files/{key}", self.base)
    }
}

/// `webhook_data` of a generation event (`spec/contract.md` 8.2): what is absent is omitted.
pub fn generation_data(generation: &Generation, files: &FileUrls) -> Value {
    let mut data = Map::new();
    let mut put = |key: &str, value: Value| data.insert(key.to_owned(), value);
    put("account_id", json!(generation.account_id));
    put("model_identifier", json!(generation.model));
    let job = generation.job().map(|job| json!(job.0));
    let provider = generation.attempts().last().map(|attempt| json!(attempt.provider.as_str()));
    match generation.state() {
        State::Pending => {}
        State::Processing { .. } => {
            provider.map(|provider| put("generation_provider_initialize", provider));
        }
        State::Succeeded { .. } => {
            let used = generation.provider_used().map(|name| json!(name.as_str()));
            used.map(|provider| put("generation_provider_used", provider));
        }
        State::Failed { .. } | State::Canceled { .. } => {}
    }
    put("generation_status", json!(generation.status().as_str()));
    match generation.state() {
        State::Failed { .. } | State::Pending => {}
        State::Processing { .. } | State::Succeeded { .. } | State::Canceled { .. } => {
            job.map(|job| put("generation_prediction_id", job));
        }
    }
    put("generation_id", json!(generation.id));
    match generation.state() {
        State::Pending | State::Processing { .. } => {}
        State::Succeeded { outputs, .. } => {
            let urls: Vec<String> = outputs.iter().map(|file| files.url(&file.key)).collect();
            put("generation_output_file", json!(urls));
        }
        State::Failed { failure, .. } => {
            put("generation_error", json!(failure.message));
            put("generation_error_code", json!(failure.code.wire_code()));
        }
        State::Canceled { .. } => {
            put("credits_refunded", json!(true));
        }
    }
    Value::Object(data)
}

#[cfg(test)]
mod tests {
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
            at: at(),
            deadline_at: at(),
        };
        for event in [vec![Event::AttemptStarted(started)], events].concat() {
            generation.apply(event).unwrap();
        }
        generation
    }

    fn accepted() -> Event {
        Event::Accepted { attempt: 1, job: JobRef("pj-5520ce1b".to_owned()), at: at() }
    }

    fn succeeded() -> Generation {
        let key = "us/b7d2f0a4/0.webp".to_owned();
        let outputs = vec![StoredFile { key, bytes: 1 }];
        let completed = Event::Completed { attempt: 1, outputs, predict_time: None, at: at() };
        example(vec![accepted(), completed])
    }

    /// `webhook_data` as it is sent.
    fn data(generation: &Generation) -> String {
        let files = FileUrls { base: "https://files.example.net".to_owned() };
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
            generation_id: generation.id,
            data: serde_json::from_str(&data).unwrap(),
            created_at: at(),
            status: DeliveryStatus::Pending,
            tries: 0,
            next_try_at: at(),
        };
        let secret = SecretString::from("whsec_0123456789abcdef0123456789abcdef");
        let body = delivery.body();
        let headers = delivery.headers(&body, &secret, at());
        let wanted =
            "t=1780388114,v1=235a6d4b6f2d2ed8e67fdf44d635cbb405a17432ed8d972070c48764cd802d98";
        assert_eq!(headers[1], ("x-babysea-signature", wanted.to_owned()), "{body}");
    }

    #[test]
    fn the_signature_vector_of_the_contract_holds() {
        let secret = SecretString::from("whsec_0123456789abcdef0123456789abcdef");
        let body = concat!(
            r#"{"webhook_event":"generation.completed","webhook_timestamp":"2026-06-02T08:15:14.002Z","#,
            r#""webhook_delivery_id":"5a1e93c8-0f47-4b2d-a6d8-73c9e0b1f264","webhook_data":{"#,
            r#""account_id":"3f6c1d0e-8b1a-4d57-9c7e-51d0a6b2e904","model_identifier":"bfl/flux-schnell","#,
            r#""generation_provider_used":"fal","generation_status":"succeeded","#,
            r#""generation_prediction_id":"pj-5520ce1b","generation_id":"b7d2f0a4-6e35-4c1f-8a90-2f4be1c6d713","#,
            r#""generation_output_file":["https://files.example.net/us/b7d2f0a4/0.webp"]}}"#
        );
        assert_eq!(
            signature(&secret, 1_780_388_114, body.as_bytes()),
            "t=1780388114,v1=235a6d4b6f2d2ed8e67fdf44d635cbb405a17432ed8d972070c48764cd802d98"
        );
    }
}
