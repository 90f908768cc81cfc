//! Alibaba Model Studio, DashScope (`spec/providers.md`, section 7).

mod request;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use self::request::{Api, Shape};
use crate::call::{Answer, Call};
use crate::dice::Dice;
use crate::faults::Target;
use crate::house::{House, Order};
use crate::jobs::{Job, LISTED_MAX, Stage};
use crate::media;
use crate::settings::Provider;
use crate::wire::{Refusal, Wire};

const NAME: Provider = Provider::AlibabaCloud;
/// Of tasks and of their files.
const KEPT: TimeDelta = TimeDelta::hours(24);
const INLINE_MAX: Duration = Duration::from_secs(298);

pub(crate) struct AlibabaCloud;

#[async_trait]
impl Wire for AlibabaCloud {
    fn target(&self, call: &Call) -> Target {
        match (&call.method, call.segments().as_slice()) {
            (&Method::POST, [.., "cancel"]) => Target::Cancel,
            (&Method::POST, _) => Target::Submit,
            _ => Target::Read,
        }
    }

    fn key(&self, call: &Call) -> Result<String, Answer> {
        match call.credential("bearer") {
            Some(key) if key.starts_with("sk-") => Ok(key.to_owned()),
            Some(_) | None => Err(wrong_key()),
        }
    }

    fn refuse(&self, _house: &House, _call: &Call, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::RateLimited { .. } => {
                let text = "Requests rate limit exceeded, please try again later.";
                error(429, "Throttling.RateQuota", text)
            }
            Refusal::Broken => error(
                500,
                "InternalError",
                "An internal error has occured, please try again later.",
            ),
            Refusal::Unauthorized => wrong_key(),
            Refusal::OutOfCredit => {
                let text = "Access denied, please make sure your account is in good standing.";
                error(400, "Arrearage", text)
            }
        }
    }

    async fn answer(&self, house: &Arc<House>, call: &Call, key: &str) -> Answer {
        let start = house.clock.now();
        let answer = match (&call.method, call.segments().as_slice()) {
            (&Method::POST, ["api", "v1", "services", "aigc", task, function]) => {
                match Api::of(task, function) {
                    Some(api) => submit(house, call, key, api).await,
                    None => error(400, "InvalidParameter", "url error, please check url!"),
                }
            }
            (&Method::GET, ["api", "v1", "tasks"]) => list(house, call, key),
            (&Method::GET, ["api", "v1", "tasks", id]) => Answer::json(200, task(house, key, id)),
            (&Method::POST, ["api", "v1", "tasks", id, "cancel"]) => cancel(house, key, id),
            _ => error(404, "NotFound", "The requested resource does not exist."),
        };
        dressed(house, answer, start)
    }
}

/// With the id of the request, in the body and beside it.
fn dressed(house: &House, mut answer: Answer, start: DateTime<Utc>) -> Answer {
    let nth = house.desk(NAME).count_call();
    let request = Dice::of(house.seed, "alibabacloud/request", nth).uuid().to_string();
    if let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&answer.body) {
        body.insert("request_id".to_owned(), json!(request));
        answer.body = Value::Object(body).to_string().into();
    }
    let spent = (house.clock.now() - start).num_milliseconds();
    answer
        .with("x-request-id", request)
        .with("req-cost-time", spent)
        .with("req-arrive-time", start.timestamp_millis())
        .with("x-dashscope-call-gateway", "true")
        .with("x-dashscope-timeout", 298)
        .with("server", "istio-envoy")
}

