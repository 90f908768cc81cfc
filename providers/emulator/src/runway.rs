//! Runway (`spec/providers.md`, section 8).

use std::sync::Arc;

use actix_web::http::Method;
use async_trait::async_trait;
use chrono::{SecondsFormat, TimeDelta};
use providers::OutputFormat;
use serde_json::{Map, Value, json};

use crate::call::{Answer, Call};
use crate::faults::Target;
use crate::house::{House, Order};
use crate::input::{given, ratio, text, whole};
use crate::jobs::{Job, Stage};
use crate::media::{self, Sketch};
use crate::settings::Provider;
use crate::wire::{Refusal, Wire};

const NAME: Provider = Provider::Runway;
const VERSION: &str = "2024-11-06";
const KEPT: TimeDelta = TimeDelta::hours(24);
const DOCS: &str = "https://docs.dev.runwayml.com/api";
/// In UTF-16 units.
const PROMPT_MAX: usize = 1000;

const FILM_RATIOS: [&str; 8] = [
    "1280:720",
    "720:1280",
    "1104:832",
    "832:1104",
    "960:960",
    "1584:672",
    "1080:1920",
    "1920:1080",
];
const PICTURE_RATIOS: [&str; 26] = [
    "1024:1024",
    "1080:1080",
    "1168:880",
    "1360:768",
    "1440:1080",
    "1080:1440",
    "1808:768",
    "1920:1080",
    "1080:1920",
    "2112:912",
    "1280:720",
    "720:1280",
    "720:720",
    "960:720",
    "720:960",
    "1680:720",
    "1344:768",
    "768:1344",
    "1184:864",
    "864:1184",
    "1536:672",
    "832:1248",
    "1248:832",
    "896:1152",
    "1152:896",
    "2048:2048",
];

pub(crate) struct Runway;

#[async_trait]
impl Wire for Runway {
    fn target(&self, call: &Call) -> Target {
        match call.method {
            Method::POST => Target::Submit,
            Method::DELETE => Target::Cancel,
            _ => Target::Read,
        }
    }

    fn key(&self, call: &Call) -> Result<String, Answer> {
        match call.credential("bearer") {
            Some(key) if key.starts_with("key_") => Ok(key.to_owned()),
            Some(_) | None => Err(unauthorized()),
        }
    }

