//! One submission to one provider for one generation.

use chrono::{DateTime, Utc};
use providers::JobRef;
use providers::name::ProviderName;
use uuid::Uuid;

use crate::failure::Failure;

/// One submission to one provider. Written to the database before the request leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first provider, 2 and more after failover.
    pub number: u32,
    /// Our id of the submission, by which a provider may find it again.
    pub correlation: Uuid,
    /// Whom we asked.
    pub provider: ProviderName,
    /// The provider's own name of the model.
    pub raw_model: String,
    /// When it was about to leave.
    pub submitted_at: DateTime<Utc>,
    /// When we stop waiting for it.
    pub deadline_at: DateTime<Utc>,
    /// What it is estimated to cost, in millionths of a credit.
    pub estimated_cost_microcredits: i64,
    /// The provider's job; absent while we do not know that it was accepted.
    pub job: Option<JobRef>,
    /// What became of it.
    pub outcome: AttemptOutcome,
}

/// What became of an attempt.
///
/// `pending -> used | failed | canceled`, and a result that comes after `failed` or
/// `canceled` makes it `discarded`: somebody may have to pay for it, nobody receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Not known yet.
    Pending,
    /// Its result was delivered.
    Used {
        /// When.
        at: DateTime<Utc>,
    },
    /// It came to nothing.
    Failed {
        /// When.
        at: DateTime<Utc>,
        /// Why.
        failure: Failure,
    },
    /// A result came too late to be used.
    Discarded {
        /// When.
        at: DateTime<Utc>,
    },
    /// The generation was canceled first.
    Canceled {
        /// When.
        at: DateTime<Utc>,
    },
}

impl AttemptOutcome {
    /// The text in tables. The wire spells the last one `cancelled` (`spec/contract.md` 7.3).
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Used { .. } => "used",
            Self::Failed { .. } => "failed",
            Self::Discarded { .. } => "discarded",
            Self::Canceled { .. } => "canceled",
        }
    }

    /// When it was decided.
    pub fn resolved_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Pending => None,
            Self::Used { at }
            | Self::Failed { at, .. }
            | Self::Discarded { at }
            | Self::Canceled { at } => Some(*at),
        }
    }
}

impl Attempt {
    /// Whether its outcome is still open.
    pub fn is_pending(&self) -> bool {
        self.outcome == AttemptOutcome::Pending
    }

    /// The name that a job has as long as the provider has told us none: our own.
    pub fn own_job(&self) -> JobRef {
        JobRef(self.correlation.to_string())
    }

    /// The job under the name that the provider knows it by.
    pub fn job_at_provider(&self) -> Option<&JobRef> {
        self.job.as_ref().filter(|job| **job != self.own_job())
    }
}
