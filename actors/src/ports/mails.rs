//! Mail: the outbox, and whoever carries it away.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::id::MailId;
use crate::mail::{NewMail, QueuedMail};
use crate::ports::StoreError;

/// Mail that waits to be sent. It gets there in the transaction of its reason.
#[async_trait]
pub trait MailStore: Send + Sync {
    /// Puts one in that has no other reason than to be sent.
    async fn post_mail(&self, mail: NewMail) -> Result<(), StoreError>;

    /// The one that is due first, which nobody else takes before `until`: so a process that dies
    /// with it delays it.
    async fn take_mail(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<QueuedMail>, StoreError>;

    /// Notes what came of it; what it said is forgotten unless it is tried again.
    async fn finish_mail(
        &self,
        id: MailId,
        outcome: &MailOutcome,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Forgets what was finished before that time.
    async fn forget_mails(&self, finished_before: DateTime<Utc>) -> Result<u64, StoreError>;
}

/// What came of trying to send a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailOutcome {
    /// Somebody has it.
    Sent,
    /// It is to be tried again then.
    Again {
        /// When.
        at: DateTime<Utc>,
        /// Why.
        error: String,
    },
    /// It was given up.
    Failed {
        /// Why.
        error: String,
    },
}

/// Carries mail away.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// One try. Once it returns well, somebody else answers for the mail.
    async fn send(&self, mail: &QueuedMail) -> Result<(), MailError>;
}

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// It will not be taken later either.
    #[error("refused: {0}")]
    Refused(String),
    /// It may be later.
    #[error("{0}")]
    Unavailable(String),
}
