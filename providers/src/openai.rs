//! OpenAI (`spec/providers.md`, section 4): pictures, inline, always as base64.
//!
//! An empty account answers with 429, like a limit that passes; its code tells them apart. The
//! endpoints for films were shut down on 24 September 2026 and are not here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::adapter::Adapter;
use crate::client::{Body, Client, Endpoint, InvalidCredential, Reply, wait_in_text};
use crate::media::{self, InputFiles};
use crate::multipart::Form;
use crate::name::ProviderName;
use crate::options::Options;
use crate::ratio::Ratio;
use crate::{
    CallbackError, CallbackNews, CancelAnswer, Capabilities, DeliveryMode, Error, Expected, JobRef,
    LookUp, MediaKind, Output, OutputFile, OutputFormat, Progress, Provider, RawCallback, Request,
    SubmitError, Submitted, client,
};

/// Most files of one request.
const FILES_MAX: usize = 16;
/// Of the models before gpt-image-2, which know no others.
const SIZES: [(u32, u32); 3] = [(1024, 1024), (1536, 1024), (1024, 1536)];

/// Its place among the others.
pub(crate) const ADAPTER: Adapter = Adapter {
    name: ProviderName::OpenAi,
    settings: &[],
    polls: false,
    make: |shared, settings| {
        let files = Arc::clone(&shared.files);
        Ok(Arc::new(OpenAi::new(&shared.http, settings.endpoint.clone(), files)?))
    },
};

/// The adapter.
pub struct OpenAi {
    client: Client,
    files: Arc<dyn InputFiles>,
}

impl OpenAi {
    /// # Errors
    /// [`InvalidCredential`].
    pub fn new(
        http: &reqwest::Client,
        endpoint: Endpoint,
        files: Arc<dyn InputFiles>,
    ) -> Result<Self, InvalidCredential> {
        Ok(Self { client: Client::new(http, endpoint, "Bearer", read_refusal)?, files })
    }

    /// With pictures it is another endpoint, which wants a form.
    async fn call(&self, request: &Request) -> Result<(&'static str, Body), Error> {
        let fields = fields(request)?;
        if request.input_files.is_empty() {
            return Ok(("/images/generations", Body::Json(fields.into())));
        }
        let mut form = Form::new(request.correlation);
        for (name, value) in &fields {
            match value {
                Value::String(text) => form.text(name, text),
                other => form.text(name, &other.to_string()),
            }
        }
        for (format, bytes) in media::input_pictures(&self.files, &request.input_files).await? {
            form.file("image[]", format, &bytes);
        }
        Ok(("/images/edits", Body::Form(form)))
    }
}

fn fields(request: &Request) -> Result<Map<String, Value>, Error> {
    let Request {
        // It has no place for an id of ours.
        correlation: _,
        submitted_at: _,
        model,
        media,
        prompt,
        ratio,
        format,
        count,
        input_files,
        last_frame,
        // Films only.
        duration_ms: _,
        // Sizes follow from the ratio.
        resolution: _,
        audio: _,
        // Read below.
        options: _,
        // The answer is the result.
        delivery: _,
        callback: _,
    } = request;
    if *media != MediaKind::Image || last_frame.is_some() {
        return Err(Error::Failed("The provider does not make films any more.".to_owned()));
    }
    if input_files.len() > FILES_MAX {
        return Err(Error::Rejected("The model cannot take all input files.".to_owned()));
    }
    let (width, height) = size(model, Ratio::parse(ratio)?)?;
    let format = match format {
        OutputFormat::Jpg => "jpeg",
        OutputFormat::Webp => "webp",
        OutputFormat::Png | OutputFormat::Mp4 => "png",
    };
    let mut fields = Map::from_iter([
        ("model".to_owned(), json!(model)),
        ("prompt".to_owned(), json!(prompt)),
        ("n".to_owned(), json!(count)),
        ("size".to_owned(), json!(format!("{width}x{height}"))),
        ("output_format".to_owned(), json!(format)),
    ]);
    let Options {
        // It takes no seed.
        seed: _,
        moderation,
        // It rewrites prompts as it likes.
        enhance_prompt: _,
        output_quality,
        guidance_scale: _,
        num_inference_steps: _,
        raw: _,
        image_prompt_strength: _,
        negative_prompt: _,
        watermark: _,
        camera_fixed: _,
        background,
    } = Options::of(request)?;
    // Edits have no such field.
    if let Some(strict) = moderation.filter(|_| input_files.is_empty()) {
        fields.insert("moderation".to_owned(), json!(if strict { "auto" } else { "low" }));
    }
    // PNG is not compressed with loss, and the field is refused for it.
    if let Some(quality) = output_quality.filter(|_| format != "png") {
        fields.insert("output_compression".to_owned(), json!(quality));
    }
    if let Some(background) = background {
        fields.insert("background".to_owned(), json!(background));
    }
    Ok(fields)
}

