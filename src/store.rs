//! The database: one text of SQL, two drivers.
//!
//! SQLite and PostgreSQL accept the same statements almost everywhere; where they do not,
//! the difference is a named constant or `rowset`. Hot units of work go through the
//! `writer`, which shares commits; rare ones open a transaction of their own with
//! `BeginWrite`.

mod accounts;
mod activities;
mod alerts;
pub mod audit;
mod backlog;
mod credits;
mod delivery_log;
mod endpoint_rows;
mod endpoints;
mod generations;
mod idempotency;
mod in_flight;
mod invitations;
mod keys;
mod ledger;
mod logs;
mod mails;
mod members;
mod notifications;
mod operator;
mod paging;
mod removal;
mod request_log;
mod retention;
mod routing;
mod rowset;
pub mod server_lock;
mod sessions;
mod spendings;
mod standings;
mod tallies;
mod tokens;
mod transaction;
mod turns;
mod users;
mod webhooks;
mod writer;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use actors::account::Plans;
use actors::file_urls::FileUrls;
use actors::id::NodeId;
use actors::ports::{DeliveryListener, GenerationListener, IdSource, StoreError};
use actors::webhook::DeliveryPolicy;
use anyhow::Context;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use secrecy::ExposeSecret;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::config::Database;
use crate::secrets::{MasterKey, Purpose, PurposeKey};
use crate::store::in_flight::InFlight;
use crate::store::turns::{Turn, Turns};
use crate::store::writer::{Rules, Unit, Writer};

/// A pool of connections to either database.
#[derive(Debug, Clone)]
pub enum Db {
    /// The embedded default, and the line in front of its writes.
    Sqlite(SqlitePool, Turns),
    /// For many nodes.
    Postgres(PgPool),
}

/// Runs the same body against whichever database it is.
macro_rules! on {
    ($db:expr, $pool:ident => $body:expr) => {
        match $db {
            $crate::store::Db::Sqlite($pool, _) => $body,
            $crate::store::Db::Postgres($pool) => $body,
        }
    };
}
pub(crate) use on;

/// Runs the same body, which writes, in its turn.
macro_rules! in_turn {
    ($db:expr, $pool:ident => $body:expr) => {{
        let _turn = $db.turn().await;
        $crate::store::on!($db, $pool => $body)
    }};
}
pub(crate) use in_turn;

/// How long a statement waits for another process's write (SQLite has one writer at a time;
/// an operator's command and the server take turns, and within the server `turns` sees to that).
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The code of SQLite's "database is locked".
const SQLITE_BUSY: &str = "5";
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(10);
/// How long to wait for a connection before saying that the database is not there.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

impl Db {
    /// Connects; a missing SQLite file is created, with the directory it is in.
    pub async fn connect(database: &Database, connections: u32) -> anyhow::Result<Self> {
        match database {
            Database::Sqlite(path) => {
                let pool = Self::open_file(path, connections).await?;
                Ok(Self::Sqlite(pool, Turns::default()))
            }
            Database::Postgres(url) => {
                let options = PgConnectOptions::from_str(url.expose_secret())
                    .context("cannot read the PostgreSQL URL")?
                    .application_name("babysea")
                    // Or each start logs that the table of migrations exists already.
                    .options([("client_min_messages", "warning")]);
                let pool = PgPoolOptions::new()
                    .max_connections(connections)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_with(options)
                    .await
                    .context("cannot connect to PostgreSQL")?;
                Ok(Self::Postgres(pool))
            }
        }
    }

    async fn open_file(path: &Path, connections: u32) -> anyhow::Result<SqlitePool> {
        let cannot = || format!("cannot open {}", path.display());
        if let Some(directory) = path.parent() {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700).create(directory).with_context(cannot)?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Credit must survive a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // Default 2 MB; hot index pages of a large database should stay in memory.
            .pragma("cache_size", "-65536")
            .pragma("temp_store", "memory")
            // Fewer, larger checkpoints: 16 MB of log instead of 4.
            .pragma("wal_autocheckpoint", "4000");
        let pool =
            SqlitePoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
        let end = Instant::now() + BUSY_TIMEOUT;
        loop {
            match pool.clone().connect_with(options.clone()).await {
                // Two processes that make the same new file a WAL database at once are in each
                // other's way, and for this SQLite does not wait by itself.
                Err(sqlx::Error::Database(error))
                    if error.code().as_deref() == Some(SQLITE_BUSY) && Instant::now() < end =>
                {
                    sleep(ASK_AGAIN_AFTER).await;
                }
                opened => return opened.with_context(cannot),
            }
        }
    }

