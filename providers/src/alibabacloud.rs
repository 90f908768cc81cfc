//! Alibaba Cloud Model Studio, "DashScope" (`spec/providers.md`, section 7).
//!
//! Qwen-Image and the newer Wan pictures come with the answer; films and the older pictures are
//! jobs that are polled. Many mistakes show only in a job that has failed, and an error may
//! come with status 200. A job can be canceled only before it starts.

mod input;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;

use self::input::Route;
use self::wire::{Reading, Task};
use crate::adapter::Adapter;
use crate::client::{Body, Client, Endpoint, InvalidCredential, Reply, plain_id};
use crate::name::ProviderName;
use crate::{
    CallbackError, CallbackNews, CancelAnswer, Capabilities, DeliveryMode, Error, Expected, JobRef,
    LookUp, MediaKind, Progress, Provider, RawCallback, Request, SubmitError, Submitted, client,
};

/// Makes an endpoint answer with a job.
const ASYNC: [(&str, &str); 1] = [("x-dashscope-async", "enable")];
/// How often the provider wants to be asked about a job; it answers twenty questions a second.
const POLL_WAIT: Duration = Duration::from_secs(5);

/// Its place among the others.
pub(crate) const ADAPTER: Adapter = Adapter {
    name: ProviderName::AlibabaCloud,
    settings: &[],
    polls: true,
    make: |shared, settings| {
        Ok(Arc::new(AlibabaCloud::new(&shared.http, settings.endpoint.clone())?))
    },
};

/// The adapter.
pub struct AlibabaCloud {
    client: Client,
}

impl AlibabaCloud {
    /// # Errors
    /// [`InvalidCredential`].
    pub fn new(http: &reqwest::Client, endpoint: Endpoint) -> Result<Self, InvalidCredential> {
        Ok(Self { client: Client::new(http, endpoint, "Bearer", wire::read_refusal)? })
    }

    /// An error that comes with status 200 is one all the same: nothing was taken.
    fn accepted(&self, reply: &Reply) -> Result<(), SubmitError> {
        match wire::error_despite_success(reply) {
            Some(error) => Err(client::refused(self.client.clean(error))),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Provider for AlibabaCloud {
    fn name(&self) -> ProviderName {
        ProviderName::AlibabaCloud
    }

    fn capabilities(&self, model: &str, media: MediaKind) -> Capabilities {
        match Route::of(model, media, true) {
            Route::Inline => {
                Capabilities { deliveries: &[DeliveryMode::Inline], cancel: false, look_up: false }
            }
            Route::Job(_) => {
                Capabilities { deliveries: &[DeliveryMode::Polling], cancel: true, look_up: false }
            }
        }
    }

    async fn submit(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let body = Body::Json(input::of(request).map_err(client::refused)?);
        let with_files = !request.input_files.is_empty();
        match Route::of(&request.model, request.media, with_files) {
            Route::Inline => {
                let reply = self.client.submit_inline(input::INLINE_PATH, body).await?;
                self.accepted(&reply)?;
                let reading: Reading = reply.json().map_err(client::lost)?;
                let output = reading.output.into_output().map_err(client::lost)?;
                Ok(Submitted::Done { job: None, output })
            }
            Route::Job(path) => {
                let reply = self.client.submit_with(path, &ASYNC, body).await?;
                self.accepted(&reply)?;
                let reading: Reading = reply.json().map_err(client::lost)?;
                let no_job = || Error::Protocol("the answer names no job".to_owned());
                let id = reading.output.task_id.ok_or_else(no_job).map_err(client::lost)?;
                let id = plain_id(&id).map_err(client::lost)?;
                Ok(Submitted::Job { job: JobRef(id.to_owned()), cost: None })
            }
        }
    }

    async fn poll(&self, job: &JobRef) -> Result<Progress, Error> {
        let reply = self.client.get(&format!("/tasks/{}", plain_id(&job.0)?)).await?;
        if !reply.is_success() {
            return self.client.unanswered(&reply);
        }
        let Reading { output } = reply.json()?;
        Ok(match output.status()? {
            Task::Active => Progress::Waiting { retry_after: Some(POLL_WAIT) },
            Task::Canceled => Progress::Canceled,
            Task::Unknown => Progress::Failed(client::gone()),
            Task::Failed => self.client.failed(output.failure()),
            Task::Succeeded => match output.into_output() {
                Ok(output) => Progress::Done(output),
                Err(error) => self.client.failed(error),
            },
        })
    }

    /// Its list of jobs says nothing of what was asked for.
    async fn look_up(&self, _request: &Request) -> Result<LookUp, Error> {
        Err(Error::Unsupported)
    }

    async fn cancel(&self, job: &JobRef) -> Result<CancelAnswer, Error> {
        let path = format!("/tasks/{}/cancel", plain_id(&job.0)?);
        let reply = self.client.tell(Method::POST, &path).await?;
        match reply.status {
            200..=299 if wire::error_despite_success(&reply).is_none() => {
                Ok(CancelAnswer::Canceled)
            }
            200..=299 | 400 | 404 => Ok(CancelAnswer::TooLate),
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
