//! What each provider has to say for itself; everything else is common to all.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::call::{Answer, Call};
use crate::faults::Target;
use crate::house::House;
use crate::jobs::{Job, Moment};
use crate::settings::Provider;

/// Why a request is turned away before it is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Refusal {
    RateLimited { wait_seconds: f64 },
    Broken,
    Unauthorized,
    OutOfCredit,
}

/// The wire of one provider.
#[async_trait]
pub(crate) trait Wire: Send + Sync {
    /// What a request is for.
    fn target(&self, call: &Call) -> Target;

    /// The key of a request.
    fn key(&self, call: &Call) -> Result<String, Answer>;

    /// Whether a request is answered without a key.
    fn is_open(&self, _call: &Call) -> bool {
        false
    }

    /// A refusal in the provider's words.
    fn refuse(&self, house: &House, call: &Call, refusal: Refusal) -> Answer;

    /// The answer to a request whose key is good.
    async fn answer(&self, house: &Arc<House>, call: &Call, key: &str) -> Answer;

    /// What is sent to whoever wants to be called; nothing when there is nothing to say.
    fn callback_body(&self, _house: &House, _job: &Job, _moment: Moment) -> Option<Value> {
        None
    }

    /// The headers of a callback, with its signature if there is one.
    fn callback_headers(
        &self,
        _house: &House,
        _job: &Job,
        _message: &Message<'_>,
    ) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The waits, in seconds, between tries of the last callback of a job.
    fn callback_waits(&self) -> &'static [f64] {
        &[]
    }
}

/// A callback to be signed.
pub(crate) struct Message<'a> {
    pub(crate) id: &'a str,
    pub(crate) at: DateTime<Utc>,
    pub(crate) body: &'a [u8],
}

/// The wire of a provider.
pub(crate) fn of(provider: Provider) -> &'static dyn Wire {
    match provider {
        Provider::Replicate => &crate::replicate::Replicate,
        Provider::Fal => &crate::fal::Fal,
        Provider::Bfl => &crate::bfl::Bfl,
        Provider::OpenAi => &crate::openai::OpenAi,
        Provider::Cloudflare => &crate::cloudflare::Cloudflare,
        Provider::BytePlus => &crate::byteplus::BytePlus,
        Provider::AlibabaCloud => &crate::alibabacloud::AlibabaCloud,
        Provider::Runway => &crate::runway::Runway,
    }
}
