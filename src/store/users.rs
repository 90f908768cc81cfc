//! People who sign in.

use std::sync::LazyLock;

use actors::account::AccountKind;
use actors::activity::{By, Deed};
use actors::id::{AccountId, TokenId, UserId};
use actors::mail::NewMail;
use actors::operator::{Act, NewOperatorAction, Subject};
use actors::ports::StoreError;
use actors::ports::people::{Login, NewPerson, PasswordChange, UserRefusal, UserStore};
use actors::user::{Email, OneTimeToken, Purpose, User};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::store::rowset::{Id, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;
use crate::store::{
    Store, accounts, activities, database, is_unique_violation, members, on, operator, removal,
    tokens,
};

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

static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("id", Kind::Id),
            ("email", Kind::Text),
            ("name", Kind::Text),
            ("password_hash", Kind::Text),
            ("operator", Kind::Bool),
            ("created_at", Kind::Time),
        ],
        "INSERT INTO users (id, email, name, password_hash, operator, created_at)
         SELECT id, email, name, password_hash, operator, created_at FROM {rows} AS r",
    )
});

const ID: [(&str, Kind); 1] = [("user_id", Kind::Id)];

/// Reads and locks a person and every operator, in one order, so that two who step down at once
/// wait for each other and not for ever. Others may refer to the rows meanwhile.
static LOCK: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &ID,
        "SELECT stored.id, stored.operator FROM {rows} AS r
         JOIN users AS stored ON stored.id = r.user_id OR stored.operator
         ORDER BY stored.id
         {for update}",
    )
});

static OWNED_TEAMS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &ID,
        "SELECT accounts.id, accounts.kind FROM {rows} AS r
         JOIN accounts ON accounts.primary_owner_id = r.user_id AND accounts.deleted_at IS NULL",
    )
});

static RENAME: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("user_id", Kind::Id), ("name", Kind::Text)],
        "UPDATE users SET name = r.name FROM {rows} AS r WHERE users.id = r.user_id",
    )
});

static RENAME_PERSONAL: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("user_id", Kind::Id), ("name", Kind::Text)],
        "UPDATE accounts SET name = r.name FROM {rows} AS r
         WHERE accounts.primary_owner_id = r.user_id
           AND accounts.kind = 'personal' AND accounts.deleted_at IS NULL",
    )
});

static SET_EMAIL: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("user_id", Kind::Id), ("email", Kind::Text)],
        "UPDATE users SET email = r.email FROM {rows} AS r WHERE users.id = r.user_id",
    )
});

static SET_PERSONAL_EMAIL: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("user_id", Kind::Id), ("email", Kind::Text)],
        "UPDATE accounts SET email = r.email FROM {rows} AS r
         WHERE accounts.primary_owner_id = r.user_id
           AND accounts.kind = 'personal' AND accounts.deleted_at IS NULL",
    )
});

static SET_PASSWORD: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("user_id", Kind::Id), ("hash", Kind::Text)],
        "UPDATE users SET password_hash = r.hash FROM {rows} AS r WHERE users.id = r.user_id",
    )
});

/// The nil id is that of no session.
static END_SESSIONS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("user_id", Kind::Id), ("keep", Kind::Id)],
        "DELETE FROM sessions WHERE EXISTS (
             SELECT 1 FROM {rows} AS r
             WHERE sessions.user_id = r.user_id AND sessions.id <> r.keep)",
    )
});

static SET_OPERATOR: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("user_id", Kind::Id), ("operator", Kind::Bool)],
        "UPDATE users SET operator = r.operator FROM {rows} AS r WHERE users.id = r.user_id",
    )
});

/// Sessions, tokens and memberships go with it, by the foreign keys.
static DELETE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(&ID, "DELETE FROM users WHERE id IN (SELECT user_id FROM {rows} AS r)")
});

/// Gives the oldest account its first owner.
static CLAIM: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("user_id", Kind::Id), ("name", Kind::Text), ("email", Kind::Text)],
        "UPDATE accounts SET primary_owner_id = r.user_id, name = r.name, email = r.email
         FROM {rows} AS r
         WHERE accounts.id = (SELECT id FROM accounts ORDER BY id LIMIT 1)
           AND accounts.kind = 'personal'
           AND accounts.primary_owner_id IS NULL
           AND accounts.deleted_at IS NULL",
    )
});

const ANY: &str = "SELECT EXISTS (SELECT 1 FROM users)";

/// There is no row to lock yet. SQLite has one writer at a time and needs no such thing.
const LOCK_ALL_POSTGRES: &str = "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE";

const FIND: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE users.id = $1");

const FIND_LOGIN: &str =
    concat!("SELECT ", user_columns!(), ", password_hash FROM users WHERE users.email = $1");

/// Ids are made in time order, so this is oldest first. The nil id is before every other.
const LIST: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users WHERE users.id > $1 ORDER BY users.id LIMIT $2"
);

#[async_trait]
impl UserStore for Store {
    async fn has_users(&self) -> Result<bool, StoreError> {
        on!(&self.db, pool => sqlx::query_scalar(ANY).fetch_one(pool).await).map_err(database)
    }

