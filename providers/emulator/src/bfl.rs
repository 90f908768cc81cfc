//! Black Forest Labs (`spec/providers.md`, section 3).

use std::sync::Arc;

use actix_web::http::Method;
use async_trait::async_trait;
use chrono::{SecondsFormat, TimeDelta};
use providers::OutputFormat;
use serde_json::{Map, Value, json};
use url::Url;

use crate::call::{Answer, Call};
use crate::faults::{CallbackFault, Target};
use crate::house::{House, Order};
use crate::input::{self, given, text, whole};
use crate::jobs::{Callback, Job, Moment, Stage};
use crate::media::{self, Sketch};
use crate::settings::Provider;
use crate::signatures::sign_bfl;
use crate::wire::{Message, Refusal, Wire};

const NAME: Provider = Provider::Bfl;
const KEPT: TimeDelta = TimeDelta::minutes(10);
const MODELS: [&str; 14] = [
    "flux-2-max",
    "flux-2-pro",
    "flux-2-pro-preview",
    "flux-2-flex",
    "flux-2-klein-4b",
    "flux-2-klein-9b",
    "flux-2-klein-9b-preview",
    "flux-kontext-pro",
    "flux-kontext-max",
    "flux-pro-1.1",
    "flux-pro-1.1-ultra",
    "flux-dev",
    "flux-pro-1.0-fill",
    "flux-pro-1.0-expand",
];
const PIXELS_MAX: i64 = 4 * 1024 * 1024;

pub(crate) struct Bfl;

#[async_trait]
impl Wire for Bfl {
    fn target(&self, call: &Call) -> Target {
        if call.method == Method::POST { Target::Submit } else { Target::Read }
    }

    fn key(&self, call: &Call) -> Result<String, Answer> {
        let key = call.header("x-key").filter(|key| !key.trim().is_empty());
        key.map(str::to_owned).ok_or_else(not_authenticated)
    }

    fn is_open(&self, call: &Call) -> bool {
        call.segments() == ["v1", "get_result"]
    }

