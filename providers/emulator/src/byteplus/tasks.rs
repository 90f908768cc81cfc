//! Seedance: tasks that can be watched, called back about and, while they wait, canceled.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use providers::OutputFormat;
use serde_json::{Map, Value, json};
use url::Url;

use super::{NAME, error, invalid, missing, no_such_model, not_found};
use crate::call::{Answer, Call};
use crate::dice::Dice;
use crate::faults::CallbackFault;
use crate::house::{House, Order};
use crate::input::{self, given, text, whole};
use crate::jobs::{Callback, Job, LISTED_MAX, Moment, Stage};
use crate::media::{self, Sketch};

const KEPT: TimeDelta = TimeDelta::hours(24);
/// How long the list remembers.
const LISTED: TimeDelta = TimeDelta::days(7);
const FRAMES_PER_SECOND: u32 = 24;
const EXPIRES_AFTER: i64 = 172_800;

/// What a task is made with, from fields or from the words of its text.
struct Options {
    resolution: String,
    ratio: String,
    duration: i64,
    seed: i64,
}

pub(super) async fn create(house: &Arc<House>, call: &Call, key: &str) -> Answer {
    let order = match order(call, key) {
        Ok(order) => order,
        Err(answer) => return answer,
    };
    let job = house.take_on(NAME, order, new_id).await;
    Answer::json(200, json!({ "id": job.id }))
}

fn new_id(dice: &mut Dice, now: DateTime<Utc>) -> String {
    // Their days are those of Singapore.
    let local = now + TimeDelta::hours(8);
    let end = dice.text(5, "abcdefghijklmnopqrstuvwxyz0123456789");
    format!("cgt-{}-{end}", local.format("%Y%m%d%H%M%S"))
}

fn order(call: &Call, key: &str) -> Result<Order, Answer> {
    let fields = call.json().ok_or_else(|| invalid("body", "not a JSON object"))?;
    let model = text(&fields, "model").ok_or_else(|| missing("model"))?;
    if !model.contains("seedance") {
        return Err(no_such_model(model));
    }
    let content = given(&fields, "content").and_then(Value::as_array);
    let content = content.filter(|parts| !parts.is_empty()).ok_or_else(|| missing("content"))?;
    let part = |kind: &str| content.iter().find(|part| part["type"] == kind);
    let prompt = part("text").and_then(|part| part["text"].as_str()).unwrap_or_default();
    let needs_image = model.contains("i2v");
    if needs_image && part("image_url").is_none() {
        return Err(missing("content.image_url"));
    }
    let options = options(&fields, prompt)?;
    let shape = input::ratio(&options.ratio).unwrap_or((16, 9));
    let size = input::size_of_tier(shape, &options.resolution);
    let size = size.ok_or_else(|| invalid("resolution", "not one that the model makes"))?;
    let callback = match text(&fields, "callback_url").map(Url::parse) {
        None => None,
        Some(Ok(url)) => Some(Callback {
            url,
            secret: None,
            moments: vec![Moment::Accepted, Moment::Started, Moment::Finished],
            fault: CallbackFault::None,
        }),
        Some(Err(_)) => return Err(invalid("callback_url", "not a URL")),
    };
    let expires = whole(&fields, "execution_expires_after").unwrap_or(EXPIRES_AFTER);
    let words = prompt.split(" --").next().unwrap_or_default();
    let request = json!({
        "resolution": options.resolution, "ratio": options.ratio, "duration": options.duration,
        "seed": options.seed, "service_tier": text(&fields, "service_tier").unwrap_or("default"),
        "execution_expires_after": expires,
        "return_last_frame": fields.get("return_last_frame") == Some(&Value::Bool(true)),
        "generate_audio": fields.get("generate_audio") == Some(&Value::Bool(true)),
        "content": content,
    });
    Ok(Order {
        key: key.to_owned(),
        base: call.base.clone(),
        model: model.to_owned(),
        request,
        sketch: Sketch {
            prompt: words.to_owned(),
            seed: options.seed,
            size,
            format: OutputFormat::Mp4,
            count: 1,
            seconds: Some(options.duration as f32),
        },
        callback,
        give_up: Some(expires as f64),
    })
}

/// Older models read their options from the text, as `--rs 720p --dur 5`.
fn options(fields: &Map<String, Value>, prompt: &str) -> Result<Options, Answer> {
    let words: Vec<&str> = prompt.split_whitespace().collect();
    let said = |names: [&str; 2]| {
        let at = words.iter().position(|word| names.contains(word))?;
        words.get(at + 1).copied()
    };
    let choice = |name: &str, names| text(fields, name).or(said(names)).map(str::to_owned);
    let number = |name: &str, names| whole(fields, name).or_else(|| said(names)?.parse().ok());
    let resolution =
        choice("resolution", ["--rs", "--resolution"]).unwrap_or_else(|| "720p".to_owned());
    if !["480p", "720p", "1080p"].contains(&resolution.as_str()) {
        return Err(invalid("resolution", "not one that the model makes"));
    }
    let ratio = choice("ratio", ["--rt", "--ratio"]).unwrap_or_else(|| "16:9".to_owned());
    if !["adaptive", "keep_ratio"].contains(&ratio.as_str()) && input::ratio(&ratio).is_none() {
        return Err(invalid("ratio", "not a ratio"));
    }
    let duration = number("duration", ["--dur", "--duration"]).unwrap_or(5);
    if !(2..=15).contains(&duration) {
        return Err(invalid("duration", "not a length that the model makes"));
    }
    let seed = number("seed", ["--seed", "--seed"]).unwrap_or(-1);
    Ok(Options { resolution, ratio, duration, seed })
}

