//! What those who run the server did, and what they look at.

use std::sync::LazyLock;

use actors::activity::Actor;
use actors::id::{AccountId, ActivityId, EndpointId, UserId};
use actors::operator::{NewOperatorAction, OperatorAction, Subject};
use actors::ports::StoreError;
use actors::ports::operator::{AGES, EndpointBacklog, InFlight, OperatorStore, Waiting};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::store::rowset::{Id, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, database, on};

/// Endpoints that are named.
const ENDPOINTS_MAX: i64 = 10;

static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("id", Kind::Id),
            ("actor", Kind::Text),
            ("actor_id", Kind::Id),
            ("action", Kind::Text),
            ("account_id", Kind::Id),
            ("user_id", Kind::Id),
            ("was", Kind::Text),
            ("became", Kind::Text),
            ("reason", Kind::Text),
            ("at", Kind::Time),
        ],
        "INSERT INTO operator_actions (
             id, actor, actor_id, action, account_id, user_id, was, became, reason, at)
         SELECT id, actor, actor_id, action, account_id, user_id, was, became, reason, at
         FROM {rows} AS r",
    )
});

/// Ids are made in time order, so this is newest first. The largest id is after every other.
/// With one account the index of that is read, without any the primary key.
macro_rules! list {
    ($which:literal) => {
        concat!(
            "SELECT
                 operator_actions.*,
                 operators.email AS operator_email,
                 accounts.name AS account_name,
                 users.email AS user_email
             FROM operator_actions
             LEFT JOIN users AS operators ON operators.id = operator_actions.actor_id
             LEFT JOIN accounts ON accounts.id = operator_actions.account_id
             LEFT JOIN users ON users.id = operator_actions.user_id
             WHERE ",
            $which,
            " AND operator_actions.id < $2
             ORDER BY operator_actions.id DESC LIMIT $3"
        )
    };
}
const LIST: &str = list!("$1 IS NULL");
const LIST_ABOUT: &str = list!("operator_actions.account_id = $1");

/// What is in flight has an index of its own.
const GENERATIONS: &str = "SELECT
         status,
         COUNT(*) FILTER (WHERE created_at > $1) AS age_0,
         COUNT(*) FILTER (WHERE created_at <= $1 AND created_at > $2) AS age_1,
         COUNT(*) FILTER (WHERE created_at <= $2 AND created_at > $3) AS age_2,
         COUNT(*) FILTER (WHERE created_at <= $3) AS age_3,
         MIN(created_at) AS oldest_at
     FROM (
         SELECT status, created_at FROM generations WHERE due_at IS NOT NULL LIMIT $4
     ) AS in_flight
     GROUP BY status ORDER BY status";

const ENDPOINTS: &str = "SELECT
         counted.account_id, counted.endpoint_id, counted.pending, counted.due_at,
         accounts.name AS account_name
     FROM (
         SELECT account_id, endpoint_id, COUNT(*) AS pending, MIN(next_try_at) AS due_at
         FROM (
             SELECT account_id, endpoint_id, next_try_at FROM webhook_deliveries
             WHERE next_try_at IS NOT NULL LIMIT $1
         ) AS waiting
         GROUP BY account_id, endpoint_id
     ) AS counted
     JOIN accounts ON accounts.id = counted.account_id
     ORDER BY counted.pending DESC, counted.endpoint_id LIMIT $2";

const MAILS: &str = "SELECT COUNT(*) AS number, MIN(next_try_at) AS due_at FROM (
         SELECT next_try_at FROM mails WHERE next_try_at IS NOT NULL LIMIT $1) AS waiting";

