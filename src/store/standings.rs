//! What changes on an account's row with every generation: balance and counts.

use std::sync::LazyLock;

use actors::account::{Plan, Standing};
use actors::id::AccountId;
use actors::ledger::Balance;
use actors::money::Credits;
use actors::ports::StoreError;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::store::rowset::{ACCOUNT_KEY, Id, Kind, SetStatement};

/// Reads standings, locked. The row set is of accounts.
pub(crate) static LOAD: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &ACCOUNT_KEY,
        "SELECT
             stored.id,
             stored.plan,
             stored.balance_millicredits,
             stored.ledger_seq,
             stored.images_in_flight,
             stored.videos_in_flight,
             stored.generations,
             stored.alert_below_millicredits,
             stored.failover_on_moderation,
             stored.deleted_at
         FROM {rows} AS r
         JOIN accounts AS stored ON stored.id = r.account_id
         {for update by id}",
    )
});

/// Reads one as it is, for people.
pub(crate) const FIND: &str = "SELECT * FROM accounts WHERE id = $1 AND deleted_at IS NULL";

/// Changes standings, each only from where its balance was read: whatever changes a count
/// appends to the ledger too, or deletes a record in the turn of the one writer.
pub(crate) static UPDATE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("balance_before", Kind::Int),
            ("balance_after", Kind::Int),
            ("seq_before", Kind::Int),
            ("seq_after", Kind::Int),
            ("images_in_flight", Kind::Int),
            ("videos_in_flight", Kind::Int),
            ("generations", Kind::Int),
            ("alert_below", Kind::Int),
        ],
        "UPDATE accounts SET
             balance_millicredits = r.balance_after,
             ledger_seq = r.seq_after,
             images_in_flight = r.images_in_flight,
             videos_in_flight = r.videos_in_flight,
             generations = r.generations,
             alert_below_millicredits = r.alert_below
         FROM {rows} AS r
         WHERE accounts.id = r.account_id
           AND accounts.balance_millicredits = r.balance_before
           AND accounts.ledger_seq = r.seq_before",
    )
});

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct StandingRow {
    pub(crate) id: Uuid,
    plan: String,
    balance_millicredits: i64,
    ledger_seq: i64,
    images_in_flight: i64,
    videos_in_flight: i64,
    generations: i64,
    alert_below_millicredits: i64,
    failover_on_moderation: bool,
    deleted_at: Option<DateTime<Utc>>,
}

impl StandingRow {
    /// Whether the account was not deleted: only then can it get anything new.
    pub(crate) fn is_live(&self) -> bool {
        self.deleted_at.is_none()
    }
}

impl TryFrom<StandingRow> for Standing {
    type Error = StoreError;

    fn try_from(row: StandingRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("standing of account {}", row.id));
        let credits = Credits::from_balance(row.balance_millicredits).map_err(|_| corrupt())?;
        let count = |count: i64| u32::try_from(count).map_err(|_| corrupt());
        Ok(Self {
            plan: Plan::parse(&row.plan).ok_or_else(corrupt)?,
            balance: Balance { credits, seq: row.ledger_seq },
            images_in_flight: count(row.images_in_flight)?,
            videos_in_flight: count(row.videos_in_flight)?,
            generations: u64::try_from(row.generations).map_err(|_| corrupt())?,
            alert_below: Credits::from_balance(row.alert_below_millicredits)
                .map_err(|_| corrupt())?,
            failover_on_moderation: row.failover_on_moderation,
        })
    }
}

/// A changed standing on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct StandingOut {
    account_id: Id,
    balance_before: i64,
    balance_after: i64,
    seq_before: i64,
    seq_after: i64,
    images_in_flight: u32,
    videos_in_flight: u32,
    generations: u64,
    alert_below: i64,
}

/// A changed standing as a row.
pub(crate) fn standing_out(
    account_id: AccountId,
    before: Standing,
    after: Standing,
) -> StandingOut {
    StandingOut {
        account_id: Id(account_id.0),
        balance_before: before.balance.credits.thousandths(),
        balance_after: after.balance.credits.thousandths(),
        seq_before: before.balance.seq,
        seq_after: after.balance.seq,
        images_in_flight: after.images_in_flight,
        videos_in_flight: after.videos_in_flight,
        generations: after.generations,
        alert_below: after.alert_below.thousandths(),
    }
}
