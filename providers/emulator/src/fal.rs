//! fal.ai (`spec/providers.md`, section 2): `queue` stands for queue.fal.run, `run` for fal.run
//! and `rest` for rest.fal.ai.
//!
//! Nothing is checked at a submit: wrong input shows up in the result, which is then the
//! model's own HTTP error.

mod input;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use url::Url;

use crate::call::{Answer, Call};
use crate::dice::Dice;
use crate::faults::{CallbackFault, Target};
use crate::house::{House, Order};
use crate::jobs::{Callback, Job, Moment, Stage};
use crate::settings::Provider;
use crate::wire::{Message, Refusal, Wire};

const NAME: Provider = Provider::Fal;
/// Who owns all jobs, in the headers of webhooks.
const USER: &str = "user_emulated";
/// What stands in front of owner and alias on some apps.
const NAMESPACES: [&str; 2] = ["workflows", "comfy"];
/// Of a call to fal.run: films take this long.
const INLINE_MAX: Duration = Duration::from_secs(1800);

pub(crate) struct Fal;

#[async_trait]
impl Wire for Fal {
    fn target(&self, call: &Call) -> Target {
        match (&call.method, call.segments().as_slice()) {
            (&Method::POST, ["queue" | "run", ..]) => Target::Submit,
            (&Method::PUT, ["queue", .., "cancel"]) => Target::Cancel,
            _ => Target::Read,
        }
    }

    fn key(&self, call: &Call) -> Result<String, Answer> {
        let key = call.credential("key").ok_or_else(no_user)?;
        match key.split_once(':') {
            Some((id, secret)) if !id.is_empty() && !secret.is_empty() => Ok(key.to_owned()),
            Some(_) | None => Err(detail(
                401,
                "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'.",
            )),
        }
    }

    fn is_open(&self, call: &Call) -> bool {
        call.segments() == ["rest", ".well-known", "jwks.json"]
    }

    fn refuse(&self, _house: &House, _call: &Call, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::RateLimited { .. } => detail(429, "Too many requests, please slow down"),
            Refusal::Broken => model_error(500, &["body"], "internal_server_error"),
            Refusal::Unauthorized => no_user(),
            Refusal::OutOfCredit => detail(
                403,
                "User is locked. Reason: Exhausted balance. Top up your balance at \
                 fal.ai/dashboard/billing.",
            ),
        }
    }

    async fn answer(&self, house: &Arc<House>, call: &Call, key: &str) -> Answer {
        let segments = call.segments();
        match (&call.method, segments.as_slice()) {
            (&Method::GET, ["rest", ".well-known", "jwks.json"]) => {
                Answer::json(200, house.fal_key.jwks())
            }
            (&Method::GET, ["queue", .., "requests", id]) => result(house, key, id).await,
            (&Method::GET, ["queue", .., "requests", id, "status"]) => status(house, key, id),
            (&Method::GET, ["queue", .., "requests", id, "status", "stream"]) => {
                stream(house, key, id).await
            }
            (&Method::PUT, ["queue", .., "requests", id, "cancel"]) => cancel(house, key, id),
            (&Method::POST, ["queue", app @ ..]) => submit(house, call, key, app).await,
            (&Method::POST, ["run", app @ ..]) => run(house, call, key, app).await,
            _ => detail(404, "Not found"),
        }
    }

    fn callback_body(&self, house: &House, job: &Job, _moment: Moment) -> Option<Value> {
        let mut body = json!({ "request_id": job.id, "gateway_request_id": job.id });
        match outcome::of(house, job) {
            Ok(output) => {
                body["status"] = json!("OK");
                body["payload"] = output;
            }
            Err((status, payload)) => {
                body["status"] = json!("ERROR");
                body["error"] = json!(format!("Unexpected status code: {status}"));
                body["payload"] = payload;
            }
        }
        Some(body)
    }

    fn callback_headers(
        &self,
        house: &House,
        job: &Job,
        message: &Message<'_>,
    ) -> Vec<(&'static str, String)> {
        let timestamp = message.at.timestamp();
        let signature = house.fal_key.sign(&job.id, USER, timestamp, message.body);
        vec![
            ("x-fal-webhook-request-id", job.id.clone()),
            ("x-fal-webhook-user-id", USER.to_owned()),
            ("x-fal-webhook-timestamp", timestamp.to_string()),
            ("x-fal-webhook-signature", signature),
        ]
    }

    fn callback_waits(&self) -> &'static [f64] {
        // Ten, spread over two hours.
        &[10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 2400.0]
    }
}

