//! Seedream: answered when the pictures are done.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::TimeDelta;
use providers::OutputFormat;
use serde_json::{Map, Value, json};

use super::{NAME, error, invalid, missing, no_such_model};
use crate::call::{Answer, Call};
use crate::house::{House, Order};
use crate::input::{self, given, text, whole};
use crate::jobs::{Job, Stage};
use crate::media::{self, Sketch};

const KEPT: TimeDelta = TimeDelta::hours(24);
const INLINE_MAX: Duration = Duration::from_secs(600);

pub(super) async fn generate(house: &Arc<House>, call: &Call, key: &str) -> Answer {
    let Some(fields) = call.json() else { return invalid("body", "not a JSON object") };
    let sketch = match sketch(&fields) {
        Ok(sketch) => sketch,
        Err(answer) => return answer,
    };
    let order = Order {
        key: key.to_owned(),
        base: call.base.clone(),
        model: text(&fields, "model").unwrap_or_default().to_owned(),
        request: Value::Object(fields.clone()),
        sketch,
        callback: None,
        give_up: None,
    };
    let job = house.take_on(NAME, order, |dice, _| dice.uuid().to_string()).await;
    let job = house.wait(NAME, job, INLINE_MAX).await;
    match job.stage(house.clock.now()) {
        Stage::Moderated => {
            let text = "The request failed because the input text may contain sensitive \
                information.";
            error(400, "InputTextSensitiveContentDetected", "BadRequest", text)
        }
        Stage::Failed => {
            let text = "The service encountered an unexpected internal error.";
            error(500, "InternalServiceError", "InternalServerError", text)
        }
        Stage::Succeeded
        | Stage::Queued
        | Stage::Running(_)
        | Stage::Canceled { .. }
        | Stage::Expired { .. } => done(house, &job, &fields).await,
    }
}

fn sketch(fields: &Map<String, Value>) -> Result<Sketch, Answer> {
    let Some(model) = text(fields, "model") else { return Err(missing("model")) };
    if !model.contains("seedream") && !model.contains("seededit") {
        return Err(no_such_model(model));
    }
    let Some(prompt) = text(fields, "prompt") else { return Err(missing("prompt")) };
    let size = match text(fields, "size").unwrap_or("2K") {
        "1K" => (1024, 1024),
        "2K" => (2048, 2048),
        "4K" => (4096, 4096),
        other => match input::size(other, 'x') {
            Some((w, h)) if (240..=4096).contains(&w) && (240..=4096).contains(&h) => (w, h),
            Some(_) | None => return Err(invalid("size", "not a size that the model makes")),
        },
    };
    if given(fields, "n").is_some() {
        return Err(invalid("n", "not supported by the current model"));
    }
    let images = given(fields, "image").and_then(Value::as_array).map_or(0, Vec::len);
    if images > 14 {
        return Err(invalid("image", "too many images"));
    }
    let options = given(fields, "sequential_image_generation_options");
    let several = options.and_then(Value::as_object).and_then(|o| whole(o, "max_images"));
    let count = match text(fields, "sequential_image_generation").unwrap_or("disabled") {
        "disabled" => 1,
        "auto" => several.unwrap_or(15),
        _ => return Err(invalid("sequential_image_generation", "neither auto nor disabled")),
    };
    if !(1..=15).contains(&count) {
        return Err(invalid("max_images", "not between 1 and 15"));
    }
    let format = text(fields, "output_format").unwrap_or("jpeg");
    Ok(Sketch {
        prompt: prompt.to_owned(),
        seed: whole(fields, "seed").unwrap_or(0),
        size,
        format: match input::picture_format(format) {
            Some(format @ (OutputFormat::Jpg | OutputFormat::Png)) => format,
            Some(_) | None => return Err(invalid("output_format", "neither jpeg nor png")),
        },
        count: count as u32,
        seconds: None,
    })
}

async fn done(house: &House, job: &Job, asked: &Map<String, Value>) -> Answer {
    let (width, height) = job.sketch.size;
    let size = format!("{width}x{height}");
    let mut data = Vec::new();
    if text(asked, "response_format") == Some("b64_json") {
        for index in 0..job.sketch.count {
            data.push(match house.studio.draw(NAME, job, index).await {
                Some(bytes) => json!({ "b64_json": STANDARD.encode(bytes), "size": size }),
                None => json!({ "error": { "code": "InternalServiceError", "message": "" } }),
            });
        }
    } else {
        let urls = media::urls(house, NAME, job, media::expiry(job, KEPT));
        data.extend(urls.iter().map(|url| json!({ "url": url, "size": size })));
    }
    let tokens = u64::from(width) * u64::from(height) / 256 * u64::from(job.sketch.count);
    let usage = json!({
        "generated_images": job.sketch.count, "output_tokens": tokens, "total_tokens": tokens,
    });
    if asked.get("stream") == Some(&Value::Bool(true)) {
        return events(job, &data, &usage);
    }
    let created = job.ends.timestamp();
    Answer::json(
        200,
        json!({ "model": job.model, "created": created, "data": data, "usage": usage }),
    )
}

/// The same as server-sent events. They come together, at the end.
fn events(job: &Job, data: &[Value], usage: &Value) -> Answer {
    let mut text = String::new();
    let mut push = |kind: &str, mut event: Value| {
        event["type"] = json!(format!("image_generation.{kind}"));
        event["model"] = json!(job.model);
        event["created"] = json!(job.ends.timestamp());
        text += &format!("event: image_generation.{kind}\ndata: {event}\n\n");
    };
    for (index, file) in data.iter().enumerate() {
        let mut event = file.clone();
        event["image_index"] = json!(index);
        push("partial_succeeded", event);
    }
    push("completed", json!({ "usage": usage }));
    text += "data: [DONE]\n\n";
    Answer::bytes(200, "text/event-stream", Bytes::from(text))
}
