//! People who sign in.

use actors::id::UserId;
use actors::ports::StoreError;
use actors::user::{Email, User};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The columns of a [`UserRow`], for a table called `users`.
macro_rules! user_columns {
    () => {
        "users.id AS user_id,
         users.email AS user_email,
         users.name AS user_name,
         users.operator AS user_operator,
         users.created_at AS user_created_at"
    };
}
pub(crate) use user_columns;

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct UserRow {
    user_id: Uuid,
    user_email: String,
    user_name: String,
    user_operator: bool,
    user_created_at: DateTime<Utc>,
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let corrupt = |_| StoreError::Corrupt(format!("user {}", row.user_id));
        Ok(Self {
            id: UserId(row.user_id),
            email: Email::parse(&row.user_email).map_err(corrupt)?,
            name: row.user_name,
            operator: row.user_operator,
            created_at: row.user_created_at,
        })
    }
}
