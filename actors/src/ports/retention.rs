//! What is kept for a time only.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::account::Plan;
use crate::id::{AccountId, GenerationId};
use crate::ports::StoreError;

/// A generation by its key.
pub type GenerationKey = (AccountId, GenerationId);

/// What is older than it is kept, a page at a time, over the accounts of one plan: so a changed
/// plan counts from the next page on. Nothing here looks at more than the oldest rows of each
/// account.
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// Generations that succeeded before that time and still have their files, in the order of
    /// their keys, after the last one of the page before.
    async fn list_files_before_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        after: Option<GenerationKey>,
        limit: u32,
    ) -> Result<Vec<GenerationKey>, StoreError>;

    /// Generations that ended before that time, likewise. None that is in flight.
    async fn list_ended_before_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        after: Option<GenerationKey>,
        limit: u32,
    ) -> Result<Vec<GenerationKey>, StoreError>;

    /// Those of these generations that may have files: those in flight, and those that succeeded
    /// and whose files were not removed.
    async fn list_keepers_any_account(
        &self,
        keys: &[GenerationKey],
    ) -> Result<Vec<GenerationKey>, StoreError>;

    /// Removes deliveries that ended before that time, with their tries, and answers how many.
    async fn forget_deliveries_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Gives up what was queued for disabled endpoints before that time, oldest first, and answers
    /// how many.
    async fn expire_queued_any_account(
        &self,
        plan: Plan,
        queued_before: DateTime<Utc>,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Removes notifications from before that time, and answers how many.
    async fn forget_notifications_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Removes the attempts of generations that were accepted before that time and are gone, and
    /// answers of how many generations.
    async fn forget_attempts_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError>;
}
