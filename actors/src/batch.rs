//! What a batch of units of work decides, in memory and without a database.
//!
//! The store reads all rows that a batch needs ([`Snapshot`]), lets each unit decide in
//! turn, and writes the [`Changes`] with one statement per table in one transaction. So
//! state, ledger and webhook deliveries of a unit always become true together, and the rule
//! that says how is this file, the same for both databases.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::attempt::Attempt;
use crate::generation::{Event, Generation, NewAttempt, NewGeneration, Status};
use crate::id::{AccountId, DeliveryId, EndpointId, GenerationId};
use crate::ledger::{Balance, EntryKind, EntrySubject, LedgerEntry, MovementError};
use crate::money::Credits;
use crate::webhook::{
    DeliveryPolicy, DeliveryStatus, EndpointState, EventName, FileUrls, TryResult, WebhookDelivery,
    generation_data,
};

/// The rows that a batch starts from. A row that is missing does not exist.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Balances of the accounts that units name.
    pub balances: HashMap<AccountId, Balance>,
    /// Generations that units advance.
    pub generations: HashMap<(AccountId, GenerationId), Generation>,
    /// All endpoints of the accounts that units name.
    pub endpoints: HashMap<EndpointId, EndpointState>,
    /// Deliveries that were tried.
    pub deliveries: HashMap<DeliveryId, WebhookDelivery>,
}

/// The rows that a batch leaves different.
#[derive(Debug, Default)]
pub struct Changes {
    /// New generations.
    pub inserted: Vec<Generation>,
    /// Changed generations, each with the status it was read with.
    pub updated: Vec<(Generation, Status)>,
    /// New and changed attempts.
    pub attempts: Vec<(AccountId, GenerationId, Attempt)>,
    /// New ledger entries.
    pub entries: Vec<LedgerEntry>,
    /// Balances that moved: before and after.
    pub balances: Vec<(AccountId, Balance, Balance)>,
    /// New deliveries.
    pub deliveries: Vec<WebhookDelivery>,
    /// Deliveries that were tried, as they stand after it, with the result of the last try.
    pub tried: Vec<(WebhookDelivery, TryResult)>,
    /// Changed endpoints.
    pub endpoints: Vec<EndpointState>,
    /// Disabled endpoints among those that new deliveries are for.
    silent: HashSet<EndpointId>,
}

impl Changes {
    /// The new deliveries that may leave now: what is for a disabled endpoint waits.
    pub fn into_sendable(mut self) -> Vec<WebhookDelivery> {
        self.deliveries.retain(|delivery| !self.silent.contains(&delivery.endpoint_id));
        self.deliveries
    }
}

/// Facts about one generation, to be taken in together or not at all.
#[derive(Debug, Clone)]
pub struct Advance {
    /// Whose.
    pub account_id: AccountId,
    /// Which.
    pub id: GenerationId,
    /// The epoch of the process that speaks; `None` for the owner's own cancel, which is
    /// valid whoever runs it.
    pub epoch: Option<i64>,
    /// The facts, in order.
    pub events: Vec<Event>,
}

impl Advance {
    /// Whether these facts can end the generation, so that its credit moves.
    pub fn may_settle(&self) -> bool {
        self.events.iter().any(|event| match event {
            Event::Completed { .. } | Event::Failed { .. } | Event::Canceled { .. } => true,
            Event::AttemptStarted(_)
            | Event::Accepted { .. }
            | Event::AttemptFailed { .. }
            | Event::ResultDiscarded { .. } => false,
        })
    }

    /// Whether these facts can be of interest to webhook endpoints.
    pub fn may_announce(&self) -> bool {
        let accepted = |event: &Event| matches!(event, Event::Accepted { .. });
        self.may_settle() || self.events.iter().any(accepted)
    }
}

/// The result of one try of one delivery.
#[derive(Debug, Clone)]
pub struct DeliveryTried {
    /// Which delivery.
    pub delivery_id: DeliveryId,
    /// How it ended.
    pub result: TryResult,
}

