//! One newtype over a UUID per entity, so that ids cannot be mixed up.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An id before every UUIDv7 that was made at this time or later: what was made since then is a
/// range of the primary key.
pub fn first_at(at: DateTime<Utc>) -> Uuid {
    let milliseconds = u128::try_from(at.timestamp_millis()).unwrap_or_default();
    // As many as a UUIDv7 has room for.
    Uuid::from_u128(milliseconds.min((1 << 48) - 1) << 80)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Reads the hyphenated form; anything else is `None`.
            pub fn parse(text: &str) -> Option<Self> {
                // Uuid also reads braces, URNs and bare hex: one id, one spelling.
                (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

id!(
    /// The tenant.
    AccountId
);
id!(
    /// A credential of an account.
    ApiKeyId
);
id!(
    /// One accepted request for output.
    GenerationId
);
id!(
    /// A customer's webhook URL.
    EndpointId
);
id!(
    /// One event for one webhook endpoint.
    DeliveryId
);
id!(
    /// Something that an account's owner is told in the dashboard.
    NotificationId
);
id!(
    /// A person who signs in.
    UserId
);
id!(
    /// A browser in which somebody is signed in.
    SessionId
);
id!(
    /// That somebody may become a member of an account.
    InvitationId
);
id!(
    /// Something that can be done once by whoever has its token.
    TokenId
);
id!(
    /// Something that somebody did in an account.
    ActivityId
);
id!(
    /// A mail that is to be sent.
    MailId
);
id!(
    /// One run of the server process, the owner of what it has in flight.
    NodeId
);
