//! `GET /v1/estimate/{model}`: what a request would reserve, and whether the balance pays for it.
//!
//! It asks [`Model::quote`], as a request does, so it cannot say another amount. What does not
//! matter to the model is ignored; a count outside 1 to 100 is clamped (`spec/contract.md` 1.5,
//! B.3).

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Query};
use actors::catalogue::Model;
use actors::id::AccountId;
use actors::money::Credits;
use actors::pricing::{COUNT_MAX, Choice, Rates, thousandths};
use providers::MediaKind;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::AppState;
use super::envelope::Success;
use super::openapi::parameters::{EstimateQuery, ModelPath};
use crate::auth::{Authorized, LibraryRead};
use crate::decimal::{credits, seconds};
use crate::error::{ApiError, ErrorCode};

/// `spec/contract.md` 1.5.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Estimate, description = "What a request would reserve, in credit.")]
pub(super) struct EstimateOut {
    model_identifier: String,
    /// `image` or `video`
    model_type: &'static str,
    assets_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, nullable = false)]
    cost_per_second: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, nullable = false)]
    duration_seconds: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resolution: Option<String>,
    #[schema(value_type = f64)]
    cost_per_generation: Value,
    #[schema(value_type = f64)]
    cost_total_consumed: Value,
    /// Null, like what follows from it, when it cannot be read.
    #[schema(required, value_type = Option<f64>)]
    credit_balance: Option<Value>,
    #[schema(required)]
    credit_balance_can_afford: Option<bool>,
    #[schema(required)]
    credit_balance_max_affordable: Option<i64>,
}

#[utoipa::path(
    get,
    path = "/v1/estimate/{model_identifier}",
    tag = "library",
    summary = "Price a request",
    description = "Exactly what a request would reserve. What does not matter to the model is ignored.",
    params(ModelPath, EstimateQuery),
    responses((status = 200, description = "The price.", body = EstimateOut)),
    security(("api_key" = ["library:read"]))
)]
pub(super) async fn get_estimate(
    caller: Authorized<LibraryRead>,
    state: Data<AppState>,
    model: Path<String>,
    request: HttpRequest,
) -> Result<Success<EstimateOut>, ApiError> {
    let model = state.offering.find(&model);
    let model = model.ok_or_else(|| ApiError::new(ErrorCode::ModelNotFound))?;
    let asked = Asked::read(model, request.query_string())?;
    let quote = model.quote(&asked.choice()).map_err(ApiError::internal)?;
    let total = quote.total(asked.count).map_err(ApiError::internal)?;
    let balance = balance(&state, caller.key.account_id).await;
    let estimate = EstimateOut {
        model_identifier: model.identifier.clone(),
        model_type: model.media.as_str(),
        assets_count: asked.count,
        cost_per_second: quote.cost_per_second.map(credits),
        duration_seconds: asked.duration_ms.map(seconds),
        resolution: asked.resolution.filter(|_| is_priced_by_resolution(model)),
        cost_per_generation: credits(quote.cost_per_generation),
        cost_total_consumed: credits(total),
        credit_balance: balance.map(credits),
        credit_balance_can_afford: balance.map(|balance| balance >= total),
        credit_balance_max_affordable: balance.and_then(|balance| quote.max_affordable(balance)),
    };
    Ok(Success::new("Estimate calculated successfully", estimate))
}

/// A balance that cannot be read is no reason not to name the price.
async fn balance(state: &AppState, account_id: AccountId) -> Option<Credits> {
    match state.accounts.find_account(account_id).await {
        Ok(account) => account.map(|account| account.balance),
        Err(error) => {
            tracing::warn!(%error, account = %account_id, "an estimate goes without the balance");
            None
        }
    }
}

fn is_priced_by_resolution(model: &Model) -> bool {
    match model.price().rates() {
        Rates::ByResolution(_) | Rates::ByResolutionAndAudio(_) => true,
        Rates::Flat(_) | Rates::ByAudio(_) => false,
    }
}

/// What an estimate is asked for, as far as it matters to the model.
struct Asked {
    count: u32,
    duration_ms: Option<u64>,
    resolution: Option<String>,
    audio: Option<bool>,
}

