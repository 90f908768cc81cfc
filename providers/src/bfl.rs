//! Black Forest Labs (`spec/providers.md`, section 3): jobs that are polled.
//!
//! A job lives in one region: the answer to a submit names where to ask, and that address is
//! used as it is, though the credential goes to the configured address alone. Results are gone
//! after ten minutes. There is no cancel, and how its callbacks are signed is not documented.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderName;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use url::Url;

use crate::adapter::Adapter;
use crate::client::{Body, Client, Endpoint, InvalidCredential, Reply, plain_id};
use crate::media::{self, InputFiles};
use crate::name::ProviderName;
use crate::options::{Enhance, Options};
use crate::ratio::{Ratio, pixels};
use crate::{
    CallbackError, CallbackNews, CancelAnswer, Capabilities, Cost, DeliveryMode, Error, Expected,
    JobRef, LookUp, MediaKind, Output, OutputFormat, Progress, Provider, RawCallback, Request,
    SubmitError, Submitted, client,
};

/// How often the provider wants to be asked about a job.
const POLL_WAIT: Duration = Duration::from_secs(1);

/// Its place among the others.
pub(crate) const ADAPTER: Adapter = Adapter {
    name: ProviderName::Bfl,
    settings: &[],
    polls: true,
    make: |shared, settings| {
        let files = Arc::clone(&shared.files);
        Ok(Arc::new(Bfl::new(&shared.http, settings.endpoint.clone(), files)?))
    },
};

/// The adapter.
pub struct Bfl {
    client: Client,
    files: Arc<dyn InputFiles>,
}

impl Bfl {
    /// # Errors
    /// [`InvalidCredential`].
    pub fn new(
        http: &reqwest::Client,
        endpoint: Endpoint,
        files: Arc<dyn InputFiles>,
    ) -> Result<Self, InvalidCredential> {
        let key = endpoint.secret.clone();
        let header = HeaderName::from_static("x-key");
        let client =
            Client::with_header(http, endpoint, header, key.expose_secret(), read_refusal)?;
        Ok(Self { client, files })
    }

    /// The body of a submit. The same fields mean the same on every model; which there are
    /// depends on the family.
    async fn body(&self, request: &Request) -> Result<Map<String, Value>, Error> {
        let Request {
            // It has no place for an id of ours.
            correlation: _,
            submitted_at: _,
            model,
            // It makes pictures only.
            media,
            prompt,
            ratio,
            format,
            count,
            input_files,
            last_frame,
            // Films only.
            duration_ms: _,
            resolution,
            audio: _,
            // Read below.
            options: _,
            // It is polled.
            delivery: _,
            callback: _,
        } = request;
        if *media != MediaKind::Image || last_frame.is_some() || *count != 1 {
            return Err(Error::Rejected("The provider makes one picture at a time.".to_owned()));
        }
        let family = Family::of(model)?;
        let mut body = Map::from_iter([("prompt".to_owned(), json!(prompt))]);
        let shape = Ratio::parse(ratio)?;
        match family {
            Family::Flux2 => {
                let area = resolution.as_deref().and_then(pixels).unwrap_or(1 << 20);
                // Four megapixels is the most it makes.
                let (width, height) = shape.size(area.min(4_000_000), 16, 4096);
                body.extend([
                    ("width".to_owned(), json!(width)),
                    ("height".to_owned(), json!(height)),
                ]);
            }
            Family::Flux1 => {
                let (width, height) = shape.size(1 << 20, 32, 1440);
                body.extend([
                    ("width".to_owned(), json!(width)),
                    ("height".to_owned(), json!(height)),
                ]);
            }
            Family::Ultra | Family::Kontext => {
                body.insert("aspect_ratio".to_owned(), json!(ratio));
            }
        }
        let format = match format {
            OutputFormat::Jpg => "jpeg",
            OutputFormat::Webp if family == Family::Flux2 => "webp",
            // What is lost least is converted afterwards.
            OutputFormat::Png | OutputFormat::Webp | OutputFormat::Mp4 => "png",
        };
        body.insert("output_format".to_owned(), json!(format));
        self.put_files(family, input_files, &mut body).await?;
        put_options(family, model, &Options::of(request)?, &mut body);
        Ok(body)
    }

