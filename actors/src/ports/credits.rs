//! What an account has, and what it has spent.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};

use crate::account::Standing;
use crate::id::{AccountId, GenerationId};
use crate::ledger::LedgerEntry;
use crate::ports::StoreError;

/// The credit of an account, as its members look at it.
#[async_trait]
pub trait CreditStore: Send + Sync {
    /// What an account has in flight and can spend.
    async fn find_standing(&self, id: AccountId) -> Result<Option<Standing>, StoreError>;

    /// What an account has used of its credit since that time: what was put aside, less what came
    /// back. In thousandths; below zero when more came back.
    async fn spent_since(
        &self,
        account_id: AccountId,
        since: DateTime<Utc>,
    ) -> Result<i64, StoreError>;

    /// How many API requests an account has made since the beginning of that day.
    async fn requests_since(
        &self,
        account_id: AccountId,
        day: NaiveDate,
    ) -> Result<u64, StoreError>;

    /// A page of the account's entries, last to first, before the number `before_seq`.
    async fn list_entries_before(
        &self,
        account_id: AccountId,
        before_seq: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StoreError>;

    /// The entries of one generation, first to last.
    async fn list_entries_of(
        &self,
        account_id: AccountId,
        generation_id: GenerationId,
    ) -> Result<Vec<LedgerEntry>, StoreError>;
}
