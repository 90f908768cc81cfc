//! Signed-in browsers.

use std::sync::LazyLock;

use actors::activity::{By, Deed};
use actors::id::{SessionId, UserId};
use actors::ports::StoreError;
use actors::ports::people::SessionStore;
use actors::user::{Session, User};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::store::rowset::{Id, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;
use crate::store::users::{UserRow, user_columns};
use crate::store::{Store, activities, database, in_turn, on};

static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("user_id", Kind::Id),
            ("id", Kind::Id),
            ("token_hash", Kind::Text),
            ("user_agent", Kind::Text),
            ("created_at", Kind::Time),
            ("last_seen_at", Kind::Time),
            ("expires_at", Kind::Time),
        ],
        "INSERT INTO sessions (
             user_id, id, token_hash, user_agent, created_at, last_seen_at, expires_at)
         SELECT user_id, id, token_hash, user_agent, created_at, last_seen_at, expires_at
         FROM {rows} AS r",
    )
});

static REPLACE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("user_id", Kind::Id), ("token_hash", Kind::Text)],
        "DELETE FROM sessions WHERE (user_id, token_hash) IN (
             SELECT user_id, token_hash FROM {rows} AS r)",
    )
});

const FIND: &str = concat!(
    "SELECT sessions.*, ",
    user_columns!(),
    " FROM sessions
     JOIN users ON users.id = sessions.user_id
     WHERE sessions.token_hash = $1 AND sessions.expires_at > $2"
);

const TOUCH: &str = "UPDATE sessions SET last_seen_at = $3
     WHERE user_id = $1 AND id = $2 AND last_seen_at < $3";

const LIST: &str = "SELECT * FROM sessions WHERE user_id = $1 AND expires_at > $2
     ORDER BY last_seen_at DESC, id DESC";

const END: &str = "DELETE FROM sessions WHERE user_id = $1 AND id = $2";

/// The nil id is that of no session.
const END_OTHERS: &str = "DELETE FROM sessions WHERE user_id = $1 AND id <> $2";

const FORGET: &str = "DELETE FROM sessions WHERE expires_at <= $1 OR last_seen_at <= $2";

#[async_trait]
impl SessionStore for Store {
    async fn create_session(
        &self,
        session: Session,
        token_hash: &str,
        replaces: Option<&str>,
        by: By,
    ) -> Result<(), StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        if let Some(replaced) = replaces {
            let row = json!({ "user_id": Id(session.user_id.0), "token_hash": replaced });
            transaction.execute(&REPLACE, &[row]).await?;
        }
        let row = json!({
            "user_id": Id(session.user_id.0),
            "id": Id(session.id.0),
            "token_hash": token_hash,
            "user_agent": session.user_agent,
            "created_at": Time(session.created_at),
            "last_seen_at": Time(session.last_seen_at),
            "expires_at": Time(session.expires_at),
        });
        transaction.write("sessions", &INSERT, &[row]).await?;
        let deed = Deed::new("auth", "signin", "Signed in");
        activities::record_personal(&mut transaction, session.user_id, by, &deed).await?;
        transaction.commit().await
    }

    async fn find_session(
        &self,
        token_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<(Session, User)>, StoreError> {
        let row: Option<FoundRow> = on!(&self.db, pool => {
            sqlx::query_as(FIND).bind(token_hash).bind(now).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(|row| Ok((row.session.into(), row.user.try_into()?))).transpose()
    }

    async fn touch_session(
        &self,
        user_id: UserId,
        id: SessionId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        in_turn!(&self.db, pool => {
            let query = sqlx::query(TOUCH).bind(user_id.0).bind(id.0).bind(at);
            query.execute(pool).await.map(|_| ())
        })
        .map_err(database)
    }

    async fn list_sessions(
        &self,
        user_id: UserId,
        now: DateTime<Utc>,
    ) -> Result<Vec<Session>, StoreError> {
        let rows: Vec<SessionRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST).bind(user_id.0).bind(now).fetch_all(pool).await
        })
        .map_err(database)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn end_session(&self, user_id: UserId, id: SessionId) -> Result<bool, StoreError> {
        in_turn!(&self.db, pool => {
            let query = sqlx::query(END).bind(user_id.0).bind(id.0);
            query.execute(pool).await.map(|done| done.rows_affected() > 0)
        })
        .map_err(database)
    }

    async fn end_other_sessions(
        &self,
        user_id: UserId,
        keep: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        let keep = keep.map_or(Uuid::nil(), |id| id.0);
        in_turn!(&self.db, pool => {
            let query = sqlx::query(END_OTHERS).bind(user_id.0).bind(keep);
            query.execute(pool).await.map(|done| done.rows_affected())
        })
        .map_err(database)
    }

    async fn forget_sessions_any_user(
        &self,
        now: DateTime<Utc>,
        unused_since: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        in_turn!(&self.db, pool => {
            let query = sqlx::query(FORGET).bind(now).bind(unused_since);
            query.execute(pool).await.map(|done| done.rows_affected())
        })
        .map_err(database)
    }
}

#[derive(Debug, sqlx::FromRow)]
struct SessionRow {
    user_id: Uuid,
    id: Uuid,
    user_agent: Option<String>,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            user_id: UserId(row.user_id),
            id: SessionId(row.id),
            user_agent: row.user_agent,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
        }
    }
}

#[derive(Debug, sqlx::FromRow)]
struct FoundRow {
    #[sqlx(flatten)]
    session: SessionRow,
    #[sqlx(flatten)]
    user: UserRow,
}
