//! Cloudflare Workers AI (`spec/providers.md`, section 5): inline only.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use providers::OutputFormat;
use serde_json::{Map, Value, json};

use crate::call::{Answer, Call};
use crate::dice::Dice;
use crate::faults::Target;
use crate::house::{House, Order};
use crate::input::{given, text, whole};
use crate::jobs::Stage;
use crate::media::Sketch;
use crate::multipart;
use crate::settings::Provider;
use crate::wire::{Refusal, Wire};

const NAME: Provider = Provider::Cloudflare;
const INLINE_MAX: Duration = Duration::from_secs(120);
const PROMPT_MAX: usize = 2048;
const BODY_MAX: usize = 10 << 20;

/// How a model is asked and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    /// The picture as base64 in JSON.
    Base64,
    /// The picture itself, under this content type.
    Raw(&'static str),
}

/// One model.
struct Model {
    name: &'static str,
    reply: Reply,
    format: OutputFormat,
    /// The usual side and the limits.
    side: (u32, u32, u32),
    /// Asked by a form instead of JSON.
    takes_form: bool,
}

const fn model(
    name: &'static str,
    reply: Reply,
    format: OutputFormat,
    side: (u32, u32, u32),
) -> Model {
    Model { name, reply, format, side, takes_form: false }
}

const MODELS: [Model; 11] = [
    Model {
        name: "@cf/black-forest-labs/flux-2-dev",
        reply: Reply::Base64,
        format: OutputFormat::Jpg,
        side: (1024, 256, 1920),
        takes_form: true,
    },
    Model {
        name: "@cf/black-forest-labs/flux-2-klein-4b",
        reply: Reply::Base64,
        format: OutputFormat::Jpg,
        side: (1024, 256, 1920),
        takes_form: true,
    },
    Model {
        name: "@cf/black-forest-labs/flux-2-klein-9b",
        reply: Reply::Base64,
        format: OutputFormat::Jpg,
        side: (1024, 256, 1920),
        takes_form: true,
    },
    model(SCHNELL, Reply::Base64, OutputFormat::Jpg, (1024, 1024, 1024)),
    model("@cf/leonardo/lucid-origin", Reply::Base64, OutputFormat::Jpg, (1120, 1, 2500)),
    model("@cf/leonardo/phoenix-1.0", Reply::Raw("image/jpeg"), OutputFormat::Jpg, (1024, 1, 2048)),
    model(
        "@cf/stabilityai/stable-diffusion-xl-base-1.0",
        Reply::Raw("image/png"),
        OutputFormat::Png,
        (1024, 256, 2048),
    ),
    // The header says PNG, and the bytes are JPEG.
    model(
        "@cf/bytedance/stable-diffusion-xl-lightning",
        Reply::Raw("image/png"),
        OutputFormat::Jpg,
        (1024, 256, 2048),
    ),
    model(
        "@cf/runwayml/stable-diffusion-v1-5-img2img",
        Reply::Raw("image/png"),
        OutputFormat::Png,
        (512, 256, 2048),
    ),
    model(
        "@cf/runwayml/stable-diffusion-v1-5-inpainting",
        Reply::Raw("image/png"),
        OutputFormat::Png,
        (512, 256, 2048),
    ),
    model(
        "@cf/lykon/dreamshaper-8-lcm",
        Reply::Raw("image/png"),
        OutputFormat::Png,
        (512, 256, 2048),
    ),
];
const SCHNELL: &str = "@cf/black-forest-labs/flux-1-schnell";

pub(crate) struct Cloudflare;

#[async_trait]
impl Wire for Cloudflare {
    fn target(&self, call: &Call) -> Target {
        if call.method == Method::POST { Target::Submit } else { Target::Read }
    }

    fn key(&self, call: &Call) -> Result<String, Answer> {
        let pair = call.header("x-auth-email").and(call.header("x-auth-key"));
        let key = call.credential("bearer").or(pair);
        key.map(str::to_owned).ok_or_else(wrong_key)
    }

    fn refuse(&self, _house: &House, _call: &Call, refusal: Refusal) -> Answer {
        match refusal {
            // No number is known for this one; 3040 is the documented lack of capacity.
            Refusal::RateLimited { .. } => {
                error(429, 3040, "Capacity temporarily exceeded, please try again.")
            }
            Refusal::Broken => error(500, 8005, "AiError: Internal server error"),
            Refusal::Unauthorized => wrong_key(),
            Refusal::OutOfCredit => error(
                429,
                4006,
                "you have used up your daily free allocation of 10,000 neurons, please upgrade \
                 to Cloudflare's Workers Paid plan",
            ),
        }
    }

