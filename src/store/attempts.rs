//! Attempts across all accounts, for what is counted over providers.

use actors::attempt::AttemptOutcome;
use actors::ports::{AttemptStore, StoreError};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use providers::name::ProviderName;
use uuid::Uuid;

use crate::store::generations::outcome;
use crate::store::{Store, database, on};

/// Nothing runs longer: the settings allow no more.
const LIFE_MAX: TimeDelta = TimeDelta::days(1);

/// Ids of generations begin with their time, so for each account this reads the end of the
/// primary key and needs no index of its own. The cross join keeps SQLite from beginning with
/// the attempts.
const LIST_ENDED: &str = "SELECT
         attempts.provider,
         attempts.outcome,
         attempts.resolved_at,
         attempts.failure_code,
         attempts.failure_message
     FROM accounts CROSS JOIN attempts
     WHERE attempts.account_id = accounts.id
       AND attempts.generation_id >= $1
       AND attempts.resolved_at > $2
     ORDER BY attempts.resolved_at DESC
     LIMIT $3";

#[derive(Debug, sqlx::FromRow)]
struct EndedRow {
    provider: String,
    outcome: String,
    resolved_at: Option<DateTime<Utc>>,
    failure_code: Option<String>,
    failure_message: Option<String>,
}

#[async_trait]
impl AttemptStore for Store {
    async fn list_ended_any_account(
        &self,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(ProviderName, AttemptOutcome)>, StoreError> {
        let first = first_id_at(since - LIFE_MAX);
        let rows: Vec<EndedRow> = on!(&self.db, pool => {
            let query = sqlx::query_as(LIST_ENDED).bind(first).bind(since).bind(i64::from(limit));
            query.fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(ended).collect()
    }
}

fn ended(row: EndedRow) -> Result<(ProviderName, AttemptOutcome), StoreError> {
    let EndedRow { provider, outcome: text, resolved_at, failure_code, failure_message } = row;
    let (code, message) = (failure_code.as_deref(), failure_message.as_deref());
    let name = ProviderName::parse(&provider);
    name.zip(outcome(&text, resolved_at, code, message))
        .ok_or_else(|| StoreError::Corrupt(format!("an attempt at {provider}")))
}

/// No UUIDv7 of this time or later sorts before it.
fn first_id_at(at: DateTime<Utc>) -> Uuid {
    let milliseconds = u128::try_from(at.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(milliseconds << 80)
}
