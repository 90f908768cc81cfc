//! What has been kept for as long as its account's plan says.
//!
//! Ids are made in time order, so what is old is the beginning of each account's range of a
//! primary key: a page costs a look at every account of the plan and the rows that it answers,
//! however much is kept.

use std::sync::LazyLock;

use actors::account::Plan;
use actors::id::{AccountId, GenerationId, first_at};
use actors::ports::StoreError;
use actors::ports::retention::{GenerationKey, RetentionStore};
use actors::webhook::DeliveryStatus;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::store::delivery_log::{CLOSE_QUEUED, ClosedOut};
use crate::store::generations::key;
use crate::store::rowset::{Dialect, Id, KEY, Key, SetStatement, Time, rows};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, database, on};

/// Rows of accounts on plan `$1` with an id below `$2`, of times before `$3`, with keys after
/// `($4, $5)`, at most `$6`, in the order of their keys.
///
/// The databases have to be told to go from account to account, each in its own words: with other
/// plans they read the whole table.
pub(super) struct Old {
    sqlite: String,
    postgres: String,
}

impl Old {
    /// `id` is the column that begins with the time, `condition` what must hold of a row, which
    /// is called `old`.
    pub(super) fn new(table: &str, id: &str, condition: &str) -> Self {
        let after = format!("accounts.id >= $4 AND (accounts.id > $4 OR old.{id} > $5)");
        Self {
            sqlite: format!(
                "SELECT old.account_id, old.{id} AS id
                 FROM accounts CROSS JOIN {table} AS old
                 WHERE accounts.plan = $1 AND old.account_id = accounts.id
                   AND old.{id} < $2 AND {condition} AND {after}
                 ORDER BY accounts.id, old.{id} LIMIT $6"
            ),
            postgres: format!(
                "SELECT old.account_id, old.{id} AS id
                 FROM accounts CROSS JOIN LATERAL (
                     SELECT * FROM {table} AS old
                     WHERE old.account_id = accounts.id AND old.{id} < $2 AND {condition} AND {after}
                     ORDER BY old.{id} LIMIT $6
                 ) AS old
                 WHERE accounts.plan = $1
                 ORDER BY accounts.id, old.{id} LIMIT $6"
            ),
        }
    }

    fn sql(&'static self, dialect: Dialect) -> AssertSqlSafe<&'static str> {
        AssertSqlSafe(match dialect {
            Dialect::Sqlite => &self.sqlite,
            Dialect::Postgres => &self.postgres,
        })
    }
}

static WITH_FILES: LazyLock<Old> = LazyLock::new(|| {
    let kept =
        "old.status = 'succeeded' AND old.files_removed_at IS NULL AND old.completed_at < $3";
    Old::new("generations", "id", kept)
});

/// What is in flight has no such time.
static ENDED: LazyLock<Old> =
    LazyLock::new(|| Old::new("generations", "id", "old.completed_at < $3"));

static DELIVERIES: LazyLock<Old> = LazyLock::new(|| {
    let closed = "COALESCE(old.finished_at, old.created_at) < $3
                  AND old.status NOT IN ('pending', 'queued')";
    Old::new("webhook_deliveries", "id", closed)
});

static NOTIFICATIONS: LazyLock<Old> =
    LazyLock::new(|| Old::new("notifications", "id", "old.created_at < $3"));

/// One for each generation.
static ATTEMPTS: LazyLock<Old> = LazyLock::new(|| {
    let gone = "old.number = 1 AND old.submitted_at < $3 AND NOT EXISTS (
        SELECT 1 FROM generations
        WHERE generations.account_id = old.account_id AND generations.id = old.generation_id)";
    Old::new("attempts", "generation_id", gone)
});

static REQUESTS: LazyLock<Old> =
    LazyLock::new(|| Old::new("logged_requests", "id", "old.requested_at < $3"));