    async fn answer(&self, house: &Arc<House>, call: &Call, key: &str) -> Answer {
        let nth = house.desk(NAME).count_call();
        let ray = Dice::of(house.seed, "cloudflare/ray", nth).text(16, "0123456789abcdef");
        let segments = call.segments();
        let answer = match (&call.method, segments.as_slice()) {
            (&Method::POST, ["client", "v4", "accounts", account, "ai", "run", name @ ..]) => {
                let is_account =
                    account.len() == 32 && account.bytes().all(|b| b.is_ascii_hexdigit());
                if is_account {
                    run(house, call, key, &name.join("/")).await
                } else {
                    error(404, 7003, "Could not route, perhaps your object identifier is invalid?")
                }
            }
            (_, ["client", "v4", "accounts", _, "ai", "run", ..]) => {
                error(405, 5019, "Method not allowed")
            }
            (&Method::GET, ["client", "v4", "user", "tokens", "verify"]) => Answer::json(
                200,
                json!({
                    "result": { "id": "emulated", "status": "active" }, "success": true,
                    "errors": [], "messages": [],
                }),
            ),
            _ => error(404, 7000, "No route for that URI"),
        };
        answer.with("cf-ray", format!("{ray}-EMU"))
    }
}

async fn run(house: &Arc<House>, call: &Call, key: &str, name: &str) -> Answer {
    let Some(model) = MODELS.iter().find(|model| model.name == name) else {
        return error(400, 5007, &format!("No such model {name} or task"));
    };
    if call.body.len() > BODY_MAX {
        return error(413, 3006, "Request is too large");
    }
    let fields = match fields(model, call) {
        Ok(fields) => fields,
        Err(answer) => return answer,
    };
    let sketch = match sketch(model, &fields) {
        Ok(sketch) => sketch,
        Err(why) => return error(400, 5006, &format!("Error: {why}")),
    };
    let order = Order {
        key: key.to_owned(),
        base: call.base.clone(),
        model: name.to_owned(),
        request: Value::Object(fields),
        sketch,
        callback: None,
        give_up: None,
    };
    let job = house.take_on(NAME, order, |dice, _| dice.uuid().to_string()).await;
    let job = house.wait(NAME, job, INLINE_MAX).await;
    match job.stage(house.clock.now()) {
        Stage::Moderated => {
            return error(400, 3030, "AiError: Input prompt contains NSFW content");
        }
        Stage::Failed => return error(400, 3030, "AiError: The model could not be run"),
        Stage::Queued | Stage::Running(_) => return error(408, 3007, "Request timeout"),
        Stage::Succeeded | Stage::Canceled { .. } | Stage::Expired { .. } => {}
    }
    let Some(bytes) = house.studio.draw(NAME, &job, 0).await else {
        return error(500, 8005, "AiError: Internal server error");
    };
    match model.reply {
        Reply::Raw(content_type) => Answer::bytes(200, content_type, bytes),
        Reply::Base64 => enveloped(&bytes),
    }
}

fn enveloped(bytes: &Bytes) -> Answer {
    Answer::json(
        200,
        json!({
            "result": { "image": STANDARD.encode(bytes) }, "success": true, "errors": [],
            "messages": [],
        }),
    )
}

/// The fields of JSON or of a form, whichever the model takes.
fn fields(model: &Model, call: &Call) -> Result<Map<String, Value>, Answer> {
    if !model.takes_form {
        return call.json().ok_or_else(|| error(400, 3003, "Invalid or incomplete input"));
    }
    let parts = multipart::parts(call);
    let parts = parts
        .ok_or_else(|| error(400, 5006, "Error: required properties are missing: 'multipart'"))?;
    Ok(multipart::texts(&parts))
}

fn sketch(model: &Model, fields: &Map<String, Value>) -> Result<Sketch, String> {
    let prompt = text(fields, "prompt").ok_or("required properties are missing: 'prompt'")?;
    if prompt.chars().count() > PROMPT_MAX {
        return Err(format!("length of '/prompt' must be <= {PROMPT_MAX}"));
    }
    if model.name == SCHNELL {
        // Its schema knows these two; some callers send a seed and get away with it.
        let known = |name: &str| ["prompt", "steps", "seed"].contains(&name);
        if let Some(name) = fields.keys().find(|name| !known(name)) {
            return Err(format!("'/{name}' is not a known property"));
        }
    }
    let steps = whole(fields, "steps").or(whole(fields, "num_steps")).unwrap_or(4);
    let steps_max = if model.name == SCHNELL { 8 } else { 40 };
    if !(1..=steps_max).contains(&steps) {
        return Err(format!("'/steps' must be <= {steps_max}"));
    }
    let (usual, least, most) = model.side;
    let side = |name: &str| match (given(fields, name), whole(fields, name)) {
        (None, _) => Ok(usual),
        (Some(_), Some(value)) if (i64::from(least)..=i64::from(most)).contains(&value) => {
            Ok(value as u32)
        }
        (Some(_), _) => Err(format!("'/{name}' must be >= {least} and <= {most}")),
    };
    Ok(Sketch {
        prompt: prompt.to_owned(),
        seed: whole(fields, "seed").unwrap_or(0),
        size: (side("width")?, side("height")?),
        format: model.format,
        count: 1,
        seconds: None,
    })
}

fn error(status: u16, code: u32, text: &str) -> Answer {
    Answer::json(
        status,
        json!({
            "result": null, "success": false, "errors": [{ "code": code, "message": text }],
            "messages": [],
        }),
    )
}

fn wrong_key() -> Answer {
    error(401, 10_000, "Authentication error")
}
