//! What can go wrong at the API, in one table.
//!
//! [`ErrorCode::row`] gives each code its number, type, HTTP status, `retryable` and text, and
//! says whether that is BabySea's documentation or our choice (`spec/contract.md` 3.1, B.1).
//! Nothing else in this crate knows an error's status or text.

mod code;
pub mod page;

use std::error::Error;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use actors::attempt::{Attempt, AttemptOutcome};
use actors::batch::{AcceptRefusal, AdvanceRefusal};
use actors::engine::deletion::DeleteError;
use actors::engine::{CancelError, SubmitError};
use actors::failure::FailureCode;
use actors::generation::Generation;
use actors::ports::StoreError;
use actors::spending::SpendLimitReached;
use providers::name::ProviderName;
use serde_json::{Value, json};

pub use self::code::{ErrorCode, Origin, Row};

/// Seconds that a client is asked to wait when we have too much to do: long enough for a queue
/// of hashes or commits to drain, short enough to be worth waiting for.
const BUSY_RETRY_SECONDS: u32 = 1;

/// Seconds after which there may be room for another generation: an image takes about that.
const IN_FLIGHT_RETRY_SECONDS: u32 = 2;

/// A refusal as a client sees it. Becomes the error envelope in `http::frame`, which knows the
/// request id.
#[derive(Debug)]
pub struct ApiError {
    code: ErrorCode,
    retryable: bool,
    details: Option<Box<Value>>,
    provider_errors: Vec<ProviderError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    closes: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What became of one attempt, for `provider_errors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    pub provider: ProviderName,
    pub code: ErrorCode,
    pub message: String,
}

impl ApiError {
    pub fn new(code: ErrorCode) -> Self {
        Self {
            code,
            retryable: code.row().retryable,
            details: None,
            provider_errors: Vec::new(),
            headers: Vec::new(),
            closes: false,
            source: None,
        }
    }

    /// With `details`, an object.
    pub fn details(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// One bad field.
    pub fn field(code: ErrorCode, field: &str, reason: &str) -> Self {
        Self::new(code).details(json!({ "field": field, "reason": reason }))
    }

    /// With a header on the answer.
    pub fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Asks the client to come back after some seconds.
    pub fn retry_after(self, seconds: u32) -> Self {
        self.header(RETRY_AFTER, seconds)
    }

    /// The connection is not used again: what is left of its request will not be read.
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Too much to do; nothing has happened.
    pub fn busy() -> Self {
        Self::new(ErrorCode::ServiceUnavailable).retry_after(BUSY_RETRY_SECONDS)
    }

    /// Our fault. The cause goes to the log, never to the client.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorCode::InternalError).because(source)
    }

    /// With a cause for the log.
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A method that a route does not have.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self::new(ErrorCode::MethodNotAllowed).header(ALLOW, HeaderValue::from_static(allow))
    }

    /// A generation that failed before POST could answer (`spec/contract.md` 1.6): the reason
    /// itself when it is not the provider's, else that all of them failed.
    pub fn generation_failed(generation: &Generation, reason: FailureCode) -> Self {
        let provider_errors: Vec<_> =
            generation.attempts().iter().filter_map(ProviderError::of).collect();
        let ours = matches!(
            reason,
            FailureCode::OutputProcessingFailed
                | FailureCode::GenerationFailed
                | FailureCode::GenerationTimedOut
        );
        let (code, retryable) = if reason.is_decisive() || ours {
            let code = ErrorCode::of(reason);
            (code, code.row().retryable)
        } else {
            let retryable = provider_errors.iter().any(|error| error.code.row().retryable);
            (ErrorCode::AllProvidersFailed, retryable)
        };
        Self { retryable, provider_errors, ..Self::new(code) }
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What is known beyond the code, for the log.
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync)> {
        self.source.as_deref()
    }

    /// Whether the connection is to be closed.
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// Adds the headers that belong to it.
    pub fn put_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// The `error` member of the envelope (`spec/contract.md` 2.2): what is absent is omitted.
    pub fn to_json(&self) -> Value {
        let row = self.code.row();
        let mut error = json!({
            "code": row.code,
            "type": row.kind,
            "message": row.message,
            "retryable": self.retryable,
        });
        if let Some(details) = &self.details {
            error["details"] = (**details).clone();
        }
        if !self.provider_errors.is_empty() {
            error["provider_errors"] =
                self.provider_errors.iter().map(ProviderError::to_json).collect();
        }
        error
    }
}

impl ProviderError {
    /// Why an attempt has failed, if it has.
    pub fn of(attempt: &Attempt) -> Option<Self> {
        match &attempt.outcome {
            AttemptOutcome::Failed { failure, .. } => Some(Self {
                provider: attempt.provider,
                code: ErrorCode::of(failure.code),
                message: failure.message.clone(),
            }),
            AttemptOutcome::Pending
            | AttemptOutcome::Used { .. }
            | AttemptOutcome::Discarded { .. }
            | AttemptOutcome::Canceled { .. } => None,
        }
    }

    /// As the wire has it.
    pub fn to_json(&self) -> Value {
        let row = self.code.row();
        json!({
            "provider": self.provider.as_str(),
            "code": row.code,
            "type": row.kind,
            "message": self.message,
            "retryable": row.retryable,
        })
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.row().code, self.code.row().kind)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    /// Only the status: `http::frame` makes the answer, out of the error that actix keeps
    /// beside this.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded => Self::busy(),
            StoreError::Corrupt(_) | StoreError::Database(_) => Self::internal(error),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(AcceptRefusal::UnknownAccount) => {
                Self::new(ErrorCode::AccountNotFound)
            }
            // Whoever claims answers from the record; without a claim this does not happen.
            SubmitError::Refused(AcceptRefusal::Claimed(_)) => {
                Self::new(ErrorCode::IdempotencyRequestInProgress)
            }
            SubmitError::Refused(AcceptRefusal::TooManyInFlight { media, max }) => {
                Self::new(ErrorCode::ConcurrencyLimitExceeded)
                    .details(json!({ "media": media.as_str(), "limit": max }))
                    .retry_after(IN_FLIGHT_RETRY_SECONDS)
            }
            SubmitError::Refused(AcceptRefusal::SpendLimit(reached)) => {
                Self::new(ErrorCode::InsufficientCredits).details(spend_limit(&reached))
            }
            SubmitError::Refused(AcceptRefusal::InsufficientCredit { .. }) => {
                Self::new(ErrorCode::InsufficientCredits)
            }
            SubmitError::Store(error) => error.into(),
            SubmitError::Stopping => Self::busy(),
        }
    }
}

/// Tells a spent key from a spent account, and when it may go on.
fn spend_limit(reached: &SpendLimitReached) -> Value {
    json!({
        "limit": "key_monthly_spend",
        "monthly_limit": reached.limit.to_number(),
        "spent": reached.spent.to_number(),
        "amount": reached.amount.to_number(),
        "resets_at": reached.month.next().start(),
    })
}

impl From<CancelError> for ApiError {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Refused(AdvanceRefusal::NotFound) => {
                Self::new(ErrorCode::GenerationNotFound)
            }
            CancelError::Refused(AdvanceRefusal::Conflict(generation)) => {
                Self::new(ErrorCode::GenerationNotCancelable)
                    .details(json!({ "generation_status": generation.status().as_str() }))
            }
            // Cancels carry no epoch, so this does not happen; if it did, asking again helps.
            CancelError::Refused(AdvanceRefusal::Fenced) => Self::busy(),
            CancelError::Store(error) => error.into(),
        }
    }
}

impl From<DeleteError> for ApiError {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::NotFound => Self::new(ErrorCode::GenerationNotFound),
            DeleteError::Outputs(error) => Self::new(ErrorCode::StorageError).because(error),
            DeleteError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests;
