//! Generations: create, read, cancel.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Payload};
use actors::account::Plan;
use actors::api_key::ApiKey;
use actors::batch::AcceptRefusal;
use actors::catalogue::Model;
use actors::engine::SubmitError;
use actors::generation::{AskedBy, Generation, NewGeneration, Pricing, State, Status};
use actors::id::GenerationId;
use actors::idempotency::Claim;
use actors::input::body::parse_body;
use actors::input::problem::{Problem, ProblemKind};
use actors::input::{Input, normalize};
use actors::spending::Month;
use chrono::{DateTime, Utc};
use providers::MediaKind;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::envelope::{Prepared, Success};
use super::openapi::parameters::{GenerationPath, IdempotencyHeader, ModelPath, Preference};
use super::openapi::schemas::generation::{CreatedSchema, GenerationSchema, RequestSchema};
use super::record::{provider_order, record};
use super::waiting::{PREFERENCE_APPLIED, Wait};
use super::{AppState, body, idempotency, input_files, moderation};
use crate::auth::{Authorized, GenerationDelete, GenerationRead, GenerationWrite};
use crate::error::{ApiError, ErrorCode};
use crate::rate_limit::TakenRequest;

#[utoipa::path(
    post,
    path = "/v1/generate/image/{model_identifier}",
    tag = "generations",
    summary = "Generate an image",
    description = "Reserves the credit, submits to a provider, and answers when one has taken the \
                   job.",
    params(ModelPath, IdempotencyHeader, Preference),
    request_body = RequestSchema,
    responses((status = 200, description = "A provider has the job.", body = CreatedSchema)),
    security(("api_key" = ["generation:write"]))
)]
pub(super) async fn create_image_generation(
    caller: Authorized<GenerationWrite>,
    state: Data<AppState>,
    model: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Prepared, ApiError> {
    let asked = Asked::of(&caller, &state, &request);
    create_generation(asked, MediaKind::Image, &model, payload).await
}

#[utoipa::path(
    post,
    path = "/v1/generate/video/{model_identifier}",
    tag = "generations",
    summary = "Generate a video",
    description = "Reserves the credit, submits to a provider, and answers when one has taken the \
                   job.",
    params(ModelPath, IdempotencyHeader, Preference),
    request_body = RequestSchema,
    responses((status = 200, description = "A provider has the job.", body = CreatedSchema)),
    security(("api_key" = ["generation:write"]))
)]
pub(super) async fn create_video_generation(
    caller: Authorized<GenerationWrite>,
    state: Data<AppState>,
    model: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Prepared, ApiError> {
    let asked = Asked::of(&caller, &state, &request);
    create_generation(asked, MediaKind::Video, &model, payload).await
}

/// Who asks, and how.
#[derive(Clone, Copy)]
struct Asked<'a> {
    state: &'a AppState,
    key: &'a ApiKey,
    plan: Plan,
    taken: &'a TakenRequest,
    request: &'a HttpRequest,
    at: DateTime<Utc>,
}

impl<'a> Asked<'a> {
    fn of(
        caller: &'a Authorized<GenerationWrite>,
        state: &'a AppState,
        request: &'a HttpRequest,
    ) -> Self {
        Self {
            state,
            key: &caller.key,
            plan: caller.plan,
            taken: &caller.taken,
            request,
            at: caller.at,
        }
    }
}

/// The steps after authorization, in the order of `spec/contract.md` B.2.
async fn create_generation(
    asked: Asked<'_>,
    media: MediaKind,
    model: &str,
    payload: Payload,
) -> Result<Prepared, ApiError> {
    let Asked { state, key, taken, request, .. } = asked;
    let wait = Wait::asked(request);
    let body = body::read(request, payload, state.body).await?;
    let body = parse_body(&body).map_err(|problem| refuse_input(vec![problem]))?;
    let model = find_model(state, media, model)?;
    let input = normalize(model, &body).map_err(refuse_input)?;
    let route = format!("{}/{}", media.as_str(), model.identifier);
    let claim = idempotency::claim(request, key.account_id, route, &body)?;
    if let Some(claim) = &claim
        && let Some(earlier) = idempotency::look_up(state, request, claim).await?
    {
        return Ok(earlier);
    }
    let input = routed(state, model, input)?;
    let permit = taken.take_generation(state.clock.now())?;
    let fetched = input.names_files();
    if let Err(refused) = judge(asked, model, &input).await {
        if refused.is_retryable() {
            permit.give_back_generation();
        }
        return Err(refused);
    }
    let new = new_generation(asked, model, input, claim.clone())?;
    let generation = match (state.engine.submit(new).await, &claim) {
        (Err(SubmitError::Refused(AcceptRefusal::Claimed(record))), Some(claim)) => {
            // Somebody was faster since we looked.
            permit.give_back_generation();
            let earlier = idempotency::repeat(state, request, claim, *record).await?;
            return earlier.ok_or_else(idempotency::running);
        }
        // Unless files were fetched for it, which nobody is to have for nothing again and again.
        (Err(refused @ SubmitError::Refused(AcceptRefusal::TooManyInFlight { .. })), _)
            if !fetched =>
        {
            permit.give_back();
            return Err(refused.into());
        }
        (Err(refused), _) => {
            permit.give_back_generation();
            return Err(refused.into());
        }
        (Ok(generation), _) => generation,
    };
    answer(asked, claim, &generation, wait).await
}

