//! What owners are told in the dashboard.

use std::sync::LazyLock;

use actors::activity::{Actor, By, Deed, NewActivity};
use actors::alert::{AlertSettings, Alerts};
use actors::id::{AccountId, NotificationId};
use actors::notification::{Notification, NotificationKind};
use actors::operator::{Act, NewOperatorAction, Subject};
use actors::ports::StoreError;
use actors::ports::deliveries::NotificationStore;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::store::rowset::{AccountKey, Id, Kind, SetStatement, Time};
use crate::store::standings::{self, StandingRow};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, activities, alerts, database, in_turn, on, operator};

/// Writes new notifications.
pub(crate) static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("kind", Kind::Text),
            ("data", Kind::Json),
            ("created_at", Kind::Time),
        ],
        "INSERT INTO notifications (account_id, id, kind, data, created_at)
         SELECT account_id, id, kind, data, created_at FROM {rows} AS r",
    )
});

/// Ids are made in time order, so this is newest first.
const LIST: &str = "SELECT * FROM notifications WHERE account_id = $1 AND id < $2
     ORDER BY id DESC LIMIT $3";

const COUNT_UNREAD: &str = "SELECT COUNT(*) FROM (
         SELECT 1 AS one FROM notifications
         WHERE account_id = $1 AND read_at IS NULL LIMIT $2) AS unread";

const READ: &str = "UPDATE notifications SET read_at = $3
     WHERE account_id = $1 AND read_at IS NULL AND ($2 IS NULL OR id = $2)";

const DISMISS: &str = "DELETE FROM notifications WHERE account_id = $1 AND id = $2";

#[async_trait]
impl NotificationStore for Store {
    async fn list_notifications(
        &self,
        account_id: AccountId,
        before: Option<NotificationId>,
        limit: u32,
    ) -> Result<Vec<Notification>, StoreError> {
        let before = before.map_or(Uuid::max(), |id| id.0);
        let rows: Vec<NotificationRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST)
                .bind(account_id.0)
                .bind(before)
                .bind(i64::from(limit))
                .fetch_all(pool)
                .await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn count_unread(
        &self,
        account_id: AccountId,
        counted_max: u32,
    ) -> Result<u64, StoreError> {
        let count: i64 = on!(&self.db, pool => {
            let query = sqlx::query_scalar(COUNT_UNREAD).bind(account_id.0);
            query.bind(i64::from(counted_max)).fetch_one(pool).await
        })
        .map_err(database)?;
        Ok(count.unsigned_abs())
    }

    async fn read_notifications(
        &self,
        account_id: AccountId,
        only: Option<NotificationId>,
        at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        in_turn!(&self.db, pool => {
            let query = sqlx::query(READ).bind(account_id.0).bind(only.map(|id| id.0)).bind(at);
            query.execute(pool).await.map(|done| done.rows_affected())
        })
        .map_err(database)
    }

    async fn dismiss_notification(
        &self,
        account_id: AccountId,
        id: NotificationId,
    ) -> Result<bool, StoreError> {
        in_turn!(&self.db, pool => {
            let query = sqlx::query(DISMISS).bind(account_id.0).bind(id.0);
            query.execute(pool).await.map(|done| done.rows_affected() > 0)
        })
        .map_err(database)
    }

    async fn find_alerts(&self, account_id: AccountId) -> Result<Alerts, StoreError> {
        let row: Option<alerts::AlertsRow> = on!(&self.db, pool => {
            sqlx::query_as(alerts::FIND).bind(account_id.0).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map_or_else(|| Ok(Alerts::default()), TryInto::try_into)
    }

    async fn set_alerts(
        &self,
        account_id: AccountId,
        settings: AlertSettings,
        by: By,
    ) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        // The account's row is locked first, as by whoever alerts.
        let account = [AccountKey::new(account_id)];
        let found: Vec<StandingRow> = transaction.fetch(&standings::LOAD, &account).await?;
        if !found.iter().any(StandingRow::is_live) {
            return Ok(false);
        }
        let mut alerts = alerts::load(&mut transaction, account_id).await?;
        let was = told(&alerts.settings);
        alerts.change(settings);
        let deed = Deed::new("credit_alert", "settings_updated", told(&alerts.settings));
        // At the command line it is nobody of the account.
        if by.actor == Actor::System {
            let action = NewOperatorAction {
                act: Act { by, reason: String::new() },
                action: "account.alerts_changed",
                subject: Subject::Account(account_id),
                was,
                became: deed.description.clone(),
            };
            operator::record(&mut transaction, &action).await?;
        }
        activities::record(&mut transaction, &NewActivity { account_id, by, deed }).await?;
        alerts::save(&mut transaction, account_id, &alerts).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// Alert settings in a line.
fn told(settings: &AlertSettings) -> String {
    if !settings.enabled {
        return "Low-balance alerts are off".to_owned();
    }
    let thresholds: Vec<String> = settings.thresholds.iter().map(ToString::to_string).collect();
    format!("Low-balance alerts below {}", thresholds.join(", "))
}

#[derive(Debug, sqlx::FromRow)]
struct NotificationRow {
    account_id: Uuid,
    id: Uuid,
    kind: String,
    data: Json<Value>,
    created_at: DateTime<Utc>,
    read_at: Option<DateTime<Utc>>,
}

impl TryFrom<NotificationRow> for Notification {
    type Error = StoreError;

    fn try_from(row: NotificationRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("notification {}", row.id));
        Ok(Self {
            account_id: AccountId(row.account_id),
            id: NotificationId(row.id),
            kind: NotificationKind::parse(&row.kind).ok_or_else(corrupt)?,
            data: row.data.0,
            created_at: row.created_at,
            read_at: row.read_at,
        })
    }
}

/// A new notification on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct NotificationOut<'a> {
    account_id: Id,
    id: Id,
    kind: &'static str,
    data: &'a Value,
    created_at: Time,
}

/// A new notification as a row.
pub(crate) fn notification_out(notification: &Notification) -> NotificationOut<'_> {
    NotificationOut {
        account_id: Id(notification.account_id.0),
        id: Id(notification.id.0),
        kind: notification.kind.as_str(),
        data: &notification.data,
        created_at: Time(notification.created_at),
    }
}