/// Why a generation was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptRefusal {
    /// No such account.
    #[error("no such account")]
    UnknownAccount,
    /// The balance does not cover the amount.
    #[error("a balance of {balance} does not cover {amount}")]
    InsufficientCredit {
        /// What there is.
        balance: Credits,
        /// What it would cost.
        amount: Credits,
    },
}

/// Why facts about a generation were not taken in. Nothing changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AdvanceRefusal {
    /// No such generation in that account.
    #[error("no such generation")]
    NotFound,
    /// Another process has taken it over.
    #[error("another process has taken it over")]
    Fenced,
    /// It stands where these facts cannot be true: somebody was faster.
    #[error("it is already {}", .0.status().as_str())]
    Conflict(Box<Generation>),
}

/// What a try led to.
#[derive(Debug, Clone, PartialEq)]
pub struct TryOutcome {
    /// The delivery as it stands now.
    pub delivery: WebhookDelivery,
    /// Whether its endpoint takes deliveries.
    pub endpoint_enabled: bool,
}

/// A batch under decision.
pub struct Batch<'a> {
    snapshot: Snapshot,
    /// The first-seen form of every generation that changed: status for the WHERE, attempts
    /// for finding the changed ones.
    before: HashMap<(AccountId, GenerationId), (Status, Vec<Attempt>)>,
    balances_before: HashMap<AccountId, Balance>,
    changes: Changes,
    next_id: &'a (dyn Fn() -> Uuid + Sync),
    files: &'a FileUrls,
    policy: &'a DeliveryPolicy,
}

impl<'a> Batch<'a> {
    /// Starts from what was read.
    pub fn new(
        snapshot: Snapshot,
        next_id: &'a (dyn Fn() -> Uuid + Sync),
        files: &'a FileUrls,
        policy: &'a DeliveryPolicy,
    ) -> Self {
        Self {
            snapshot,
            before: HashMap::new(),
            balances_before: HashMap::new(),
            changes: Changes::default(),
            next_id,
            files,
            policy,
        }
    }

    /// Accepts a generation: its row, its first attempt and its reservation, or nothing.
    ///
    /// # Errors
    /// [`AcceptRefusal`].
    pub fn accept(
        &mut self,
        new: NewGeneration,
        first: NewAttempt,
    ) -> Result<Generation, AcceptRefusal> {
        let (account_id, amount, at) = (new.account_id, new.amount, new.created_at);
        let mut generation = Generation::new(new);
        let subject = EntrySubject {
            generation_id: Some(generation.id),
            model: Some(generation.model.clone()),
            ..EntrySubject::default()
        };
        let balance = self.snapshot.balances.get(&account_id).copied();
        let balance = balance.ok_or(AcceptRefusal::UnknownAccount)?.credits;
        self.record(account_id, EntryKind::Reserve, amount, subject, at)
            .map_err(|_| AcceptRefusal::InsufficientCredit { balance, amount })?;
        generation
            .apply(Event::AttemptStarted(first))
            .expect("a new generation is pending and has no attempt");
        let attempts = generation.attempts().iter();
        let attempts = attempts.map(|attempt| (account_id, generation.id, attempt.clone()));
        self.changes.attempts.extend(attempts);
        self.changes.inserted.push(generation.clone());
        Ok(generation)
    }

    /// Takes facts about a generation in, settles its credit when it ends, and notes what
    /// its owner's endpoints are to be told.
    ///
    /// # Errors
    /// [`AdvanceRefusal`].
    pub fn advance(&mut self, advance: Advance) -> Result<Generation, AdvanceRefusal> {
        let key = (advance.account_id, advance.id);
        let current = self.snapshot.generations.get(&key).ok_or(AdvanceRefusal::NotFound)?;
        if advance.epoch.is_some_and(|epoch| epoch != current.epoch) {
            return Err(AdvanceRefusal::Fenced);
        }
        let mut next = current.clone();
        let mut entered = Vec::new();
        for event in advance.events {
            let from = next.status();
            if next.apply(event).is_err() {
                return Err(AdvanceRefusal::Conflict(Box::new(current.clone())));
            }
            if next.status() != from {
                entered.push(next.clone());
            }
        }
        self.before.entry(key).or_insert_with(|| (current.status(), current.attempts().to_vec()));
        self.snapshot.generations.insert(key, next.clone());
        for generation in &entered {
            self.settle(generation);
            self.announce(generation);
        }
        Ok(next)
    }

