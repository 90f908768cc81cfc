//! HTTP to providers: everything about it that is the same for each of them.
//!
//! One client is shared by all adapters; each has its address and its credential on top of it.
//! Answers have a largest size and a longest time, and are read as JSON whatever their content
//! type says. Redirects are never followed: a credential goes to the address that an operator
//! configured and to no other. What is retried is what cannot do harm twice: reads, and a
//! submit that never left.

mod fault;
mod reply;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, redirect, retry};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

pub(crate) use self::fault::{lost, refused};
pub(crate) use self::reply::{Reply, wait_in_text};
use crate::{Acceptance, Error, Progress, SubmitError};

/// How long a provider's server may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long any call may take that is not the making of a picture: longer than a caller waits.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an inline call may take: longer than any attempt. Callers have limits of their own.
const INLINE_TIMEOUT: Duration = Duration::from_secs(900);
/// Answers about a job: URLs, and at worst the log of a run.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Answers that are pictures: ten large ones in base64.
const INLINE_BYTES_MAX: usize = 128 << 20;
/// Shorter than the time after which most servers close an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Characters of a provider's sentence that are passed on.
const REASON_MAX: usize = 300;

/// Where a provider is, and what it knows us by.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The address that paths are appended to.
    pub base_url: Url,
    /// The credential.
    pub secret: SecretString,
}

/// The HTTP client that all adapters share.
///
/// # Errors
/// When it cannot be made: on a machine without certificate authorities, for one.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("babysea/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .build()
}

/// How a provider reads its own refusals: the meaning of an answer, or `None` when the answer
/// is not in its words and a proxy on the way may have made it.
pub(crate) type ReadRefusal = fn(&Reply) -> Option<Error>;

/// The shared client with one provider's address and credential.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    headers: HeaderMap,
    /// Kept apart to be found in texts that must not hold it.
    secret: SecretString,
    read_refusal: ReadRefusal,
}

/// What a call sends.
pub(crate) enum Body {
    Json(Value),
    Form(crate::multipart::Form),
}

impl Client {
    /// `scheme` stands before the credential in the `Authorization` header.
    ///
    /// # Errors
    /// The credential has characters that no header can carry.
    pub(crate) fn new(
        http: &reqwest::Client,
        endpoint: Endpoint,
        scheme: &str,
        read_refusal: ReadRefusal,
    ) -> Result<Self, InvalidCredential> {
        let value = format!("{scheme} {}", endpoint.secret.expose_secret());
        Self::with_header(http, endpoint, AUTHORIZATION, &value, read_refusal)
    }

