//! People who sign in, and what they type to do so.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::id::{AccountId, SessionId, TokenId, UserId};

/// A person who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Where mail goes, and what is typed to sign in.
    pub email: Email,
    /// What others see.
    pub name: String,
    /// Whether this person runs the server.
    pub operator: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A browser in which somebody is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub user_id: UserId,
    /// Its id.
    pub id: SessionId,
    /// What the browser says of itself.
    pub user_agent: Option<String>,
    /// When it was signed in.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends, however much it is used.
    pub expires_at: DateTime<Utc>,
}

/// Something that can be done once, by whoever has what was sent by mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimeToken {
    /// For whom.
    pub user_id: UserId,
    /// Its id.
    pub id: TokenId,
    /// What.
    pub purpose: Purpose,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// What can be done once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Choosing a new password.
    PasswordReset,
    /// Changing the address to this one.
    EmailChange(Email),
    /// Handing this account over.
    Transfer(AccountId),
    /// Deleting this account.
    AccountDeletion(AccountId),
    /// Deleting the user.
    UserDeletion,
}

impl Purpose {
    /// The text in tables.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailChange(_) => "email_change",
            Self::Transfer(_) => "transfer",
            Self::AccountDeletion(_) => "account_deletion",
            Self::UserDeletion => "user_deletion",
        }
    }

    /// The account that it is about.
    pub fn account_id(&self) -> Option<AccountId> {
        match self {
            Self::Transfer(id) | Self::AccountDeletion(id) => Some(*id),
            Self::PasswordReset | Self::EmailChange(_) | Self::UserDeletion => None,
        }
    }
}

/// Characters of an address, by its standard.
const EMAIL_MAX: usize = 254;
/// Characters of a name (`spec/dashboard.md` 1.6).
const NAME_CHARS: std::ops::RangeInclusive<usize> = 2..=100;
/// Characters of a password: fewer can be guessed.
const PASSWORD_CHARS_MIN: usize = 10;
/// bcrypt reads 72 bytes, of which one is its own (`spec/faults.md` C).
const PASSWORD_BYTES_MAX: usize = 71;

/// An e-mail address, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an address like name@example.com")]
pub struct EmailProblem;

impl Email {
    /// Reads an address as somebody types it.
    ///
    /// # Errors
    /// [`EmailProblem`]. Whether mail arrives there shows when it is sent.
    pub fn parse(text: &str) -> Result<Self, EmailProblem> {
        let text = text.trim().to_lowercase();
        let plain = |c: char| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
        let (local, domain) = text.rsplit_once('@').ok_or(EmailProblem)?;
        let label = |label: &str| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        let good = text.chars().count() <= EMAIL_MAX
            && !local.is_empty()
            && local.chars().all(plain)
            && domain.split('.').all(label);
        good.then_some(Self(text)).ok_or(EmailProblem)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A password that may be set. Prints as `[redacted]`.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

/// Why a text cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    /// Too short.
    #[error("must have at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// Too long for bcrypt, which would look at its beginning only.
    #[error("must not be longer than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// It holds a NUL.
    #[error("must not contain control characters")]
    Control,
    /// It can be guessed from what everybody knows.
    #[error("must not be the name or the e-mail address")]
    Obvious,
}

impl Password {
    /// Reads a new password of somebody with this name and address.
    ///
    /// # Errors
    /// [`PasswordProblem`].
    pub fn parse(text: &str, name: &str, email: &Email) -> Result<Self, PasswordProblem> {
        let known = text.trim().to_lowercase();
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordProblem::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PasswordProblem::Control);
        }
        if text.chars().count() < PASSWORD_CHARS_MIN {
            return Err(PasswordProblem::TooShort);
        }
        if known == email.as_str() || known == name.trim().to_lowercase() {
            return Err(PasswordProblem::Obvious);
        }
        Ok(Self(SecretString::from(text)))
    }

    /// In the clear, to be hashed.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// Too short or too long.
    #[error("must have 2 to 100 characters")]
    Length,
    /// It would move a cursor.
    #[error("must not contain control characters")]
    Control,
}

/// The name of a person or a team, trimmed.
///
/// # Errors
/// [`NameProblem`].
pub fn name(text: &str) -> Result<String, NameProblem> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(NameProblem::Control);
    }
    if !NAME_CHARS.contains(&text.chars().count()) {
        return Err(NameProblem::Length);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_one_address_in_any_case() {
        assert_eq!(Email::parse(" Ada@Example.COM ").unwrap().as_str(), "ada@example.com");
        for good in ["a+b@c.d", "a@localhost", "ä@ö.example", "o'neil@a-b.example"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_could_be_more_than_an_address_is_none() {
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a b@c.d",
            "a@b c",
            "a@b,c@d",
            "a@b@c",
            "<a@b.c>",
            "a@b..c",
            "a@b\r\nBcc: c@d.e",
            &format!("{}@b.c", "a".repeat(251)),
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_password_fits_into_bcrypt_and_is_not_obvious() {
        let email = Email::parse("ada@example.com").unwrap();
        let parse = |text: &str| Password::parse(text, "Ada Lovelace", &email).map(|_| ());
        assert_eq!(parse("correct horse"), Ok(()));
        assert_eq!(parse(&"x".repeat(71)), Ok(()));
        assert_eq!(parse(&"ä".repeat(36)), Err(PasswordProblem::TooLong));
        assert_eq!(parse("ninechars"), Err(PasswordProblem::TooShort));
        assert_eq!(parse("with a \0 in it"), Err(PasswordProblem::Control));
        assert_eq!(parse("ada@Example.com"), Err(PasswordProblem::Obvious));
        assert_eq!(parse("ada lovelace"), Err(PasswordProblem::Obvious));
    }

    #[test]
    fn a_password_is_not_printed() {
        let email = Email::parse("ada@example.com").unwrap();
        let password = Password::parse("correct horse", "Ada", &email).unwrap();
        assert!(!format!("{password:?}").contains("horse"));
    }

    #[test]
    fn a_name_is_trimmed_and_bounded() {
        assert_eq!(name("  Ada  ").unwrap(), "Ada");
        for bad in ["", "A", "a\nb", &"x".repeat(101)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
