//! The store in memory, under the real rules: every unit is decided by [`Batch`].

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tokio::time::sleep;

use crate::account::Standing;
use crate::batch::{
    AcceptRefusal, Advance, AdvanceRefusal, Batch, Changes, DeleteRefusal, DeliveryTried,
    EndpointFault, Rules, Snapshot, Tried, TryOutcome,
};
use crate::engine::Engine;
use crate::fakes::{Ids, plans, standing};
use crate::file_urls::FileUrls;
use crate::generation::{EventKind, Generation, NewAttempt, NewGeneration, Status};
use crate::id::{AccountId, ApiKeyId, DeliveryId, EndpointId, GenerationId, NodeId};
use crate::idempotency::{Record, RecordKey};
use crate::ledger::{EntryKind, LedgerEntry};
use crate::notification::Notification;
use crate::ports::{
    Backlog, BacklogStore, DeliveryListener, DeliveryStore, GenerationStore, StoreError,
};
use crate::spending::Spending;
use crate::webhook::endpoint::EndpointState;
use crate::webhook::{DeliveryPolicy, DeliveryStatus, EventName, WebhookDelivery, WebhookEndpoint};

/// What happens to a write, in the order in which writes come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// Nothing.
    Pass,
    /// It is not made.
    Fail,
    /// It is made, and the answer is lost.
    LoseAnswer,
    /// It is made, and the answer takes this long.
    Slow(Duration),
    /// The store panics.
    Panic,
}

pub(crate) struct FakeStore {
    pub(crate) rows: Mutex<Rows>,
    pub(crate) faults: Mutex<VecDeque<Fault>>,
    /// Waits before a read of pending deliveries is answered.
    pub(crate) slow_reads: Mutex<VecDeque<Duration>>,
    /// Pages of pending deliveries read so far.
    pub(crate) pages_read: Mutex<usize>,
    /// Endpoints whose rows cannot be understood.
    pub(crate) corrupt: Mutex<HashSet<EndpointId>>,
    /// Looks for a generation so far.
    pub(crate) reads: Mutex<usize>,
    /// Told of deliveries; absent where hints are lost.
    pub(crate) listener: Mutex<Option<Engine>>,
    ids: std::sync::Arc<Ids>,
    files: FileUrls,
    pub(crate) policy: DeliveryPolicy,
}

#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) standings: HashMap<AccountId, Standing>,
    pub(crate) spendings: HashMap<(AccountId, ApiKeyId), Spending>,
    pub(crate) records: HashMap<RecordKey, Record>,
    pub(crate) generations: BTreeMap<GenerationId, Generation>,
    pub(crate) owners: HashMap<GenerationId, NodeId>,
    pub(crate) entries: Vec<LedgerEntry>,
    pub(crate) endpoints: BTreeMap<EndpointId, WebhookEndpoint>,
    pub(crate) deliveries: BTreeMap<DeliveryId, WebhookDelivery>,
    pub(crate) notifications: Vec<Notification>,
    /// What every accept and advance that was taken in said.
    pub(crate) writes: Vec<Vec<EventKind>>,
    /// Advances that were refused.
    pub(crate) refusals: Vec<AdvanceRefusal>,
}

fn lost() -> StoreError {
    StoreError::Database("scripted".into())
}

impl FakeStore {
    pub(crate) fn new(ids: std::sync::Arc<Ids>) -> Self {
        Self {
            rows: Mutex::default(),
            faults: Mutex::default(),
            slow_reads: Mutex::default(),
            pages_read: Mutex::default(),
            corrupt: Mutex::default(),
            reads: Mutex::default(),
            listener: Mutex::default(),
            ids,
            files: super::file_urls(),
            policy: DeliveryPolicy::default(),
        }
    }

    pub(crate) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    pub(crate) fn fault(&self, faults: &[Fault]) {
        self.faults.lock().unwrap().extend(faults);
    }

    pub(crate) fn generation(&self, id: GenerationId) -> Generation {
        self.rows().generations[&id].clone()
    }

