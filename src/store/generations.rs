//! Generations and their attempts, read and written set-wise.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use actors::attempt::{Attempt, AttemptOutcome, CostSource, ProviderCost};
use actors::batch::{AcceptRefusal, Advance, AdvanceRefusal, DeleteRefusal};
use actors::catalogue::PriceSource;
use actors::failure::{Failure, FailureCode};
use actors::generation::{
    AskedBy, Generation, NewAttempt, NewGeneration, Pricing, State, Status, StoredFile,
};
use actors::id::{AccountId, ApiKeyId, GenerationId, NodeId};
use actors::input::Input;
use actors::money::Credits;
use actors::ports::{GenerationStore, StoreError};
use actors::routing::choice::{Decision, Source};
use actors::spending::Month;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use providers::name::ProviderName;
use providers::{Cost, JobRef, MediaKind};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::store::rowset::{Id, KEY, Key, Kind, SetStatement, Time, rows};
use crate::store::writer::Unit;
use crate::store::{BeginWrite, Store, database, in_turn, on};

/// Reads generations by key.
pub(crate) static LOAD: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "SELECT stored.* FROM {rows} AS r
         JOIN generations AS stored ON stored.account_id = r.account_id AND stored.id = r.id
         {for update by id}",
    )
});

/// Reads generations by key without locking, in the order in which they are due.
static READ: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "SELECT stored.* FROM {rows} AS r
         JOIN generations AS stored ON stored.account_id = r.account_id AND stored.id = r.id
         ORDER BY stored.due_at, stored.id",
    )
});

/// Reads the attempts of generations.
pub(crate) static LOAD_ATTEMPTS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "SELECT stored.* FROM {rows} AS r
         JOIN attempts AS stored
           ON stored.account_id = r.account_id AND stored.generation_id = r.id
         ORDER BY stored.number",
    )
});

const COLUMNS: [(&str, Kind); 25] = [
    ("account_id", Kind::Id),
    ("id", Kind::Id),
    ("model", Kind::Text),
    ("media", Kind::Text),
    ("status", Kind::Text),
    ("was", Kind::Text),
    ("input", Kind::Json),
    ("amount_millicredits", Kind::Int),
    ("catalogue_version", Kind::Text),
    ("cost_per_output_millicredits", Kind::Int),
    ("price_source", Kind::Text),
    ("api_key_id", Kind::Id),
    ("spend_month", Kind::Int),
    ("owner", Kind::Id),
    ("epoch", Kind::Int),
    ("created_at", Kind::Time),
    ("deadline_at", Kind::Time),
    ("due_at", Kind::Time),
    ("started_at", Kind::Time),
    ("completed_at", Kind::Time),
    ("outputs", Kind::Json),
    ("predict_time_ms", Kind::Int),
    ("files_removed_at", Kind::Time),
    ("failure_code", Kind::Text),
    ("failure_message", Kind::Text),
];

/// Writes new generations.
pub(crate) static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &COLUMNS,
        "INSERT INTO generations (
             account_id, id, model, media, status, input, amount_millicredits,
             catalogue_version, cost_per_output_millicredits, price_source, api_key_id,
             spend_month, owner, epoch, created_at, deadline_at, due_at, started_at,
             completed_at, outputs, predict_time_ms, files_removed_at, failure_code, failure_message)
         SELECT
             account_id, id, model, media, status, input, amount_millicredits,
             catalogue_version, cost_per_output_millicredits, price_source, api_key_id,
             spend_month, owner, epoch, created_at, deadline_at, due_at, started_at,
             completed_at, outputs, predict_time_ms, files_removed_at, failure_code, failure_message
         FROM {rows} AS r",
    )
});

/// What is written once.
const NEVER_CHANGES: [&str; 12] = [
    "input",
    "model",
    "media",
    "amount_millicredits",
    "catalogue_version",
    "cost_per_output_millicredits",
    "price_source",
    "api_key_id",
    "spend_month",
    "owner",
    "created_at",
    "deadline_at",
];

