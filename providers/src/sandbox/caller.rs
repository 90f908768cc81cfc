//! Calling back over real HTTP, as a provider would.
//!
//! Calls that are due wait in memory only: those that a restart interrupts never come, as
//! with a real provider that had an outage. Polling finds the result all the same.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;
use uuid::Uuid;

use super::canceled::CanceledJobs;
use super::job::{Job, Stage};
use super::steering::Outcome;
use crate::callback::{CallbackKey, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::clock::Clock;
use crate::{Error, JobRef};

/// How many jobs may be waiting to call back: each is a timer and about a kilobyte. A submit
/// beyond that is told to come back.
const PENDING_MAX: usize = 200_000;
/// How many calls are under way at once, so that many jobs due together do not use up the
/// sockets of the machine.
const CALLING_MAX: usize = 64;
/// A receiver that takes longer has not received.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// What is waited for after a first and a second call that failed; a third is the last.
const RETRY_AFTER: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];

/// The body of a callback. Receivers believe the id and nothing else.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CallbackBody {
    pub(super) id: String,
    pub(super) correlation: Uuid,
    pub(super) status: String,
}

/// Leave to call back once, later.
pub(super) struct Promise(#[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit);

/// Calls back for the jobs of one process.
pub(super) struct Caller {
    key: CallbackKey,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    canceled: Arc<CanceledJobs>,
    pending: Arc<Semaphore>,
    calling: Semaphore,
}

impl Caller {
    pub(super) fn new(
        key: CallbackKey,
        client: reqwest::Client,
        clock: Arc<dyn Clock>,
        canceled: Arc<CanceledJobs>,
    ) -> Self {
        let pending = Arc::new(Semaphore::new(PENDING_MAX));
        Self { key, client, clock, canceled, pending, calling: Semaphore::new(CALLING_MAX) }
    }

    pub(super) fn key(&self) -> &CallbackKey {
        &self.key
    }

    /// Sets a place aside for one job.
    pub(super) fn promise(&self) -> Result<Promise, Error> {
        Arc::clone(&self.pending)
            .try_acquire_owned()
            .map(Promise)
            .map_err(|_| Error::RateLimited { retry_after: Some(Duration::from_secs(1)) })
    }

    /// Calls when the job is due, in the background.
    pub(super) fn call_when_due(self: Arc<Self>, promise: Promise, job: Job, url: Url) {
        if matches!(job.outcome, Outcome::Hang | Outcome::NeverCallBack) {
            return;
        }
        tokio::spawn(async move {
            let _promise = promise;
            // Timers and the clock may disagree a little: a call before the job is due would
            // be believed to say that it is not.
            while let Ok(left) = (job.due - self.clock.now()).to_std()
                && !left.is_zero()
            {
                tokio::time::sleep(left).await;
            }
            // On the heap, so that waiting costs little.
            Box::pin(self.call(&job, &url)).await;
        });
    }

    /// Calls as the outcome of the job wants it, until it is heard.
    async fn call(&self, job: &Job, url: &Url) {
        let Ok(_calling) = self.calling.acquire().await else { return };
        if job.outcome == Outcome::CallBackForged {
            let forged = self.key.sign("forged", self.clock.now(), b"forged");
            self.post(job, url, Some(forged)).await;
        }
        self.call_until_heard(job, url).await;
        if job.outcome == Outcome::CallBackTwice {
            self.call_until_heard(job, url).await;
        }
    }

    async fn call_until_heard(&self, job: &Job, url: &Url) {
        for wait in RETRY_AFTER.map(Some).into_iter().chain([None]) {
            match self.post(job, url, None).await {
                Some(status) if status.is_success() => return,
                // Nobody there will ever want to hear of it.
                Some(StatusCode::GONE | StatusCode::NOT_FOUND) => return,
                Some(_) | None => {}
            }
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
        }
        tracing::debug!(correlation = %job.correlation, "a sandbox callback was not heard");
    }

    /// Calls once, now. `None` when no answer came.
    pub(super) async fn call_once(&self, job: &Job, url: &Url) -> Option<StatusCode> {
        let _calling = self.calling.acquire().await.ok()?;
        self.post(job, url, None).await
    }

    async fn post(&self, job: &Job, url: &Url, forged: Option<String>) -> Option<StatusCode> {
        let JobRef(id) = job.reference().ok()?;
        let now = self.clock.now();
        let status = if self.canceled.contains(job.correlation) {
            "canceled"
        } else {
            match job.stage(now) {
                Stage::Waiting { .. } => "processing",
                Stage::Done => "succeeded",
                Stage::Failed => "failed",
            }
        };
        let body = CallbackBody { id, correlation: job.correlation, status: status.to_owned() };
        let body = serde_json::to_vec(&body).ok()?;
        // The same for each of several calls about one job, so that they can be told apart
        // from news.
        let message = format!("msg_{}", job.correlation.simple());
        let signature = forged.unwrap_or_else(|| self.key.sign(&message, now, &body));
        let answer = self
            .client
            .post(url.clone())
            .timeout(CALL_TIMEOUT)
            .header(CONTENT_TYPE, "application/json")
            .header(ID_HEADER, message)
            .header(TIMESTAMP_HEADER, now.timestamp())
            .header(SIGNATURE_HEADER, signature)
            .body(body)
            .send()
            .await;
        // The error is not logged: it holds the address, and the address holds a token.
        answer.ok().map(|answer| answer.status())
    }
}
