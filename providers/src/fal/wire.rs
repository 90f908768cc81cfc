//! What fal sends.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::client::Reply;
use crate::{Error, Output, OutputFile, media};

/// The answer to a submit, and of a status.
#[derive(Debug, Deserialize)]
pub(super) struct Queued {
    pub(super) request_id: String,
    #[serde(default)]
    pub(super) status: Option<String>,
}

/// What a model makes: several pictures, one, or a film.
#[derive(Debug, Deserialize)]
pub(super) struct Made {
    #[serde(default)]
    images: Vec<File>,
    #[serde(default)]
    image: Option<File>,
    #[serde(default)]
    video: Option<File>,
    #[serde(default)]
    timings: Value,
    /// One for each picture; such a picture is black.
    #[serde(default)]
    has_nsfw_concepts: Option<Vec<bool>>,
}

#[derive(Debug, Deserialize)]
struct File {
    url: String,
}

impl Made {
    pub(super) fn into_output(self) -> Result<Output, Error> {
        if self.has_nsfw_concepts.is_some_and(|flags| flags.contains(&true)) {
            return Err(Error::Moderated("The provider blacked the output out.".to_owned()));
        }
        let files = self.images.iter().chain(&self.image).chain(&self.video);
        let files: Result<Vec<OutputFile>, Error> =
            files.map(|file| media::from_address(&file.url)).collect();
        let files = files?;
        if files.is_empty() {
            return Err(Error::Protocol("the job succeeded without a file".to_owned()));
        }
        let seconds = self.timings["inference"].as_f64();
        let predict_time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        // Units of billing are told, not money.
        Ok(Output { files, predict_time, cost: None })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Callback {
    pub(super) request_id: String,
    status: String,
    #[serde(default)]
    payload: Value,
    #[serde(default)]
    error: Option<String>,
}

impl Callback {
    /// The result, or why there is none; `None` when it is not in the callback.
    pub(super) fn into_result(self) -> Option<Result<Output, Error>> {
        match self.status.as_str() {
            "OK" if self.payload.is_null() => None,
            "OK" => Some(
                serde_json::from_value::<Made>(self.payload)
                    .map_err(|_| Error::Protocol("the result is not readable".to_owned()))
                    .and_then(Made::into_output),
            ),
            "ERROR" => Some(Err(self.failure())),
            _ => None,
        }
    }

    fn failure(self) -> Error {
        let status = self.error.as_deref().and_then(|text| text.rsplit(' ').next()?.parse().ok());
        let detail = serde_json::from_value::<Detail>(self.payload).ok();
        let status: u16 = status.unwrap_or(500);
        match detail.and_then(|detail| detail.sense(status)) {
            Some(error) => error,
            None => Error::Failed("The provider failed.".to_owned()),
        }
    }
}

/// An error: a sentence, or one entry for each thing that is wrong.
#[derive(Debug, Deserialize)]
pub(super) struct Detail {
    detail: Value,
}

impl Detail {
    pub(super) fn meaning(&self, status: u16, reply: &Reply) -> Option<Error> {
        match status {
            429 => Some(reply.rate_limited()),
            status => self.sense(status),
        }
    }

    fn sense(&self, status: u16) -> Option<Error> {
        let (text, kinds) = (self.text(), self.kinds());
        Some(match status {
            401 => Error::Unauthorized,
            402 => Error::OutOfCredit,
            403 if text.contains("Exhausted balance") || text.contains("locked") => {
                Error::OutOfCredit
            }
            403 => Error::Unauthorized,
            404 => Error::Failed("The provider does not have this model or job.".to_owned()),
            _ if kinds.contains(&"content_policy_violation") => Error::Moderated(text),
            // What it fails at behind it is no fault of the input.
            400 if kinds.contains(&"downstream_service_error") => Error::Failed(text),
            400 | 422 => Error::Rejected(text),
            504 => Error::TimedOut,
            503 => Error::Unavailable,
            500.. => Error::Failed(text),
            _ => return None,
        })
    }

    fn text(&self) -> String {
        let entries = self.detail.as_array().map(Vec::as_slice).unwrap_or_default();
        let entry = |entry: &Value| Some(entry["msg"].as_str()?.to_owned());
        let texts: Vec<String> = entries.iter().filter_map(entry).collect();
        match self.detail.as_str() {
            Some(text) => text.to_owned(),
            None if texts.is_empty() => "The provider refused the request.".to_owned(),
            None => texts.join("; "),
        }
    }

    fn kinds(&self) -> Vec<&str> {
        let entries = self.detail.as_array().map(Vec::as_slice).unwrap_or_default();
        entries.iter().filter_map(|entry| entry["type"].as_str()).collect()
    }
}

/// The answer when a result is asked for too early.
pub(super) fn is_in_progress(body: &[u8]) -> bool {
    serde_json::from_slice::<Detail>(body)
        .is_ok_and(|detail| detail.detail == "Request is still in progress")
}
