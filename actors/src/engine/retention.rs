//! Letting go of what is not kept for longer, a bounded page at a time.
//!
//! Files go before the record says so, and a record goes after its files, so whatever dies in
//! between is completed by the next round. A file that cannot be removed is left for that round
//! too; when many cannot, the store of outputs is not asked further.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use crate::account::Plan;
use crate::batch::{Advance, AdvanceRefusal, DeleteRefusal};
use crate::engine::Engine;
use crate::engine::deletion::DeleteError;
use crate::generation::Event;
use crate::ports::StoreError;
use crate::ports::retention::{GenerationKey, RetentionStore};
use crate::retention::Retention;

/// Rows in a page: some milliseconds for whoever waits for the same tables.
const PAGE: u32 = 500;
/// Between two pages others come to their turn.
const PAUSE: Duration = Duration::from_millis(20);
/// Generations whose files are removed at once.
const AT_ONCE: usize = 16;
/// So many files that could not be removed may be odd ones.
const FAILED_MAX: u32 = 16;

/// How many were let go of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Generations that had files.
    pub files: u64,
    /// Generations.
    pub generations: u64,
    /// Webhook deliveries.
    pub deliveries: u64,
    /// Webhook deliveries that were queued for a disabled endpoint, and have expired.
    pub queued: u64,
    /// Notifications.
    pub notifications: u64,
    /// Generations whose attempts were still there.
    pub attempts: u64,
}

/// What is done with a generation that has been kept for long enough.
#[derive(Debug, Clone, Copy)]
enum Step {
    Files,
    Record,
}

impl Engine {
    /// Lets go of everything that has been kept for as long as its account's plan says.
    ///
    /// # Errors
    /// [`DeleteError`]; what was let go of before stays so, and the next round goes on.
    pub async fn clear(
        &self,
        store: &dyn RetentionStore,
        retention: &Retention,
    ) -> Result<Cleared, DeleteError> {
        let now = self.env().clock.now();
        let mut cleared = Cleared::default();
        for plan in Plan::ALL {
            let before = now - retention.queued(plan);
            cleared.queued +=
                pages(|| store.expire_queued_any_account(plan, before, now, PAGE)).await?;
            let before = now - retention.records(plan);
            cleared.deliveries +=
                pages(|| store.forget_deliveries_any_account(plan, before, PAGE)).await?;
            cleared.notifications +=
                pages(|| store.forget_notifications_any_account(plan, before, PAGE)).await?;
            let before = now - retention.attempts(plan);
            cleared.attempts +=
                pages(|| store.forget_attempts_any_account(plan, before, PAGE)).await?;
        }
        // Last, since only these need the store of outputs.
        for plan in Plan::ALL {
            let before = now - retention.files(plan);
            cleared.files += self.clear_generations(store, Step::Files, plan, before).await?;
            let before = now - retention.records(plan);
            cleared.generations +=
                self.clear_generations(store, Step::Record, plan, before).await?;
        }
        Ok(cleared)
    }

    async fn clear_generations(
        &self,
        store: &dyn RetentionStore,
        step: Step,
        plan: Plan,
        before: DateTime<Utc>,
    ) -> Result<u64, DeleteError> {
        let (mut after, mut cleared, mut failed) = (None, 0, 0);
        loop {
            let page = match step {
                Step::Files => {
                    store.list_files_before_any_account(plan, before, after, PAGE).await?
                }
                Step::Record => {
                    store.list_ended_before_any_account(plan, before, after, PAGE).await?
                }
            };
            let is_last = page.len() < PAGE as usize;
            after = page.last().copied();
            let keys = stream::iter(page).map(|key| async move {
                match step {
                    Step::Files => self.clear_files(key).await,
                    Step::Record => self.clear_record(key).await,
                }
            });
            let mut done = keys.buffer_unordered(AT_ONCE);
            while let Some(done) = done.next().await {
                match done {
                    Ok(done) => cleared += u64::from(done),
                    Err(DeleteError::Outputs(error)) if failed < FAILED_MAX => {
                        tracing::warn!(%error, "files that are not kept any more are left");
                        failed += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
            if is_last {
                return Ok(cleared);
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether somebody else was not faster.
    async fn clear_files(&self, (account_id, id): GenerationKey) -> Result<bool, DeleteError> {
        let _turn = self.inner.deletions.take(id).await;
        let env = self.env();
        let folder = env.outputs.folder(account_id, id);
        env.outputs.remove(&folder).await.map_err(DeleteError::Outputs)?;
        let events = vec![Event::FilesRemoved { at: env.clock.now() }];
        let advance = Advance { account_id, id, epoch: None, events };
        match env.generations.advance(advance).await? {
            Ok(_) => Ok(true),
            Err(
                AdvanceRefusal::NotFound | AdvanceRefusal::Fenced | AdvanceRefusal::Conflict(_),
            ) => Ok(false),
        }
    }

    /// Likewise. Other than when its owner deletes it, no actor can be storing a result of it.
    async fn clear_record(&self, (account_id, id): GenerationKey) -> Result<bool, DeleteError> {
        let _turn = self.inner.deletions.take(id).await;
        let env = self.env();
        let folder = env.outputs.folder(account_id, id);
        env.outputs.remove(&folder).await.map_err(DeleteError::Outputs)?;
        match env.generations.delete(account_id, id).await? {
            Ok(()) => Ok(true),
            Err(DeleteRefusal::NotFound | DeleteRefusal::InFlight) => Ok(false),
        }
    }
}

/// Repeats until a page is not full.
async fn pages<F>(page: impl Fn() -> F) -> Result<u64, StoreError>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    let mut all = 0;
    loop {
        let removed = page().await?;
        all += removed;
        if removed < u64::from(PAGE) {
            return Ok(all);
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests;