async fn submit(house: &Arc<House>, call: &Call, key: &str, app: &[&str]) -> Answer {
    let callback = match call.query("fal_webhook").map(Url::parse) {
        None => None,
        Some(Ok(url)) => Some(Callback {
            url,
            secret: None,
            moments: vec![Moment::Finished],
            fault: CallbackFault::None,
        }),
        Some(Err(_)) => return detail(400, "Invalid webhook URL"),
    };
    let order = match order(call, key, app, callback) {
        Ok(order) => order,
        Err(answer) => return answer,
    };
    let queue_max = call.query("fal_max_queue_length").and_then(|text| text.parse().ok());
    let desk = house.desk(NAME);
    let now = house.clock.now();
    let waiting = desk.meter.running(key, now);
    let room = desk.meter.limits().concurrency.unwrap_or(usize::MAX);
    if queue_max.is_some_and(|max: usize| waiting.saturating_sub(room) >= max) {
        return detail(429, "Queue is full");
    }
    let job = house.take_on(NAME, order, new_id).await;
    let mut body = json!({ "status": "IN_QUEUE" });
    add_urls(&mut body, &job);
    body["queue_position"] = json!(position(house, &job, now));
    Answer::json(200, body).with("x-fal-request-id", &job.id)
}

/// The whole run in one call.
async fn run(house: &Arc<House>, call: &Call, key: &str, app: &[&str]) -> Answer {
    let order = match order(call, key, app, None) {
        Ok(order) => order,
        Err(answer) => return answer,
    };
    let meter = &house.desk(NAME).meter;
    let room = meter.limits().concurrency.unwrap_or(usize::MAX);
    if meter.running(key, house.clock.now()) >= room {
        return detail(429, "Too many concurrent requests");
    }
    let job = house.take_on(NAME, order, new_id).await;
    let job = house.wait(NAME, job, INLINE_MAX).await;
    finished(house, &job).await
}

fn order(
    call: &Call,
    key: &str,
    app: &[&str],
    callback: Option<Callback>,
) -> Result<Order, Answer> {
    let model = app.join("/");
    let is_app = app.len() >= 2 && crate::input::makes(&model).is_some();
    if !is_app {
        return Err(detail(404, &format!("Application '{model}' not found")));
    }
    let Some(fields) = call.json() else {
        return Err(detail(422, "Invalid JSON"));
    };
    let start_within = call.header("x-fal-request-timeout").and_then(|text| text.parse().ok());
    let sketch = input::sketch(&model, &fields);
    Ok(Order {
        key: key.to_owned(),
        base: call.base.clone(),
        model,
        request: json!({ "input": fields, "start_within": start_within.unwrap_or(f64::MAX) }),
        sketch,
        callback,
        give_up: None,
    })
}

fn new_id(dice: &mut Dice, _now: DateTime<Utc>) -> String {
    dice.uuid().to_string()
}

fn status(house: &House, key: &str, id: &str) -> Answer {
    let Some(job) = house.desk(NAME).jobs.of(key, id) else {
        return detail(404, "Request not found");
    };
    let (status, body) = status_body(house, &job);
    Answer::json(status, body).with("x-fal-request-id", &job.id)
}

fn status_body(house: &House, job: &Job) -> (u16, Value) {
    let now = house.clock.now();
    let mut body = json!({});
    add_urls(&mut body, job);
    let status = match job.stage(now) {
        Stage::Queued => {
            body["status"] = json!("IN_QUEUE");
            body["queue_position"] = json!(position(house, job, now));
            202
        }
        Stage::Running(part) => {
            body["status"] = json!("IN_PROGRESS");
            body["logs"] = json!([{
                "timestamp": now.to_rfc3339(),
                "message": format!("{:.0}%", part * 100.0),
                "level": "INFO", "source": "USER", "labels": {},
            }]);
            202
        }
        Stage::Succeeded
        | Stage::Moderated
        | Stage::Failed
        | Stage::Canceled { .. }
        | Stage::Expired { .. } => {
            body["status"] = json!("COMPLETED");
            body["logs"] = json!([]);
            body["metrics"] = json!({ "inference_time": job.run_seconds() });
            if let Err((_, error)) = outcome::of(house, job) {
                let kind = &error["detail"][0]["type"];
                let kind = if kind.is_null() { &error["error_type"] } else { kind };
                body["error"] = error["detail"].clone();
                body["error_type"] = kind.clone();
            }
            200
        }
    };
    (status, body)
}

