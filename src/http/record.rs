//! The generation record of `spec/contract.md` 7.4.
//!
//! Pure, and in one piece: field order, nullability and presence by state are the contract.

use std::time::Duration;

use actors::generation::{Generation, State};
use chrono::{DateTime, Utc};
use providers::MediaKind;
use serde_json::{Map, Value, json};

use super::envelope::timestamp;
use crate::decimal::seconds;

/// The record. `files` are the URLs of its outputs. `has_last_frame` says whether the model can be
/// given a closing picture: its field is then shown even when it was not.
pub(super) fn record(generation: &Generation, files: &[String], has_last_frame: bool) -> Value {
    let mut record = Map::new();
    identity(generation, &mut record);
    inputs(generation, has_last_frame, &mut record);
    // Null while there are none, and when they are gone (`spec/contract.md` B.3).
    let files = (!files.is_empty()).then_some(files);
    put(&mut record, "generation_output_file", json!(files));
    timing(generation, &mut record);
    video(generation, &mut record);
    if let State::Failed { failure, .. } = generation.state() {
        put(&mut record, "generation_error", json!(failure.message));
        put(&mut record, "generation_error_code", json!(failure.code.wire_code()));
    }
    if generation.files_removed_at().is_some() {
        put(&mut record, "generation_removed", json!(true));
    }
    Value::Object(record)
}

fn put(record: &mut Map<String, Value>, field: &str, value: Value) {
    record.insert(field.to_owned(), value);
}

fn identity(generation: &Generation, record: &mut Map<String, Value>) {
    let used = generation.provider_used().map(|name| name.as_str());
    put(record, "account_id", json!(generation.account_id));
    put(record, "generation_id", json!(generation.id));
    put(record, "model_identifier", json!(generation.model));
    put(record, "generation_provider_order", provider_order(generation));
    put(record, "generation_provider_used", json!(used));
    put(record, "generation_prediction_id", json!(generation.job().map(|job| &job.0)));
    put(record, "generation_status", json!(generation.status().as_str()));
}

/// The order in which providers are tried, as an array.
pub(super) fn provider_order(generation: &Generation) -> Value {
    generation.input.provider_order.iter().map(|name| name.as_str()).collect()
}

fn inputs(generation: &Generation, has_last_frame: bool, record: &mut Map<String, Value>) {
    let input = &generation.input;
    let files = (!input.input_files.is_empty()).then_some(&input.input_files);
    put(record, "generation_prompt", json!(input.prompt));
    put(record, "generation_ratio", json!(input.ratio));
    put(record, "generation_output_format", json!(input.format.as_str()));
    put(record, "generation_output_number", json!(input.count));
    put(record, "generation_input_file", json!(files));
    if has_last_frame || input.last_frame.is_some() {
        put(record, "generation_input_file_last_content", json!(input.last_frame));
    }
    for (field, value) in &input.options {
        put(record, field, value.clone());
    }
}

fn timing(generation: &Generation, record: &mut Map<String, Value>) {
    let (started, completed) = (generation.started_at(), generation.completed_at());
    put(record, "generation_created_at", json!(timestamp(generation.created_at)));
    put(record, "generation_started_at", json!(started.map(timestamp)));
    put(record, "generation_completed_at", json!(completed.map(timestamp)));
    let (total, predict) = metrics(generation);
    put(record, "generation_metrics_total_time", json!(total));
    put(record, "generation_metrics_predict_time", json!(predict));
}

/// Seconds in all and at the provider; what was canceled has neither (`spec/contract.md` B.3).
fn metrics(generation: &Generation) -> (Option<f64>, Option<f64>) {
    let created = generation.created_at;
    match generation.state() {
        State::Pending | State::Processing { .. } | State::Canceled { .. } => (None, None),
        State::Succeeded { started_at, completed_at, predict_time, .. } => {
            let predict = predict_time.map(duration_seconds);
            let predict = predict.unwrap_or_else(|| between(*started_at, *completed_at));
            (Some(between(created, *completed_at)), Some(predict))
        }
        State::Failed { started_at, completed_at, .. } => {
            let predict = started_at.map(|started_at| between(started_at, *completed_at));
            (Some(between(created, *completed_at)), predict)
        }
    }
}

fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    let passed = (to - from).num_milliseconds().max(0);
    passed as f64 / 1000.0
}

fn duration_seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

fn video(generation: &Generation, record: &mut Map<String, Value>) {
    let input = &generation.input;
    match (generation.media, input.duration_ms) {
        (MediaKind::Video, Some(ms)) => put(record, "generation_duration", seconds(ms)),
        (MediaKind::Video, None) | (MediaKind::Image, _) => {}
    }
    if let Some(resolution) = &input.resolution {
        put(record, "generation_resolution", json!(resolution));
    }
    if let Some(audio) = input.audio {
        put(record, "generation_generate_audio", json!(audio));
        put(record, "generation_audio_mode", json!(if audio { "audio" } else { "noaudio" }));
    }
}

#[cfg(test)]
mod tests;
