//! What customers are told, and how it is signed.
//!
//! A delivery is one event for one endpoint. It is tried a few times at once and then in growing
//! waits; what happens while its endpoint is disabled is queued, and is sent again on request,
//! as another delivery.
//!
//! ```text
//! pending ──▶ delivered | exhausted
//!    │ ▲          ▲
//!    ▼ │ probe    │ a try that was on its way
//!  queued ────────┴──▶ resent | expired
//! ```

pub mod endpoint;
pub mod signing;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::generation::{Generation, State, Status};
use crate::id::{AccountId, DeliveryId, EndpointId, GenerationId};
use crate::retry::jittered;
use crate::webhook::endpoint::EndpointState;

/// The longest wait that an endpoint can ask for with `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// A customer's URL, secret and event filter.
#[derive(Debug, Clone)]
pub struct WebhookEndpoint {
    /// What decides whether something is sent.
    pub state: EndpointState,
    /// Where to send.
    pub url: Url,
    /// `whsec_` and 32 characters; the whole text is the signing key.
    pub secret: SecretString,
    /// The secret before the last rotation, and until when it signs too.
    pub previous: Option<(SecretString, DateTime<Utc>)>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What a customer can be told (`spec/contract.md` 8.1).
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
    /// The balance has fallen below a threshold.
    CreditsLowBalance,
    /// Another endpoint of the account was disabled. Ours, beside the contract.
    WebhookDisabled,
    /// Sent on request, to see whether an endpoint works.
    WebhookTest,
}

impl EventName {
    /// Every event.
    pub const ALL: [Self; 7] = [
        Self::GenerationStarted,
        Self::GenerationCompleted,
        Self::GenerationFailed,
        Self::GenerationCanceled,
        Self::CreditsLowBalance,
        Self::WebhookDisabled,
        Self::WebhookTest,
    ];

    /// What an endpoint is told when nobody chooses.
    pub const DEFAULT: [Self; 4] = [
        Self::GenerationStarted,
        Self::GenerationCompleted,
        Self::GenerationFailed,
        Self::GenerationCanceled,
    ];

    /// Whether an endpoint can ask to be told.
    pub fn is_subscribable(self) -> bool {
        self != Self::WebhookTest
    }

    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GenerationStarted => "generation.started",
            Self::GenerationCompleted => "generation.completed",
            Self::GenerationFailed => "generation.failed",
            Self::GenerationCanceled => "generation.canceled",
            Self::CreditsLowBalance => "credits.low_balance",
            Self::WebhookDisabled => "webhook.disabled",
            Self::WebhookTest => "webhook.test",
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
    /// To which generation, where it happened to one.
    pub generation_id: Option<GenerationId>,
    /// `webhook_data`, shared by all that are told of it.
    pub data: Arc<Value>,
    /// When it happened, or was sent again.
    pub created_at: DateTime<Utc>,
    /// How it stands.
    pub status: DeliveryStatus,
    /// Tries so far.
    pub tries: u32,
    /// When the next try is due, while it is pending.
    pub next_try_at: DateTime<Utc>,
    /// Since when it has waited for its endpoint to be enabled, if it ever has.
    pub queued_at: Option<DateTime<Utc>>,
    /// The delivery that this one repeats: the first of what it tells, and no replay itself.
    pub replay_of: Option<DeliveryId>,
    /// Whether it is one of a queue that is sent one after another.
    pub in_order: bool,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryStatus {
    /// To be sent.
    Pending,
    /// Kept for an endpoint that is disabled.
    Queued,
    /// Acknowledged with a 2xx.
    Delivered,
    /// Every try was used up.
    Exhausted,
    /// Was queued, and is sent again as another delivery.
    Resent,
    /// Was queued for longer than such events are kept.
    Expired,
}

impl DeliveryStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Queued,
        Self::Delivered,
        Self::Exhausted,
        Self::Resent,
        Self::Expired,
    ];

    /// The text in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Resent => "resent",
            Self::Expired => "expired",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether a try can still change it.
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::Queued => true,
            Self::Delivered | Self::Exhausted | Self::Resent | Self::Expired => false,
        }
    }
}

/// How one try ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TryResult {
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Why it does not count as delivered; absent when it does.
    pub error: Option<String>,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub took: Duration,
    /// The beginning of the answer's body.
    pub excerpt: Option<String>,
    /// How long the endpoint asks us to wait.
    pub retry_after: Option<Duration>,
}

impl TryResult {
    /// Whether the endpoint acknowledged it.
    pub fn is_success(&self) -> bool {
        self.error.is_none()
    }

