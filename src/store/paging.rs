//! One account's rows in the order of their ids, a page at a time.
//!
//! One call looks at a bounded number of rows, and its next page begins where it stopped: a page
//! costs the same in a log of any length, whatever is looked for.

use actors::id::AccountId;
use actors::ports::StoreError;
use actors::ports::logs::{Page, Window};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use crate::store::delivery_log::searched;
use crate::store::rowset::Dialect;
use crate::store::{Db, database, on};

/// Rows among which one call looks for something that no index knows: some 10 ms.
const SEARCHED_MAX: u32 = 2000;

/// What is looked through, as parts of a statement.
pub(crate) struct Paging {
    pub(crate) table: &'static str,
    /// What is read of each row, which is called `logged`.
    pub(crate) columns: &'static str,
    /// What else is read with it.
    pub(crate) joined: &'static str,
    /// What must hold of a row that is found: of a text `$5`, an id `$6`, a name `$7` and a key
    /// `$8`, each of which may be null.
    pub(crate) matches: &'static str,
}

/// What is looked for. The conditions are constants, or they would not be static.
#[derive(Debug, Default)]
pub(crate) struct Sought<'a> {
    /// A condition that an index knows, or that is true of most rows; empty for none. It may name
    /// `{key}`.
    pub(crate) indexed: &'static str,
    /// That index, where SQLite would rather read the table; empty where it would not.
    pub(crate) index: &'static str,
    /// A condition that is looked for row by row; empty for none.
    pub(crate) also: &'static str,
    pub(crate) name: Option<&'a str>,
    pub(crate) key: Option<Uuid>,
}

impl Paging {
    /// A page of rows, whose id `id` tells.
    pub(crate) async fn page<R>(
        &self,
        db: &Db,
        account_id: AccountId,
        (window, sought): (&Window, Sought<'_>),
        limit: u32,
        id: impl Fn(&R) -> Uuid,
    ) -> Result<Page<R>, StoreError>
    where
        R: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let (low, high) = window.bounds();
        let (pattern, searched_id) = searched(window.text.as_deref());
        let is_search = window.text.is_some()
            || sought.name.is_some()
            || (sought.key.is_some() && !sought.is_keyed())
            || !sought.also.is_empty();
        let wanted = limit.saturating_add(1);
        let looked_at = if is_search { SEARCHED_MAX } else { wanted };
        let dialect = db.dialect();
        let list = self.list(&sought, window.oldest_first, dialect);
        let mut rows: Vec<R> = on!(db, pool => {
            sqlx::query_as(AssertSqlSafe(list))
                .bind(account_id.0)
                .bind(low)
                .bind(high)
                .bind(i64::from(looked_at))
                .bind(pattern)
                .bind(searched_id)
                .bind(sought.name)
                .bind(sought.key)
                .bind(i64::from(wanted))
                .fetch_all(pool)
                .await
        })
        .map_err(database)?;
        if rows.len() > limit as usize {
            rows.truncate(limit as usize);
            let next = rows.last().map(id);
            return Ok(Page { rows, next });
        }
        if !is_search {
            return Ok(Page { rows, next: None });
        }
        // The last of those that were looked at, when they are as many as can be.
        let last = self.last(&sought, window.oldest_first, dialect);
        let key = sought.key.filter(|_| sought.is_keyed());
        let next = on!(db, pool => {
            let query = sqlx::query_scalar(AssertSqlSafe(last))
                .bind(account_id.0)
                .bind(low)
                .bind(high)
                .bind(i64::from(SEARCHED_MAX - 1));
            let query = match key {
                Some(key) => query.bind(key),
                None => query,
            };
            query.fetch_optional(pool).await
        })
        .map_err(database)?;
        Ok(Page { rows, next })
    }

    fn list(&self, sought: &Sought<'_>, oldest_first: bool, dialect: Dialect) -> String {
        let Self { columns, joined, matches, .. } = self;
        let (table, order) = (self.table(sought, dialect), order(oldest_first));
        let indexed = condition(sought.indexed).replace("{key}", "$8");
        let also = condition(sought.also);
        format!(
            "SELECT {columns} FROM (
                 SELECT * FROM {table}
                 WHERE account_id = $1 AND id > $2 AND id < $3 AND {indexed}
                 ORDER BY id {order} LIMIT $4) AS logged
             {joined}
             WHERE {also} AND {matches}
             ORDER BY logged.id {order} LIMIT $9"
        )
    }

    fn last(&self, sought: &Sought<'_>, oldest_first: bool, dialect: Dialect) -> String {
        let (table, order) = (self.table(sought, dialect), order(oldest_first));
        let indexed = condition(sought.indexed).replace("{key}", "$5");
        format!(
            "SELECT id FROM {table}
             WHERE account_id = $1 AND id > $2 AND id < $3 AND {indexed}
             ORDER BY id {order} LIMIT 1 OFFSET $4"
        )
    }

    /// SQLite has a table in the order of its ids at hand, and takes that for cheaper than it is.
    fn table(&self, sought: &Sought<'_>, dialect: Dialect) -> String {
        match dialect {
            Dialect::Sqlite if !sought.index.is_empty() => {
                format!("{} INDEXED BY {}", self.table, sought.index)
            }
            Dialect::Sqlite | Dialect::Postgres => self.table.to_owned(),
        }
    }
}

impl Sought<'_> {
    /// Whether the index knows the key.
    fn is_keyed(&self) -> bool {
        self.indexed.contains("{key}")
    }
}

fn order(oldest_first: bool) -> &'static str {
    if oldest_first { "ASC" } else { "DESC" }
}

fn condition(text: &'static str) -> &'static str {
    if text.is_empty() { "true" } else { text }
}