fn size(model: &str, ratio: Ratio) -> Result<(u32, u32), Error> {
    let any_size = model.starts_with("gpt-image-2");
    if any_size {
        return Ok(ratio.size(1024 * 1024, 16, 3840));
    }
    let none = || Error::Rejected("The model does not have this ratio.".to_owned());
    ratio.nearest(&SIZES).ok_or_else(none)
}

#[async_trait]
impl Provider for OpenAi {
    fn name(&self) -> ProviderName {
        ProviderName::OpenAi
    }

    fn capabilities(&self, _model: &str, _media: MediaKind) -> Capabilities {
        Capabilities { deliveries: &[DeliveryMode::Inline], cancel: false, look_up: false }
    }

    async fn submit(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let (path, body) = self.call(request).await.map_err(client::refused)?;
        let reply = self.client.submit_inline(path, body).await?;
        let made: Made = reply.json().map_err(client::lost)?;
        let files: Result<Vec<OutputFile>, Error> =
            made.data.iter().map(|picture| media::from_base64(&picture.b64_json)).collect();
        let files = files.map_err(client::lost)?;
        if files.is_empty() {
            return Err(client::lost(Error::Protocol("the answer has no file".to_owned())));
        }
        let millis = reply.header("openai-processing-ms").and_then(|text| text.parse().ok());
        // Tokens are told, whose price depends on the model.
        let predict_time = millis.map(Duration::from_millis);
        Ok(Submitted::Done { job: None, output: Output { files, predict_time, cost: None } })
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

#[derive(Deserialize)]
struct Made {
    data: Vec<Picture>,
}

#[derive(Deserialize)]
struct Picture {
    b64_json: String,
}

#[derive(Debug, Deserialize)]
struct Failure {
    error: Reason,
}

#[derive(Debug, Deserialize)]
struct Reason {
    #[serde(default)]
    message: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    code: Option<String>,
}

fn read_refusal(reply: &Reply) -> Option<Error> {
    let Failure { error } = reply.json().ok()?;
    let code = error.code.as_deref().or(error.kind.as_deref()).unwrap_or_default();
    let is_kind = |kind: &str| error.kind.as_deref() == Some(kind);
    Some(match (reply.status, code) {
        (
            _,
            "insufficient_quota"
            | "billing_hard_limit_reached"
            | "billing_not_active"
            | "credit_balance_exhausted",
        ) => Error::OutOfCredit,
        (_, "moderation_blocked" | "content_policy_violation") => Error::Moderated(error.message),
        (_, _) if is_kind("insufficient_quota") => Error::OutOfCredit,
        (401 | 403, _) => Error::Unauthorized,
        // Retired, or not for this account: others may have it.
        (404, _) => Error::Failed("The provider does not have this model.".to_owned()),
        (429, _) => Error::RateLimited {
            retry_after: reply
                .retry_after()
                .or_else(|| wait_in_text(&error.message, "try again in")),
        },
        (400 | 413 | 422, _) => Error::Rejected(error.message),
        (500.., _) => Error::Unavailable,
        _ => return None,
    })
}
