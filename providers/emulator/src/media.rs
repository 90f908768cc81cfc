//! The files that jobs come to: drawn when somebody fetches them, under URLs that expire.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use providers::OutputFormat;
use providers::sandbox::drawing::Drawing;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::call::{Answer, Call};
use crate::house::House;
use crate::jobs::{Job, Stage};
use crate::settings::Provider;
use crate::signatures::{hex, hmac_sha256};

/// What is to be drawn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sketch {
    pub(crate) prompt: String,
    pub(crate) seed: i64,
    pub(crate) size: (u32, u32),
    #[serde(with = "format")]
    pub(crate) format: OutputFormat,
    pub(crate) count: u32,
    /// Films only.
    pub(crate) seconds: Option<f32>,
}

/// As the text that it is everywhere else.
mod format {
    use providers::OutputFormat;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        format: &OutputFormat,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(format.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<OutputFormat, D::Error> {
        let text = String::deserialize(from)?;
        OutputFormat::parse(&text).ok_or_else(|| de::Error::custom("no format"))
    }
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            prompt: String::new(),
            seed: 0,
            size: (1024, 1024),
            format: OutputFormat::Png,
            count: 1,
            seconds: None,
        }
    }
}

/// How much is kept of what was drawn, so that a file that is fetched twice is drawn once.
const KEPT_BYTES: usize = 64 << 20;
/// Prompts are cut to what fits on a picture.
const PROMPT_CHARS: usize = 240;

/// Draws, no more at a time than there are cores.
pub(crate) struct Studio {
    easels: Arc<Semaphore>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    files: VecDeque<(String, Bytes)>,
    bytes: usize,
}

impl Studio {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { easels: Arc::new(Semaphore::new(cores)), kept: Mutex::default() }
    }

    /// One file of a job; `None` when it cannot be drawn.
    pub(crate) async fn draw(&self, provider: Provider, job: &Job, index: u32) -> Option<Bytes> {
        let name = format!("{}/{}/{index}", provider.as_str(), job.id);
        if let Some(known) = self.find(&name) {
            return Some(known);
        }
        let easel = Arc::clone(&self.easels).acquire_owned().await.ok()?;
        let drawing = drawing(provider, job, index);
        let drawn = tokio::task::spawn_blocking(move || {
            // Held by the thread: it goes on when nobody waits any more.
            let _easel = easel;
            drawing.draw()
        });
        match drawn.await {
            Ok(Ok(bytes)) => {
                self.keep(name, bytes.clone());
                Some(bytes)
            }
            Ok(Err(error)) => {
                tracing::error!(%error, job = job.id, "a file of the emulator was not drawn");
                None
            }
            Err(error) => {
                tracing::error!(%error, job = job.id, "drawing in the emulator did not end");
                None
            }
        }
    }

    fn find(&self, name: &str) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.files.iter().find(|(known, _)| known == name).map(|(_, bytes)| bytes.clone())
    }

    fn keep(&self, name: String, bytes: Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += bytes.len();
        kept.files.push_back((name, bytes));
        while kept.bytes > KEPT_BYTES {
            let Some((_, oldest)) = kept.files.pop_front() else { return };
            kept.bytes -= oldest.len();
        }
    }
}

fn drawing(provider: Provider, job: &Job, index: u32) -> Drawing {
    let Sketch { prompt, seed, size, format, count: _, seconds } = job.sketch.as_ref();
    Drawing {
        prompt: prompt.chars().take(PROMPT_CHARS).collect(),
        seed: *seed,
        index,
        size: *size,
        format: *format,
        seconds: seconds.unwrap_or(1.0),
        maker: format!("{} · {}", provider.as_str(), job.model),
    }
}

/// The URLs of a job's files, which work until a time.
pub(crate) fn urls(
    house: &House,
    provider: Provider,
    job: &Job,
    until: DateTime<Utc>,
) -> Vec<String> {
    (0..job.sketch.count).map(|index| url(house, provider, job, index, until)).collect()
}

fn url(house: &House, provider: Provider, job: &Job, index: u32, until: DateTime<Utc>) -> String {
    let origin = job.base.strip_suffix(provider.as_str()).unwrap_or(&job.base);
    let extension = job.sketch.format.as_str();
    let path = format!("{}/{}/{index}.{extension}", provider.as_str(), job.id);
    let expires = until.timestamp();
    let signature = sign(house, &path, expires);
    format!("{origin}files/{path}?expires={expires}&signature={signature}")
}

fn sign(house: &House, path: &str, expires: i64) -> String {
    let tag = hmac_sha256(&house.file_key, &[path.as_bytes(), &expires.to_be_bytes()]);
    hex(&tag[..16])
}

/// When a file that is ready at the job's end is no longer there.
pub(crate) fn expiry(job: &Job, lifetime: TimeDelta) -> DateTime<Utc> {
    job.ends + lifetime
}

/// Answers a request for a file, of which no key is asked.
pub(crate) async fn serve(house: &House, provider: Provider, call: &Call) -> Answer {
    let [id, file] = call.path.as_slice() else { return no_such_file() };
    let Some((index, _)) = file.split_once('.') else { return no_such_file() };
    let Ok(index) = index.parse::<u32>() else { return no_such_file() };
    let expires = call.query("expires").and_then(|text| text.parse::<i64>().ok());
    let path = format!("{}/{id}/{file}", provider.as_str());
    let signed = expires.map(|expires| sign(house, &path, expires));
    if signed.is_none() || signed.as_deref() != call.query("signature") {
        return denied("the signature does not match");
    }
    let now = house.clock.now();
    if expires.is_none_or(|expires| now.timestamp() >= expires) {
        return denied("Request has expired");
    }
    let desk = house.desk(provider);
    let Some(job) = desk.jobs.find(id).filter(|job| index < job.sketch.count) else {
        return no_such_file();
    };
    if job.stage(now) != Stage::Succeeded {
        return no_such_file();
    }
    match house.studio.draw(provider, &job, index).await {
        Some(bytes) => Answer::bytes(200, job.sketch.format.content_type(), bytes),
        None => Answer::json(500, json!({ "error": "not drawn" })),
    }
}

/// As stores of objects say it.
fn denied(why: &str) -> Answer {
    let xml = format!("<Error><Code>AccessDenied</Code><Message>{why}</Message></Error>");
    Answer::bytes(403, "application/xml", Bytes::from(xml))
}

fn no_such_file() -> Answer {
    let xml = "<Error><Code>NoSuchKey</Code><Message>The key does not exist</Message></Error>";
    Answer::bytes(404, "application/xml", Bytes::from_static(xml.as_bytes()))
}
