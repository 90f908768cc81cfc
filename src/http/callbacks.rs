//! What providers call us with. Outside `/v1`: the URL is the credential, and the signature on
//! top of it is the provider's.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use actors::engine::{CallbackRefusal, CallbackTarget};
use actors::id::{AccountId, GenerationId};
use providers::name::ProviderName;
use providers::{CallbackError, RawCallback};
use serde_json::json;

use super::AppState;
use super::body::{self, BodyLimits};
use crate::error::{ApiError, ErrorCode};

/// Providers send URLs of results, some a log of the run, none the result itself.
const BODY_MAX: usize = 1 << 20;

/// Provider, account, generation, attempt, token.
type Segments = (String, String, String, String, String);

pub(super) async fn take_callback(
    state: Data<AppState>,
    path: Path<Segments>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let target = target(&state, &path).ok_or_else(not_found)?;
    let limits = BodyLimits { bytes_max: BODY_MAX, ..state.body };
    let body = body::read(&request, payload, limits).await?;
    let headers = headers(&request);
    let received_at = state.clock.now();
    let callback = RawCallback { headers: &headers, body: &body, received_at };
    match state.engine.call_back(target, callback).await {
        Ok(()) => Ok(HttpResponse::Ok().json(json!({ "received": true }))),
        Err(CallbackRefusal::NotFound) => Err(not_found()),
        Err(CallbackRefusal::Store(error)) => Err(error.into()),
        Err(CallbackRefusal::Refused(error)) => refuse(error),
    }
}

fn refuse(error: CallbackError) -> Result<HttpResponse, ApiError> {
    let not_taken = |mut response: HttpResponseBuilder| {
        Ok(response.json(json!({ "received": false, "reason": error.to_string() })))
    };
    match error {
        CallbackError::Signature | CallbackError::Stale => not_taken(HttpResponse::Unauthorized()),
        CallbackError::Malformed => not_taken(HttpResponse::BadRequest()),
        CallbackError::Unsupported => Err(not_found()),
    }
}

/// The attempt, if the URL is one that we gave out.
fn target(state: &AppState, path: &Segments) -> Option<CallbackTarget> {
    let (provider, account, generation, attempt, token) = path;
    let target = CallbackTarget {
        provider: ProviderName::parse(provider)?,
        account_id: AccountId::parse(account)?,
        generation_id: GenerationId::parse(generation)?,
        attempt: attempt.parse().ok()?,
    };
    state.callbacks.is_genuine(&target, token).then_some(target)
}

/// The answer of a route that does not exist: a guess learns nothing.
fn not_found() -> ApiError {
    ApiError::new(ErrorCode::RouteNotFound)
}

/// Values that are not text cannot be part of any provider's signature.
fn headers(request: &HttpRequest) -> Vec<(String, String)> {
    let texts = request.headers().iter().filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    texts.collect()
}
