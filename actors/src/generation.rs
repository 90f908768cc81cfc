//! The state machine of a generation.
//!
//! ```mermaid
//! stateDiagram-v2
//!     [*] --> pending
//!     pending --> processing: a provider accepted
//!     pending --> failed
//!     pending --> canceled
//!     processing --> succeeded
//!     processing --> failed
//!     processing --> canceled
//! ```
//!
//! [`TRANSITIONS`] is the whole machine as data; [`Generation::apply`] follows it, the store
//! writes with the state it expected in the WHERE, and the schema repeats it as CHECKs.
//! A result that comes after the end changes its attempt (`discarded`), never the generation.

use std::time::Duration;

use chrono::{DateTime, Utc};
use providers::name::ProviderName;
use providers::{Cost, JobRef, MediaKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::attempt::{Attempt, AttemptOutcome, CostSource, ProviderCost};
use crate::catalogue::PriceSource;
use crate::failure::Failure;
use crate::id::{AccountId, ApiKeyId, GenerationId};
use crate::idempotency::Claim;
use crate::input::Input;
use crate::money::Credits;
use crate::routing::choice::Decision;
use crate::routing::workload::work_milli;
use crate::spending::Month;

/// One accepted request for output, from acceptance to one terminal state.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The tenant.
    pub account_id: AccountId,
    /// Its id.
    pub id: GenerationId,
    /// The model's public identifier.
    pub model: String,
    /// What the model makes.
    pub media: MediaKind,
    /// The validated request.
    pub input: Input,
    /// What was reserved for it, in full.
    pub amount: Credits,
    /// Out of which price.
    pub pricing: Pricing,
    /// The key that asked for it, and the month in which it counts against that key's limit.
    pub asked_by: AskedBy,
    /// Fencing token: it grows each time another process takes the generation over, and
    /// writes of an older one are refused.
    pub epoch: i64,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it fails if it is still running.
    pub deadline_at: DateTime<Utc>,
    state: State,
    attempts: Vec<Attempt>,
}

/// Where a generation stands, with what is known exactly then.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Accepted, credit reserved, no provider has taken it.
    Pending,
    /// A provider has taken it.
    Processing {
        /// Since when.
        started_at: DateTime<Utc>,
    },
    /// Its outputs are stored.
    Succeeded {
        /// When a provider took it.
        started_at: DateTime<Utc>,
        /// When the outputs were stored.
        completed_at: DateTime<Utc>,
        /// The outputs, in order.
        outputs: Vec<StoredFile>,
        /// The provider's own running time, where it reports one.
        predict_time: Option<Duration>,
        /// When the outputs were removed, because they are not kept for longer.
        files_removed_at: Option<DateTime<Utc>>,
    },
    /// It came to nothing; the credit is back.
    Failed {
        /// When a provider took it, if one did.
        started_at: Option<DateTime<Utc>>,
        /// When it was given up.
        completed_at: DateTime<Utc>,
        /// Why.
        failure: Failure,
    },
    /// Its owner stopped it in time; the credit is back.
    Canceled {
        /// When a provider took it, if one did.
        started_at: Option<DateTime<Utc>>,
        /// When it was canceled.
        completed_at: DateTime<Utc>,
    },
}

/// One stored output. The key is kept, the URL is derived from `server.public_url`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Object key.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// The bare name of a [`State`], for storage, filters and the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// See [`State::Pending`].
    Pending,
    /// See [`State::Processing`].
    Processing,
    /// See [`State::Succeeded`].
    Succeeded,
    /// See [`State::Failed`].
    Failed,
    /// See [`State::Canceled`].
    Canceled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Processing, Self::Succeeded, Self::Failed, Self::Canceled];

    /// The text in tables and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nothing can change any more.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Processing => false,
            Self::Succeeded | Self::Failed | Self::Canceled => true,
        }
    }
}

/// Where an amount comes from, kept so that an audit need not guess what a price was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pricing {
    /// What one output costs.
    pub cost_per_output: Credits,
    /// Who set the price.
    pub source: PriceSource,
    /// Which catalogue it stood in.
    pub catalogue_version: String,
}

/// Who asked for a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AskedBy {
    /// The key.
    pub key: Option<ApiKeyId>,
    /// The month in which the amount counts against the key's limit; `None` where no key that
    /// still exists asked.
    pub month: Option<Month>,
}

impl AskedBy {
    /// The key, where the amount counts against its limit.
    pub fn counted(&self) -> Option<ApiKeyId> {
        self.key.filter(|_| self.month.is_some())
    }
}

