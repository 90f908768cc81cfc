//! Group commit: one writer takes what has queued up, decides it as a batch, writes it with
//! one statement per table, commits once, and answers everybody.
//!
//! A commit has to reach the disk, and a disk does some thousands of those a second at
//! best; sharing one flush among many units is where durable throughput comes from
//! (`ARCHITECTURE.md`, "Group commit"). The callers see none of this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use actors::account::Plans;
use actors::batch::{
    self, AcceptRefusal, Advance, AdvanceRefusal, Batch, Changes, DeleteRefusal, DeliveryTried,
    EndpointFault, Snapshot, TryOutcome,
};
use actors::file_urls::FileUrls;
use actors::generation::{Generation, NewAttempt, NewGeneration};
use actors::id::{AccountId, ApiKeyId, GenerationId, NodeId};
use actors::idempotency::Conclusion;
use actors::ports::{DeliveryListener, GenerationListener, IdSource, StoreError};
use actors::tally;
use actors::webhook::DeliveryPolicy;
use tokio::sync::{mpsc, oneshot};

use crate::secrets::PurposeKey;
use crate::store::in_flight::InFlight;
use crate::store::rowset::{AccountKey, Id, Key};
use crate::store::transaction::{Write, WriteConnection, WriteTransaction};
use crate::store::{
    Db, StoreMetrics, activities, alerts, endpoint_rows, generations, idempotency, is_contention,
    is_refusal, ledger, mails, notifications, spendings, standings, tallies, webhooks,
};

/// How often a batch is begun that another transaction keeps being in the way of.
const TRIES_MAX: u32 = 5;

/// What the rules of a batch need beside the rows.
pub(crate) struct Rules {
    /// Which process writes: the owner of what it accepts.
    pub(crate) node: NodeId,
    /// Makes delivery ids.
    pub(crate) ids: Arc<dyn IdSource>,
    /// Makes output URLs in webhook payloads.
    pub(crate) files: FileUrls,
    /// When deliveries are tried and endpoints given up.
    pub(crate) policy: DeliveryPolicy,
    /// How much accounts may have in flight.
    pub(crate) plans: Plans,
}

/// A unit of work and where its answer goes.
pub(crate) enum Unit {
    /// See `GenerationStore::accept`.
    Accept(Box<(NewGeneration, NewAttempt)>, Reply<Result<Generation, AcceptRefusal>>),
    /// See `GenerationStore::advance`.
    Advance(Box<Advance>, Reply<Result<Generation, AdvanceRefusal>>),
    /// See `IdempotencyStore::conclude`.
    Conclude(Box<Conclusion>, Reply<()>),
    /// See `GenerationStore::delete`.
    Delete(AccountId, GenerationId, Reply<Result<(), DeleteRefusal>>),
    /// See `DeliveryStore::record_tries`.
    Tries(AccountId, Vec<DeliveryTried>, Reply<Vec<Option<TryOutcome>>>),
    /// See `DeliveryStore::disable`.
    Disable(AccountId, EndpointFault, Reply<bool>),
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// The writer, to be run as a task of its own until its queue is closed.
pub(crate) struct Writer {
    pub(crate) db: Db,
    /// Seals the mail that it writes.
    pub(crate) mail_key: Arc<PurposeKey>,
    pub(crate) rules: Rules,
    pub(crate) queue: mpsc::Receiver<Unit>,
    pub(crate) batch_max: usize,
    pub(crate) metrics: StoreMetrics,
    pub(crate) listener: Arc<OnceLock<Weak<dyn DeliveryListener>>>,
    pub(crate) watchers: Arc<dyn GenerationListener>,
    pub(crate) in_flight: InFlight,
}

impl Writer {
    /// Writes until the queue is closed and empty.
    pub(crate) async fn run(mut self) {
        let mut connection = None;
        let mut units = Vec::with_capacity(self.batch_max);
        while let Some(first) = self.queue.recv().await {
            // What comes while others write need not wait for the next batch.
            let _turn = self.db.turn().await;
            let mut size = first.size();
            units.push(first);
            while size < self.batch_max
                && let Ok(unit) = self.queue.try_recv()
            {
                size += unit.size();
                units.push(unit);
            }
            let started = Instant::now();
            self.metrics.batch_units.observe(units.len() as f64);
            self.commit(&mut connection, std::mem::take(&mut units)).await;
            self.metrics.batch_seconds.observe(started.elapsed().as_secs_f64());
        }
    }

