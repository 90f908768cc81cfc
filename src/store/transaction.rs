//! Transactions that write, on either database.

use actors::ports::StoreError;
use serde::Serialize;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, FromRow, Postgres, Sqlite, Transaction};

use crate::store::rowset::{Dialect, SetStatement, rows};
use crate::store::turns::Turn;
use crate::store::{BeginWrite, Db, database};

/// The connection that the writer keeps.
pub(crate) enum WriteConnection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl WriteConnection {
    /// Takes one from the pool.
    pub(crate) async fn acquire(db: &Db) -> Result<Self, StoreError> {
        Ok(match db {
            Db::Sqlite(pool, _) => Self::Sqlite(pool.acquire().await.map_err(database)?),
            Db::Postgres(pool) => Self::Postgres(pool.acquire().await.map_err(database)?),
        })
    }

    /// Opens a transaction that will write. Whoever keeps the connection has the turn.
    pub(crate) async fn begin(&mut self) -> Result<WriteTransaction<'_>, StoreError> {
        Ok(match self {
            Self::Sqlite(connection) => WriteTransaction::Sqlite(
                connection.begin_with("BEGIN IMMEDIATE").await.map_err(database)?,
                None,
            ),
            Self::Postgres(connection) => {
                WriteTransaction::Postgres(connection.begin().await.map_err(database)?)
            }
        })
    }
}

/// A writing transaction of either database. Every statement of the writer takes one row
/// set, so two methods are all it needs.
pub(crate) enum WriteTransaction<'c> {
    /// With the turn, where it is not somebody else's; it is let go of after the transaction.
    Sqlite(Transaction<'c, Sqlite>, Option<Turn>),
    Postgres(Transaction<'c, Postgres>),
}

impl WriteTransaction<'static> {
    /// Opens one for a rare unit of work, on a connection of its own.
    pub(crate) async fn begin(db: &Db) -> Result<Self, StoreError> {
        // Before a connection is taken, which others could use meanwhile.
        let turn = db.turn().await;
        Ok(match db {
            Db::Sqlite(pool, _) => Self::Sqlite(pool.begin_write().await.map_err(database)?, turn),
            Db::Postgres(pool) => Self::Postgres(pool.begin_write().await.map_err(database)?),
        })
    }
}

impl WriteTransaction<'_> {
    /// Reads what a row set names.
    pub(crate) async fn fetch<K, R>(
        &mut self,
        statement: &'static SetStatement,
        keys: &[K],
    ) -> Result<Vec<R>, StoreError>
    where
        K: Serialize,
        R: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = rows(keys);
        match self {
            Self::Sqlite(transaction, _) => {
                let query = sqlx::query_as(statement.sql(Dialect::Sqlite)).bind(keys);
                query.fetch_all(&mut **transaction).await
            }
            Self::Postgres(transaction) => {
                let query = sqlx::query_as(statement.sql(Dialect::Postgres)).bind(keys);
                query.fetch_all(&mut **transaction).await
            }
        }
        .map_err(database)
    }

    /// Writes a row set; every row of it must be written.
    pub(crate) async fn write<T: Serialize>(
        &mut self,
        table: &'static str,
        statement: &'static SetStatement,
        given: &[T],
    ) -> Result<(), StoreError> {
        let written = self.execute(statement, given).await?;
        if written != given.len() as u64 {
            let missed = format!("{table}: {written} of {} rows were as expected", given.len());
            return Err(StoreError::Corrupt(missed));
        }
        Ok(())
    }

    /// Writes those of a row set that are as the statement expects, and says how many.
    pub(crate) async fn execute<T: Serialize>(
        &mut self,
        statement: &'static SetStatement,
        given: &[T],
    ) -> Result<u64, StoreError> {
        if given.is_empty() {
            return Ok(0);
        }
        Ok(match self {
            Self::Sqlite(transaction, _) => {
                let query = sqlx::query(statement.sql(Dialect::Sqlite)).bind(rows(given));
                query.execute(&mut **transaction).await.map_err(database)?.rows_affected()
            }
            Self::Postgres(transaction) => {
                let query = sqlx::query(statement.sql(Dialect::Postgres)).bind(rows(given));
                query.execute(&mut **transaction).await.map_err(database)?.rows_affected()
            }
        })
    }

    /// Writes row sets of several tables, in order; every row of them must be written. On
    /// SQLite they travel as one text, since each trip to its thread costs as much as the
    /// statement itself.
    pub(crate) async fn write_all(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        let expected: u64 = writes.iter().map(|write| write.expected).sum();
        let written = match self {
            _ if writes.is_empty() => 0,
            Self::Sqlite(transaction, _) => {
                let texts = writes.iter().enumerate();
                let text: String =
                    texts.map(|(index, write)| write.statement.sqlite_at(index + 1)).collect();
                let query = writes
                    .into_iter()
                    .fold(sqlx::query(AssertSqlSafe(text)), |query, write| query.bind(write.rows));
                query.execute(&mut **transaction).await.map_err(database)?.rows_affected()
            }
            Self::Postgres(transaction) => {
                let mut written = 0;
                for write in writes {
                    let query =
                        sqlx::query(write.statement.sql(Dialect::Postgres)).bind(write.rows);
                    let done = query.execute(&mut **transaction).await.map_err(database)?;
                    written += done.rows_affected();
                }
                written
            }
        };
        // No statement writes more rows than it is given, so one that wrote fewer shows.
        if written != expected {
            let missed = format!("{written} of {expected} rows were as expected");
            return Err(StoreError::Corrupt(missed));
        }
        Ok(())
    }

    /// Makes it durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction, _turn) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
        .map_err(database)
    }
}

/// A row set on its way into a table.
pub(crate) struct Write {
    statement: &'static SetStatement,
    rows: String,
    expected: u64,
}

impl Write {
    /// Nothing when there are no rows.
    pub(crate) fn new<T: Serialize>(statement: &'static SetStatement, given: &[T]) -> Option<Self> {
        let expected = given.len() as u64;
        (expected > 0).then(|| Self { statement, rows: rows(given), expected })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::config::Database;

    #[tokio::test]
    async fn writers_of_a_file_are_called_in_the_order_in_which_they_came() {
        let directory = tempfile::tempdir().unwrap();
        let file = Database::Sqlite(directory.path().join("turns.db"));
        let db = Db::connect(&file, 2).await.unwrap();
        let (first, called) = (WriteTransaction::begin(&db).await.unwrap(), Mutex::new(Vec::new()));
        // More than there are connections: who waits takes none.
        let write = async |number: u32| {
            let transaction = WriteTransaction::begin(&db).await.unwrap();
            called.lock().unwrap().push(number);
            transaction.commit().await.unwrap();
        };
        let free = async {
            let Db::Sqlite(pool, _) = &db else { unreachable!() };
            sqlx::query("SELECT 1").execute(pool).await.unwrap();
            first.commit().await.unwrap();
        };
        tokio::join!(write(1), write(2), write(3), write(4), free);
        assert_eq!(*called.lock().unwrap(), [1, 2, 3, 4]);
        db.close().await;
    }
}
