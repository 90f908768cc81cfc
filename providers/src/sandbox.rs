//! The embedded provider: real pictures and films, all three delivery modes, faults on demand.
//!
//! It needs no network and costs nothing, so a fresh installation can be tried, and tests can
//! make a provider misbehave in any way that real ones do. Requests steer it by the options in
//! [`steering`].
//!
//! Jobs survive a restart without being stored: [`Provider::poll`] is a function of the job's
//! id and the clock, [`Provider::look_up`] of the request; so a submit that was never sent is
//! "found" too, if it would have been accepted. Callbacks that are due are lost in a restart.
//!
//! Films are silent and input files are not looked at.

mod backdrop;
mod caller;
mod canceled;
pub mod drawing;
mod film;
mod job;
mod lettering;
mod picture;
mod ratio;
pub mod steering;
mod studio;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Client;
use secrecy::SecretString;
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use self::caller::{CallbackBody, Caller};
use self::canceled::CanceledJobs;
use self::job::{Job, Stage};
use self::steering::{Outcome, Steering};
use self::studio::Studio;
use crate::callback::{CallbackKey, InvalidSecret};
use crate::clock::Clock;
use crate::name::ProviderName;
use crate::{
    Acceptance, CallbackError, CallbackNews, CancelAnswer, Capabilities, DeliveryMode, Error,
    Expected, JobRef, LookUp, MediaKind, Progress, Provider, RawCallback, Request, SubmitError,
    Submitted,
};

/// What the sandbox is set up with.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// The secret (`whsec_…`) that callbacks are signed with.
    pub callback_secret: SecretString,
    /// A file that gets a line `<provider> <correlation>` for each submit, before anything
    /// else happens. Tests which kill the process use it to prove that nothing is submitted
    /// twice.
    pub submissions_log: Option<PathBuf>,
}

/// A sandbox provider: one of the three.
pub struct Sandbox {
    name: ProviderName,
    delivery: DeliveryMode,
    shared: Arc<Shared>,
}

/// What the three have in common.
struct Shared {
    submissions_log: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    studio: Studio,
    canceled: Arc<CanceledJobs>,
    caller: Arc<Caller>,
}

impl Sandbox {
    /// All three: inline, polling, webhook. The client should follow no redirects: callbacks
    /// carry a token in their address.
    ///
    /// # Errors
    /// [`InvalidSecret`] when the callback secret has another form than `whsec_…`.
    pub fn all(
        settings: SandboxSettings,
        clock: Arc<dyn Clock>,
        client: Client,
    ) -> Result<[Self; 3], InvalidSecret> {
        let SandboxSettings { callback_secret, submissions_log } = settings;
        let key = CallbackKey::parse(&callback_secret)?;
        let canceled = Arc::new(CanceledJobs::default());
        let caller = Caller::new(key, client, Arc::clone(&clock), Arc::clone(&canceled));
        let shared = Arc::new(Shared {
            submissions_log,
            clock,
            studio: Studio::new(),
            canceled,
            caller: Arc::new(caller),
        });
        let sandbox = |name, delivery| Self { name, delivery, shared: Arc::clone(&shared) };
        Ok([
            sandbox(ProviderName::SandboxInline, DeliveryMode::Inline),
            sandbox(ProviderName::SandboxPolling, DeliveryMode::Polling),
            sandbox(ProviderName::SandboxWebhook, DeliveryMode::Callback),
        ])
    }

    /// How a job is doing, drawn if it is done.
    async fn progress(&self, job: Job) -> Result<Progress, Error> {
        if self.shared.canceled.contains(job.correlation) {
            return Ok(Progress::Canceled);
        }
        match job.stage(self.shared.clock.now()) {
            Stage::Waiting { retry_after } => Ok(Progress::Waiting { retry_after }),
            Stage::Failed => Ok(Progress::Failed(failed())),
            Stage::Done => {
                let maker = format!("{} via {}", job.artwork.model, self.name());
                Ok(Progress::Done(self.shared.studio.render(job, maker).await?))
            }
        }
    }

    /// Runs a job to its end while the submit waits.
    async fn run_inline(&self, job: Job) -> Result<Submitted, SubmitError> {
        if job.outcome == Outcome::Hang {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(job.latency).await;
        match job.outcome {
            Outcome::Fail => Err(refused(failed())),
            Outcome::LoseSubmitResponse => Err(lost()),
            Outcome::Succeed
            | Outcome::Moderate
            | Outcome::RateLimit
            | Outcome::OutOfCredit
            | Outcome::Hang
            | Outcome::NeverCallBack
            | Outcome::CallBackTwice
            | Outcome::CallBackForged
            | Outcome::CallBackBeforeSubmitReturns => {
                let maker = format!("{} via {}", job.artwork.model, self.name());
                let output = self.shared.studio.render(job, maker).await.map_err(refused)?;
                Ok(Submitted::Done { job: None, output })
            }
        }
    }

    /// Sees to it that somebody is called about a job.
    async fn arrange_callback(&self, job: &Job, request: &Request) -> Result<(), Error> {
        let Some(url) = request.callback.clone() else { return Ok(()) };
        let caller = &self.shared.caller;
        if job.outcome == Outcome::CallBackBeforeSubmitReturns {
            caller.call_once(job, &url).await;
            return Ok(());
        }
        let promise = caller.promise()?;
        Arc::clone(caller).call_when_due(promise, job.clone(), url);
        Ok(())
    }
}

impl Shared {
    async fn note_submission(&self, name: ProviderName, correlation: Uuid) -> std::io::Result<()> {
        let Some(path) = &self.submissions_log else { return Ok(()) };
        let mut log = tokio::fs::OpenOptions::new().append(true).create(true).open(path).await?;
        // One write, so that lines of several processes do not mix.
        log.write_all(format!("{name} {correlation}\n").as_bytes()).await?;
        log.flush().await
    }
}

#[async_trait]
impl Provider for Sandbox {
    fn name(&self) -> ProviderName {
        self.name
    }

