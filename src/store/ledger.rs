//! Ledger entries.

use std::sync::LazyLock;

use actors::id::{AccountId, GenerationId};
use actors::ledger::{EntryKind, LedgerEntry};
use actors::money::Credits;
use actors::ports::StoreError;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::store::rowset::{Id, Kind, SetStatement, Time};

/// Appends entries.
pub(crate) static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("seq", Kind::Int),
            ("kind", Kind::Text),
            ("amount_millicredits", Kind::Int),
            ("delta_millicredits", Kind::Int),
            ("balance_after_millicredits", Kind::Int),
            ("generation_id", Kind::Id),
            ("model", Kind::Text),
            ("key", Kind::Text),
            ("description", Kind::Text),
            ("created_at", Kind::Time),
        ],
        "INSERT INTO ledger_entries (
             account_id, seq, kind, amount_millicredits, delta_millicredits,
             balance_after_millicredits, generation_id, model, key, description, created_at)
         SELECT
             account_id, seq, kind, amount_millicredits, delta_millicredits,
             balance_after_millicredits, generation_id, model, key, description, created_at
         FROM {rows} AS r",
    )
});

/// Finds what was granted under keys.
pub(crate) static FIND_GRANT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("key", Kind::Text)],
        "SELECT stored.* FROM {rows} AS r JOIN ledger_entries AS stored ON stored.key = r.key",
    )
});

/// A page of an account's entries, first to last.
pub(crate) const LIST: &str = "SELECT * FROM ledger_entries
     WHERE account_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct EntryRow {
    account_id: Uuid,
    seq: i64,
    kind: String,
    amount_millicredits: i64,
    delta_millicredits: i64,
    balance_after_millicredits: i64,
    generation_id: Option<Uuid>,
    model: Option<String>,
    key: Option<String>,
    description: Option<String>,
    created_at: DateTime<Utc>,
}

impl TryFrom<EntryRow> for LedgerEntry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self, StoreError> {
        let name = (row.seq, row.account_id);
        let corrupt =
            || StoreError::Corrupt(format!("ledger entry {} of account {}", name.0, name.1));
        let credits = |thousandths| Credits::from_balance(thousandths).map_err(|_| corrupt());
        Ok(Self {
            account_id: AccountId(row.account_id),
            seq: row.seq,
            kind: EntryKind::parse(&row.kind).ok_or_else(corrupt)?,
            amount: credits(row.amount_millicredits)?,
            delta: row.delta_millicredits,
            balance_after: credits(row.balance_after_millicredits)?,
            generation_id: row.generation_id.map(GenerationId),
            model: row.model,
            key: row.key,
            description: row.description,
            created_at: row.created_at,
        })
    }
}

/// The key of a grant: the parameter of [`FIND_GRANT`].
#[derive(Debug, Serialize)]
pub(crate) struct KeyOfGrant<'a> {
    key: &'a str,
}

impl<'a> KeyOfGrant<'a> {
    /// Of this key.
    pub(crate) fn new(key: &'a str) -> Self {
        Self { key }
    }
}

/// An entry on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct EntryOut<'a> {
    account_id: Id,
    seq: i64,
    kind: &'static str,
    amount_millicredits: i64,
    delta_millicredits: i64,
    balance_after_millicredits: i64,
    generation_id: Option<Id>,
    model: Option<&'a str>,
    key: Option<&'a str>,
    description: Option<&'a str>,
    created_at: Time,
}

/// An entry as a row.
pub(crate) fn entry_out(entry: &LedgerEntry) -> EntryOut<'_> {
    EntryOut {
        account_id: Id(entry.account_id.0),
        seq: entry.seq,
        kind: entry.kind.as_str(),
        amount_millicredits: entry.amount.thousandths(),
        delta_millicredits: entry.delta,
        balance_after_millicredits: entry.balance_after.thousandths(),
        generation_id: entry.generation_id.map(|id| Id(id.0)),
        model: entry.model.as_deref(),
        key: entry.key.as_deref(),
        description: entry.description.as_deref(),
        created_at: Time(entry.created_at),
    }
}
