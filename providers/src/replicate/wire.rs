//! What Replicate sends.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::client::same_origin;
use crate::{Error, Output, OutputFile, media};

#[derive(Debug, Deserialize)]
pub(super) struct Prediction {
    pub(super) id: String,
    pub(super) status: Status,
    #[serde(default)]
    pub(super) input: Value,
    #[serde(default)]
    output: Value,
    #[serde(default)]
    error: Value,
    #[serde(default)]
    pub(super) data_removed: bool,
    #[serde(default)]
    metrics: Option<Metrics>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Starting,
    Processing,
    Succeeded,
    Failed,
    Canceled,
    Aborted,
}

#[derive(Debug, Deserialize)]
struct Metrics {
    #[serde(default)]
    predict_time: Option<f64>,
}

impl Prediction {
    pub(super) fn error_text(&self) -> &str {
        self.error.as_str().unwrap_or("The provider failed without a reason.")
    }

    /// One URL, or a list of them.
    pub(super) fn into_output(self) -> Result<Output, Error> {
        let addresses: Vec<&str> = match &self.output {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if addresses.is_empty() {
            return Err(Error::Protocol("the job succeeded without a file".to_owned()));
        }
        let files: Result<Vec<OutputFile>, Error> =
            addresses.into_iter().map(media::from_address).collect();
        let seconds = self.metrics.and_then(|metrics| metrics.predict_time);
        let predict_time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        // It states no cost.
        Ok(Output { files: files?, predict_time, cost: None })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) next: Option<String>,
    pub(super) results: Vec<Prediction>,
}

/// The path of a page below our base: whatever host the link names, the credential goes only
/// where it belongs.
pub(super) fn below(link: &str, base: &Url) -> Result<String, Error> {
    let unreadable = || Error::Protocol("the link to the next page is not readable".to_owned());
    let url = base.join(link).map_err(|_| unreadable())?;
    let query = url.query().ok_or_else(unreadable)?;
    if !same_origin(&url, base) {
        return Err(unreadable());
    }
    Ok(format!("/predictions?{query}"))
}

/// Not printed: it is one.
#[derive(Deserialize)]
pub(super) struct SigningSecret {
    pub(super) key: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    detail: Value,
    #[serde(default)]
    pub(super) retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn text(&self) -> String {
        let detail = self.detail.as_str().or(self.title.as_deref());
        detail.unwrap_or("The provider refused the request.").trim().to_owned()
    }

    pub(super) fn is_about_the_model(&self) -> bool {
        self.title.as_deref().is_some_and(|title| title.starts_with("Invalid version"))
    }
}
