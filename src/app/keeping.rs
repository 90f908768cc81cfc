//! What is written down and what is let go of from time to time.

use std::sync::Arc;
use std::time::Duration;

use actors::engine::Engine;
use actors::engine::retention::Cleared;
use actors::ports::IdempotencyStore;
use actors::ports::tallies::TallyStore;
use chrono::TimeDelta;
use providers::clock::Clock;
use tokio::time::sleep;

use crate::app::Routing;
use crate::auth::Auth;
use crate::config::RetentionConfig;
use crate::outputs::Outputs;
use crate::request_log;
use crate::store::Store;

/// How often it is written down when keys were last used.
const LAST_USED_INTERVAL: Duration = Duration::from_secs(1);
/// How often expired idempotency keys are removed, and how many at once.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);
const FORGET_PAGE: u32 = 1000;
/// How often requests that are too old are removed from the log.
const PRUNE_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Charts of a day are drawn by the hour.
const HOURS_KEPT: TimeDelta = TimeDelta::days(1);
/// Rows whose days are put together at once, and the pause after them.
const TALLY_ROWS: u32 = 1000;
const TALLY_PAUSE: Duration = Duration::from_millis(100);

/// Removes what has been kept for as long as the plans say.
pub(super) async fn clear(engine: Engine, store: Arc<Store>, config: RetentionConfig) {
    loop {
        match engine.clear(&*store, &config.kept).await {
            Ok(cleared) if cleared == Cleared::default() => {}
            Ok(cleared) => tracing::info!(?cleared, "what was kept for long enough is gone"),
            Err(error) => {
                let cause = std::error::Error::source(&error);
                tracing::warn!(%error, ?cause, "not all was removed that is kept no longer");
            }
        }
        sleep(config.interval).await;
    }
}

/// Removes files that no generation has, as often as they get old enough for it.
pub(super) async fn remove_orphans(
    outputs: Arc<Outputs>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    config: RetentionConfig,
) {
    let after = TimeDelta::from_std(config.orphans_after).unwrap_or(TimeDelta::MAX);
    loop {
        // A process that has just started has more urgent things to do.
        sleep(config.orphans_after).await;
        match outputs.remove_orphans(&*store, clock.now() - after).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "files of no generation were removed"),
            Err(error) => {
                let cause = std::error::Error::source(&error);
                tracing::warn!(%error, ?cause, "files of no generation were not all removed");
            }
        }
    }
}

/// Puts hours together that nobody asks for any more.
pub(super) async fn compact_tallies(store: Arc<Store>, clock: Arc<dyn Clock>) {
    loop {
        let before = (clock.now() - HOURS_KEPT).date_naive();
        match store.compact_tallies_any_account(before, TALLY_ROWS).await {
            Ok(1..) => {
                sleep(TALLY_PAUSE).await;
                continue;
            }
            Ok(0) => {}
            Err(error) => tracing::warn!(%error, "hours were not put together to days"),
        }
        sleep(PRUNE_INTERVAL).await;
    }
}

/// Removes what is too old from the log of requests.
pub(super) async fn forget_requests(store: Arc<Store>, keep_max: Duration, clock: Arc<dyn Clock>) {
    loop {
        match request_log::forget_old(&*store, keep_max, clock.now()).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "old requests were removed from the log"),
            Err(error) => tracing::warn!(%error, "old requests were not removed from the log"),
        }
        sleep(PRUNE_INTERVAL).await;
    }
}

/// Writes down what authentication has collected, and lets go of what it need not remember.
pub(super) async fn look_after(auth: Arc<Auth>, clock: Arc<dyn Clock>) {
    loop {
        sleep(LAST_USED_INTERVAL).await;
        auth.limits().sweep(clock.now());
        if let Err(error) = auth.flush_last_used().await {
            tracing::warn!(%error, "it was not written down when keys were last used");
        }
    }
}

/// Forgets idempotency keys whose day is over, a page at a time, so that the table does not
/// grow for ever and no transaction is long.
pub(super) async fn forget_expired(store: Arc<Store>, clock: Arc<dyn Clock>) {
    loop {
        sleep(FORGET_INTERVAL).await;
        loop {
            match store.forget_expired_any_account(clock.now(), FORGET_PAGE).await {
                Ok(forgotten) if forgotten == u64::from(FORGET_PAGE) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "expired idempotency keys were not removed");
                    break;
                }
            }
        }
    }
}

/// Writes down from time to time what is known of providers.
pub(super) async fn keep_routing(routing: Routing, store: Arc<Store>, interval: Duration) {
    loop {
        sleep(interval).await;
        routing.keep(&store).await;
    }
}
