//! What people change about themselves.

use std::net::IpAddr;

use actors::id::TokenId;
use actors::mail::Mail;
use actors::ports::people::{TokenStore, UserStore};
use actors::user::{Email, OneTimeToken, Purpose, User};

use super::codes::PAUSE;
use super::passwords::LINK_LASTS;
use super::{People, PeopleError, email, links, name};
use crate::secrets::token_hash;

impl People {
    /// Changes what others see.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn rename(&self, user: &User, typed: &str) -> Result<(), PeopleError> {
        let name = name(typed)?;
        let by = self.context.of(user.id).by();
        self.context.store.rename_user(user.id, &name, by).await?;
        Ok(())
    }

    /// Sends a link to a new address, which it confirms. The password is asked for, since
    /// whoever has the address can set another one.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn request_email(
        &self,
        user: &User,
        typed: &str,
        repeated: &str,
        password: &str,
        client: IpAddr,
    ) -> Result<Email, PeopleError> {
        let address = email("email", typed)?;
        if Email::parse(repeated).as_ref() != Ok(&address) {
            return Err(PeopleError::invalid("repeat", "must be the same address"));
        }
        if address == user.email {
            return Err(PeopleError::invalid("email", "is your address already"));
        }
        match self.sign_in(user.email.as_str(), password, client).await {
            Err(PeopleError::WrongPassword) => {
                return Err(PeopleError::invalid("current", "is not your password"));
            }
            checked => drop(checked?),
        }
        let (token, now) = (links::token(), self.now());
        let change = OneTimeToken {
            user_id: user.id,
            id: TokenId(self.context.ids.next()),
            purpose: Purpose::EmailChange(address.clone()),
            created_at: now,
            expires_at: now + LINK_LASTS,
        };
        let link = format!("{}/email/{token}", self.url);
        let mail = Some(self.mail(&address, Mail::EmailChange { link }));
        let store = &self.context.store;
        if !store.create_token(change, &token_hash(&token), 1, mail, now - PAUSE).await? {
            return Err(PeopleError::TooSoon);
        }
        self.posted();
        Ok(address)
    }

    /// Whose address a link changes, to which one.
    ///
    /// # Errors
    /// [`PeopleError::LinkSpent`].
    pub async fn find_email_change(
        &self,
        token: &str,
    ) -> Result<(User, Email, OneTimeToken), PeopleError> {
        let found = self.context.store.find_token(&token_hash(token), self.now()).await?;
        let token = found.ok_or(PeopleError::LinkSpent)?;
        let Purpose::EmailChange(address) = token.purpose.clone() else {
            return Err(PeopleError::LinkSpent);
        };
        let user = self.context.store.find_user(token.user_id).await?;
        Ok((user.ok_or(PeopleError::LinkSpent)?, address, token))
    }

    /// Changes the address by a link, which is used up; the one before is told.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn confirm_email(&self, token: &str) -> Result<Email, PeopleError> {
        let (user, address, token) = self.find_email_change(token).await?;
        let mail = self.mail(&user.email, Mail::EmailChanged { to: address.to_string() });
        let by = self.context.of(user.id).by();
        self.context.store.change_email(&token, mail, by).await??;
        self.posted();
        Ok(address)
    }

    /// Sends the code that deletes somebody.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn send_user_deletion_code(&self, user: &User) -> Result<(), PeopleError> {
        if !self.rules.user_deletion {
            return Err(PeopleError::Disabled);
        }
        let mail = |code| self.mail(&user.email, Mail::UserDeletionCode { code });
        self.send_code(user, Purpose::UserDeletion, mail).await
    }

    /// Deletes somebody, with the personal account.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn delete_user(&self, user: &User, code: &str) -> Result<(), PeopleError> {
        if !self.rules.user_deletion {
            return Err(PeopleError::Disabled);
        }
        let code = self.check_code(user, &Purpose::UserDeletion, code).await?;
        Ok(self.context.store.delete_user(user.id, code, self.now()).await??)
    }
}
