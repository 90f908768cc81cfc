//! Pictures: answered when they are done, always as base64.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use providers::OutputFormat;
use serde_json::{Map, Value, json};

use super::{NAME, error, fields, invalid, no_such_model};
use crate::call::{Answer, Call};
use crate::house::{House, Order};
use crate::input::{self, text, whole};
use crate::jobs::{Job, Stage};
use crate::media::Sketch;

const MODELS: [&str; 9] = [
    "gpt-image-1-mini",
    "gpt-image-1.5",
    "gpt-image-2",
    "gpt-image-2.5-sunburst",
    "gpt-image-2.5-flare",
    "gpt-image-2.6-sunburst",
    "gpt-image-2.6-flare",
    "chatgpt-image-latest",
    "gpt-image-2-mini",
];
/// The fields of both routes; all others are refused by name.
const KNOWN: [&str; 17] = [
    "model",
    "prompt",
    "n",
    "size",
    "quality",
    "background",
    "output_format",
    "output_compression",
    "moderation",
    "stream",
    "partial_images",
    "safety_identifier",
    "user",
    "input_fidelity",
    "image",
    "mask",
    "image[]",
];
const INLINE_MAX: Duration = Duration::from_secs(600);
const PROMPT_MAX: usize = 32_000;

pub(super) async fn generate(house: &Arc<House>, call: &Call, key: &str) -> Answer {
    match fields(call) {
        Ok((fields, _)) => make(house, call, key, &fields, 0).await,
        Err(answer) => answer,
    }
}

pub(super) async fn edit(house: &Arc<House>, call: &Call, key: &str) -> Answer {
    match fields(call) {
        Ok((_, 0)) => {
            let text = "Missing required parameter: 'image'.";
            invalid("image", "missing_required_parameter", text)
        }
        Ok((fields, images)) => make(house, call, key, &fields, images).await,
        Err(answer) => answer,
    }
}

async fn make(
    house: &Arc<House>,
    call: &Call,
    key: &str,
    fields: &Map<String, Value>,
    images: usize,
) -> Answer {
    let order = match order(call, key, fields) {
        Ok(order) => order,
        Err(answer) => return answer,
    };
    let job = house.take_on(NAME, order, |dice, _| dice.uuid().to_string()).await;
    let job = house.wait(NAME, job, INLINE_MAX).await;
    match job.stage(house.clock.now()) {
        Stage::Moderated => moderated(),
        Stage::Failed => {
            error(500, "server_error", "server_error", None, "The image could not be generated.")
        }
        Stage::Succeeded
        | Stage::Queued
        | Stage::Running(_)
        | Stage::Canceled { .. }
        | Stage::Expired { .. } => done(house, &job, fields, images).await,
    }
}

fn order(call: &Call, key: &str, fields: &Map<String, Value>) -> Result<Order, Answer> {
    if let Some(unknown) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let text = format!("Unknown parameter: '{unknown}'.");
        return Err(invalid(unknown, "unknown_parameter", &text));
    }
    let model = text(fields, "model").unwrap_or("gpt-image-1.5");
    if !MODELS.contains(&model) {
        return Err(no_such_model(model));
    }
    let Some(prompt) = text(fields, "prompt") else {
        let text = "Missing required parameter: 'prompt'.";
        return Err(invalid("prompt", "missing_required_parameter", text));
    };
    let count = whole(fields, "n").unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(invalid("n", "invalid_value", "Invalid 'n': expected a value from 1 to 10."));
    }
    if prompt.chars().count() > PROMPT_MAX {
        return Err(invalid("prompt", "string_above_max_length", "The prompt is too long."));
    }
    let quality = text(fields, "quality").unwrap_or("auto");
    if !["auto", "low", "medium", "high", "xhigh", "max"].contains(&quality) {
        let text = format!("Invalid value: '{quality}'.");
        return Err(invalid("quality", "invalid_value", &text));
    }
    let format = text(fields, "output_format").unwrap_or("png");
    let Some(format) = input::picture_format(format) else {
        let text = format!("Invalid value: '{format}'.");
        return Err(invalid("output_format", "invalid_value", &text));
    };
    let size = size(model, text(fields, "size").unwrap_or("auto"))?;
    Ok(Order {
        key: key.to_owned(),
        base: call.base.clone(),
        model: model.to_owned(),
        request: Value::Object(fields.clone()),
        sketch: Sketch {
            prompt: prompt.to_owned(),
            size,
            format,
            count: count as u32,
            ..Sketch::default()
        },
        callback: None,
        give_up: None,
    })
}

