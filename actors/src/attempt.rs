//! One submission to one provider for one generation.

use chrono::{DateTime, Utc};
use providers::name::ProviderName;
use providers::{Cost, JobRef};
use uuid::Uuid;

use crate::failure::Failure;
use crate::routing::choice::Decision;

/// One submission to one provider. Written to the database before the request leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first provider, 2 and more after failover.
    pub number: u32,
    /// Our id of the submission, by which a provider may find it again.
    pub correlation: Uuid,
    /// Whom we asked.
    pub provider: ProviderName,
    /// The model's public identifier: attempts outlive the record of their generation.
    pub model: String,
    /// The provider's own name of the model.
    pub raw_model: String,
    /// When it was about to leave.
    pub submitted_at: DateTime<Utc>,
    /// When we stop waiting for it.
    pub deadline_at: DateTime<Utc>,
    /// What decided that the generation begins where it does; with the first attempt, how likely
    /// that was.
    pub decision: Decision,
    /// How much work it is, in thousandths of a unit ([`crate::routing::workload`]).
    pub work_milli: u32,
    /// What it is estimated to cost, in millionths of a credit.
    pub estimated_cost_microcredits: i64,
    /// What the provider takes for it, where that is known.
    pub provider_cost: Option<ProviderCost>,
    /// The provider's job; absent while we do not know that it was accepted.
    pub job: Option<JobRef>,
    /// What became of it.
    pub outcome: AttemptOutcome,
}

/// What a provider takes for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderCost {
    /// How much.
    pub cost: Cost,
    /// Who says so.
    pub source: CostSource,
}

/// Who says what an attempt costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostSource {
    /// The provider itself.
    Reported,
    /// The catalogue: what the provider's price list says.
    Catalogue,
}

impl CostSource {
    /// The text in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Catalogue => "catalogue",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Reported, Self::Catalogue].into_iter().find(|source| source.as_str() == text)
    }
}

/// An attempt that has ended, as far as it says something about its provider.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedAttempt {
    /// The model's public identifier.
    pub model: String,
    /// Whom we asked.
    pub provider: ProviderName,
    /// What became of it.
    pub outcome: AttemptOutcome,
    /// When it was sent.
    pub submitted_at: DateTime<Utc>,
    /// How much work it was, in thousandths of a unit.
    pub work_milli: u32,
    /// What the provider takes over what the client pays, where that is known.
    pub cost_share: Option<f64>,
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
    /// The text in tables.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Used { .. } => "used",
            Self::Failed { .. } => "failed",
            Self::Discarded { .. } => "discarded",
            Self::Canceled { .. } => "canceled",
        }
    }

    /// The text on the wire, which spells one of them with two l (`spec/contract.md` 7.3).
    pub fn wire_str(&self) -> &'static str {
        match self {
            Self::Canceled { .. } => "cancelled",
            Self::Pending | Self::Used { .. } | Self::Failed { .. } | Self::Discarded { .. } => {
                self.as_str()
            }
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
    /// What it says about its provider.
    pub(crate) fn ended(&self) -> EndedAttempt {
        EndedAttempt {
            model: self.model.clone(),
            provider: self.provider,
            outcome: self.outcome.clone(),
            submitted_at: self.submitted_at,
            work_milli: self.work_milli,
            cost_share: cost_share(
                self.provider_cost.map(|cost| cost.cost),
                self.estimated_cost_microcredits,
            ),
        }
    }

    /// Notes what the provider says that it takes, if it says anything.
    pub(crate) fn report_cost(&mut self, cost: Option<Cost>) {
        if let Some(cost) = cost {
            self.provider_cost = Some(ProviderCost { cost, source: CostSource::Reported });
        }
    }

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

/// Cost over price, both in millionths of the same: a credit is a dollar (`spec/contract.md` 9.1).
pub fn cost_share(cost: Option<Cost>, price_microcredits: i64) -> Option<f64> {
    cost.filter(|_| price_microcredits > 0).map(|cost| cost.0 as f64 / price_microcredits as f64)
}
