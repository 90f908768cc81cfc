//! The memory of a request that must happen once (`spec/contract.md` 5).
//!
//! The record is written in the transaction that accepts the generation, so there is never one
//! without the other: whoever comes second finds it, whatever has died in between. What was
//! answered is added afterwards; without it the generation itself says how things stand.

use chrono::{DateTime, TimeDelta, Utc};

use crate::id::{AccountId, GenerationId};

/// Longest `Idempotency-Key`.
pub const KEY_MAX: usize = 255;

/// How long a key is remembered.
pub const REMEMBERED_FOR: TimeDelta = TimeDelta::hours(24);

/// Whether a text can be an `Idempotency-Key`.
pub fn is_key(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':' | b'.');
    (1..=KEY_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// What a key is unique in: the account, the route with its model, and the key's own text
/// (`spec/contract.md` B.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// The tenant.
    pub account_id: AccountId,
    /// The path below `/v1/generate/`, such as `image/bfl/flux-schnell`.
    pub route: String,
    /// The header.
    pub key: String,
}

/// A request that asks to happen once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Under which key.
    pub key: RecordKey,
    /// SHA-256 of the canonical body, as 64 hexadecimal digits.
    pub body_sha256: String,
}

/// What is remembered of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The claim that was granted.
    pub claim: Claim,
    /// What it made.
    pub generation_id: GenerationId,
    /// When.
    pub created_at: DateTime<Utc>,
    /// What was answered; `None` until then.
    pub answer: Option<Answer>,
}

/// An answer that is given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The whole body of a success.
    Success(String),
    /// The generation had come to nothing; its record says why, and always will.
    Failure,
}

impl Record {
    /// Whether it still counts.
    pub fn is_alive(&self, now: DateTime<Utc>) -> bool {
        now < self.expires_at()
    }

    /// When it is forgotten.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.created_at + REMEMBERED_FOR
    }
}

/// What becomes of a record once its request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// Which record.
    pub key: RecordKey,
    /// What it made; a record about another generation is left alone.
    pub generation_id: GenerationId,
    /// What is given again; `None` forgets the key, so that the same request may be made anew.
    pub answer: Option<Answer>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_documented_form() {
        assert!(is_key("order:4711:cover") && is_key("a") && is_key(&"x".repeat(255)));
        for text in ["", "a b", "a/b", "\u{e4}", "a\n", &"x".repeat(256)] {
            assert!(!is_key(text), "{text:?}");
        }
    }
}
