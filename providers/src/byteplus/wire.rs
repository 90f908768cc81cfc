//! What BytePlus sends.

use std::time::Duration;

use serde::Deserialize;

use crate::client::Reply;
use crate::{Error, Output, OutputFile, Progress, media};

/// The answer to the submit of a film, and the part of a callback that is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) status: TaskStatus,
    #[serde(default)]
    pub(super) seed: Option<i64>,
    #[serde(default)]
    error: Option<Reason>,
    #[serde(default)]
    content: Option<Content>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TaskStatus {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    Expired,
}

#[derive(Debug, Deserialize)]
struct Content {
    #[serde(default)]
    video_url: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tasks {
    pub(super) items: Vec<Task>,
}

impl Task {
    pub(super) fn into_progress(self, wait: Duration) -> Result<Progress, Error> {
        Ok(match self.status {
            TaskStatus::Queued | TaskStatus::Running => {
                Progress::Waiting { retry_after: Some(wait) }
            }
            TaskStatus::Cancelled => Progress::Canceled,
            TaskStatus::Expired => {
                Progress::Failed(Error::Failed("The job did not end in time.".to_owned()))
            }
            TaskStatus::Failed => Progress::Failed(match self.error {
                // A task that has failed was accepted: no status says more than its code.
                Some(reason) => reason.of_a_task(),
                None => Error::Failed("The provider failed.".to_owned()),
            }),
            TaskStatus::Succeeded => {
                let address = self.content.and_then(|content| content.video_url);
                let no_file = || Error::Protocol("the job succeeded without a file".to_owned());
                let file = media::from_address(&address.ok_or_else(no_file)?)?;
                // Tokens are told, whose price depends on the model; the time it took is not.
                Progress::Done(Output { files: vec![file], predict_time: None, cost: None })
            }
        })
    }
}

/// The answer to the submit of pictures.
#[derive(Debug, Deserialize)]
pub(super) struct Made {
    data: Vec<Picture>,
}

#[derive(Debug, Deserialize)]
struct Picture {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    b64_json: Option<String>,
    #[serde(default)]
    error: Option<Reason>,
}

impl Made {
    pub(super) fn into_output(self) -> Result<Output, Error> {
        let files: Result<Vec<OutputFile>, Error> =
            self.data.into_iter().map(Picture::into_file).collect();
        let files = files?;
        if files.is_empty() {
            return Err(Error::Protocol("the answer has no file".to_owned()));
        }
        Ok(Output { files, predict_time: None, cost: None })
    }
}

impl Picture {
    fn into_file(self) -> Result<OutputFile, Error> {
        match (self.url, self.b64_json, self.error) {
            (_, _, Some(reason)) => Err(reason.of_a_task()),
            (Some(url), _, _) => media::from_address(&url),
            (_, Some(text), _) => media::from_base64(&text),
            (None, None, None) => Err(Error::Protocol("a picture is missing".to_owned())),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Failure {
    error: Reason,
}

#[derive(Debug, Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Reason {
    /// What the code says by itself.
    fn by_code(&self) -> Option<Error> {
        let code = self.code.as_str();
        if code.contains("SensitiveContentDetected") {
            return Some(Error::Moderated(self.sentence()));
        }
        match code {
            "AccountOverdueError" | "SetLimitExceeded" => Some(Error::OutOfCredit),
            // The trial is used up, or too much is queued: only the words tell.
            "QuotaExceeded" if self.message.to_lowercase().contains("queue") => {
                Some(Error::RateLimited { retry_after: None })
            }
            "QuotaExceeded" => Some(Error::OutOfCredit),
            "ServerOverloaded" => Some(Error::Unavailable),
            _ => None,
        }
    }

    fn of_a_task(&self) -> Error {
        let invalid = ["InvalidParameter", "MissingParameter"];
        let is_invalid = invalid.iter().any(|start| self.code.starts_with(start));
        self.by_code().unwrap_or_else(|| match is_invalid {
            true => Error::Rejected(self.sentence()),
            false => Error::Failed(self.sentence()),
        })
    }

    /// Without the id of the request, which is for the provider's support.
    fn sentence(&self) -> String {
        let text = self.message.split(" Request id:").next().unwrap_or_default();
        text.trim().to_owned()
    }
}

pub(super) fn read_refusal(reply: &Reply) -> Option<Error> {
    let Failure { error } = reply.json().ok()?;
    if let Some(meaning) = error.by_code() {
        return Some(meaning);
    }
    Some(match reply.status {
        401 => Error::Unauthorized,
        403 => Error::Unauthorized,
        // Not activated, or retired: others may have it.
        404 => Error::Failed("The provider does not have this model.".to_owned()),
        429 => reply.rate_limited(),
        400 if error.code == "InvalidEndpoint.ClosedEndpoint" => {
            Error::Failed("The provider does not have this model any more.".to_owned())
        }
        400 | 422 => Error::Rejected(error.sentence()),
        500.. => Error::Unavailable,
        _ => return None,
    })
}
