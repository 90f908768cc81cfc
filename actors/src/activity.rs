//! What people did in an account: its audit log (`spec/dashboard.md` 5.3).
//!
//! Written in the transaction of what it tells. Generations and movements of credit are not
//! written again: they are in tables of their own.

use chrono::{DateTime, Utc};

use crate::id::{AccountId, ActivityId, ApiKeyId, EndpointId, UserId};

/// The categories of what is written, in the order of their names.
pub const CATEGORIES: [&str; 8] =
    ["account", "api_key", "auth", "credit_alert", "domain", "invitation", "membership", "webhook"];

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A person in the dashboard.
    User(UserId),
    /// A program with a key.
    Key(ApiKeyId),
    /// This server, or who runs it.
    System,
}

impl Actor {
    /// The text in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Key(_) => "key",
            Self::System => "system",
        }
    }
}

/// What was done, as `category.action`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Of which kind.
    pub category: &'static str,
    /// What.
    pub action: &'static str,
    /// To what, for people.
    pub description: String,
}

impl Deed {
    /// Something that was done.
    pub fn new(
        category: &'static str,
        action: &'static str,
        description: impl Into<String>,
    ) -> Self {
        Self { category, action, description: description.into() }
    }

    /// Something that was done to a key.
    pub fn api_key(action: &'static str, name: &str, prefix: &str) -> Self {
        Self::new("api_key", action, format!("{name} ({prefix}\u{2026})"))
    }

    /// Something that was done to a webhook endpoint.
    pub fn webhook(action: &'static str, id: EndpointId, why: Option<&str>) -> Self {
        let why = why.map(|why| format!(": {}", why.replace('_', " "))).unwrap_or_default();
        Self::new("webhook", action, format!("Endpoint {id}{why}"))
    }
}

/// Who does something and when: what a unit of work that is written into the log needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// The id of the line in the log, which carries the time.
    pub id: ActivityId,
    /// When.
    pub at: DateTime<Utc>,
}

/// Something that was done, on its way into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewActivity {
    /// Whose log.
    pub account_id: AccountId,
    /// Who and when.
    pub by: By,
    /// What.
    pub deed: Deed,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Its id; later ones sort after earlier ones.
    pub id: ActivityId,
    /// Who: the name of a person or key, if it is still there, or `system`.
    pub actor: String,
    /// Of which kind.
    pub category: String,
    /// What.
    pub action: String,
    /// To what, for people.
    pub description: String,
    /// When.
    pub at: DateTime<Utc>,
}