impl Asked {
    fn read(model: &Model, query: &str) -> Result<Self, ApiError> {
        let Ok(Query(parameters)) = Query::<Vec<(String, String)>>::from_query(query) else {
            return Err(invalid("query", "cannot be read"));
        };
        let find = |name: &'static str| {
            let mut values = parameters.iter().filter(|(key, _)| key == name);
            match (values.next(), values.next()) {
                (Some(_), Some(_)) => Err(invalid(name, "is given twice")),
                (first, _) => Ok(first.map(|(_, value)| value.as_str())),
            }
        };
        let asked = Self {
            count: find("count")?.map_or(Ok(1), read_count)?,
            duration_ms: match model.media {
                MediaKind::Image => None,
                MediaKind::Video => Some(read_duration(find("duration")?, &model.durations_ms)?),
            },
            resolution: match model.resolutions.first() {
                None => None,
                Some(default) => {
                    let asked = find("resolution")?.unwrap_or(default);
                    Some(read_resolution(asked, &model.resolutions)?)
                }
            },
            audio: match model.audio {
                false => None,
                true => Some(find("audio")?.map_or(Ok(false), read_audio)?),
            },
        };
        asked.check_rules(model)?;
        Ok(asked)
    }

    fn choice(&self) -> Choice<'_> {
        let Self { duration_ms, audio, .. } = *self;
        Choice { resolution: self.resolution.as_deref(), audio, duration_ms }
    }

    /// No price is named for what a request could not have.
    fn check_rules(&self, model: &Model) -> Result<(), ApiError> {
        let known = |field: &str| match field {
            "generation_duration" => self.duration_ms.map(|ms| json!(ms as f64 / 1000.0)),
            "generation_resolution" => self.resolution.as_ref().map(|it| json!(it)),
            "generation_generate_audio" => self.audio.map(Value::from),
            _ => None,
        };
        let Some(rule) = model.rules.iter().find(|rule| !rule.is_kept_by(known)) else {
            return Ok(());
        };
        let field = match rule.needs.as_str() {
            "generation_generate_audio" => "audio",
            needs => needs.trim_start_matches("generation_"),
        };
        Err(invalid(field, &rule.demand()))
    }
}

/// Digits, clamped however many there are.
fn read_count(text: &str) -> Result<u32, ApiError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("count", "must be a whole number"));
    }
    // What does not parse has too many digits.
    let count = digits.parse().unwrap_or(COUNT_MAX);
    Ok(if negative { 1 } else { count.clamp(1, COUNT_MAX) })
}

fn read_duration(text: Option<&str>, durations_ms: &[u64]) -> Result<u64, ApiError> {
    let text = text.ok_or_else(|| invalid("duration", "is required by a video model"))?;
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    let number = number.ok_or_else(|| invalid("duration", "must be a number of seconds"))?;
    if let Some(ms) = thousandths(number).filter(|ms| durations_ms.contains(ms)) {
        return Ok(ms);
    }
    let all: Vec<String> = durations_ms.iter().map(|ms| seconds(*ms).to_string()).collect();
    Err(ApiError::new(ErrorCode::ParameterOutOfRange).details(json!({
        "field": "duration",
        "reason": format!("duration must be one of {} seconds.", all.join(", ")),
        "min": durations_ms.first().map(|ms| seconds(*ms)),
        "max": durations_ms.last().map(|ms| seconds(*ms)),
    })))
}

fn read_resolution(text: &str, resolutions: &[String]) -> Result<String, ApiError> {
    let known = resolutions.iter().find(|resolution| *resolution == text).cloned();
    let reason = || format!("must be one of {}", resolutions.join(", "));
    known.ok_or_else(|| invalid("resolution", &reason()))
}

fn read_audio(text: &str) -> Result<bool, ApiError> {
    text.parse().map_err(|_| invalid("audio", "must be true or false"))
}

/// `what` completes the sentence "`field` …".
fn invalid(field: &str, what: &str) -> ApiError {
    ApiError::field(ErrorCode::InvalidInput, field, &format!("{field} {what}."))
}