/// How many jobs of the key come before this one.
fn position(house: &House, job: &Job, now: DateTime<Utc>) -> usize {
    let desk = house.desk(NAME);
    let room = desk.meter.limits().concurrency.unwrap_or(usize::MAX);
    desk.meter.running(&job.key, now).saturating_sub(room.saturating_add(1))
}

/// The states until the end, as server-sent events.
async fn stream(house: &Arc<House>, key: &str, id: &str) -> Answer {
    let Some(job) = house.desk(NAME).jobs.of(key, id) else {
        return detail(404, "Request not found");
    };
    let (_, first) = status_body(house, &job);
    let job = house.wait(NAME, job, INLINE_MAX).await;
    let (_, last) = status_body(house, &job);
    let events = format!("data: {first}\n\ndata: {last}\n\n");
    Answer::bytes(200, "text/event-stream", Bytes::from(events))
}

async fn result(house: &Arc<House>, key: &str, id: &str) -> Answer {
    let Some(job) = house.desk(NAME).jobs.of(key, id) else {
        return detail(404, "Request not found");
    };
    if !job.stage(house.clock.now()).is_final() {
        let mut body = json!({ "detail": "Request is still in progress" });
        add_urls(&mut body, &job);
        return Answer::json(400, body).with("x-fal-request-id", &job.id);
    }
    finished(house, &job).await
}

/// The output of a job that is over, or its error.
async fn finished(house: &House, job: &Job) -> Answer {
    let answer = match outcome::of(house, job) {
        Ok(mut output) => {
            if job.request["input"]["sync_mode"] == true {
                outcome::inline_files(house, job, &mut output).await;
            }
            let units = job.sketch.seconds.unwrap_or(job.sketch.count as f32);
            Answer::json(200, output).with("x-fal-billable-units", units)
        }
        Err((status, body)) => {
            let kind = body["error_type"].as_str().map(str::to_owned);
            let answer = Answer::json(status, body);
            let answer = answer.with("x-fal-retryable", status >= 500);
            match kind {
                Some(kind) => answer.with("x-fal-error-type", kind),
                None => answer,
            }
        }
    };
    answer.with("x-fal-request-id", &job.id)
}

fn cancel(house: &House, key: &str, id: &str) -> Answer {
    let (desk, now) = (house.desk(NAME), house.clock.now());
    match desk.jobs.cancel(key, id, now) {
        Some((Stage::Queued, _)) => {
            desk.meter.stop(key, id, now);
            let status = house.settings.quirks.fal_cancel_status;
            Answer::json(status, json!({ "status": "OK" }))
        }
        Some((Stage::Running(_), _)) => {
            desk.meter.stop(key, id, now);
            Answer::json(202, json!({ "status": "CANCELLATION_REQUESTED" }))
        }
        Some(_) => Answer::json(400, json!({ "status": "ALREADY_COMPLETED" })),
        None => Answer::json(404, json!({ "status": "NOT_FOUND" })),
    }
}

/// The sub-path of the app is not part of these URLs.
fn add_urls(body: &mut Value, job: &Job) {
    let is_namespaced = NAMESPACES.iter().any(|name| job.model.starts_with(&format!("{name}/")));
    let parts = job.model.split('/').take(if is_namespaced { 3 } else { 2 });
    let app = parts.collect::<Vec<_>>().join("/");
    let url = format!("{}/queue/{app}/requests/{}", job.base, job.id);
    body["request_id"] = json!(job.id);
    body["status_url"] = json!(format!("{url}/status"));
    body["cancel_url"] = json!(format!("{url}/cancel"));
    body["response_url"] = json!(url);
}

fn detail(status: u16, text: &str) -> Answer {
    Answer::json(status, json!({ "detail": text }))
}

fn no_user() -> Answer {
    detail(401, "No user found for Key ID and Secret")
}

fn model_error(status: u16, place: &[&str], kind: &str) -> Answer {
    let error = error_at(place, "Internal server error", kind);
    Answer::json(status, json!({ "detail": [error] })).with("x-fal-retryable", true)
}

fn error_at(place: &[&str], text: &str, kind: &str) -> Value {
    let url = format!("https://docs.fal.ai/errors#{kind}");
    json!({ "loc": place, "msg": text, "type": kind, "url": url })
}