async fn submit(house: &Arc<House>, call: &Call, key: &str, api: Api) -> Answer {
    let is_async = call.header("x-dashscope-async") == Some("enable");
    let Some(body) = call.json() else {
        return error(
            400,
            "InvalidParameter",
            "Required body invalid, please check the request body format.",
        );
    };
    let request = match request::read(api, &body) {
        Ok(request) => request,
        Err((code, text)) => return error(400, code, &text),
    };
    match (api.is_inline(), is_async) {
        (false, false) => {
            let text = "current user api does not support synchronous calls.";
            return error(403, "AccessDenied", text);
        }
        (true, true) => {
            let text = "current user api does not support asynchronous calls.";
            return error(403, "AccessDenied", text);
        }
        (true, false) | (false, true) => {}
    }
    let order = Order {
        key: key.to_owned(),
        base: call.base.clone(),
        model: request.model,
        request: json!({ "shape": request.shape.as_str(), "problem": request.problem }),
        sketch: request.sketch,
        callback: None,
        give_up: None,
    };
    let job = house.take_on(NAME, order, |dice, _| dice.uuid().to_string()).await;
    if !api.is_inline() {
        let output = json!({ "task_status": "PENDING", "task_id": job.id });
        return Answer::json(200, json!({ "output": output }));
    }
    let job = house.wait(NAME, job, INLINE_MAX).await;
    if let Some((code, text)) = failure(house, &job) {
        let status = if code.starts_with("InternalError") { 500 } else { 400 };
        return error(status, &code, &text);
    }
    let (width, height) = job.sketch.size;
    let usage = json!({ "height": height, "image_count": job.sketch.count, "width": width });
    let mut output = choices(house, &job);
    output["task_metric"] = metrics(&job, job.sketch.count);
    Answer::json(200, json!({ "output": output, "usage": usage }))
}

/// Why a job that is over came to nothing.
fn failure(house: &House, job: &Job) -> Option<(String, String)> {
    if let Some(problem) = job.request["problem"].as_str() {
        return Some(("InvalidParameter".to_owned(), problem.to_owned()));
    }
    match job.stage(house.clock.now()) {
        Stage::Moderated => Some((
            "DataInspectionFailed".to_owned(),
            "Input data may contain inappropriate content.".to_owned(),
        )),
        Stage::Failed => Some((
            "InternalError.Algo".to_owned(),
            "An internal error has occured during execution, try again later.".to_owned(),
        )),
        Stage::Queued
        | Stage::Running(_)
        | Stage::Succeeded
        | Stage::Canceled { .. }
        | Stage::Expired { .. } => None,
    }
}

/// The task of an id; what is not known is no error.
fn task(house: &House, key: &str, id: &str) -> Value {
    let now = house.clock.now();
    let job = house.desk(NAME).jobs.of(key, id).filter(|job| now - job.submitted < KEPT);
    let Some(job) = job else {
        return json!({ "output": { "task_id": id, "task_status": "UNKNOWN" } });
    };
    let stage = job.stage(now);
    let mut output = json!({
        "task_id": id, "task_status": status(house, &job), "submit_time": local(job.submitted),
    });
    if job.starts <= now {
        output["scheduled_time"] = json!(local(job.starts));
    }
    if let Some(ended) = job.ended(now) {
        output["end_time"] = json!(local(ended));
    }
    let mut usage = None;
    match (stage.is_final(), failure(house, &job)) {
        (true, Some((code, message))) => {
            output["code"] = json!(code);
            output["message"] = json!(message);
            output["task_metrics"] = metrics(&job, 0);
        }
        (true, None) if stage == Stage::Succeeded => {
            usage = Some(add_results(house, &job, &mut output))
        }
        _ => output["task_metrics"] = metrics(&job, 0),
    }
    match usage {
        Some(usage) => json!({ "output": output, "usage": usage }),
        None => json!({ "output": output }),
    }
}

fn status(house: &House, job: &Job) -> &'static str {
    let stage = job.stage(house.clock.now());
    match stage {
        Stage::Queued => "PENDING",
        Stage::Running(_) => "RUNNING",
        Stage::Canceled { .. } | Stage::Expired { .. } => "CANCELED",
        Stage::Succeeded | Stage::Moderated | Stage::Failed => {
            if failure(house, job).is_some() {
                "FAILED"
            } else {
                "SUCCEEDED"
            }
        }
    }
}

