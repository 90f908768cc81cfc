//! Ended attempts across all accounts, and the copy of what they say about providers.

use actors::attempt::{EndedAttempt, cost_share};
use actors::id::{AccountId, GenerationId};
use actors::ports::StoreError;
use actors::ports::routing::{AttemptPlace, RoutingStore};
use actors::router::Snapshot;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use providers::Cost;
use providers::name::ProviderName;
use sqlx::types::Json;
use uuid::Uuid;

use crate::store::generations::outcome;
use crate::store::{BeginWrite, Store, database, in_turn, on};

/// Nothing runs longer: the settings allow no more.
const LIFE_MAX: TimeDelta = TimeDelta::days(1);

/// Ids of generations begin with their time, so for each account this reads the end of the
/// primary key and needs no index of its own. The cross join keeps SQLite from beginning with
/// the attempts.
const LIST_ENDED_ANY_ACCOUNT: &str = "SELECT attempts.*
     FROM accounts CROSS JOIN attempts
     WHERE attempts.account_id = accounts.id
       AND attempts.generation_id >= $1
       AND attempts.resolved_at > $2
     ORDER BY attempts.resolved_at DESC
     LIMIT $3";

const LIST_ENDED: &str = "SELECT * FROM attempts
     WHERE account_id = $1
       AND (generation_id, number) > ($2, $3)
       AND submitted_at > $4
       AND resolved_at IS NOT NULL
     ORDER BY generation_id, number
     LIMIT $5";

const SAVE: &str = "INSERT INTO routing_snapshots (region, taken_at, document)
     VALUES ($1, $2, $3)
     ON CONFLICT (region) DO UPDATE SET
         taken_at = excluded.taken_at,
         document = excluded.document";

const FIND: &str = "SELECT document FROM routing_snapshots WHERE region = $1";

#[derive(Debug, sqlx::FromRow)]
struct EndedRow {
    generation_id: Uuid,
    number: i64,
    model: String,
    provider: String,
    submitted_at: DateTime<Utc>,
    outcome: String,
    resolved_at: Option<DateTime<Utc>>,
    failure_code: Option<String>,
    failure_message: Option<String>,
    work_milli: i64,
    estimated_cost_microcredits: i64,
    provider_cost_microdollars: Option<i64>,
}

#[async_trait]
impl RoutingStore for Store {
    async fn list_ended_any_account(
        &self,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<EndedAttempt>, StoreError> {
        let first = first_id_at(since - LIFE_MAX);
        let rows: Vec<EndedRow> = on!(&self.db, pool => {
            let query = sqlx::query_as(LIST_ENDED_ANY_ACCOUNT);
            query.bind(first).bind(since).bind(i64::from(limit)).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(|row| ended(row).map(|(_, attempt)| attempt)).collect()
    }

    async fn list_ended(
        &self,
        account_id: AccountId,
        since: DateTime<Utc>,
        after: Option<AttemptPlace>,
        limit: u32,
    ) -> Result<Vec<(AttemptPlace, EndedAttempt)>, StoreError> {
        let first = (GenerationId(first_id_at(since - LIFE_MAX)), 0);
        let (generation_id, number) = after.unwrap_or(first);
        let rows: Vec<EndedRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST_ENDED)
                .bind(account_id.0)
                .bind(generation_id.0)
                .bind(i64::from(number))
                .bind(since)
                .bind(i64::from(limit))
                .fetch_all(pool)
                .await
        })
        .map_err(database)?;
        rows.into_iter().map(ended).collect()
    }

    async fn save_routing(&self, region: &str, snapshot: Snapshot) -> Result<(), StoreError> {
        let taken_at = snapshot.taken_at;
        in_turn!(&self.db, pool => {
            let mut transaction = pool.begin_write().await.map_err(database)?;
            sqlx::query(SAVE)
                .bind(region)
                .bind(taken_at)
                .bind(Json(snapshot))
                .execute(&mut *transaction)
                .await
                .map_err(database)?;
            transaction.commit().await.map_err(database)
        })
    }

    async fn find_routing(&self, region: &str) -> Result<Option<Snapshot>, StoreError> {
        let document: Option<Json<serde_json::Value>> = on!(&self.db, pool => {
            sqlx::query_scalar(FIND).bind(region).fetch_optional(pool).await
        })
        .map_err(database)?;
        let read = |Json(document)| serde_json::from_value(document);
        document.map(read).transpose().map_err(|error| {
            StoreError::Corrupt(format!("the routing snapshot of {region}: {error}"))
        })
    }
}

fn ended(row: EndedRow) -> Result<(AttemptPlace, EndedAttempt), StoreError> {
    let name = (row.generation_id, row.number);
    let corrupt = || StoreError::Corrupt(format!("attempt {} of generation {}", name.1, name.0));
    let (code, message) = (row.failure_code.as_deref(), row.failure_message.as_deref());
    let cost = row.provider_cost_microdollars.map(|cost| Cost(cost.unsigned_abs()));
    let attempt = EndedAttempt {
        model: row.model,
        provider: ProviderName::parse(&row.provider).ok_or_else(corrupt)?,
        outcome: outcome(&row.outcome, row.resolved_at, code, message).ok_or_else(corrupt)?,
        submitted_at: row.submitted_at,
        work_milli: u32::try_from(row.work_milli).map_err(|_| corrupt())?,
        cost_share: cost_share(cost, row.estimated_cost_microcredits),
    };
    let number = u32::try_from(row.number).map_err(|_| corrupt())?;
    Ok(((GenerationId(row.generation_id), number), attempt))
}

/// No UUIDv7 of this time or later sorts before it.
fn first_id_at(at: DateTime<Utc>) -> Uuid {
    let milliseconds = u128::try_from(at.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(milliseconds << 80)
}