/// What was queued before `$2` for accounts on plan `$1`, at most `$3`. Found by when it was queued,
/// so not in the way of all the others; as a plain column SQLite would go from account to account.
const QUEUED: &str = "SELECT account_id, id FROM webhook_deliveries
     WHERE status = 'queued' AND queued_at < $2
       AND COALESCE(account_id, account_id) IN (SELECT id FROM accounts WHERE plan = $1)
     ORDER BY queued_at LIMIT $3";

static KEEPERS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "SELECT stored.account_id, stored.id FROM {rows} AS r
         JOIN generations AS stored ON stored.account_id = r.account_id AND stored.id = r.id
         WHERE stored.due_at IS NOT NULL
            OR (stored.status = 'succeeded' AND stored.files_removed_at IS NULL)",
    )
});

/// Their tries go with them.
static DELETE_DELIVERIES: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "DELETE FROM webhook_deliveries
         WHERE (account_id, id) IN (SELECT account_id, id FROM {rows} AS r)
           AND status NOT IN ('pending', 'queued')",
    )
});

static DELETE_NOTIFICATIONS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "DELETE FROM notifications
         WHERE (account_id, id) IN (SELECT account_id, id FROM {rows} AS r)",
    )
});

static DELETE_ATTEMPTS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "DELETE FROM attempts
         WHERE (account_id, generation_id) IN (SELECT account_id, id FROM {rows} AS r)",
    )
});

static DELETE_REQUESTS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "DELETE FROM logged_requests
         WHERE (account_id, id) IN (SELECT account_id, id FROM {rows} AS r)",
    )
});

#[async_trait]
impl RetentionStore for Store {
    async fn list_files_before_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        after: Option<GenerationKey>,
        limit: u32,
    ) -> Result<Vec<GenerationKey>, StoreError> {
        let after = after.map(|(account_id, id)| (account_id.0, id.0));
        Ok(generation_keys(self.list_old(&WITH_FILES, plan, before, after, limit).await?))
    }

    async fn list_ended_before_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        after: Option<GenerationKey>,
        limit: u32,
    ) -> Result<Vec<GenerationKey>, StoreError> {
        let after = after.map(|(account_id, id)| (account_id.0, id.0));
        Ok(generation_keys(self.list_old(&ENDED, plan, before, after, limit).await?))
    }

    async fn list_keepers_any_account(
        &self,
        keys: &[GenerationKey],
    ) -> Result<Vec<GenerationKey>, StoreError> {
        let keys: Vec<Key> = keys.iter().map(|(account_id, id)| key(*account_id, *id)).collect();
        let (keys, dialect) = (rows(&keys), self.db.dialect());
        let found = on!(&self.db, pool => {
            sqlx::query_as(KEEPERS.sql(dialect)).bind(keys).fetch_all(pool).await
        });
        Ok(generation_keys(found.map_err(database)?))
    }

    async fn forget_deliveries_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let old = self.list_old(&DELIVERIES, plan, before, None, limit).await?;
        self.delete_old(&DELETE_DELIVERIES, old).await
    }

    async fn expire_queued_any_account(
        &self,
        plan: Plan,
        queued_before: DateTime<Utc>,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let queued: Vec<(Uuid, Uuid)> = on!(&self.db, pool => {
            let query = sqlx::query_as(QUEUED).bind(plan.as_str()).bind(queued_before);
            query.bind(i64::from(limit)).fetch_all(pool).await
        })
        .map_err(database)?;
        if queued.is_empty() {
            return Ok(0);
        }
        let expired = queued.into_iter().map(|(account_id, id)| ClosedOut {
            account_id: Id(account_id),
            id: Id(id),
            status: DeliveryStatus::Expired.as_str(),
            finished_at: Time(now),
        });
        let expired: Vec<ClosedOut> = expired.collect();
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let expired = transaction.execute(&CLOSE_QUEUED, &expired).await?;
        transaction.commit().await?;
        Ok(expired)
    }

    async fn forget_notifications_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let old = self.list_old(&NOTIFICATIONS, plan, before, None, limit).await?;
        self.delete_old(&DELETE_NOTIFICATIONS, old).await
    }

    async fn forget_attempts_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let old = self.list_old(&ATTEMPTS, plan, before, None, limit).await?;
        let generations = old.len() as u64;
        self.delete_old(&DELETE_ATTEMPTS, old).await?;
        Ok(generations)
    }
}

