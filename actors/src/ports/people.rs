//! People, and the browsers in which they are signed in.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::account::Account;
use crate::activity::By;
use crate::id::{AccountId, SessionId, TokenId, UserId};
use crate::mail::NewMail;
use crate::operator::Act;
use crate::ports::{Grant, StoreError};
use crate::user::{Email, OneTimeToken, Purpose, Session, User};

/// Signed-in browsers. A token is only known by its hash.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Writes a new one, in place of `replaces` if that is one of this person's.
    async fn create_session(
        &self,
        session: Session,
        token_hash: &str,
        replaces: Option<&str>,
        by: By,
    ) -> Result<(), StoreError>;

    /// The session that has not ended at that time, and who it is.
    async fn find_session(
        &self,
        token_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<(Session, User)>, StoreError>;

    /// Notes that it was used.
    async fn touch_session(
        &self,
        user_id: UserId,
        id: SessionId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Those of a person that have not ended, the last used one first.
    async fn list_sessions(
        &self,
        user_id: UserId,
        now: DateTime<Utc>,
    ) -> Result<Vec<Session>, StoreError>;

    /// Ends one. Answers whether it was there.
    async fn end_session(&self, user_id: UserId, id: SessionId) -> Result<bool, StoreError>;

    /// Ends all of a person but this one, and answers how many.
    async fn end_other_sessions(
        &self,
        user_id: UserId,
        keep: Option<SessionId>,
    ) -> Result<u64, StoreError>;

    /// Removes those that ended before that time, or were last used before the other one.
    async fn forget_sessions_any_user(
        &self,
        now: DateTime<Utc>,
        unused_since: DateTime<Utc>,
    ) -> Result<u64, StoreError>;
}

/// A person to be written, with a personal account and the welcome credit.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// Who.
    pub user: User,
    /// bcrypt of the password, if there is one yet.
    pub password_hash: Option<String>,
    /// The personal account, whose balance is zero.
    pub account: Account,
    /// The welcome credit.
    pub grant: Grant,
}

/// What it takes to check a password.
#[derive(Debug, Clone)]
pub struct Login {
    /// Who.
    pub user: User,
    /// bcrypt of the password, if there is one.
    pub password_hash: Option<String>,
}

/// A new password on its way into the database.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    /// Whose.
    pub user_id: UserId,
    /// bcrypt of it.
    pub hash: String,
    /// The browser that stays signed in; all others do not.
    pub keep: Option<SessionId>,
    /// The token that allows it, which is used up.
    pub token: Option<TokenId>,
    /// Tells the person.
    pub mail: NewMail,
}

/// Why a person was not made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserRefusal {
    /// Somebody has the address.
    #[error("this address already has an account")]
    EmailTaken,
    /// There is a first owner already.
    #[error("this server has an owner already")]
    NotFirst,
    /// No such person.
    #[error("no such user")]
    UnknownUser,
    /// The token or code was used, or its time is over.
    #[error("this link or code has expired, or was used")]
    TokenSpent,
    /// Somebody has to run the server.
    #[error("this is the last operator of the server")]
    LastOperator,
    /// Teams must not be left without a primary owner.
    #[error("transfer or delete the teams that this user is the primary owner of first")]
    OwnsTeams,
}

/// People.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Whether there is anybody.
    async fn has_users(&self) -> Result<bool, StoreError>;

    /// Writes the very first person, who runs the server. The oldest account becomes the personal
    /// one, if it is of that kind and nobody's; otherwise a new one is made. Of several that do
    /// this at once, one does it.
    async fn create_first_owner(
        &self,
        person: NewPerson,
        by: By,
    ) -> Result<Result<(), UserRefusal>, StoreError>;

    /// Writes a person.
    async fn create_user(
        &self,
        person: NewPerson,
        by: By,
    ) -> Result<Result<(), UserRefusal>, StoreError>;

    /// Reads one.
    async fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// Reads what it takes to check a password.
    async fn find_login(&self, email: &Email) -> Result<Option<Login>, StoreError>;

    /// A page of all people, oldest first, after the last one of the page before.
    async fn list_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, StoreError>;

    /// Changes the name of a person and of the personal account. Answers whether there is one.
    async fn rename_user(&self, id: UserId, name: &str, by: By) -> Result<bool, StoreError>;

    /// Changes a password, ends other sessions, and uses every reset link up.
    async fn set_password(
        &self,
        change: PasswordChange,
    ) -> Result<Result<(), UserRefusal>, StoreError>;

    /// Changes the address of a person and of the personal account to that of the token, which is
    /// used up.
    async fn change_email(
        &self,
        token: &OneTimeToken,
        mail: NewMail,
        by: By,
    ) -> Result<Result<(), UserRefusal>, StoreError>;

    /// Makes somebody an operator, or no longer.
    async fn set_operator(
        &self,
        id: UserId,
        operator: bool,
        act: Act,
    ) -> Result<Result<(), UserRefusal>, StoreError>;

    /// Ends every session of a person, and answers how many there were; `None` when there is no
    /// such person.
    async fn end_sessions(&self, id: UserId, act: Act) -> Result<Option<u64>, StoreError>;

    /// Removes a person, whose personal account is deleted; the code is used up.
    async fn delete_user(
        &self,
        id: UserId,
        code: TokenId,
        at: DateTime<Utc>,
    ) -> Result<Result<(), UserRefusal>, StoreError>;
}

/// What can be done once.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Writes a token or code and its mail, in place of earlier ones for the same. Answers false,
    /// and does nothing, when an earlier one was made after `not_since`.
    async fn create_token(
        &self,
        token: OneTimeToken,
        token_hash: &str,
        tries: u32,
        mail: Option<NewMail>,
        not_since: DateTime<Utc>,
    ) -> Result<bool, StoreError>;

    /// The token of a link, while it can be used.
    async fn find_token(
        &self,
        token_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<OneTimeToken>, StoreError>;

    /// The hash of the code that somebody was sent for this, while it can be tried; one try of
    /// it is used up.
    async fn try_code(
        &self,
        user_id: UserId,
        purpose: &Purpose,
        now: DateTime<Utc>,
    ) -> Result<Option<(TokenId, String)>, StoreError>;

    /// Removes those whose time is over.
    async fn forget_tokens_any_user(&self, now: DateTime<Utc>) -> Result<u64, StoreError>;
}

/// Accounts that were deleted and of which something may be left.
#[async_trait]
pub trait RemovalStore: Send + Sync {
    /// Accounts that were deleted before that time and still have something.
    async fn list_removals_any_account(
        &self,
        deleted_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<AccountId>, StoreError>;

    /// Removes what is left of an account without generations, but its row and its ledger.
    async fn finish_removal(
        &self,
        account_id: AccountId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;
}
