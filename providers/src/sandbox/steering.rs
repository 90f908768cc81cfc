//! The model-specific fields by which a request steers the sandbox.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;
use crate::name::ProviderName;

/// How long a job takes, in milliseconds.
pub const LATENCY_FIELD: &str = "generation_sandbox_latency_ms";
/// What becomes of a job: one of [`Outcome::ALL`].
pub const OUTCOME_FIELD: &str = "generation_sandbox_outcome";
/// The sandbox providers that refuse the request.
pub const FAIL_PROVIDERS_FIELD: &str = "generation_sandbox_fail_providers";
/// Changes the colors of a picture.
const SEED_FIELD: &str = "generation_seed";

/// The longest latency that can be asked for: ten minutes.
pub const LATENCY_MAX: Duration = Duration::from_millis(600_000);
/// What a job takes that asks for nothing. Zero, so that tests which do not care are fast.
pub const DEFAULT_LATENCY: Duration = Duration::ZERO;

/// What becomes of a job. Those about callbacks mean `succeed` where nobody calls back.
///
/// The order is part of every job id: new ones go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done when its latency is over.
    #[default]
    Succeed,
    /// It is accepted, and fails when its latency is over.
    Fail,
    /// The submit is refused for its content.
    Moderate,
    /// The submit is refused with a wish to come back in a second.
    RateLimit,
    /// The submit is refused because our account there is empty.
    OutOfCredit,
    /// It is accepted and never finishes.
    Hang,
    /// It is accepted, but whoever submitted hears of a time-out.
    LoseSubmitResponse,
    /// Nobody calls; polling finds it done.
    NeverCallBack,
    /// The same call comes twice.
    CallBackTwice,
    /// A call with a wrong signature comes before the true one.
    CallBackForged,
    /// It is done at once, and the call comes before the submit is answered.
    CallBackBeforeSubmitReturns,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 11] = [
        Self::Succeed,
        Self::Fail,
        Self::Moderate,
        Self::RateLimit,
        Self::OutOfCredit,
        Self::Hang,
        Self::LoseSubmitResponse,
        Self::NeverCallBack,
        Self::CallBackTwice,
        Self::CallBackForged,
        Self::CallBackBeforeSubmitReturns,
    ];

    /// The text of the field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeed => "succeed",
            Self::Fail => "fail",
            Self::Moderate => "moderate",
            Self::RateLimit => "rate_limit",
            Self::OutOfCredit => "out_of_credit",
            Self::Hang => "hang",
            Self::LoseSubmitResponse => "lose_submit_response",
            Self::NeverCallBack => "never_call_back",
            Self::CallBackTwice => "call_back_twice",
            Self::CallBackForged => "call_back_forged",
            Self::CallBackBeforeSubmitReturns => "call_back_before_submit_returns",
        }
    }

    /// Reads the field's text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// What a request asks of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Steering {
    pub(super) latency: Duration,
    pub(super) outcome: Outcome,
    pub(super) fail_providers: Vec<ProviderName>,
    pub(super) seed: i64,
}

impl Steering {
    /// Reads the options; those of other models are passed over.
    pub(super) fn read(options: &Map<String, Value>) -> Result<Self, Error> {
        let rejected = |field: &str| Error::Rejected(format!("{field} is not acceptable"));
        let latency = match options.get(LATENCY_FIELD) {
            None | Some(Value::Null) => DEFAULT_LATENCY,
            Some(value) => value
                .as_u64()
                .map(Duration::from_millis)
                .filter(|latency| *latency <= LATENCY_MAX)
                .ok_or_else(|| rejected(LATENCY_FIELD))?,
        };
        let outcome = match options.get(OUTCOME_FIELD) {
            None | Some(Value::Null) => Outcome::default(),
            Some(value) => {
                value.as_str().and_then(Outcome::parse).ok_or_else(|| rejected(OUTCOME_FIELD))?
            }
        };
        let fail_providers = match options.get(FAIL_PROVIDERS_FIELD) {
            None | Some(Value::Null) => Vec::new(),
            Some(value) => provider_list(value).ok_or_else(|| rejected(FAIL_PROVIDERS_FIELD))?,
        };
        let seed = match options.get(SEED_FIELD) {
            None | Some(Value::Null) => 0,
            Some(value) => value.as_i64().ok_or_else(|| rejected(SEED_FIELD))?,
        };
        Ok(Self { latency, outcome, fail_providers, seed })
    }

    /// The refusal that a submit to this provider meets, if any. Such a job never existed.
    pub(super) fn refusal(&self, provider: ProviderName) -> Option<Error> {
        if self.fail_providers.contains(&provider) {
            return Some(Error::Unavailable);
        }
        match self.outcome {
            Outcome::Moderate => Some(Error::Moderated("the sandbox was asked to".to_owned())),
            Outcome::RateLimit => {
                Some(Error::RateLimited { retry_after: Some(Duration::from_secs(1)) })
            }
            Outcome::OutOfCredit => Some(Error::OutOfCredit),
            Outcome::Succeed
            | Outcome::Fail
            | Outcome::Hang
            | Outcome::LoseSubmitResponse
            | Outcome::NeverCallBack
            | Outcome::CallBackTwice
            | Outcome::CallBackForged
            | Outcome::CallBackBeforeSubmitReturns => None,
        }
    }
}

fn provider_list(value: &Value) -> Option<Vec<ProviderName>> {
    value.as_array()?.iter().map(|item| ProviderName::parse(item.as_str()?)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(options: Value) -> Result<Steering, Error> {
        Steering::read(options.as_object().unwrap())
    }

    #[test]
    fn a_request_that_asks_for_nothing_succeeds_at_once() {
        let steering = read(json!({"generation_output_quality": 3})).unwrap();
        assert_eq!(steering.outcome, Outcome::Succeed);
        assert_eq!(steering.latency, Duration::ZERO);
        assert_eq!(steering.refusal(ProviderName::SandboxInline), None);
    }

    #[test]
    fn every_outcome_has_its_own_text() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
        }
    }

    #[test]
    fn only_the_listed_providers_refuse() {
        let steering = read(json!({(FAIL_PROVIDERS_FIELD): ["sandbox_polling"]})).unwrap();
        assert_eq!(steering.refusal(ProviderName::SandboxPolling), Some(Error::Unavailable));
        assert_eq!(steering.refusal(ProviderName::SandboxWebhook), None);
    }

    #[test]
    fn values_outside_the_schema_are_rejected() {
        for options in [
            json!({(LATENCY_FIELD): 600_001}),
            json!({(LATENCY_FIELD): -1}),
            json!({(LATENCY_FIELD): "1"}),
            json!({(OUTCOME_FIELD): "explode"}),
            json!({(FAIL_PROVIDERS_FIELD): "sandbox_inline"}),
            json!({(FAIL_PROVIDERS_FIELD): ["nobody"]}),
            json!({(SEED_FIELD): "blue"}),
        ] {
            assert!(matches!(read(options.clone()), Err(Error::Rejected(_))), "{options}");
        }
    }
}
