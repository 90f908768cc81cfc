//! `Prefer: wait=N` (RFC 7240): POST answers the finished record when it is ready in time.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use actors::generation::Generation;
use actors::watchers::Wake;
use tokio::time::Instant;

use super::AppState;

const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Longer than this, proxies cut connections.
const SECONDS_MAX: u64 = 60;

/// How long a client would wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    seconds: u64,
    until: Instant,
}

impl Wait {
    /// What a request prefers, counted from now; what cannot be read is ignored, as RFC 7240
    /// wants it.
    pub(super) fn asked(request: &HttpRequest) -> Option<Self> {
        let headers = request.headers().get_all(PREFER).filter_map(|value| value.to_str().ok());
        let seconds = headers.flat_map(preferences).find_map(|preference| wait_of(&preference))?;
        let seconds = seconds.ok()?.clamp(1, SECONDS_MAX);
        Some(Self { seconds, until: Instant::now() + Duration::from_secs(seconds) })
    }

    /// What has been honoured, for the answer.
    pub(super) fn applied(self) -> HeaderValue {
        let text = format!("wait={}", self.seconds);
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("wait"))
    }

    /// The generation when it has ended, unless that takes too long, the process stops, or
    /// somebody deletes it.
    pub(super) async fn for_end(
        self,
        state: &AppState,
        generation: &Generation,
    ) -> Option<Generation> {
        if generation.status().is_terminal() {
            return Some(generation.clone());
        }
        let (account_id, id) = (generation.account_id, generation.id);
        let mut watcher = state.watchers.watch(account_id, id);
        loop {
            match state.generations.find(account_id, id).await {
                Ok(Some(found)) if found.status().is_terminal() => return Some(found),
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => tracing::warn!(generation = %id, %error, "cannot look for its end"),
            }
            match watcher.wake(self.until).await {
                Wake::Look => {}
                Wake::TimeIsUp | Wake::Closed => return None,
            }
        }
    }
}

/// The preferences of a header: separated by commas, but not by those inside quotes.
fn preferences(header: &str) -> Vec<String> {
    let (mut quoted, mut escaped) = (false, false);
    let mut found = vec![String::new()];
    for letter in header.chars() {
        match letter {
            ',' if !quoted => {
                found.push(String::new());
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && letter == '\\' && !escaped;
        found.last_mut().expect("it begins with one").push(letter);
    }
    found
}

/// The value of `wait`, when it is that preference: of several, the first counts, even when
/// its value is no number.
fn wait_of(preference: &str) -> Option<Result<u64, ()>> {
    // Parameters of a preference come after a semicolon; `wait` has none.
    let preference = preference.split(';').next().unwrap_or_default();
    let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
    if !name.trim().eq_ignore_ascii_case("wait") {
        return None;
    }
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(value);
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    Some(digits.then(|| value.parse().unwrap_or(u64::MAX)).ok_or(()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn seconds(headers: &[&str]) -> Option<u64> {
        let request = headers
            .iter()
            .fold(TestRequest::default(), |request, value| request.append_header((PREFER, *value)));
        Wait::asked(&request.to_http_request()).map(|wait| wait.seconds)
    }

    #[test]
    fn the_preference_is_read_as_the_standard_writes_it() {
        for (header, expected) in [
            ("wait=10", 10),
            ("WAIT = 10", 10),
            ("wait=\"10\"", 10),
            ("respond-async, wait=10", 10),
            ("wait=10; x=\"a;b\"", 10),
            ("foo=\"wait=3, wait=4\", wait=5", 5),
            ("foo=\"a\\\", wait=4\", wait=5", 5),
            ("wait=5, wait=6", 5),
            ("wait=0", 1),
            ("wait=61", 60),
            ("wait=99999999999999999999", 60),
        ] {
            assert_eq!(seconds(&[header]), Some(expected), "{header}");
        }
        assert_eq!(seconds(&["respond-async", "wait=7"]), Some(7));
    }

    #[test]
    fn what_cannot_be_read_is_ignored() {
        for header in
            ["", "wait", "wait=", "wait=-1", "wait=1.5", "wait=ten", "waits=3", "x;wait=3"]
        {
            assert_eq!(seconds(&[header]), None, "{header}");
        }
        assert_eq!(seconds(&["wait=x, wait=3"]), None, "the first counts");
        assert_eq!(seconds(&[]), None);
    }
}
