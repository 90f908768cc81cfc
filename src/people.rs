//! People and teams: what somebody does in the dashboard, and an operator from the command line.
//!
//! Each function checks what was typed, makes the secrets, and hands one unit of work to the
//! store. A link or code in the clear is in the mail that brings it and nowhere else.

mod codes;
mod export;
mod invitations;
mod links;
mod operator;
mod passwords;
mod profile;
mod sign_up;
mod teams;

use std::sync::Arc;

use actors::account::{Account, AccountKind, Plan, WELCOME_CREDIT_THOUSANDTHS};
use actors::id::{AccountId, MailId, UserId};
use actors::mail::{Mail, NewMail};
use actors::money::Credits;
use actors::ports::people::{NewPerson, UserRefusal};
use actors::ports::teams::TeamRefusal;
use actors::ports::{Grant, StoreError};
use actors::user::{self, Email, User};
use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use crate::auth::throttle::Throttle;
use crate::auth::{Auth, Busy};
use crate::config::PeopleConfig;
use crate::identity::Context;
use crate::secrets::PurposeKey;

pub use self::invitations::Invited;
pub use self::operator::{NewUser, ResetLink, create_user, reset_link};

/// What the functions here work with. One per process.
pub struct People {
    /// Store, clock and ids.
    pub context: Context,
    /// The settings that matter here.
    pub rules: PeopleConfig,
    /// How links to this server begin, without a slash at the end.
    pub url: String,
    /// Hashes passwords.
    pub auth: Arc<Auth>,
    /// Counts wrong ones.
    pub throttle: Throttle,
    /// `Purpose::SignUpLinks`.
    pub sign_up_key: PurposeKey,
    /// `Purpose::FirstOwner`.
    pub first_key: PurposeKey,
    /// `Purpose::MailCodes`.
    pub code_key: PurposeKey,
    /// The hash that a password is compared with when there is no such user, so that it takes as
    /// long.
    pub nobodys_hash: String,
    /// Told when there is mail.
    pub posted: Arc<Notify>,
}

/// Why something was not done. Nothing changed, unless it is [`PeopleError::Store`].
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// A field cannot be taken.
    #[error("{field} {problem}")]
    Invalid {
        /// The name of the field in the form.
        field: &'static str,
        /// Why not.
        problem: String,
    },
    /// There is no such user, or this is not the password: which of it is not said.
    #[error("the address or the password is wrong")]
    WrongPassword,
    /// This is not the code that was sent, or it was tried too often.
    #[error("this code is wrong, or has expired")]
    WrongCode,
    /// Too many wrong passwords.
    #[error("too many tries; wait {retry_after} seconds")]
    TooManyTries {
        /// Seconds until the next one.
        retry_after: u32,
    },
    /// A mail was sent a moment ago.
    #[error("a mail was sent less than a minute ago; wait a moment for the next one")]
    TooSoon,
    /// The link does not work, or not any more.
    #[error("this link has expired, or was used")]
    LinkSpent,
    /// The settings of this server do not allow it.
    #[error("this is turned off on this server")]
    Disabled,
    /// See [`UserRefusal`].
    #[error(transparent)]
    User(#[from] UserRefusal),
    /// See [`TeamRefusal`].
    #[error(transparent)]
    Team(#[from] TeamRefusal),
    /// Too much is being hashed.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The password could not be hashed.
    #[error("cannot hash the password")]
    Hash(#[from] bcrypt::BcryptError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PeopleError {
    /// A field cannot be taken.
    pub(crate) fn invalid(field: &'static str, problem: impl ToString) -> Self {
        Self::Invalid { field, problem: problem.to_string() }
    }
}

impl People {
    fn now(&self) -> DateTime<Utc> {
        self.context.clock.now()
    }

    /// A mail to somebody.
    fn mail(&self, to: &Email, mail: Mail) -> NewMail {
        mail_about(&self.context, to, None, mail)
    }

    /// A mail to somebody about an account.
    fn mail_about(&self, to: &Email, account_id: AccountId, mail: Mail) -> NewMail {
        mail_about(&self.context, to, Some(account_id), mail)
    }

    /// There is mail, so that nobody has to wait until it is looked for.
    fn posted(&self) {
        self.posted.notify_one();
    }
}

fn mail_about(context: &Context, to: &Email, account_id: Option<AccountId>, mail: Mail) -> NewMail {
    let (id, at) = (MailId(context.ids.next()), context.clock.now());
    NewMail { id, account_id, to: to.clone(), mail, at }
}

/// An address as typed into the field of that name.
fn email(field: &'static str, text: &str) -> Result<Email, PeopleError> {
    Email::parse(text).map_err(|problem| PeopleError::invalid(field, problem))
}

/// A name as typed.
fn name(text: &str) -> Result<String, PeopleError> {
    user::name(text).map_err(|problem| PeopleError::invalid("name", problem))
}

/// A person with a personal account and the welcome credit, which each gets once.
fn new_person(
    context: &Context,
    email: Email,
    name: String,
    password_hash: Option<String>,
    operator: bool,
) -> NewPerson {
    let at = context.clock.now();
    let user = User { id: UserId(context.ids.next()), email, name, operator, created_at: at };
    let account = Account {
        id: AccountId(context.ids.next()),
        name: user.name.clone(),
        kind: AccountKind::Personal,
        plan: Plan::Free,
        email: Some(user.email.to_string()),
        balance: Credits::ZERO,
        failover_on_moderation: false,
        suspended_at: None,
        created_at: at,
    };
    let grant = Grant {
        amount: Credits::from_thousandths(WELCOME_CREDIT_THOUSANDTHS)
            .expect("the welcome credit is an amount"),
        key: format!("welcome:user:{}", user.id),
        description: "Welcome credits".to_owned(),
        at,
    };
    NewPerson { user, password_hash, account, grant }
}