/// A fact about a generation.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A submission is about to leave.
    AttemptStarted(NewAttempt),
    /// A provider took the job.
    Accepted {
        /// Which attempt.
        attempt: u32,
        /// The provider's job.
        job: JobRef,
        /// What the provider says that it takes.
        cost: Option<Cost>,
        /// When.
        at: DateTime<Utc>,
    },
    /// An attempt came to nothing.
    AttemptFailed {
        /// Which attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// When.
        at: DateTime<Utc>,
    },
    /// The outputs of an attempt are stored.
    Completed {
        /// Which attempt.
        attempt: u32,
        /// The stored outputs.
        outputs: Vec<StoredFile>,
        /// The provider's own running time.
        predict_time: Option<Duration>,
        /// What the provider says that it takes.
        cost: Option<Cost>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Nothing is left to be tried.
    Failed {
        /// Why.
        failure: Failure,
        /// When.
        at: DateTime<Utc>,
    },
    /// The owner asked to stop.
    Canceled {
        /// When.
        at: DateTime<Utc>,
    },
    /// A result of an attempt that no longer counts.
    ResultDiscarded {
        /// Which attempt.
        attempt: u32,
        /// What the provider says that it takes.
        cost: Option<Cost>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Its outputs are gone, because they are not kept for longer.
    FilesRemoved {
        /// When.
        at: DateTime<Utc>,
    },
}

/// What is known of a submission before it leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAttempt {
    /// Our id of it.
    pub correlation: Uuid,
    /// Whom we ask.
    pub provider: ProviderName,
    /// The provider's own name of the model.
    pub raw_model: String,
    /// What the provider takes for it, where the catalogue knows.
    pub cost: Option<Cost>,
    /// When.
    pub at: DateTime<Utc>,
    /// When we stop waiting.
    pub deadline_at: DateTime<Utc>,
}

/// The name of an [`Event`], for the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// See [`Event::AttemptStarted`].
    AttemptStarted,
    /// See [`Event::Accepted`].
    Accepted,
    /// See [`Event::AttemptFailed`].
    AttemptFailed,
    /// See [`Event::Completed`].
    Completed,
    /// See [`Event::Failed`].
    Failed,
    /// See [`Event::Canceled`].
    Canceled,
    /// See [`Event::ResultDiscarded`].
    ResultDiscarded,
    /// See [`Event::FilesRemoved`].
    FilesRemoved,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::AttemptStarted,
        Self::Accepted,
        Self::AttemptFailed,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
        Self::ResultDiscarded,
        Self::FilesRemoved,
    ];
}

impl Event {
    /// Its name.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::AttemptStarted(_) => EventKind::AttemptStarted,
            Self::Accepted { .. } => EventKind::Accepted,
            Self::AttemptFailed { .. } => EventKind::AttemptFailed,
            Self::Completed { .. } => EventKind::Completed,
            Self::Failed { .. } => EventKind::Failed,
            Self::Canceled { .. } => EventKind::Canceled,
            Self::ResultDiscarded { .. } => EventKind::ResultDiscarded,
            Self::FilesRemoved { .. } => EventKind::FilesRemoved,
        }
    }
}

/// Every legal step: in this status, this fact leads to that status. What is not here is
/// illegal (`spec/contract.md` 7.1).
pub const TRANSITIONS: [(Status, EventKind, Status); 17] = {
    use EventKind as E;
    use Status::{Canceled, Failed, Pending, Processing, Succeeded};
    [
        (Pending, E::AttemptStarted, Pending),
        (Pending, E::AttemptFailed, Pending),
        (Pending, E::ResultDiscarded, Pending),
        (Pending, E::Accepted, Processing),
        (Pending, E::Failed, Failed),
        (Pending, E::Canceled, Canceled),
        (Processing, E::AttemptStarted, Processing),
        (Processing, E::AttemptFailed, Processing),
        (Processing, E::ResultDiscarded, Processing),
        (Processing, E::Accepted, Processing),
        (Processing, E::Completed, Succeeded),
        (Processing, E::Failed, Failed),
        (Processing, E::Canceled, Canceled),
        (Succeeded, E::ResultDiscarded, Succeeded),
        (Succeeded, E::FilesRemoved, Succeeded),
        (Failed, E::ResultDiscarded, Failed),
        (Canceled, E::ResultDiscarded, Canceled),
    ]
};

/// Where a fact leads from a status, or `None` where it is illegal.
pub fn target(status: Status, event: EventKind) -> Option<Status> {
    TRANSITIONS
        .iter()
        .find(|(from, kind, _)| *from == status && *kind == event)
        .map(|(_, _, to)| *to)
}

/// A fact that cannot be true of a generation in its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is illegal while {status:?}")]
pub struct IllegalTransition {
    /// Where the generation stands.
    pub status: Status,
    /// What was said to have happened.
    pub event: EventKind,
}

