//! A provider that says what a test wrote down for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use providers::name::ProviderName;
use providers::{
    Acceptance, CallbackError, CallbackNews, CancelAnswer, Capabilities, DeliveryMode, Error,
    Expected, JobRef, LookUp, MediaKind, Output, OutputFile, OutputFormat, Progress, Provider,
    RawCallback, Request, SubmitError, Submitted,
};
use tokio::time::sleep;

/// One answer of a provider.
pub(crate) enum Answer<T> {
    /// At once.
    Now(T),
    /// After a while.
    After(Duration, T),
    /// Never.
    Hang,
    /// The adapter panics.
    Panic,
}

type Script<T> = Mutex<VecDeque<Answer<T>>>;

pub(crate) struct FakeProvider {
    name: ProviderName,
    pub(crate) capabilities: Capabilities,
    pub(crate) submits: Script<Result<Submitted, SubmitError>>,
    pub(crate) polls: Script<Result<Progress, Error>>,
    pub(crate) look_ups: Script<Result<LookUp, Error>>,
    pub(crate) cancels: Script<Result<CancelAnswer, Error>>,
    calls: Mutex<Vec<(&'static str, String)>>,
}

impl FakeProvider {
    pub(crate) fn new(name: ProviderName, delivery: DeliveryMode) -> Arc<Self> {
        Self::with(name, Capabilities { deliveries: offer(delivery), cancel: true, look_up: false })
    }

    pub(crate) fn with(name: ProviderName, capabilities: Capabilities) -> Arc<Self> {
        Arc::new(Self {
            name,
            capabilities,
            submits: Mutex::default(),
            polls: Mutex::default(),
            look_ups: Mutex::default(),
            cancels: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    pub(crate) fn on_submit(&self, answer: Answer<Result<Submitted, SubmitError>>) -> &Self {
        self.submits.lock().unwrap().push_back(answer);
        self
    }

    pub(crate) fn on_poll(&self, answer: Answer<Result<Progress, Error>>) -> &Self {
        self.polls.lock().unwrap().push_back(answer);
        self
    }

    pub(crate) fn on_look_up(&self, answer: Answer<Result<LookUp, Error>>) -> &Self {
        self.look_ups.lock().unwrap().push_back(answer);
        self
    }

    pub(crate) fn on_cancel(&self, answer: Answer<Result<CancelAnswer, Error>>) -> &Self {
        self.cancels.lock().unwrap().push_back(answer);
        self
    }

    /// How often it was called so.
    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(name, _)| *name == call).count()
    }

    /// What it was called with.
    pub(crate) fn called_with(&self, call: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let of = calls.iter().filter(|(name, _)| *name == call);
        of.map(|(_, with)| with.clone()).collect()
    }

    async fn answer<T>(&self, call: &'static str, with: String, script: &Script<T>, or: T) -> T {
        self.calls.lock().unwrap().push((call, with));
        let answer = script.lock().unwrap().pop_front();
        match answer {
            None => or,
            Some(Answer::Now(answer)) => answer,
            Some(Answer::After(wait, answer)) => {
                sleep(wait).await;
                answer
            }
            Some(Answer::Hang) => std::future::pending().await,
            Some(Answer::Panic) => panic!("scripted panic of a provider"),
        }
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn name(&self) -> ProviderName {
        self.name
    }

    fn capabilities(&self, _model: &str, _media: MediaKind) -> Capabilities {
        self.capabilities
    }

    async fn submit(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let or = refused(Error::Unavailable);
        self.answer("submit", request.correlation.to_string(), &self.submits, or).await
    }

    async fn poll(&self, job: &JobRef) -> Result<Progress, Error> {
        let or = Ok(Progress::Waiting { retry_after: None });
        self.answer("poll", job.0.clone(), &self.polls, or).await
    }

    async fn look_up(&self, request: &Request) -> Result<LookUp, Error> {
        let or = Err(Error::Unavailable);
        self.answer("look_up", request.correlation.to_string(), &self.look_ups, or).await
    }

    async fn cancel(&self, job: &JobRef) -> Result<CancelAnswer, Error> {
        let or = Ok(CancelAnswer::Canceled);
        self.answer("cancel", job.0.clone(), &self.cancels, or).await
    }

    /// The body is the news and the job, `done job-1`, or `hint`.
    async fn parse_callback(
        &self,
        callback: &RawCallback<'_>,
        _about: &Expected<'_>,
    ) -> Result<CallbackNews, CallbackError> {
        let text = std::str::from_utf8(callback.body).map_err(|_| CallbackError::Malformed)?;
        if text == "hint" {
            return Ok(CallbackNews::Hint);
        }
        let (news, job) = text.split_once(' ').ok_or(CallbackError::Signature)?;
        let progress = match news {
            "done" => Progress::Done(picture()),
            "failed" => Progress::Failed(Error::Failed("The job failed.".to_owned())),
            "waiting" => Progress::Waiting { retry_after: None },
            _ => return Err(CallbackError::Malformed),
        };
        Ok(CallbackNews::Told { job: JobRef(job.to_owned()), progress })
    }
}

/// What a provider offers whose best is this.
pub(crate) fn offer(best: DeliveryMode) -> &'static [DeliveryMode] {
    match best {
        DeliveryMode::Inline => &[DeliveryMode::Inline],
        DeliveryMode::Polling => &[DeliveryMode::Polling],
        DeliveryMode::Callback => &[DeliveryMode::Callback, DeliveryMode::Polling],
    }
}

pub(crate) fn picture() -> Output {
    let file = OutputFile::Bytes { format: OutputFormat::Png, bytes: Bytes::from_static(b"png") };
    Output { files: vec![file], predict_time: Some(Duration::from_millis(700)), cost: None }
}

pub(crate) fn job(name: &str) -> Result<Submitted, SubmitError> {
    Ok(Submitted::Job { job: JobRef(name.to_owned()), cost: None })
}

pub(crate) fn done() -> Result<Submitted, SubmitError> {
    Ok(Submitted::Done { job: None, output: picture() })
}

pub(crate) fn refused(error: Error) -> Result<Submitted, SubmitError> {
    Err(SubmitError { error, acceptance: Acceptance::Refused })
}

pub(crate) fn lost() -> Result<Submitted, SubmitError> {
    Err(SubmitError { error: Error::TimedOut, acceptance: Acceptance::Unknown })
}

pub(crate) fn found(name: &str) -> Result<LookUp, Error> {
    Ok(LookUp::Found(JobRef(name.to_owned())))
}