    /// Whether the endpoint said that it will never take anything again.
    pub fn is_gone(&self) -> bool {
        self.status == Some(410)
    }

    /// For how long the endpoint wants to be left alone, within bounds.
    pub fn pause(&self) -> Option<Duration> {
        self.retry_after.map(|wait| wait.min(RETRY_AFTER_MAX))
    }
}

/// How often and when to try, and when to give an endpoint up.
#[derive(Debug, Clone)]
pub struct DeliveryPolicy {
    /// The wait before each of the fast tries, so its length is their number
    /// (`spec/contract.md` 8.5).
    pub waits: Vec<Duration>,
    /// The wait before each of the tries after those.
    pub tail: Vec<Duration>,
    /// Deliveries in a row that used up their fast tries, after which an endpoint is disabled.
    pub disable_after: u32,
    /// How long nothing but failures disables an endpoint.
    pub failing_max: Duration,
    /// How long an endpoint that we disabled stays so at least; doubled each time that it fails
    /// its probe.
    pub cooldown: Duration,
    /// The longest such time.
    pub cooldown_max: Duration,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            waits: [0, 500, 1500, 3000, 5000].map(Duration::from_millis).to_vec(),
            tail: Vec::new(),
            disable_after: 15,
            failing_max: Duration::from_secs(5 * 24 * 60 * 60),
            cooldown: Duration::from_secs(60),
            cooldown_max: Duration::from_secs(60 * 60),
        }
    }
}

impl DeliveryPolicy {
    /// How many tries come at once.
    pub fn fast_tries(&self) -> u32 {
        u32::try_from(self.waits.len()).unwrap_or(u32::MAX)
    }

    /// How many tries there are in all.
    pub fn tries_max(&self) -> u32 {
        u32::try_from(self.waits.len() + self.tail.len()).unwrap_or(u32::MAX)
    }

    /// The wait after so many tries; `None` when they are used up. Those of the tail are spread,
    /// or what failed together would come back together.
    fn wait(&self, tries: u32, spread: f64) -> Option<Duration> {
        let tries = tries as usize;
        let tail = || self.tail.get(tries - self.waits.len()).map(|wait| jittered(*wait, spread));
        self.waits.get(tries).copied().or_else(tail)
    }
}

impl WebhookDelivery {
    /// One without content, as it is when it happens: what differs is filled in.
    pub fn blank(at: DateTime<Utc>) -> Self {
        Self {
            account_id: AccountId(uuid::Uuid::nil()),
            endpoint_id: EndpointId(uuid::Uuid::nil()),
            id: DeliveryId(uuid::Uuid::nil()),
            event: EventName::WebhookTest,
            generation_id: None,
            data: Arc::default(),
            created_at: at,
            status: DeliveryStatus::Pending,
            tries: 0,
            next_try_at: at,
            queued_at: None,
            replay_of: None,
            in_order: false,
        }
    }

    /// Takes the result of a try in. One that was queued meanwhile stays so unless the endpoint
    /// has taken it.
    pub fn record(&mut self, result: &TryResult, policy: &DeliveryPolicy, spread: f64) {
        self.tries = self.tries.saturating_add(1);
        if result.is_success() {
            self.status = DeliveryStatus::Delivered;
            return;
        }
        if self.status != DeliveryStatus::Pending {
            return;
        }
        match policy.wait(self.tries, spread) {
            Some(wait) => {
                self.next_try_at = result.at + wait.max(result.pause().unwrap_or_default());
            }
            None => self.status = DeliveryStatus::Exhausted,
        }
    }

    /// The body to send: the same bytes at every try.
    pub fn body(&self) -> String {
        let body = Body {
            webhook_event: self.event.as_str(),
            webhook_timestamp: self.timestamp(),
            webhook_delivery_id: self.id,
            webhook_data: &self.data,
        };
        serde_json::to_string(&body).expect("JSON can hold it")
    }

    /// `webhook_timestamp`, also sent as a header.
    pub fn timestamp(&self) -> String {
        self.created_at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

/// The envelope, in the order of `spec/contract.md` 8.2.
#[derive(Serialize)]
struct Body<'a> {
    webhook_event: &'static str,
    webhook_timestamp: String,
    webhook_delivery_id: DeliveryId,
    webhook_data: &'a Value,
}

/// `webhook_data` of a generation event (`spec/contract.md` 8.2): what is absent is omitted.
/// `files` are the URLs of its outputs.
pub fn generation_data(generation: &Generation, files: &[String]) -> Value {
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
        State::Succeeded { .. } => {
            put("generation_output_file", json!(files));
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
mod tests;
