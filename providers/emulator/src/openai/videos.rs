//! Films (Sora): jobs without a cancel, whose bytes are fetched with the key.

use std::sync::Arc;

use chrono::TimeDelta;
use providers::OutputFormat;
use serde_json::{Value, json};

use super::{NAME, error, fields, invalid, no_such_model};
use crate::call::{Answer, Call};
use crate::faults::CallbackFault;
use crate::house::{House, Order};
use crate::input::{self, text};
use crate::jobs::{Callback, Job, LISTED_MAX, Moment, Stage};
use crate::media::Sketch;

/// How long the bytes can be fetched.
const KEPT: TimeDelta = TimeDelta::hours(1);
const SIZES: [&str; 2] = ["720x1280", "1280x720"];
const PRO_SIZES: [&str; 4] = ["1024x1792", "1792x1024", "1080x1920", "1920x1080"];
const LENGTHS: [&str; 5] = ["4", "8", "12", "16", "20"];
const PAGE: usize = 20;

pub(super) async fn create(house: &Arc<House>, call: &Call, key: &str) -> Answer {
    let order = match order(house, call, key) {
        Ok(order) => order,
        Err(answer) => return answer,
    };
    let name =
        |dice: &mut crate::dice::Dice, _| format!("video_{}", dice.text(48, "0123456789abcdef"));
    let job = house.take_on(NAME, order, name).await;
    Answer::json(200, video(house, &job))
}

fn order(house: &House, call: &Call, key: &str) -> Result<Order, Answer> {
    let (fields, _) = fields(call)?;
    let model = text(&fields, "model").unwrap_or("sora-2");
    if !model.starts_with("sora-2") {
        return Err(no_such_model(model));
    }
    let Some(prompt) = text(&fields, "prompt") else {
        let text = "Missing required parameter: 'prompt'.";
        return Err(invalid("prompt", "missing_required_parameter", text));
    };
    let seconds = text(&fields, "seconds").unwrap_or("4");
    if !LENGTHS.contains(&seconds) {
        let text = format!("Invalid value: '{seconds}'. Supported values are: '4', '8', '12'.");
        return Err(invalid("seconds", "invalid_value", &text));
    }
    let size = text(&fields, "size").unwrap_or(SIZES[0]);
    let is_pro_size = model.starts_with("sora-2-pro") && PRO_SIZES.contains(&size);
    if !is_pro_size && !SIZES.contains(&size) {
        let text = format!("Invalid value: '{size}'.");
        return Err(invalid("size", "invalid_value", &text));
    }
    let request = json!({ "prompt": prompt, "seconds": seconds, "size": size });
    let url = house.desk(NAME).settings.webhook_url.clone();
    Ok(Order {
        key: key.to_owned(),
        base: call.base.clone(),
        model: model.to_owned(),
        sketch: Sketch {
            prompt: prompt.to_owned(),
            size: input::size(size, 'x').unwrap_or((720, 1280)),
            format: OutputFormat::Mp4,
            seconds: seconds.parse().ok(),
            ..Sketch::default()
        },
        request,
        callback: url.map(|url| Callback {
            url,
            secret: None,
            moments: vec![Moment::Finished],
            fault: CallbackFault::None,
        }),
        give_up: None,
    })
}

pub(super) fn get(house: &House, key: &str, id: &str) -> Answer {
    match house.desk(NAME).jobs.of(key, id) {
        Some(job) => Answer::json(200, video(house, &job)),
        None => no_such_video(id),
    }
}

pub(super) fn list(house: &House, call: &Call, key: &str) -> Answer {
    let limit = call.query("limit").and_then(|text| text.parse().ok()).unwrap_or(PAGE);
    let after = call.query("after");
    let fits = |job: &Job| job.key == key && job.sketch.seconds.is_some();
    let mut jobs = house.desk(NAME).jobs.select(LISTED_MAX, fits);
    if call.query("order") == Some("asc") {
        jobs.reverse();
    }
    let skip = after.and_then(|id| jobs.iter().position(|job| job.id == id));
    let rest = jobs.iter().skip(skip.map_or(0, |at| at + 1));
    let mut page: Vec<Value> = rest.take(limit + 1).map(|job| video(house, job)).collect();
    let has_more = page.len() > limit;
    page.truncate(limit);
    let id = |video: Option<&Value>| video.map(|video| video["id"].clone());
    let (first, last) = (id(page.first()), id(page.last()));
    Answer::json(
        200,
        json!({
            "object": "list", "data": page, "first_id": first, "last_id": last,
            "has_more": has_more,
        }),
    )
}

