//! What a job on fal came to, as its result and its webhook show it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use providers::OutputFormat;
use serde_json::{Value, json};

use super::{NAME, error_at, input};
use crate::house::House;
use crate::jobs::{Job, Stage};
use crate::media;

/// Files are public and stay.
const KEPT: TimeDelta = TimeDelta::days(7);

/// What a job that is over came to: its output, or a status and an error.
pub(super) fn of(house: &House, job: &Job) -> Result<Value, (u16, Value)> {
    let fields = &job.request["input"];
    let waited = (job.starts - job.submitted).as_seconds_f64();
    if waited > job.request["start_within"].as_f64().unwrap_or(f64::MAX) {
        let body = json!({ "detail": "Request timed out", "error_type": "request_timeout" });
        return Err((504, body));
    }
    if let Some(problems) = input::problems(&job.model, fields) {
        return Err((422, json!({ "detail": problems })));
    }
    match job.stage(house.clock.now()) {
        Stage::Canceled { .. } | Stage::Expired { .. } => {
            let body = json!({ "detail": "Request was cancelled", "error_type": "cancelled" });
            Err((400, body))
        }
        Stage::Failed => {
            let error = error_at(&["body"], "Internal server error", "internal_server_error");
            Err((500, json!({ "detail": [error] })))
        }
        // These models answer with a black picture instead of an error.
        Stage::Moderated if job.model.starts_with("fal-ai/flux") => Ok(output(house, job, true)),
        Stage::Moderated => {
            let text = "The content could not be processed because it contained material \
                flagged by a content checker.";
            let error = error_at(&["body", "prompt"], text, "content_policy_violation");
            Err((422, json!({ "detail": [error] })))
        }
        Stage::Queued | Stage::Running(_) | Stage::Succeeded => Ok(output(house, job, false)),
    }
}

fn output(house: &House, job: &Job, is_black: bool) -> Value {
    let sketch = &job.sketch;
    let urls = media::urls(house, NAME, job, media::expiry(job, KEPT));
    let file = |(index, url): (usize, &String)| {
        json!({
            "url": url,
            "content_type": sketch.format.content_type(),
            "file_name": format!("{index}.{}", sketch.format.as_str()),
            "file_size": null,
            "width": sketch.size.0,
            "height": sketch.size.1,
        })
    };
    let files: Vec<Value> = urls.iter().enumerate().map(file).collect();
    if sketch.format == OutputFormat::Mp4 {
        return json!({ "video": files.first(), "seed": sketch.seed });
    }
    if job.model.contains("banana") {
        return json!({ "images": files, "description": "" });
    }
    json!({
        "images": files,
        "timings": { "inference": job.run_seconds() },
        "seed": sketch.seed,
        "has_nsfw_concepts": vec![is_black; files.len()],
        "prompt": sketch.prompt,
    })
}

/// Puts the files themselves where their URLs are.
pub(super) async fn inline_files(house: &House, job: &Job, output: &mut Value) {
    let Some(files) = output["images"].as_array_mut() else { return };
    for (index, file) in (0..).zip(files) {
        if let Some(bytes) = house.studio.draw(NAME, job, index).await {
            let kind = job.sketch.format.content_type();
            file["url"] = json!(format!("data:{kind};base64,{}", STANDARD.encode(bytes)));
        }
    }
}
