//! Requests that happen once, however often they are sent (`spec/contract.md` 5, B.3).
//!
//! The claim is written with the generation that it makes, so what is found under a key is
//! always true. A success is remembered as it was answered, byte for byte; a failure is told by
//! its generation, which cannot change any more. A refusal that made no generation, and a
//! failure that is worth another try, leave the key free.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use actors::generation::{Generation, Status};
use actors::id::AccountId;
use actors::idempotency::{Answer, Claim, Conclusion, KEY_MAX, Record, RecordKey, is_key};
use actors::ports::IdempotencyStore;
use chrono::TimeDelta;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::AppState;
use super::envelope::Prepared;
use super::generations::{created, prepare};
use crate::error::{ApiError, ErrorCode};

/// The header of a request.
const KEY: &str = "idempotency-key";
/// The header of an answer that is given again.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Seconds after which the first request has probably been answered (`spec/contract.md` B.3).
const RUNNING_RETRY_SECONDS: u32 = 2;

/// What it takes to remember requests.
pub struct Idempotency {
    pub store: Arc<dyn IdempotencyStore>,
    /// How long a request may take to be answered: after that, whoever was to answer it is gone.
    pub answer_within: TimeDelta,
}

/// What the request claims, if it carries a key. `route` is the path below `/v1/generate/`.
///
/// # Errors
/// BSE2001 for a key of another form than documented.
pub(super) fn claim(
    request: &HttpRequest,
    account_id: AccountId,
    route: String,
    body: &Value,
) -> Result<Option<Claim>, ApiError> {
    let mut given = request.headers().get_all(KEY);
    let Some(key) = given.next() else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| is_key(key) && given.next().is_none());
    let reason = || {
        let allowed = "letters, digits, _ - : and .";
        format!("Idempotency-Key must be one text of 1 to {KEY_MAX} characters out of {allowed}")
    };
    let key =
        key.ok_or_else(|| ApiError::field(ErrorCode::InvalidInput, "Idempotency-Key", &reason()))?;
    let key = RecordKey { account_id, route, key: key.to_owned() };
    Ok(Some(Claim { key, body_sha256: fingerprint(body) }))
}

/// SHA-256 of the body with the members of every object in order: how a client's library orders
/// and spaces them means nothing.
fn fingerprint(body: &Value) -> String {
    let hash = Sha256::digest(canonical(body).to_string());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            let members = members.into_iter().map(|(name, value)| (name.clone(), canonical(value)));
            Value::Object(Map::from_iter(members))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// What an earlier request with this key was answered; `None` when there was none that counts.
///
/// # Errors
/// BSE2015 when it had another body, BSE2016 while it is being answered, and what it failed with.
pub(super) async fn look_up(
    state: &AppState,
    request: &HttpRequest,
    claim: &Claim,
) -> Result<Option<Prepared>, ApiError> {
    match state.idempotency.store.find_record(&claim.key).await? {
        Some(record) if record.is_alive(state.clock.now()) => {
            repeat(state, request, claim, record).await
        }
        Some(_) | None => Ok(None),
    }
}

/// The answer that is on record, or `None` when the key turns out to be free.
///
/// # Errors
/// As [`look_up`].
pub(super) async fn repeat(
    state: &AppState,
    request: &HttpRequest,
    claim: &Claim,
    record: Record,
) -> Result<Option<Prepared>, ApiError> {
    if record.claim.body_sha256 != claim.body_sha256 {
        return Err(ApiError::new(ErrorCode::IdempotencyKeyConflict));
    }
    let account_id = claim.key.account_id;
    let generation = state.generations.find(account_id, record.generation_id).await?;
    match (generation, record.answer) {
        // Contract section 5: a canceled generation is told as canceled, whatever was said before.
        (Some(generation), _) if generation.status() == Status::Canceled => {
            prepare(request, &created(&generation)?).map(|answer| Some(answer.replayed()))
        }
        // It was deleted, and what was said of it with it.
        (None, _) => Err(ApiError::new(ErrorCode::GenerationNotFound)),
        (Some(_), Some(Answer::Success(body))) => Ok(Some(Prepared::new(body).replayed())),
        (Some(generation), Some(Answer::Failure)) => {
            created(&generation).map_err(replayed)?;
            Err(ApiError::internal("a failure is on record, and the generation has not failed"))
        }
        (Some(generation), None) => {
            let running = Record { answer: None, ..record };
            unanswered(state, request, &generation, running).await
        }
    }
}

/// A request that is being answered right now, or was being answered by a process that died:
/// then the generation says what it came to.
async fn unanswered(
    state: &AppState,
    request: &HttpRequest,
    generation: &Generation,
    record: Record,
) -> Result<Option<Prepared>, ApiError> {
    let due = record.created_at + state.idempotency.answer_within;
    // A higher epoch means that another process has taken the generation over.
    let abandoned = generation.epoch > 1 && generation.status() != Status::Pending;
    if state.clock.now() < due && !abandoned {
        return Err(running());
    }
    match created(generation) {
        Ok(data) => prepare(request, &data).map(|answer| Some(answer.replayed())),
        Err(error) if error.is_retryable() => {
            forget(state, record.claim.key, record.generation_id).await?;
            Ok(None)
        }
        Err(error) => Err(replayed(error)),
    }
}

/// BSE2016.
pub(super) fn running() -> ApiError {
    ApiError::new(ErrorCode::IdempotencyRequestInProgress).retry_after(RUNNING_RETRY_SECONDS)
}

fn replayed(error: ApiError) -> ApiError {
    error.header(REPLAYED, HeaderValue::from_static("true"))
}

async fn forget(
    state: &AppState,
    key: RecordKey,
    generation_id: actors::id::GenerationId,
) -> Result<(), ApiError> {
    let conclusion = Conclusion { key, generation_id, answer: None };
    Ok(state.idempotency.store.conclude(conclusion).await?)
}

/// Writes down what a claimed request is about to be answered. When that cannot be written the
/// answer is given all the same: the generation is there and tells a repetition the rest.
pub(super) async fn conclude(
    state: &AppState,
    claim: Claim,
    generation: &Generation,
    answer: &Result<Prepared, ApiError>,
) {
    let answer = match answer {
        Ok(prepared) => Some(Answer::Success(prepared.body().to_owned())),
        Err(error) if error.is_retryable() => None,
        Err(_) => Some(Answer::Failure),
    };
    let (key, generation_id) = (claim.key, generation.id);
    let conclusion = Conclusion { key, generation_id, answer };
    if let Err(error) = state.idempotency.store.conclude(conclusion).await {
        tracing::warn!(generation = %generation.id, %error, "an answer was not written down");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_members_means_nothing_and_everything_else_does() {
        let one = json!({ "a": [1, { "x": 1, "y": 2 }], "b": null });
        let same: Value = serde_json::from_str(r#"{"b":null, "a":[1,{"y":2,"x":1}]}"#).unwrap();
        assert_eq!(fingerprint(&one), fingerprint(&same));
        assert_eq!(fingerprint(&one).len(), 64);
        for other in [json!({ "a": [{ "x": 1, "y": 2 }, 1], "b": null }), json!({ "b": null })] {
            assert_ne!(fingerprint(&one), fingerprint(&other));
        }
    }
}