pub(super) async fn content(house: &House, call: &Call, key: &str, id: &str) -> Answer {
    let Some(job) = house.desk(NAME).jobs.of(key, id) else { return no_such_video(id) };
    let now = house.clock.now();
    if job.stage(now) != Stage::Succeeded {
        let text = "Video is not ready yet, use GET /v1/videos/{video_id} to check status.";
        return error(404, "invalid_request_error", "video_not_ready", None, text);
    }
    if now >= job.ends + KEPT {
        let text = "The video's assets have expired.";
        return error(404, "invalid_request_error", "video_expired", None, text);
    }
    let still = |format| {
        let sketch = Sketch { format, seconds: None, ..job.sketch.as_ref().clone() };
        let id = format!("{}-{}", job.id, format.as_str());
        Job { id, sketch: Arc::new(sketch), ..job.clone() }
    };
    let shown = match call.query("variant").unwrap_or("video") {
        "video" => job.clone(),
        "thumbnail" => still(OutputFormat::Webp),
        "spritesheet" => still(OutputFormat::Jpg),
        other => {
            let text = format!("Invalid value: '{other}'.");
            return invalid("variant", "invalid_value", &text);
        }
    };
    match house.studio.draw(NAME, &shown, 0).await {
        Some(bytes) => Answer::bytes(200, shown.sketch.format.content_type(), bytes),
        None => error(500, "server_error", "server_error", None, "The video was not drawn."),
    }
}

/// Only what is over can be deleted, and nothing can be canceled.
pub(super) fn delete(house: &House, key: &str, id: &str) -> Answer {
    let desk = house.desk(NAME);
    let Some(job) = desk.jobs.of(key, id) else { return no_such_video(id) };
    if !job.stage(house.clock.now()).is_final() {
        let text = "Only completed or failed videos can be deleted.";
        return error(400, "invalid_request_error", "invalid_status", None, text);
    }
    desk.jobs.remove(id);
    Answer::json(200, json!({ "id": id, "object": "video.deleted", "deleted": true }))
}

/// What a webhook says: where to look, and not what is there.
pub(super) fn event(house: &House, job: &Job) -> Value {
    let failed = job.stage(house.clock.now()) != Stage::Succeeded;
    json!({
        "id": format!("evt_{}", job.id.trim_start_matches("video_")),
        "object": "event",
        "created_at": job.ends.timestamp(),
        "type": if failed { "video.failed" } else { "video.completed" },
        "data": { "id": job.id },
    })
}

fn video(house: &House, job: &Job) -> Value {
    let stage = job.stage(house.clock.now());
    let (status, progress) = match stage {
        Stage::Queued => ("queued", 0),
        Stage::Running(part) => ("in_progress", (part * 100.0) as u32),
        Stage::Succeeded => ("completed", 100),
        Stage::Moderated | Stage::Failed | Stage::Canceled { .. } | Stage::Expired { .. } => {
            ("failed", 0)
        }
    };
    let error = match stage {
        Stage::Moderated => json!({
            "code": "moderation_blocked",
            "message": "Your request was blocked by our moderation system.",
        }),
        _ if status == "failed" => json!({
            "code": "internal_error", "message": "The video could not be generated.",
        }),
        _ => Value::Null,
    };
    let done = stage == Stage::Succeeded;
    json!({
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": status,
        "progress": progress,
        "created_at": job.submitted.timestamp(),
        "completed_at": done.then(|| job.ends.timestamp()),
        "expires_at": done.then(|| (job.ends + KEPT).timestamp()),
        "error": error,
        "prompt": job.request["prompt"],
        "seconds": job.request["seconds"],
        "size": job.request["size"],
        "remixed_from_video_id": null,
    })
}

fn no_such_video(id: &str) -> Answer {
    let text = format!("Video with id '{id}' not found.");
    error(404, "invalid_request_error", "", None, &text)
}