    fn capabilities(&self, _model: &str, _media: MediaKind) -> Capabilities {
        let (deliveries, cancel): (&[DeliveryMode], _) = match self.delivery {
            DeliveryMode::Inline => (&[DeliveryMode::Inline], false),
            DeliveryMode::Polling => (&[DeliveryMode::Polling], true),
            DeliveryMode::Callback => (&[DeliveryMode::Callback, DeliveryMode::Polling], true),
        };
        Capabilities { deliveries, cancel, look_up: true }
    }

    async fn submit(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let noted = self.shared.note_submission(self.name(), request.correlation).await;
        if let Err(error) = noted {
            tracing::error!(%error, "the log of sandbox submissions cannot be written");
            return Err(refused(Error::Unavailable));
        }
        let steering = Steering::read(&request.options).map_err(refused)?;
        if let Some(refusal) = steering.refusal(self.name()) {
            return Err(refused(refusal));
        }
        let job = Job::of(self.delivery, request, &steering).map_err(refused)?;
        match self.delivery {
            DeliveryMode::Inline => return self.run_inline(job).await,
            DeliveryMode::Polling => {}
            DeliveryMode::Callback => {
                self.arrange_callback(&job, request).await.map_err(refused)?;
            }
        }
        if job.outcome == Outcome::LoseSubmitResponse {
            return Err(lost());
        }
        let job = job.reference().map_err(refused)?;
        Ok(Submitted::Job { job, cost: None })
    }

    async fn poll(&self, job: &JobRef) -> Result<Progress, Error> {
        self.progress(Job::parse(self.delivery, job)?).await
    }

    async fn look_up(&self, request: &Request) -> Result<LookUp, Error> {
        // A request that cannot be read was not accepted either.
        let Ok(steering) = Steering::read(&request.options) else { return Ok(LookUp::Absent) };
        if steering.refusal(self.name()).is_some() {
            return Ok(LookUp::Absent);
        }
        match Job::of(self.delivery, request, &steering) {
            Ok(job) => Ok(LookUp::Found(job.reference()?)),
            Err(_) => Ok(LookUp::Absent),
        }
    }

    async fn cancel(&self, job: &JobRef) -> Result<CancelAnswer, Error> {
        match self.delivery {
            DeliveryMode::Inline => return Err(Error::Unsupported),
            DeliveryMode::Polling | DeliveryMode::Callback => {}
        }
        let job = Job::parse(self.delivery, job)?;
        let canceled = &self.shared.canceled;
        if canceled.contains(job.correlation) {
            return Ok(CancelAnswer::Canceled);
        }
        match job.stage(self.shared.clock.now()) {
            Stage::Waiting { .. } => {
                canceled.insert(job.correlation);
                Ok(CancelAnswer::Canceled)
            }
            Stage::Done | Stage::Failed => Ok(CancelAnswer::TooLate),
        }
    }

    async fn parse_callback(
        &self,
        callback: &RawCallback<'_>,
        _about: &Expected<'_>,
    ) -> Result<CallbackNews, CallbackError> {
        match self.delivery {
            DeliveryMode::Inline | DeliveryMode::Polling => return Err(CallbackError::Unsupported),
            DeliveryMode::Callback => {}
        }
        self.shared.caller.key().verify(callback)?;
        let malformed = CallbackError::Malformed;
        let body: CallbackBody = serde_json::from_slice(callback.body).map_err(|_| malformed)?;
        let reference = JobRef(body.id);
        let job = Job::parse(self.delivery, &reference).map_err(|_| malformed)?;
        // What cannot be drawn now can be asked for later.
        let progress = self.progress(job).await;
        let progress = progress.unwrap_or(Progress::Waiting { retry_after: None });
        Ok(CallbackNews::Told { job: reference, progress })
    }
}

fn failed() -> Error {
    Error::Failed("the sandbox was asked to".to_owned())
}

fn refused(error: Error) -> SubmitError {
    SubmitError { error, acceptance: Acceptance::Refused }
}

fn lost() -> SubmitError {
    SubmitError { error: Error::TimedOut, acceptance: Acceptance::Unknown }
}