    async fn put_files(
        &self,
        family: Family,
        files: &[Url],
        body: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        if files.len() > family.files_max() {
            return Err(Error::Rejected("The model cannot take all input files.".to_owned()));
        }
        match family {
            // Some take the file itself and no address.
            Family::Flux1 | Family::Ultra => {
                for (_, bytes) in media::input_pictures(&self.files, files).await? {
                    body.insert("image_prompt".to_owned(), json!(STANDARD.encode(bytes)));
                }
            }
            Family::Flux2 | Family::Kontext => {
                for (index, url) in files.iter().enumerate() {
                    let name = match index {
                        0 => "input_image".to_owned(),
                        index => format!("input_image_{}", index + 1),
                    };
                    body.insert(name, json!(url.as_str()));
                }
            }
        }
        Ok(())
    }

    /// Where a job is asked for.
    fn address(&self, job: &JobRef) -> Result<Url, Error> {
        let (id, host) = match job.0.split_once('@') {
            Some((id, host)) => (id, Some(host)),
            None => (job.0.as_str(), None),
        };
        let mut url = self.client.url(&format!("/v1/get_result?id={}", plain_id(id)?))?;
        if let Some(host) = host {
            if !self.is_region(host) {
                return Err(Error::Protocol("this is no job of this provider".to_owned()));
            }
            let set = url.set_host(Some(host));
            set.map_err(|_| Error::Protocol("the region is not readable".to_owned()))?;
        }
        Ok(url)
    }

    /// Whether a host is another one of the same provider, `api.us1.bfl.ai` for `api.bfl.ai`.
    fn is_region(&self, host: &str) -> bool {
        let own = self.client.base().domain().and_then(|own| own.strip_prefix("api."));
        let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        plain
            && own.is_some_and(|own| host.strip_suffix(own).is_some_and(|rest| rest.ends_with('.')))
    }

    fn job(&self, accepted: &Accepted) -> Result<JobRef, Error> {
        let id = plain_id(&accepted.id)?;
        let polling_url = accepted.polling_url.as_deref().and_then(|url| Url::parse(url).ok());
        let host = polling_url.as_ref().and_then(Url::host_str);
        Ok(JobRef(match host.filter(|host| self.is_region(host)) {
            Some(region) if Some(region) != self.client.base().host_str() => {
                format!("{id}@{region}")
            }
            _ => id.to_owned(),
        }))
    }

    fn progress(&self, result: Answer) -> Result<Progress, Error> {
        Ok(match result.status.as_str() {
            "Pending" | "Queued" | "Reasoning" | "Generating" => waiting(),
            "Ready" => {
                let sample = result.result.as_ref().and_then(|result| result["sample"].as_str());
                let no_file = || Error::Protocol("the job succeeded without a file".to_owned());
                let file = media::from_address(sample.ok_or_else(no_file)?)?;
                // Its cost is told at submit only, and the time it took no more.
                Progress::Done(Output { files: vec![file], predict_time: None, cost: None })
            }
            "Request Moderated" | "Content Moderated" => {
                let reasons = &result.details["Moderation Reasons"];
                let reasons = reasons.as_array().map(Vec::as_slice).unwrap_or_default();
                let reasons: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
                self.client.failed(Error::Moderated(format!(
                    "{}: {}",
                    result.status,
                    reasons.join(", ")
                )))
            }
            "Error" => Progress::Failed(Error::Failed("The provider failed.".to_owned())),
            "Task not found" => Progress::Failed(client::gone()),
            _ => return Err(Error::Protocol("the status of the job is not known".to_owned())),
        })
    }
}

#[async_trait]
impl Provider for Bfl {
    fn name(&self) -> ProviderName {
        ProviderName::Bfl
    }

    fn capabilities(&self, _model: &str, _media: MediaKind) -> Capabilities {
        Capabilities { deliveries: &[DeliveryMode::Polling], cancel: false, look_up: false }
    }

    async fn submit(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let body = self.body(request).await.map_err(client::refused)?;
        let path = format!("/v1/{}", request.model);
        let reply = self.client.submit(&path, Body::Json(body.into())).await?;
        let accepted: Accepted = reply.json().map_err(client::lost)?;
        let cost = accepted.cost.and_then(Cost::of_cents);
        Ok(Submitted::Job { job: self.job(&accepted).map_err(client::lost)?, cost })
    }

    async fn poll(&self, job: &JobRef) -> Result<Progress, Error> {
        let reply = self.client.get_from(self.address(job)?).await?;
        if !reply.is_success() {
            return self.client.unanswered(&reply);
        }
        self.progress(reply.json()?)
    }

