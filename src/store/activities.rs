//! What people did in accounts.

use std::sync::LazyLock;

use actors::activity::{Activity, Actor, By, Deed, NewActivity};
use actors::id::{AccountId, ActivityId, UserId};
use actors::ports::StoreError;
use actors::ports::teams::ActivityStore;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::rowset::{Id, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, database, on};

/// Writes lines of the log.
pub(crate) static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("actor", Kind::Text),
            ("actor_id", Kind::Id),
            ("category", Kind::Text),
            ("action", Kind::Text),
            ("description", Kind::Text),
            ("at", Kind::Time),
        ],
        "INSERT INTO activities (
             account_id, id, actor, actor_id, category, action, description, at)
         SELECT account_id, id, actor, actor_id, category, action, description, at
         FROM {rows} AS r",
    )
});

/// The same for the personal account of a person, whichever that is.
static INSERT_PERSONAL: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("user_id", Kind::Id),
            ("id", Kind::Id),
            ("actor", Kind::Text),
            ("actor_id", Kind::Id),
            ("category", Kind::Text),
            ("action", Kind::Text),
            ("description", Kind::Text),
            ("at", Kind::Time),
        ],
        "INSERT INTO activities (
             account_id, id, actor, actor_id, category, action, description, at)
         SELECT accounts.id, r.id, actor, actor_id, category, action, description, at
         FROM {rows} AS r
         JOIN accounts ON accounts.primary_owner_id = r.user_id
           AND accounts.kind = 'personal' AND accounts.deleted_at IS NULL",
    )
});

/// Ids are made in time order, so this is newest first. The largest id is after every other.
const LIST: &str = "SELECT activities.*, COALESCE(users.name, api_keys.name) AS name
     FROM activities
     LEFT JOIN users ON activities.actor = 'user' AND users.id = activities.actor_id
     LEFT JOIN api_keys ON activities.actor = 'key'
       AND api_keys.account_id = activities.account_id AND api_keys.id = activities.actor_id
     WHERE activities.account_id = $1 AND activities.id < $2
     ORDER BY activities.id DESC LIMIT $3";

#[async_trait]
impl ActivityStore for Store {
    async fn list_activities(
        &self,
        account_id: AccountId,
        before: Option<ActivityId>,
        limit: u32,
    ) -> Result<Vec<Activity>, StoreError> {
        let before = before.map_or(Uuid::max(), |id| id.0);
        let rows: Vec<ActivityRow> = on!(&self.db, pool => {
            let query = sqlx::query_as(LIST).bind(account_id.0).bind(before);
            query.bind(i64::from(limit)).fetch_all(pool).await
        })
        .map_err(database)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

/// Writes a line as part of a unit.
pub(crate) async fn record(
    transaction: &mut WriteTransaction<'_>,
    activity: &NewActivity,
) -> Result<(), StoreError> {
    transaction.write("activities", &INSERT, &[activity_out(activity)]).await
}

/// Writes a line into the log of a person's own account as part of a unit.
pub(crate) async fn record_personal(
    transaction: &mut WriteTransaction<'_>,
    user_id: UserId,
    by: By,
    deed: &Deed,
) -> Result<(), StoreError> {
    let mut row = signed(by, deed);
    row["user_id"] = json!(Id(user_id.0));
    transaction.write("activities", &INSERT_PERSONAL, &[row]).await
}

/// A line as a row.
pub(crate) fn activity_out(activity: &NewActivity) -> Value {
    let mut row = signed(activity.by, &activity.deed);
    row["account_id"] = json!(Id(activity.account_id.0));
    row
}

fn signed(by: By, deed: &Deed) -> Value {
    let actor_id = match by.actor {
        Actor::User(id) => Some(id.0),
        Actor::Key(id) => Some(id.0),
        Actor::System => None,
    };
    json!({
        "id": Id(by.id.0),
        "actor": by.actor.as_str(),
        "actor_id": actor_id.map(Id),
        "category": deed.category,
        "action": deed.action,
        "description": deed.description,
        "at": Time(by.at),
    })
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct ActivityRow {
    pub(crate) id: Uuid,
    actor: String,
    category: String,
    action: String,
    description: String,
    at: DateTime<Utc>,
    name: Option<String>,
}

impl From<ActivityRow> for Activity {
    fn from(row: ActivityRow) -> Self {
        let gone = || match row.actor.as_str() {
            "user" => "former member".to_owned(),
            "key" => "deleted key".to_owned(),
            _ => "system".to_owned(),
        };
        Self {
            id: ActivityId(row.id),
            actor: row.name.clone().unwrap_or_else(gone),
            category: row.category,
            action: row.action,
            description: row.description,
            at: row.at,
        }
    }
}
