//! What is counted of an account.

use async_trait::async_trait;
use chrono::NaiveDate;

use crate::id::AccountId;
use crate::ports::StoreError;
use crate::tally::{Tally, What};

/// How fine counts are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// By the hour. Hours are kept for two days.
    Hour,
    /// By the day.
    Day,
}

/// A count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedTally {
    /// The hour or day as its text ([`crate::tally::hour`]); empty for the whole time.
    pub at: String,
    /// Of which kind.
    pub what: What,
    /// Which of that kind.
    pub name: String,
    /// How often, and how much.
    pub tally: Tally,
}

/// What is counted of an account. Written with what is counted, see
/// [`GenerationStore`](crate::ports::GenerationStore) and
/// [`RequestLogStore`](crate::ports::RequestLogStore).
#[async_trait]
pub trait TallyStore: Send + Sync {
    /// Everything since an hour or day, by its text. Kinds in `over_time` are by hour or day, the
    /// others are of the whole time.
    async fn list_tallies(
        &self,
        account_id: AccountId,
        since: &str,
        grain: Grain,
        over_time: &[What],
    ) -> Result<Vec<CountedTally>, StoreError>;

    /// Puts the hours of days before this one together: of those that the `limit` oldest rows are
    /// of. Answers how many days of accounts; what is counted stays the same.
    async fn compact_tallies_any_account(
        &self,
        before: NaiveDate,
        limit: u32,
    ) -> Result<u64, StoreError>;
}