#[async_trait]
impl OperatorStore for Store {
    async fn list_operator_actions(
        &self,
        about: Option<AccountId>,
        before: Option<ActivityId>,
        limit: u32,
    ) -> Result<Vec<OperatorAction>, StoreError> {
        let before = before.map_or(Uuid::max(), |id| id.0);
        let statement = if about.is_some() { LIST_ABOUT } else { LIST };
        let rows: Vec<ActionRow> = on!(&self.db, pool => {
            let query = sqlx::query_as(statement).bind(about.map(|id| id.0)).bind(before);
            query.bind(i64::from(limit)).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn record_action(&self, action: NewOperatorAction) -> Result<(), StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        record(&mut transaction, &action).await?;
        transaction.commit().await
    }

    async fn waiting_any_account(
        &self,
        now: DateTime<Utc>,
        counted_max: u32,
    ) -> Result<Waiting, StoreError> {
        let counted_max = i64::from(counted_max);
        let [first, second, third] = AGES.map(|seconds| now - TimeDelta::seconds(seconds));
        let (generations, endpoints, mails) = on!(&self.db, pool => {
            let generations = sqlx::query_as(GENERATIONS).bind(first).bind(second).bind(third);
            let generations: Vec<InFlightRow> =
                generations.bind(counted_max).fetch_all(pool).await.map_err(database)?;
            let endpoints = sqlx::query_as(ENDPOINTS).bind(counted_max).bind(ENDPOINTS_MAX);
            let endpoints: Vec<EndpointRow> = endpoints.fetch_all(pool).await.map_err(database)?;
            let mails: (i64, Option<DateTime<Utc>>) =
                sqlx::query_as(MAILS).bind(counted_max).fetch_one(pool).await.map_err(database)?;
            (generations, endpoints, mails)
        });
        Ok(Waiting {
            generations: generations.into_iter().map(Into::into).collect(),
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            mails: mails.0.unsigned_abs(),
            mail_due_at: mails.1,
        })
    }
}

/// Writes a line of the log as part of a unit.
pub(crate) async fn record(
    transaction: &mut WriteTransaction<'_>,
    action: &NewOperatorAction,
) -> Result<(), StoreError> {
    let NewOperatorAction { act, action, subject, was, became } = action;
    let (actor, actor_id) = match act.by.actor {
        Actor::User(id) => ("user", Some(Id(id.0))),
        Actor::System | Actor::Key(_) => ("cli", None),
    };
    let (account_id, user_id) = match subject {
        Subject::Account(id) => (Some(Id(id.0)), None),
        Subject::User(id) => (None, Some(Id(id.0))),
    };
    let row = json!({
        "id": Id(act.by.id.0),
        "actor": actor,
        "actor_id": actor_id,
        "action": action,
        "account_id": account_id,
        "user_id": user_id,
        "was": was,
        "became": became,
        "reason": act.reason,
        "at": Time(act.by.at),
    });
    transaction.write("operator_actions", &INSERT, &[row]).await
}

#[derive(Debug, sqlx::FromRow)]
struct ActionRow {
    id: Uuid,
    actor: String,
    action: String,
    account_id: Option<Uuid>,
    user_id: Option<Uuid>,
    was: String,
    became: String,
    reason: String,
    at: DateTime<Utc>,
    operator_email: Option<String>,
    account_name: Option<String>,
    user_email: Option<String>,
}

impl TryFrom<ActionRow> for OperatorAction {
    type Error = StoreError;

    fn try_from(row: ActionRow) -> Result<Self, StoreError> {
        let nobody = if row.actor == "cli" { "cli" } else { "former operator" };
        let subject = match (row.account_id, row.user_id) {
            (Some(id), None) => Subject::Account(AccountId(id)),
            (None, Some(id)) => Subject::User(UserId(id)),
            _ => return Err(StoreError::Corrupt(format!("operator action {}", row.id))),
        };
        let gone = || "deleted user".to_owned();
        Ok(Self {
            id: ActivityId(row.id),
            actor: row.operator_email.unwrap_or_else(|| nobody.to_owned()),
            action: row.action,
            subject,
            name: row.account_name.or(row.user_email).unwrap_or_else(gone),
            was: row.was,
            became: row.became,
            reason: row.reason,
            at: row.at,
        })
    }
}

#[derive(Debug, sqlx::FromRow)]
struct InFlightRow {
    status: String,
    age_0: i64,
    age_1: i64,
    age_2: i64,
    age_3: i64,
    oldest_at: DateTime<Utc>,
}

impl From<InFlightRow> for InFlight {
    fn from(row: InFlightRow) -> Self {
        let ages = [row.age_0, row.age_1, row.age_2, row.age_3].map(i64::unsigned_abs);
        Self { status: row.status, ages, oldest_at: row.oldest_at }
    }
}

#[derive(Debug, sqlx::FromRow)]
struct EndpointRow {
    account_id: Uuid,
    endpoint_id: Uuid,
    pending: i64,
    due_at: DateTime<Utc>,
    account_name: String,
}

impl From<EndpointRow> for EndpointBacklog {
    fn from(row: EndpointRow) -> Self {
        Self {
            account_id: AccountId(row.account_id),
            account_name: row.account_name,
            endpoint_id: EndpointId(row.endpoint_id),
            pending: row.pending.unsigned_abs(),
            due_at: row.due_at,
        }
    }
}
