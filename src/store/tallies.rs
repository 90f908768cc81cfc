//! What is counted of accounts, by the hour, and by the day once it is older.
//!
//! An hour is `2026-11-28T14` and a day `2026-11-28`, so both are in one order, and whoever adds up
//! does not see whether a day's hours have been put together yet.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use actors::id::AccountId;
use actors::ports::StoreError;
use actors::ports::tallies::{CountedTally, Grain, TallyStore};
use actors::tally::{Tallies, Tally, What};
use async_trait::async_trait;
use chrono::NaiveDate;
use serde::Serialize;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::store::rowset::{Id, Kind, SetStatement};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, database, on};

/// Adds to hours.
pub(crate) static ADD: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("at", Kind::Text),
            ("what", Kind::Text),
            ("name", Kind::Text),
            ("times", Kind::Int),
            ("total", Kind::Int),
        ],
        "INSERT INTO tallies (account_id, at, what, name, times, total)
         SELECT account_id, at, what, name, times, total FROM {rows} AS r WHERE true
         ON CONFLICT (account_id, at, what, name) DO UPDATE SET
             times = tallies.times + excluded.times,
             total = tallies.total + excluded.total",
    )
});

/// `$3` is the length of the text of an hour or a day.
const LIST: &str = "SELECT
         CASE WHEN what IN (''{over_time}) THEN substr(at, 1, $3) ELSE '' END AS span,
         what, name,
         CAST(SUM(times) AS BIGINT) AS times,
         CAST(SUM(total) AS BIGINT) AS total
     FROM tallies
     WHERE account_id = $1 AND at >= $2
     GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";

/// Rows of hours, the oldest first.
const LIST_LOOSE: &str = "SELECT account_id, substr(at, 1, 10) AS day FROM tallies
     WHERE length(at) = 13 AND at < $1 ORDER BY at, account_id LIMIT $2";

const COLUMNS: [(&str, Kind); 3] =
    [("account_id", Kind::Id), ("day", Kind::Text), ("day_end", Kind::Text)];

static SUM_HOURS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &COLUMNS,
        "INSERT INTO tallies (account_id, at, what, name, times, total)
         SELECT r.account_id, r.day, hours.what, hours.name,
                CAST(SUM(hours.times) AS BIGINT), CAST(SUM(hours.total) AS BIGINT)
         FROM {rows} AS r
         JOIN tallies AS hours ON hours.account_id = r.account_id
           AND hours.at > r.day AND hours.at < r.day_end
         WHERE length(hours.at) = 13
         GROUP BY r.account_id, r.day, hours.what, hours.name
         ON CONFLICT (account_id, at, what, name) DO UPDATE SET
             times = tallies.times + excluded.times,
             total = tallies.total + excluded.total",
    )
});

static DELETE_HOURS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &COLUMNS,
        "DELETE FROM tallies
         WHERE (account_id, at, what, name) IN (
             SELECT hours.account_id, hours.at, hours.what, hours.name
             FROM {rows} AS r
             JOIN tallies AS hours ON hours.account_id = r.account_id
               AND hours.at > r.day AND hours.at < r.day_end
             WHERE length(hours.at) = 13)",
    )
});

#[async_trait]
impl TallyStore for Store {
    async fn list_tallies(
        &self,
        account_id: AccountId,
        since: &str,
        grain: Grain,
        over_time: &[What],
    ) -> Result<Vec<CountedTally>, StoreError> {
        let kinds: String = over_time.iter().map(|it| format!(", '{}'", it.as_str())).collect();
        let list = LIST.replace("{over_time}", &kinds);
        let length = match grain {
            Grain::Hour => 13,
            Grain::Day => 10,
        };
        // Built from constants only.
        let rows: Vec<TallyRow> = on!(&self.db, pool => {
            let query = sqlx::query_as(AssertSqlSafe(list)).bind(account_id.0).bind(since);
            query.bind(length).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn compact_tallies_any_account(
        &self,
        before: NaiveDate,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let before = before.format("%Y-%m-%d").to_string();
        let hours: Vec<(Uuid, String)> = on!(&self.db, pool => {
            let query = sqlx::query_as(LIST_LOOSE).bind(before).bind(i64::from(limit));
            query.fetch_all(pool).await
        })
        .map_err(database)?;
        let days = BTreeSet::from_iter(hours);
        // A day at a time, so that nobody waits for long.
        for (account_id, day) in &days {
            let day = [DayOut {
                account_id: Id(*account_id),
                day,
                // After `T`, which is before every hour.
                day_end: format!("{day}U"),
            }];
            let mut transaction = WriteTransaction::begin(&self.db).await?;
            transaction.execute(&SUM_HOURS, &day).await?;
            transaction.execute(&DELETE_HOURS, &day).await?;
            transaction.commit().await?;
        }
        Ok(days.len() as u64)
    }
}

#[derive(Debug, Serialize)]
struct DayOut<'a> {
    account_id: Id,
    day: &'a str,
    day_end: String,
}

#[derive(Debug, sqlx::FromRow)]
struct TallyRow {
    span: String,
    what: String,
    name: String,
    times: i64,
    total: i64,
}

impl TryFrom<TallyRow> for CountedTally {
    type Error = StoreError;

    fn try_from(row: TallyRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("a tally of {}", row.what));
        Ok(Self {
            what: What::parse(&row.what).ok_or_else(corrupt)?,
            at: row.span,
            name: row.name,
            tally: Tally { times: row.times, total: row.total },
        })
    }
}

/// What is added, on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct TallyOut<'a> {
    account_id: Id,
    at: &'a str,
    what: &'static str,
    name: &'a str,
    times: i64,
    total: i64,
}

/// What is added, as rows.
pub(crate) fn tallies_out(tallies: &Tallies) -> Vec<TallyOut<'_>> {
    let out = tallies.0.iter().map(|(key, tally)| TallyOut {
        account_id: Id(key.account_id.0),
        at: &key.hour,
        what: key.what.as_str(),
        name: &key.name,
        times: tally.times,
        total: tally.total,
    });
    out.collect()
}