    async fn look_up(&self, _request: &Request) -> Result<LookUp, Error> {
        Err(Error::Unsupported)
    }

    async fn cancel(&self, _job: &JobRef) -> Result<CancelAnswer, Error> {
        Err(Error::Unsupported)
    }

    /// How its callbacks are signed is not documented, so it is not asked for any.
    async fn parse_callback(
        &self,
        _callback: &RawCallback<'_>,
        _about: &Expected<'_>,
    ) -> Result<CallbackNews, CallbackError> {
        Err(CallbackError::Unsupported)
    }
}

/// Models with the same fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Flux2,
    /// flux-pro-1.1 and flux-dev.
    Flux1,
    Ultra,
    Kontext,
}

impl Family {
    fn of(model: &str) -> Result<Self, Error> {
        match model {
            "flux-pro-1.1-ultra" => Ok(Self::Ultra),
            "flux-pro-1.1" | "flux-dev" => Ok(Self::Flux1),
            model if model.starts_with("flux-2-") && plain_id(model).is_ok() => Ok(Self::Flux2),
            "flux-kontext-pro" | "flux-kontext-max" => Ok(Self::Kontext),
            _ => Err(Error::Failed("The provider does not have this model.".to_owned())),
        }
    }

    fn files_max(self) -> usize {
        match self {
            Self::Flux2 => 8,
            Self::Kontext => 4,
            Self::Flux1 | Self::Ultra => 1,
        }
    }
}

fn put_options(family: Family, model: &str, options: &Options, body: &mut Map<String, Value>) {
    let Options {
        seed,
        moderation,
        enhance_prompt,
        // It has no such thing.
        output_quality: _,
        guidance_scale,
        num_inference_steps,
        raw,
        image_prompt_strength,
        negative_prompt: _,
        watermark: _,
        camera_fixed: _,
        background: _,
    } = options;
    // Six for the older ones; five is what both take.
    let tolerance = moderation.map(|strict| json!(if strict { 2 } else { 5 }));
    let enhance = enhance_prompt.map(|enhance| json!(enhance != Enhance::Off));
    let flex = model == "flux-2-flex";
    let dev = model == "flux-dev";
    let ultra = family == Family::Ultra;
    let fields = [
        ("seed", true, seed.map(Value::from)),
        ("safety_tolerance", true, tolerance),
        ("prompt_upsampling", flex || family != Family::Flux2, enhance),
        ("guidance", flex || dev, guidance_scale.map(Value::from)),
        ("steps", flex || dev, num_inference_steps.map(Value::from)),
        ("raw", ultra, raw.map(Value::from)),
        (
            "image_prompt_strength",
            ultra && body.contains_key("image_prompt"),
            image_prompt_strength.map(Value::from),
        ),
    ];
    for (name, taken, value) in fields {
        if let Some(value) = value.filter(|_| taken) {
            body.insert(name.to_owned(), value);
        }
    }
}

fn waiting() -> Progress {
    Progress::Waiting { retry_after: Some(POLL_WAIT) }
}

/// The answer to a submit, and the part of a callback that is looked at.
#[derive(Debug, Deserialize)]
struct Accepted {
    id: String,
    #[serde(default)]
    polling_url: Option<String>,
    /// In credits, of a cent each.
    #[serde(default)]
    cost: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    details: Value,
}

/// `detail` as a sentence or a list, else `message`, else `error`.
fn read_refusal(reply: &Reply) -> Option<Error> {
    let body: Map<String, Value> = reply.json().ok()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let entries = body.get("detail").and_then(Value::as_array);
    let entries = entries.map(|entries| {
        let texts: Vec<&str> = entries.iter().filter_map(|entry| entry["msg"].as_str()).collect();
        texts.join("; ")
    });
    let text = text("detail").or(entries).or_else(|| text("message")).or_else(|| text("error"))?;
    let seconds = body.get("retry_after").and_then(Value::as_u64).map(Duration::from_secs);
    Some(match reply.status {
        401 | 403 => Error::Unauthorized,
        402 => Error::OutOfCredit,
        404 => Error::Failed("The provider does not have this model.".to_owned()),
        429 => Error::RateLimited { retry_after: reply.retry_after().or(seconds) },
        400 | 422 => Error::Rejected(text),
        500.. => Error::Unavailable,
        _ => return None,
    })
}