/// What a generation is made of when it is accepted.
#[derive(Debug, Clone)]
pub struct NewGeneration {
    /// The tenant.
    pub account_id: AccountId,
    /// Its id.
    pub id: GenerationId,
    /// The model's public identifier.
    pub model: String,
    /// What the model makes.
    pub media: MediaKind,
    /// The validated request.
    pub input: Input,
    /// What to reserve.
    pub amount: Credits,
    /// Out of which price.
    pub pricing: Pricing,
    /// The key that asks for it.
    pub asked_by: AskedBy,
    /// What makes a repetition of the request harmless.
    pub claim: Option<Claim>,
    /// When the request came in; the wait for an answer counts from here.
    pub asked_at: DateTime<Utc>,
    /// When it is accepted.
    pub created_at: DateTime<Utc>,
    /// When it fails if it is still running.
    pub deadline_at: DateTime<Utc>,
}

impl Generation {
    /// A new one, pending, without attempts.
    pub fn new(new: NewGeneration) -> Self {
        Self {
            account_id: new.account_id,
            id: new.id,
            model: new.model,
            media: new.media,
            input: new.input,
            amount: new.amount,
            pricing: new.pricing,
            asked_by: new.asked_by,
            epoch: 1,
            created_at: new.created_at,
            deadline_at: new.deadline_at,
            state: State::Pending,
            attempts: Vec::new(),
        }
    }

