//! Replicate (`spec/providers.md`, section 1): jobs that call back, are waited for in the submit,
//! or are polled.
//!
//! A failed run is an answer of 200 with a sentence in it, so moderation is told by text. Files
//! and inputs are gone an hour after a job. Jobs whose submit answer was lost are found again in
//! the list of jobs by a seed that belongs to the submission, on models that take one.

mod input;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

use self::wire::{Page, Prediction, SigningSecret, Status};
use crate::adapter::{Adapter, InvalidSettings, SettingKind};
use crate::callback::CallbackKey;
use crate::client::{Body, Client, Endpoint, Reply, plain_id};
use crate::clock::Clock;
use crate::key_cache::KeyCache;
use crate::name::ProviderName;
use crate::{
    CallbackError, CallbackNews, CancelAnswer, Capabilities, DeliveryMode, Error, Expected, JobRef,
    LookUp, MediaKind, Progress, Provider, RawCallback, Request, SubmitError, Submitted, client,
};

/// How long a submit waits for the result: longer than quick models take, and not longer than a
/// cancel can wait, since nobody knows the job before the answer.
const PREFER: [(&str, &str); 1] = [("prefer", "wait=10")];
/// How long after a submit a job must have shown up in the list of jobs; not seeing it before
/// says nothing.
const LISTED_AFTER: TimeDelta = TimeDelta::seconds(30);
/// How far the provider's clock may be from ours when its list is asked for a time.
const CLOCK_SLACK: TimeDelta = TimeDelta::minutes(70);
/// Pages of a hundred jobs that a look-up reads before it gives up.
const PAGES_MAX: usize = 10;

/// Its place among the others.
pub(crate) const ADAPTER: Adapter = Adapter {
    name: ProviderName::Replicate,
    settings: &[("webhook_secret", SettingKind::Secret)],
    polls: true,
    make: |shared, settings| {
        let secret = settings.more.get("webhook_secret");
        let clock = Arc::clone(&shared.clock);
        Ok(Arc::new(Replicate::new(&shared.http, settings.endpoint.clone(), secret, clock)?))
    },
};

/// The adapter.
pub struct Replicate {
    client: Client,
    clock: Arc<dyn Clock>,
    /// The secret of the account's callbacks, when an operator has configured it.
    configured_key: Option<Arc<CallbackKey>>,
    /// Otherwise fetched.
    fetched_keys: KeyCache<CallbackKey>,
}

impl Replicate {
    /// Without a callback secret, it is asked for when the first callback comes.
    ///
    /// # Errors
    /// [`InvalidSettings`].
    pub fn new(
        http: &reqwest::Client,
        endpoint: Endpoint,
        callback_secret: Option<&SecretString>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidSettings> {
        let client = Client::new(http, endpoint, "Bearer", read_refusal)?;
        let configured_key = callback_secret.map(CallbackKey::parse).transpose()?.map(Arc::new);
        let fetched_keys = KeyCache::new(Arc::clone(&clock));
        Ok(Self { client, clock, configured_key, fetched_keys })
    }

    async fn verify(&self, callback: &RawCallback<'_>) -> Result<(), CallbackError> {
        if let Some(key) = &self.configured_key {
            return key.verify(callback);
        }
        let unknown = CallbackError::Signature;
        let key = self.fetched_keys.get(self.fetch_key()).await.ok_or(unknown)?;
        match key.verify(callback) {
            Err(CallbackError::Signature) => {
                let newer = self.fetched_keys.newer(&key, self.fetch_key()).await;
                newer.ok_or(unknown)?.verify(callback)
            }
            verified => verified,
        }
    }

    async fn fetch_key(&self) -> Option<CallbackKey> {
        let reply = self.client.get("/webhooks/default/secret").await.ok()?;
        let secret: SigningSecret = reply.json().ok()?;
        CallbackKey::parse(&secret.key.into()).ok()
    }

    /// How a job is doing, by what the provider says of it.
    fn progress(&self, prediction: Prediction) -> Result<Progress, Error> {
        Ok(match prediction.status {
            Status::Starting | Status::Processing => Progress::Waiting { retry_after: None },
            Status::Canceled => Progress::Canceled,
            Status::Aborted => {
                Progress::Failed(Error::Failed("The job did not start in time.".to_owned()))
            }
            Status::Failed => self.client.failed(failure(prediction.error_text())),
            Status::Succeeded if prediction.data_removed => Progress::Failed(client::gone()),
            Status::Succeeded => Progress::Done(prediction.into_output()?),
        })
    }
}

#[async_trait]
impl Provider for Replicate {
    fn name(&self) -> ProviderName {
        ProviderName::Replicate
    }

    fn capabilities(&self, model: &str, _media: MediaKind) -> Capabilities {
        let look_up = input::takes_seed(model);
        let deliveries = &[DeliveryMode::Callback, DeliveryMode::Inline, DeliveryMode::Polling];
        Capabilities { deliveries, cancel: true, look_up }
    }