    /// For a provider that has its credential in another header.
    pub(crate) fn with_header(
        http: &reqwest::Client,
        endpoint: Endpoint,
        name: HeaderName,
        value: &str,
        read_refusal: ReadRefusal,
    ) -> Result<Self, InvalidCredential> {
        let mut value = HeaderValue::from_str(value).map_err(|_| InvalidCredential)?;
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(name, value)]);
        let Endpoint { base_url, secret } = endpoint;
        Ok(Self { http: http.clone(), base: base_url, headers, secret, read_refusal })
    }

    /// Adds a header to every call.
    pub(crate) fn always(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// An address below the base. `path` begins with a slash; what is variable in it must have
    /// been judged by [`plain_id`] or be of our own making.
    pub(crate) fn url(&self, path: &str) -> Result<Url, Error> {
        let text = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|_| Error::Protocol("the address cannot be made".to_owned()))
    }

    /// Reads; repeated once when no answer came.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Error> {
        self.get_from(self.url(path)?).await
    }

    /// Reads from an address that the provider has named; with the credential only when it is
    /// the configured one.
    pub(crate) async fn get_from(&self, url: Url) -> Result<Reply, Error> {
        let request = || {
            let request = self.http.get(url.clone());
            if same_origin(&url, &self.base) {
                request.headers(self.headers.clone())
            } else {
                request
            }
        };
        match send(request(), CALL_TIMEOUT, ANSWER_BYTES_MAX).await {
            Ok(reply) => Ok(reply),
            Err(_) => {
                let again = send(request(), CALL_TIMEOUT, ANSWER_BYTES_MAX).await;
                again.map_err(|fault| fault.error)
            }
        }
    }

    /// Tells the provider something that may be told twice, such as a cancel.
    pub(crate) async fn tell(&self, method: Method, path: &str) -> Result<Reply, Error> {
        let request = self.http.request(method, self.url(path)?).headers(self.headers.clone());
        // Without a length some servers wait for a body.
        let request = request.header("content-length", "0");
        send(request, CALL_TIMEOUT, ANSWER_BYTES_MAX).await.map_err(|fault| fault.error)
    }

    /// Submits a job, and answers with what the provider said if it took it.
    pub(crate) async fn submit(&self, path: &str, body: Body) -> Result<Reply, SubmitError> {
        self.post(path, &[], body, CALL_TIMEOUT, ANSWER_BYTES_MAX).await
    }

    /// The same with headers of its own.
    pub(crate) async fn submit_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Body,
    ) -> Result<Reply, SubmitError> {
        self.post(path, headers, body, CALL_TIMEOUT, ANSWER_BYTES_MAX).await
    }

    /// Submits a job whose result is the answer.
    pub(crate) async fn submit_inline(&self, path: &str, body: Body) -> Result<Reply, SubmitError> {
        self.submit_inline_with(path, &[], body).await
    }

    /// The same with headers of its own.
    pub(crate) async fn submit_inline_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Body,
    ) -> Result<Reply, SubmitError> {
        self.post(path, headers, body, INLINE_TIMEOUT, INLINE_BYTES_MAX).await
    }

    async fn post(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Body,
        limit: Duration,
        bytes_max: usize,
    ) -> Result<Reply, SubmitError> {
        let url = self.url(path).map_err(refused)?;
        let body = Encoded::of(body).map_err(refused)?;
        let request = || {
            let mut request = self.http.post(url.clone()).headers(self.headers.clone());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            body.put_into(request)
        };
        let reply = match send(request(), limit, bytes_max).await {
            // It never left, so it cannot have been taken.
            Err(fault) if fault.acceptance == Acceptance::Refused => {
                send(request(), limit, bytes_max).await?
            }
            other => other?,
        };
        if reply.is_success() {
            return Ok(reply);
        }
        let (error, acceptance) = self.meaning(&reply);
        Err(SubmitError { error, acceptance })
    }

    /// What an answer means that is not a success, and whether it says that nothing was taken.
    fn meaning(&self, reply: &Reply) -> (Error, Acceptance) {
        let own = (self.read_refusal)(reply);
        let acceptance = match (reply.status, &own) {
            // Whoever gave up waiting does not know what happened behind it.
            (408 | 504, _) => Acceptance::Unknown,
            (500.., None) => Acceptance::Unknown,
            _ => Acceptance::Refused,
        };
        let error = match (own.unwrap_or_else(|| reply.bare_meaning()), reply.retry_after()) {
            (Error::Unavailable, Some(retry_after)) => Error::Overloaded { retry_after },
            (error, _) => error,
        };
        (self.clean(error), acceptance)
    }

    /// The same for an answer to a question or a cancel.
    pub(crate) fn error(&self, reply: &Reply) -> Error {
        self.meaning(reply).0
    }

    /// How a job is doing when the question was answered with a failure: nothing is known of
    /// the job then, unless the provider knows none.
    pub(crate) fn unanswered(&self, reply: &Reply) -> Result<Progress, Error> {
        match reply.status {
            404 | 410 => Ok(Progress::Failed(gone())),
            500.. => Ok(Progress::Waiting { retry_after: reply.retry_after() }),
            _ => Err(self.error(reply)),
        }
    }

    /// A job that has failed.
    pub(crate) fn failed(&self, error: Error) -> Progress {
        Progress::Failed(self.clean(error))
    }

    /// Takes out of a provider's sentence what nobody should read: our credential, and URLs,
    /// which may be those of callbacks or of other people's files.
    pub(crate) fn clean(&self, error: Error) -> Error {
        let clean = |text: String| self.clean_text(&text);
        match error {
            Error::Rejected(text) => Error::Rejected(clean(text)),
            Error::Moderated(text) => Error::Moderated(clean(text)),
            Error::Failed(text) => Error::Failed(clean(text)),
            Error::Protocol(text) => Error::Protocol(clean(text)),
            other @ (Error::RateLimited { .. }
            | Error::OutOfCredit
            | Error::Unauthorized
            | Error::Unavailable
            | Error::Overloaded { .. }
            | Error::TimedOut
            | Error::Unsupported) => other,
        }
    }

    fn clean_text(&self, text: &str) -> String {
        let secret = self.secret.expose_secret();
        let text = if secret.is_empty() { text.into() } else { text.replace(secret, "[redacted]") };
        let word = |word: &str| match word.contains("://") || word.contains("data:") {
            true => "[url]".to_owned(),
            false => word.to_owned(),
        };
        let words: Vec<String> = text.split_whitespace().map(word).collect();
        words.join(" ").chars().take(REASON_MAX).collect()
    }
}

/// A credential with characters that no header can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential has characters that HTTP cannot carry")]
pub struct InvalidCredential;

/// Whether two URLs are of one server.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// An id that can be put into a path as it is: a provider that sends others is not believed.
pub(crate) fn plain_id(id: &str) -> Result<&str, Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=200).contains(&id.len()) && id.bytes().all(plain) {
        Ok(id)
    } else {
        Err(Error::Protocol("the id of the job is not readable".to_owned()))
    }
}

/// The provider does not know the job, or not any more.
pub(crate) fn gone() -> Error {
    Error::Failed("The provider no longer has the job.".to_owned())
}

/// A body that can be sent again.
struct Encoded {
    content_type: String,
    bytes: bytes::Bytes,
}

impl Encoded {
    fn of(body: Body) -> Result<Self, Error> {
        let (content_type, bytes) = match body {
            Body::Json(value) => {
                let bytes = serde_json::to_vec(&value)
                    .map_err(|_| Error::Protocol("the request cannot be written".to_owned()))?;
                ("application/json".to_owned(), bytes.into())
            }
            Body::Form(form) => form.finish(),
        };
        Ok(Self { content_type, bytes })
    }

    fn put_into(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(CONTENT_TYPE, self.content_type.as_str()).body(self.bytes.clone())
    }
}

/// Sends once and reads the answer, all within the limits.
async fn send(
    request: RequestBuilder,
    limit: Duration,
    bytes_max: usize,
) -> Result<Reply, SubmitError> {
    match timeout(limit, Reply::receive(request, bytes_max)).await {
        Ok(result) => result,
        Err(_) => Err(lost(Error::TimedOut)),
    }
}

#[cfg(test)]
mod tests;