    /// Takes the result of a try in: the delivery's next step and the endpoint's count.
    /// `None` when the delivery or its endpoint is gone.
    pub fn record_try(&mut self, tried: DeliveryTried) -> Option<TryOutcome> {
        let delivery = self.snapshot.deliveries.get_mut(&tried.delivery_id)?;
        let endpoint = self.snapshot.endpoints.get_mut(&delivery.endpoint_id)?;
        if delivery.status == DeliveryStatus::Pending {
            let before = endpoint.clone();
            delivery.record(&tried.result, self.policy);
            endpoint.record(delivery.status, self.policy);
            if *endpoint != before {
                self.changes.endpoints.retain(|other| other.id != endpoint.id);
                self.changes.endpoints.push(endpoint.clone());
            }
            self.changes.tried.retain(|(other, _)| other.id != delivery.id);
            self.changes.tried.push((delivery.clone(), tried.result));
        }
        Some(TryOutcome { delivery: delivery.clone(), endpoint_enabled: endpoint.enabled })
    }

    /// What is to be written.
    pub fn into_changes(mut self) -> Changes {
        for (key, (was, attempts_before)) in self.before {
            let generation = self.snapshot.generations.remove(&key).expect("it was changed");
            let changed =
                generation.attempts().iter().filter(|attempt| !attempts_before.contains(attempt));
            let changed = changed.map(|attempt| (key.0, key.1, attempt.clone()));
            self.changes.attempts.extend(changed);
            self.changes.updated.push((generation, was));
        }
        for (account_id, before) in self.balances_before {
            let after = self.snapshot.balances[&account_id];
            self.changes.balances.push((account_id, before, after));
        }
        self.changes
    }

    /// Success spends the reservation, any other end gives it back. The state machine
    /// enters a terminal state once, so this happens once.
    fn settle(&mut self, generation: &Generation) {
        let kind = match generation.status() {
            Status::Pending | Status::Processing => return,
            Status::Succeeded => EntryKind::Charge,
            Status::Failed | Status::Canceled => EntryKind::Refund,
        };
        let at = generation.completed_at().expect("a terminal state has a time");
        let subject = EntrySubject {
            generation_id: Some(generation.id),
            model: Some(generation.model.clone()),
            ..EntrySubject::default()
        };
        self.record(generation.account_id, kind, generation.amount, subject, at)
            .expect("a charge moves nothing and a refund is never refused");
    }

    fn announce(&mut self, generation: &Generation) {
        let Some(event) = EventName::of(generation.status()) else { return };
        let at = generation.completed_at().or(generation.started_at());
        let at = at.expect("an announced state has a time");
        let mut endpoints: Vec<(EndpointId, bool)> = self
            .snapshot
            .endpoints
            .values()
            .filter(|endpoint| endpoint.account_id == generation.account_id)
            .filter(|endpoint| endpoint.events.contains(&event))
            .map(|endpoint| (endpoint.id, endpoint.enabled))
            .collect();
        endpoints.sort_unstable();
        for (endpoint_id, enabled) in endpoints {
            if !enabled {
                self.changes.silent.insert(endpoint_id);
            }
            self.changes.deliveries.push(WebhookDelivery {
                account_id: generation.account_id,
                endpoint_id,
                id: DeliveryId((self.next_id)()),
                event,
                generation_id: generation.id,
                data: generation_data(generation, self.files),
                created_at: at,
                status: DeliveryStatus::Pending,
                tries: 0,
                next_try_at: at,
            });
        }
    }

    fn record(
        &mut self,
        account_id: AccountId,
        kind: EntryKind,
        amount: Credits,
        subject: EntrySubject,
        at: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), MovementError> {
        let Some(balance) = self.snapshot.balances.get_mut(&account_id) else {
            unreachable!("the snapshot holds the balance of every account that a unit names")
        };
        let before = *balance;
        let entry = balance.record(account_id, kind, amount, subject, at)?;
        if let Entry::Vacant(first) = self.balances_before.entry(account_id) {
            first.insert(before);
        }
        self.changes.entries.push(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