fn size(model: &str, name: &str) -> Result<(u32, u32), Answer> {
    match name {
        "auto" => return Ok((1024, 1024)),
        "1024x1024" | "1536x1024" | "1024x1536" => {}
        _ if model.starts_with("gpt-image-2") => {}
        _ => return Err(wrong_size(name)),
    }
    let (width, height) = input::size(name, 'x').ok_or_else(|| wrong_size(name))?;
    let (long, short) = (width.max(height), width.min(height));
    let fits = width % 16 == 0
        && height % 16 == 0
        && long <= 3840
        && long <= short.saturating_mul(3)
        && (655_360..=8_294_400).contains(&(u64::from(width) * u64::from(height)));
    if fits { Ok((width, height)) } else { Err(wrong_size(name)) }
}

fn wrong_size(name: &str) -> Answer {
    invalid("size", "invalid_value", &format!("Invalid value: '{name}'."))
}

fn moderated() -> Answer {
    let text = "Your request was rejected by the safety system. If you believe this is an error, \
        contact us at help.openai.com.";
    let error = json!({
        "message": text,
        "type": "image_generation_user_error",
        "param": null,
        "code": "moderation_blocked",
        "moderation_details": { "moderation_stage": "input", "categories": ["harassment"] },
    });
    Answer::json(400, json!({ "error": error }))
}

async fn done(house: &House, job: &Job, asked: &Map<String, Value>, images: usize) -> Answer {
    let mut files = Vec::new();
    for index in 0..job.sketch.count {
        let Some(bytes) = house.studio.draw(NAME, job, index).await else {
            return error(500, "server_error", "server_error", None, "The image was not drawn.");
        };
        files.push(STANDARD.encode(bytes));
    }
    let quality = match text(asked, "quality") {
        None | Some("auto") => "medium",
        Some(quality) => quality,
    };
    let partials = whole(asked, "partial_images").unwrap_or(0).clamp(0, 3);
    let streams = asked.get("stream").is_some_and(|value| *value == true || value == "true");
    let usage = usage(job, quality, images, if streams { partials as u32 } else { 0 });
    let common = json!({
        "background": text(asked, "background").unwrap_or("opaque"),
        "output_format": match job.sketch.format {
            OutputFormat::Jpg => "jpeg",
            other => other.as_str(),
        },
        "quality": quality,
        "size": format!("{}x{}", job.sketch.size.0, job.sketch.size.1),
    });
    if streams {
        return events(job, &common, &files, partials, &usage, images > 0);
    }
    let mut body = json!({ "created": job.ends.timestamp() });
    merge(&mut body, &common);
    let data: Vec<Value> = files.iter().map(|file| json!({ "b64_json": file })).collect();
    body["data"] = json!(data);
    body["usage"] = usage;
    Answer::json(200, body)
}

/// What the picture costs in tokens, by quality and shape.
fn usage(job: &Job, quality: &str, images: usize, partials: u32) -> Value {
    let (width, height) = job.sketch.size;
    let [square, portrait, landscape] = match quality {
        "low" => [272, 408, 400],
        "medium" => [1056, 1584, 1568],
        _ => [4160, 6240, 6208],
    };
    let each = match width.cmp(&height) {
        std::cmp::Ordering::Equal => square,
        std::cmp::Ordering::Less => portrait,
        std::cmp::Ordering::Greater => landscape,
    };
    let output = each * job.sketch.count + 100 * partials;
    let words = job.sketch.prompt.split_whitespace().count() + 8;
    let pictures = images * 323;
    let input = words + pictures;
    json!({
        "input_tokens": input,
        "input_tokens_details": { "text_tokens": words, "image_tokens": pictures },
        "output_tokens": output,
        "output_tokens_details": { "image_tokens": output, "text_tokens": 0 },
        "total_tokens": input as u64 + u64::from(output),
    })
}

/// The same as server-sent events. They come together, at the end.
fn events(
    job: &Job,
    common: &Value,
    files: &[String],
    partials: i64,
    usage: &Value,
    is_edit: bool,
) -> Answer {
    let name = if is_edit { "image_edit" } else { "image_generation" };
    let mut text = String::new();
    let mut push = |kind: &str, mut event: Value| {
        event["type"] = json!(format!("{name}.{kind}"));
        event["created_at"] = json!(job.ends.timestamp());
        merge(&mut event, common);
        text += &format!("event: {name}.{kind}\ndata: {event}\n\n");
    };
    for index in 0..partials {
        push("partial_image", json!({ "b64_json": files[0], "partial_image_index": index }));
    }
    push("completed", json!({ "b64_json": files[0], "usage": usage }));
    Answer::bytes(200, "text/event-stream", Bytes::from(text))
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_models_have_three_sizes_and_newer_ones_any_that_fits() {
        assert_eq!(size("gpt-image-1.5", "1536x1024").unwrap(), (1536, 1024));
        assert!(size("gpt-image-1.5", "1280x720").is_err());
        assert_eq!(size("gpt-image-2", "1280x720").unwrap(), (1280, 720));
        for wrong in ["1281x720", "3856x2160", "320x320", "2048x512", "wide"] {
            assert!(size("gpt-image-2", wrong).is_err(), "{wrong}");
        }
    }
}
