//! Mail that waits to be sent.

use std::sync::LazyLock;

use actors::id::MailId;
use actors::mail::{Mail, NewMail, OwnerMail, QueuedMail};
use actors::ports::StoreError;
use actors::ports::mails::{MailOutcome, MailStore};
use actors::user::Email;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::secrets::PurposeKey;
use crate::store::rowset::{Id, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, database, in_turn, on};

/// Characters of an error that are kept.
const ERROR_MAX: usize = 500;

static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("id", Kind::Id),
            ("account_id", Kind::Id),
            ("recipient", Kind::Text),
            ("kind", Kind::Text),
            ("sealed", Kind::Text),
            ("at", Kind::Time),
        ],
        "INSERT INTO mails (
             id, account_id, recipient, kind, sealed, status, tries, next_try_at, created_at)
         SELECT id, account_id, recipient, kind, sealed, 'pending', 0, at, at
         FROM {rows} AS r",
    )
});

/// To the primary owners of accounts; as many rows as have one.
pub(crate) static INSERT_FOR_OWNERS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("id", Kind::Id),
            ("account_id", Kind::Id),
            ("kind", Kind::Text),
            ("sealed", Kind::Text),
            ("at", Kind::Time),
        ],
        "INSERT INTO mails (
             id, account_id, recipient, kind, sealed, status, tries, next_try_at, created_at)
         SELECT r.id, r.account_id, users.email, r.kind, r.sealed, 'pending', 0, r.at, r.at
         FROM {rows} AS r
         JOIN accounts ON accounts.id = r.account_id
         JOIN users ON users.id = accounts.primary_owner_id",
    )
});

/// Of two that take mail at once, one finds that its row has moved.
const TAKE: &str = "UPDATE mails SET next_try_at = $2, tries = tries + 1
     WHERE status = 'pending' AND next_try_at <= $1 AND id = (
         SELECT id FROM mails WHERE next_try_at <= $1 ORDER BY next_try_at, id LIMIT 1)
     RETURNING id, recipient, sealed, tries, created_at, (
         SELECT name FROM accounts WHERE accounts.id = mails.account_id) AS account_name";

const FINISH: &str = "UPDATE mails SET
         status = $2,
         finished_at = $3,
         last_error = $4,
         next_try_at = NULL,
         sealed = NULL
     WHERE id = $1 AND status = 'pending'";

const AGAIN: &str = "UPDATE mails SET next_try_at = $2, last_error = $3
     WHERE id = $1 AND status = 'pending'";

const FORGET: &str = "DELETE FROM mails WHERE finished_at <= $1";

const LIST_SEALED: &str = "SELECT id, sealed FROM mails WHERE status = 'pending'";
const RESEAL: &str = "UPDATE mails SET sealed = $2 WHERE id = $1 AND status = 'pending'";

#[async_trait]
impl MailStore for Store {
    async fn post_mail(&self, mail: NewMail) -> Result<(), StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        self.post(&mut transaction, &mail).await?;
        transaction.commit().await
    }

    async fn take_mail(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<QueuedMail>, StoreError> {
        let row: Option<MailRow> = in_turn!(&self.db, pool => {
            sqlx::query_as(TAKE).bind(now).bind(until).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(|row| row.open(&self.mail_key)).transpose()
    }

    async fn finish_mail(
        &self,
        id: MailId,
        outcome: &MailOutcome,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let short = |error: &str| error.chars().take(ERROR_MAX).collect::<String>();
        let (status, error) = match outcome {
            MailOutcome::Sent => ("sent", None),
            MailOutcome::Failed { error } => ("failed", Some(short(error))),
            MailOutcome::Again { at, error } => {
                return in_turn!(&self.db, pool => {
                    let query = sqlx::query(AGAIN).bind(id.0).bind(at).bind(short(error));
                    query.execute(pool).await.map(|_| ())
                })
                .map_err(database);
            }
        };
        in_turn!(&self.db, pool => {
            let query = sqlx::query(FINISH).bind(id.0).bind(status).bind(at).bind(&error);
            query.execute(pool).await.map(|_| ())
        })
        .map_err(database)
    }

    async fn forget_mails(&self, finished_before: DateTime<Utc>) -> Result<u64, StoreError> {
        in_turn!(&self.db, pool => {
            let query = sqlx::query(FORGET).bind(finished_before);
            query.execute(pool).await.map(|done| done.rows_affected())
        })
        .map_err(database)
    }
}

impl Store {
    /// Puts a mail into the outbox as part of a unit.
    pub(crate) async fn post(
        &self,
        transaction: &mut WriteTransaction<'_>,
        mail: &NewMail,
    ) -> Result<(), StoreError> {
        let row = json!({
            "id": Id(mail.id.0),
            "account_id": mail.account_id.map(|id| Id(id.0)),
            "recipient": mail.to.as_str(),
            "kind": mail.mail.kind(),
            "sealed": seal(&self.mail_key, mail.id, &mail.mail),
            "at": Time(mail.at),
        });
        transaction.write("mails", &INSERT, &[row]).await
    }

    /// Seals what waits anew, after the master key has changed.
    ///
    /// # Errors
    /// [`StoreError`]; what was done stays done, and can be done again.
    pub async fn reseal_mails(&self) -> Result<u64, StoreError> {
        let rows: Vec<(Uuid, String)> = on!(&self.db, pool => {
            sqlx::query_as(LIST_SEALED).fetch_all(pool).await
        })
        .map_err(database)?;
        let mut resealed = 0;
        for (id, sealed) in rows {
            let mail = open(&self.mail_key, id, &sealed)?;
            let sealed = seal(&self.mail_key, MailId(id), &mail);
            resealed += in_turn!(&self.db, pool => {
                let query = sqlx::query(RESEAL).bind(id).bind(&sealed);
                query.execute(pool).await.map(|done| done.rows_affected())
            })
            .map_err(database)?;
        }
        Ok(resealed)
    }
}

/// A mail for a primary owner as a row.
pub(crate) fn owner_mail_out(mail: &OwnerMail, key: &PurposeKey) -> Value {
    json!({
        "id": Id(mail.id.0),
        "account_id": Id(mail.account_id.0),
        "kind": mail.mail.kind(),
        "sealed": seal(key, mail.id, &mail.mail),
        "at": Time(mail.at),
    })
}

fn seal(key: &PurposeKey, id: MailId, mail: &Mail) -> String {
    let text = serde_json::to_string(mail).expect("a mail is plain text");
    key.seal(id.0.as_bytes(), text.as_bytes())
}

fn open(key: &PurposeKey, id: Uuid, sealed: &str) -> Result<Mail, StoreError> {
    let corrupt = || StoreError::Corrupt(format!("mail {id}"));
    let text = key.open(id.as_bytes(), sealed).map_err(|_| corrupt())?;
    serde_json::from_slice(text.expose_secret()).map_err(|_| corrupt())
}

#[derive(Debug, sqlx::FromRow)]
struct MailRow {
    id: Uuid,
    recipient: String,
    sealed: String,
    tries: i64,
    created_at: DateTime<Utc>,
    account_name: Option<String>,
}

impl MailRow {
    fn open(self, key: &PurposeKey) -> Result<QueuedMail, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("mail {}", self.id));
        Ok(QueuedMail {
            id: MailId(self.id),
            to: Email::parse(&self.recipient).map_err(|_| corrupt())?,
            mail: open(key, self.id, &self.sealed)?,
            tries: u32::try_from(self.tries).map_err(|_| corrupt())?,
            account_name: self.account_name,
            created_at: self.created_at,
        })
    }
}
