//! What those who run the server look at.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::id::{AccountId, ActivityId, EndpointId};
use crate::operator::{NewOperatorAction, OperatorAction};
use crate::ports::StoreError;

/// The log of what was done to accounts and people, and what waits in the tables.
#[async_trait]
pub trait OperatorStore: Send + Sync {
    /// A page of the log, newest first, before the last one of the page before; of one account
    /// if it is named.
    async fn list_operator_actions(
        &self,
        about: Option<AccountId>,
        before: Option<ActivityId>,
        limit: u32,
    ) -> Result<Vec<OperatorAction>, StoreError>;

    /// Writes down what happened outside of a unit of work of its own.
    async fn record_action(&self, action: NewOperatorAction) -> Result<(), StoreError>;

    /// What waits, and for how long. Rows of each kind are counted up to `counted_max`.
    async fn waiting_any_account(
        &self,
        now: DateTime<Utc>,
        counted_max: u32,
    ) -> Result<Waiting, StoreError>;
}

/// Generations younger than these are counted apart, in seconds: see [`InFlight::ages`].
pub const AGES: [i64; 3] = [10, 60, 600];

/// What waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Generations in flight, by status.
    pub generations: Vec<InFlight>,
    /// Endpoints with the most that is to be sent, the most first.
    pub endpoints: Vec<EndpointBacklog>,
    /// Mails that are to be sent.
    pub mails: u64,
    /// When the first of them is due.
    pub mail_due_at: Option<DateTime<Utc>>,
}

/// Generations in flight of one status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// Which.
    pub status: String,
    /// How many are younger than each of [`AGES`] and not than the one before, and how many are
    /// older than all of them.
    pub ages: [u64; AGES.len() + 1],
    /// When the oldest was accepted.
    pub oldest_at: DateTime<Utc>,
}

/// What an endpoint is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointBacklog {
    /// Whose.
    pub account_id: AccountId,
    /// The name of that account.
    pub account_name: String,
    /// Which endpoint.
    pub endpoint_id: EndpointId,
    /// How many deliveries.
    pub pending: u64,
    /// When the first of them is due.
    pub due_at: DateTime<Utc>,
}
