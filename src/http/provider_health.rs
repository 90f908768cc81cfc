//! `GET /v1/health/inference/providers`: how providers have done lately.

use std::collections::BTreeSet;

use actix_web::web::Data;
use actors::offering::Service;
use actors::provider_health::HealthStatus;
use chrono::{DateTime, Utc};
use providers::name::ProviderName;
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use super::envelope::Success;
use crate::auth::{Authorized, HealthRead};

/// `spec/contract.md` 10.1.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProvidersHealth)]
pub(super) struct ProvidersOut {
    /// `providers`
    service: &'static str,
    healthy: bool,
    providers: Vec<ProviderOut>,
    providers_total: usize,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderHealth)]
struct ProviderOut {
    provider: &'static str,
    /// `healthy`, `recovering`, `degraded`, or `unknown` when nobody has asked it
    status: &'static str,
    #[schema(minimum = 0, maximum = 1)]
    failure_rate: f64,
    window: WindowOut,
    /// Ours: whether this server can ask it at all. Without a credential it cannot.
    configured: bool,
    /// Ours: whether it is the emulator in this process that answers under this name.
    emulated: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthWindow, description = "What was counted, and over how long.")]
struct WindowOut {
    total_attempts: u64,
    failures: u64,
    successes: u64,
    duration_seconds: u64,
}

/// Every provider that some model can be had from. One that this server has no access to is
/// listed and says so, but keeps nothing healthy.
#[utoipa::path(
    get,
    path = "/v1/health/inference/providers",
    tag = "health",
    summary = "Show how providers have done lately",
    responses((status = 200, description = "Every provider that some model can be had from.", body = ProvidersOut)),
    security(("api_key" = ["health:read"]))
)]
pub(super) async fn get_provider_health(
    caller: Authorized<HealthRead>,
    state: Data<AppState>,
) -> Success<ProvidersOut> {
    let names: BTreeSet<ProviderName> =
        state.catalogue.models().iter().flat_map(|model| model.providers()).collect();
    let providers: Vec<ProviderOut> =
        names.into_iter().map(|name| provider(&state, name, caller.at)).collect();
    let degraded = HealthStatus::Degraded.as_str();
    let healthy = providers.iter().any(|one| one.configured && one.status != degraded);
    let providers_total = providers.len();
    let out = ProvidersOut { service: "providers", healthy, providers, providers_total };
    Success::new("Provider health data retrieved successfully", out)
}

fn provider(state: &AppState, name: ProviderName, now: DateTime<Utc>) -> ProviderOut {
    let report = state.router.health(name, now);
    let service = state.offering.service(name);
    let total_attempts = report.attempts();
    let failure_rate = match total_attempts {
        0 => 0.0,
        // Four digits: more would only be noise in the answer.
        total => (report.failures as f64 / total as f64 * 10_000.0).round() / 10_000.0,
    };
    ProviderOut {
        provider: name.as_str(),
        status: report.status.as_str(),
        failure_rate,
        window: WindowOut {
            total_attempts,
            failures: report.failures,
            successes: report.successes,
            duration_seconds: state.router.rules().breaker.window.as_secs(),
        },
        configured: state.configured_providers.contains(&name),
        emulated: !name.is_sandbox() && service == Some(Service::Simulated),
    }
}
