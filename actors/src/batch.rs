//! What a batch of units of work decides, in memory and without a database.
//!
//! The store reads all rows that a batch needs ([`Snapshot`]), lets each unit decide in
//! turn, and writes the [`Changes`] with one statement per table in one transaction. So
//! state, ledger and webhook deliveries of a unit always become true together, and the rule
//! that says how is this file, the same for both databases.

mod admission;
mod alerts;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use providers::MediaKind;
use uuid::Uuid;

use crate::account::{Plans, Standing};
use crate::activity::NewActivity;
use crate::alert::Alerts;
use crate::attempt::Attempt;
use crate::file_urls::FileUrls;
use crate::generation::{Event, Generation, Status};
use crate::id::{AccountId, ApiKeyId, DeliveryId, EndpointId, GenerationId};
use crate::idempotency::{Record, RecordKey};
use crate::ledger::{EntryKind, EntrySubject, LedgerEntry, MovementError};
use crate::mail::OwnerMail;
use crate::money::Credits;
use crate::notification::Notification;
use crate::spending::{SpendLimitReached, Spending};
use crate::webhook::endpoint::{DisableReason, EndpointState};
use crate::webhook::{DeliveryPolicy, DeliveryStatus, TryResult, WebhookDelivery};

/// The rows that a batch starts from. A row that is missing does not exist.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Standings of the accounts that units name.
    pub standings: HashMap<AccountId, Standing>,
    /// Spending of the keys that are limited, or have a generation that counts for them.
    pub spendings: HashMap<(AccountId, ApiKeyId), Spending>,
    /// What is remembered under the idempotency keys that units name.
    pub records: HashMap<RecordKey, Record>,
    /// Generations that units advance.
    pub generations: HashMap<(AccountId, GenerationId), Generation>,
    /// All endpoints of the accounts that units name.
    pub endpoints: HashMap<EndpointId, EndpointState>,
    /// Deliveries that were tried; one that is pending may be as whoever tried it knew it.
    pub deliveries: HashMap<DeliveryId, WebhookDelivery>,
    /// Alerts of the accounts whose balance may fall below [`Standing::alert_below`].
    pub alerts: HashMap<AccountId, Alerts>,
}

impl Snapshot {
    /// The accounts whose balance would fall below [`Standing::alert_below`] if so many
    /// thousandths were reserved.
    pub fn may_alert(&self, reserved: &BTreeMap<AccountId, i64>) -> BTreeSet<AccountId> {
        let falls = |(account_id, amount): (&AccountId, &i64)| {
            let standing = self.standings.get(account_id)?;
            let after = standing.balance.credits.thousandths().saturating_sub(*amount);
            (after < standing.alert_below.thousandths()).then_some(*account_id)
        };
        reserved.iter().filter_map(falls).collect()
    }
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
    /// Standings that changed: before and after.
    pub standings: Vec<(AccountId, Standing, Standing)>,
    /// Spending of keys that changed.
    pub spendings: Vec<(AccountId, ApiKeyId, Spending)>,
    /// New and changed idempotency records.
    pub records: Vec<Record>,
    /// Idempotency keys that are forgotten.
    pub forgotten: Vec<RecordKey>,
    /// New deliveries.
    pub deliveries: Vec<WebhookDelivery>,
    /// Deliveries that were tried.
    pub tried: Vec<Tried>,
    /// Every try that was made.
    pub tries: Vec<Try>,
    /// Changed endpoints.
    pub endpoints: Vec<EndpointState>,
    /// Generations that are gone, to be written after everything else.
    pub deleted: Vec<(AccountId, GenerationId)>,
    /// Endpoints that are disabled now: what is pending for them is queued from that time on.
    pub disabled: Vec<(AccountId, EndpointId, chrono::DateTime<chrono::Utc>)>,
    /// What owners are told.
    pub notifications: Vec<Notification>,
    /// Changed alerts.
    pub alerts: Vec<(AccountId, Alerts)>,
    /// What primary owners are told by mail.
    pub mails: Vec<OwnerMail>,
    /// What this server did, for the accounts' logs.
    pub activities: Vec<NewActivity>,
}

/// A delivery that was tried, once or more often.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// As it stands now.
    pub delivery: WebhookDelivery,
    /// How many tries it had had before.
    pub tries_before: u32,
    /// How the last try ended.
    pub last: TryResult,
}

/// One try of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Try {
    /// Whose.
    pub account_id: AccountId,
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// Which one, from 1.
    pub number: u32,
    /// How it ended.
    pub result: TryResult,
}

