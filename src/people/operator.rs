//! What whoever runs the server does from the command line.

use actors::operator::{Act, NewOperatorAction, Subject};
use actors::ports::operator::OperatorStore;
use actors::ports::people::{TokenStore, UserStore};
use actors::user::{Email, User};
use chrono::{DateTime, TimeDelta, Utc};

use super::passwords::reset_token;
use super::{PeopleError, email, links, name, new_person};
use crate::identity::Context;
use crate::secrets::token_hash;

/// A user to be made, who chooses a password by a link.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: String,
    pub name: String,
    pub operator: bool,
}

/// A link to choose a password.
#[derive(Debug, Clone)]
pub struct ResetLink {
    pub user: User,
    /// Below the address of the server.
    pub path: String,
    pub expires_at: DateTime<Utc>,
}

/// Makes a user with a personal account and the welcome credit.
///
/// # Errors
/// [`PeopleError`].
pub async fn create_user(context: &Context, new: NewUser) -> Result<ResetLink, PeopleError> {
    let (address, name) = (email("email", &new.email)?, name(&new.name)?);
    let person = new_person(context, address, name, None, new.operator);
    let user = person.user.clone();
    context.store.create_user(person, context.by()).await??;
    link_for(context, user).await
}

/// Makes a link to choose a new password, in place of earlier ones.
///
/// # Errors
/// [`PeopleError`].
pub async fn reset_link(context: &Context, address: &Email) -> Result<ResetLink, PeopleError> {
    let login = context.store.find_login(address).await?;
    let login = login.ok_or(actors::ports::people::UserRefusal::UnknownUser)?;
    link_for(context, login.user).await
}

async fn link_for(context: &Context, user: User) -> Result<ResetLink, PeopleError> {
    let token = links::token();
    let reset = reset_token(context, &user);
    let expires_at = reset.expires_at;
    // Whoever is at the command line need not wait between two.
    let not_since = reset.created_at + TimeDelta::days(1);
    context.store.create_token(reset, &token_hash(&token), 1, None, not_since).await?;
    // Whoever has it is that person, so nobody is given one that is not written down.
    let action = NewOperatorAction {
        act: Act { by: context.by(), reason: String::new() },
        action: "user.reset_link_made",
        subject: Subject::User(user.id),
        was: String::new(),
        became: format!("good until {}", expires_at.format("%F %H:%M UTC")),
    };
    context.store.record_action(action).await?;
    Ok(ResetLink { user, path: format!("/password/reset/{token}"), expires_at })
}
