//! Asking somebody about a request before anything is reserved: docs/moderation.md.
//!
//! An operator names the endpoint, so it may be in a private network; redirects are not followed.
//! A question is asked once. Whoever sent the request is waiting, and asks again.

use actors::id::AccountId;
use actors::input::Input;
use actors::ports::IdSource;
use actors::webhook::signing::{signature, standard_signature};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::header::CONTENT_TYPE;
use reqwest::{StatusCode, redirect, retry};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use url::Url;
use uuid::Uuid;

use crate::config::{ModerationConfig, OnFailure};

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Characters of a reason that are passed on to whoever sent the request.
const REASON_MAX: usize = 500;

/// Asks, if there is somebody to ask.
pub struct Moderation(Option<Hook>);

struct Hook {
    config: ModerationConfig,
    http: reqwest::Client,
    room: Semaphore,
}

/// A request that is about to be accepted.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub account_id: AccountId,
    pub model: &'a str,
    pub input: &'a Input,
    pub at: DateTime<Utc>,
}

/// Why a request does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Its content is not wanted, for this reason if one was given.
    Denied(Option<String>),
    /// Nobody has judged it, and it must not go on without.
    Unjudged,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it did not answer in time")]
    TimedOut,
    #[error("it could not be asked")]
    Call(#[source] reqwest::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer is not what is documented")]
    Unreadable,
}

#[derive(Debug, Serialize)]
struct QuestionOut<'a> {
    moderation_id: Uuid,
    moderation_timestamp: String,
    account_id: AccountId,
    model_identifier: &'a str,
    generation_prompt: &'a str,
    generation_input_file: &'a [Url],
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_input_file_last_content: Option<&'a Url>,
}

#[derive(Debug, Deserialize)]
struct AnswerIn {
    decision: Decision,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Allow,
    Deny,
}

impl Moderation {
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(config: Option<&ModerationConfig>) -> Result<Self, reqwest::Error> {
        let Some(config) = config.cloned() else { return Ok(Self(None)) };
        let http = reqwest::Client::builder()
            .user_agent(concat!("babysea/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .retry(retry::never())
            .referer(false)
            .pool_max_idle_per_host(config.in_flight_max)
            .build()?;
        let room = Semaphore::new(config.in_flight_max);
        Ok(Self(Some(Hook { config, http, room })))
    }

    /// Whether a request may go on.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn check(&self, question: Question<'_>, ids: &dyn IdSource) -> Result<(), Refusal> {
        let Some(hook) = &self.0 else { return Ok(()) };
        let answer = timeout(hook.config.timeout, hook.ask(question, ids.next())).await;
        match answer.unwrap_or(Err(Failure::TimedOut)) {
            Ok(AnswerIn { decision: Decision::Allow, .. }) => Ok(()),
            Ok(AnswerIn { decision: Decision::Deny, reason }) => {
                Err(Refusal::Denied(reason.map(|reason| printable(&reason))))
            }
            Err(failure) => {
                let cause = std::error::Error::source(&failure);
                tracing::warn!(%failure, ?cause, "the moderation endpoint is of no help");
                match hook.config.on_failure {
                    OnFailure::Open => Ok(()),
                    OnFailure::Closed => Err(Refusal::Unjudged),
                }
            }
        }
    }
}

impl Hook {
    /// The wait for a turn counts too: the time is that of whoever is waiting for an answer.
    async fn ask(&self, question: Question<'_>, id: Uuid) -> Result<AnswerIn, Failure> {
        let _room = self.room.acquire().await.map_err(|_| Failure::TimedOut)?;
        let body = Bytes::from(body(question, id));
        let call = |error: reqwest::Error| Failure::Call(error.without_url());
        let mut request = self.http.post(self.config.url.clone());
        for (name, value) in self.headers(&body, id, question.at) {
            request = request.header(name, value);
        }
        let mut response = request.body(body).send().await.map_err(call)?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Status(response.status()));
        }
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(call)? {
            if answer.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(Failure::Unreadable);
            }
            answer.extend_from_slice(&piece);
        }
        serde_json::from_slice(&answer).map_err(|_| Failure::Unreadable)
    }

    /// Signed as webhooks are.
    fn headers(&self, body: &[u8], id: Uuid, at: DateTime<Utc>) -> Vec<(&'static str, String)> {
        let (secret, seconds, id) = (&self.config.secret, at.timestamp(), id.to_string());
        let standard = standard_signature(secret, &id, seconds, body);
        let mut headers = vec![
            (CONTENT_TYPE.as_str(), "application/json".to_owned()),
            ("x-babysea-signature", signature(secret, seconds, body)),
            ("webhook-id", id),
            ("webhook-timestamp", seconds.to_string()),
        ];
        headers.extend(standard.map(|standard| ("webhook-signature", standard)));
        headers
    }
}

fn body(question: Question<'_>, id: Uuid) -> String {
    let Question { account_id, model, input, at } = question;
    let body = QuestionOut {
        moderation_id: id,
        moderation_timestamp: at.to_rfc3339_opts(SecondsFormat::Millis, true),
        account_id,
        model_identifier: model,
        generation_prompt: &input.prompt,
        generation_input_file: &input.input_files,
        generation_input_file_last_content: input.last_frame.as_ref(),
    };
    serde_json::to_string(&body).expect("texts and ids are always JSON")
}

fn printable(reason: &str) -> String {
    reason.chars().filter(|char| !char.is_control()).take(REASON_MAX).collect()
}
