//! Adapters to inference providers, behind one port.
//!
//! This crate translates and never decides. It knows nothing of accounts, credit or
//! generations: a caller hands it a [`Request`] and learns what the provider said. Which
//! provider to ask, how long to wait and what a refusal means for money is decided above.

#![warn(missing_docs)]

pub mod adapter;
pub mod alibabacloud;
pub mod bfl;
pub mod byteplus;
pub mod callback;
pub mod client;
pub mod clock;
pub mod cloudflare;
pub mod fal;
pub mod media;
pub mod name;
pub mod openai;
pub mod registry;
pub mod replicate;
pub mod runway;
pub mod sandbox;

mod key_cache;
mod multipart;
mod options;
mod ratio;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use url::Url;
use uuid::Uuid;

use crate::name::ProviderName;

/// One outside inference service.
///
/// Implementations hold credentials and an HTTP client, and nothing per request. Every
/// method may be called again after a crash of the caller; only [`Provider::submit`] has an
/// effect that must not happen twice.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The name under which routing, records and health know this provider.
    fn name(&self) -> ProviderName;

    /// What this provider can do for a model, so that the caller can choose how to wait.
    fn capabilities(&self, model: &str, media: MediaKind) -> Capabilities;

    /// Sends the request to the provider.
    ///
    /// # Errors
    /// [`SubmitError`] says what went wrong and whether the provider may have accepted the
    /// job all the same. Never retried inside an adapter once a body was sent: no provider
    /// documents an idempotency key on submit (`spec/providers.md`, section 0).
    async fn submit(&self, request: &Request) -> Result<Submitted, SubmitError>;

    /// Asks how a job is doing. A read, safe to repeat.
    ///
    /// # Errors
    /// The question could not be answered; the job itself is not affected.
    /// [`Error::RateLimited`] means that all questions to this provider have to wait.
    async fn poll(&self, job: &JobRef) -> Result<Progress, Error>;

    /// Finds the job that an earlier [`Provider::submit`] of this very request may have
    /// made, by [`Request::correlation`]. Used when the answer to a submit was lost.
    ///
    /// # Errors
    /// The question could not be answered.
    async fn look_up(&self, request: &Request) -> Result<LookUp, Error>;

    /// Asks the provider to stop a job. Safe to repeat.
    ///
    /// # Errors
    /// The provider could not be asked, or has no such operation ([`Error::Unsupported`]).
    async fn cancel(&self, job: &JobRef) -> Result<CancelAnswer, Error>;

    /// Checks the signature of a callback and reads it. `about` is what the address says that
    /// was called: the attempt whose callback this must be.
    ///
    /// # Errors
    /// [`CallbackError`] when it is not signed by the provider or cannot be read.
    async fn parse_callback(
        &self,
        callback: &RawCallback<'_>,
        about: &Expected<'_>,
    ) -> Result<CallbackNews, CallbackError>;
}

/// Image or video: what a model makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A still picture.
    Image,
    /// A moving picture.
    Video,
}

impl MediaKind {
    /// The text of the public contract and of the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
        }
    }
}

/// The container that outputs are delivered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputFormat {
    /// PNG.
    Png,
    /// JPEG, spelled `jpg` in the contract.
    Jpg,
    /// WebP.
    Webp,
    /// MP4.
    Mp4,
}

impl OutputFormat {
    /// Every format, in the order of the contract.
    pub const ALL: [Self; 4] = [Self::Png, Self::Jpg, Self::Webp, Self::Mp4];

    /// The text of the public contract, also the file name's extension.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpg => "jpg",
            Self::Webp => "webp",
            Self::Mp4 => "mp4",
        }
    }

    /// The MIME type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Mp4 => "video/mp4",
        }
    }

    /// Reads the contract's text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }
}

/// How a **provider** hands its result to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryMode {
    /// The answer to the submit is the result.
    Inline,
    /// We ask until it is done.
    Polling,
    /// The provider calls us; asking remains as a safety net.
    Callback,
}

/// What a provider can do for one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The delivery modes on offer, at least one. The caller chooses.
    pub deliveries: &'static [DeliveryMode],
    /// Whether [`Provider::cancel`] does anything.
    pub cancel: bool,
    /// Whether [`Provider::look_up`] can find a job whose submit answer was lost.
    pub look_up: bool,
}

/// One request in our own words; each adapter maps every field or says why it does not.
///
/// Adapters destructure it in full, so a new field does not compile until each has decided.
#[derive(Debug, Clone)]
pub struct Request {
    /// Our id of this submission, the same again when it is looked up.
    pub correlation: Uuid,
    /// When it was first sent; a provider's own job age counts from about here.
    pub submitted_at: DateTime<Utc>,
    /// The provider's own name of the model.
    pub model: String,
    /// What the model makes.
    pub media: MediaKind,
    /// The prompt, trimmed and not empty.
    pub prompt: String,
    /// Canonical ratio such as `16:9`.
    pub ratio: String,
    /// Container of the outputs.
    pub format: OutputFormat,
    /// How many outputs, at least 1.
    pub count: u32,
    /// Public URLs of input pictures.
    pub input_files: Vec<Url>,
    /// Public URL of the picture that a video ends with.
    pub last_frame: Option<Url>,
    /// Length of a video in milliseconds; absent for images.
    pub duration_ms: Option<u64>,
    /// Resolution tier such as `720p`, on models that have tiers.
    pub resolution: Option<String>,
    /// Whether a video carries sound, on models where that can be chosen.
    pub audio: Option<bool>,
    /// Model-specific fields by their public name (`generation_seed`, …), already checked.
    pub options: Map<String, Value>,
    /// How the result is to come: one of the modes that are on offer for the model.
    pub delivery: DeliveryMode,
    /// Where the provider is to call us, with an unguessable token in it; only with
    /// [`DeliveryMode::Callback`].
    pub callback: Option<Url>,
}