    /// Brings the schema up to date. Safe to run by several processes at once.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(pool, _) => migrate_file(pool).await,
            Self::Postgres(pool) => sqlx::migrate!("migrations/postgres").run(pool).await,
        }
        .context("cannot migrate the database")
    }

    /// Closes every connection after what it is doing. A writer keeps one until every clone of
    /// its store is gone and it has ended: wait for that first.
    pub async fn close(&self) {
        on!(self, pool => pool.close().await);
    }

    /// Waits until others in this process have written, where only one can at a time.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        match self {
            Self::Sqlite(_, turns) => Some(turns.take().await),
            Self::Postgres(_) => None,
        }
    }

    /// What writes rows of this database set-wise.
    pub(crate) fn dialect(&self) -> rowset::Dialect {
        match self {
            Self::Sqlite(..) => rowset::Dialect::Sqlite,
            Self::Postgres(_) => rowset::Dialect::Postgres,
        }
    }
}

/// All migrations in one transaction. The migrator locks nothing on SQLite, so a server and a
/// command that start together on an empty database would both create the first table.
async fn migrate_file(pool: &SqlitePool) -> Result<(), MigrateError> {
    let mut transaction = pool.begin_write().await?;
    sqlx::migrate!("migrations/sqlite").run(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Opens a transaction that will write.
///
/// On SQLite a plain BEGIN that writes later fails with "database is locked" under
/// concurrency, whatever the timeout; BEGIN IMMEDIATE waits its turn.
pub(crate) trait BeginWrite {
    /// The database.
    type Database: sqlx::Database;
    /// Opens it.
    async fn begin_write(&self) -> Result<sqlx::Transaction<'static, Self::Database>, sqlx::Error>;
}

impl BeginWrite for SqlitePool {
    type Database = sqlx::Sqlite;
    async fn begin_write(&self) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>, sqlx::Error> {
        self.begin_with("BEGIN IMMEDIATE").await
    }
}

impl BeginWrite for PgPool {
    type Database = sqlx::Postgres;
    async fn begin_write(&self) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, sqlx::Error> {
        self.begin().await
    }
}

/// The stores of the domain over one database.
///
/// Reads go to the pool, hot units of work to the writer's queue.
#[derive(Clone)]
pub struct Store {
    db: Db,
    webhook_key: Arc<PurposeKey>,
    mail_key: Arc<PurposeKey>,
    queue: mpsc::Sender<Unit>,
    listener: Arc<OnceLock<Weak<dyn DeliveryListener>>>,
}

/// What a [`Store`] is made of.
pub struct StoreParts {
    /// Where reads go, and rare writes.
    pub db: Db,
    /// Which process this is.
    pub node: NodeId,
    /// Seals and opens webhook secrets.
    pub master_key: Arc<MasterKey>,
    /// Makes delivery ids.
    pub ids: Arc<dyn IdSource>,
    /// Makes output URLs in webhook payloads.
    pub files: FileUrls,
    /// When deliveries are tried and endpoints given up.
    pub policy: DeliveryPolicy,
    /// How much accounts may have in flight.
    pub plans: Plans,
    /// The most units in a commit.
    pub batch_max: usize,
    /// The most units waiting; more are refused.
    pub queue_max: usize,
    /// What is measured.
    pub metrics: StoreMetrics,
    /// Who is told of generations that have changed.
    pub watchers: Arc<dyn GenerationListener>,
}

/// What the store measures.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    /// Units of work in a commit.
    pub batch_units: Histogram,
    /// Seconds from taking a batch to its commit.
    pub batch_seconds: Histogram,
}

impl StoreMetrics {
    /// Makes them visible.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            batch_units: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            batch_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 14)),
        };
        registry.register(
            "babysea_commit_units",
            "Units of work in a commit",
            metrics.batch_units.clone(),
        );
        registry.register(
            "babysea_commit_seconds",
            "Time from taking a batch to its commit",
            metrics.batch_seconds.clone(),
        );
        metrics
    }
}

