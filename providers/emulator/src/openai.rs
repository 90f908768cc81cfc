//! OpenAI (`spec/providers.md`, section 4): pictures inline, films as jobs.

mod images;
mod videos;

use std::sync::Arc;

use actix_web::http::Method;
use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::call::{Answer, Call};
use crate::faults::Target;
use crate::house::House;
use crate::jobs::{Job, Moment};
use crate::limits::whole_seconds;
use crate::settings::Provider;
use crate::wire::{Message, Refusal, Wire};
use crate::{dice::Dice, multipart};

const NAME: Provider = Provider::OpenAi;

pub(crate) struct OpenAi;

#[async_trait]
impl Wire for OpenAi {
    fn target(&self, call: &Call) -> Target {
        match (&call.method, call.segments().as_slice()) {
            (&Method::POST, _) => Target::Submit,
            (&Method::DELETE, _) => Target::Cancel,
            _ => Target::Read,
        }
    }

    fn key(&self, call: &Call) -> Result<String, Answer> {
        match call.credential("bearer") {
            None => Err(error(401, "invalid_request_error", "invalid_api_key", None, NO_KEY)),
            Some(key) if !key.starts_with("sk-") => Err(wrong_key(key)),
            Some(key) => Ok(key.to_owned()),
        }
    }

    fn refuse(&self, _house: &House, call: &Call, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::RateLimited { wait_seconds } => {
                let seconds = whole_seconds(wait_seconds);
                let text = format!(
                    "Rate limit reached for images (for limit gpt-image) in organization \
                     org-emulated on input-images per min: Limit 1, Used 1, Requested 1. Please \
                     try again in {seconds}s."
                );
                error(429, "input-images", "rate_limit_exceeded", None, &text)
                    .with("retry-after", seconds)
                    .with("retry-after-ms", seconds * 1000)
            }
            Refusal::Broken => {
                let text = "The server had an error while processing your request.";
                error(500, "server_error", "server_error", None, text)
            }
            Refusal::Unauthorized => wrong_key(call.credential("bearer").unwrap_or_default()),
            Refusal::OutOfCredit => {
                let text = "You exceeded your current quota, please check your plan and billing \
                    details.";
                error(429, "insufficient_quota", "insufficient_quota", None, text)
            }
        }
    }

    async fn answer(&self, house: &Arc<House>, call: &Call, key: &str) -> Answer {
        let start = house.clock.now();
        let answer = match (&call.method, call.segments().as_slice()) {
            (&Method::POST, ["v1", "images", "generations"]) => {
                images::generate(house, call, key).await
            }
            (&Method::POST, ["v1", "images", "edits"]) => images::edit(house, call, key).await,
            (&Method::POST, ["v1", "videos"]) => videos::create(house, call, key).await,
            (&Method::GET, ["v1", "videos"]) => videos::list(house, call, key),
            (&Method::GET, ["v1", "videos", id]) => videos::get(house, key, id),
            (&Method::GET, ["v1", "videos", id, "content"]) => {
                videos::content(house, call, key, id).await
            }
            (&Method::DELETE, ["v1", "videos", id]) => videos::delete(house, key, id),
            _ => {
                let text = format!("Invalid URL ({} /{})", call.method, call.path.join("/"));
                error(404, "invalid_request_error", "", None, &text)
            }
        };
        let now = house.clock.now();
        let (limit, remaining) = house.desk(NAME).meter.peek(key, now);
        let nth = house.desk(NAME).count_call();
        let request = Dice::of(house.seed, "openai/request", nth).uuid().simple();
        answer
            .with("x-request-id", format!("req_{request}"))
            .with("openai-processing-ms", (now - start).num_milliseconds())
            .with("openai-organization", "org-emulated")
            .with("openai-version", "2020-10-01")
            .with("x-ratelimit-limit-requests", limit)
            .with("x-ratelimit-remaining-requests", remaining)
            .with("x-ratelimit-reset-requests", "12s")
    }

    fn callback_body(&self, house: &House, job: &Job, _moment: Moment) -> Option<Value> {
        Some(videos::event(house, job))
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
        // Up to 72 hours in truth; after these a test has given up too.
        &[5.0, 30.0, 120.0, 600.0, 3600.0]
    }
}

const NO_KEY: &str = "You didn't provide an API key. You need to provide your API key in an \
    Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";

fn wrong_key(key: &str) -> Answer {
    let start: String = key.chars().take(3).collect();
    let text = format!(
        "Incorrect API key provided: {start}****. You can find your API key at \
         https://platform.openai.com/account/api-keys."
    );
    error(401, "invalid_request_error", "invalid_api_key", None, &text)
}

/// The body of a call, as JSON or as a form; a form's files are told by their number.
fn fields(call: &Call) -> Result<(Map<String, Value>, usize), Answer> {
    if let Some(parts) = multipart::parts(call) {
        let files = parts.iter().filter(|part| part.file_name.is_some()).count();
        return Ok((multipart::texts(&parts), files));
    }
    let text = "We could not parse the JSON body of your request.";
    let fields = call.json();
    fields
        .map(|fields| (fields, 0))
        .ok_or_else(|| error(400, "invalid_request_error", "", None, text))
}

/// No code is null.
fn error(status: u16, kind: &str, code: &str, param: Option<&str>, text: &str) -> Answer {
    let code = (!code.is_empty()).then_some(code);
    let error = json!({ "message": text, "type": kind, "param": param, "code": code });
    Answer::json(status, json!({ "error": error }))
}

fn invalid(param: &str, code: &str, text: &str) -> Answer {
    error(400, "invalid_request_error", code, Some(param), text)
}

fn no_such_model(model: &str) -> Answer {
    let text = format!("The model '{model}' does not exist or you do not have access to it.");
    error(404, "invalid_request_error", "model_not_found", None, &text)
}
