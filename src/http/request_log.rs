//! What the log keeps of a request (`spec/contract.md` 4.8), read off it and its answer.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::http::header::USER_AGENT;

use super::idempotency::REPLAYED;
use crate::auth::Caller;
use crate::error::ErrorCode;
use crate::request_log::Answered;

/// The parameters that some route reads. Others are not kept: people send secrets to the wrong
/// place.
const PARAMETERS: [&str; 7] =
    ["audio", "count", "days", "duration", "limit", "offset", "resolution"];
/// Characters of a parameter's value that is kept; no good one is longer.
const VALUE_MAX: usize = 32;
/// What stands for a value that is not kept.
const UNREADABLE: &str = "?";
/// Characters of a user agent that are kept.
const USER_AGENT_MAX: usize = 256;

/// A request and what was answered; `None` when its handler has panicked, and only what the
/// extractor has left is known.
pub(super) fn answered<B>(
    (caller, route): &(Caller, String),
    method: &Method,
    response: Option<&ServiceResponse<B>>,
    took: Duration,
) -> Answered {
    let request = response.map(ServiceResponse::request);
    let response = response.map(ServiceResponse::response);
    let code = match response {
        None => Some(ErrorCode::InternalError),
        Some(response) => response.extensions().get::<ErrorCode>().copied(),
    };
    Answered {
        caller: caller.clone(),
        method: method.to_string(),
        endpoint: endpoint(route),
        query: request.and_then(|request| query(request.query_string())),
        status: response.map_or(500, |response| response.status().as_u16()),
        code: code.map(|code| code.row().code),
        replayed: response.is_some_and(|response| response.headers().contains_key(REPLAYED)),
        user_agent: request.and_then(user_agent),
        took,
    }
}

/// The template of a route as the contract writes it (13.10): without the model at its end.
fn endpoint(route: &str) -> String {
    let mut endpoint = String::with_capacity(route.len() + 16);
    for part in route.split('/').filter(|part| !part.is_empty() && !part.contains(':')) {
        endpoint.push('/');
        endpoint.push_str(if part == "{id}" { "{generation_id}" } else { part });
    }
    endpoint
}

/// Known parameters, each once.
fn query(text: &str) -> Option<String> {
    let mut kept = String::new();
    let pairs = || text.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    for name in PARAMETERS {
        let Some((_, value)) = pairs().find(|(other, _)| *other == name) else { continue };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let readable = value.len() <= VALUE_MAX && value.bytes().all(plain);
        kept.push_str(if kept.is_empty() { "" } else { "&" });
        kept.push_str(name);
        kept.push('=');
        kept.push_str(if readable { value } else { UNREADABLE });
    }
    (!kept.is_empty()).then_some(kept)
}

fn user_agent(request: &HttpRequest) -> Option<String> {
    let text = String::from_utf8_lossy(request.headers().get(USER_AGENT)?.as_bytes());
    Some(text.chars().filter(|c| !c.is_control()).take(USER_AGENT_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_named_as_the_contract_names_them() {
        for (route, name) in [
            ("/v1/status", "/v1/status"),
            ("/v1/generate/image/{model:.*}", "/v1/generate/image"),
            ("/v1/content/{id}", "/v1/content/{generation_id}"),
            ("/v1/content/generation/cancel/{id}", "/v1/content/generation/cancel/{generation_id}"),
        ] {
            assert_eq!(endpoint(route), name);
        }
    }

    #[test]
    fn only_known_parameters_are_kept_and_nothing_strange() {
        for (text, kept) in [
            ("", None),
            ("api_key=bye_secret&token=x", None),
            ("offset=10&limit=5&x=1&limit=9", Some("limit=5&offset=10")),
            ("days=%20%3Cscript%3E", Some("days=?")),
            ("days", Some("days=")),
            ("resolution=720p&audio=true", Some("audio=true&resolution=720p")),
        ] {
            assert_eq!(query(text).as_deref(), kept, "{text}");
        }
        let long = format!("count={}", "1".repeat(1000));
        assert_eq!(query(&long).as_deref(), Some("count=?"));
    }
}