/// Writes changed generations, each only if it still stands where it was read.
pub(crate) static UPDATE: LazyLock<SetStatement> = LazyLock::new(|| {
    let columns: Vec<(&str, Kind)> =
        COLUMNS.into_iter().filter(|(name, _)| !NEVER_CHANGES.contains(name)).collect();
    SetStatement::new(
        &columns,
        "UPDATE generations SET
             status = r.status,
             due_at = r.due_at,
             started_at = r.started_at,
             completed_at = r.completed_at,
             outputs = r.outputs,
             predict_time_ms = r.predict_time_ms,
             files_removed_at = r.files_removed_at,
             failure_code = r.failure_code,
             failure_message = r.failure_message
         FROM {rows} AS r
         WHERE generations.account_id = r.account_id
           AND generations.id = r.id
           AND generations.status = r.was
           AND generations.epoch = r.epoch",
    )
});

/// Writes new and changed attempts.
pub(crate) static UPSERT_ATTEMPTS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("generation_id", Kind::Id),
            ("number", Kind::Int),
            ("correlation", Kind::Id),
            ("provider", Kind::Text),
            ("model", Kind::Text),
            ("raw_model", Kind::Text),
            ("submitted_at", Kind::Time),
            ("deadline_at", Kind::Time),
            ("job", Kind::Text),
            ("outcome", Kind::Text),
            ("resolved_at", Kind::Time),
            ("failure_code", Kind::Text),
            ("failure_message", Kind::Text),
            ("decided_by", Kind::Text),
            ("propensity_ppm", Kind::Int),
            ("work_milli", Kind::Int),
            ("estimated_cost_microcredits", Kind::Int),
            ("provider_cost_microdollars", Kind::Int),
            ("provider_cost_source", Kind::Text),
        ],
        "INSERT INTO attempts (
             account_id, generation_id, number, correlation, provider, model, raw_model,
             submitted_at, deadline_at, job, outcome, resolved_at, failure_code, failure_message,
             decided_by, propensity_ppm, work_milli, estimated_cost_microcredits,
             provider_cost_microdollars, provider_cost_source)
         SELECT
             account_id, generation_id, number, correlation, provider, model, raw_model,
             submitted_at, deadline_at, job, outcome, resolved_at, failure_code, failure_message,
             decided_by, propensity_ppm, work_milli, estimated_cost_microcredits,
             provider_cost_microdollars, provider_cost_source
         FROM {rows} AS r WHERE true
         ON CONFLICT (account_id, generation_id, number) DO UPDATE SET
             job = excluded.job,
             outcome = excluded.outcome,
             resolved_at = excluded.resolved_at,
             failure_code = excluded.failure_code,
             failure_message = excluded.failure_message,
             provider_cost_microdollars = excluded.provider_cost_microdollars,
             provider_cost_source = excluded.provider_cost_source",
    )
});

/// Deletes what has ended, and nothing that somebody has begun anew.
pub(crate) static DELETE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "DELETE FROM generations
         WHERE (account_id, id) IN (SELECT account_id, id FROM {rows} AS r)
           AND status IN ('succeeded', 'failed', 'canceled')",
    )
});

/// A page of an account's generations. The id begins with the time of acceptance, so the range
/// of the primary key that belongs to the account is already in order.
const LIST: &str = "SELECT account_id, id FROM generations
     WHERE account_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3";

/// Kept, and not counted: a list tells it with every page.
const COUNT: &str = "SELECT generations FROM accounts WHERE id = $1";

/// Takes over everything in flight.
const ADOPT: &str = "UPDATE generations SET owner = $1, epoch = epoch + 1 WHERE due_at IS NOT NULL";

/// A page of what a process has in flight, in the order in which it is due.
const LIST_DUE: &str = "SELECT account_id, id FROM generations
     WHERE owner = $1 AND due_at IS NOT NULL AND due_at < $2 AND (due_at, id) > ($3, $4)
     ORDER BY due_at, id LIMIT $5";

/// The same generation in any account: for an operator who has only its id.
const FIND_ACCOUNT: &str = "SELECT generations.account_id FROM accounts
     JOIN generations ON generations.account_id = accounts.id AND generations.id = $1";