impl Changes {
    /// The generations that stand elsewhere than before, or no longer exist. New ones are not
    /// among them: nobody knows of them yet.
    pub fn moved(&self) -> impl Iterator<Item = (AccountId, GenerationId)> {
        let updated = self.updated.iter().map(|(moved, _)| (moved.account_id, moved.id));
        updated.chain(self.deleted.iter().copied())
    }

    /// The new deliveries that may leave now: what is for a disabled endpoint waits.
    pub fn into_sendable(mut self) -> Vec<WebhookDelivery> {
        let disabled: HashSet<EndpointId> = self.disabled.iter().map(|(_, id, _)| *id).collect();
        self.deliveries.retain(|delivery| {
            delivery.status == DeliveryStatus::Pending && !disabled.contains(&delivery.endpoint_id)
        });
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
            | Event::ResultDiscarded { .. }
            | Event::FilesRemoved { .. } => false,
        })
    }

    /// Whether these facts can give credit back.
    pub fn may_refund(&self) -> bool {
        let refunds =
            |event: &Event| matches!(event, Event::Failed { .. } | Event::Canceled { .. });
        self.events.iter().any(refunds)
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
    /// The delivery as it was before: a try that is recorded twice counts once.
    pub delivery: WebhookDelivery,
    /// Whether nothing but successes is known of its endpoint, so that another one changes
    /// nothing about that.
    pub endpoint_calm: bool,
    /// Uniform in `0.0..1.0`, for the wait until the next one.
    pub spread: f64,
    /// How it ended.
    pub result: TryResult,
}

impl DeliveryTried {
    /// Which try of the delivery this was, from 1.
    pub fn number(&self) -> u32 {
        self.delivery.tries.saturating_add(1)
    }

    /// Whether it can be decided without its endpoint.
    pub fn is_routine(&self) -> bool {
        self.endpoint_calm && self.result.is_success()
    }
}

/// An endpoint that is to be disabled for another reason than its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointFault {
    /// Which endpoint.
    pub endpoint_id: EndpointId,
    /// Why.
    pub reason: DisableReason,
    /// When.
    pub at: chrono::DateTime<chrono::Utc>,
}

/// Why a generation was not accepted. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptRefusal {
    /// No such account.
    #[error("no such account")]
    UnknownAccount,
    /// The idempotency key has been used before, by the request that is remembered.
    #[error("the idempotency key was used for generation {}", .0.generation_id)]
    Claimed(Box<Record>),
    /// The plan allows no more of this kind at once.
    #[error("{max} {} generations are in flight already", .media.as_str())]
    TooManyInFlight {
        /// Of which kind.
        media: MediaKind,
        /// How many may be.
        max: u32,
    },
    /// The key's monthly limit.
    #[error(transparent)]
    SpendLimit(#[from] SpendLimitReached),
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

/// Why a generation was not deleted. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRefusal {
    /// No such generation in that account.
    #[error("no such generation")]
    NotFound,
    /// It has not ended.
    #[error("it has not ended")]
    InFlight,
}

/// What a try led to. Of an endpoint that was calm it says the same.
#[derive(Debug, Clone, PartialEq)]
pub struct TryOutcome {
    /// The delivery as it stands now.
    pub delivery: WebhookDelivery,
    /// Whether its endpoint takes deliveries.
    pub endpoint_enabled: bool,
    /// Whether it takes them one by one.
    pub endpoint_probing: bool,
    /// Until when it wants to be left alone.
    pub endpoint_paused_until: Option<chrono::DateTime<chrono::Utc>>,
}

/// A batch under decision.
pub struct Batch<'a> {
    snapshot: Snapshot,
    /// The first-seen form of every generation that changed: status for the WHERE, attempts
    /// for finding the changed ones.
    before: HashMap<(AccountId, GenerationId), (Status, Vec<Attempt>)>,
    standings_before: HashMap<AccountId, Standing>,
    spent: HashSet<(AccountId, ApiKeyId)>,
    recorded: HashSet<RecordKey>,
    /// Tries that each delivery had had before, and how its last one ended.
    tried: BTreeMap<DeliveryId, (u32, TryResult)>,
    changed_endpoints: BTreeSet<EndpointId>,
    changes: Changes,
    next_id: &'a (dyn Fn() -> Uuid + Sync),
    rules: Rules<'a>,
}

/// What a batch is decided by, beside the rows.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Makes output URLs in webhook payloads.
    pub files: &'a FileUrls,
    /// When deliveries are tried and endpoints given up.
    pub policy: &'a DeliveryPolicy,
    /// How much may be in flight.
    pub plans: &'a Plans,
}