    /// Commits units together, again when another transaction was in the way; when the database
    /// refuses the batch, each alone, so that one bad unit fails alone.
    async fn commit(&mut self, connection: &mut Option<WriteConnection>, units: Vec<Unit>) {
        let was_open = connection.is_some();
        let mut outcome = self.attempt(connection, &units).await;
        for _ in 1..TRIES_MAX {
            match outcome {
                Err(error) if is_contention(&error) => {
                    tracing::warn!(%error, units = units.len(), "in each other's way; once more");
                    outcome = self.attempt(connection, &units).await;
                }
                Ok(_) | Err(_) => break,
            }
        }
        match outcome {
            Ok((answers, changes)) => {
                self.watchers.changed(&mut changes.moved());
                let deliveries = self.in_flight.remember(changes);
                let listener = self.listener.get().and_then(Weak::upgrade);
                if let (false, Some(listener)) = (deliveries.is_empty(), listener) {
                    listener.committed(deliveries);
                }
                for (unit, answer) in units.into_iter().zip(answers) {
                    answer.send(unit);
                }
            }
            Err(error) => {
                // The connection may be what failed, or what is remembered may be out of date:
                // the next batch takes another and reads everything.
                *connection = None;
                let relied_on_memory = self.in_flight.forget();
                let refused = is_refusal(&error);
                if relied_on_memory || (was_open && !refused) {
                    tracing::warn!(%error, units = units.len(), "a batch failed; once more, anew");
                    return Box::pin(self.commit(connection, units)).await;
                }
                // Where nobody answers, asking again for each would make everybody wait for all.
                if units.len() == 1 || !refused {
                    let cause = std::error::Error::source(&error);
                    tracing::error!(%error, ?cause, units = units.len(), "work was not written");
                    return units.into_iter().for_each(|unit| unit.fail(&error));
                }
                tracing::warn!(%error, units = units.len(), "a batch failed; trying each unit alone");
                for unit in units {
                    Box::pin(self.commit(connection, vec![unit])).await;
                }
            }
        }
    }

    async fn attempt(
        &mut self,
        connection: &mut Option<WriteConnection>,
        units: &[Unit],
    ) -> Result<(Vec<Answer>, Changes), StoreError> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(WriteConnection::acquire(&self.db).await?),
        };
        let mut transaction = connection.begin().await?;
        let snapshot = load(&mut transaction, units, &mut self.in_flight).await?;
        let rules = &self.rules;
        let next_id = || rules.ids.next();
        let by = batch::Rules { files: &rules.files, policy: &rules.policy, plans: &rules.plans };
        let mut batch = Batch::new(snapshot, &next_id, by);
        let answers = units.iter().map(|unit| Answer::decide(unit, &mut batch)).collect();
        let changes = batch.into_changes();
        save(&mut transaction, &changes, rules.node, &self.mail_key).await?;
        transaction.commit().await?;
        Ok((answers, changes))
    }
}

impl Unit {
    fn fail(self, error: &StoreError) {
        // StoreError is not Clone because of its source, which was logged above.
        let error = match error {
            StoreError::Corrupt(what) => StoreError::Corrupt(what.clone()),
            StoreError::Overloaded => StoreError::Overloaded,
            StoreError::Database(source) => StoreError::Database(source.to_string().into()),
        };
        // A caller that has gone away does not need its answer.
        match self {
            Self::Accept(_, reply) => drop(reply.send(Err(error))),
            Self::Advance(_, reply) => drop(reply.send(Err(error))),
            Self::Conclude(_, reply) => drop(reply.send(Err(error))),
            Self::Delete(_, _, reply) => drop(reply.send(Err(error))),
            Self::Tries(_, _, reply) => drop(reply.send(Err(error))),
            Self::Disable(_, _, reply) => drop(reply.send(Err(error))),
        }
    }

    /// How much of a batch it is.
    fn size(&self) -> usize {
        match self {
            Self::Tries(_, tried, _) => tried.len(),
            Self::Accept(..)
            | Self::Advance(..)
            | Self::Conclude(..)
            | Self::Delete(..)
            | Self::Disable(..) => 1,
        }
    }

