//! Replicate (`spec/providers.md`, section 1).

mod input;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use providers::MediaKind;
use serde_json::{Map, Value, json};
use url::Url;

use crate::call::{Answer, Call};
use crate::faults::{CallbackFault, Target};
use crate::house::{House, Order};
use crate::input::{given, makes, text};
use crate::jobs::{Callback, Job, Moment, Stage};
use crate::limits::whole_seconds;
use crate::media;
use crate::settings::Provider;
use crate::wire::{Message, Refusal, Wire};

const NAME: Provider = Provider::Replicate;
/// Of the ids.
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz234567";
/// After this, outputs and inputs are gone.
const KEPT: TimeDelta = TimeDelta::hours(1);
/// A page of the list.
const PAGE: usize = 100;
const WAIT_MAX: u64 = 60;

pub(crate) struct Replicate;

#[async_trait]
impl Wire for Replicate {
    fn target(&self, call: &Call) -> Target {
        match (&call.method, call.segments().as_slice()) {
            (&Method::POST, [.., "cancel"]) => Target::Cancel,
            (&Method::POST, [.., "predictions"]) => Target::Submit,
            _ => Target::Read,
        }
    }

    fn key(&self, call: &Call) -> Result<String, Answer> {
        let key = call.credential("bearer").or_else(|| call.credential("token"));
        key.map(str::to_owned).ok_or_else(unauthenticated)
    }

    fn refuse(&self, house: &House, _call: &Call, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::RateLimited { wait_seconds } => {
                let seconds = whole_seconds(wait_seconds);
                let detail =
                    format!("Request was throttled. Your rate limit resets in ~{seconds}s.");
                let body = json!({ "detail": detail, "status": 429, "retry_after": seconds });
                let answer = Answer::json(429, body);
                if house.settings.quirks.replicate_retry_after {
                    answer.with("retry-after", seconds)
                } else {
                    answer
                }
            }
            Refusal::Broken => problem(500, "Internal server error", "Internal server error."),
            Refusal::Unauthorized => unauthenticated(),
            Refusal::OutOfCredit => problem(
                402,
                "Insufficient credit",
                "You have insufficient credit to run this model. Go to \
                 https://replicate.com/account/billing to purchase credit.",
            ),
        }
    }

    async fn answer(&self, house: &Arc<House>, call: &Call, key: &str) -> Answer {
        let desk = house.desk(NAME);
        match (&call.method, call.segments().as_slice()) {
            (&Method::POST, ["v1", "predictions"]) => match version_of(call) {
                Ok((model, version)) => create(house, call, key, model, version).await,
                Err(answer) => answer,
            },
            (&Method::POST, ["v1", "models", owner, name, "predictions"]) => {
                create(house, call, key, format!("{owner}/{name}"), "hidden".to_owned()).await
            }
            (&Method::POST, ["v1", "deployments", owner, name, "predictions"]) => {
                create(house, call, key, format!("{owner}/{name}"), "hidden".to_owned()).await
            }
            (&Method::GET, ["v1", "predictions"]) => list(house, call, key),
            (&Method::GET, ["v1", "predictions", id]) => match desk.jobs.of(key, id) {
                Some(job) => Answer::json(200, prediction(house, &job)),
                None => not_found(),
            },
            (&Method::POST, ["v1", "predictions", id, "cancel"]) => {
                match desk.jobs.cancel(key, id, house.clock.now()) {
                    Some((_, job)) => {
                        desk.meter.stop(key, id, house.clock.now());
                        Answer::json(200, prediction(house, &job))
                    }
                    None => not_found(),
                }
            }
            (&Method::GET, ["v1", "webhooks", "default", "secret"]) => {
                Answer::json(200, json!({ "key": house.webhook_secret.expose() }))
            }
            (&Method::GET, ["v1", "account"]) => Answer::json(
                200,
                json!({
                    "type": "organization", "username": "emulated", "name": "Emulated",
                    "github_url": null,
                }),
            ),
            _ => not_found(),
        }
    }

    fn callback_body(&self, house: &House, job: &Job, moment: Moment) -> Option<Value> {
        let now = house.clock.now();
        let mut body = prediction(house, job);
        match moment {
            Moment::Accepted => return None,
            Moment::Started => body["status"] = json!("processing"),
            // Only a job that came to something has an output before its end.
            Moment::Output if job.stage(now) != Stage::Succeeded => return None,
            Moment::Output => {
                body["status"] = json!("processing");
                body["completed_at"] = Value::Null;
            }
            Moment::Finished => {}
        }
        Some(body)
    }

    fn callback_headers(
        &self,
        house: &House,
        _job: &Job,
        message: &Message<'_>,
    ) -> Vec<(&'static str, String)> {
        let timestamp = message.at.timestamp();
        let signature = house.webhook_secret.sign(message.id, timestamp, message.body);
        vec![
            ("webhook-id", message.id.to_owned()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ]
    }

    fn callback_waits(&self) -> &'static [f64] {
        // The last one about a minute after the end.
        &[1.0, 4.0, 15.0, 40.0]
    }
}