    fn refuse(&self, _house: &House, _call: &Call, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::RateLimited { .. } => error(429, "Too many requests. Please slow down."),
            Refusal::Broken => error(502, "The service is temporarily overloaded."),
            Refusal::Unauthorized => unauthorized(),
            // The same status as wrong input; only the text tells.
            Refusal::OutOfCredit => error(400, "You do not have enough credits to run this task."),
        }
    }

    async fn answer(&self, house: &Arc<House>, call: &Call, key: &str) -> Answer {
        match call.header("x-runway-version") {
            Some(VERSION) => {}
            Some(_) => return error(400, "The X-Runway-Version header is not a known version."),
            None => return error(400, "The X-Runway-Version header is required."),
        }
        let desk = house.desk(NAME);
        match (&call.method, call.segments().as_slice()) {
            (&Method::POST, ["v1", "image_to_video"]) => {
                submit(house, call, key, Kind::ImageToVideo).await
            }
            (&Method::POST, ["v1", "text_to_video"]) => {
                submit(house, call, key, Kind::TextToVideo).await
            }
            (&Method::POST, ["v1", "text_to_image"]) => {
                submit(house, call, key, Kind::TextToImage).await
            }
            (&Method::GET, ["v1", "tasks", id]) => match desk.jobs.of(key, id) {
                // A canceled task is gone for good.
                Some(job) if job.canceled.is_none() => Answer::json(200, task(house, &job)),
                Some(_) | None => error(404, "Not found"),
            },
            (&Method::DELETE, ["v1", "tasks", id]) => delete(house, key, id),
            (&Method::GET, ["v1", "organization"]) => Answer::json(200, organization(house)),
            (_, ["v1", "tasks", _] | ["v1", "organization"]) => error(405, "Method not allowed"),
            _ => error(404, "Not found"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ImageToVideo,
    TextToVideo,
    TextToImage,
}

async fn submit(house: &Arc<House>, call: &Call, key: &str, kind: Kind) -> Answer {
    let Some(fields) = call.json() else { return error(400, "The body is not valid JSON.") };
    let sketch = match sketch(kind, &fields) {
        Ok(sketch) => sketch,
        Err(issues) => return invalid(&issues),
    };
    let order = Order {
        key: key.to_owned(),
        base: call.base.clone(),
        model: text(&fields, "model").unwrap_or_default().to_owned(),
        request: Value::Object(fields),
        sketch,
        callback: None,
        give_up: None,
    };
    let job = house.take_on(NAME, order, |dice, _| dice.uuid().to_string()).await;
    Answer::json(200, json!({ "id": job.id, "estimatedCost": { "credits": credits(&job) } }))
}

/// What to draw, or what is wrong.
fn sketch(kind: Kind, fields: &Map<String, Value>) -> Result<Sketch, Vec<Value>> {
    let mut issues = Vec::new();
    let mut add = |code: &str, field: &str, message: &str| {
        issues.push(json!({ "code": code, "path": [field], "message": message }));
    };
    let model = text(fields, "model").unwrap_or_default();
    let known: &[&str] = match kind {
        Kind::ImageToVideo => &["gen4_turbo", "gen4.5", "veo3.1", "veo3.1_fast", "veo3"],
        Kind::TextToVideo => &["gen4.5", "veo3.1", "veo3.1_fast", "veo3"],
        Kind::TextToImage => &["gen4_image", "gen4_image_turbo", "gemini_2.5_flash"],
    };
    if !known.contains(&model) {
        add("invalid_union", "model", "Invalid input");
    }
    let prompt = text(fields, "promptText").unwrap_or_default();
    if prompt.is_empty() && (kind != Kind::ImageToVideo || model == "gen4.5") {
        add("invalid_type", "promptText", "Invalid input: expected string, received undefined");
    }
    if prompt.encode_utf16().count() > PROMPT_MAX {
        add("too_big", "promptText", "Too big: expected string to have <=1000 characters");
    }
    if kind == Kind::ImageToVideo && given(fields, "promptImage").is_none() {
        add("invalid_type", "promptImage", "Invalid input: expected string, received undefined");
    }
    let is_film = kind != Kind::TextToImage;
    let ratios: &[&str] = if is_film { &FILM_RATIOS } else { &PICTURE_RATIOS };
    let shape = text(fields, "ratio").unwrap_or_default();
    if !ratios.contains(&shape) {
        add("invalid_value", "ratio", "Invalid option");
    }
    let lengths: &[i64] =
        if model.starts_with("veo") { &[4, 6, 8] } else { &[2, 3, 4, 5, 6, 7, 8, 9, 10] };
    let seconds = whole(fields, "duration").unwrap_or(if model.starts_with("veo") { 8 } else { 5 });
    if is_film && !lengths.contains(&seconds) {
        add("invalid_value", "duration", "Invalid option");
    }
    if model == "gen4_image_turbo" && given(fields, "referenceImages").is_none() {
        add("invalid_type", "referenceImages", "Invalid input: expected array");
    }
    if !issues.is_empty() {
        return Err(issues);
    }
    Ok(Sketch {
        prompt: prompt.to_owned(),
        seed: whole(fields, "seed").unwrap_or(0),
        size: ratio(shape).unwrap_or((1280, 720)),
        format: if is_film { OutputFormat::Mp4 } else { OutputFormat::Png },
        count: 1,
        seconds: is_film.then_some(seconds as f32),
    })
}

fn delete(house: &House, key: &str, id: &str) -> Answer {
    let (desk, now) = (house.desk(NAME), house.clock.now());
    match desk.jobs.cancel(key, id, now) {
        // What is over is deleted with its outputs.
        Some((before, job)) if before.is_final() && job.canceled.is_none() => desk.jobs.remove(id),
        Some(_) => desk.meter.stop(key, id, now),
        None => return error(404, "Not found"),
    }
    Answer::empty(house.settings.quirks.runway_delete_status)
}

fn task(house: &House, job: &Job) -> Value {
    let now = house.clock.now();
    let stage = job.stage(now);
    let created = job.submitted.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut task = json!({ "id": job.id, "createdAt": created });
    let (status, cost) = match stage {
        // Whoever waits for a place waits longer than the usual moment.
        Stage::Queued if (job.starts - job.submitted).num_seconds() > 2 => ("THROTTLED", None),
        Stage::Queued => ("PENDING", None),
        Stage::Running(part) => {
            task["progress"] = json!((part * 100.0).round() / 100.0);
            ("RUNNING", None)
        }
        Stage::Succeeded => {
            let until = media::expiry(job, KEPT);
            task["output"] = json!(media::urls(house, NAME, job, until));
            ("SUCCEEDED", Some(credits(job)))
        }
        Stage::Moderated => {
            task["failure"] = json!("Your content was flagged by our moderation system.");
            task["failureCode"] = json!("SAFETY.INPUT.TEXT");
            ("FAILED", Some(credits(job)))
        }
        Stage::Failed => {
            task["failure"] = json!("An unexpected error occurred.");
            task["failureCode"] = json!("INTERNAL");
            ("FAILED", Some(0))
        }
        Stage::Canceled { .. } | Stage::Expired { .. } => ("CANCELLED", Some(0)),
    };
    task["status"] = json!(status);
    match cost {
        Some(credits) => task["cost"] = json!({ "credits": credits }),
        None => task["estimatedCost"] = json!({ "credits": credits(job) }),
    }
    task
}

/// What a task costs; a credit is a cent.
fn credits(job: &Job) -> u32 {
    let seconds = job.sketch.seconds.unwrap_or(0.0) as u32;
    match job.model.as_str() {
        "gen4_turbo" => 5 * seconds,
        "gen4.5" => 12 * seconds,
        "veo3.1_fast" => 10 * seconds,
        "veo3.1" | "veo3" => 40 * seconds,
        "gen4_image_turbo" => 2,
        "gen4_image" if job.sketch.size.0.min(job.sketch.size.1) > 720 => 8,
        _ => 5,
    }
}

fn organization(house: &House) -> Value {
    let concurrent = house.desk(NAME).meter.limits().concurrency;
    let models = ["gen4_turbo", "gen4_image", "gen4.5", "veo3.1_fast"];
    let limits = |model: &str| {
        let limits =
            json!({ "maxConcurrentGenerations": concurrent, "maxDailyGenerations": 25_000 });
        (model.to_owned(), limits)
    };
    let used = |model: &str| (model.to_owned(), json!({ "dailyGenerations": 0 }));
    json!({
        "creditBalance": 1_000_000,
        "tier": {
            "maxMonthlyCreditSpend": 10_000_000,
            "models": models.map(limits).into_iter().collect::<Map<_, _>>(),
        },
        "usage": { "models": models.map(used).into_iter().collect::<Map<_, _>>() },
    })
}

fn error(status: u16, text: &str) -> Answer {
    Answer::json(status, json!({ "error": text, "docUrl": DOCS }))
}

fn unauthorized() -> Answer {
    error(401, "The API key is not valid.")
}

fn invalid(issues: &[Value]) -> Answer {
    let body = json!({
        "error": "Validation of body failed", "issues": issues, "docUrl": DOCS,
    });
    Answer::json(400, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_field_by_field() {
        let fields = json!({ "model": "gen4_turbo", "duration": 11, "ratio": "16:9" });
        let issues = sketch(Kind::ImageToVideo, fields.as_object().unwrap()).unwrap_err();
        let paths: Vec<_> = issues.iter().map(|one| one["path"][0].as_str().unwrap()).collect();
        assert_eq!(paths, ["promptImage", "ratio", "duration"]);
    }
}
