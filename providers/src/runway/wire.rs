//! What Runway sends.

use std::time::Duration;

use serde::Deserialize;

use crate::client::Reply;
use crate::{Cost, Error, Output, OutputFile, Progress, media};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created {
    pub(super) id: String,
    #[serde(default)]
    estimated_cost: Option<Credits>,
}

impl Created {
    /// What the job will cost, as far as is known before.
    pub(super) fn cost(&self) -> Option<Cost> {
        self.estimated_cost.as_ref().and_then(|cost| Cost::of_cents(cost.credits))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Task {
    pub(super) status: TaskStatus,
    #[serde(default)]
    output: Vec<String>,
    #[serde(default)]
    failure: Option<String>,
    #[serde(default)]
    failure_code: Option<String>,
    #[serde(default)]
    cost: Option<Credits>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum TaskStatus {
    Pending,
    Throttled,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

#[derive(Debug, Deserialize)]
struct Credits {
    credits: f64,
}

impl Task {
    pub(super) fn into_progress(self, wait: Duration) -> Result<Progress, Error> {
        Ok(match self.status {
            // Throttled: over the account's concurrency, it waits its turn.
            TaskStatus::Pending | TaskStatus::Throttled | TaskStatus::Running => {
                Progress::Waiting { retry_after: Some(wait) }
            }
            TaskStatus::Cancelled => Progress::Canceled,
            TaskStatus::Failed => Progress::Failed(self.failure()),
            TaskStatus::Succeeded => Progress::Done(self.into_output()?),
        })
    }

    fn failure(self) -> Error {
        let text = self.failure.unwrap_or_else(|| "The provider failed.".to_owned());
        match self.failure_code.as_deref() {
            Some(code) if code.starts_with("SAFETY.") => Error::Moderated(text),
            Some("ASSET.INVALID") => Error::Rejected(text),
            _ => Error::Failed(text),
        }
    }

    fn into_output(self) -> Result<Output, Error> {
        let files: Result<Vec<OutputFile>, Error> =
            self.output.iter().map(|address| media::from_address(address)).collect();
        let files = files?;
        if files.is_empty() {
            return Err(Error::Protocol("the job succeeded without a file".to_owned()));
        }
        // A negative or endless number becomes the nearest that there is.
        let cost = self.cost.and_then(|cost| Cost::of_cents(cost.credits));
        Ok(Output { files, predict_time: None, cost })
    }
}

#[derive(Debug, Deserialize)]
struct Failure {
    error: String,
    #[serde(default)]
    issues: Vec<Issue>,
}

#[derive(Debug, Deserialize)]
struct Issue {
    #[serde(default)]
    message: String,
}

pub(super) fn read_refusal(reply: &Reply) -> Option<Error> {
    let failure: Failure = reply.json().ok()?;
    let lower = failure.error.to_lowercase();
    Some(match reply.status {
        401 | 403 => Error::Unauthorized,
        400 if lower.contains("enough credits") => Error::OutOfCredit,
        // Nothing changes before the next day.
        429 if lower.contains("daily") => Error::OutOfCredit,
        429 => reply.rate_limited(),
        400 | 422 => {
            let issues: Vec<&str> =
                failure.issues.iter().map(|issue| issue.message.as_str()).collect();
            let text = format!("{}: {}", failure.error, issues.join("; "));
            Error::Rejected(text.trim_end_matches([':', ' ']).to_owned())
        }
        404 | 405 => Error::Failed("The provider does not have this model.".to_owned()),
        500.. => Error::Unavailable,
        _ => return None,
    })
}
