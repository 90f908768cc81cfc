//! fal (`spec/providers.md`, section 2): a queue that calls back or is polled, and a host that
//! answers with the result.
//!
//! There is no state "failed": a failed run is `COMPLETED`, and asking for its result answers
//! with the model's own error. Nothing is validated at submit. Callbacks are signed with
//! Ed25519; the public keys are fetched and kept for a day.

mod input;
mod signature;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use url::Url;

use self::signature::Keys;
use self::wire::{Callback, Detail, Made, Queued};
use crate::adapter::{Adapter, SettingKind};
use crate::client::{Body, Client, Endpoint, InvalidCredential, Reply, plain_id};
use crate::clock::Clock;
use crate::key_cache::KeyCache;
use crate::name::ProviderName;
use crate::{
    CallbackError, CallbackNews, CancelAnswer, Capabilities, DeliveryMode, Error, Expected, JobRef,
    LookUp, MediaKind, Progress, Provider, RawCallback, Request, SubmitError, Submitted, client,
};

/// How often the provider wants to be asked about a job.
const POLL_WAIT: Duration = Duration::from_secs(1);
/// How long files stay with the provider, in seconds: they are copied at once, and a day is
/// enough to look into what went wrong.
const KEEP_FILES: [(&str, &str); 1] =
    [("x-fal-object-lifecycle-preference", r#"{"expiration_duration_seconds": 86400}"#)];

/// Its place among the others.
pub(crate) const ADAPTER: Adapter = Adapter {
    name: ProviderName::Fal,
    settings: &[("run_url", SettingKind::Address), ("keys_url", SettingKind::Address)],
    polls: true,
    make: |shared, settings| {
        let (run_url, keys_url) = (settings.address("run_url")?, settings.address("keys_url")?);
        let clock = Arc::clone(&shared.clock);
        Ok(Arc::new(Fal::new(&shared.http, settings.endpoint.clone(), run_url, keys_url, clock)?))
    },
};

/// The adapter.
pub struct Fal {
    /// The queue.
    client: Client,
    /// The host that answers with the result.
    run: Client,
    keys_url: Url,
    keys: KeyCache<Keys>,
}

impl Fal {
    /// # Errors
    /// [`InvalidCredential`].
    pub fn new(
        http: &reqwest::Client,
        endpoint: Endpoint,
        run_url: Url,
        keys_url: Url,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidCredential> {
        let run = Endpoint { base_url: run_url, secret: endpoint.secret.clone() };
        let client = Client::new(http, endpoint, "Key", read_refusal)?;
        let run = Client::new(http, run, "Key", read_refusal)?;
        Ok(Self { client, run, keys_url, keys: KeyCache::new(clock) })
    }

    async fn run(&self, path: &str, body: Body) -> Result<Submitted, SubmitError> {
        let reply = self.run.submit_inline_with(path, &KEEP_FILES, body).await?;
        let made: Made = reply.json().map_err(client::lost)?;
        match made.into_output() {
            Ok(output) => Ok(Submitted::Done { job: None, output }),
            // What is no answer of theirs says nothing of whether it was made and is paid for.
            Err(error @ Error::Protocol(_)) => Err(client::lost(error)),
            Err(error) => Err(client::refused(self.run.clean(error))),
        }
    }

    async fn verify(&self, callback: &RawCallback<'_>) -> Result<(), CallbackError> {
        let unknown = CallbackError::Signature;
        let keys = self.keys.get(self.fetch_keys()).await.ok_or(unknown)?;
        match keys.verify(callback) {
            Err(CallbackError::Signature) => {
                let newer = self.keys.newer(&keys, self.fetch_keys()).await;
                newer.ok_or(unknown)?.verify(callback)
            }
            verified => verified,
        }
    }

    /// They are public, so no credential goes there.
    async fn fetch_keys(&self) -> Option<Keys> {
        let reply = self.client.get_from(self.keys_url.clone()).await.ok()?;
        Keys::read(&reply.body)
    }

    /// The result of a run, which is an error if the run failed.
    fn result(&self, reply: &Reply) -> Result<Progress, Error> {
        match reply.status {
            200 => {
                let made = reply.json().and_then(Made::into_output);
                Ok(made.map_or_else(|error| self.client.failed(error), Progress::Done))
            }
            // It says so when it is not finished after all.
            400 if wire::is_in_progress(&reply.body) => Ok(waiting()),
            404 | 410 => Ok(Progress::Failed(client::gone())),
            // A gateway; the provider's own failures come with an id.
            429 | 500.. if reply.header("x-fal-request-id").is_none() => {
                Ok(Progress::Waiting { retry_after: reply.retry_after() })
            }
            401 | 403 => Err(self.client.error(reply)),
            _ => Ok(Progress::Failed(self.client.error(reply))),
        }
    }
}

#[async_trait]
impl Provider for Fal {
    fn name(&self) -> ProviderName {
        ProviderName::Fal
    }

    fn capabilities(&self, _model: &str, _media: MediaKind) -> Capabilities {
        let deliveries = &[DeliveryMode::Callback, DeliveryMode::Inline, DeliveryMode::Polling];
        Capabilities { deliveries, cancel: true, look_up: false }
    }

    async fn submit(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let (endpoint, input) = input::of(request).map_err(client::refused)?;
        let mut path = format!("/{endpoint}");
        if request.delivery == DeliveryMode::Inline {
            return self.run(&path, Body::Json(input.into())).await;
        }
        if let Some(callback) = &request.callback {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("fal_webhook", callback.as_str());
            path = format!("{path}?{}", query.finish());
        }
        let reply = self.client.submit_with(&path, &KEEP_FILES, Body::Json(input.into())).await?;
        let queued: Queued = reply.json().map_err(client::lost)?;
        let job = job(&request.model, &queued.request_id).map_err(client::lost)?;
        Ok(Submitted::Job { job, cost: None })
    }

    async fn poll(&self, job: &JobRef) -> Result<Progress, Error> {
        let path = path(job)?;
        let reply = self.client.get(&format!("{path}/status")).await?;
        if !reply.is_success() {
            return self.client.unanswered(&reply);
        }
        let queued: Queued = reply.json()?;
        match queued.status.as_deref() {
            Some("IN_QUEUE" | "IN_PROGRESS") => Ok(waiting()),
            Some("COMPLETED") => self.result(&self.client.get(&path).await?),
            _ => Err(Error::Protocol("the status of the job is not known".to_owned())),
        }
    }

    /// It has no list of jobs; only a callback can tell.
    async fn look_up(&self, _request: &Request) -> Result<LookUp, Error> {
        Err(Error::Unsupported)
    }

    async fn cancel(&self, job: &JobRef) -> Result<CancelAnswer, Error> {
        let reply = self.client.tell(Method::PUT, &format!("{}/cancel", path(job)?)).await?;
        match reply.status {
            // 202: the run is told, and may still finish.
            200 | 202 => Ok(CancelAnswer::Canceled),
            400 | 404 => Ok(CancelAnswer::TooLate),
            _ => Err(self.client.error(&reply)),
        }
    }

    async fn parse_callback(
        &self,
        callback: &RawCallback<'_>,
        about: &Expected<'_>,
    ) -> Result<CallbackNews, CallbackError> {
        self.verify(callback).await?;
        let malformed = CallbackError::Malformed;
        let body: Callback = serde_json::from_slice(callback.body).map_err(|_| malformed)?;
        let job = job(about.model, &body.request_id).map_err(|_| malformed)?;
        let progress = match body.into_result() {
            Some(Ok(output)) => Progress::Done(output),
            Some(Err(error)) => self.client.failed(error),
            // The result could not be put into the callback: it has to be asked for.
            None => waiting(),
        };
        Ok(CallbackNews::Told { job, progress })
    }
}

fn waiting() -> Progress {
    Progress::Waiting { retry_after: Some(POLL_WAIT) }
}

/// A job's name holds the application, without which it cannot be asked for. It is made from
/// the id and not from the URLs of the answer: the credential goes to no address but ours.
fn job(model: &str, request_id: &str) -> Result<JobRef, Error> {
    Ok(JobRef(format!("{}/requests/{}", application(model), plain_id(request_id)?)))
}

/// Owner and alias: the rest of a model's path is dropped once it is queued, except for the
/// two namespaces that stand in front.
fn application(model: &str) -> String {
    let namespaced = model.starts_with("workflows/") || model.starts_with("comfy/");
    let parts = if namespaced { 3 } else { 2 };
    model.split('/').take(parts).collect::<Vec<_>>().join("/")
}

fn path(job: &JobRef) -> Result<String, Error> {
    let parts: Vec<&str> = job.0.split('/').collect();
    // Aliases have dots (`veo3.1`), but no part is only dots.
    let safe = |part: &&str| plain_id(&part.replace('.', "_")).is_ok() && !part.starts_with('.');
    match (parts.len(), parts.iter().all(safe)) {
        (4..=5, true) => Ok(format!("/{}", job.0)),
        _ => Err(Error::Protocol("this is no job of this provider".to_owned())),
    }
}

fn read_refusal(reply: &Reply) -> Option<Error> {
    let detail: Detail = reply.json().ok()?;
    detail.meaning(reply.status, reply)
}
