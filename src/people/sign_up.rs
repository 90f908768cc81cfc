//! How somebody becomes a user: as the first one, by mail, or by invitation.
//!
//! Whoever wants to sign up types an address and gets a link, so that an address belongs to whom
//! it says, and nobody learns who has an account. The link itself says for which address it is,
//! sealed; nothing is stored until it is used.

use actors::mail::Mail;
use actors::ports::mails::MailStore;
use actors::ports::people::UserStore;
use actors::user::{Email, User};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;
use tokio::time::{Duration, Instant, sleep_until};

use super::passwords::LINK_LASTS;
use super::{People, PeopleError, email, name, new_person};

/// What a sign-up link is sealed for.
const SIGN_UP: &[u8] = b"sign-up";
/// What the token of the first owner stands for.
const FIRST_OWNER: &[u8] = b"first-owner";
/// What an answer takes that must not tell whether there is such a user.
const SAME_TIME: Duration = Duration::from_millis(300);

impl People {
    /// The link that makes the first owner, always the same, as long as there is nobody.
    ///
    /// # Errors
    /// [`PeopleError::Store`].
    pub async fn first_link(&self) -> Result<Option<String>, PeopleError> {
        if self.context.store.has_users().await? {
            return Ok(None);
        }
        Ok(Some(format!("{}/first/{}", self.url, self.first_token())))
    }

    /// That this is the token of that link, and there is nobody yet.
    ///
    /// # Errors
    /// [`PeopleError::LinkSpent`].
    pub async fn check_first(&self, token: &str) -> Result<(), PeopleError> {
        let same: bool = self.first_token().as_bytes().ct_eq(token.as_bytes()).into();
        if !same || self.context.store.has_users().await? {
            return Err(PeopleError::LinkSpent);
        }
        Ok(())
    }

    /// Makes the first owner: of the first account, and an operator of this server.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn create_first_owner(
        &self,
        token: &str,
        address: &str,
        typed_name: &str,
        password: &str,
    ) -> Result<User, PeopleError> {
        self.check_first(token).await?;
        let (address, name) = (email("email", address)?, name(typed_name)?);
        let password = self.password("password", password, &name, &address)?;
        let hash = self.hash(password).await?;
        let person = new_person(&self.context, address, name, Some(hash), true);
        let user = person.user.clone();
        let by = self.context.of(user.id).by();
        self.context.store.create_first_owner(person, by).await??;
        Ok(user)
    }

    /// Sends a link to finish signing up, or says to whoever has the address that there is an
    /// account. Takes the same time either way.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn request_sign_up(&self, address: &str) -> Result<(), PeopleError> {
        if !self.rules.sign_up {
            return Err(PeopleError::Disabled);
        }
        let end = Instant::now() + SAME_TIME;
        let address = email("email", address)?;
        let mail = match self.context.store.find_login(&address).await? {
            None => Mail::SignUp { link: self.sign_up_link(&address) },
            Some(_) => Mail::SignUpAgain { link: format!("{}/sign-in", self.url) },
        };
        self.context.store.post_mail(self.mail(&address, mail)).await?;
        self.posted();
        sleep_until(end).await;
        Ok(())
    }

    /// Whom a sign-up link is for.
    ///
    /// # Errors
    /// [`PeopleError::LinkSpent`], [`PeopleError::Disabled`].
    pub fn open_sign_up(&self, token: &str) -> Result<Email, PeopleError> {
        if !self.rules.sign_up {
            return Err(PeopleError::Disabled);
        }
        let spent = || PeopleError::LinkSpent;
        let opened = self.sign_up_key.open(SIGN_UP, token).map_err(|_| spent())?;
        let text = std::str::from_utf8(opened.expose_secret()).map_err(|_| spent())?;
        let (until, address) = text.split_once(' ').ok_or_else(spent)?;
        let until: i64 = until.parse().map_err(|_| spent())?;
        if self.now().timestamp() >= until {
            return Err(spent());
        }
        Email::parse(address).map_err(|_| spent())
    }

    /// Makes the user that a sign-up link is for.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn sign_up(
        &self,
        token: &str,
        typed_name: &str,
        password: &str,
    ) -> Result<User, PeopleError> {
        let address = self.open_sign_up(token)?;
        self.create_user(address, typed_name, password).await
    }

    /// Makes somebody of whom it is known that the address is theirs.
    pub(super) async fn create_user(
        &self,
        address: Email,
        typed_name: &str,
        password: &str,
    ) -> Result<User, PeopleError> {
        let name = name(typed_name)?;
        let password = self.password("password", password, &name, &address)?;
        let hash = self.hash(password).await?;
        let person = new_person(&self.context, address, name, Some(hash), false);
        let user = person.user.clone();
        let by = self.context.of(user.id).by();
        self.context.store.create_user(person, by).await??;
        Ok(user)
    }

    fn sign_up_link(&self, address: &Email) -> String {
        let until = (self.now() + LINK_LASTS).timestamp();
        let token = self.sign_up_key.seal(SIGN_UP, format!("{until} {address}").as_bytes());
        format!("{}/sign-up/{token}", self.url)
    }

    fn first_token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.first_key.mac(FIRST_OWNER))
    }
}
