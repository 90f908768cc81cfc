//! What the owner of an account is told in the dashboard.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::id::{AccountId, NotificationId};

/// One thing that its owner should know.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Whose.
    pub account_id: AccountId,
    /// Its id.
    pub id: NotificationId,
    /// What it is about.
    pub kind: NotificationKind,
    /// The particulars: the same as in the event of that name.
    pub data: Value,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
}

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationKind {
    /// We have disabled a webhook endpoint.
    WebhookDisabled,
    /// The balance has fallen below a threshold.
    CreditsLowBalance,
}

impl NotificationKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::WebhookDisabled, Self::CreditsLowBalance];

    /// The text in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebhookDisabled => "webhook.disabled",
            Self::CreditsLowBalance => "credits.low_balance",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
