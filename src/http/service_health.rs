//! `GET /v1/health/storage` and `…/cache`: whether what this server stands on works, found out
//! by using it. What does not work is data of a success, since an error has no place for it
//! (`spec/contract.md` 10.5).

use std::time::Duration;

use actix_web::web::Data;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::AppState;
use super::envelope::Success;
use crate::auth::{Auth, Authorized, HealthRead};
use crate::outputs::BUCKET;

/// `spec/contract.md` 10.3.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StorageHealth)]
pub(super) struct StorageOut {
    /// `storage`
    service: &'static str,
    healthy: bool,
    #[schema(minimum = 0)]
    latency_ms: f64,
    bucket: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Only when it is not healthy.
    #[schema(nullable = false)]
    error: Option<&'static str>,
}

/// `spec/contract.md` 10.4.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CacheHealth)]
pub(super) struct CacheOut {
    /// `redis`
    service: &'static str,
    healthy: bool,
    #[schema(minimum = 0)]
    latency_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Only when it is not healthy.
    #[schema(nullable = false)]
    error: Option<&'static str>,
}

#[utoipa::path(
    get,
    path = "/v1/health/storage",
    tag = "health",
    summary = "Show whether outputs can be stored",
    responses((status = 200, description = "Found out by writing and reading.", body = StorageOut)),
    security(("api_key" = ["health:read"]))
)]
pub(super) async fn get_storage_health(
    _: Authorized<HealthRead>,
    state: Data<AppState>,
) -> Success<StorageOut> {
    let probed = state.storage_probe.probe().await;
    let out = StorageOut {
        service: "storage",
        healthy: probed.error.is_none(),
        latency_ms: milliseconds(probed.took),
        bucket: BUCKET,
        error: probed.error,
    };
    Success::new("Storage health data retrieved successfully", out)
}

/// The contract calls every cache by this name; ours is in the process.
#[utoipa::path(
    get,
    path = "/v1/health/cache",
    tag = "health",
    summary = "Show whether the cache works",
    responses((status = 200, description = "Found out by writing and reading.", body = CacheOut)),
    security(("api_key" = ["health:read"]))
)]
pub(super) async fn get_cache_health(
    _: Authorized<HealthRead>,
    auth: Data<Auth>,
) -> Success<CacheOut> {
    let began = Instant::now();
    let healthy = auth.probe_cache();
    let out = CacheOut {
        service: "redis",
        healthy,
        latency_ms: milliseconds(began.elapsed()),
        error: (!healthy).then_some("the cache has answered something else than was written"),
    };
    Success::new("Cache health data retrieved successfully", out)
}

/// To the microsecond.
fn milliseconds(took: Duration) -> f64 {
    took.as_micros() as f64 / 1000.0
}
