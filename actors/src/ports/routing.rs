//! What routing remembers over a restart, and what it is judged by afterwards.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::attempt::EndedAttempt;
use crate::id::{AccountId, GenerationId};
use crate::ports::StoreError;
use crate::router::Snapshot;

/// Where in an account's attempts a page ends: the generation, and the number of the attempt.
pub type AttemptPlace = (GenerationId, u32);

/// Attempts across all accounts, and what was made of them.
#[async_trait]
pub trait RoutingStore: Send + Sync {
    /// Attempts that ended after `since`, with how they ended; the latest first.
    async fn list_ended_any_account(
        &self,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<EndedAttempt>, StoreError>;

    /// A page of an account's attempts that were sent after `since` and have ended, after the one
    /// where the page before ended. Answers with each where it is.
    async fn list_ended(
        &self,
        account_id: AccountId,
        since: DateTime<Utc>,
        after: Option<AttemptPlace>,
        limit: u32,
    ) -> Result<Vec<(AttemptPlace, EndedAttempt)>, StoreError>;

    /// Replaces the copy of what is known in a region.
    async fn save_routing(&self, region: &str, snapshot: Snapshot) -> Result<(), StoreError>;

    /// The last such copy. One that cannot be read is as good as none, and is said to be corrupt.
    async fn find_routing(&self, region: &str) -> Result<Option<Snapshot>, StoreError>;
}
