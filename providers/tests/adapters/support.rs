//! Requests, and what is expected of answers.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use providers::client::Endpoint;
use providers::clock::Clock;
use providers::media::InputFiles;
use providers::{
    CallbackNews, DeliveryMode, Error, JobRef, MediaKind, Output, OutputFile, OutputFormat,
    Progress, Provider, Request, Submitted,
};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

pub(crate) const SECRET: &str = "s3cr3t-credential";
/// When everything happens.
pub(crate) const NOW: i64 = 1_700_000_000;

pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> DateTime<Utc> {
        at(NOW)
    }
}

pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(StoppedClock)
}

pub(crate) fn http() -> reqwest::Client {
    providers::client::http_client().unwrap()
}

pub(crate) fn endpoint(url: &Url) -> Endpoint {
    Endpoint { base_url: url.clone(), secret: SECRET.into() }
}

/// One square picture.
pub(crate) fn picture(model: &str) -> Request {
    Request {
        correlation: Uuid::from_u128(0x0193_5f6e_0000_7000_8000_0000_0000_002a),
        submitted_at: at(NOW - 60),
        model: model.to_owned(),
        media: MediaKind::Image,
        prompt: "a red bus".to_owned(),
        ratio: "16:9".to_owned(),
        format: OutputFormat::Png,
        count: 1,
        input_files: Vec::new(),
        last_frame: None,
        duration_ms: None,
        resolution: None,
        audio: None,
        options: serde_json::Map::new(),
        delivery: DeliveryMode::Polling,
        callback: None,
    }
}

/// Five seconds of film.
pub(crate) fn film(model: &str) -> Request {
    Request {
        media: MediaKind::Video,
        format: OutputFormat::Mp4,
        duration_ms: Some(5000),
        resolution: Some("720p".to_owned()),
        ..picture(model)
    }
}

pub(crate) fn with(mut request: Request, options: Value) -> Request {
    request.options = options.as_object().unwrap().clone();
    request
}

pub(crate) fn given(mut request: Request, files: &[&str]) -> Request {
    request.input_files = files.iter().map(|url| url.parse().unwrap()).collect();
    request
}

pub(crate) fn called_back(mut request: Request) -> Request {
    request.delivery = DeliveryMode::Callback;
    request.callback = Some("https://us.example.com/callbacks/t0ken".parse().unwrap());
    request
}

pub(crate) async fn job(provider: &dyn Provider, request: &Request) -> JobRef {
    match provider.submit(request).await.unwrap() {
        Submitted::Job { job, .. } => job,
        Submitted::Done { .. } => panic!("a job was expected, not a result"),
    }
}

pub(crate) async fn result(provider: &dyn Provider, request: &Request) -> Output {
    match provider.submit(request).await.unwrap() {
        Submitted::Done { output, .. } => output,
        Submitted::Job { .. } => panic!("a result was expected, not a job"),
    }
}

pub(crate) fn done(progress: Progress) -> Output {
    match progress {
        Progress::Done(output) => output,
        other => panic!("the job should be done, but is {other:?}"),
    }
}

pub(crate) fn failed(progress: Progress) -> Error {
    match progress {
        Progress::Failed(error) => error,
        other => panic!("the job should have failed, but is {other:?}"),
    }
}

/// What a signed callback tells.
pub(crate) fn told(news: CallbackNews) -> (JobRef, Progress) {
    match news {
        CallbackNews::Told { job, progress } => (job, progress),
        CallbackNews::Hint => panic!("it should be signed"),
    }
}

pub(crate) fn is_waiting(progress: &Progress) -> bool {
    matches!(progress, Progress::Waiting { .. })
}

/// The addresses of files.
pub(crate) fn addresses(output: &Output) -> Vec<&str> {
    let address = |file: &'_ OutputFile| match file {
        OutputFile::Url(_) => true,
        OutputFile::Bytes { .. } => panic!("addresses were expected, not {file:?}"),
    };
    output
        .files
        .iter()
        .filter(|file| address(file))
        .filter_map(|file| match file {
            OutputFile::Url(url) => Some(url.as_str()),
            OutputFile::Bytes { .. } => None,
        })
        .collect()
}

/// What files in memory are, and their bytes.
pub(crate) fn contents(output: &Output) -> Vec<(OutputFormat, Bytes)> {
    let content = |file: &OutputFile| match file {
        OutputFile::Bytes { format, bytes } => (*format, bytes.clone()),
        OutputFile::Url(_) => panic!("bytes were expected, not {file:?}"),
    };
    output.files.iter().map(content).collect()
}

/// A file of this kind, 4 by 4 pixels.
pub(crate) fn drawn(format: image::ImageFormat, side: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(side, side).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Every input file is one small JPEG.
pub(crate) struct SamePicture;

#[async_trait]
impl InputFiles for SamePicture {
    async fn fetch(&self, _url: &Url) -> Result<Bytes, Error> {
        Ok(drawn(image::ImageFormat::Jpeg, 4).into())
    }
}

pub(crate) fn text(json: Value) -> String {
    json.to_string()
}

pub(crate) fn said(detail: &str) -> String {
    text(json!({ "detail": detail }))
}