async fn create(
    house: &Arc<House>,
    call: &Call,
    key: &str,
    model: String,
    version: String,
) -> Answer {
    let Some(kind) = makes(&model).or((version != "hidden").then_some(MediaKind::Image)) else {
        return not_found();
    };
    let Some(body) = call.json() else {
        return problem(400, "Bad request", "The request body is not valid JSON.");
    };
    let Some(Value::Object(fields)) = body.get("input") else {
        return invalid(&[problem_field("input", "required", "input is required")]);
    };
    let sketch = match input::sketch(&model, kind, fields) {
        Ok(sketch) => sketch,
        Err(fields) => return invalid(&fields),
    };
    let callback = match callback(&body) {
        Ok(callback) => callback,
        Err(field) => return invalid(&[field]),
    };
    let request = json!({ "input": fields, "version": version });
    let order = Order {
        key: key.to_owned(),
        base: call.base.clone(),
        model,
        request,
        sketch,
        callback,
        give_up: call.header("cancel-after").and_then(seconds_of),
    };
    let job = house.take_on(NAME, order, |dice, _| dice.text(26, ALPHABET)).await;
    let Some(wait) = wait_of(call) else {
        return Answer::json(201, prediction(house, &job));
    };
    let job = house.wait(NAME, job, wait).await;
    let status = if job.stage(house.clock.now()).is_final() { 201 } else { 202 };
    Answer::json(status, prediction(house, &job))
}

/// The model and version that a body of `POST /predictions` names.
fn version_of(call: &Call) -> Result<(String, String), Answer> {
    let body = call.json().unwrap_or_default();
    let Some(version) = text(&body, "version") else {
        return Err(invalid(&[problem_field("version", "required", "version is required")]));
    };
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hash(version) {
        return Ok(("emulated/unnamed".to_owned(), version.to_owned()));
    }
    let (model, hash) = version.split_once(':').unwrap_or((version, ""));
    let hash_fits = hash.is_empty() || is_hash(hash);
    if model.split('/').count() != 2 || makes(model).is_none() || !hash_fits {
        return Err(problem(
            422,
            "Invalid version or not permitted",
            "The specified version does not exist (or perhaps you don't have permission to use it?)",
        ));
    }
    let version = if hash.is_empty() { "hidden" } else { hash };
    Ok((model.to_owned(), version.to_owned()))
}

/// Whom to call, if anybody.
fn callback(body: &Map<String, Value>) -> Result<Option<Callback>, Value> {
    let Some(url) = text(body, "webhook") else { return Ok(None) };
    let Ok(url) = Url::parse(url) else {
        return Err(problem_field("webhook", "format", "Does not match format 'uri'"));
    };
    let mut moments = Vec::new();
    match given(body, "webhook_events_filter").map(Value::as_array) {
        None => moments = vec![Moment::Output, Moment::Finished],
        Some(events) => {
            for event in events.into_iter().flatten() {
                match event.as_str() {
                    Some("start") => moments.push(Moment::Started),
                    Some("output") => moments.push(Moment::Output),
                    Some("completed") => moments.push(Moment::Finished),
                    // These models write no log worth a call.
                    Some("logs") => {}
                    Some(_) | None => {
                        let text = "Must be one of start, output, logs, completed";
                        return Err(problem_field("webhook_events_filter", "enum", text));
                    }
                }
            }
        }
    }
    Ok(Some(Callback { url, secret: None, moments, fault: CallbackFault::None }))
}

/// How long a submit wants to wait.
fn wait_of(call: &Call) -> Option<Duration> {
    let prefer = call.header("prefer")?;
    let seconds = match prefer.strip_prefix("wait")? {
        "" => WAIT_MAX,
        rest => rest.strip_prefix('=')?.parse().ok().filter(|s| (1..=WAIT_MAX).contains(s))?,
    };
    Some(Duration::from_secs(seconds))
}

/// Seconds of `30`, `30s`, `5m` or `1h30m45s`; at least 5.
fn seconds_of(text: &str) -> Option<f64> {
    let (mut total, mut number) = (0.0, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'h' => 3600.0,
            'm' => 60.0,
            's' => 1.0,
            _ => return None,
        };
        total += unit * number.parse::<f64>().ok()?;
        number.clear();
    }
    if !number.is_empty() {
        total += number.parse::<f64>().ok()?;
    }
    (total >= 5.0).then_some(total)
}

