//! What keys have spent, and what they may.

use std::sync::LazyLock;

use actors::id::{AccountId, ApiKeyId};
use actors::money::Credits;
use actors::ports::StoreError;
use actors::spending::{Month, Spending};
use serde::Serialize;
use uuid::Uuid;

use crate::store::rowset::{Id, KEY, Kind, SetStatement};

/// Reads the spending of keys, locked.
pub(crate) static LOAD: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "SELECT
             stored.account_id,
             stored.id,
             stored.monthly_limit_millicredits,
             stored.spent_month,
             stored.spent_millicredits
         FROM {rows} AS r
         JOIN api_keys AS stored ON stored.account_id = r.account_id AND stored.id = r.id
         {for update by id}",
    )
});

/// Writes what was spent. The rows are locked since they were read.
pub(crate) static UPDATE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &COLUMNS,
        "UPDATE api_keys SET
             spent_month = r.spent_month,
             spent_millicredits = r.spent_millicredits
         FROM {rows} AS r
         WHERE api_keys.account_id = r.account_id AND api_keys.id = r.id",
    )
});

/// Sets the limit of a key. What it has spent is counted all the time.
pub(crate) static LIMIT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("id", Kind::Id), ("limit_millicredits", Kind::Int)],
        "UPDATE api_keys SET monthly_limit_millicredits = r.limit_millicredits
         FROM {rows} AS r
         WHERE api_keys.account_id = r.account_id AND api_keys.id = r.id",
    )
});

const COLUMNS: [(&str, Kind); 4] = [
    ("account_id", Kind::Id),
    ("id", Kind::Id),
    ("spent_month", Kind::Int),
    ("spent_millicredits", Kind::Int),
];

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct SpendingRow {
    pub(crate) account_id: Uuid,
    pub(crate) id: Uuid,
    #[sqlx(flatten)]
    columns: SpendingColumns,
}

/// The columns of a key that make its [`Spending`].
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct SpendingColumns {
    monthly_limit_millicredits: Option<i64>,
    spent_month: i64,
    spent_millicredits: i64,
}

impl SpendingColumns {
    /// `None` when they make no sense.
    pub(crate) fn read(&self) -> Option<Spending> {
        Some(Spending {
            limit: match self.monthly_limit_millicredits {
                Some(limit) => Some(Credits::from_thousandths(limit).ok()?),
                None => None,
            },
            month: Month(u32::try_from(self.spent_month).ok()?),
            spent: Credits::from_balance(self.spent_millicredits).ok()?,
        })
    }
}

impl TryFrom<SpendingRow> for Spending {
    type Error = StoreError;

    fn try_from(row: SpendingRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("spending of key {}", row.id));
        row.columns.read().ok_or_else(corrupt)
    }
}

/// What a key has spent, on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct SpendingOut {
    account_id: Id,
    id: Id,
    spent_month: u32,
    spent_millicredits: i64,
}

/// What a key has spent, as a row.
pub(crate) fn spending_out(account_id: AccountId, id: ApiKeyId, spending: Spending) -> SpendingOut {
    SpendingOut {
        account_id: Id(account_id.0),
        id: Id(id.0),
        spent_month: spending.month.0,
        spent_millicredits: spending.spent.thousandths(),
    }
}

/// A new limit on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct LimitOut {
    account_id: Id,
    id: Id,
    limit_millicredits: Option<i64>,
}

/// A new limit as a row.
pub(crate) fn limit_out(account_id: AccountId, id: ApiKeyId, limit: Option<Credits>) -> LimitOut {
    LimitOut {
        account_id: Id(account_id.0),
        id: Id(id.0),
        limit_millicredits: limit.map(Credits::thousandths),
    }
}
