//! What is remembered under idempotency keys.

use std::sync::LazyLock;

use actors::id::{AccountId, GenerationId};
use actors::idempotency::{Answer, Claim, Conclusion, Record, RecordKey};
use actors::ports::{IdempotencyStore, StoreError};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::store::rowset::{Id, KEY, Kind, SetStatement, Time};
use crate::store::writer::Unit;
use crate::store::{BeginWrite, Store, database, in_turn, on};

const KEY_COLUMNS: [(&str, Kind); 3] =
    [("account_id", Kind::Id), ("route", Kind::Text), ("key", Kind::Text)];

/// Reads records by key, locked.
pub(crate) static LOAD: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY_COLUMNS,
        "SELECT stored.* FROM {rows} AS r
         JOIN idempotency_records AS stored
           ON stored.account_id = r.account_id AND stored.route = r.route AND stored.key = r.key
         {for update}",
    )
});

/// Writes records; a new claim takes the place of one that has expired.
pub(crate) static UPSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("route", Kind::Text),
            ("key", Kind::Text),
            ("body_sha256", Kind::Text),
            ("generation_id", Kind::Id),
            ("created_at", Kind::Time),
            ("expires_at", Kind::Time),
            ("answered", Kind::Text),
            ("answer_body", Kind::Text),
        ],
        "INSERT INTO idempotency_records (
             account_id, route, key, body_sha256, generation_id, created_at, expires_at,
             answered, answer_body)
         SELECT
             account_id, route, key, body_sha256, generation_id, created_at, expires_at,
             answered, answer_body
         FROM {rows} AS r WHERE true
         ON CONFLICT (account_id, route, key) DO UPDATE SET
             body_sha256 = excluded.body_sha256,
             generation_id = excluded.generation_id,
             created_at = excluded.created_at,
             expires_at = excluded.expires_at,
             answered = excluded.answered,
             answer_body = excluded.answer_body",
    )
});

/// Forgets keys.
pub(crate) static DELETE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY_COLUMNS,
        "DELETE FROM idempotency_records
         WHERE (account_id, route, key) IN (SELECT account_id, route, key FROM {rows} AS r)",
    )
});

/// Forgets what was answered about generations that are deleted: it may hold a prompt. That the
/// keys were used stays known, or a repeat would be charged again. As a failure, which no later
/// answer takes the place of.
pub(crate) static FORGET_ANSWERS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "UPDATE idempotency_records SET answered = 'failure', answer_body = NULL
         WHERE (account_id, generation_id) IN (SELECT account_id, id FROM {rows} AS r)",
    )
});

const FIND: &str = "SELECT * FROM idempotency_records
     WHERE account_id = $1 AND route = $2 AND key = $3";

/// Said twice: on PostgreSQL the row may have become another claim's while we waited for it.
const FORGET_EXPIRED: &str = "DELETE FROM idempotency_records
     WHERE (account_id, route, key) IN (
         SELECT account_id, route, key FROM idempotency_records
         WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
       AND expires_at <= $1";

#[async_trait]
impl IdempotencyStore for Store {
    async fn find_record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let row: Option<RecordRow> = on!(&self.db, pool => {
            sqlx::query_as(FIND)
                .bind(key.account_id.0)
                .bind(&key.route)
                .bind(&key.key)
                .fetch_optional(pool)
                .await
        })
        .map_err(database)?;
        row.map(TryInto::try_into).transpose()
    }

    async fn conclude(&self, conclusion: Conclusion) -> Result<(), StoreError> {
        self.submit(|reply| Unit::Conclude(Box::new(conclusion), reply)).await
    }

    async fn forget_expired_any_account(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        in_turn!(&self.db, pool => {
            let mut transaction = pool.begin_write().await.map_err(database)?;
            let query = sqlx::query(FORGET_EXPIRED).bind(now).bind(i64::from(limit));
            let done = query.execute(&mut *transaction).await.map_err(database)?;
            transaction.commit().await.map_err(database)?;
            Ok(done.rows_affected())
        })
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct RecordRow {
    account_id: Uuid,
    route: String,
    key: String,
    body_sha256: String,
    generation_id: Uuid,
    created_at: DateTime<Utc>,
    answered: Option<String>,
    answer_body: Option<String>,
}

impl TryFrom<RecordRow> for Record {
    type Error = StoreError;

    fn try_from(row: RecordRow) -> Result<Self, StoreError> {
        let answer = match (row.answered.as_deref(), row.answer_body) {
            (None, None) => None,
            (Some("success"), Some(body)) => Some(Answer::Success(body)),
            (Some("failure"), None) => Some(Answer::Failure),
            _ => {
                let what = format!("idempotency record of generation {}", row.generation_id);
                return Err(StoreError::Corrupt(what));
            }
        };
        let (account_id, route) = (AccountId(row.account_id), row.route);
        let key = RecordKey { account_id, route, key: row.key };
        Ok(Self {
            claim: Claim { key, body_sha256: row.body_sha256 },
            generation_id: GenerationId(row.generation_id),
            created_at: row.created_at,
            answer,
        })
    }
}

/// A key as a row.
#[derive(Debug, Serialize)]
pub(crate) struct KeyOut<'a> {
    account_id: Id,
    route: &'a str,
    key: &'a str,
}

/// A key as a row.
pub(crate) fn key_out(key: &RecordKey) -> KeyOut<'_> {
    KeyOut { account_id: Id(key.account_id.0), route: &key.route, key: &key.key }
}

/// A record on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct RecordOut<'a> {
    #[serde(flatten)]
    key: KeyOut<'a>,
    body_sha256: &'a str,
    generation_id: Id,
    created_at: Time,
    expires_at: Time,
    answered: Option<&'static str>,
    answer_body: Option<&'a str>,
}

/// A record as a row.
pub(crate) fn record_out(record: &Record) -> RecordOut<'_> {
    let (answered, answer_body) = match &record.answer {
        None => (None, None),
        Some(Answer::Success(body)) => (Some("success"), Some(body.as_str())),
        Some(Answer::Failure) => (Some("failure"), None),
    };
    RecordOut {
        key: key_out(&record.claim.key),
        body_sha256: &record.claim.body_sha256,
        generation_id: Id(record.generation_id.0),
        created_at: Time(record.created_at),
        expires_at: Time(record.expires_at()),
        answered,
        answer_body,
    }
}
