//! The credit of an account, as its members look at it.

use actors::account::Standing;
use actors::id::{AccountId, GenerationId};
use actors::ledger::LedgerEntry;
use actors::ports::StoreError;
use actors::ports::credits::CreditStore;
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};

use crate::store::ledger::EntryRow;
use crate::store::request_log::day_text;
use crate::store::standings::{self, StandingRow};
use crate::store::{Store, database, on};

/// Last to first; the largest number is after every other.
const LIST_BEFORE: &str = "SELECT * FROM ledger_entries
     WHERE account_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3";

/// Each part by an index of its own, which names these kinds.
const LIST_OF: &str = "SELECT * FROM ledger_entries
     WHERE account_id = $1 AND generation_id = $2 AND kind = 'reserve'
     UNION ALL
     SELECT * FROM ledger_entries
     WHERE account_id = $1 AND generation_id = $2 AND kind IN ('charge', 'refund')
     ORDER BY seq";

const FIND: &str = "SELECT * FROM ledger_entries WHERE account_id = $1 AND seq = $2";

const GRANTED_AFTER: &str = "SELECT CAST(COALESCE(SUM(amount_millicredits), 0) AS BIGINT)
     FROM ledger_entries WHERE account_id = $1 AND kind = 'add' AND seq > $2 AND seq <= $3";

const REQUESTS: &str =
    "SELECT CAST(COALESCE(SUM(successes + client_errors + server_errors), 0) AS BIGINT)
     FROM request_days WHERE account_id = $1 AND day >= $2";

#[async_trait]
impl CreditStore for Store {
    async fn find_standing(&self, id: AccountId) -> Result<Option<Standing>, StoreError> {
        let row: Option<StandingRow> = on!(&self.db, pool => {
            sqlx::query_as(standings::FIND).bind(id.0).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(TryInto::try_into).transpose()
    }

    async fn spent_since(
        &self,
        account_id: AccountId,
        since: DateTime<Utc>,
    ) -> Result<i64, StoreError> {
        let Some(last) = self.list_entries_before(account_id, None, 1).await?.pop() else {
            return Ok(0);
        };
        // Entries are numbered in the order of time, so the last one before is found by halving,
        // with no index on times to be kept by every generation.
        let (mut before, mut after, mut balance) = (0, last.seq + 1, 0);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            match self.find_entry(account_id, middle).await? {
                Some(entry) if entry.created_at < since => {
                    (before, balance) = (middle, entry.balance_after.thousandths());
                }
                Some(_) | None => after = middle,
            }
        }
        let granted: i64 = on!(&self.db, pool => {
            let query = sqlx::query_scalar(GRANTED_AFTER).bind(account_id.0).bind(before);
            query.bind(last.seq).fetch_one(pool).await
        })
        .map_err(database)?;
        Ok(balance + granted - last.balance_after.thousandths())
    }

    async fn requests_since(
        &self,
        account_id: AccountId,
        day: NaiveDate,
    ) -> Result<u64, StoreError> {
        let requests: i64 = on!(&self.db, pool => {
            let query = sqlx::query_scalar(REQUESTS).bind(account_id.0).bind(day_text(day));
            query.fetch_one(pool).await
        })
        .map_err(database)?;
        Ok(requests.unsigned_abs())
    }

    async fn list_entries_before(
        &self,
        account_id: AccountId,
        before_seq: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        let before_seq = before_seq.unwrap_or(i64::MAX);
        let rows: Vec<EntryRow> = on!(&self.db, pool => {
            let query = sqlx::query_as(LIST_BEFORE).bind(account_id.0).bind(before_seq);
            query.bind(i64::from(limit)).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn list_entries_of(
        &self,
        account_id: AccountId,
        generation_id: GenerationId,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        let rows: Vec<EntryRow> = on!(&self.db, pool => {
            let query = sqlx::query_as(LIST_OF).bind(account_id.0).bind(generation_id.0);
            query.fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

impl Store {
    async fn find_entry(
        &self,
        account_id: AccountId,
        seq: i64,
    ) -> Result<Option<LedgerEntry>, StoreError> {
        let row: Option<EntryRow> = on!(&self.db, pool => {
            sqlx::query_as(FIND).bind(account_id.0).bind(seq).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(TryInto::try_into).transpose()
    }
}
