//! What DashScope sends.

use serde::Deserialize;
use serde_json::Value;

use crate::client::Reply;
use crate::{Error, OutputFile, media};

/// The answer to a submit, and to a question about a job.
#[derive(Debug, Deserialize)]
pub(super) struct Reading {
    pub(super) output: Output,
}

#[derive(Debug, Deserialize)]
pub(super) struct Output {
    #[serde(default)]
    pub(super) task_id: Option<String>,
    #[serde(default)]
    task_status: Option<String>,
    #[serde(default)]
    choices: Vec<Value>,
    #[serde(default)]
    results: Vec<Picture>,
    #[serde(default)]
    video_url: Option<String>,
    #[serde(flatten)]
    reason: Reason,
}

#[derive(Debug, Deserialize)]
struct Picture {
    #[serde(default)]
    url: Option<String>,
    #[serde(flatten)]
    reason: Reason,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Active,
    Succeeded,
    Failed,
    Canceled,
    /// Of somebody else, or older than a day.
    Unknown,
}

impl Output {
    pub(super) fn status(&self) -> Result<Task, Error> {
        Ok(match self.task_status.as_deref() {
            Some("PENDING" | "RUNNING" | "SUSPENDED") => Task::Active,
            Some("SUCCEEDED") => Task::Succeeded,
            Some("FAILED") => Task::Failed,
            Some("CANCELED") => Task::Canceled,
            Some("UNKNOWN") => Task::Unknown,
            _ => return Err(Error::Protocol("the status of the job is not known".to_owned())),
        })
    }

    pub(super) fn failure(&self) -> Error {
        self.reason.meaning(400)
    }

    /// The files; one that failed fails all, since as many were asked for.
    pub(super) fn into_output(self) -> Result<crate::Output, Error> {
        let contents = self.choices.iter().flat_map(|choice| {
            let content = choice["message"]["content"].as_array();
            content.map(Vec::as_slice).unwrap_or_default()
        });
        let inline = contents.filter_map(|content| content["image"].as_str().map(Ok));
        let pictures = self.results.iter().map(|picture| match &picture.url {
            Some(url) => Ok(url.as_str()),
            None => Err(picture.reason.meaning(400)),
        });
        let film = self.video_url.as_deref().map(Ok);
        let addresses = inline.chain(pictures).chain(film);
        let files: Result<Vec<OutputFile>, Error> =
            addresses.map(|address| media::from_address(address?)).collect();
        let files = files?;
        if files.is_empty() {
            return Err(Error::Protocol("the job succeeded without a file".to_owned()));
        }
        // Times are local to a region that is not told, and cost is not told at all.
        Ok(crate::Output { files, predict_time: None, cost: None })
    }
}

#[derive(Debug, Deserialize)]
struct Reason {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Reason {
    fn meaning(&self, status: u16) -> Error {
        let code = self.code.as_deref().unwrap_or_default();
        let text = || self.message.clone().unwrap_or_else(|| "The provider failed.".to_owned());
        if code.starts_with("Throttling") {
            return Error::RateLimited { retry_after: None };
        }
        match code {
            "InvalidApiKey" => Error::Unauthorized,
            "DataInspectionFailed" | "IPInfringementSuspect" => Error::Moderated(text()),
            "Arrearage" | "AllocationQuota.FreeTierOnly" => Error::OutOfCredit,
            "ModelNotFound" | "Model.NotExist" => {
                Error::Failed("The provider does not have this model.".to_owned())
            }
            "InvalidParameter" if text().contains("odel not exist") => {
                Error::Failed("The provider does not have this model.".to_owned())
            }
            "InvalidURL" => Error::Rejected(text()),
            code if code.starts_with("InvalidParameter") => Error::Rejected(text()),
            code if code.starts_with("AccessDenied") => Error::Unauthorized,
            code if code.starts_with("InternalError") => Error::Failed(text()),
            "ModelUnavailable" | "ServiceUnavailable" | "GatewayTimeout" => Error::Unavailable,
            _ => match status {
                401 | 403 => Error::Unauthorized,
                429 => Error::RateLimited { retry_after: None },
                500.. => Error::Unavailable,
                _ => Error::Failed(text()),
            },
        }
    }
}

/// An error in an answer that its status calls a success.
pub(super) fn error_despite_success(reply: &Reply) -> Option<Error> {
    let reason: Reason = reply.json().ok()?;
    reason.code.as_deref().filter(|code| !code.is_empty())?;
    Some(reason.meaning(400))
}

pub(super) fn read_refusal(reply: &Reply) -> Option<Error> {
    let reason: Reason = reply.json().ok()?;
    reason.code.as_ref()?;
    Some(match reason.meaning(reply.status) {
        // Within a minute, if it does not say.
        Error::RateLimited { .. } => reply.rate_limited(),
        other => other,
    })
}
