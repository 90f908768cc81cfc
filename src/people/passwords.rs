//! Passwords: checking, changing, and replacing one that was forgotten.

use std::net::IpAddr;
use std::time::Duration;

use actors::id::{SessionId, TokenId};
use actors::mail::Mail;
use actors::ports::people::{PasswordChange, TokenStore, UserStore};
use actors::user::{Email, OneTimeToken, Password, Purpose, User};
use chrono::TimeDelta;
use tokio::time::{Instant, sleep_until};

use super::codes::PAUSE;
use super::{People, PeopleError, email, links};
use crate::secrets::token_hash;

/// How long a reset link can be used.
pub(super) const LINK_LASTS: TimeDelta = TimeDelta::hours(1);
/// What an answer takes that must not tell whether there is such a user: longer than writing a
/// mail down, or not.
const SAME_TIME: Duration = Duration::from_millis(300);

impl People {
    /// Whose address and password these are.
    ///
    /// # Errors
    /// [`PeopleError::WrongPassword`] after the same work whatever is wrong with them, and
    /// [`PeopleError::TooManyTries`] without any.
    pub async fn sign_in(
        &self,
        address: &str,
        password: &str,
        client: IpAddr,
    ) -> Result<User, PeopleError> {
        let Ok(address) = Email::parse(address) else { return Err(PeopleError::WrongPassword) };
        self.check(&address, password, client).await
    }

    /// That whoever is signed in knows the password too.
    async fn check(
        &self,
        address: &Email,
        password: &str,
        client: IpAddr,
    ) -> Result<User, PeopleError> {
        if let Some(retry_after) = self.throttle.blocked(client, address, self.now()) {
            return Err(PeopleError::TooManyTries { retry_after });
        }
        let login = self.context.store.find_login(address).await?;
        let hash = login.as_ref().and_then(|login| login.password_hash.clone());
        let (known, hash) = (hash.is_some(), hash.unwrap_or_else(|| self.nobodys_hash.clone()));
        let password = password.to_owned();
        let matches = self.auth.hash(move || matches(&password, &hash)).await?;
        match login {
            Some(login) if matches && known => Ok(login.user),
            Some(_) | None => {
                self.throttle.failed(client, address, self.now());
                Err(PeopleError::WrongPassword)
            }
        }
    }

    /// Changes the password of whoever knows the one before. Every other browser is signed out.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn change_password(
        &self,
        user: &User,
        keep: SessionId,
        current: &str,
        new: &str,
        client: IpAddr,
    ) -> Result<(), PeopleError> {
        // Asked first: what is wrong with it is said at once, and costs no try.
        let new = self.password("password", new, &user.name, &user.email)?;
        match self.check(&user.email, current, client).await {
            Err(PeopleError::WrongPassword) => {
                return Err(PeopleError::invalid("current", "is not your password"));
            }
            checked => drop(checked?),
        }
        self.set_password(user, new, Some(keep), None).await
    }

    /// Sends a link to choose a new password, if there is such a user. Takes the same time
    /// whether or not.
    ///
    /// # Errors
    /// [`PeopleError::Invalid`] for what is no address.
    pub async fn request_reset(&self, address: &str) -> Result<(), PeopleError> {
        let end = Instant::now() + SAME_TIME;
        let address = email("email", address)?;
        let sent = self.send_reset(&address).await;
        sleep_until(end).await;
        sent
    }

    async fn send_reset(&self, address: &Email) -> Result<(), PeopleError> {
        let Some(login) = self.context.store.find_login(address).await? else { return Ok(()) };
        let (token, now) = (links::token(), self.now());
        let reset = reset_token(&self.context, &login.user);
        let link = format!("{}/password/reset/{token}", self.url);
        let mail = Some(self.mail(address, Mail::PasswordReset { link }));
        // Asking again and again sends no more mails: that is nothing to be told of either.
        let store = &self.context.store;
        store.create_token(reset, &token_hash(&token), 1, mail, now - PAUSE).await?;
        self.posted();
        Ok(())
    }

    /// Whose password a link changes.
    ///
    /// # Errors
    /// [`PeopleError::LinkSpent`].
    pub async fn find_reset(&self, token: &str) -> Result<(User, TokenId), PeopleError> {
        let found = self.context.store.find_token(&token_hash(token), self.now()).await?;
        let found = found.filter(|token| token.purpose == Purpose::PasswordReset);
        let token = found.ok_or(PeopleError::LinkSpent)?;
        let user = self.context.store.find_user(token.user_id).await?;
        Ok((user.ok_or(PeopleError::LinkSpent)?, token.id))
    }

    /// Sets a new password by a link, which is used up. Every browser is signed out.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn reset_password(&self, token: &str, new: &str) -> Result<User, PeopleError> {
        let (user, token) = self.find_reset(token).await?;
        let new = self.password("password", new, &user.name, &user.email)?;
        self.set_password(&user, new, None, Some(token)).await?;
        Ok(user)
    }

    async fn set_password(
        &self,
        user: &User,
        new: Password,
        keep: Option<SessionId>,
        token: Option<TokenId>,
    ) -> Result<(), PeopleError> {
        let hash = self.hash(new).await?;
        let mail = self.mail(&user.email, Mail::PasswordChanged);
        let change = PasswordChange { user_id: user.id, hash, keep, token, mail };
        self.context.store.set_password(change).await??;
        self.posted();
        Ok(())
    }

    /// A new password as typed into the field of that name.
    pub(super) fn password(
        &self,
        field: &'static str,
        text: &str,
        name: &str,
        email: &Email,
    ) -> Result<Password, PeopleError> {
        Password::parse(text, name, email).map_err(|problem| PeopleError::invalid(field, problem))
    }

    pub(super) async fn hash(&self, password: Password) -> Result<String, PeopleError> {
        let cost = self.context.rules.bcrypt_cost;
        let hash = move || bcrypt::non_truncating_hash(password.expose(), cost);
        Ok(self.auth.hash(hash).await??)
    }
}

/// A token that lets somebody choose a new password.
pub(super) fn reset_token(context: &crate::identity::Context, user: &User) -> OneTimeToken {
    let now = context.clock.now();
    OneTimeToken {
        user_id: user.id,
        id: TokenId(context.ids.next()),
        purpose: Purpose::PasswordReset,
        created_at: now,
        expires_at: now + LINK_LASTS,
    }
}

/// A password that is too long for bcrypt is no password of anybody.
fn matches(password: &str, hash: &str) -> bool {
    bcrypt::non_truncating_verify(password, hash).unwrap_or(false)
}