/// Adds what came out, and says what it is counted as.
fn add_results(house: &House, job: &Job, output: &mut Value) -> Value {
    let urls = media::urls(house, NAME, job, media::expiry(job, KEPT));
    let (prompt, count) = (&job.sketch.prompt, job.sketch.count);
    let (width, height) = job.sketch.size;
    match job.request["shape"].as_str().map(Shape::parse) {
        Some(Shape::Film) => {
            output["video_url"] = json!(urls.first());
            output["orig_prompt"] = json!(prompt);
            output["actual_prompt"] = json!(prompt);
            let seconds = job.sketch.seconds.unwrap_or(5.0) as u32;
            json!({
                "video_count": 1, "video_duration": seconds,
                "video_ratio": format!("{width}*{height}"),
            })
        }
        Some(Shape::Choices) => {
            output["choices"] = choices(house, job)["choices"].clone();
            output["task_metrics"] = metrics(job, count);
            json!({ "image_count": count, "width": width, "height": height })
        }
        Some(Shape::Results) | None => {
            let result = |url: &String| json!({ "url": url, "orig_prompt": prompt, "actual_prompt": prompt });
            output["results"] = urls.iter().map(result).collect();
            output["task_metrics"] = metrics(job, count);
            json!({ "image_count": count })
        }
    }
}

fn choices(house: &House, job: &Job) -> Value {
    let urls = media::urls(house, NAME, job, media::expiry(job, KEPT));
    let choice = |url: &String| {
        json!({
            "finish_reason": "stop",
            "message": { "role": "assistant", "content": [{ "image": url }] },
        })
    };
    json!({ "choices": urls.iter().map(choice).collect::<Vec<_>>() })
}

fn metrics(job: &Job, succeeded: u32) -> Value {
    json!({ "TOTAL": job.sketch.count, "SUCCEEDED": succeeded, "FAILED": 0 })
}

/// Only what waits can be canceled.
fn cancel(house: &House, key: &str, id: &str) -> Answer {
    let (desk, now) = (house.desk(NAME), house.clock.now());
    let waits = desk.jobs.of(key, id).is_some_and(|job| job.stage(now) == Stage::Queued);
    if !waits {
        let text = "Failed to cancel the task, please confirm if the task is in PENDING status.";
        return error(400, "UnsupportedOperation", text);
    }
    desk.jobs.cancel(key, id, now);
    desk.meter.stop(key, id, now);
    Answer::json(200, json!({}))
}

fn list(house: &House, call: &Call, key: &str) -> Answer {
    let number = |name: &str, usual: usize| {
        call.query(name).and_then(|text| text.parse().ok()).unwrap_or(usual).max(1)
    };
    let (page, size) = (number("page_no", 1), number("page_size", 10));
    let (now, millis) = (house.clock.now(), |at: DateTime<Utc>| at.timestamp_millis());
    let fits = |job: &Job| {
        job.key == key
            && now - job.submitted < KEPT
            && call.query("model_name").is_none_or(|model| job.model == model)
            && call.query("status").is_none_or(|wanted| status(house, job) == wanted)
    };
    let jobs = house.desk(NAME).jobs.select(LISTED_MAX, fits);
    let tasks: Vec<Value> = jobs
        .into_iter()
        .map(|job| {
            json!({
                "task_id": job.id, "status": status(house, &job), "model_name": job.model,
                "gmt_create": millis(job.submitted), "start_time": millis(job.starts),
                "end_time": job.ended(now).map(millis), "region": "ap-southeast-1",
            })
        })
        .collect();
    let total = tasks.len();
    let data: Vec<Value> = tasks.into_iter().skip((page - 1) * size).take(size).collect();
    Answer::json(
        200,
        json!({
            "total": total, "data": data, "total_page": total.div_ceil(size), "page_no": page,
            "page_size": size,
        }),
    )
}

/// The time in Singapore, without saying so.
fn local(at: DateTime<Utc>) -> String {
    (at + TimeDelta::hours(8)).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

fn error(status: u16, code: &str, text: &str) -> Answer {
    Answer::json(status, json!({ "code": code, "message": text }))
}

fn wrong_key() -> Answer {
    error(401, "InvalidApiKey", "Invalid API-key provided.")
}
