//! BytePlus ModelArk (`spec/providers.md`, section 6): Seedream pictures inline, Seedance films
//! as jobs that are polled or call back.
//!
//! Callbacks are not signed, so they are hints to poll. What cancels a job that waits deletes
//! one that has ended, so the job is looked at first. A film's job is found again by the seed
//! that belongs to its submission.

mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Map, Value, json};

use self::wire::{Created, Made, Task, TaskStatus, Tasks};
use crate::adapter::Adapter;
use crate::client::{Body, Client, Endpoint, InvalidCredential, plain_id};
use crate::clock::Clock;
use crate::name::ProviderName;
use crate::options::{Enhance, Options, own_seed};
use crate::ratio::{Ratio, pixels};
use crate::{
    CallbackError, CallbackNews, CancelAnswer, Capabilities, DeliveryMode, Error, Expected, JobRef,
    LookUp, MediaKind, OutputFormat, Progress, Provider, RawCallback, Request, SubmitError,
    Submitted, client,
};

const TASKS: &str = "/contents/generations/tasks";
/// How often the provider wants to be asked about a job.
const POLL_WAIT: Duration = Duration::from_secs(3);
/// How long after a submit a job must have shown up in the list of jobs.
const LISTED_AFTER: TimeDelta = TimeDelta::seconds(30);
/// A page of the list of jobs, and how many of them a look-up reads before it gives up.
const PAGE_SIZE: usize = 100;
const PAGES_MAX: usize = 10;

/// Its place among the others.
pub(crate) const ADAPTER: Adapter = Adapter {
    name: ProviderName::Byteplus,
    settings: &[],
    polls: true,
    make: |shared, settings| {
        let clock = Arc::clone(&shared.clock);
        Ok(Arc::new(Byteplus::new(&shared.http, settings.endpoint.clone(), clock)?))
    },
};

/// The adapter.
pub struct Byteplus {
    client: Client,
    clock: Arc<dyn Clock>,
}

impl Byteplus {
    /// # Errors
    /// [`InvalidCredential`].
    pub fn new(
        http: &reqwest::Client,
        endpoint: Endpoint,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidCredential> {
        Ok(Self { client: Client::new(http, endpoint, "Bearer", wire::read_refusal)?, clock })
    }

    async fn task(&self, job: &JobRef) -> Result<Result<Task, Progress>, Error> {
        let reply = self.client.get(&format!("{TASKS}/{}", plain_id(&job.0)?)).await?;
        if !reply.is_success() {
            return self.client.unanswered(&reply).map(Err);
        }
        reply.json().map(Ok)
    }

    async fn make_pictures(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let body = picture_body(request).map_err(client::refused)?;
        let reply = self.client.submit_inline("/images/generations", Body::Json(body)).await?;
        let made: Made = reply.json().map_err(client::lost)?;
        match made.into_output() {
            Ok(output) => Ok(Submitted::Done { job: None, output }),
            Err(error) => Err(client::refused(self.client.clean(error))),
        }
    }

    async fn start_film(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let body = film_body(request).map_err(client::refused)?;
        let reply = self.client.submit(TASKS, Body::Json(body)).await?;
        let created: Created = reply.json().map_err(client::lost)?;
        let id = plain_id(&created.id).map_err(client::lost)?;
        Ok(Submitted::Job { job: JobRef(id.to_owned()), cost: None })
    }
}

fn picture_body(request: &Request) -> Result<Value, Error> {
    let Request {
        // It has no place for an id of ours.
        correlation: _,
        submitted_at: _,
        model,
        media: _,
        prompt,
        ratio,
        format,
        count,
        input_files,
        // Films only.
        last_frame: _,
        duration_ms: _,
        resolution,
        audio: _,
        // Read below.
        options: _,
        // The answer is the result.
        delivery: _,
        callback: _,
    } = request;
    if *count != 1 {
        return Err(Error::Rejected("The model makes one output at a time.".to_owned()));
    }
    let area = resolution.as_deref().and_then(pixels).unwrap_or(2048 * 2048);
    let (width, height) = Ratio::parse(ratio)?.size(area, 16, 16_384);
    let Options {
        seed,
        // It always judges as it likes.
        moderation: _,
        enhance_prompt,
        output_quality: _,
        guidance_scale,
        num_inference_steps: _,
        raw: _,
        image_prompt_strength: _,
        negative_prompt: _,
        watermark,
        camera_fixed: _,
        background: _,
    } = Options::of(request)?;
    let mut body = json!({
        "model": model,
        "prompt": prompt,
        "size": format!("{width}x{height}"),
        "response_format": "url",
        // It puts one on everything unless it is told not to.
        "watermark": watermark.unwrap_or(false),
    });
    let third = model.contains("-3-0-");
    if !third {
        // One picture, not a set that belongs together.
        body["sequential_image_generation"] = json!("disabled");
    }
    if let Some(seed) = seed.filter(|_| third) {
        body["seed"] = json!(seed);
    }
    if let Some(scale) = guidance_scale.filter(|_| third) {
        body["guidance_scale"] = json!(scale);
    }
    let mode = enhance_prompt.and_then(|enhance| match enhance {
        Enhance::Off => None,
        Enhance::Standard => Some("standard"),
        Enhance::Fast => Some("fast"),
    });
    if let Some(mode) = mode {
        body["optimize_prompt_options"] = json!({ "mode": mode });
    }
    // The others make JPEG whatever they are asked.
    if model.starts_with("seedream-5") {
        body["output_format"] = json!(if *format == OutputFormat::Jpg { "jpeg" } else { "png" });
    }
    match input_files.as_slice() {
        [] => {}
        [one] => body["image"] = json!(one.as_str()),
        many => body["image"] = many.iter().map(|url| Value::from(url.as_str())).collect(),
    }
    Ok(body)
}

fn film_body(request: &Request) -> Result<Value, Error> {
    let Request {
        // Found again by the seed; there is no place for an id of ours.
        correlation: _,
        submitted_at: _,
        model,
        media: _,
        prompt,
        ratio,
        // MP4 always.
        format: _,
        count,
        input_files,
        last_frame,
        duration_ms,
        resolution,
        audio,
        // Read below.
        options: _,
        // A callback is all that has to be asked for.
        delivery: _,
        callback,
    } = request;
    if *count != 1 || input_files.len() > 1 {
        return Err(Error::Rejected("The model takes one picture and makes one film.".to_owned()));
    }
    let options = Options::of(request)?;
    let picture = |url: &url::Url, role: &str| json!({ "type": "image_url", "image_url": { "url": url.as_str() }, "role": role });
    let first = input_files.iter().map(|url| picture(url, "first_frame"));
    let last = last_frame.iter().map(|url| picture(url, "last_frame"));
    let text = json!({ "type": "text", "text": prompt });
    let content: Vec<Value> = [text].into_iter().chain(first).chain(last).collect();
    let mut body = Map::from_iter([
        ("model".to_owned(), json!(model)),
        ("content".to_owned(), json!(content)),
        ("ratio".to_owned(), json!(ratio)),
        ("seed".to_owned(), json!(options.seed_or_own(request))),
    ]);
    let Options {
        // Above.
        seed: _,
        moderation: _,
        enhance_prompt: _,
        output_quality: _,
        guidance_scale: _,
        num_inference_steps: _,
        raw: _,
        image_prompt_strength: _,
        negative_prompt: _,
        watermark,
        camera_fixed,
        background: _,
    } = options;
    let fields = [
        ("resolution", resolution.as_ref().map(|tier| json!(tier))),
        ("duration", duration_ms.map(|millis| json!(millis / 1000))),
        ("generate_audio", audio.map(Value::from)),
        ("camera_fixed", camera_fixed.map(Value::from)),
        ("watermark", Some(json!(watermark.unwrap_or(false)))),
        ("callback_url", callback.as_ref().map(|url| json!(url.as_str()))),
    ];
    body.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok(body.into())
}

#[async_trait]
impl Provider for Byteplus {
    fn name(&self) -> ProviderName {
        ProviderName::Byteplus
    }