    pub(crate) fn add_account(&self, id: AccountId, thousandths: i64) {
        self.rows().standings.insert(id, standing(thousandths, 0));
    }

    pub(crate) fn add_endpoint(&self, account_id: AccountId, id: EndpointId, url: &str) {
        let endpoint = WebhookEndpoint {
            state: EndpointState::new(account_id, id, EventName::ALL.to_vec()),
            previous: None,
            url: url.parse().unwrap(),
            secret: SecretString::from("whsec_0123456789abcdef0123456789abcdef"),
            created_at: DateTime::UNIX_EPOCH,
        };
        self.rows().endpoints.insert(id, endpoint);
    }

    /// The kinds of the ledger entries of a generation, in order.
    pub(crate) fn movements(&self, id: GenerationId) -> Vec<EntryKind> {
        let rows = self.rows();
        let of = rows.entries.iter().filter(|entry| entry.generation_id == Some(id));
        of.map(|entry| entry.kind).collect()
    }

    /// Decides and writes one unit, as the real store does a batch of one.
    fn unit<T>(&self, decide: impl FnOnce(&mut Batch<'_>) -> T) -> T {
        let mut rows = self.rows();
        let generations = rows.generations.values();
        let snapshot = Snapshot {
            standings: rows.standings.clone(),
            spendings: rows.spendings.clone(),
            records: rows.records.clone(),
            generations: generations.map(|g| ((g.account_id, g.id), g.clone())).collect(),
            endpoints: rows.endpoints.iter().map(|(id, e)| (*id, e.state.clone())).collect(),
            deliveries: rows.deliveries.iter().map(|(id, d)| (*id, d.clone())).collect(),
            alerts: HashMap::new(),
        };
        let next_id = || self.ids.fresh();
        let plans = plans();
        let rules = Rules { files: &self.files, policy: &self.policy, plans: &plans };
        let mut batch = Batch::new(snapshot, &next_id, rules);
        let decided = decide(&mut batch);
        let changes = batch.into_changes();
        let announced = rows.take_in(changes);
        drop(rows);
        let listener = self.listener.lock().unwrap().clone();
        if let Some(engine) = listener.filter(|_| !announced.is_empty()) {
            engine.committed(announced);
        }
        decided
    }

    async fn write<T>(&self, unit: impl FnOnce() -> T) -> Result<T, StoreError> {
        let fault = self.faults.lock().unwrap().pop_front().unwrap_or(Fault::Pass);
        match fault {
            Fault::Pass => Ok(unit()),
            Fault::Fail => Err(lost()),
            Fault::LoseAnswer => {
                unit();
                Err(lost())
            }
            Fault::Slow(wait) => {
                let decided = unit();
                sleep(wait).await;
                Ok(decided)
            }
            Fault::Panic => panic!("scripted panic of the store"),
        }
    }
}

impl Rows {
    /// Writes the changes; answers what may leave.
    fn take_in(&mut self, mut changes: Changes) -> Vec<WebhookDelivery> {
        let sendable = Changes {
            deliveries: changes.deliveries.clone(),
            disabled: changes.disabled.clone(),
            ..Changes::default()
        };
        for generation in std::mem::take(&mut changes.inserted) {
            self.generations.insert(generation.id, generation);
        }
        for (generation, was) in changes.updated {
            let row = self.generations.get_mut(&generation.id).unwrap();
            assert_eq!((row.status(), row.epoch), (was, generation.epoch));
            *row = generation;
        }
        self.entries.extend(changes.entries);
        for (account_id, before, after) in changes.standings {
            assert_eq!(self.standings.insert(account_id, after), Some(before));
        }
        for (account_id, key, spending) in changes.spendings {
            self.spendings.insert((account_id, key), spending);
        }
        let records = changes.records.into_iter();
        self.records.extend(records.map(|record| (record.claim.key.clone(), record)));
        self.records.retain(|key, _| !changes.forgotten.contains(key));
        for delivery in changes.deliveries {
            self.deliveries.insert(delivery.id, delivery);
        }
        for Tried { delivery, .. } in changes.tried {
            self.deliveries.insert(delivery.id, delivery);
        }
        for state in changes.endpoints {
            let row = self.endpoints.get_mut(&state.id).unwrap();
            row.state = state;
        }
        for (_, id) in changes.deleted {
            self.generations.remove(&id).unwrap();
        }
        for (_, endpoint_id, at) in changes.disabled {
            for delivery in self.deliveries.values_mut() {
                if delivery.endpoint_id == endpoint_id && delivery.status == DeliveryStatus::Pending
                {
                    delivery.status = DeliveryStatus::Queued;
                    delivery.queued_at = Some(at);
                }
            }
        }
        self.notifications.extend(changes.notifications);
        sendable.into_sendable()
    }
}

#[async_trait]
impl GenerationStore for FakeStore {
    async fn accept(
        &self,
        new: NewGeneration,
        first: NewAttempt,
    ) -> Result<Result<Generation, AcceptRefusal>, StoreError> {
        self.write(|| {
            let accepted = self.unit(|batch| batch.accept(new, first));
            if let Ok(generation) = &accepted {
                let mut rows = self.rows();
                rows.owners.insert(generation.id, crate::fakes::NODE);
                rows.writes.push(vec![EventKind::AttemptStarted]);
            }
            accepted
        })
        .await
    }

