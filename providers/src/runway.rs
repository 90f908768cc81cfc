//! Runway (`spec/providers.md`, section 8): jobs that are polled, not more than once in five
//! seconds.
//!
//! What cancels a job that runs deletes one that has ended, together with its outputs, so the
//! job is looked at first. An empty account answers like an invalid request; its words tell.

mod input;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;

use self::wire::{Created, Task, TaskStatus};
use crate::adapter::Adapter;
use crate::client::{Body, Client, Endpoint, InvalidCredential, plain_id};
use crate::name::ProviderName;
use crate::{
    CallbackError, CallbackNews, CancelAnswer, Capabilities, DeliveryMode, Error, Expected, JobRef,
    LookUp, MediaKind, Progress, Provider, RawCallback, Request, SubmitError, Submitted, client,
};

/// The version of the API that this adapter speaks; a request without one is refused.
const VERSION: &str = "2024-11-06";
/// How often the provider lets itself be asked about a job.
const POLL_WAIT: Duration = Duration::from_secs(5);

/// Its place among the others.
pub(crate) const ADAPTER: Adapter = Adapter {
    name: ProviderName::Runway,
    settings: &[],
    polls: true,
    make: |shared, settings| Ok(Arc::new(Runway::new(&shared.http, settings.endpoint.clone())?)),
};

/// The adapter.
pub struct Runway {
    client: Client,
}

impl Runway {
    /// # Errors
    /// [`InvalidCredential`].
    pub fn new(http: &reqwest::Client, endpoint: Endpoint) -> Result<Self, InvalidCredential> {
        let client = Client::new(http, endpoint, "Bearer", wire::read_refusal)?;
        Ok(Self { client: client.always("x-runway-version", VERSION) })
    }

    async fn task(&self, job: &JobRef) -> Result<Result<Task, Progress>, Error> {
        let reply = self.client.get(&format!("/v1/tasks/{}", plain_id(&job.0)?)).await?;
        if !reply.is_success() {
            return self.client.unanswered(&reply).map(Err);
        }
        reply.json().map(Ok)
    }
}

#[async_trait]
impl Provider for Runway {
    fn name(&self) -> ProviderName {
        ProviderName::Runway
    }

    fn capabilities(&self, _model: &str, _media: MediaKind) -> Capabilities {
        Capabilities { deliveries: &[DeliveryMode::Polling], cancel: true, look_up: false }
    }

    async fn submit(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let (path, body) = input::of(request).map_err(client::refused)?;
        let reply = self.client.submit(path, Body::Json(body)).await?;
        let created: Created = reply.json().map_err(client::lost)?;
        let id = plain_id(&created.id).map_err(client::lost)?;
        Ok(Submitted::Job { job: JobRef(id.to_owned()), cost: created.cost() })
    }

    async fn poll(&self, job: &JobRef) -> Result<Progress, Error> {
        match self.task(job).await? {
            Ok(task) => match task.into_progress(POLL_WAIT)? {
                Progress::Failed(error) => Ok(self.client.failed(error)),
                progress => Ok(progress),
            },
            Err(progress) => Ok(progress),
        }
    }

    /// It has no list of jobs.
    async fn look_up(&self, _request: &Request) -> Result<LookUp, Error> {
        Err(Error::Unsupported)
    }

    async fn cancel(&self, job: &JobRef) -> Result<CancelAnswer, Error> {
        match self.task(job).await? {
            Ok(task) => match task.status {
                TaskStatus::Pending | TaskStatus::Throttled | TaskStatus::Running => {}
                TaskStatus::Cancelled => return Ok(CancelAnswer::Canceled),
                TaskStatus::Succeeded | TaskStatus::Failed => return Ok(CancelAnswer::TooLate),
            },
            // A job that was canceled is not known any more.
            Err(Progress::Failed(_)) => return Ok(CancelAnswer::Canceled),
            Err(_) => return Err(Error::Unavailable),
        }
        let path = format!("/v1/tasks/{}", plain_id(&job.0)?);
        let reply = self.client.tell(Method::DELETE, &path).await?;
        match reply.status {
            200..=299 | 404 => Ok(CancelAnswer::Canceled),
            _ => Err(self.client.error(&reply)),
        }
    }

    async fn parse_callback(
        &self,
        _callback: &RawCallback<'_>,
        _about: &Expected<'_>,
    ) -> Result<CallbackNews, CallbackError> {
        Err(CallbackError::Unsupported)
    }
}