impl Store {
    /// The store, and its writer: a future to be driven to its end, which comes when every
    /// clone of the store is gone and the queue is empty.
    pub fn new(parts: StoreParts) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (queue, receiver) = mpsc::channel(parts.queue_max);
        let listener = Arc::new(OnceLock::new());
        let mail_key = Arc::new(parts.master_key.derive(Purpose::Mails));
        let writer = Writer {
            db: parts.db.clone(),
            mail_key: Arc::clone(&mail_key),
            rules: Rules {
                node: parts.node,
                ids: parts.ids,
                files: parts.files,
                policy: parts.policy,
                plans: parts.plans,
            },
            queue: receiver,
            batch_max: parts.batch_max,
            metrics: parts.metrics,
            listener: Arc::clone(&listener),
            watchers: parts.watchers,
            in_flight: InFlight::default(),
        };
        let store = Self {
            db: parts.db,
            webhook_key: Arc::new(parts.master_key.derive(Purpose::WebhookSecrets)),
            mail_key,
            queue,
            listener,
        };
        (store, writer.run())
    }

    /// A store for an operator's command: it reads, and does the rare units of work. Nobody
    /// drives a writer, so hot units are refused.
    pub fn without_writer(db: Db, master_key: &MasterKey) -> Self {
        let (queue, _) = mpsc::channel(1);
        let webhook_key = Arc::new(master_key.derive(Purpose::WebhookSecrets));
        let mail_key = Arc::new(master_key.derive(Purpose::Mails));
        Self { db, webhook_key, mail_key, queue, listener: Arc::new(OnceLock::new()) }
    }

    /// Who is told of new deliveries. Set once, when the engine is up. Only looked at, not
    /// held: the engine holds the store, and the writer ends when nobody does.
    pub fn listen(&self, listener: &Arc<dyn DeliveryListener>) {
        // A second listener would be a mistake of the wiring, and is ignored.
        let _ = self.listener.set(Arc::downgrade(listener));
    }

    /// Which database it is.
    pub fn database(&self) -> &'static str {
        match &self.db {
            Db::Sqlite(..) => "SQLite",
            Db::Postgres(_) => "PostgreSQL",
        }
    }

    /// How many units wait for the writer, and how many may.
    pub fn queue(&self) -> (usize, usize) {
        let max = self.queue.max_capacity();
        (max - self.queue.capacity(), max)
    }

    /// Hands a unit to the writer and waits for its answer. When the queue is full the unit
    /// is refused at once: waiting here would only move the queue into memory.
    async fn submit<T>(
        &self,
        unit: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Unit,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(unit(reply)).map_err(|_| StoreError::Overloaded)?;
        let gone = |_| StoreError::Database("the writer has stopped".into());
        answer.await.map_err(gone)?
    }
}

/// The port's error for a driver's.
pub(crate) fn database(error: sqlx::Error) -> StoreError {
    StoreError::Database(Box::new(error))
}

/// Whether the database undid a transaction only because another one was in its way, so that it
/// may be tried again as it is: a deadlock, or what cannot be serialized.
pub(crate) fn is_contention(error: &StoreError) -> bool {
    let code = database_error(error).and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(&*code, "40P01" | "40001"))
}

/// Whether the database, or what was read from it, is why; otherwise nobody has answered. What
/// PostgreSQL says as it ends a connection (class 57P) is no answer.
pub(crate) fn is_refusal(error: &StoreError) -> bool {
    let answers = |said: &dyn sqlx::error::DatabaseError| {
        said.code().is_none_or(|code| !code.starts_with("57P"))
    };
    matches!(error, StoreError::Corrupt(_)) || database_error(error).is_some_and(answers)
}

/// Whether the database refused a row because another one has its key. The name of the
/// constraint is not available on SQLite, so where two could be meant, look first.
pub(crate) fn is_unique_violation(error: &StoreError) -> bool {
    let refused = database_error(error);
    refused.is_some_and(|refused| refused.kind() == sqlx::error::ErrorKind::UniqueViolation)
}

fn database_error(error: &StoreError) -> Option<&dyn sqlx::error::DatabaseError> {
    let StoreError::Database(source) = error else { return None };
    source.downcast_ref::<sqlx::Error>()?.as_database_error()
}