    fn capabilities(&self, _model: &str, media: MediaKind) -> Capabilities {
        match media {
            MediaKind::Image => {
                Capabilities { deliveries: &[DeliveryMode::Inline], cancel: false, look_up: false }
            }
            MediaKind::Video => {
                let deliveries = &[DeliveryMode::Callback, DeliveryMode::Polling];
                Capabilities { deliveries, cancel: true, look_up: true }
            }
        }
    }

    async fn submit(&self, request: &Request) -> Result<Submitted, SubmitError> {
        match request.media {
            MediaKind::Image => self.make_pictures(request).await,
            MediaKind::Video => self.start_film(request).await,
        }
    }

    async fn poll(&self, job: &JobRef) -> Result<Progress, Error> {
        match self.task(job).await? {
            Ok(task) => match task.into_progress(POLL_WAIT)? {
                Progress::Failed(error) => Ok(self.client.failed(error)),
                progress => Ok(progress),
            },
            Err(progress) => Ok(progress),
        }
    }

    async fn look_up(&self, request: &Request) -> Result<LookUp, Error> {
        // A seed that the customer chose may be in other jobs too.
        if request.media == MediaKind::Image || Options::of(request)?.seed.is_some() {
            return Err(Error::Unsupported);
        }
        let seed = own_seed(request);
        for page in 1..=PAGES_MAX {
            let path = format!("{TASKS}?page_num={page}&page_size={PAGE_SIZE}");
            let reply = self.client.get(&path).await?;
            if !reply.is_success() {
                return Err(self.client.error(&reply));
            }
            let tasks: Tasks = reply.json()?;
            if let Some(task) = tasks.items.iter().find(|task| task.seed == Some(seed)) {
                return Ok(LookUp::Found(JobRef(plain_id(&task.id)?.to_owned())));
            }
            if tasks.items.len() < PAGE_SIZE {
                let listed = self.clock.now() - request.submitted_at >= LISTED_AFTER;
                return if listed { Ok(LookUp::Absent) } else { Err(Error::Unavailable) };
            }
        }
        Err(Error::Unavailable)
    }

    async fn cancel(&self, job: &JobRef) -> Result<CancelAnswer, Error> {
        match self.task(job).await? {
            Ok(task) if task.status == TaskStatus::Cancelled => return Ok(CancelAnswer::Canceled),
            // What runs cannot be stopped, and what has ended would be deleted.
            Ok(task) if task.status != TaskStatus::Queued => return Ok(CancelAnswer::TooLate),
            Ok(_) => {}
            Err(Progress::Failed(_)) => return Ok(CancelAnswer::TooLate),
            Err(_) => return Err(Error::Unavailable),
        }
        let path = format!("{TASKS}/{}", plain_id(&job.0)?);
        let reply = self.client.tell(Method::DELETE, &path).await?;
        match reply.status {
            200..=299 => Ok(CancelAnswer::Canceled),
            404 | 409 => Ok(CancelAnswer::TooLate),
            _ => Err(self.client.error(&reply)),
        }
    }

    /// Nobody has signed it, so not even the name of the job is believed.
    async fn parse_callback(
        &self,
        _callback: &RawCallback<'_>,
        _about: &Expected<'_>,
    ) -> Result<CallbackNews, CallbackError> {
        Ok(CallbackNews::Hint)
    }
}