/// Looks at what can only be judged with the help of others.
async fn judge(asked: Asked<'_>, model: &Model, input: &Input) -> Result<(), ApiError> {
    let Asked { state, key, .. } = asked;
    input_files::check(state, key.account_id, input).await?;
    moderation::check(state, key.account_id, &model.identifier, input).await
}

/// The ordinary answer, or the finished record for a client that waits for it and gets it in
/// time. What was canceled meanwhile is told as ever. Before the wait the ordinary answer is
/// put on record, so that whoever hangs up or asks again has one.
async fn answer(
    asked: Asked<'_>,
    claim: Option<Claim>,
    generation: &Generation,
    wait: Option<Wait>,
) -> Result<Prepared, ApiError> {
    let Asked { state, plan, request, .. } = asked;
    let ordinary = created(generation).and_then(|data| prepare(request, &data));
    if let Some(claim) = claim.clone() {
        idempotency::conclude(state, claim, generation, &ordinary).await;
    }
    let Some(wait) = wait.filter(|_| generation.status() != Status::Canceled) else {
        return ordinary;
    };
    let (ordinary, applied) = (ordinary?, wait.applied());
    let Some(ended) = wait.for_end(state, generation).await else {
        return Ok(ordinary.header(PREFERENCE_APPLIED, applied));
    };
    if ended.status() == Status::Canceled {
        return prepare(request, &created(&ended)?)
            .map(|answer| answer.header(PREFERENCE_APPLIED, applied));
    }
    let finished = Success::new("Generation finished", show(state, plan, &ended)).prepare(request);
    if let Some(claim) = claim {
        idempotency::conclude(state, claim, &ended, &finished).await;
    }
    finished.map(|finished| finished.header(PREFERENCE_APPLIED, applied))
}

fn new_generation(
    asked: Asked<'_>,
    model: &Model,
    input: Input,
    claim: Option<Claim>,
) -> Result<NewGeneration, ApiError> {
    let Asked { state, key, at, .. } = asked;
    let quote = model.quote(&input.choice()).map_err(ApiError::internal)?;
    let amount = quote.total(input.count).map_err(ApiError::internal)?;
    let created_at = state.clock.now();
    Ok(NewGeneration {
        account_id: key.account_id,
        // Lists are by id, and so by the time that they show.
        id: GenerationId(state.ids.next_at(created_at)),
        model: model.identifier.clone(),
        media: model.media,
        input,
        amount,
        pricing: Pricing {
            cost_per_output: quote.cost_per_generation,
            source: model.price_source,
            catalogue_version: state.catalogue.version().to_owned(),
        },
        asked_by: AskedBy { key: Some(key.id), month: Some(Month::of(created_at)) },
        claim,
        asked_at: at,
        created_at,
        // The engine knows how long things may take, and sets it.
        deadline_at: created_at,
    })
}

/// What POST answers, ready to be sent.
pub(super) fn prepare(request: &HttpRequest, data: &Value) -> Result<Prepared, ApiError> {
    Success::new("Generation initialized", data).prepare(request)
}

/// A model on the wrong route is as unknown as one that does not exist.
fn find_model<'a>(
    state: &'a AppState,
    media: MediaKind,
    identifier: &str,
) -> Result<&'a Model, ApiError> {
    let model = state.offering.find(identifier).filter(|model| model.media == media);
    model.ok_or_else(|| ApiError::new(ErrorCode::ModelNotFound))
}

/// With an order of those providers alone that run the model on this server.
fn routed(state: &AppState, model: &Model, mut input: Input) -> Result<Input, ApiError> {
    input.provider_order = state.offering.route(model, &input.provider_order);
    if input.provider_order.is_empty() {
        let reason = "None of these providers runs this model here.";
        let field = "generation_provider_order";
        return Err(ApiError::field(ErrorCode::InvalidInput, field, reason));
    }
    Ok(input)
}