    fn account_id(&self) -> AccountId {
        match self {
            Self::Accept(accept, _) => accept.0.account_id,
            Self::Advance(advance, _) => advance.account_id,
            Self::Conclude(conclusion, _) => conclusion.key.account_id,
            Self::Delete(account_id, ..)
            | Self::Tries(account_id, ..)
            | Self::Disable(account_id, ..) => *account_id,
        }
    }
}

enum Answer {
    Accept(Result<Generation, AcceptRefusal>),
    Advance(Result<Generation, AdvanceRefusal>),
    Conclude,
    Delete(Result<(), DeleteRefusal>),
    Tries(Vec<Option<TryOutcome>>),
    Disable(bool),
}

impl Answer {
    fn decide(unit: &Unit, batch: &mut Batch<'_>) -> Self {
        match unit {
            Unit::Accept(accept, _) => {
                let (new, first) = accept.as_ref().clone();
                Self::Accept(batch.accept(new, first))
            }
            Unit::Advance(advance, _) => Self::Advance(batch.advance(advance.as_ref().clone())),
            Unit::Conclude(conclusion, _) => {
                batch.conclude(conclusion.as_ref().clone());
                Self::Conclude
            }
            Unit::Delete(account_id, id, _) => Self::Delete(batch.delete(*account_id, *id)),
            Unit::Tries(_, tried, _) => {
                Self::Tries(tried.iter().map(|one| batch.record_try(one)).collect())
            }
            Unit::Disable(_, fault, _) => Self::Disable(batch.disable(*fault)),
        }
    }

    fn send(self, unit: Unit) {
        // A caller that has gone away does not need its answer.
        match (self, unit) {
            (Self::Accept(answer), Unit::Accept(_, reply)) => drop(reply.send(Ok(answer))),
            (Self::Advance(answer), Unit::Advance(_, reply)) => drop(reply.send(Ok(answer))),
            (Self::Conclude, Unit::Conclude(_, reply)) => drop(reply.send(Ok(()))),
            (Self::Delete(answer), Unit::Delete(.., reply)) => drop(reply.send(Ok(answer))),
            (Self::Tries(answer), Unit::Tries(_, _, reply)) => drop(reply.send(Ok(answer))),
            (Self::Disable(answer), Unit::Disable(_, _, reply)) => drop(reply.send(Ok(answer))),
            _ => unreachable!("answers are made from the units, in order"),
        }
    }
}

