//! Empties accounts that were deleted: what is in flight is canceled, generations go with their
//! files, and then the rest.
//!
//! It starts from what is on disk and may be broken off anywhere; the next round goes on.

use std::sync::Arc;
use std::time::Duration;

use actors::engine::Engine;
use actors::engine::deletion::DeleteError;
use actors::id::AccountId;
use actors::ports::people::RemovalStore;
use actors::ports::{GenerationStore, StoreError};
use chrono::TimeDelta;
use providers::clock::Clock;
use tokio::time::sleep;

use crate::store::Store;

/// How often is looked for accounts.
const EVERY: Duration = Duration::from_secs(5);
/// How long to wait after a deletion: a key that was recognized a moment before may have been
/// used, and what it was used for has to be there to be found.
const SETTLED: TimeDelta = TimeDelta::seconds(5);
/// Accounts, and generations of each, in one round.
const ACCOUNTS: u32 = 16;
const GENERATIONS: u32 = 200;

/// Goes on until it is dropped.
pub async fn run(store: Arc<Store>, engine: Engine, clock: Arc<dyn Clock>) {
    loop {
        if let Err(error) = round(&store, &engine, clock.as_ref()).await {
            tracing::warn!(%error, "deleted accounts were not emptied");
        }
        sleep(EVERY).await;
    }
}

async fn round(store: &Store, engine: &Engine, clock: &dyn Clock) -> Result<(), StoreError> {
    let before = clock.now() - SETTLED;
    for account_id in store.list_removals_any_account(before, ACCOUNTS).await? {
        if empty(store, engine, account_id).await? {
            store.finish_removal(account_id, clock.now()).await?;
        }
    }
    Ok(())
}

/// Deletes generations; answers whether none is left.
async fn empty(store: &Store, engine: &Engine, account_id: AccountId) -> Result<bool, StoreError> {
    let generations = store.list(account_id, 0, GENERATIONS).await?;
    for generation in &generations {
        match engine.delete(account_id, generation.id).await {
            Ok(_) | Err(DeleteError::NotFound) => {}
            Err(DeleteError::Outputs(error) | DeleteError::Store(error)) => return Err(error),
        }
    }
    Ok(generations.is_empty())
}
