//! BytePlus ModelArk (`spec/providers.md`, section 6): pictures inline, films as tasks.

mod images;
mod tasks;

use std::sync::Arc;

use actix_web::http::Method;
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::call::{Answer, Call};
use crate::dice::Dice;
use crate::faults::Target;
use crate::house::House;
use crate::jobs::{Job, Moment};
use crate::limits::whole_seconds;
use crate::settings::Provider;
use crate::wire::{Refusal, Wire};

const NAME: Provider = Provider::BytePlus;

pub(crate) struct BytePlus;

#[async_trait]
impl Wire for BytePlus {
    fn target(&self, call: &Call) -> Target {
        match call.method {
            Method::POST => Target::Submit,
            Method::DELETE => Target::Cancel,
            _ => Target::Read,
        }
    }

    fn key(&self, call: &Call) -> Result<String, Answer> {
        call.credential("bearer").map(str::to_owned).ok_or_else(wrong_key)
    }

    fn refuse(&self, house: &House, _call: &Call, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::RateLimited { wait_seconds } => {
                let code = "ModelAccountIpmRateLimitExceeded";
                let text = "IPM limit exceeded for the model.";
                let answer = error(429, code, "TooManyRequests", text);
                if house.settings.quirks.byteplus_retry_after {
                    answer.with("retry-after", whole_seconds(wait_seconds))
                } else {
                    answer
                }
            }
            Refusal::Broken => {
                let text = "The service encountered an unexpected internal error.";
                error(500, "InternalServiceError", "InternalServerError", text)
            }
            Refusal::Unauthorized => wrong_key(),
            Refusal::OutOfCredit => {
                let text = "The request failed because your account has an overdue balance.";
                error(403, "AccountOverdueError", "Forbidden", text)
            }
        }
    }

    async fn answer(&self, house: &Arc<House>, call: &Call, key: &str) -> Answer {
        let answer = match (&call.method, call.segments().as_slice()) {
            (&Method::POST, ["api", "v3", "images", "generations"]) => {
                images::generate(house, call, key).await
            }
            (method, ["api", "v3", "contents", "generations", "tasks", rest @ ..]) => {
                match (method, rest) {
                    (&Method::POST, []) => tasks::create(house, call, key).await,
                    (&Method::GET, []) => tasks::list(house, call, key),
                    (&Method::GET, [id]) => tasks::get(house, key, id),
                    (&Method::DELETE, [id]) => tasks::delete(house, key, id),
                    _ => not_found("The path"),
                }
            }
            _ => not_found("The path"),
        };
        let nth = house.desk(NAME).count_call();
        let request = Dice::of(house.seed, "byteplus/request", nth).text(32, "0123456789abcdef");
        let request = call.header("x-client-request-id").map_or(request, str::to_owned);
        answer.with("x-request-id", request)
    }

    fn callback_body(&self, house: &House, job: &Job, moment: Moment) -> Option<Value> {
        Some(tasks::callback(house, job, moment))
    }

    fn callback_waits(&self) -> &'static [f64] {
        &[5.0, 5.0, 5.0]
    }
}

fn error(status: u16, code: &str, kind: &str, text: &str) -> Answer {
    let message = format!("{text} Request id: 021700000000000000000000000000000000000000000");
    let error = json!({ "code": code, "message": message, "param": "", "type": kind });
    Answer::json(status, json!({ "error": error }))
}

fn wrong_key() -> Answer {
    let text = "The API key format is incorrect or the key does not exist.";
    error(401, "AuthenticationError", "Unauthorized", text)
}

fn not_found(what: &str) -> Answer {
    error(404, "ResourceNotFound", "NotFound", &format!("{what} does not exist."))
}

fn invalid(param: &str, text: &str) -> Answer {
    let message = format!("The parameter `{param}` specified in the request is not valid: {text}.");
    let error = json!({
        "code": "InvalidParameter", "message": message, "param": param, "type": "BadRequest",
    });
    Answer::json(400, json!({ "error": error }))
}

fn missing(param: &str) -> Answer {
    let message = format!("The request is missing a required parameter `{param}`.");
    let error = json!({
        "code": format!("MissingParameter.{param}"), "message": message, "param": param,
        "type": "BadRequest",
    });
    Answer::json(400, json!({ "error": error }))
}

fn no_such_model(model: &str) -> Answer {
    let text =
        format!("The model or endpoint {model} does not exist or you do not have access to it.");
    error(404, "InvalidEndpointOrModel.NotFound", "NotFound", &text)
}