fn list(house: &House, call: &Call, key: &str) -> Answer {
    let time = |name: &str| call.query(name).and_then(|text| text.parse::<DateTime<Utc>>().ok());
    let (after, before) = (time("created_after"), time("created_before"));
    let skip: usize = call.query("cursor").and_then(|text| text.parse().ok()).unwrap_or(0);
    let fits = |job: &Job| {
        job.key == key
            && after.is_none_or(|after| job.submitted >= after)
            && before.is_none_or(|before| job.submitted < before)
    };
    let mut jobs = house.desk(NAME).jobs.select(skip.saturating_add(PAGE + 1), fits);
    jobs.drain(..skip.min(jobs.len()));
    let url = |skip: usize| format!("{}/v1/predictions?cursor={skip}", call.base);
    let next = (jobs.len() > PAGE).then(|| url(skip + PAGE));
    let previous = (skip > 0).then(|| url(skip.saturating_sub(PAGE)));
    let results: Vec<Value> = jobs.iter().take(PAGE).map(|job| prediction(house, job)).collect();
    Answer::json(200, json!({ "previous": previous, "next": next, "results": results }))
}

/// The prediction object, as every route and webhook shows it.
fn prediction(house: &House, job: &Job) -> Value {
    let now = house.clock.now();
    let stage = job.stage(now);
    let ended = job.ended(now);
    let removed = ended.is_some_and(|ended| now - ended >= KEPT);
    let (status, error) = match stage {
        Stage::Queued => ("starting", None),
        Stage::Running(_) => ("processing", None),
        Stage::Succeeded => ("succeeded", None),
        Stage::Moderated => (
            "failed",
            Some("NSFW content detected. Try running it again, or try a different prompt."),
        ),
        Stage::Failed => ("failed", Some("Prediction failed for an unknown reason. (E1000)")),
        Stage::Canceled { .. } | Stage::Expired { started: true } => ("canceled", None),
        Stage::Expired { started: false } => ("aborted", None),
    };
    let output = match stage {
        Stage::Succeeded if !removed => output(house, job),
        _ => Value::Null,
    };
    let started = (job.starts <= ended.unwrap_or(now)).then(|| time(job.starts));
    let metrics = match (stage, ended) {
        (Stage::Succeeded, Some(ended)) => json!({
            "predict_time": job.run_seconds(),
            "total_time": (ended - job.submitted).as_seconds_f64(),
        }),
        _ => json!({}),
    };
    let (id, base) = (&job.id, &job.base);
    json!({
        "id": id,
        "model": job.model,
        "version": job.request["version"],
        "input": if removed { json!({}) } else { job.request["input"].clone() },
        "logs": if removed { String::new() } else { logs(stage) },
        "output": output,
        "data_removed": removed,
        "error": error,
        "status": status,
        "source": "api",
        "created_at": time(job.submitted),
        "started_at": started,
        "completed_at": ended.map(time),
        "metrics": metrics,
        "urls": {
            "get": format!("{base}/v1/predictions/{id}"),
            "cancel": format!("{base}/v1/predictions/{id}/cancel"),
            "web": format!("https://replicate.com/p/{id}"),
            "stream": format!("{base}/v1/files/{id}"),
        },
    })
}

/// One URL or several, as the model has it.
fn output(house: &House, job: &Job) -> Value {
    let urls = media::urls(house, NAME, job, media::expiry(job, KEPT));
    let single = job.sketch.seconds.is_some() || job.model == "google/nano-banana";
    match urls.as_slice() {
        [only] if single => json!(only),
        urls => json!(urls),
    }
}

/// Progress is told in the log alone, as tqdm prints it.
fn logs(stage: Stage) -> String {
    match stage {
        Stage::Queued | Stage::Canceled { started: false } | Stage::Expired { started: false } => {
            String::new()
        }
        Stage::Running(part) => format!("{:3.0}%|", part * 100.0),
        Stage::Succeeded | Stage::Moderated => "100%|██████████|".to_owned(),
        Stage::Failed | Stage::Canceled { started: true } | Stage::Expired { started: true } => {
            "  0%|".to_owned()
        }
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn problem(status: u16, title: &str, detail: &str) -> Answer {
    Answer::json(status, json!({ "title": title, "detail": detail, "status": status }))
        .with("content-type", "application/problem+json")
}

fn unauthenticated() -> Answer {
    problem(401, "Unauthenticated", "You did not pass a valid authentication token")
}

fn not_found() -> Answer {
    problem(404, "Not found", "Not found.")
}

fn problem_field(field: &str, kind: &str, description: &str) -> Value {
    json!({ "type": kind, "field": field, "description": description })
}

fn invalid(fields: &[Value]) -> Answer {
    let line = |field: &Value| {
        let part = |name: &str| field[name].as_str().unwrap_or_default().to_owned();
        format!("- {}: {}\n", part("field"), part("description"))
    };
    let detail: String = fields.iter().map(line).collect();
    let body = json!({
        "title": "Input validation failed", "detail": detail, "status": 422,
        "invalid_fields": fields,
    });
    Answer::json(422, body).with("content-type", "application/problem+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_as_documented() {
        for (text, seconds) in [
            ("30", Some(30.0)),
            ("30s", Some(30.0)),
            ("5m", Some(300.0)),
            ("1h30m45s", Some(5445.0)),
            ("4s", None),
            ("soon", None),
        ] {
            assert_eq!(seconds_of(text), seconds, "{text}");
        }
    }
}