    async fn create_first_owner(
        &self,
        person: NewPerson,
        by: By,
    ) -> Result<Result<(), UserRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        if any_for_good(&mut transaction).await.map_err(database)? {
            return Ok(Err(UserRefusal::NotFirst));
        }
        insert(&mut transaction, &person).await?;
        let user = &person.user;
        let claim = json!({
            "user_id": Id(user.id.0),
            "name": user.name,
            "email": user.email.as_str(),
        });
        if transaction.execute(&CLAIM, &[claim]).await? == 0 {
            accounts::insert(&mut transaction, person.account.clone(), Some(person.grant)).await?;
            members::own(&mut transaction, person.account.id, None, user.id).await?;
        }
        let owned: Vec<(Uuid, String)> =
            transaction.fetch(&OWNED_TEAMS, &[json!({ "user_id": Id(user.id.0) })]).await?;
        for (id, _) in owned {
            members::join_as_owner(&mut transaction, AccountId(id), user.id, by.at).await?;
        }
        greet(&mut transaction, user, by).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn create_user(
        &self,
        person: NewPerson,
        by: By,
    ) -> Result<Result<(), UserRefusal>, StoreError> {
        let user = person.user.clone();
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        match insert(&mut transaction, &person).await {
            Ok(()) => {}
            // The only other unique column is a new id.
            Err(error) if is_unique_violation(&error) => return Ok(Err(UserRefusal::EmailTaken)),
            Err(error) => return Err(error),
        }
        let account =
            accounts::insert(&mut transaction, person.account, Some(person.grant)).await?;
        members::own(&mut transaction, account.id, None, user.id).await?;
        members::join_as_owner(&mut transaction, account.id, user.id, by.at).await?;
        greet(&mut transaction, &user, by).await?;
        // Only those who run the server make somebody an operator.
        if user.operator {
            let action = NewOperatorAction {
                act: Act { by, reason: String::new() },
                action: "user.operator_granted",
                subject: Subject::User(user.id),
                was: String::new(),
                became: rank(true).to_owned(),
            };
            operator::record(&mut transaction, &action).await?;
        }
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let row: Option<UserRow> = on!(&self.db, pool => {
            sqlx::query_as(FIND).bind(id.0).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(TryInto::try_into).transpose()
    }

    async fn find_login(&self, email: &Email) -> Result<Option<Login>, StoreError> {
        let row: Option<LoginRow> = on!(&self.db, pool => {
            sqlx::query_as(FIND_LOGIN).bind(email.as_str()).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(|row| Ok(Login { user: row.user.try_into()?, password_hash: row.password_hash }))
            .transpose()
    }

    async fn list_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, StoreError> {
        let after = after.map_or(Uuid::nil(), |id| id.0);
        let rows: Vec<UserRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST).bind(after).bind(i64::from(limit)).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn rename_user(&self, id: UserId, name: &str, by: By) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let row = [json!({ "user_id": Id(id.0), "name": name })];
        if transaction.execute(&RENAME, &row).await? == 0 {
            return Ok(false);
        }
        transaction.execute(&RENAME_PERSONAL, &row).await?;
        let deed = Deed::new("account", "updated", format!("Name changed to {name}"));
        activities::record_personal(&mut transaction, id, by, &deed).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn set_password(
        &self,
        change: PasswordChange,
    ) -> Result<Result<(), UserRefusal>, StoreError> {
        let (user_id, at) = (change.user_id, change.mail.at);
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        if let Some(token) = change.token
            && !tokens::spend(&mut transaction, user_id, token, at).await?
        {
            return Ok(Err(UserRefusal::TokenSpent));
        }
        let row = json!({ "user_id": Id(user_id.0), "hash": change.hash });
        if transaction.execute(&SET_PASSWORD, &[row]).await? == 0 {
            return Ok(Err(UserRefusal::UnknownUser));
        }
        let keep = change.keep.map_or(Uuid::nil(), |id| id.0);
        let others = json!({ "user_id": Id(user_id.0), "keep": Id(keep) });
        transaction.execute(&END_SESSIONS, &[others]).await?;
        tokens::forget(&mut transaction, user_id, &Purpose::PasswordReset).await?;
        self.post(&mut transaction, &change.mail).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn change_email(
        &self,
        token: &OneTimeToken,
        mail: NewMail,
        by: By,
    ) -> Result<Result<(), UserRefusal>, StoreError> {
        let Purpose::EmailChange(email) = &token.purpose else {
            return Ok(Err(UserRefusal::TokenSpent));
        };
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        if !tokens::spend(&mut transaction, token.user_id, token.id, by.at).await? {
            return Ok(Err(UserRefusal::TokenSpent));
        }
        let row = [json!({ "user_id": Id(token.user_id.0), "email": email.as_str() })];
        match transaction.write("users", &SET_EMAIL, &row).await {
            Ok(()) => {}
            Err(error) if is_unique_violation(&error) => return Ok(Err(UserRefusal::EmailTaken)),
            Err(error) => return Err(error),
        }
        transaction.execute(&SET_PERSONAL_EMAIL, &row).await?;
        // A link that somebody else may have been sent to the address before.
        tokens::forget(&mut transaction, token.user_id, &Purpose::PasswordReset).await?;
        self.post(&mut transaction, &mail).await?;
        let deed = Deed::new("account", "updated", format!("E-mail changed to {email}"));
        activities::record_personal(&mut transaction, token.user_id, by, &deed).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn set_operator(
        &self,
        id: UserId,
        operator: bool,
        act: Act,
    ) -> Result<Result<(), UserRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let was = match may_lose_operator(&mut transaction, id, !operator).await? {
            Err(refusal) => return Ok(Err(refusal)),
            Ok(was) if was == operator => return Ok(Ok(())),
            Ok(was) => was,
        };
        let row = json!({ "user_id": Id(id.0), "operator": operator });
        transaction.write("users", &SET_OPERATOR, &[row]).await?;
        let action = NewOperatorAction {
            act,
            action: if operator { "user.operator_granted" } else { "user.operator_revoked" },
            subject: Subject::User(id),
            was: rank(was).to_owned(),
            became: rank(operator).to_owned(),
        };
        operator::record(&mut transaction, &action).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn end_sessions(&self, id: UserId, act: Act) -> Result<Option<u64>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        if may_lose_operator(&mut transaction, id, false).await?.is_err() {
            return Ok(None);
        }
        let all = json!({ "user_id": Id(id.0), "keep": Id(Uuid::nil()) });
        let ended = transaction.execute(&END_SESSIONS, &[all]).await?;
        let action = NewOperatorAction {
            act,
            action: "user.sessions_ended",
            subject: Subject::User(id),
            was: ended.to_string(),
            became: "0".to_owned(),
        };
        operator::record(&mut transaction, &action).await?;
        transaction.commit().await?;
        Ok(Some(ended))
    }

    async fn delete_user(
        &self,
        id: UserId,
        code: TokenId,
        at: DateTime<Utc>,
    ) -> Result<Result<(), UserRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        if let Err(refusal) = may_lose_operator(&mut transaction, id, true).await? {
            return Ok(Err(refusal));
        }
        if !tokens::spend(&mut transaction, id, code, at).await? {
            return Ok(Err(UserRefusal::TokenSpent));
        }
        let row = [json!({ "user_id": Id(id.0) })];
        let owned: Vec<(Uuid, String)> = transaction.fetch(&OWNED_TEAMS, &row).await?;
        for (account_id, kind) in owned {
            if kind != AccountKind::Personal.as_str() {
                return Ok(Err(UserRefusal::OwnsTeams));
            }
            removal::begin(&mut transaction, AccountId(account_id), at).await?;
        }
        transaction.write("users", &DELETE, &row).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }
}

async fn insert(
    transaction: &mut WriteTransaction<'_>,
    person: &NewPerson,
) -> Result<(), StoreError> {
    let user = &person.user;
    let row = json!({
        "id": Id(user.id.0),
        "email": user.email.as_str(),
        "name": user.name,
        "password_hash": person.password_hash,
        "operator": user.operator,
        "created_at": Time(user.created_at),
    });
    transaction.write("users", &INSERT, &[row]).await
}

async fn greet(
    transaction: &mut WriteTransaction<'_>,
    user: &User,
    by: By,
) -> Result<(), StoreError> {
    let deed = Deed::new("auth", "signup", format!("{} signed up", user.email));
    activities::record_personal(transaction, user.id, by, &deed).await
}

/// Whether somebody runs the server, in a word.
fn rank(operator: bool) -> &'static str {
    if operator { "operator" } else { "user" }
}

/// Whether this person is an operator; refused when there is no such person, or when he is to be
/// none any more and no other one is.
async fn may_lose_operator(
    transaction: &mut WriteTransaction<'_>,
    id: UserId,
    loses: bool,
) -> Result<Result<bool, UserRefusal>, StoreError> {
    let row = [json!({ "user_id": Id(id.0) })];
    let found: Vec<(Uuid, bool)> = transaction.fetch(&LOCK, &row).await?;
    let (this, others): (Vec<_>, Vec<_>) = found.iter().partition(|(found, _)| *found == id.0);
    let Some((_, operator)) = this.first() else { return Ok(Err(UserRefusal::UnknownUser)) };
    if *operator && loses && others.is_empty() {
        return Ok(Err(UserRefusal::LastOperator));
    }
    Ok(Ok(*operator))
}

/// Whether there is a person, with the answer staying true until the transaction ends.
async fn any_for_good(transaction: &mut WriteTransaction<'_>) -> Result<bool, sqlx::Error> {
    match transaction {
        WriteTransaction::Sqlite(transaction, _) => {
            sqlx::query_scalar(ANY).fetch_one(&mut **transaction).await
        }
        WriteTransaction::Postgres(transaction) => {
            sqlx::query(LOCK_ALL_POSTGRES).execute(&mut **transaction).await?;
            sqlx::query_scalar(ANY).fetch_one(&mut **transaction).await
        }
    }
}

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

#[derive(Debug, sqlx::FromRow)]
struct LoginRow {
    #[sqlx(flatten)]
    user: UserRow,
    password_hash: Option<String>,
}
