//! The tenant, and the plan that says what it may do.

use chrono::{DateTime, Utc};

use crate::id::AccountId;
use crate::money::Credits;

/// The tenant: keys, webhooks, credit, limits and generations belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Display name.
    pub name: String,
    /// Personal or team.
    pub kind: AccountKind,
    /// Which limits apply.
    pub plan: Plan,
    /// Contact address.
    pub email: Option<String>,
    /// What it can spend now.
    pub balance: Credits,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Whose account it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountKind {
    /// One person's.
    Personal,
    /// A team's.
    Team,
}

impl AccountKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Personal, Self::Team];

    /// The text in tables and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Team => "team",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A named set of limits (`spec/contract.md` 12.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Free.
    Free,
    /// Starter.
    Starter,
    /// Pro.
    Pro,
    /// Scale.
    Scale,
    /// Enterprise.
    Enterprise,
}

impl Plan {
    /// Every plan, smallest first.
    pub const ALL: [Self; 5] =
        [Self::Free, Self::Starter, Self::Pro, Self::Scale, Self::Enterprise];

    /// The text in tables and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Starter => "starter",
            Self::Pro => "pro",
            Self::Scale => "scale",
            Self::Enterprise => "enterprise",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plan| plan.as_str() == text)
    }
}

/// The credit a new account starts with (`spec/contract.md` 9.4), in thousandths.
pub const WELCOME_CREDIT_THOUSANDTHS: i64 = 1_000;
