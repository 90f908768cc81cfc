//! `GET /v1/usage`: what an account has used over some days.

use actix_web::HttpRequest;
use actix_web::web::Data;
use actors::account::Account;
use actors::logged_request::RequestCounts;
use actors::usage::{EndpointUsage, ProviderUsage, Usage, UsageWindow};
use serde_json::{Map, Value, json};

use super::AppState;
use super::account::find_account;
use super::envelope::Success;
use super::openapi::parameters::Days;
use super::openapi::schemas::usage::UsageSchema;
use crate::auth::{AccountRead, Authorized};
use crate::error::{ApiError, ErrorCode};

/// `days` when it is not given, and the most it can be (`spec/contract.md` 1.2).
const DAYS_DEFAULT: u32 = 30;
const DAYS_MAX: u32 = 90;

#[utoipa::path(
    get,
    path = "/v1/usage",
    tag = "account",
    summary = "Show what was used",
    params(Days),
    responses((status = 200, description = "Requests, generations and cost of some days.", body = UsageSchema)),
    security(("api_key" = ["account:read"]))
)]
pub(super) async fn get_usage(
    caller: Authorized<AccountRead>,
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<Success<Value>, ApiError> {
    let days = days(request.query_string())?;
    let account = find_account(&state, caller.key.account_id).await?;
    let window = UsageWindow::of_days(days, caller.at);
    let usage = state.requests.usage(account.id, window).await?;
    Ok(Success::new("Usage data retrieved successfully", document(&account, days, &usage)))
}

/// A whole number outside of the range is brought into it (`spec/contract.md` B.3).
fn days(query: &str) -> Result<u32, ApiError> {
    let mut parameters = url::form_urlencoded::parse(query.as_bytes());
    let Some((_, text)) = parameters.find(|(name, _)| name == "days") else {
        return Ok(DAYS_DEFAULT);
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let reason = "The number of days must be a whole number.";
        return Err(ApiError::field(ErrorCode::InvalidInput, "days", reason));
    }
    // What is too long for a number is below or above every other.
    let beyond = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    let days = text.parse::<i64>().unwrap_or(beyond).clamp(1, i64::from(DAYS_MAX));
    Ok(u32::try_from(days).unwrap_or(DAYS_MAX))
}

fn document(account: &Account, days: u32, usage: &Usage) -> Value {
    let mut requests = RequestCounts::default();
    usage.endpoints.iter().for_each(|endpoint| requests.add(endpoint.counts));
    let submissions: u64 = usage.providers.iter().map(|provider| provider.submissions).sum();
    let cost: i64 = usage.providers.iter().map(|provider| provider.cost_microcredits).sum();
    json!({
        "account_id": account.id,
        "usage_period_days": days,
        "usage_credit_balance": account.balance.to_number(),
        "usage_total_requests": requests.total(),
        "usage_total_success": requests.successes,
        "usage_total_client_errors": requests.client_errors,
        "usage_total_server_errors": requests.server_errors,
        "usage_total_generations": usage.generations,
        "usage_total_provider_submissions": submissions,
        "usage_total_estimated_cost": credits(cost),
        "usage_endpoints": usage.endpoints.iter().map(endpoint).collect::<Value>(),
        "usage_providers": usage.providers.iter().map(provider).collect::<Value>(),
    })
}

fn endpoint(usage: &EndpointUsage) -> Value {
    let codes = usage.codes.iter().map(|(code, count)| (code.clone(), json!(count)));
    json!({
        "endpoint": usage.endpoint,
        "total_requests": usage.counts.total(),
        "success_count": usage.counts.successes,
        "client_error_count": usage.counts.client_errors,
        "server_error_count": usage.counts.server_errors,
        "error_codes": codes.collect::<Map<String, Value>>(),
    })
}

fn provider(usage: &ProviderUsage) -> Value {
    json!({
        "provider": usage.provider.as_str(),
        "total_submissions": usage.submissions,
        "used_count": usage.used,
        "cancelled_count": usage.canceled,
        "discarded_count": usage.discarded,
        "failed_count": usage.failed,
        "total_estimated_cost": credits(usage.cost_microcredits),
        "wasted_estimated_cost": credits(usage.wasted_microcredits),
    })
}

/// Millionths as a number; the nearest double prints as the decimal that is meant.
fn credits(microcredits: i64) -> f64 {
    microcredits as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_clamped_and_nonsense_is_refused() {
        for (query, expected) in [
            ("", 30),
            ("other=5", 30),
            ("days=7", 7),
            ("days=0", 1),
            ("days=-12", 1),
            ("days=91", 90),
            ("days=%2B7", 7),
            ("days=99999999999999999999999", 90),
            ("days=-99999999999999999999999", 1),
        ] {
            assert_eq!(days(query).unwrap(), expected, "{query}");
        }
        for query in ["days=", "days", "days=seven", "days=7.5", "days=1e1", "days=%00", "days=--1"]
        {
            let error = days(query).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidInput, "{query}");
            assert_eq!(error.to_json()["details"]["field"], "days");
        }
    }
}
