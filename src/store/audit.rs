//! Checks what must always be true, over the whole database.
//!
//! The rules of the ledger and of the state machines are enforced where they are written: by
//! pure functions, by conditional statements, by CHECKs. This is the independent witness: it
//! trusts none of them and looks at the rows. Each `Check` is one statement that
//! answers the rows that break one rule, so nothing but findings comes into memory.
//!
//! All of it is read in one snapshot, while others write.

mod checks;

use actors::ports::StoreError;
use sqlx::Connection;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use uuid::Uuid;

use crate::store::audit::checks::{CHECKS, Check, GUARDS, GUARDS_POSTGRES, GUARDS_SQLITE, Subject};
use crate::store::{Db, Store, database};

/// Findings of one rule that are shown; a broken rule is usually broken many times over.
const SHOWN_MAX: i64 = 100;

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// What is not as it must be; empty is good.
    pub findings: Vec<Finding>,
    /// How many rows of each table were there.
    pub checked: Vec<(&'static str, i64)>,
}

/// A rule that is broken, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub invariant: &'static str,
    /// Where.
    pub subject: String,
    /// How.
    pub detail: String,
}

/// The tables, and how many rows each has.
const COUNTS: [(&str, &str); 11] = [
    ("accounts", "SELECT COUNT(*) FROM accounts"),
    ("ledger_entries", "SELECT COUNT(*) FROM ledger_entries"),
    ("generations", "SELECT COUNT(*) FROM generations"),
    ("attempts", "SELECT COUNT(*) FROM attempts"),
    ("webhook_endpoints", "SELECT COUNT(*) FROM webhook_endpoints"),
    ("webhook_deliveries", "SELECT COUNT(*) FROM webhook_deliveries"),
    ("webhook_tries", "SELECT COUNT(*) FROM webhook_tries"),
    ("notifications", "SELECT COUNT(*) FROM notifications"),
    ("credit_alerts", "SELECT COUNT(*) FROM credit_alerts"),
    ("users", "SELECT COUNT(*) FROM users"),
    ("members", "SELECT COUNT(*) FROM members"),
];

/// One snapshot for all statements.
const BEGIN_SQLITE: &str = "BEGIN";
const BEGIN_POSTGRES: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// Sorting a large table would else take as much memory as the table: the pool's connections
/// keep temporary tables there.
const SORT_ON_DISK: &str = "PRAGMA temp_store = file";
const SORT_IN_MEMORY: &str = "PRAGMA temp_store = memory";

/// Problems of the file that are shown.
const INTEGRITY: &str = "PRAGMA integrity_check(100)";
const FOREIGN_KEYS: &str = "PRAGMA foreign_key_check";

/// The rules about rows, by name.
pub fn invariants() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|check| check.invariant)
}

/// Runs the checks and counts the rows: the same for both kinds of transaction.
macro_rules! examine {
    ($transaction:ident, $report:ident, $tries_max:ident) => {
        for check in CHECKS {
            let query = sqlx::query_as(check.sql).bind(SHOWN_MAX);
            let query =
                if check.needs_tries_max() { query.bind(i64::from($tries_max)) } else { query };
            let rows: Vec<Row> = query.fetch_all(&mut *$transaction).await?;
            $report.findings.extend(rows.into_iter().map(|row| check.finding(row)));
        }
        for (table, count) in COUNTS {
            let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut *$transaction).await?;
            $report.checked.push((table, rows));
        }
    };
}

/// Checks every rule. `tries_max` is how many tries the settings allow a delivery.
///
/// # Errors
/// The database could not be read. What is wrong in it is no error but a finding.
pub async fn audit(store: &Store, tries_max: u32) -> Result<AuditReport, StoreError> {
    let report = match &store.db {
        Db::Sqlite(pool, _) => audit_sqlite(pool, tries_max).await,
        Db::Postgres(pool) => audit_postgres(pool, tries_max).await,
    };
    report.map_err(database)
}

async fn audit_sqlite(pool: &SqlitePool, tries_max: u32) -> Result<AuditReport, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    sqlx::query(SORT_ON_DISK).execute(&mut *connection).await?;
    let mut transaction = connection.begin_with(BEGIN_SQLITE).await?;
    let mut report = AuditReport::default();
    // The file itself: pages, indexes, and references.
    let pages: Vec<String> = sqlx::query_scalar(INTEGRITY).fetch_all(&mut *transaction).await?;
    for detail in pages.into_iter().filter(|detail| detail != "ok") {
        report.find("database.file_is_whole", "database", detail);
    }
    let dangling: Vec<(String, Option<i64>, String, i64)> =
        sqlx::query_as(FOREIGN_KEYS).fetch_all(&mut *transaction).await?;
    for (table, row, parent, _) in dangling.into_iter().take(SHOWN_MAX as usize) {
        let row = row.map_or_else(String::new, |row| format!(" (row {row})"));
        let detail = format!("refers to a row of {parent} that does not exist");
        report.find("database.references_exist", format!("{table}{row}"), detail);
    }
    let guards = sqlx::query_scalar(GUARDS_SQLITE).fetch_all(&mut *transaction).await?;
    report.guarded(&guards);
    examine!(transaction, report, tries_max);
    transaction.rollback().await?;
    sqlx::query(SORT_IN_MEMORY).execute(&mut *connection).await?;
    Ok(report)
}

async fn audit_postgres(pool: &PgPool, tries_max: u32) -> Result<AuditReport, sqlx::Error> {
    let mut transaction = pool.begin_with(BEGIN_POSTGRES).await?;
    let mut report = AuditReport::default();
    let guards = sqlx::query_scalar(GUARDS_POSTGRES).fetch_all(&mut *transaction).await?;
    report.guarded(&guards);
    examine!(transaction, report, tries_max);
    transaction.rollback().await?;
    Ok(report)
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    account_id: Uuid,
    id: Option<Uuid>,
    place: Option<i64>,
    detail: String,
}

impl Check {
    fn finding(&self, row: Row) -> Finding {
        let account = row.account_id;
        let id = row.id.unwrap_or_default();
        let place = row.place.unwrap_or_default();
        let subject = match self.subject {
            Subject::Account => format!("account {account}"),
            Subject::Entry => format!("ledger entry {place} of account {account}"),
            Subject::Generation => format!("generation {id}"),
            Subject::Attempt => format!("attempt {place} of generation {id}"),
            Subject::Delivery => format!("webhook delivery {id}"),
            Subject::Endpoint => format!("webhook endpoint {id}"),
        };
        Finding { invariant: self.invariant, subject, detail: row.detail }
    }
}

impl AuditReport {
    fn find(
        &mut self,
        invariant: &'static str,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) {
        let (subject, detail) = (subject.into(), detail.into());
        self.findings.push(Finding { invariant, subject, detail });
    }

    fn guarded(&mut self, guards: &[String]) {
        for (invariant, guard) in GUARDS {
            if !guards.iter().any(|found| found == guard) {
                let detail = format!("the trigger {guard} is missing or disabled");
                self.find(invariant, "database", detail);
            }
        }
    }
}
