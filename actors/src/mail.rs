//! What people are told by mail, and when a mail that could not be sent is tried again.
//!
//! Plain text only: it can be read anywhere, loads nothing, and nothing in it can be marked up
//! by whoever chose a name.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::{AccountId, MailId};
use crate::user::Email;

/// What a mail is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Mail {
    /// Somebody wants a user with this address.
    SignUp {
        /// Where it is made.
        link: String,
    },
    /// Somebody wants a user with this address, and there is one.
    SignUpAgain {
        /// Where one signs in.
        link: String,
    },
    /// A new password is to be chosen.
    PasswordReset {
        /// Where.
        link: String,
    },
    /// The password was changed.
    PasswordChanged,
    /// This is to be the address of a user.
    EmailChange {
        /// Where that is confirmed.
        link: String,
    },
    /// The address of a user was changed to another one.
    EmailChanged {
        /// That one.
        to: String,
    },
    /// Somebody is asked to become a member.
    Invitation {
        /// Of this team.
        team: String,
        /// By whom.
        inviter: String,
        /// As what.
        role: String,
        /// Where it is taken up.
        link: String,
    },
    /// The code that hands a team over.
    TransferCode {
        /// Which.
        team: String,
        /// To be typed.
        code: String,
    },
    /// The code that deletes a team.
    TeamDeletionCode {
        /// Which.
        team: String,
        /// To be typed.
        code: String,
    },
    /// The code that deletes a user.
    UserDeletionCode {
        /// To be typed.
        code: String,
    },
    /// The balance has fallen below thresholds.
    LowBalance {
        /// What is left, in credits.
        balance: String,
        /// Those that were crossed, highest first.
        thresholds: Vec<String>,
    },
    /// We have disabled an endpoint.
    WebhookDisabled {
        /// Which.
        endpoint: String,
        /// Why.
        reason: String,
    },
}

/// A text that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailText {
    /// One line.
    pub subject: String,
    /// Lines that end in `\n`.
    pub body: String,
}

impl Mail {
    /// The text in tables; the same as in what is sealed.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SignUp { .. } => "sign_up",
            Self::SignUpAgain { .. } => "sign_up_again",
            Self::PasswordReset { .. } => "password_reset",
            Self::PasswordChanged => "password_changed",
            Self::EmailChange { .. } => "email_change",
            Self::EmailChanged { .. } => "email_changed",
            Self::Invitation { .. } => "invitation",
            Self::TransferCode { .. } => "transfer_code",
            Self::TeamDeletionCode { .. } => "team_deletion_code",
            Self::UserDeletionCode { .. } => "user_deletion_code",
            Self::LowBalance { .. } => "low_balance",
            Self::WebhookDisabled { .. } => "webhook_disabled",
        }
    }

    /// Subject and body. `account` is the name of the account that it is about, if any.
    pub fn text(&self, account: Option<&str>) -> MailText {
        let account = account.unwrap_or("your account");
        let (subject, lines) = match self {
            Self::SignUp { link } => (
                "Finish signing up".to_owned(),
                format!("Choose your name and password here, within an hour:\n\n{link}\n"),
            ),
            Self::SignUpAgain { link } => (
                "You already have an account".to_owned(),
                format!("Somebody, perhaps you, tried to sign up with this address, which has an account already. Sign in here, or reset the password:\n\n{link}\n"),
            ),
            Self::PasswordReset { link } => (
                "Choose a new password".to_owned(),
                format!("Choose a new password here, within an hour:\n\n{link}\n"),
            ),
            Self::PasswordChanged => (
                "Your password was changed".to_owned(),
                "Your password was changed, and every other browser was signed out.\n\nIf that was not you, reset the password now and tell whoever runs this server.\n".to_owned(),
            ),
            Self::EmailChange { link } => (
                "Confirm your new address".to_owned(),
                format!("Confirm here, within an hour, that this is your new address:\n\n{link}\n"),
            ),
            Self::EmailChanged { to } => (
                "Your address was changed".to_owned(),
                format!("You sign in as {to} from now on.\n\nIf that was not you, tell whoever runs this server.\n"),
            ),
            Self::Invitation { team, inviter, role, link } => (
                format!("Join {team}"),
                format!("{inviter} invites you to join {team} as {role}. Take it up here, within seven days:\n\n{link}\n"),
            ),
            Self::TransferCode { team, code } => (
                format!("Code to transfer {team}"),
                with_code(&format!("hand {team} over to another member"), code),
            ),
            Self::TeamDeletionCode { team, code } => (
                format!("Code to delete {team}"),
                with_code(&format!("delete {team} with everything in it, for good"), code),
            ),
            Self::UserDeletionCode { code } => (
                "Code to delete your account".to_owned(),
                with_code("delete your account with everything in it, for good", code),
            ),
            Self::LowBalance { balance, thresholds } => (
                format!("Low balance: {balance} credits left"),
                low_balance(account, balance, thresholds),
            ),
            Self::WebhookDisabled { endpoint, reason } => (
                "A webhook endpoint was disabled".to_owned(),
                format!("The webhook endpoint {endpoint} of {account} was disabled: {reason}.\n\nIts events are kept. Enable it again in the dashboard once it can take them.\n"),
            ),
        };
        let mut body = lines;
        body.push_str(match self {
            Self::LowBalance { .. }
            | Self::WebhookDisabled { .. }
            | Self::PasswordChanged
            | Self::EmailChanged { .. } => "",
            _ => "\nIf you did not expect this, you need not do anything.\n",
        });
        // Names are chosen by people; a subject is one line whatever they hold.
        let subject = subject.chars().filter(|c| !c.is_control()).collect();
        MailText { subject, body }
    }
}