/// Reads every row that the units may touch, and locks it.
async fn load(
    transaction: &mut WriteTransaction<'_>,
    units: &[Unit],
    in_flight: &mut InFlight,
) -> Result<Snapshot, StoreError> {
    let mut snapshot = Snapshot::default();
    let (mut paying, mut telling) = (BTreeSet::new(), BTreeSet::new());
    // Each row once: several units of a batch may be about the same one, and a row that came
    // back twice would share its attempts out among its copies. In order, so that two servers
    // lock in the same one.
    let trusting = units.iter().any(|unit| matches!(unit, Unit::Tries(..))) && in_flight.trust();
    let (mut advancing, mut tried_ones) = (BTreeSet::new(), BTreeSet::new());
    let (mut spending, mut claimed, mut refunding) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut need = |key| match in_flight.take(key) {
        Some(generation) => drop(snapshot.generations.insert(key, generation)),
        None if snapshot.generations.contains_key(&key) => {}
        None => drop(advancing.insert(key)),
    };
    let mut reserved: BTreeMap<AccountId, i64> = BTreeMap::new();
    for unit in units {
        let account_id = unit.account_id();
        match unit {
            Unit::Accept(accept, _) => {
                let new = &accept.0;
                paying.insert(account_id);
                *reserved.entry(account_id).or_default() += new.amount.thousandths();
                spending.extend(new.asked_by.counted().map(|key| (account_id, key)));
                claimed.extend(new.claim.as_ref().map(|claim| &claim.key));
            }
            Unit::Conclude(conclusion, _) => drop(claimed.insert(&conclusion.key)),
            Unit::Delete(_, id, _) => {
                need((account_id, *id));
                paying.insert(account_id);
            }
            Unit::Advance(advance, _) => {
                let key = (account_id, advance.id);
                need(key);
                if advance.may_settle() {
                    paying.insert(account_id);
                }
                if advance.may_refund() {
                    refunding.push(key);
                }
                if advance.may_announce() {
                    telling.insert(account_id);
                }
            }
            Unit::Tries(_, tried, _) => {
                // One that fails may disable its endpoint, which the others are told.
                if !(trusting && tried.iter().all(DeliveryTried::is_routine)) {
                    telling.insert(account_id);
                }
                let keys = tried.iter().map(|one| (account_id, one.delivery.id));
                tried_ones.extend(keys.filter(|_| !trusting));
                snapshot.deliveries.extend(
                    tried
                        .iter()
                        .filter(|_| trusting)
                        .map(|one| (one.delivery.id, one.delivery.clone())),
                );
            }
            Unit::Disable(..) => drop(telling.insert(account_id)),
        }
    }
    let keys = |accounts: BTreeSet<AccountId>| -> Vec<AccountKey> {
        accounts.into_iter().map(AccountKey::new).collect()
    };
    let standings: Vec<standings::StandingRow> =
        transaction.fetch(&standings::LOAD, &keys(paying)).await?;
    for row in standings {
        snapshot.standings.insert(AccountId(row.id), row.try_into()?);
    }
    let alerted = snapshot.may_alert(&reserved);
    telling.extend(&alerted);
    load_alerts(transaction, &mut snapshot, &keys(alerted.clone())).await?;
    // Who has never chosen has no row.
    for account_id in alerted {
        snapshot.alerts.entry(account_id).or_default();
    }
    let generation_keys: Vec<Key> =
        advancing.into_iter().map(|(account_id, id)| generations::key(account_id, id)).collect();
    let delivery_keys: Vec<Key> = tried_ones
        .into_iter()
        .map(|(account_id, id)| Key { account_id: Id(account_id.0), id: Id(id.0) })
        .collect();
    let found = transaction.fetch(&generations::LOAD, &generation_keys).await?;
    let attempts = transaction.fetch(&generations::LOAD_ATTEMPTS, &generation_keys).await?;
    for generation in generations::assemble(found, attempts)? {
        snapshot.generations.insert((generation.account_id, generation.id), generation);
    }
    for key in refunding {
        let generation = snapshot.generations.get(&key);
        spending.extend(generation.and_then(|it| it.asked_by.counted()).map(|id| (key.0, id)));
    }
    let spending_keys: Vec<Key> = spending
        .into_iter()
        .map(|(account_id, id)| Key { account_id: Id(account_id.0), id: Id(id.0) })
        .collect();
    let spendings: Vec<spendings::SpendingRow> =
        transaction.fetch(&spendings::LOAD, &spending_keys).await?;
    for row in spendings {
        let key = (AccountId(row.account_id), ApiKeyId(row.id));
        snapshot.spendings.insert(key, row.try_into()?);
    }
    let record_keys: Vec<_> = claimed.into_iter().map(idempotency::key_out).collect();
    let records: Vec<idempotency::RecordRow> =
        transaction.fetch(&idempotency::LOAD, &record_keys).await?;
    for row in records {
        let record: actors::idempotency::Record = row.try_into()?;
        snapshot.records.insert(record.claim.key.clone(), record);
    }
    let endpoints: Vec<endpoint_rows::EndpointStateRow> =
        transaction.fetch(&webhooks::LOAD_ENDPOINTS, &keys(telling)).await?;
    for row in endpoints {
        let endpoint: actors::webhook::endpoint::EndpointState = row.try_into()?;
        snapshot.endpoints.insert(endpoint.id, endpoint);
    }
    let deliveries: Vec<webhooks::DeliveryRow> =
        transaction.fetch(&webhooks::LOAD_DELIVERIES, &delivery_keys).await?;
    for row in deliveries {
        let delivery: actors::webhook::WebhookDelivery = row.try_into()?;
        snapshot.deliveries.insert(delivery.id, delivery);
    }
    Ok(snapshot)
}

async fn load_alerts(
    transaction: &mut WriteTransaction<'_>,
    snapshot: &mut Snapshot,
    accounts: &[AccountKey],
) -> Result<(), StoreError> {
    let found: Vec<alerts::AlertsRow> = transaction.fetch(&alerts::LOAD, accounts).await?;
    for row in found {
        snapshot.alerts.insert(AccountId(row.account_id), row.try_into()?);
    }
    Ok(())
}