impl<'a> Batch<'a> {
    /// Starts from what was read.
    pub fn new(
        snapshot: Snapshot,
        next_id: &'a (dyn Fn() -> Uuid + Sync),
        rules: Rules<'a>,
    ) -> Self {
        Self {
            snapshot,
            before: HashMap::new(),
            standings_before: HashMap::new(),
            spent: HashSet::new(),
            recorded: HashSet::new(),
            tried: BTreeMap::new(),
            changed_endpoints: BTreeSet::new(),
            changes: Changes::default(),
            next_id,
            rules,
        }
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

    /// Deletes a generation that has ended. What it cost and whom it was sent to stays.
    ///
    /// # Errors
    /// [`DeleteRefusal`].
    pub fn delete(&mut self, account_id: AccountId, id: GenerationId) -> Result<(), DeleteRefusal> {
        let key = (account_id, id);
        let current = self.snapshot.generations.get(&key).ok_or(DeleteRefusal::NotFound)?;
        if !current.status().is_terminal() {
            return Err(DeleteRefusal::InFlight);
        }
        if let Some(before) = self.before.remove(&key) {
            self.change(key, before);
        }
        self.snapshot.generations.remove(&key);
        self.change_standing(account_id, Standing::forget);
        self.changes.deleted.push(key);
        Ok(())
    }

    /// What is to be written.
    pub fn into_changes(mut self) -> Changes {
        for (key, before) in std::mem::take(&mut self.before) {
            self.change(key, before);
        }
        for (account_id, before) in self.standings_before {
            let after = self.snapshot.standings[&account_id];
            self.changes.standings.push((account_id, before, after));
        }
        for (account_id, key) in self.spent {
            let spending = self.snapshot.spendings[&(account_id, key)];
            self.changes.spendings.push((account_id, key, spending));
        }
        for key in self.recorded {
            match self.snapshot.records.remove(&key) {
                Some(record) => self.changes.records.push(record),
                None => self.changes.forgotten.push(key),
            }
        }
        for (id, (tries_before, last)) in self.tried {
            let delivery = self.snapshot.deliveries.remove(&id).expect("it was tried");
            self.changes.tried.push(Tried { delivery, tries_before, last });
        }
        for id in self.changed_endpoints {
            self.changes.endpoints.extend(self.snapshot.endpoints.remove(&id));
        }
        self.changes
    }

    /// Notes how a generation and its attempts differ from what was read.
    fn change(
        &mut self,
        key: (AccountId, GenerationId),
        (was, attempts_before): (Status, Vec<Attempt>),
    ) {
        let generation = self.snapshot.generations.remove(&key).expect("it was changed");
        let changed =
            generation.attempts().iter().filter(|attempt| !attempts_before.contains(attempt));
        let changed = changed.map(|attempt| (key.0, key.1, attempt.clone()));
        self.changes.attempts.extend(changed);
        self.changes.updated.push((generation, was));
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
        let (account_id, amount) = (generation.account_id, generation.amount);
        self.record(account_id, kind, amount, subject_of(generation), at)
            .expect("a charge moves nothing and a refund is never refused");
        self.change_standing(account_id, |standing| standing.leave(generation.media));
        if let (EntryKind::Refund, Some(key), Some(month)) =
            (kind, generation.asked_by.key, generation.asked_by.month)
            && let Some(spending) = self.snapshot.spendings.get_mut(&(account_id, key))
        {
            spending.give_back(month, amount);
            self.spent.insert((account_id, key));
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
        let mut entry = None;
        self.change_standing(account_id, |standing| {
            entry = Some(standing.balance.record(account_id, kind, amount, subject, at));
        });
        let entry = entry.expect("it was recorded")?;
        self.changes.entries.push(entry);
        Ok(())
    }

    /// Changes a standing, whose first-seen form is kept for the WHERE.
    fn change_standing(&mut self, account_id: AccountId, change: impl FnOnce(&mut Standing)) {
        let Some(standing) = self.snapshot.standings.get_mut(&account_id) else {
            unreachable!("the snapshot holds the standing of every account that a unit names")
        };
        self.standings_before.entry(account_id).or_insert(*standing);
        change(standing);
    }
}

fn subject_of(generation: &Generation) -> EntrySubject {
    EntrySubject {
        generation_id: Some(generation.id),
        model: Some(generation.model.clone()),
        ..EntrySubject::default()
    }
}

#[cfg(test)]
mod tests;
