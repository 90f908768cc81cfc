//! Outbound HTTP to customers: one POST, one bounded reply.
//!
//! Nothing is decided here. Whether to try again, and when, is the endpoint's business; this
//! file sees to it that a try can reach only public addresses, ends in time whatever the other
//! side does, and reads no more than it was allowed to.

use std::time::{Duration, Instant};

use actors::ports::{self, WebhookSender};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use providers::clock::Clock;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use tokio::time::timeout;
use url::Url;

use crate::address_guard::{CallFailure, GuardedResolver, Policy, check_parsed, client_builder};
use crate::clock::SystemClock;
use crate::config::WebhooksConfig;

/// How much of an answer is kept, for the customer to see what their endpoint said.
const EXCERPT_BYTES: usize = 1024;

/// Shorter than the 60 seconds after which most servers close an idle connection, so that we
/// seldom write into one that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends events to endpoints; cheap to clone, and all clones share their connections.
#[derive(Debug, Clone)]
pub struct WebhookClient {
    http: reqwest::Client,
    policy: Policy,
    timeout: Duration,
    response_bytes_max: usize,
}

/// What came of one try.
#[derive(Debug)]
pub struct Reply {
    pub outcome: Outcome,
    /// From the name look-up to the last byte that was read.
    pub took: Duration,
}

#[derive(Debug)]
pub enum Outcome {
    /// An answer, of whatever status.
    Answered {
        status: u16,
        /// The beginning of the body, as text that every database takes.
        excerpt: String,
        /// How long the endpoint asks us to wait.
        retry_after: Option<Duration>,
    },
    /// No answer, or not a whole one.
    Failed(Failure),
}

/// Why there is no answer. The texts are shown to the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Call(#[from] CallFailure),
    #[error("the header {0} has a value that HTTP cannot carry")]
    Header(&'static str),
}

impl WebhookClient {
    /// # Errors
    /// The HTTP client cannot be built; on a machine without certificate authorities, for one.
    pub fn new(config: &WebhooksConfig) -> Result<Self, reqwest::Error> {
        let policy = Policy::WEBHOOK.or_private(config.allow_private_targets);
        let mut builder = client_builder(policy)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(config.in_flight_max_per_endpoint);
        if let Some(proxy) = &config.proxy_url {
            // Only the proxy's own name is resolved here, and where that leads is the operator's
            // wish. What an endpoint's URL says is judged all the same.
            builder = builder
                .dns_resolver(GuardedResolver::new(Policy::WEBHOOK.or_private(true)))
                .proxy(reqwest::Proxy::all(proxy.clone())?);
        }
        let http = builder.build()?;
        Ok(Self {
            http,
            policy,
            timeout: config.timeout,
            response_bytes_max: config.response_bytes_max,
        })
    }

    /// Sends one POST and reads its answer, all within the configured time.
    ///
    /// Dropping the future ends the try; whether the endpoint has seen it is then unknown.
    pub async fn post(
        &self,
        url: &Url,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    ) -> Reply {
        let started = Instant::now();
        // One limit around everything: a limit for each read would let an endpoint that sends a
        // byte a second keep us for hours.
        let outcome = match timeout(self.timeout, self.attempt(url, headers, body)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) => Outcome::Failed(failure),
            Err(_) => Outcome::Failed(CallFailure::Timeout.into()),
        };
        Reply { outcome, took: started.elapsed() }
    }

    async fn attempt(
        &self,
        url: &Url,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    ) -> Result<Outcome, Failure> {
        // The resolver is not asked about hosts that are addresses already.
        check_parsed(url, self.policy).map_err(CallFailure::Url)?;
        let headers = header_map(headers)?;
        let request = self.http.post(url.clone()).headers(headers).body(body);
        let response = request.send().await.map_err(|error| CallFailure::of(&error))?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| wait_of(value.to_str().ok()?.trim(), SystemClock.now()));
        let excerpt = self.read(response).await?;
        Ok(Outcome::Answered { status, excerpt, retry_after })
    }

    /// Reads on past the excerpt, so that the connection can be used again; an answer that is
    /// longer than allowed costs its connection instead.
    async fn read(&self, mut response: reqwest::Response) -> Result<String, Failure> {
        let mut excerpt = Vec::new();
        let mut read = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| CallFailure::of(&error))? {
            let room = EXCERPT_BYTES - excerpt.len();
            excerpt.extend_from_slice(&chunk[..chunk.len().min(room)]);
            read += chunk.len();
            if read > self.response_bytes_max {
                break;
            }
        }
        Ok(as_text(&excerpt))
    }
}

/// The value of a `Retry-After`: seconds, or a time of day as HTTP writes it.
fn wait_of(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    (at.to_utc() - now).to_std().ok()
}

fn header_map(headers: Vec<(&'static str, String)>) -> Result<HeaderMap, Failure> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let problem = Failure::Header(name);
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| problem)?;
        map.append(key, HeaderValue::try_from(value).map_err(|_| problem)?);
    }
    Ok(map)
}

/// PostgreSQL takes no NUL in a text, and a cut may have gone through a character.
fn as_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

#[async_trait]
impl WebhookSender for WebhookClient {
    async fn post(
        &self,
        url: &Url,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    ) -> ports::Reply {
        let Reply { outcome, took } = self.post(url, headers, body).await;
        match outcome {
            Outcome::Answered { status, excerpt, retry_after } => ports::Reply {
                status: Some(status),
                // Redirects are not followed, so they are failures too.
                error: (!matches!(status, 200..=299))
                    .then(|| format!("the endpoint answered {status}")),
                took,
                excerpt: Some(excerpt),
                retry_after,
            },
            Outcome::Failed(failure) => {
                ports::Reply { error: Some(failure.to_string()), took, ..ports::Reply::default() }
            }
        }
    }
}

#[cfg(test)]
mod tests;