/// Writes what the batch changed: one statement per table, and a row that was not as expected
/// undoes everything.
async fn save(
    transaction: &mut WriteTransaction<'_>,
    changes: &Changes,
    node: NodeId,
    mail_key: &PurposeKey,
) -> Result<(), StoreError> {
    let inserted: Vec<_> =
        changes.inserted.iter().map(|generation| generations::inserted(generation, node)).collect();
    let updated: Vec<_> = changes
        .updated
        .iter()
        .map(|(generation, was)| generations::updated(generation, *was, node))
        .collect();
    let attempts: Vec<_> = changes
        .attempts
        .iter()
        .map(|(account_id, id, attempt)| generations::attempt_out(*account_id, *id, attempt))
        .collect();
    let entries: Vec<_> = changes.entries.iter().map(ledger::entry_out).collect();
    let standings: Vec<_> = changes
        .standings
        .iter()
        .map(|(id, before, after)| standings::standing_out(*id, *before, *after))
        .collect();
    let spendings: Vec<_> = changes
        .spendings
        .iter()
        .map(|(account_id, id, spending)| spendings::spending_out(*account_id, *id, *spending))
        .collect();
    let records: Vec<_> = changes.records.iter().map(idempotency::record_out).collect();
    let forgotten: Vec<_> = changes.forgotten.iter().map(idempotency::key_out).collect();
    let deliveries: Vec<_> = changes.deliveries.iter().map(webhooks::delivery_out).collect();
    let tried: Vec<_> = changes.tried.iter().map(webhooks::tried_out).collect();
    let tries: Vec<_> = changes.tries.iter().map(webhooks::try_out).collect();
    let endpoints: Vec<_> = changes.endpoints.iter().map(endpoint_rows::endpoint_out).collect();
    let told: Vec<_> = changes.notifications.iter().map(notifications::notification_out).collect();
    let alerts: Vec<_> =
        changes.alerts.iter().map(|(id, alerts)| alerts::alerts_out(*id, alerts)).collect();
    let disabled: Vec<_> = changes
        .disabled
        .iter()
        .map(|(account_id, id, at)| webhooks::disabled_out(*account_id, *id, *at))
        .collect();
    let deleted: Vec<_> =
        changes.deleted.iter().map(|(account_id, id)| generations::key(*account_id, *id)).collect();
    let done: Vec<_> = changes.activities.iter().map(activities::activity_out).collect();
    let mailed: Vec<_> =
        changes.mails.iter().map(|mail| mails::owner_mail_out(mail, mail_key)).collect();
    let counted = tally::of_changes(changes);
    let counted = tallies::tallies_out(&counted);
    let writes = [
        Write::new(&generations::INSERT, &inserted),
        Write::new(&generations::UPDATE, &updated),
        Write::new(&generations::UPSERT_ATTEMPTS, &attempts),
        Write::new(&ledger::INSERT, &entries),
        Write::new(&standings::UPDATE, &standings),
        Write::new(&spendings::UPDATE, &spendings),
        Write::new(&idempotency::UPSERT, &records),
        Write::new(&idempotency::DELETE, &forgotten),
        Write::new(&webhooks::INSERT_DELIVERIES, &deliveries),
        Write::new(&webhooks::UPDATE_DELIVERIES, &tried),
        Write::new(&webhooks::INSERT_TRIES, &tries),
        Write::new(&webhooks::UPDATE_ENDPOINTS, &endpoints),
        Write::new(&notifications::INSERT, &told),
        Write::new(&alerts::UPSERT, &alerts),
        Write::new(&activities::INSERT, &done),
        Write::new(&tallies::ADD, &counted),
        // Last: it may have ended in this very batch.
        Write::new(&generations::DELETE, &deleted),
    ];
    transaction.write_all(writes.into_iter().flatten().collect()).await?;
    // As many rows as there are, which is why they are not among the others. What was answered
    // about a generation may hold its prompt and its files.
    transaction.execute(&webhooks::QUEUE_PENDING, &disabled).await?;
    transaction.execute(&mails::INSERT_FOR_OWNERS, &mailed).await?;
    transaction.execute(&idempotency::FORGET_ANSWERS, &deleted).await?;
    Ok(())
}