fn with_code(deed: &str, code: &str) -> String {
    format!("To {deed}, type this code within 15 minutes:\n\n{code}\n")
}

fn low_balance(account: &str, balance: &str, thresholds: &[String]) -> String {
    let mut text = format!("The balance of {account} is {balance} credits, below");
    for (place, threshold) in thresholds.iter().enumerate() {
        let _ = write!(text, "{} {threshold}", if place == 0 { "" } else { "," });
    }
    text.push_str(". Generations are refused when it is used up.\n");
    text
}

/// A mail on its way into the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMail {
    /// Its id.
    pub id: MailId,
    /// The account that it is about, if any.
    pub account_id: Option<AccountId>,
    /// To whom.
    pub to: Email,
    /// What.
    pub mail: Mail,
    /// When it was written.
    pub at: DateTime<Utc>,
}

/// A mail for the primary owner of an account, whoever that is; for nobody if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerMail {
    /// Its id.
    pub id: MailId,
    /// Whose.
    pub account_id: AccountId,
    /// What.
    pub mail: Mail,
    /// When it was written.
    pub at: DateTime<Utc>,
}

/// A mail out of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMail {
    /// Its id, the same at every try: receivers can tell a repetition by it.
    pub id: MailId,
    /// To whom.
    pub to: Email,
    /// The name of the account that it is about.
    pub account_name: Option<String>,
    /// What.
    pub mail: Mail,
    /// How often it was tried, this time included.
    pub tries: u32,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

/// Waits between tries: a mail server that is away is back within a day, or its operator knows.
const WAITS: [Duration; 7] = [
    Duration::from_secs(30),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(4 * 60 * 60),
    Duration::from_secs(8 * 60 * 60),
    Duration::from_secs(12 * 60 * 60),
];

/// How long to wait after so many failed tries; `None` when it is given up.
pub fn wait_after(tries: u32) -> Option<Duration> {
    WAITS.get(tries.saturating_sub(1) as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_read_back_under_its_kind() {
        let link = || "https://sea.example/x".to_owned();
        let code = || "123456".to_owned();
        let team = || "Paper Lab".to_owned();
        for mail in [
            Mail::SignUp { link: link() },
            Mail::SignUpAgain { link: link() },
            Mail::PasswordReset { link: link() },
            Mail::PasswordChanged,
            Mail::EmailChange { link: link() },
            Mail::EmailChanged { to: "a@b.c".to_owned() },
            Mail::Invitation { team: team(), inviter: team(), role: team(), link: link() },
            Mail::TransferCode { team: team(), code: code() },
            Mail::TeamDeletionCode { team: team(), code: code() },
            Mail::UserDeletionCode { code: code() },
            Mail::LowBalance { balance: code(), thresholds: vec![code()] },
            Mail::WebhookDisabled { endpoint: link(), reason: code() },
        ] {
            let written = serde_json::to_value(&mail).unwrap();
            assert_eq!(written["kind"], mail.kind());
            assert_eq!(serde_json::from_value::<Mail>(written).unwrap(), mail);
            let text = mail.text(Some("Paper Lab"));
            assert!(!text.subject.is_empty() && text.body.ends_with('\n'));
        }
    }

    #[test]
    fn a_name_cannot_add_a_header() {
        let team = "Lab\r\nBcc: everybody@example.com".to_owned();
        let mail = Mail::TransferCode { team, code: "1".to_owned() };
        assert_eq!(mail.text(None).subject, "Code to transfer LabBcc: everybody@example.com");
    }

    #[test]
    fn waits_grow_and_end_within_two_days() {
        let waits: Vec<Duration> = (1..).map_while(wait_after).collect();
        assert!(waits.is_sorted());
        assert!(waits.iter().sum::<Duration>() < Duration::from_secs(48 * 60 * 60));
    }
}