    fn refuse(&self, _house: &House, _call: &Call, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::RateLimited { .. } => too_many(),
            Refusal::Broken => detail(500, "Internal Server Error"),
            Refusal::Unauthorized => not_authenticated(),
            Refusal::OutOfCredit => detail(402, "Insufficient credits"),
        }
    }

    async fn answer(&self, house: &Arc<House>, call: &Call, key: &str) -> Answer {
        match (&call.method, call.segments().as_slice()) {
            (&Method::GET, ["v1", "get_result"]) => result(house, call),
            (&Method::GET, ["v1", "credits"]) => Answer::json(200, json!({ "credits": 10_000.0 })),
            (&Method::POST, ["v1", model]) if MODELS.contains(model) => {
                submit(house, call, key, model).await
            }
            _ => detail(404, "Not Found"),
        }
    }

    fn callback_body(&self, house: &House, job: &Job, _moment: Moment) -> Option<Value> {
        let (status, result, _) = state(house, job);
        let at = house.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
        Some(json!({ "id": job.id, "status": status, "result": result, "timestamp": at }))
    }

    fn callback_headers(
        &self,
        house: &House,
        job: &Job,
        message: &Message<'_>,
    ) -> Vec<(&'static str, String)> {
        let secret = job.callback.as_ref().and_then(|callback| callback.secret.as_deref());
        match secret {
            Some(secret) if house.settings.quirks.bfl_signs => {
                vec![("x-bfl-signature", sign_bfl(secret, message.body))]
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn callback_waits(&self) -> &'static [f64] {
        &[1.0, 5.0, 30.0]
    }
}

async fn submit(house: &Arc<House>, call: &Call, key: &str, model: &str) -> Answer {
    let Some(fields) = call.json() else {
        return invalid(&[problem("body", "json_invalid", "JSON decode error")]);
    };
    let sketch = match sketch(model, &fields) {
        Ok(sketch) => sketch,
        Err(problems) => return invalid(&problems),
    };
    let callback = match text(&fields, "webhook_url").map(Url::parse) {
        None => None,
        Some(Ok(url)) => Some(Callback {
            url,
            secret: text(&fields, "webhook_secret").map(str::to_owned),
            moments: vec![Moment::Finished],
            fault: CallbackFault::None,
        }),
        Some(Err(_)) => {
            return invalid(&[problem(
                "webhook_url",
                "url_parsing",
                "Input should be a valid URL",
            )]);
        }
    };
    let meter = &house.desk(NAME).meter;
    let room = meter.limits().concurrency.unwrap_or(usize::MAX);
    // Kontext max takes six; here a job does not wait for a place, it is refused.
    let room = if model == "flux-kontext-max" { room.min(6) } else { room };
    if meter.running(key, house.clock.now()) >= room {
        return too_many();
    }
    let hook = callback.as_ref().map(|callback| callback.url.clone());
    let megapixels = f64::from(sketch.size.0) * f64::from(sketch.size.1) / 1e6;
    let order = Order {
        key: key.to_owned(),
        base: call.base.clone(),
        model: model.to_owned(),
        request: Value::Object(fields),
        sketch,
        callback,
        give_up: None,
    };
    let job = house.take_on(NAME, order, |dice, _| dice.uuid().to_string()).await;
    let mut body = json!({ "id": job.id });
    match hook {
        Some(url) => {
            body["status"] = json!("Pending");
            body["webhook_url"] = json!(url);
        }
        None => {
            let url = format!("{}/v1/get_result?id={}", job.base, job.id);
            body["polling_url"] = json!(url);
        }
    }
    body["cost"] = json!(cost(model, megapixels));
    body["input_mp"] = json!(0.0);
    body["output_mp"] = json!((megapixels * 100.0).round() / 100.0);
    Answer::json(200, body)
}

/// In credits, which are cents.
fn cost(model: &str, megapixels: f64) -> f64 {
    let (first, further) = match model {
        "flux-2-klein-4b" => (1.4, 0.0),
        "flux-2-klein-9b" | "flux-2-klein-9b-preview" => (1.5, 0.0),
        "flux-2-pro" | "flux-2-pro-preview" => (3.0, 1.5),
        "flux-2-max" => (7.0, 3.0),
        "flux-2-flex" => (5.0, 5.0),
        "flux-kontext-max" => (8.0, 0.0),
        "flux-pro-1.1-ultra" => (6.0, 0.0),
        _ => (4.0, 0.0),
    };
    first + further * (megapixels.ceil() - 1.0).max(0.0)
}

/// What to draw, or what is wrong.
fn sketch(model: &str, fields: &Map<String, Value>) -> Result<Sketch, Vec<Value>> {
    let mut wrong = Vec::new();
    if text(fields, "prompt").is_none() {
        wrong.push(problem("prompt", "missing", "Field required"));
    }
    let is_second = model.starts_with("flux-2");
    let (least, step) = if is_second { (64, 16) } else { (256, 32) };
    let most = if is_second { PIXELS_MAX / 64 } else { 1440 };
    let mut side = |name: &str, usual: u32| -> u32 {
        let Some(value) = given(fields, name) else { return usual };
        match value.as_i64() {
            // Zero leaves it to the model.
            Some(0) if is_second => usual,
            Some(value) if value % step != 0 => {
                let text = format!("Input should be a multiple of {step}");
                wrong.push(problem(name, "multiple_of", &text));
                usual
            }
            Some(value) if (least..=most).contains(&value) => value as u32,
            Some(value) if value < least => {
                let text = format!("Input should be greater than or equal to {least}");
                wrong.push(problem(name, "greater_than_equal", &text));
                usual
            }
            Some(_) => {
                let text = format!("Input should be less than or equal to {most}");
                wrong.push(problem(name, "less_than_equal", &text));
                usual
            }
            None => {
                wrong.push(problem(name, "int_type", "Input should be a valid integer"));
                usual
            }
        }
    };
    let usual = if is_second { (1024, 1024) } else { (1024, 768) };
    let mut size = (side("width", usual.0), side("height", usual.1));
    if i64::from(size.0) * i64::from(size.1) > PIXELS_MAX {
        wrong.push(problem("width", "value_error", "Output may have at most 4 megapixels"));
    }
    let takes_ratio = model.contains("kontext") || model.contains("ultra");
    if takes_ratio {
        let usual = if model.contains("ultra") { "16:9" } else { "1:1" };
        match input::ratio(text(fields, "aspect_ratio").unwrap_or(usual)) {
            Some(ratio) => {
                let pixels = if model.contains("ultra") { 4e6 } else { 1024.0 * 1024.0 };
                size = input::size_of_area(ratio, pixels);
            }
            None => wrong.push(problem("aspect_ratio", "value_error", "Invalid aspect ratio")),
        }
    }
    let usual = if model.contains("kontext") { "png" } else { "jpeg" };
    let format = input::picture_format(text(fields, "output_format").unwrap_or(usual));
    if format.is_none() {
        let text = "Input should be 'jpeg', 'png' or 'webp'";
        wrong.push(problem("output_format", "enum", text));
    }
    let tolerance = whole(fields, "safety_tolerance").unwrap_or(2);
    if !(0..=6).contains(&tolerance) {
        let text = "Input should be less than or equal to 6";
        wrong.push(problem("safety_tolerance", "less_than_equal", text));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(Sketch {
        prompt: text(fields, "prompt").unwrap_or_default().to_owned(),
        seed: whole(fields, "seed").unwrap_or(0),
        size,
        format: format.unwrap_or(OutputFormat::Jpg),
        count: 1,
        seconds: None,
    })
}

/// Asked for without a key: whoever knows the id may know the result.
fn result(house: &House, call: &Call) -> Answer {
    let id = call.query("id").unwrap_or_default();
    let Some(job) = house.desk(NAME).jobs.find(id) else {
        let status = house.settings.quirks.bfl_not_found_status;
        let body = json!({
            "id": id, "status": "Task not found", "result": null, "progress": null,
            "details": null, "preview": null,
        });
        return Answer::json(status, body);
    };
    let (status, result, details) = state(house, &job);
    let progress = match job.stage(house.clock.now()) {
        Stage::Running(part) => json!(part),
        Stage::Succeeded => json!(1.0),
        _ => Value::Null,
    };
    Answer::json(
        200,
        json!({
            "id": id, "status": status, "result": result, "progress": progress,
            "details": details, "preview": null,
        }),
    )
}

/// Status, result and details.
fn state(house: &House, job: &Job) -> (&'static str, Value, Value) {
    match job.stage(house.clock.now()) {
        Stage::Queued | Stage::Running(_) => ("Pending", Value::Null, Value::Null),
        Stage::Succeeded => {
            let urls = media::urls(house, NAME, job, media::expiry(job, KEPT));
            let result = json!({
                "sample": urls.first(), "prompt": job.sketch.prompt, "seed": job.sketch.seed,
                "start_time": job.starts.timestamp_millis() as f64 / 1000.0,
                "end_time": job.ends.timestamp_millis() as f64 / 1000.0,
                "duration": job.run_seconds(),
            });
            ("Ready", result, Value::Null)
        }
        Stage::Moderated => {
            let reasons = json!({ "Moderation Reasons": ["Safety Filter"] });
            // A word in the prompt is seen before the model runs, anything else after.
            let asked = house.is_unsafe(&job.sketch.prompt);
            let status = if asked { "Request Moderated" } else { "Content Moderated" };
            (status, Value::Null, reasons)
        }
        Stage::Failed | Stage::Canceled { .. } | Stage::Expired { .. } => {
            ("Error", Value::Null, Value::Null)
        }
    }
}

fn detail(status: u16, text: &str) -> Answer {
    Answer::json(status, json!({ "detail": text }))
}

fn not_authenticated() -> Answer {
    detail(403, "Not authenticated")
}

fn too_many() -> Answer {
    let body = json!({
        "error": "rate_limit_exceeded", "message": "Too many concurrent requests",
        "retry_after": 5,
    });
    Answer::json(429, body)
        .with("x-ratelimit-limit", 24)
        .with("x-ratelimit-remaining", 0)
        .with("x-ratelimit-reset", 5)
}

fn problem(field: &str, kind: &str, text: &str) -> Value {
    json!({ "loc": ["body", field], "msg": text, "type": kind })
}

fn invalid(problems: &[Value]) -> Answer {
    Answer::json(422, json!({ "detail": problems }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_checked_as_each_family_has_them() {
        let fields = |width: i64| json!({ "prompt": "a", "width": width, "height": 512 });
        let of = |model, width| sketch(model, fields(width).as_object().unwrap());
        assert_eq!(of("flux-2-pro", 1040).unwrap().size, (1040, 512));
        assert!(of("flux-pro-1.1", 1040).is_err());
        assert!(of("flux-pro-1.1", 1472).is_err());
        assert_eq!(of("flux-2-pro", 0).unwrap().size, (1024, 512));
        assert!(of("flux-2-pro", 16 * 1024).is_err());
    }

    #[test]
    fn further_megapixels_cost_more() {
        assert_eq!(cost("flux-2-pro", 1.0), 3.0);
        assert_eq!(cost("flux-2-pro", 2.1), 6.0);
        assert_eq!(cost("flux-2-klein-4b", 4.0), 1.4);
    }
}
