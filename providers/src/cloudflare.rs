//! Cloudflare Workers AI (`spec/providers.md`, section 5): pictures, inline.
//!
//! Some models answer with JSON and base64, others with the bytes, and what the content type
//! says of them is not always so. One model knows squares only: its pictures are cropped.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::adapter::{Adapter, SettingKind};
use crate::client::{Body, Client, Endpoint, InvalidCredential, Reply};
use crate::media::{self, InputFiles};
use crate::multipart::Form;
use crate::name::ProviderName;
use crate::options::Options;
use crate::ratio::{Ratio, pixels};
use crate::{
    CallbackError, CallbackNews, CancelAnswer, Capabilities, DeliveryMode, Error, Expected, JobRef,
    LookUp, MediaKind, Output, OutputFile, Progress, Provider, RawCallback, Request, SubmitError,
    Submitted, client,
};

/// Characters of a prompt that every model takes.
const PROMPT_MAX: usize = 2048;
/// Most files of one request.
const FILES_MAX: usize = 4;

/// Its place among the others.
pub(crate) const ADAPTER: Adapter = Adapter {
    name: ProviderName::Cloudflare,
    settings: &[("account_id", SettingKind::Account)],
    polls: false,
    make: |shared, settings| {
        let (account, files) = (settings.text("account_id")?, Arc::clone(&shared.files));
        Ok(Arc::new(Cloudflare::new(&shared.http, settings.endpoint.clone(), account, files)?))
    },
};

/// The adapter.
pub struct Cloudflare {
    client: Client,
    account_id: String,
    files: Arc<dyn InputFiles>,
}

/// How a model is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A prompt and nothing else; the picture is a square.
    Square,
    /// JSON with a size.
    Sized { longest: u32, negative_prompt: bool },
    /// A form, which may have pictures in it.
    Form,
}

impl Kind {
    fn of(model: &str) -> Result<Self, Error> {
        let name = model.strip_prefix("@cf/").unwrap_or_default();
        Ok(match name {
            "black-forest-labs/flux-1-schnell" => Self::Square,
            "leonardo/lucid-origin" => Self::Sized { longest: 2500, negative_prompt: false },
            "leonardo/phoenix-1.0"
            | "stabilityai/stable-diffusion-xl-base-1.0"
            | "bytedance/stable-diffusion-xl-lightning"
            | "lykon/dreamshaper-8-lcm" => Self::Sized { longest: 2048, negative_prompt: true },
            name if name.starts_with("black-forest-labs/flux-2-") => Self::Form,
            _ => return Err(Error::Failed("The provider does not have this model.".to_owned())),
        })
    }
}

impl Cloudflare {
    /// # Errors
    /// [`InvalidCredential`].
    pub fn new(
        http: &reqwest::Client,
        endpoint: Endpoint,
        account_id: String,
        files: Arc<dyn InputFiles>,
    ) -> Result<Self, InvalidCredential> {
        let client = Client::new(http, endpoint, "Bearer", read_refusal)?;
        Ok(Self { client, account_id, files })
    }

    async fn body(&self, kind: Kind, request: &Request) -> Result<Body, Error> {
        let fields = fields(kind, request)?;
        if kind != Kind::Form {
            return Ok(Body::Json(fields.into()));
        }
        let mut form = Form::new(request.correlation);
        for (name, value) in &fields {
            match value {
                Value::String(text) => form.text(name, text),
                other => form.text(name, &other.to_string()),
            }
        }
        let names = ["input_image_0", "input_image_1", "input_image_2", "input_image_3"];
        let pictures = media::input_pictures(&self.files, &request.input_files).await?;
        for (name, (format, bytes)) in names.into_iter().zip(pictures) {
            form.file(name, format, &bytes);
        }
        Ok(Body::Form(form))
    }

    /// The picture in an answer, of either kind.
    async fn file(
        &self,
        kind: Kind,
        request: &Request,
        reply: &Reply,
    ) -> Result<OutputFile, Error> {
        let file = match media::sniff(&reply.body) {
            Some(_) => media::from_bytes(reply.body.clone())?,
            None => {
                let envelope: Envelope = reply.json()?;
                if let Some(error) = envelope.failure(reply) {
                    return Err(self.client.clean(error));
                }
                let text = envelope.result["image"].as_str();
                let no_file = || Error::Protocol("the answer has no file".to_owned());
                media::from_base64(text.ok_or_else(no_file)?)?
            }
        };
        match file {
            OutputFile::Bytes { bytes, .. } if kind == Kind::Square && request.ratio != "1:1" => {
                let (ratio, format) = (Ratio::parse(&request.ratio)?, request.format);
                let bytes = media::cropped(bytes, ratio, format).await;
                let bytes = bytes.map_err(|misfit| Error::Protocol(misfit.to_string()))?;
                Ok(OutputFile::Bytes { format, bytes })
            }
            file => Ok(file),
        }
    }
}

