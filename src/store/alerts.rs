//! What accounts want to be told of their balance, and what they have been.

use std::sync::LazyLock;

use actors::alert::{AlertSettings, Alerts};
use actors::id::AccountId;
use actors::money::Credits;
use actors::ports::StoreError;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::store::rowset::{ACCOUNT_KEY, AccountKey, Id, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;

/// Reads alerts. The row set is of accounts, whose rows are locked already.
pub(crate) static LOAD: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &ACCOUNT_KEY,
        "SELECT stored.* FROM {rows} AS r
         JOIN credit_alerts AS stored ON stored.account_id = r.account_id",
    )
});

/// Writes alerts. `WHERE TRUE` tells SQLite that what follows is no join.
pub(crate) static UPSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("enabled", Kind::Bool),
            ("thresholds", Kind::Json),
            ("in_app", Kind::Bool),
            ("webhook", Kind::Bool),
            ("email", Kind::Bool),
            ("fired", Kind::Json),
            ("told_at", Kind::Time),
        ],
        "INSERT INTO credit_alerts (
             account_id, enabled, thresholds, in_app, webhook, email, fired, told_at)
         SELECT account_id, enabled, thresholds, in_app, webhook, email, fired, told_at
         FROM {rows} AS r WHERE TRUE
         ON CONFLICT (account_id) DO UPDATE SET
             enabled = excluded.enabled,
             thresholds = excluded.thresholds,
             in_app = excluded.in_app,
             webhook = excluded.webhook,
             email = excluded.email,
             fired = excluded.fired,
             told_at = excluded.told_at",
    )
});

static SET_ALERT_BELOW: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("alert_below", Kind::Int)],
        "UPDATE accounts SET alert_below_millicredits = r.alert_below
         FROM {rows} AS r WHERE accounts.id = r.account_id",
    )
});

pub(crate) const FIND: &str = "SELECT * FROM credit_alerts WHERE account_id = $1";

/// The alerts of an account whose row is locked.
pub(crate) async fn load(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
) -> Result<Alerts, StoreError> {
    let found: Vec<AlertsRow> = transaction.fetch(&LOAD, &[AccountKey::new(account_id)]).await?;
    found.into_iter().next().map_or_else(|| Ok(Alerts::default()), TryInto::try_into)
}

/// Writes them, with the threshold on the account's row.
pub(crate) async fn save(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    alerts: &Alerts,
) -> Result<(), StoreError> {
    transaction.write("credit_alerts", &UPSERT, &[alerts_out(account_id, alerts)]).await?;
    let alert_below = alerts.alert_below().thousandths();
    let row = AlertBelow { account_id: Id(account_id.0), alert_below };
    transaction.write("accounts", &SET_ALERT_BELOW, &[row]).await
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct AlertsRow {
    pub(crate) account_id: Uuid,
    enabled: bool,
    thresholds: Json<Vec<i64>>,
    in_app: bool,
    webhook: bool,
    email: bool,
    fired: Json<Vec<i64>>,
    told_at: Option<DateTime<Utc>>,
}

impl TryFrom<AlertsRow> for Alerts {
    type Error = StoreError;

    fn try_from(row: AlertsRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("alerts of account {}", row.account_id));
        let credits = |all: Vec<i64>| -> Result<Vec<Credits>, StoreError> {
            let all = all.into_iter().map(Credits::from_thousandths);
            all.collect::<Result<_, _>>().map_err(|_| corrupt())
        };
        Ok(Self {
            settings: AlertSettings {
                enabled: row.enabled,
                thresholds: credits(row.thresholds.0)?,
                in_app: row.in_app,
                webhook: row.webhook,
                email: row.email,
            },
            fired: credits(row.fired.0)?,
            told_at: row.told_at,
        })
    }
}

/// Alerts on their way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct AlertsOut {
    account_id: Id,
    enabled: bool,
    thresholds: Vec<i64>,
    in_app: bool,
    webhook: bool,
    email: bool,
    fired: Vec<i64>,
    told_at: Option<Time>,
}

#[derive(Debug, Serialize)]
struct AlertBelow {
    account_id: Id,
    alert_below: i64,
}

/// Alerts as a row.
pub(crate) fn alerts_out(account_id: AccountId, alerts: &Alerts) -> AlertsOut {
    let thousandths = |all: &[Credits]| all.iter().map(|one| one.thousandths()).collect();
    AlertsOut {
        account_id: Id(account_id.0),
        enabled: alerts.settings.enabled,
        thresholds: thousandths(&alerts.settings.thresholds),
        in_app: alerts.settings.in_app,
        webhook: alerts.settings.webhook,
        email: alerts.settings.email,
        fired: thousandths(&alerts.fired),
        told_at: alerts.told_at.map(Time),
    }
}
