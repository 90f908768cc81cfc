//! Who belongs to an account, and who is asked to.

use chrono::{DateTime, TimeDelta, Utc};

use crate::account::{Account, AccountKind};
use crate::id::{AccountId, InvitationId, UserId};
use crate::permission::Role;
use crate::user::Email;

/// How the personal account of whoever is signed in is called in addresses.
pub const PERSONAL: &str = "personal";
/// How long an invitation can be taken up.
pub const INVITATION_LASTS: TimeDelta = TimeDelta::days(7);
/// Most invitations that are sent at once (`spec/dashboard.md` 1.4).
pub const INVITATIONS_AT_ONCE: usize = 5;
/// Characters of a slug.
const SLUG_MAX: usize = 48;
/// What stands where slugs do and means something else.
const RESERVED_SLUGS: [&str; 6] = [PERSONAL, "settings", "new", "teams", "home", "operator"];

/// Somebody who belongs to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user_id: UserId,
    /// What others see.
    pub name: String,
    /// Where mail goes.
    pub email: Email,
    /// As what.
    pub role: Role,
    /// Since when.
    pub joined_at: DateTime<Utc>,
}

/// An account that somebody belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Which.
    pub account: Account,
    /// Its name in addresses.
    pub slug: String,
    /// As what.
    pub role: Role,
}

impl Membership {
    /// Whether it is a team's.
    pub fn is_team(&self) -> bool {
        self.account.kind == AccountKind::Team
    }
}

/// That somebody may become a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Of which account.
    pub account_id: AccountId,
    /// Its id.
    pub id: InvitationId,
    /// Who.
    pub email: Email,
    /// As what; never the primary owner.
    pub role: Role,
    /// When it was sent.
    pub created_at: DateTime<Utc>,
    /// Until when it can be taken up.
    pub expires_at: DateTime<Utc>,
}

impl Invitation {
    /// Whether it can be taken up.
    pub fn is_active(&self, now: DateTime<Utc>) -> bool {
        now < self.expires_at
    }
}

/// Why a text is no slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlugProblem {
    /// Other characters, or too many.
    #[error(
        "must be 2 to {SLUG_MAX} lowercase letters, digits and hyphens, with no hyphen at either end"
    )]
    Form,
    /// It means something else.
    #[error("is not available")]
    Reserved,
}

/// The name of a team in addresses.
///
/// # Errors
/// [`SlugProblem`].
pub fn slug(text: &str) -> Result<String, SlugProblem> {
    let text = text.trim();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = !text.starts_with('-') && !text.ends_with('-');
    if !(2..=SLUG_MAX).contains(&text.len()) || !text.chars().all(plain) || !ends {
        return Err(SlugProblem::Form);
    }
    if RESERVED_SLUGS.contains(&text) {
        return Err(SlugProblem::Reserved);
    }
    Ok(text.to_owned())
}

/// The slug that follows from a team's name; `None` when the name has letters that are not
/// Latin, and somebody has to choose.
pub fn slug_of(name: &str) -> Option<String> {
    if name.chars().any(|c| c.is_alphabetic() && !c.is_ascii()) {
        return None;
    }
    let words = name.to_lowercase();
    let words: Vec<&str> =
        words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut made = words.join("-");
    made.truncate(SLUG_MAX);
    slug(made.trim_end_matches('-')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_follows_from_a_latin_name() {
        assert_eq!(slug_of("Paper  Lab, Inc.").as_deref(), Some("paper-lab-inc"));
        assert_eq!(slug_of(&"long name ".repeat(20)).map(|slug| slug.len() <= 48), Some(true));
        for unclear in ["Студия", "Zoë", "Personal", "!!!", "x"] {
            assert_eq!(slug_of(unclear), None, "{unclear}");
        }
    }

    #[test]
    fn a_slug_is_lower_case_letters_digits_and_hyphens() {
        assert_eq!(slug("paper-lab-2").as_deref(), Ok("paper-lab-2"));
        for bad in ["", "a", "Paper", "a_b", "-ab", "ab-", "ä-b", "a/b", &"x".repeat(49)] {
            assert_eq!(slug(bad), Err(SlugProblem::Form), "{bad}");
        }
        assert_eq!(slug("personal"), Err(SlugProblem::Reserved));
    }
}
