//! Asking somebody about each request before anything is reserved.

use std::time::Duration;

use actors::webhook::signing::standard_signature;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::reader::Reader;

#[derive(Debug, Clone)]
pub struct ModerationConfig {
    pub url: Url,
    pub secret: SecretString,
    pub timeout: Duration,
    pub on_failure: OnFailure,
    pub in_flight_max: usize,
}

/// What a request comes to that nobody has judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes on.
    Open,
    /// It is refused for now.
    Closed,
}

impl ModerationConfig {
    /// `None` when nobody is to be asked. `private` allows an endpoint without TLS.
    pub(super) fn read(reader: &mut Reader, private: bool) -> Option<Self> {
        let url = reader.parsed(
            "moderation.url",
            |text| endpoint(text, private),
            "https://… without user and fragment",
        );
        let secret = reader.secret("moderation.secret");
        let timeout = reader.millis("moderation.timeout_ms", 10..=15_000);
        let on_failure = "moderation.on_failure";
        let on_failure =
            reader.parsed(on_failure, read_on_failure, "\"fail_closed\" or \"fail_open\"");
        let in_flight_max = reader.integer("moderation.in_flight_max", 1..=65_536);
        let (url, secret) = (url?, secret.unwrap_or_default());
        let on_failure = on_failure.unwrap_or(OnFailure::Closed);
        let config = Self { url, secret, timeout, on_failure, in_flight_max };
        if !is_secret(&config.secret) {
            reader.problem("moderation.secret", "must be whsec_ and base64 of 24 bytes or more");
        }
        Some(config)
    }
}

fn endpoint(text: &str, private: bool) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let scheme = url.scheme() == "https" || (private && url.scheme() == "http");
    let bare = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (scheme && bare && url.has_host()).then_some(url)
}

fn read_on_failure(text: &str) -> Option<OnFailure> {
    match text {
        "fail_open" => Some(OnFailure::Open),
        "fail_closed" => Some(OnFailure::Closed),
        _ => None,
    }
}

/// As those of webhooks, so that it can sign in both ways.
fn is_secret(secret: &SecretString) -> bool {
    secret.expose_secret().len() >= 38 && standard_signature(secret, "", 0, b"").is_some()
}