    async fn advance(
        &self,
        advance: Advance,
    ) -> Result<Result<Generation, AdvanceRefusal>, StoreError> {
        self.write(|| {
            let kinds = advance.events.iter().map(|event| event.kind()).collect();
            let advanced = self.unit(|batch| batch.advance(advance));
            match &advanced {
                Ok(_) => self.rows().writes.push(kinds),
                Err(refusal) => self.rows().refusals.push(refusal.clone()),
            }
            advanced
        })
        .await
    }

    async fn find(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<Option<Generation>, StoreError> {
        *self.reads.lock().unwrap() += 1;
        let found = self.rows().generations.get(&id).cloned();
        Ok(found.filter(|generation| generation.account_id == account_id))
    }

    async fn list(
        &self,
        account_id: AccountId,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Generation>, StoreError> {
        let rows = self.rows();
        let owned = rows.generations.values().rev().filter(|g| g.account_id == account_id);
        Ok(owned.skip(offset as usize).take(limit as usize).cloned().collect())
    }

    async fn count(&self, account_id: AccountId) -> Result<u64, StoreError> {
        let rows = self.rows();
        Ok(rows.generations.values().filter(|g| g.account_id == account_id).count() as u64)
    }

    async fn delete(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<Result<(), DeleteRefusal>, StoreError> {
        self.write(|| self.unit(|batch| batch.delete(account_id, id))).await
    }

    async fn adopt_any_account(&self, owner: NodeId) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        let mut adopted = Vec::new();
        for generation in rows.generations.values_mut() {
            if !generation.status().is_terminal() {
                generation.epoch += 1;
                adopted.push(generation.id);
            }
        }
        let count = adopted.len() as u64;
        rows.owners.extend(adopted.into_iter().map(|id| (id, owner)));
        Ok(count)
    }

    async fn list_due_any_account(
        &self,
        owner: NodeId,
        due_before: DateTime<Utc>,
        after: Option<(DateTime<Utc>, GenerationId)>,
        limit: u32,
    ) -> Result<Vec<Generation>, StoreError> {
        let rows = self.rows();
        let owned = |generation: &&Generation| rows.owners.get(&generation.id) == Some(&owner);
        let mut due: Vec<_> = (rows.generations.values().filter(owned))
            .filter_map(|generation| Some(((generation.due_at()?, generation.id), generation)))
            .filter(|(key, _)| key.0 < due_before && after.is_none_or(|after| *key > after))
            .collect();
        due.sort_by_key(|(key, _)| *key);
        let page = due.into_iter().take(limit as usize);
        Ok(page.map(|(_, generation)| generation.clone()).collect())
    }
}

#[async_trait]
impl DeliveryStore for FakeStore {
    async fn list_due_endpoints_any_account(
        &self,
        now: DateTime<Utc>,
        after: Option<(AccountId, EndpointId)>,
        limit: u32,
    ) -> Result<Vec<(AccountId, EndpointId)>, StoreError> {
        let rows = self.rows();
        let mut due: Vec<_> = (rows.deliveries.values())
            .filter(|delivery| delivery.status == DeliveryStatus::Pending)
            .filter(|delivery| delivery.next_try_at <= now)
            .filter(|delivery| {
                let endpoint = rows.endpoints.get(&delivery.endpoint_id);
                endpoint.is_some_and(|e| e.state.enabled && e.state.pause(now).is_none())
            })
            .map(|delivery| (delivery.account_id, delivery.endpoint_id))
            .filter(|found| after.is_none_or(|after| *found > after))
            .collect();
        due.sort();
        due.dedup();
        due.truncate(limit as usize);
        Ok(due)
    }

    async fn find_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
    ) -> Result<Option<WebhookEndpoint>, StoreError> {
        if self.corrupt.lock().unwrap().contains(&id) {
            return Err(StoreError::Corrupt("scripted".to_owned()));
        }
        let found = self.rows().endpoints.get(&id).cloned();
        Ok(found.filter(|endpoint| endpoint.state.account_id == account_id))
    }

    async fn list_pending(
        &self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        due_before: DateTime<Utc>,
        after: Option<(DateTime<Utc>, DeliveryId)>,
        limit: u32,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        *self.pages_read.lock().unwrap() += 1;
        let mut pending: Vec<_> = (self.rows().deliveries.values())
            .filter(|delivery| delivery.status == DeliveryStatus::Pending)
            .filter(|d| d.endpoint_id == endpoint_id && d.account_id == account_id)
            .filter(|delivery| delivery.next_try_at <= due_before)
            .filter(|delivery| after.is_none_or(|it| (delivery.next_try_at, delivery.id) > it))
            .cloned()
            .collect();
        pending.sort_by_key(|delivery| (delivery.next_try_at, delivery.id));
        pending.truncate(limit as usize);
        let wait = self.slow_reads.lock().unwrap().pop_front();
        if let Some(wait) = wait {
            sleep(wait).await;
        }
        Ok(pending)
    }

    async fn record_tries(
        &self,
        account_id: AccountId,
        tried: Vec<DeliveryTried>,
    ) -> Result<Vec<Option<TryOutcome>>, StoreError> {
        self.write(|| {
            assert!(tried.iter().all(|one| one.delivery.account_id == account_id));
            self.unit(|batch| tried.iter().map(|one| batch.record_try(one)).collect())
        })
        .await
    }

    async fn disable(
        &self,
        account_id: AccountId,
        fault: EndpointFault,
    ) -> Result<bool, StoreError> {
        self.write(|| {
            let known = self.rows().endpoints.get(&fault.endpoint_id).map(|e| e.state.account_id);
            assert!(known.is_none_or(|owner| owner == account_id));
            self.unit(|batch| batch.disable(fault))
        })
        .await
    }
}

#[async_trait]
impl BacklogStore for FakeStore {
    async fn backlog(&self, _now: DateTime<Utc>) -> Result<Backlog, StoreError> {
        let rows = self.rows();
        let count = |status: Status| {
            rows.generations.values().filter(|g| g.status() == status).count() as u64
        };
        let pending = |delivery: &&WebhookDelivery| delivery.status == DeliveryStatus::Pending;
        Ok(Backlog {
            pending: count(Status::Pending),
            processing: count(Status::Processing),
            generation_due_at: rows.generations.values().filter_map(Generation::due_at).min(),
            delivery_due_at: rows.deliveries.values().filter(pending).map(|d| d.next_try_at).min(),
        })
    }
}