    async fn submit(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let input = input::of(request).map_err(client::refused)?;
        let (path, mut body) = match request.model.split_once(':') {
            // A version of a model that is not an official one.
            Some(_) => ("/predictions".to_owned(), json!({ "version": request.model })),
            None => (format!("/models/{}/predictions", request.model), json!({})),
        };
        body["input"] = Value::Object(input);
        if let Some(callback) = &request.callback {
            body["webhook"] = callback.as_str().into();
            body["webhook_events_filter"] = json!(["completed"]);
        }
        let waits: &[_] = if request.delivery == DeliveryMode::Inline { &PREFER } else { &[] };
        let reply = self.client.submit_with(&path, waits, Body::Json(body)).await?;
        let prediction: Prediction = reply.json().map_err(client::lost)?;
        let job = JobRef(plain_id(&prediction.id).map_err(client::lost)?.to_owned());
        match self.progress(prediction) {
            Ok(Progress::Done(output)) => Ok(Submitted::Done { job: Some(job), output }),
            Ok(Progress::Failed(error)) => Err(client::refused(error)),
            // What is not readable yet may be when it is asked for.
            Ok(Progress::Waiting { .. } | Progress::Canceled) | Err(_) => {
                Ok(Submitted::Job { job, cost: None })
            }
        }
    }

    async fn poll(&self, job: &JobRef) -> Result<Progress, Error> {
        let reply = self.client.get(&format!("/predictions/{}", plain_id(&job.0)?)).await?;
        if !reply.is_success() {
            return self.client.unanswered(&reply);
        }
        let prediction: Prediction = reply.json()?;
        self.progress(prediction)
    }

    async fn look_up(&self, request: &Request) -> Result<LookUp, Error> {
        // A seed that the customer chose may be in other jobs too.
        let own = request.options.get("generation_seed").is_none_or(Value::is_null);
        if !own || !input::takes_seed(&request.model) {
            return Err(Error::Unsupported);
        }
        let input = Value::Object(input::of(request)?);
        let from = (request.submitted_at - CLOCK_SLACK).format("%Y-%m-%dT%H:%M:%SZ");
        let mut path = Some(format!("/predictions?created_after={from}"));
        for _ in 0..PAGES_MAX {
            let Some(next) = path.take() else { break };
            let reply = self.client.get(&next).await?;
            if !reply.is_success() {
                return Err(self.client.error(&reply));
            }
            let page: Page = reply.json()?;
            let mut jobs = page.results.into_iter();
            if let Some(job) = jobs.find(|job| job.input["seed"] == input["seed"]) {
                return Ok(LookUp::Found(JobRef(plain_id(&job.id)?.to_owned())));
            }
            match page.next {
                Some(next) => path = Some(wire::below(&next, self.client.base())?),
                None if self.clock.now() - request.submitted_at < LISTED_AFTER => {
                    return Err(Error::Unavailable);
                }
                None => return Ok(LookUp::Absent),
            }
        }
        Err(Error::Unavailable)
    }

    async fn cancel(&self, job: &JobRef) -> Result<CancelAnswer, Error> {
        let path = format!("/predictions/{}/cancel", plain_id(&job.0)?);
        let reply = self.client.tell(Method::POST, &path).await?;
        if reply.status == 404 {
            return Ok(CancelAnswer::TooLate);
        }
        if !reply.is_success() {
            return Err(self.client.error(&reply));
        }
        let prediction: Prediction = reply.json()?;
        Ok(match prediction.status {
            // The answer may be older than the cancel.
            Status::Starting | Status::Processing | Status::Canceled | Status::Aborted => {
                CancelAnswer::Canceled
            }
            Status::Succeeded | Status::Failed => CancelAnswer::TooLate,
        })
    }

    async fn parse_callback(
        &self,
        callback: &RawCallback<'_>,
        _about: &Expected<'_>,
    ) -> Result<CallbackNews, CallbackError> {
        self.verify(callback).await?;
        let malformed = CallbackError::Malformed;
        let prediction: Prediction =
            serde_json::from_slice(callback.body).map_err(|_| malformed)?;
        let job = JobRef(plain_id(&prediction.id).map_err(|_| malformed)?.to_owned());
        let progress = self.progress(prediction).map_err(|_| malformed)?;
        Ok(CallbackNews::Told { job, progress })
    }
}

/// What the sentence of a failed run means; only its words say whether the content was refused.
fn failure(text: &str) -> Error {
    let lower = text.to_lowercase();
    let refused = ["nsfw", "flagged as sensitive", "safety", "content policy", "moderat"];
    if refused.iter().any(|word| lower.contains(word)) {
        return Error::Moderated(text.to_owned());
    }
    Error::Failed(text.to_owned())
}

fn read_refusal(reply: &Reply) -> Option<Error> {
    let problem: wire::Problem = reply.json().ok()?;
    let text = problem.text();
    Some(match reply.status {
        401 => Error::Unauthorized,
        402 => Error::OutOfCredit,
        403 => Error::Unauthorized,
        // Other providers may have the model.
        404 => Error::Failed("The provider does not have this model.".to_owned()),
        422 if problem.is_about_the_model() => {
            Error::Failed("The provider does not have this version of the model.".to_owned())
        }
        429 => Error::RateLimited {
            retry_after: reply
                .retry_after()
                .or(problem.retry_after.map(Duration::from_secs))
                .or_else(|| client::wait_in_text(&text, "resets in")),
        },
        400 | 422 => Error::Rejected(text),
        500.. => Error::Unavailable,
        _ => return None,
    })
}