    /// One as it was stored; for the store only.
    pub fn restore(new: NewGeneration, epoch: i64, state: State, attempts: Vec<Attempt>) -> Self {
        Self { epoch, state, attempts, ..Self::new(new) }
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The bare name of where it stands.
    pub fn status(&self) -> Status {
        match self.state {
            State::Pending => Status::Pending,
            State::Processing { .. } => Status::Processing,
            State::Succeeded { .. } => Status::Succeeded,
            State::Failed { .. } => Status::Failed,
            State::Canceled { .. } => Status::Canceled,
        }
    }

    /// Its attempts, first to last.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The attempt whose outcome is open, if any: there is at most one.
    pub fn open_attempt(&self) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.is_pending())
    }

    /// The attempt of that number.
    pub fn attempt(&self, number: u32) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.number == number)
    }

    /// The provider's job of the latest attempt that has one.
    pub fn job(&self) -> Option<&JobRef> {
        self.attempts.iter().rev().find_map(|attempt| attempt.job.as_ref())
    }

    /// The provider that served it, or the last one asked when it failed (B.3); not known
    /// before the end, and nobody's when it was canceled.
    pub fn provider_used(&self) -> Option<ProviderName> {
        match self.state {
            State::Succeeded { .. } => self
                .attempts
                .iter()
                .find(|attempt| matches!(attempt.outcome, AttemptOutcome::Used { .. }))
                .map(|attempt| attempt.provider),
            State::Failed { .. } => self.attempts.last().map(|attempt| attempt.provider),
            State::Pending | State::Processing { .. } | State::Canceled { .. } => None,
        }
    }

    /// When a provider took it.
    pub fn started_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            State::Pending => None,
            State::Processing { started_at } | State::Succeeded { started_at, .. } => {
                Some(started_at)
            }
            State::Failed { started_at, .. } | State::Canceled { started_at, .. } => started_at,
        }
    }

    /// When it ended.
    pub fn completed_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            State::Pending | State::Processing { .. } => None,
            State::Succeeded { completed_at, .. }
            | State::Failed { completed_at, .. }
            | State::Canceled { completed_at, .. } => Some(completed_at),
        }
    }

    /// Its outputs, as long as they are kept; empty before the end, and when it came to nothing.
    pub fn kept_files(&self) -> &[StoredFile] {
        match &self.state {
            State::Succeeded { outputs, files_removed_at: None, .. } => outputs,
            State::Succeeded { files_removed_at: Some(_), .. }
            | State::Pending
            | State::Processing { .. }
            | State::Failed { .. }
            | State::Canceled { .. } => &[],
        }
    }

    /// When its outputs were removed, because they are not kept for longer.
    pub fn files_removed_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            State::Succeeded { files_removed_at, .. } => files_removed_at,
            State::Pending
            | State::Processing { .. }
            | State::Failed { .. }
            | State::Canceled { .. } => None,
        }
    }

    /// When somebody must have looked at it again: the end of the open attempt, or the end
    /// of everything. A row past this time is overdue, and its actor is missing.
    pub fn due_at(&self) -> Option<DateTime<Utc>> {
        if self.status().is_terminal() {
            return None;
        }
        let attempt = self.open_attempt().map(|attempt| attempt.deadline_at);
        Some(attempt.unwrap_or(self.deadline_at).min(self.deadline_at))
    }

    /// Takes a fact in.
    ///
    /// # Errors
    /// [`IllegalTransition`] when [`TRANSITIONS`] does not have it, or when it speaks of an
    /// attempt for which it cannot be true. Nothing has changed then.
    pub fn apply(&mut self, event: Event) -> Result<(), IllegalTransition> {
        let illegal = IllegalTransition { status: self.status(), event: event.kind() };
        let to = target(illegal.status, illegal.event).ok_or(illegal)?;
        match event {
            Event::AttemptStarted(new) => {
                if self.open_attempt().is_some() {
                    return Err(illegal);
                }
                self.push_attempt(new);
            }
            Event::Accepted { attempt, job, cost, at } => {
                let attempt = self.pending_attempt(attempt).ok_or(illegal)?;
                attempt.report_cost(cost);
                attempt.job = Some(job);
                if illegal.status == Status::Pending {
                    self.state = State::Processing { started_at: at };
                }
            }
            Event::AttemptFailed { attempt, failure, at } => {
                let attempt = self.pending_attempt(attempt).ok_or(illegal)?;
                attempt.outcome = AttemptOutcome::Failed { at, failure };
            }
            Event::Completed { attempt, outputs, predict_time, cost, at } => {
                let started_at = self.started_at().ok_or(illegal)?;
                let attempt = self.pending_attempt(attempt).ok_or(illegal)?;
                attempt.report_cost(cost);
                attempt.outcome = AttemptOutcome::Used { at };
                self.state = State::Succeeded {
                    started_at,
                    completed_at: at,
                    outputs,
                    predict_time,
                    files_removed_at: None,
                };
            }
            Event::Failed { failure, at } => {
                for attempt in self.attempts.iter_mut().filter(|attempt| attempt.is_pending()) {
                    attempt.outcome = AttemptOutcome::Failed { at, failure: failure.clone() };
                }
                let started_at = self.started_at();
                self.state = State::Failed { started_at, completed_at: at, failure };
            }
            Event::Canceled { at } => {
                for attempt in self.attempts.iter_mut().filter(|attempt| attempt.is_pending()) {
                    attempt.outcome = AttemptOutcome::Canceled { at };
                }
                self.state = State::Canceled { started_at: self.started_at(), completed_at: at };
            }
            Event::ResultDiscarded { attempt, cost, at } => {
                let attempt = self.attempts.iter_mut().find(|other| other.number == attempt);
                let attempt = attempt.ok_or(illegal)?;
                match attempt.outcome {
                    AttemptOutcome::Failed { .. } | AttemptOutcome::Canceled { .. } => {
                        attempt.report_cost(cost);
                        attempt.outcome = AttemptOutcome::Discarded { at };
                    }
                    AttemptOutcome::Pending
                    | AttemptOutcome::Used { .. }
                    | AttemptOutcome::Discarded { .. } => return Err(illegal),
                }
            }
            Event::FilesRemoved { at } => match &mut self.state {
                State::Succeeded { files_removed_at: removed @ None, .. } => *removed = Some(at),
                State::Succeeded { .. }
                | State::Pending
                | State::Processing { .. }
                | State::Failed { .. }
                | State::Canceled { .. } => return Err(illegal),
            },
        }
        debug_assert_eq!(self.status(), to, "apply and TRANSITIONS disagree");
        Ok(())
    }

    fn push_attempt(&mut self, new: NewAttempt) {
        let number = self.attempts.last().map_or(1, |last| last.number.saturating_add(1));
        let decision = self.input.route.decision;
        // How likely the first was says nothing about who follows when it fails.
        let propensity_ppm = decision.propensity_ppm.filter(|_| number == 1);
        let catalogue = |cost| ProviderCost { cost, source: CostSource::Catalogue };
        self.attempts.push(Attempt {
            number,
            model: self.model.clone(),
            correlation: new.correlation,
            provider: new.provider,
            raw_model: new.raw_model,
            submitted_at: new.at,
            deadline_at: new.deadline_at,
            decision: Decision { propensity_ppm, ..decision },
            work_milli: work_milli(self.media, &self.input),
            // What the client pays, whoever is asked: what we pay is not theirs to see.
            estimated_cost_microcredits: self.amount.microcredits(),
            provider_cost: new.cost.map(catalogue),
            job: None,
            outcome: AttemptOutcome::Pending,
        });
    }

    fn pending_attempt(&mut self, number: u32) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.number == number && attempt.is_pending())
    }
}

#[cfg(test)]
mod tests;