/// All problems, under the code that fits them all: BSE2008 only when nothing but numbers out
/// of their range is wrong, BSE2009 when nothing but addresses of files (`spec/contract.md` 7.8).
fn refuse_input(problems: Vec<Problem>) -> ApiError {
    let kinds = || problems.iter().map(|problem| &problem.kind);
    let code = if kinds().all(|kind| matches!(kind, ProblemKind::OutOfRange { .. })) {
        ErrorCode::ParameterOutOfRange
    } else if kinds().all(|kind| *kind == ProblemKind::FileUrl) {
        ErrorCode::FileDownloadError
    } else {
        ErrorCode::InvalidInput
    };
    let mut details = json!({ "field": problems.first().map(|problem| &problem.field) });
    if let ([only], ErrorCode::ParameterOutOfRange) = (problems.as_slice(), code) {
        put_range(&mut details, only);
    }
    details["issues"] = problems.iter().map(issue).collect();
    ApiError::new(code).details(details)
}

fn issue(problem: &Problem) -> Value {
    let Problem { field, pointer, reason, .. } = problem;
    let mut issue = json!({ "field": field, "pointer": pointer, "reason": reason });
    put_range(&mut issue, problem);
    issue
}

fn put_range(target: &mut Value, problem: &Problem) {
    if let ProblemKind::OutOfRange { min, max } = &problem.kind {
        target["min"] = json!(min);
        target["max"] = json!(max);
    }
}

/// What POST answers once a provider has it, or the time to wait is over
/// (`spec/contract.md` 1.6).
pub(super) fn created(generation: &Generation) -> Result<Value, ApiError> {
    match generation.state() {
        State::Failed { failure, .. } => Err(ApiError::generation_failed(generation, failure.code)),
        State::Canceled { .. } => Ok(json!({
            "generation_id": generation.id,
            "generation_status": generation.status().as_str(),
        })),
        State::Pending | State::Processing { .. } | State::Succeeded { .. } => Ok(json!({
            "model_identifier": generation.model,
            "generation_provider_order": provider_order(generation),
            "generation_prediction_id": prediction_id(generation),
            "generation_id": generation.id,
            "generation_initialized": true,
        })),
    }
}

/// The provider's job, or our own name of the submission while there is none.
fn prediction_id(generation: &Generation) -> Option<String> {
    let job = generation.job().map(|job| job.0.clone());
    job.or_else(|| generation.attempts().last().map(|attempt| attempt.correlation.to_string()))
}

#[utoipa::path(
    get,
    path = "/v1/content/{generation_id}",
    tag = "generations",
    summary = "Read a generation",
    params(GenerationPath),
    responses((status = 200, description = "Its record.", body = GenerationSchema)),
    security(("api_key" = ["generation:read"]))
)]
pub(super) async fn get_generation(
    caller: Authorized<GenerationRead>,
    state: Data<AppState>,
    id: Path<String>,
) -> Result<Success<Value>, ApiError> {
    let id = read_id(&state, &id);
    let found = state.generations.find(caller.key.account_id, id).await?;
    let generation = found.ok_or_else(|| ApiError::new(ErrorCode::GenerationNotFound))?;
    Ok(Success::new("Generation retrieved successfully", show(&state, caller.plan, &generation)))
}

/// The record of a generation, as everybody of its account is shown it.
pub(super) fn show(state: &AppState, plan: Plan, generation: &Generation) -> Value {
    let model = state.catalogue.find(&generation.model);
    let has_last_frame = model.is_some_and(|model| model.last_frame);
    record(generation, &state.files.of(generation, plan), has_last_frame)
}

/// `spec/contract.md` 1.10.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Canceled, description = "A generation that was canceled in time.")]
pub(super) struct CancelOut {
    #[schema(value_type = String, format = "uuid")]
    generation_id: GenerationId,
    /// `canceled`
    generation_status: &'static str,
    /// Whether the provider was told; not every one can be.
    provider_cancel_sent: bool,
    credits_refunded: bool,
}

#[utoipa::path(
    post,
    path = "/v1/content/generation/cancel/{generation_id}",
    tag = "generations",
    summary = "Cancel a generation",
    description = "Works while it is pending or processing; the credit is refunded.",
    params(GenerationPath),
    responses((status = 200, description = "It is canceled.", body = CancelOut)),
    security(("api_key" = ["generation:delete"]))
)]
pub(super) async fn cancel_generation(
    caller: Authorized<GenerationDelete>,
    state: Data<AppState>,
    id: Path<String>,
) -> Result<Success<CancelOut>, ApiError> {
    let id = read_id(&state, &id);
    let canceled = state.engine.cancel(caller.key.account_id, id).await?;
    let out = CancelOut {
        generation_id: canceled.generation.id,
        generation_status: canceled.generation.status().as_str(),
        provider_cancel_sent: canceled.provider_cancel_sent,
        // The refund is written in the same transaction as the cancel.
        credits_refunded: true,
    };
    Ok(Success::new("Generation canceled successfully", out))
}

/// The id, or one that nothing has: what is malformed is looked for like everything else, so
/// that neither answer nor time tells it from what is missing or somebody else's.
pub(super) fn read_id(state: &AppState, text: &str) -> GenerationId {
    GenerationId::parse(text).unwrap_or_else(|| GenerationId(state.ids.next()))
}

#[cfg(test)]
mod tests;
