//! An answer, read to its end.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use reqwest::RequestBuilder;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::de::DeserializeOwned;

use super::fault::{self, lost};
use crate::{Error, SubmitError};

/// The longest wait that a provider may ask for; beyond it others have been asked for long.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// An answer of a provider.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// Reads up to the limit, whatever the length is said to be.
    pub(super) async fn receive(
        request: RequestBuilder,
        bytes_max: usize,
    ) -> Result<Self, SubmitError> {
        let mut response = request.send().await.map_err(|error| fault::of(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| fault::of(&error))? {
            if body.len() + chunk.len() > bytes_max {
                return Err(lost(Error::Protocol("the answer is too long".to_owned())));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, headers, body: body.freeze() })
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON, whatever its content type says.
    ///
    /// # Errors
    /// [`Error::Protocol`], which repeats nothing of the body.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        serde_json::from_slice(body).map_err(|error| {
            let start = body.trim_ascii_start();
            let what = match (start.is_empty(), start.starts_with(b"<"), error.is_eof()) {
                (true, ..) => "it is empty",
                (_, true, _) => "it is a page, not JSON",
                (_, _, true) => "it breaks off",
                _ => "it is not the JSON that was expected",
            };
            Error::Protocol(what.to_owned())
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the provider asks us to wait. A date is read against the date of the answer,
    /// so that a clock that is wrong is wrong twice and right again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let millis = self.header("retry-after-ms").and_then(|text| text.trim().parse().ok());
        let wait = millis.map(Duration::from_millis).or_else(|| {
            let text = self.header(RETRY_AFTER.as_str())?.trim();
            let seconds = text.parse::<f64>().ok();
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).or_else(|| {
                let (then, now) = (http_date(text)?, http_date(self.header(DATE.as_str())?)?);
                (then - now).to_std().ok()
            })
        });
        wait.map(|wait| wait.min(WAIT_MAX))
    }

    /// [`Error::RateLimited`] for this answer.
    pub(crate) fn rate_limited(&self) -> Error {
        Error::RateLimited { retry_after: self.retry_after() }
    }

    /// What the status alone says. An answer that is not in the provider's own words is no
    /// judgement of the input, since a proxy may have made it.
    pub(super) fn bare_meaning(&self) -> Error {
        match self.status {
            401 | 403 => Error::Unauthorized,
            402 => Error::OutOfCredit,
            408 => Error::TimedOut,
            429 => self.rate_limited(),
            500.. => Error::Unavailable,
            300..=399 => Error::Protocol("the provider redirects".to_owned()),
            status => Error::Protocol(format!("status {status} without a readable reason")),
        }
    }
}

fn http_date(text: &str) -> Option<DateTime<chrono::FixedOffset>> {
    DateTime::parse_from_rfc2822(text).ok()
}

/// The seconds in a sentence such as `resets in ~30s` or `try again in 240ms`.
pub(crate) fn wait_in_text(text: &str, before: &str) -> Option<Duration> {
    let rest = text[text.find(before)? + before.len()..].trim_start_matches([' ', '~']);
    let digits =
        rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = rest.split_at(digits);
    let number: f64 = number.trim_end_matches('.').parse().ok()?;
    let seconds = if unit.starts_with("ms") {
        number / 1000.0
    } else if unit.starts_with('m') {
        number * 60.0
    } else {
        number
    };
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(WAIT_MAX))
}
