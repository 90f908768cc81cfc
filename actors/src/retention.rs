//! For how long what an account has is kept: as its plan says, and no longer than the operator
//! wants (`spec/contract.md` 12.3).
//!
//! Ledger entries are kept for ever: a balance is the sum of all of them.

use chrono::TimeDelta;

use crate::account::Plan;

/// What is queued for a disabled endpoint is kept so long on every plan.
const QUEUED_MIN: TimeDelta = TimeDelta::hours(72);
/// Usage looks back 90 days, of which the first one may have begun a day earlier.
const ATTEMPTS_KEPT: TimeDelta = TimeDelta::days(91);

/// The longest that an operator keeps anything, whatever a plan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Output files, from the success of their generation on.
    pub files_max: TimeDelta,
    /// Generations from their end on, webhook deliveries and notifications.
    pub records_max: TimeDelta,
    /// What is queued for a disabled endpoint.
    pub queued_max: TimeDelta,
}

impl Retention {
    /// As long as the plans say.
    pub const LONGEST: Self =
        Self { files_max: TimeDelta::MAX, records_max: TimeDelta::MAX, queued_max: TimeDelta::MAX };

    /// For how long output files are kept.
    pub fn files(&self, plan: Plan) -> TimeDelta {
        plan.files_kept().min(self.files_max)
    }

    /// For how long records are kept.
    pub fn records(&self, plan: Plan) -> TimeDelta {
        plan.records_kept().min(self.records_max)
    }

    /// For how long what is queued for a disabled endpoint is kept: no longer than records, but
    /// for three days on every plan.
    pub fn queued(&self, plan: Plan) -> TimeDelta {
        self.queued_max.min(self.records(plan)).max(QUEUED_MIN)
    }

    /// For how long attempts are kept: usage sums them, also those of generations that are gone,
    /// and no record is without its own.
    pub fn attempts(&self, plan: Plan) -> TimeDelta {
        self.records(plan).max(ATTEMPTS_KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_keep_as_documented_and_operators_may_keep_less() {
        let all = Retention::LONGEST;
        let files = Plan::ALL.map(|plan| all.files(plan).num_hours());
        assert_eq!(files, [1, 12, 24, 120, 168]);
        assert_eq!(Plan::ALL.map(|plan| all.records(plan).num_days()), [1, 7, 30, 180, 365]);
        assert_eq!(Plan::ALL.map(|plan| all.attempts(plan).num_days()), [91, 91, 91, 180, 365]);
        assert_eq!(Plan::ALL.map(|plan| all.queued(plan).num_days()), [3, 7, 30, 180, 365]);
        let less = Retention {
            files_max: TimeDelta::hours(2),
            records_max: TimeDelta::days(10),
            queued_max: TimeDelta::days(5),
        };
        assert_eq!(Plan::ALL.map(|plan| less.files(plan).num_hours()), [1, 2, 2, 2, 2]);
        assert_eq!(Plan::ALL.map(|plan| less.records(plan).num_days()), [1, 7, 10, 10, 10]);
        assert_eq!(Plan::ALL.map(|plan| less.queued(plan).num_days()), [3, 5, 5, 5, 5]);
        assert_eq!(Plan::ALL.map(|plan| less.attempts(plan).num_days()), [91; 5]);
    }
}
