//! The movements of an account's credit.
//!
//! `delta` is signed and `seq` counts per account, so that the balance is the sum of the
//! deltas at every row (`spec/domain.md` L12).

use chrono::{DateTime, Utc};

use crate::id::{AccountId, GenerationId};
use crate::money::Credits;

/// One immutable movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Whose.
    pub account_id: AccountId,
    /// 1, 2, 3, … within the account.
    pub seq: i64,
    /// What it was for.
    pub kind: EntryKind,
    /// The amount, always positive.
    pub amount: Credits,
    /// By how many thousandths the balance moved: negative for a reserve, nothing for a
    /// charge (the reserve took it already).
    pub delta: i64,
    /// The balance afterwards.
    pub balance_after: Credits,
    /// The generation, for all but `add`.
    pub generation_id: Option<GenerationId>,
    /// The model of that generation.
    pub model: Option<String>,
    /// Makes an `add` happen once, over all accounts.
    pub key: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// What a movement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Credit is put aside for a generation.
    Reserve,
    /// The generation succeeded: what was put aside is spent.
    Charge,
    /// It did not: what was put aside comes back.
    Refund,
    /// Credit is granted.
    Add,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Reserve, Self::Charge, Self::Refund, Self::Add];

    /// The text in tables and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Add => "add",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// By how many thousandths the balance moves for `amount`.
    pub fn delta(self, amount: Credits) -> i64 {
        match self {
            Self::Reserve => amount.thousandths().saturating_neg(),
            Self::Charge => 0,
            Self::Refund | Self::Add => amount.thousandths(),
        }
    }
}

/// An account's balance and the number of its last entry: all that is needed to write the
/// next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// What it can spend.
    pub credits: Credits,
    /// The number of the last entry, 0 before the first.
    pub seq: i64,
}

/// Why a movement is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MovementError {
    /// The balance would fall below zero.
    #[error("the balance does not cover the amount")]
    InsufficientCredit,
    /// A grant would lift the balance above [`Credits::MAX`].
    #[error("the balance would exceed the maximum")]
    TooLarge,
}

/// What an entry is about, beside the movement itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntrySubject {
    /// The generation.
    pub generation_id: Option<GenerationId>,
    /// Its model.
    pub model: Option<String>,
    /// The key of an `add`.
    pub key: Option<String>,
    /// For people.
    pub description: Option<String>,
}

impl Balance {
    /// Moves the balance and gives the entry that says so.
    ///
    /// # Errors
    /// [`MovementError`]; the balance has not moved then.
    pub fn record(
        &mut self,
        account_id: AccountId,
        kind: EntryKind,
        amount: Credits,
        subject: EntrySubject,
        at: DateTime<Utc>,
    ) -> Result<LedgerEntry, MovementError> {
        let after = match kind {
            EntryKind::Reserve => {
                self.credits.checked_sub(amount).ok_or(MovementError::InsufficientCredit)?
            }
            EntryKind::Charge => self.credits,
            EntryKind::Refund => self.credits.plus(amount),
            EntryKind::Add => self.credits.checked_add(amount).ok_or(MovementError::TooLarge)?,
        };
        self.credits = after;
        self.seq = self.seq.saturating_add(1);
        Ok(LedgerEntry {
            account_id,
            seq: self.seq,
            kind,
            amount,
            delta: kind.delta(amount),
            balance_after: after,
            generation_id: subject.generation_id,
            model: subject.model,
            key: subject.key,
            description: subject.description,
            created_at: at,
        })
    }
}