pub(super) fn get(house: &House, key: &str, id: &str) -> Answer {
    match house.desk(NAME).jobs.of(key, id) {
        Some(job) => Answer::json(200, task(house, &job, None)),
        None => no_such_task(id),
    }
}

pub(super) fn list(house: &House, call: &Call, key: &str) -> Answer {
    let number = |name: &str, usual: usize| {
        call.query(name).and_then(|text| text.parse().ok()).unwrap_or(usual).max(1)
    };
    let (page, size) = (number("page_num", 1), number("page_size", 10));
    let ids: Vec<&str> = call
        .query
        .iter()
        .filter(|(name, _)| name == "filter.task_ids")
        .map(|(_, id)| id.as_str())
        .collect();
    let now = house.clock.now();
    let fits = |job: &Job| {
        job.key == key
            && job.sketch.seconds.is_some()
            && now - job.submitted < LISTED
            && (ids.is_empty() || ids.contains(&job.id.as_str()))
            && call.query("filter.model").is_none_or(|model| job.model == model)
    };
    let jobs = house.desk(NAME).jobs.select(LISTED_MAX, fits);
    let tasks: Vec<Value> = jobs
        .into_iter()
        .map(|job| task(house, &job, None))
        .filter(|task| call.query("filter.status").is_none_or(|status| task["status"] == status))
        .collect();
    let total = tasks.len();
    let items: Vec<Value> = tasks.into_iter().skip((page - 1) * size).take(size).collect();
    Answer::json(200, json!({ "items": items, "total": total }))
}

/// Cancels what waits, deletes what is over, and leaves what runs.
pub(super) fn delete(house: &House, key: &str, id: &str) -> Answer {
    let (desk, now) = (house.desk(NAME), house.clock.now());
    let Some(job) = desk.jobs.of(key, id) else { return no_such_task(id) };
    match job.stage(now) {
        Stage::Queued => {
            desk.jobs.cancel(key, id, now);
            desk.meter.stop(key, id, now);
        }
        Stage::Running(_) => {
            let text =
                format!("The task {id} is currently running and cannot be deleted or canceled.");
            return error(409, "InvalidAction.RunningTaskDeletion", "Conflict", &text);
        }
        Stage::Canceled { .. } => {
            let text = format!("The task {id} is cancelled and cannot be deleted.");
            return error(409, "InvalidAction.CancelledTaskDeletion", "Conflict", &text);
        }
        Stage::Succeeded | Stage::Moderated | Stage::Failed | Stage::Expired { .. } => {
            desk.jobs.remove(id);
        }
    }
    Answer::json(200, json!({}))
}

/// The task at one of its moments, whatever the time is when the call goes out.
pub(super) fn callback(house: &House, job: &Job, moment: Moment) -> Value {
    let status = match moment {
        Moment::Accepted => Some("queued"),
        Moment::Started => Some("running"),
        Moment::Output | Moment::Finished => None,
    };
    task(house, job, status)
}

fn task(house: &House, job: &Job, told: Option<&str>) -> Value {
    let now = house.clock.now();
    let stage = job.stage(now);
    let status = told.unwrap_or(match stage {
        Stage::Queued => "queued",
        Stage::Running(_) => "running",
        Stage::Succeeded => "succeeded",
        Stage::Moderated | Stage::Failed => "failed",
        Stage::Canceled { .. } => "cancelled",
        Stage::Expired { .. } => "expired",
    });
    let asked = &job.request;
    let updated = match status {
        "queued" => job.submitted,
        "running" => job.starts,
        _ => job.over(),
    };
    let mut task = json!({
        "id": job.id, "model": job.model, "status": status,
        "created_at": job.submitted.timestamp(), "updated_at": updated.timestamp(),
        "service_tier": asked["service_tier"],
        "execution_expires_after": asked["execution_expires_after"],
    });
    if status == "succeeded" {
        add_result(house, job, &mut task);
    }
    if status == "failed" {
        let (code, message) = match stage {
            Stage::Moderated => (
                "OutputVideoSensitiveContentDetected",
                "The request failed because the output video may contain sensitive information.",
            ),
            _ => ("InternalServiceError", "The service encountered an internal error."),
        };
        task["error"] = json!({ "code": code, "message": message });
    }
    task
}

fn add_result(house: &House, job: &Job, task: &mut Value) {
    let asked = &job.request;
    let (width, height) = job.sketch.size;
    let seconds = f64::from(job.sketch.seconds.unwrap_or(5.0));
    let pixels = f64::from(width) * f64::from(height);
    let tokens = (pixels * f64::from(FRAMES_PER_SECOND) * seconds / 1024.0) as u64;
    let urls = media::urls(house, NAME, job, media::expiry(job, KEPT));
    task["content"] = json!({ "video_url": urls.first() });
    task["usage"] = json!({ "completion_tokens": tokens, "total_tokens": tokens });
    for name in ["seed", "resolution", "ratio", "duration"] {
        task[name] = asked[name].clone();
    }
    task["framespersecond"] = json!(FRAMES_PER_SECOND);
}

fn no_such_task(id: &str) -> Answer {
    not_found(&format!("The task {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_fields_and_from_the_text() {
        let said = "a fox --rs 480p --rt 9:16 --dur 10 --seed 3";
        let options = options(&Map::new(), said).unwrap();
        assert_eq!((options.resolution.as_str(), options.ratio.as_str()), ("480p", "9:16"));
        assert_eq!((options.duration, options.seed), (10, 3));
        let fields = json!({ "duration": 4 });
        let options = super::options(fields.as_object().unwrap(), said).unwrap();
        assert_eq!(options.duration, 4);
        assert!(super::options(&Map::new(), "--dur 99").is_err());
    }
}