/// The provider's own name of a job (`prediction` on the wire).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobRef(pub String);

/// What a successful submit came to.
#[derive(Debug, Clone)]
pub enum Submitted {
    /// The result itself.
    Done {
        /// The job it is of, where the provider names one.
        job: Option<JobRef>,
        /// What it came to.
        output: Output,
    },
    /// A job to wait for.
    Job {
        /// Its name.
        job: JobRef,
        /// What the provider says that it will charge, where it does.
        cost: Option<Cost>,
    },
}

/// How a job is doing.
#[derive(Debug, Clone)]
pub enum Progress {
    /// Not finished; the provider may say when to ask again.
    Waiting {
        /// The provider's own wish, where it states one.
        retry_after: Option<Duration>,
    },
    /// Finished with a result.
    Done(Output),
    /// Finished without one.
    Failed(Error),
    /// Stopped at somebody's request.
    Canceled,
}

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookUp {
    /// The submit was accepted as this job.
    Found(JobRef),
    /// The provider never accepted it: submitting again cannot cost twice.
    Absent,
}

/// What a provider says to a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelAnswer {
    /// It will not finish.
    Canceled,
    /// It had finished, or cannot be stopped any more.
    TooLate,
}

/// The result of a job.
#[derive(Debug, Clone)]
pub struct Output {
    /// The files, in order.
    pub files: Vec<OutputFile>,
    /// The provider's own running time, where it reports one.
    pub predict_time: Option<Duration>,
    /// What the provider says that it charges, where it does.
    pub cost: Option<Cost>,
}

/// Money of a provider's, in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost(pub u64);

impl Cost {
    /// Of so many of a provider's credits at a cent each, as Black Forest Labs and Runway count.
    /// What makes no sense is not known.
    pub(crate) fn of_cents(cents: f64) -> Option<Self> {
        (0.0..1e9).contains(&cents).then(|| Self((cents * 10_000.0).round() as u64))
    }
}

/// One file of a result. In which format it was asked for is not the adapter's business:
/// whoever keeps it converts it where it comes in another one.
#[derive(Clone, PartialEq, Eq)]
pub enum OutputFile {
    /// Here.
    Bytes {
        /// Its container, by its content.
        format: OutputFormat,
        /// Its bytes.
        bytes: Bytes,
    },
    /// At the provider, for a while: to be fetched without our credential, with the care that
    /// is due to any address somebody else has chosen.
    Url(Url),
}

/// Such a URL is a credential for the file, so it is not printed.
impl std::fmt::Debug for OutputFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes { format, bytes } => write!(f, "{} bytes of {format:?}", bytes.len()),
            Self::Url(url) => write!(f, "a file at {}", url.host_str().unwrap_or_default()),
        }
    }
}

/// A failed submit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct SubmitError {
    /// What went wrong.
    pub error: Error,
    /// Whether the provider may have accepted the job nevertheless.
    pub acceptance: Acceptance,
}

/// Whether a provider may have accepted a job whose submit failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// It certainly did not: another provider may be asked.
    Refused,
    /// The answer was lost: it may be running and may be billed.
    Unknown,
}

/// Why a provider did not do what was asked, by meaning (`spec/providers.md`, section 12).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input is not acceptable to this provider.
    #[error("the provider rejected the request: {0}")]
    Rejected(String),
    /// The content was refused.
    #[error("the provider refused the content: {0}")]
    Moderated(String),
    /// Too many requests.
    #[error("the provider is limiting requests")]
    RateLimited {
        /// How long the provider asks us to wait.
        retry_after: Option<Duration>,
    },
    /// Our own account at the provider has no funds.
    #[error("the provider account has no remaining credit")]
    OutOfCredit,
    /// Our credential was refused.
    #[error("the provider credentials were refused")]
    Unauthorized,
    /// The provider is down or overloaded.
    #[error("the provider is unavailable")]
    Unavailable,
    /// The same, for a time that it states.
    #[error("the provider is unavailable for a while")]
    Overloaded {
        /// How long the provider asks us to wait.
        retry_after: Duration,
    },
    /// No answer in time.
    #[error("the provider did not answer in time")]
    TimedOut,
    /// The provider ran the job and it failed.
    #[error("the provider failed: {0}")]
    Failed(String),
    /// The answer could not be read.
    #[error("the provider's answer could not be read: {0}")]
    Protocol(String),
    /// The provider has no such operation.
    #[error("the provider has no such operation")]
    Unsupported,
}

/// A callback as it came in.
#[derive(Debug, Clone, Copy)]
pub struct RawCallback<'a> {
    /// Header names in lower case, with their values.
    pub headers: &'a [(String, String)],
    /// The body, byte for byte as received.
    pub body: &'a [u8],
    /// When it came in, for the age of the signature.
    pub received_at: DateTime<Utc>,
}

/// What is known of the attempt that a callback must be about.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The provider's own name of the model.
    pub model: &'a str,
}

/// What a callback is worth.
#[derive(Debug, Clone)]
pub enum CallbackNews {
    /// The provider has signed it.
    Told {
        /// The job it speaks of.
        job: JobRef,
        /// How that job is doing.
        progress: Progress,
    },
    /// Nobody has signed it: a reason to ask, and nothing else.
    Hint,
}

/// Why a callback was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// Missing or wrong signature.
    #[error("the signature does not match")]
    Signature,
    /// Signed too long ago, or in the future.
    #[error("the signature is outside the accepted time")]
    Stale,
    /// Signed, but not readable.
    #[error("the callback could not be read")]
    Malformed,
    /// This provider does not call back.
    #[error("the provider does not call back")]
    Unsupported,
}
