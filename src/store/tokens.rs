//! What can be done once.

use std::sync::LazyLock;

use actors::id::{AccountId, TokenId, UserId};
use actors::mail::NewMail;
use actors::ports::StoreError;
use actors::ports::people::TokenStore;
use actors::user::{Email, OneTimeToken, Purpose};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::rowset::{Id, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, database, in_turn, on};

static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("user_id", Kind::Id),
            ("id", Kind::Id),
            ("purpose", Kind::Text),
            ("account_id", Kind::Id),
            ("token_hash", Kind::Text),
            ("email", Kind::Text),
            ("tries_left", Kind::Int),
            ("created_at", Kind::Time),
            ("expires_at", Kind::Time),
        ],
        "INSERT INTO one_time_tokens (
             user_id, id, purpose, account_id, token_hash, email, tries_left, created_at, expires_at)
         SELECT
             user_id, id, purpose, account_id, token_hash, email, tries_left, created_at, expires_at
         FROM {rows} AS r",
    )
});

/// The columns of what [`same`] makes.
const SAME: [(&str, Kind); 3] =
    [("user_id", Kind::Id), ("purpose", Kind::Text), ("account_id", Kind::Id)];

static NEWEST: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &SAME,
        "SELECT stored.created_at FROM {rows} AS r
         JOIN one_time_tokens AS stored
           ON stored.user_id = r.user_id AND stored.purpose = r.purpose
          AND stored.account_id IS NOT DISTINCT FROM r.account_id
         ORDER BY stored.created_at DESC LIMIT 1",
    )
});

static REPLACE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &SAME,
        "DELETE FROM one_time_tokens WHERE EXISTS (
             SELECT 1 FROM {rows} AS r
             WHERE one_time_tokens.user_id = r.user_id AND one_time_tokens.purpose = r.purpose
               AND one_time_tokens.account_id IS NOT DISTINCT FROM r.account_id)",
    )
});

static SPEND: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("user_id", Kind::Id), ("id", Kind::Id), ("at", Kind::Time)],
        "DELETE FROM one_time_tokens WHERE EXISTS (
             SELECT 1 FROM {rows} AS r
             WHERE one_time_tokens.user_id = r.user_id AND one_time_tokens.id = r.id
               AND one_time_tokens.expires_at > r.at)",
    )
});

const FIND: &str = "SELECT * FROM one_time_tokens WHERE token_hash = $1 AND expires_at > $2";

const TRY: &str = "UPDATE one_time_tokens SET tries_left = tries_left - 1
     WHERE user_id = $1 AND purpose = $2 AND account_id IS NOT DISTINCT FROM $3
       AND expires_at > $4 AND tries_left > 0
     RETURNING id, token_hash";

const FORGET: &str = "DELETE FROM one_time_tokens WHERE expires_at <= $1";

#[async_trait]
impl TokenStore for Store {
    async fn create_token(
        &self,
        token: OneTimeToken,
        token_hash: &str,
        tries: u32,
        mail: Option<NewMail>,
        not_since: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let same = [same(token.user_id, &token.purpose)];
        let newest: Vec<(DateTime<Utc>,)> = transaction.fetch(&NEWEST, &same).await?;
        if newest.first().is_some_and(|(at,)| *at > not_since) {
            return Ok(false);
        }
        transaction.execute(&REPLACE, &same).await?;
        let email = match &token.purpose {
            Purpose::EmailChange(email) => Some(email.as_str()),
            Purpose::PasswordReset
            | Purpose::Transfer(_)
            | Purpose::AccountDeletion(_)
            | Purpose::UserDeletion => None,
        };
        let row = json!({
            "user_id": Id(token.user_id.0),
            "id": Id(token.id.0),
            "purpose": token.purpose.as_str(),
            "account_id": token.purpose.account_id().map(|id| Id(id.0)),
            "token_hash": token_hash,
            "email": email,
            "tries_left": tries,
            "created_at": Time(token.created_at),
            "expires_at": Time(token.expires_at),
        });
        transaction.write("one_time_tokens", &INSERT, &[row]).await?;
        if let Some(mail) = &mail {
            self.post(&mut transaction, mail).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    async fn find_token(
        &self,
        token_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<OneTimeToken>, StoreError> {
        let row: Option<TokenRow> = on!(&self.db, pool => {
            sqlx::query_as(FIND).bind(token_hash).bind(now).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(TryInto::try_into).transpose()
    }

    async fn try_code(
        &self,
        user_id: UserId,
        purpose: &Purpose,
        now: DateTime<Utc>,
    ) -> Result<Option<(TokenId, String)>, StoreError> {
        let account_id = purpose.account_id().map(|id| id.0);
        let row: Option<(Uuid, String)> = in_turn!(&self.db, pool => {
            let query = sqlx::query_as(TRY).bind(user_id.0).bind(purpose.as_str());
            query.bind(account_id).bind(now).fetch_optional(pool).await
        })
        .map_err(database)?;
        Ok(row.map(|(id, hash)| (TokenId(id), hash)))
    }

    async fn forget_tokens_any_user(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        in_turn!(&self.db, pool => {
            let query = sqlx::query(FORGET).bind(now);
            query.execute(pool).await.map(|done| done.rows_affected())
        })
        .map_err(database)
    }
}

/// Uses a token or code up as part of a unit. Answers whether it could be.
pub(crate) async fn spend(
    transaction: &mut WriteTransaction<'_>,
    user_id: UserId,
    id: TokenId,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let row = json!({ "user_id": Id(user_id.0), "id": Id(id.0), "at": Time(at) });
    Ok(transaction.execute(&SPEND, &[row]).await? == 1)
}

/// Uses up all for this purpose as part of a unit.
pub(crate) async fn forget(
    transaction: &mut WriteTransaction<'_>,
    user_id: UserId,
    purpose: &Purpose,
) -> Result<(), StoreError> {
    transaction.execute(&REPLACE, &[same(user_id, purpose)]).await.map(|_| ())
}

fn same(user_id: UserId, purpose: &Purpose) -> Value {
    json!({
        "user_id": Id(user_id.0),
        "purpose": purpose.as_str(),
        "account_id": purpose.account_id().map(|id| Id(id.0)),
    })
}

#[derive(Debug, sqlx::FromRow)]
struct TokenRow {
    user_id: Uuid,
    id: Uuid,
    purpose: String,
    account_id: Option<Uuid>,
    email: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl TryFrom<TokenRow> for OneTimeToken {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("one-time token {}", row.id));
        let account_id = row.account_id.map(AccountId).ok_or_else(corrupt);
        let purpose = match row.purpose.as_str() {
            "password_reset" => Purpose::PasswordReset,
            "email_change" => {
                let email = row.email.as_deref().map(Email::parse);
                Purpose::EmailChange(email.ok_or_else(corrupt)?.map_err(|_| corrupt())?)
            }
            "transfer" => Purpose::Transfer(account_id?),
            "account_deletion" => Purpose::AccountDeletion(account_id?),
            "user_deletion" => Purpose::UserDeletion,
            _ => return Err(corrupt()),
        };
        Ok(Self {
            user_id: UserId(row.user_id),
            id: TokenId(row.id),
            purpose,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}