impl Store {
    /// Removes old requests from the log; see
    /// [`RequestLogStore`](actors::ports::RequestLogStore).
    pub(super) async fn forget_requests(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let old = self.list_old(&REQUESTS, plan, before, None, limit).await?;
        self.delete_old(&DELETE_REQUESTS, old).await
    }

    async fn list_old(
        &self,
        old: &'static Old,
        plan: Plan,
        before: DateTime<Utc>,
        after: Option<(Uuid, Uuid)>,
        limit: u32,
    ) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
        let (account_id, id) = after.unwrap_or((Uuid::nil(), Uuid::nil()));
        let dialect = self.db.dialect();
        on!(&self.db, pool => {
            sqlx::query_as(old.sql(dialect))
                .bind(plan.as_str())
                // Of the very millisecond of `before` too, where the time itself decides.
                .bind(first_at(before + chrono::TimeDelta::milliseconds(1)))
                .bind(before)
                .bind(account_id)
                .bind(id)
                .bind(i64::from(limit))
                .fetch_all(pool)
                .await
        })
        .map_err(database)
    }

    async fn delete_old(
        &self,
        delete: &'static SetStatement,
        old: Vec<(Uuid, Uuid)>,
    ) -> Result<u64, StoreError> {
        if old.is_empty() {
            // Mostly so; an empty transaction would still take its turn among the writers.
            return Ok(0);
        }
        let key = |(account_id, id)| Key { account_id: Id(account_id), id: Id(id) };
        let keys: Vec<Key> = old.into_iter().map(key).collect();
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let deleted = transaction.execute(delete, &keys).await?;
        transaction.commit().await?;
        Ok(deleted)
    }
}

fn generation_keys(found: Vec<(Uuid, Uuid)>) -> Vec<GenerationKey> {
    let keys = found.into_iter();
    keys.map(|(account_id, id)| (AccountId(account_id), GenerationId(id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Database;
    use crate::store::Db;

    /// What is kept costs nothing, however much it is: no page reads a table from its beginning.
    #[tokio::test]
    async fn every_page_goes_from_account_to_account() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::Sqlite(directory.path().join("babysea.db"));
        let db = Db::connect(&database, 1).await.unwrap();
        db.migrate().await.unwrap();
        let Db::Sqlite(pool, _) = &db else { unreachable!() };
        let pages = [&WITH_FILES, &ENDED, &DELIVERIES, &NOTIFICATIONS, &ATTEMPTS, &REQUESTS];
        for page in pages {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", page.sqlite));
            let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
                .bind("pro")
                .bind(Uuid::nil())
                .bind(DateTime::<Utc>::UNIX_EPOCH)
                .bind(Uuid::nil())
                .bind(Uuid::nil())
                .bind(1_i64)
                .fetch_all(pool)
                .await
                .unwrap();
            let plan: Vec<String> = plan.into_iter().map(|(.., step)| step).collect();
            let old: Vec<&String> = plan.iter().filter(|step| step.contains(" old ")).collect();
            assert!(matches!(old.as_slice(), [step] if step.starts_with("SEARCH")), "{plan:?}");
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
            if page.sqlite.contains("files_removed_at") {
                assert!(old[0].contains("generations_files"), "{plan:?}");
            }
        }
        let queued: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {QUEUED}")))
                .bind("pro")
                .bind(DateTime::<Utc>::UNIX_EPOCH)
                .bind(1_i64)
                .fetch_all(pool)
                .await
                .unwrap();
        let by_time = "USING INDEX webhook_deliveries_queued (queued_at<?)";
        assert!(queued.iter().any(|(.., step)| step.ends_with(by_time)), "{queued:?}");
        db.close().await;
    }
}
