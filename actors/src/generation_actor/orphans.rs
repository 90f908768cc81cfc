//! Files of generations that have none: what was stored for one that was canceled, deleted or
//! failed meanwhile.

use tokio::time::sleep;

use crate::env::Env;
use crate::generation::{Generation, Status};
use crate::generation_actor::{RETRY_INITIAL, RETRY_MAX};
use crate::id::{AccountId, GenerationId};
use crate::retry::Waits;

/// How often it is tried before the files are left to the deletion of their generation.
const TRIES: u32 = 4;

/// Removes what is stored of a generation, unless it is in flight or has succeeded: neither can
/// become true again. Called when a result has been stored and could not be written down.
pub async fn remove(env: &Env, account_id: AccountId, id: GenerationId) {
    let folder = env.outputs.folder(account_id, id);
    let mut waits = Waits::new(RETRY_INITIAL, RETRY_MAX);
    for left in (0..TRIES).rev() {
        let done = async {
            let found = env.generations.find(account_id, id).await?;
            if found.as_ref().is_some_and(keeps_files) {
                return Ok(0);
            }
            env.outputs.remove(&folder).await
        };
        match done.await {
            Ok(_) => return,
            Err(error) => tracing::warn!(generation = %id, %error, left, "orphans are left"),
        }
        if left > 0 {
            sleep(waits.next(env.ids.spread())).await;
        }
    }
}

fn keeps_files(generation: &Generation) -> bool {
    match generation.status() {
        Status::Pending | Status::Processing | Status::Succeeded => true,
        Status::Failed | Status::Canceled => false,
    }
}