#[async_trait]
impl GenerationStore for Store {
    async fn accept(
        &self,
        new: NewGeneration,
        first: NewAttempt,
    ) -> Result<Result<Generation, AcceptRefusal>, StoreError> {
        self.submit(|reply| Unit::Accept(Box::new((new, first)), reply)).await
    }

    async fn advance(
        &self,
        advance: Advance,
    ) -> Result<Result<Generation, AdvanceRefusal>, StoreError> {
        self.submit(|reply| Unit::Advance(Box::new(advance), reply)).await
    }

    async fn find(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<Option<Generation>, StoreError> {
        Ok(self.read(&[key(account_id, id)]).await?.pop())
    }

    async fn list(
        &self,
        account_id: AccountId,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Generation>, StoreError> {
        let found: Vec<(Uuid, Uuid)> = on!(&self.db, pool => {
            sqlx::query_as(LIST)
                .bind(account_id.0)
                .bind(i64::from(limit))
                .bind(i64::try_from(offset).unwrap_or(i64::MAX))
                .fetch_all(pool)
                .await
        })
        .map_err(database)?;
        let mut page = self.read(&keys(found)).await?;
        page.sort_unstable_by_key(|generation| Reverse(generation.id));
        Ok(page)
    }

    async fn count(&self, account_id: AccountId) -> Result<u64, StoreError> {
        let count: Option<i64> = on!(&self.db, pool => {
            sqlx::query_scalar(COUNT).bind(account_id.0).fetch_optional(pool).await
        })
        .map_err(database)?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }

    async fn delete(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<Result<(), DeleteRefusal>, StoreError> {
        self.submit(|reply| Unit::Delete(account_id, id, reply)).await
    }

    async fn adopt_any_account(&self, owner: NodeId) -> Result<u64, StoreError> {
        in_turn!(&self.db, pool => {
            let mut transaction = pool.begin_write().await.map_err(database)?;
            let adopted = sqlx::query(ADOPT).bind(owner.0).execute(&mut *transaction).await;
            let adopted = adopted.map_err(database)?.rows_affected();
            transaction.commit().await.map_err(database)?;
            Ok(adopted)
        })
    }

    async fn list_due_any_account(
        &self,
        owner: NodeId,
        due_before: DateTime<Utc>,
        after: Option<(DateTime<Utc>, GenerationId)>,
        limit: u32,
    ) -> Result<Vec<Generation>, StoreError> {
        let (after_at, after_id) =
            after.map_or((DateTime::UNIX_EPOCH, Uuid::nil()), |(at, id)| (at, id.0));
        let found: Vec<(Uuid, Uuid)> = on!(&self.db, pool => {
            sqlx::query_as(LIST_DUE)
                .bind(owner.0)
                .bind(due_before)
                .bind(after_at)
                .bind(after_id)
                .bind(i64::from(limit))
                .fetch_all(pool)
                .await
        })
        .map_err(database)?;
        self.read(&keys(found)).await
    }
}

impl Store {
    /// Finds a generation by its id alone, for an operator.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_any_account(
        &self,
        id: GenerationId,
    ) -> Result<Option<Generation>, StoreError> {
        let account: Option<(Uuid,)> = on!(&self.db, pool => {
            sqlx::query_as(FIND_ACCOUNT).bind(id.0).fetch_optional(pool).await
        })
        .map_err(database)?;
        match account {
            Some((account_id,)) => self.find(AccountId(account_id), id).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn read(&self, keys: &[Key]) -> Result<Vec<Generation>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (keys, dialect) = (rows(keys), self.db.dialect());
        let (found, attempts) = on!(&self.db, pool => {
            let found = sqlx::query_as(READ.sql(dialect)).bind(&keys).fetch_all(pool).await;
            let attempts = sqlx::query_as(LOAD_ATTEMPTS.sql(dialect)).bind(&keys);
            (found.map_err(database)?, attempts.fetch_all(pool).await.map_err(database)?)
        });
        assemble(found, attempts)
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct GenerationRow {
    account_id: Uuid,
    id: Uuid,
    model: String,
    media: String,
    status: String,
    input: Json<Input>,
    amount_millicredits: i64,
    catalogue_version: String,
    cost_per_output_millicredits: i64,
    price_source: String,
    api_key_id: Option<Uuid>,
    spend_month: Option<i64>,
    epoch: i64,
    created_at: DateTime<Utc>,
    deadline_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
    outputs: Option<Json<Vec<StoredFile>>>,
    predict_time_ms: Option<i64>,
    files_removed_at: Option<DateTime<Utc>>,
    failure_code: Option<String>,
    failure_message: Option<String>,
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct AttemptRow {
    account_id: Uuid,
    generation_id: Uuid,
    number: i64,
    correlation: Uuid,
    provider: String,
    model: String,
    raw_model: String,
    submitted_at: DateTime<Utc>,
    deadline_at: DateTime<Utc>,
    job: Option<String>,
    outcome: String,
    resolved_at: Option<DateTime<Utc>>,
    failure_code: Option<String>,
    failure_message: Option<String>,
    decided_by: String,
    propensity_ppm: Option<i64>,
    work_milli: i64,
    estimated_cost_microcredits: i64,
    provider_cost_microdollars: Option<i64>,
    provider_cost_source: Option<String>,
}

/// Puts rows together.
pub(crate) fn assemble(
    rows: Vec<GenerationRow>,
    attempts: Vec<AttemptRow>,
) -> Result<Vec<Generation>, StoreError> {
    let mut by_generation: HashMap<(Uuid, Uuid), Vec<Attempt>> = HashMap::new();
    for row in attempts {
        let key = (row.account_id, row.generation_id);
        by_generation.entry(key).or_default().push(attempt(row)?);
    }
    rows.into_iter()
        .map(|row| {
            let attempts = by_generation.remove(&(row.account_id, row.id)).unwrap_or_default();
            generation(row, attempts)
        })
        .collect()
}

fn generation(row: GenerationRow, attempts: Vec<Attempt>) -> Result<Generation, StoreError> {
    let name = row.id;
    let corrupt = |what: &str| StoreError::Corrupt(format!("generation {name}: {what}"));
    let state = state(&row).ok_or_else(|| corrupt("its columns do not make a state"))?;
    let media = match row.media.as_str() {
        "image" => MediaKind::Image,
        "video" => MediaKind::Video,
        _ => return Err(corrupt("unknown media")),
    };
    let credits = |thousandths| {
        Credits::from_thousandths(thousandths).map_err(|_| corrupt("amount out of range"))
    };
    let month = row.spend_month.map(u32::try_from).transpose();
    let new = NewGeneration {
        account_id: AccountId(row.account_id),
        id: GenerationId(row.id),
        model: row.model,
        media,
        input: row.input.0,
        amount: credits(row.amount_millicredits)?,
        pricing: Pricing {
            cost_per_output: credits(row.cost_per_output_millicredits)?,
            source: PriceSource::parse(&row.price_source)
                .ok_or_else(|| corrupt("unknown source of its price"))?,
            catalogue_version: row.catalogue_version,
        },
        asked_by: AskedBy {
            key: row.api_key_id.map(ApiKeyId),
            month: month.map_err(|_| corrupt("month out of range"))?.map(Month),
        },
        claim: None,
        asked_at: row.created_at,
        created_at: row.created_at,
        deadline_at: row.deadline_at,
    };
    Ok(Generation::restore(new, row.epoch, state, attempts))
}

fn state(row: &GenerationRow) -> Option<State> {
    let started_at = row.started_at;
    Some(match Status::parse(&row.status)? {
        Status::Pending => State::Pending,
        Status::Processing => State::Processing { started_at: started_at? },
        Status::Succeeded => State::Succeeded {
            started_at: started_at?,
            completed_at: row.completed_at?,
            outputs: row.outputs.as_ref()?.0.clone(),
            predict_time: match row.predict_time_ms {
                Some(ms) => Some(Duration::from_millis(u64::try_from(ms).ok()?)),
                None => None,
            },
            files_removed_at: row.files_removed_at,
        },
        Status::Failed => State::Failed {
            started_at,
            completed_at: row.completed_at?,
            failure: failure(row.failure_code.as_deref(), row.failure_message.as_deref())?,
        },
        Status::Canceled => State::Canceled { started_at, completed_at: row.completed_at? },
    })
}

fn failure(code: Option<&str>, message: Option<&str>) -> Option<Failure> {
    Some(Failure::new(FailureCode::parse(code?)?, message?))
}

/// What the columns of an attempt say of its end.
pub(crate) fn outcome(
    text: &str,
    resolved_at: Option<DateTime<Utc>>,
    code: Option<&str>,
    message: Option<&str>,
) -> Option<AttemptOutcome> {
    Some(match (text, resolved_at) {
        ("pending", None) => AttemptOutcome::Pending,
        ("used", Some(at)) => AttemptOutcome::Used { at },
        ("discarded", Some(at)) => AttemptOutcome::Discarded { at },
        ("canceled", Some(at)) => AttemptOutcome::Canceled { at },
        ("failed", Some(at)) => AttemptOutcome::Failed { at, failure: failure(code, message)? },
        _ => return None,
    })
}

fn attempt(row: AttemptRow) -> Result<Attempt, StoreError> {
    let name = (row.generation_id, row.number);
    let corrupt = || StoreError::Corrupt(format!("attempt {} of generation {}", name.1, name.0));
    let (code, message) = (row.failure_code.as_deref(), row.failure_message.as_deref());
    let outcome = outcome(&row.outcome, row.resolved_at, code, message).ok_or_else(corrupt)?;
    let ppm = row.propensity_ppm.map(u32::try_from).transpose();
    Ok(Attempt {
        number: u32::try_from(row.number).map_err(|_| corrupt())?,
        correlation: row.correlation,
        provider: ProviderName::parse(&row.provider).ok_or_else(corrupt)?,
        model: row.model,
        raw_model: row.raw_model,
        submitted_at: row.submitted_at,
        deadline_at: row.deadline_at,
        decision: Decision {
            source: Source::parse(&row.decided_by).ok_or_else(corrupt)?,
            propensity_ppm: ppm.map_err(|_| corrupt())?,
        },
        work_milli: u32::try_from(row.work_milli).map_err(|_| corrupt())?,
        estimated_cost_microcredits: row.estimated_cost_microcredits,
        provider_cost: match (row.provider_cost_microdollars, row.provider_cost_source) {
            (Some(cost), Some(source)) => Some(ProviderCost {
                cost: Cost(u64::try_from(cost).map_err(|_| corrupt())?),
                source: CostSource::parse(&source).ok_or_else(corrupt)?,
            }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(corrupt()),
        },
        job: row.job.map(JobRef),
        outcome,
    })
}

/// A generation on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct GenerationOut<'a> {
    account_id: Id,
    id: Id,
    model: &'a str,
    media: &'static str,
    status: &'static str,
    was: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a Input>,
    amount_millicredits: i64,
    catalogue_version: &'a str,
    cost_per_output_millicredits: i64,
    price_source: &'static str,
    api_key_id: Option<Id>,
    spend_month: Option<u32>,
    owner: Id,
    epoch: i64,
    created_at: Time,
    deadline_at: Time,
    due_at: Option<Time>,
    started_at: Option<Time>,
    completed_at: Option<Time>,
    outputs: Option<&'a [StoredFile]>,
    predict_time_ms: Option<u64>,
    files_removed_at: Option<Time>,
    failure_code: Option<&'static str>,
    failure_message: Option<&'a str>,
}

/// A new generation as a row.
pub(crate) fn inserted(generation: &Generation, owner: NodeId) -> GenerationOut<'_> {
    let input = Some(&generation.input);
    GenerationOut { input, ..updated(generation, generation.status(), owner) }
}

/// A changed generation as a row.
pub(crate) fn updated(generation: &Generation, was: Status, owner: NodeId) -> GenerationOut<'_> {
    let (outputs, predict_time_ms, files_removed_at) = match generation.state() {
        State::Succeeded { outputs, predict_time, files_removed_at, .. } => {
            let ms = predict_time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            (Some(outputs.as_slice()), ms, *files_removed_at)
        }
        State::Pending
        | State::Processing { .. }
        | State::Failed { .. }
        | State::Canceled { .. } => (None, None, None),
    };
    let failure = match generation.state() {
        State::Failed { failure, .. } => Some(failure),
        State::Pending
        | State::Processing { .. }
        | State::Succeeded { .. }
        | State::Canceled { .. } => None,
    };
    GenerationOut {
        account_id: Id(generation.account_id.0),
        id: Id(generation.id.0),
        model: &generation.model,
        media: generation.media.as_str(),
        status: generation.status().as_str(),
        was: was.as_str(),
        input: None,
        amount_millicredits: generation.amount.thousandths(),
        catalogue_version: &generation.pricing.catalogue_version,
        cost_per_output_millicredits: generation.pricing.cost_per_output.thousandths(),
        price_source: generation.pricing.source.as_str(),
        api_key_id: generation.asked_by.key.map(|key| Id(key.0)),
        spend_month: generation.asked_by.month.map(|month| month.0),
        owner: Id(owner.0),
        epoch: generation.epoch,
        created_at: Time(generation.created_at),
        deadline_at: Time(generation.deadline_at),
        due_at: generation.due_at().map(Time),
        started_at: generation.started_at().map(Time),
        completed_at: generation.completed_at().map(Time),
        outputs,
        predict_time_ms,
        files_removed_at: files_removed_at.map(Time),
        failure_code: failure.map(|failure| failure.code.as_str()),
        failure_message: failure.map(|failure| failure.message.as_str()),
    }
}

/// An attempt on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct AttemptOut<'a> {
    account_id: Id,
    generation_id: Id,
    number: u32,
    correlation: Id,
    provider: &'static str,
    model: &'a str,
    raw_model: &'a str,
    submitted_at: Time,
    deadline_at: Time,
    job: Option<&'a str>,
    outcome: &'static str,
    resolved_at: Option<Time>,
    failure_code: Option<&'static str>,
    failure_message: Option<&'a str>,
    decided_by: &'static str,
    propensity_ppm: Option<u32>,
    work_milli: u32,
    estimated_cost_microcredits: i64,
    provider_cost_microdollars: Option<i64>,
    provider_cost_source: Option<&'static str>,
}

/// An attempt as a row.
pub(crate) fn attempt_out(
    account_id: AccountId,
    generation_id: GenerationId,
    attempt: &Attempt,
) -> AttemptOut<'_> {
    let failure = match &attempt.outcome {
        AttemptOutcome::Failed { failure, .. } => Some(failure),
        AttemptOutcome::Pending
        | AttemptOutcome::Used { .. }
        | AttemptOutcome::Discarded { .. }
        | AttemptOutcome::Canceled { .. } => None,
    };
    AttemptOut {
        account_id: Id(account_id.0),
        generation_id: Id(generation_id.0),
        number: attempt.number,
        correlation: Id(attempt.correlation),
        provider: attempt.provider.as_str(),
        model: &attempt.model,
        raw_model: &attempt.raw_model,
        submitted_at: Time(attempt.submitted_at),
        deadline_at: Time(attempt.deadline_at),
        job: attempt.job.as_ref().map(|job| job.0.as_str()),
        outcome: attempt.outcome.as_str(),
        resolved_at: attempt.outcome.resolved_at().map(Time),
        failure_code: failure.map(|failure| failure.code.as_str()),
        failure_message: failure.map(|failure| failure.message.as_str()),
        decided_by: attempt.decision.source.as_str(),
        propensity_ppm: attempt.decision.propensity_ppm,
        work_milli: attempt.work_milli,
        estimated_cost_microcredits: attempt.estimated_cost_microcredits,
        provider_cost_microdollars: attempt
            .provider_cost
            .map(|cost| i64::try_from(cost.cost.0).unwrap_or(i64::MAX)),
        provider_cost_source: attempt.provider_cost.map(|cost| cost.source.as_str()),
    }
}

/// Rows of account and id as the keys of a set-wise read.
fn keys(found: Vec<(Uuid, Uuid)>) -> Vec<Key> {
    found
        .into_iter()
        .map(|(account_id, id)| Key { account_id: Id(account_id), id: Id(id) })
        .collect()
}

/// The key of a generation for a set-wise read.
pub(crate) fn key(account_id: AccountId, id: GenerationId) -> Key {
    Key { account_id: Id(account_id.0), id: Id(id.0) }
}
