//! What those who run the server do to accounts and people, and the log of it.
//!
//! The log is written in the transaction of what it tells, and only ever added to. An account's own
//! log (`activity.rs`) tells its members that something was changed, and neither by whom nor why.

use chrono::{DateTime, Utc};

use crate::account::{Account, Plan};
use crate::activity::By;
use crate::id::{AccountId, ActivityId, UserId};

/// Who does something, when, and why. Whoever is no person is at the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Who and when.
    pub by: By,
    /// Why; only those who run the server read it. May be empty at the command line.
    pub reason: String,
}

/// What can be changed about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountChange {
    /// Other limits.
    Plan(Plan),
    /// Whether it may not use the API.
    Suspension(bool),
    /// Whether content that one provider refuses is offered to the next.
    FailoverOnModeration(bool),
}

impl AccountChange {
    /// The account as it is then.
    pub fn apply(self, mut account: Account, at: DateTime<Utc>) -> Account {
        match self {
            Self::Plan(plan) => account.plan = plan,
            Self::Suspension(true) => account.suspended_at = account.suspended_at.or(Some(at)),
            Self::Suspension(false) => account.suspended_at = None,
            Self::FailoverOnModeration(allowed) => account.failover_on_moderation = allowed,
        }
        account
    }

    /// What it is called in the log.
    pub fn action(self) -> &'static str {
        match self {
            Self::Plan(_) => "account.plan_changed",
            Self::Suspension(true) => "account.suspended",
            Self::Suspension(false) => "account.resumed",
            Self::FailoverOnModeration(_) => "account.failover_changed",
        }
    }

    /// What it changes of an account, in a word.
    pub fn state(self, account: &Account) -> &'static str {
        match self {
            Self::Plan(_) => account.plan.as_str(),
            Self::Suspension(_) if account.suspended_at.is_some() => "suspended",
            Self::Suspension(_) => "active",
            Self::FailoverOnModeration(_) if account.failover_on_moderation => "allowed",
            Self::FailoverOnModeration(_) => "not allowed",
        }
    }

    /// What the account's members are told.
    pub fn told(self) -> String {
        match self {
            Self::Plan(plan) => format!("The plan is {} now", plan.as_str()),
            Self::Suspension(true) => "The account was suspended".to_owned(),
            Self::Suspension(false) => "The account is not suspended any more".to_owned(),
            Self::FailoverOnModeration(true) => "Failover on moderation is allowed".to_owned(),
            Self::FailoverOnModeration(false) => "Failover on moderation is off".to_owned(),
        }
    }
}

/// Whom something was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// An account.
    Account(AccountId),
    /// A person.
    User(UserId),
}

/// A line of the log on its way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOperatorAction {
    /// Who, when and why.
    pub act: Act,
    /// What, as `noun.verb`.
    pub action: &'static str,
    /// To whom.
    pub subject: Subject,
    /// What it was before; empty when there was nothing.
    pub was: String,
    /// What it is since.
    pub became: String,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorAction {
    /// Its id; later ones sort after earlier ones.
    pub id: ActivityId,
    /// The address of the operator, if there still is one; `cli` for a command.
    pub actor: String,
    /// What, as `noun.verb`.
    pub action: String,
    /// To whom.
    pub subject: Subject,
    /// The name of that account or the address of that person, if it is still there.
    pub name: String,
    /// What it was before.
    pub was: String,
    /// What it is since.
    pub became: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::account::AccountKind;
    use crate::money::Credits;

    fn account() -> Account {
        Account {
            id: AccountId(Uuid::nil()),
            name: "Studio".to_owned(),
            kind: AccountKind::Team,
            plan: Plan::Free,
            email: None,
            failover_on_moderation: false,
            suspended_at: None,
            balance: Credits::ZERO,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_change_says_what_was_and_what_became() {
        let changes = [
            (AccountChange::Plan(Plan::Pro), ["free", "pro"]),
            (AccountChange::Suspension(true), ["active", "suspended"]),
            (AccountChange::FailoverOnModeration(true), ["not allowed", "allowed"]),
        ];
        for (change, words) in changes {
            let before = account();
            let after = change.apply(before.clone(), DateTime::UNIX_EPOCH);
            assert_eq!([change.state(&before), change.state(&after)], words);
        }
    }

    #[test]
    fn the_first_suspension_counts_until_it_ends() {
        let later = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1);
        let suspended = AccountChange::Suspension(true).apply(account(), DateTime::UNIX_EPOCH);
        let again = AccountChange::Suspension(true).apply(suspended.clone(), later);
        assert_eq!(again, suspended);
        assert_eq!(AccountChange::Suspension(false).apply(again, later), account());
    }
}
