//! What routing knows, over a restart: a copy in the database, and the attempts that have ended
//! since it was taken.

use actors::ports::StoreError;
use actors::ports::routing::RoutingStore;
use actors::router::{REMEMBERED, Router};
use chrono::{DateTime, TimeDelta, Utc};
use providers::clock::Clock;

/// Most attempts that are read back: far more than it takes to judge every provider.
const ATTEMPTS_MAX: u32 = 100_000;

/// Fills a router that knows nothing. A copy that cannot be read is as good as none.
///
/// # Errors
/// [`StoreError`]; the router knows nothing then.
pub async fn recall(
    router: &Router,
    store: &dyn RoutingStore,
    region: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let snapshot = match store.find_routing(region).await {
        Err(StoreError::Corrupt(problem)) => {
            tracing::warn!(problem, "what was known of providers cannot be read");
            None
        }
        found => found?,
    };
    let window = TimeDelta::from_std(router.rules().breaker.window).unwrap_or(REMEMBERED);
    let since = match &snapshot {
        // The counts of health are not in the copy.
        Some(snapshot) => snapshot.taken_at.max(now - REMEMBERED).min(now - window),
        None => now - REMEMBERED.max(window),
    };
    let ended = store.list_ended_any_account(since, ATTEMPTS_MAX).await?;
    router.restore(snapshot, &ended);
    Ok(())
}

/// Writes down what is known.
pub async fn keep(router: &Router, store: &dyn RoutingStore, region: &str, clock: &dyn Clock) {
    let snapshot = router.snapshot(clock.now());
    if let Err(error) = store.save_routing(region, snapshot).await {
        tracing::warn!(%error, "what is known of providers was not written down");
    }
}
