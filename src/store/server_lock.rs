//! One server for each PostgreSQL database.
//!
//! A second server would take over what the first has in flight, and fence it off. Leases
//! between nodes will make that safe; until then it is refused.

use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use crate::store::Db;

/// Any number that nobody else uses in this database.
const KEY: i64 = 0x6261_6279_7365_6121;
const TRY_LOCK: &str = "SELECT pg_try_advisory_lock($1)";
/// How long PostgreSQL may take to notice that a server which was killed is gone.
const GONE_AFTER: Duration = Duration::from_secs(10);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A session that holds the lock. PostgreSQL lets go of it when the connection is gone.
#[derive(Debug)]
pub struct DatabaseLock(Option<PgConnection>);

impl Db {
    /// Takes the database for one server. On SQLite there is nothing to do here: whoever starts
    /// a server locks the file.
    pub async fn lock_server(&self) -> anyhow::Result<DatabaseLock> {
        let Self::Postgres(pool) = self else { return Ok(DatabaseLock(None)) };
        let mut session = pool.acquire().await?.detach();
        let end = Instant::now() + GONE_AFTER;
        loop {
            let locked: bool = sqlx::query_scalar(TRY_LOCK)
                .bind(KEY)
                .fetch_one(&mut session)
                .await
                .context("cannot lock the database")?;
            if locked {
                return Ok(DatabaseLock(Some(session)));
            }
            if Instant::now() > end {
                anyhow::bail!("another server runs on this database; stop it first");
            }
            sleep(ASK_AGAIN_AFTER).await;
        }
    }
}

impl DatabaseLock {
    /// Lets go at once, for a start that follows closely.
    pub async fn release(self) {
        if let Some(session) = self.0 {
            // It is let go of in any case when the connection breaks.
            let _ = session.close().await;
        }
    }
}