fn fields(kind: Kind, request: &Request) -> Result<Map<String, Value>, Error> {
    let Request {
        // It has no place for an id of ours.
        correlation: _,
        submitted_at: _,
        // In the path.
        model: _,
        media,
        prompt,
        ratio,
        // Each model makes one format, which is converted afterwards.
        format: _,
        count,
        input_files,
        last_frame,
        // Films only.
        duration_ms: _,
        resolution,
        audio: _,
        // Read below.
        options: _,
        // The answer is the result.
        delivery: _,
        callback: _,
    } = request;
    if *media != MediaKind::Image || last_frame.is_some() || *count != 1 {
        return Err(Error::Rejected("The provider makes one picture at a time.".to_owned()));
    }
    if input_files.len() > if kind == Kind::Form { FILES_MAX } else { 0 } {
        return Err(Error::Rejected("The model cannot take all input files.".to_owned()));
    }
    // Others take longer ones, so this is no judgement of the input.
    if prompt.chars().count() > PROMPT_MAX {
        return Err(Error::Failed("The prompt is too long for the provider.".to_owned()));
    }
    let Options {
        seed,
        moderation: _,
        enhance_prompt: _,
        output_quality: _,
        guidance_scale,
        num_inference_steps,
        raw: _,
        image_prompt_strength: _,
        negative_prompt,
        watermark: _,
        camera_fixed: _,
        background: _,
    } = Options::of(request)?;
    let mut fields = Map::from_iter([("prompt".to_owned(), json!(prompt))]);
    let (longest, negative) = match kind {
        // Its schema allows nothing else but the number of steps.
        Kind::Square => return Ok(fields),
        Kind::Sized { longest, negative_prompt } => (longest, negative_prompt),
        Kind::Form => (1920, false),
    };
    let area = resolution.as_deref().and_then(pixels).unwrap_or(1 << 20);
    let (width, height) = Ratio::parse(ratio)?.size(area, 16, longest);
    let steps = if kind == Kind::Form { "steps" } else { "num_steps" };
    let optional = [
        ("width", Some(json!(width))),
        ("height", Some(json!(height))),
        ("seed", seed.map(Value::from)),
        ("guidance", guidance_scale.filter(|_| kind != Kind::Form).map(Value::from)),
        (steps, num_inference_steps.map(Value::from)),
        ("negative_prompt", negative_prompt.filter(|_| negative).map(Value::from)),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok(fields)
}

#[async_trait]
impl Provider for Cloudflare {
    fn name(&self) -> ProviderName {
        ProviderName::Cloudflare
    }

    fn capabilities(&self, _model: &str, _media: MediaKind) -> Capabilities {
        Capabilities { deliveries: &[DeliveryMode::Inline], cancel: false, look_up: false }
    }

    async fn submit(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let kind = Kind::of(&request.model).map_err(client::refused)?;
        let body = self.body(kind, request).await.map_err(client::refused)?;
        let path = format!("/accounts/{}/ai/run/{}", self.account_id, request.model);
        let reply = self.client.submit_inline(&path, body).await?;
        let file = self.file(kind, request, &reply).await.map_err(client::lost)?;
        // It tells neither time nor cost.
        let output = Output { files: vec![file], predict_time: None, cost: None };
        Ok(Submitted::Done { job: None, output })
    }

    async fn poll(&self, _job: &JobRef) -> Result<Progress, Error> {
        Err(Error::Unsupported)
    }

    async fn look_up(&self, _request: &Request) -> Result<LookUp, Error> {
        Err(Error::Unsupported)
    }

    async fn cancel(&self, _job: &JobRef) -> Result<CancelAnswer, Error> {
        Err(Error::Unsupported)
    }

    async fn parse_callback(
        &self,
        _callback: &RawCallback<'_>,
        _about: &Expected<'_>,
    ) -> Result<CallbackNews, CallbackError> {
        Err(CallbackError::Unsupported)
    }
}

/// `success` counts, not the status alone.
#[derive(Debug, Deserialize)]
struct Envelope {
    success: bool,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    errors: Vec<Reason>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    code: u32,
    #[serde(default)]
    message: String,
}

impl Envelope {
    fn failure(&self, reply: &Reply) -> Option<Error> {
        if self.success {
            return None;
        }
        let unexplained = || Error::Failed("The provider failed without a reason.".to_owned());
        Some(self.errors.first().map_or_else(unexplained, |reason| reason.meaning(reply)))
    }
}

impl Reason {
    fn meaning(&self, reply: &Reply) -> Error {
        let text = self.message.clone();
        let lower = text.to_lowercase();
        match self.code {
            10_000 => Error::Unauthorized,
            // The day's allocation.
            3036 | 4006 => Error::OutOfCredit,
            3040 => Error::Unavailable,
            // A bucket for everything that went wrong in a model: the words decide.
            3030 if lower.contains("nsfw") || lower.contains("flagged") => Error::Moderated(text),
            3030 if lower.contains("input is not valid") => Error::Rejected(text),
            3030 => Error::Failed(text),
            5007 | 7003 | 3042 | 5005 | 5019 => {
                Error::Failed("The provider does not have this model.".to_owned())
            }
            3003 | 3006 | 5004 | 5006 => Error::Rejected(text),
            3007 | 3008 => Error::TimedOut,
            // Blocked, or terms not accepted: nothing that the input could mend.
            3023 | 3041 | 5016 | 5018 => Error::Unauthorized,
            _ => match reply.status {
                401 | 403 => Error::Unauthorized,
                429 => reply.rate_limited(),
                500.. => Error::Unavailable,
                _ => Error::Failed(text),
            },
        }
    }
}

fn read_refusal(reply: &Reply) -> Option<Error> {
    let envelope: Envelope = reply.json().ok()?;
    (!envelope.errors.is_empty()).then(|| envelope.failure(reply)).flatten()
}
