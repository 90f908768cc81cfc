//! Whether this process runs, and whether it should be given work.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use async_trait::async_trait;
use serde_json::json;
use tokio::time::timeout;

use super::AppState;

/// A check that takes longer has found something: probes give up after a few seconds.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Knows whether work moves.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Why this process should not be given work; empty when it should.
    async fn problems(&self) -> Vec<String>;
}

/// Answers as long as requests are served at all.
pub(super) async fn get_livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "live": true }))
}

/// For load balancers, so without a key, and without anything that a stranger may not know.
pub(super) async fn get_readyz(state: web::Data<AppState>) -> HttpResponse {
    let problems = timeout(CHECK_TIMEOUT, state.readiness.problems()).await;
    let problems = problems.unwrap_or_else(|_| vec!["the check did not end in time".to_owned()]);
    if problems.is_empty() {
        HttpResponse::Ok().json(json!({ "ready": true }))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({ "ready": false, "reasons": problems }))
    }
}
