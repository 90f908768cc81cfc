//! Many rows as one parameter: a JSON array, read with `jsonb_each` on SQLite and
//! `json_to_recordset` on PostgreSQL.
//!
//! One statement per batch instead of one per row doubles the throughput of durable writes.
//! A statement is written once, with `{rows}` where the rows come from.

use actors::id::AccountId;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// Which SQL is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// The type of a column in a row set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// UUID, sent as 32 hexadecimal digits.
    Id,
    /// 64-bit integer.
    Int,
    /// Text.
    Text,
    /// Time, see [`Time`].
    Time,
    /// JSON, kept as text.
    Json,
    /// Boolean.
    Bool,
}

/// A statement over a row set, in both dialects.
#[derive(Debug)]
pub(crate) struct SetStatement {
    sqlite: String,
    postgres: String,
}

impl SetStatement {
    /// Fills `{rows}` with a subselect of these columns, and `{for update}` with what locks
    /// the rows of the table called `stored`; `{for update by id}` does so in the order of their
    /// ids, as everybody has to who locks several, or two would wait for each other. Where a
    /// statement must differ in other ways, it is two statements.
    pub(crate) fn new(columns: &[(&str, Kind)], template: &str) -> Self {
        // Nobody changes keys, and a plain FOR UPDATE would stand in the way of every insert that
        // refers to the row: with the request log that was a deadlock.
        const LOCK: &str = "FOR NO KEY UPDATE OF stored";
        let fill = |rows: &str, lock: &str, lock_by_id: &str| {
            template
                .replace("{rows}", rows)
                .replace("{for update by id}", lock_by_id)
                .replace("{for update}", lock)
        };
        Self {
            sqlite: fill(&sqlite_rows(columns), "", ""),
            postgres: fill(&postgres_rows(columns), LOCK, &format!("ORDER BY stored.id {LOCK}")),
        }
    }

    /// The statement for SQLite as one of several in a text, with its rows as the parameter of
    /// that number.
    pub(crate) fn sqlite_at(&self, parameter: usize) -> String {
        format!("{};\n", self.sqlite.replace("$1", &format!("${parameter}")))
    }

    /// The statement for a dialect. Built from constants only.
    pub(crate) fn sql(&'static self, dialect: Dialect) -> AssertSqlSafe<&'static str> {
        AssertSqlSafe(match dialect {
            Dialect::Sqlite => &self.sqlite,
            Dialect::Postgres => &self.postgres,
        })
    }
}

fn sqlite_rows(columns: &[(&str, Kind)]) -> String {
    let expressions: Vec<String> = columns
        .iter()
        .map(|(name, kind)| match kind {
            Kind::Id => format!("unhex(value ->> '{name}') AS {name}"),
            Kind::Int | Kind::Text | Kind::Time | Kind::Bool => {
                format!("value ->> '{name}' AS {name}")
            }
            Kind::Json => format!("nullif(value -> '{name}', 'null') AS {name}"),
        })
        .collect();
    format!("(SELECT {} FROM jsonb_each($1))", expressions.join(", "))
}

fn postgres_rows(columns: &[(&str, Kind)]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let types: Vec<String> = columns
        .iter()
        .map(|(name, kind)| {
            let kind = match kind {
                Kind::Id => "uuid",
                Kind::Int => "bigint",
                Kind::Text => "text",
                Kind::Time => "timestamptz",
                Kind::Json => "json",
                Kind::Bool => "boolean",
            };
            format!("{name} {kind}")
        })
        .collect();
    let (names, types) = (names.join(", "), types.join(", "));
    format!("(SELECT {names} FROM json_to_recordset($1::json) AS given({types}))")
}

/// The parameter: the rows as one JSON text.
pub(crate) fn rows<T: Serialize>(rows: &[T]) -> String {
    serde_json::to_string(rows).expect("row structs hold nothing that JSON cannot")
}

/// A UUID as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id(pub(crate) Uuid);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = Uuid::encode_buffer();
        serializer.serialize_str(self.0.simple().encode_lower(&mut buffer))
    }
}

/// A time in the text that sqlx itself writes on SQLite, which sorts in time order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) DateTime<Utc>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, false))
    }
}

/// Ids of one entity of one account: the parameter of a set-wise read.
#[derive(Debug, Serialize)]
pub(crate) struct Key {
    /// The tenant first.
    pub(crate) account_id: Id,
    /// The entity.
    pub(crate) id: Id,
}

/// The columns of [`Key`].
pub(crate) const KEY: [(&str, Kind); 2] = [("account_id", Kind::Id), ("id", Kind::Id)];

/// An account: the parameter of a set-wise read of what belongs to it.
#[derive(Debug, Serialize)]
pub(crate) struct AccountKey {
    account_id: Id,
}

impl AccountKey {
    /// Of this account.
    pub(crate) fn new(id: AccountId) -> Self {
        Self { account_id: Id(id.0) }
    }
}

/// The columns of [`AccountKey`].
pub(crate) const ACCOUNT_KEY: [(&str, Kind); 1] = [("account_id", Kind::Id)];
