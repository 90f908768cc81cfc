//! Whether a generation is let in, and what is remembered of the request that asked for it.

use providers::MediaKind;

use crate::batch::{AcceptRefusal, Batch, subject_of};
use crate::generation::{Event, Generation, NewAttempt, NewGeneration};
use crate::id::AccountId;
use crate::idempotency::{Answer, Conclusion, Record};
use crate::ledger::EntryKind;
use crate::spending::{Month, SpendLimitReached};

impl Batch<'_> {
    /// Accepts a generation: its row, its first attempt, its reservation and its claim, or
    /// nothing of these. What refuses it is looked at in the order of `spec/contract.md` B.2.
    ///
    /// # Errors
    /// [`AcceptRefusal`].
    pub fn accept(
        &mut self,
        mut new: NewGeneration,
        first: NewAttempt,
    ) -> Result<Generation, AcceptRefusal> {
        let (account_id, amount, at) = (new.account_id, new.amount, new.created_at);
        self.check_claim(&new)?;
        self.check_in_flight(account_id, new.media)?;
        let standing = self.snapshot.standings.get(&account_id).copied();
        let standing = standing.ok_or(AcceptRefusal::UnknownAccount)?;
        let balance = standing.balance.credits;
        if balance < amount {
            // What the least interval between two alerts has held back: there may never be
            // another reserve that succeeds.
            let alerts = self.snapshot.alerts.get(&account_id);
            if alerts.is_some_and(|alerts| alerts.told_at.is_some()) {
                self.alert_if_low(account_id, at);
            }
            return Err(AcceptRefusal::InsufficientCredit { balance, amount });
        }
        new.asked_by.month = self.spend(&new)?;
        new.input.route.failover_on_moderation = standing.failover_on_moderation;
        let claim = new.claim.take();
        let mut generation = Generation::new(new);
        self.record(account_id, EntryKind::Reserve, amount, subject_of(&generation), at)
            .expect("the balance covers it");
        self.change_standing(account_id, |standing| standing.enter(generation.media));
        self.alert_if_low(account_id, at);
        generation
            .apply(Event::AttemptStarted(first))
            .expect("a new generation is pending and has no attempt");
        let attempts = generation.attempts().iter();
        let attempts = attempts.map(|attempt| (account_id, generation.id, attempt.clone()));
        self.changes.attempts.extend(attempts);
        if let Some(claim) = claim {
            let (generation_id, created_at) = (generation.id, at);
            self.remember(Record { claim, generation_id, created_at, answer: None });
        }
        self.changes.inserted.push(generation.clone());
        Ok(generation)
    }

    /// Notes what a claimed request was answered, or forgets that it was made. Nothing happens
    /// when the record is gone or about another generation; nor is a failure replaced, which is
    /// also what is left when the generation is deleted.
    pub fn conclude(&mut self, conclusion: Conclusion) {
        let Conclusion { key, generation_id, answer } = conclusion;
        let record = self.snapshot.records.get(&key);
        let Some(record) = record.filter(|record| record.generation_id == generation_id) else {
            return;
        };
        match answer {
            Some(_) if record.answer == Some(Answer::Failure) => {}
            Some(answer) => {
                let record = Record { answer: Some(answer), ..record.clone() };
                self.remember(record);
            }
            None => {
                self.snapshot.records.remove(&key);
                self.recorded.insert(key);
            }
        }
    }

    /// A claim is granted once while it is remembered; who comes later is told of the first.
    fn check_claim(&self, new: &NewGeneration) -> Result<(), AcceptRefusal> {
        let Some(claim) = &new.claim else { return Ok(()) };
        match self.snapshot.records.get(&claim.key) {
            // Its own, when the answer of the commit that wrote it was lost: then the row is
            // there too, and is what the caller finds.
            Some(record) if record.generation_id == new.id => Ok(()),
            Some(record) if record.is_alive(new.created_at) => {
                Err(AcceptRefusal::Claimed(Box::new(record.clone())))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_in_flight(
        &self,
        account_id: AccountId,
        media: MediaKind,
    ) -> Result<(), AcceptRefusal> {
        let standing = self.snapshot.standings.get(&account_id);
        let standing = standing.ok_or(AcceptRefusal::UnknownAccount)?;
        let max = self.rules.plans.limits(standing.plan).in_flight_max(media);
        if standing.in_flight(media) >= max {
            return Err(AcceptRefusal::TooManyInFlight { media, max });
        }
        Ok(())
    }

    /// Counts an amount against the limit of the key that asks.
    fn spend(&mut self, new: &NewGeneration) -> Result<Option<Month>, SpendLimitReached> {
        let Some((key, month)) = new.asked_by.key.zip(new.asked_by.month) else {
            return Ok(None);
        };
        // A key that was deleted a moment ago has no limit left to count against.
        let key = (new.account_id, key);
        let Some(spending) = self.snapshot.spendings.get_mut(&key) else { return Ok(None) };
        let counted = spending.spend(month, new.amount)?;
        self.spent.insert(key);
        Ok(Some(counted))
    }

    fn remember(&mut self, record: Record) {
        self.recorded.insert(record.claim.key.clone());
        self.snapshot.records.insert(record.claim.key.clone(), record);
    }
}
