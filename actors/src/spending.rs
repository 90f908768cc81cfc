//! What a key has spent in a month, and how much more it may.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};

use crate::money::Credits;

/// What a key may spend in a calendar month (UTC), and what it has. A refund gives back to the
/// month that was charged. Counted without a limit too, so that one that is set later knows what
/// was spent, whatever has been deleted since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spending {
    /// The most in a month; `None` is without limit.
    pub limit: Option<Credits>,
    /// The month that `spent` is about.
    pub month: Month,
    /// What is reserved or charged in that month.
    pub spent: Credits,
}

/// A calendar month (UTC), as the number `202611`; 0 before every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Month(pub u32);

impl Month {
    /// The month of a time.
    pub fn of(at: DateTime<Utc>) -> Self {
        Self(at.year().unsigned_abs() * 100 + at.month())
    }

    /// When it begins; `None` for what is no month.
    pub fn start(self) -> Option<DateTime<Utc>> {
        let date = NaiveDate::from_ymd_opt((self.0 / 100).cast_signed(), self.0 % 100, 1)?;
        Some(date.and_time(NaiveTime::MIN).and_utc())
    }

    /// The month after it.
    pub fn next(self) -> Self {
        if self.0 % 100 == 12 { Self((self.0 / 100 + 1) * 100 + 1) } else { Self(self.0 + 1) }
    }
}

/// A key may not spend so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key has spent {spent} of {limit} in this month, and {amount} is too much")]
pub struct SpendLimitReached {
    /// What it may spend in the month.
    pub limit: Credits,
    /// What it has.
    pub spent: Credits,
    /// What was asked for.
    pub amount: Credits,
    /// The month.
    pub month: Month,
}

impl Spending {
    /// What is spent in a month. A month before the one that is counted is over, and a later one
    /// has just begun.
    pub fn spent_in(&self, month: Month) -> Credits {
        if month == self.month { self.spent } else { Credits::ZERO }
    }

    /// Counts an amount, and says in which month.
    ///
    /// # Errors
    /// [`SpendLimitReached`]; nothing was counted.
    pub fn spend(&mut self, month: Month, amount: Credits) -> Result<Month, SpendLimitReached> {
        // A clock that was set back must not open a month anew.
        let month = month.max(self.month);
        let spent = self.spent_in(month);
        let after = spent.plus(amount);
        match self.limit {
            Some(limit) if after > limit => Err(SpendLimitReached { limit, spent, amount, month }),
            Some(_) | None => {
                (self.month, self.spent) = (month, after);
                Ok(month)
            }
        }
    }

    /// Gives an amount back that was counted in a month.
    pub fn give_back(&mut self, month: Month, amount: Credits) {
        if month == self.month {
            self.spent = self.spent.checked_sub(amount).unwrap_or(Credits::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOVEMBER: Month = Month(202_611);
    const DECEMBER: Month = Month(202_612);

    fn credits(text: &str) -> Credits {
        Credits::parse(text).unwrap()
    }

    fn limited(limit: &str) -> Spending {
        Spending { limit: Some(credits(limit)), ..Spending::default() }
    }

    #[test]
    fn months_follow_the_calendar() {
        let end = "2026-12-31T23:59:59.999999Z".parse().unwrap();
        assert_eq!(Month::of(end), DECEMBER);
        assert_eq!(NOVEMBER.next(), DECEMBER);
        assert_eq!(DECEMBER.next(), Month(202_701));
        assert_eq!(DECEMBER.start(), "2026-12-01T00:00:00Z".parse().ok());
        assert_eq!(Month::default().start(), None);
    }

    #[test]
    fn a_limit_that_is_set_later_knows_what_was_spent() {
        let mut spending = Spending::default();
        assert_eq!(spending.spend(NOVEMBER, credits("5")), Ok(NOVEMBER));
        spending.limit = Some(credits("5"));
        assert!(spending.spend(NOVEMBER, credits("0.001")).is_err());
    }

    #[test]
    fn the_limit_is_reached_exactly_and_never_passed() {
        let mut spending = limited("1");
        assert_eq!(spending.spend(NOVEMBER, credits("0.6")), Ok(NOVEMBER));
        let refused = spending.spend(NOVEMBER, credits("0.401")).unwrap_err();
        assert_eq!((refused.limit, refused.spent), (credits("1"), credits("0.6")));
        assert_eq!(spending.spend(NOVEMBER, credits("0.4")), Ok(NOVEMBER));
        assert!(spending.spend(NOVEMBER, credits("0.001")).is_err());
    }

    #[test]
    fn a_refund_gives_back_to_its_own_month_only() {
        let mut spending = limited("1");
        spending.spend(NOVEMBER, credits("1")).unwrap();
        spending.give_back(NOVEMBER, credits("0.25"));
        assert_eq!(spending.spent_in(NOVEMBER), credits("0.75"));
        spending.spend(DECEMBER, credits("1")).unwrap();
        spending.give_back(NOVEMBER, credits("0.75"));
        assert_eq!(spending.spent_in(DECEMBER), credits("1"));
    }

    #[test]
    fn a_clock_set_back_does_not_open_a_month_anew() {
        let mut spending = limited("1");
        spending.spend(DECEMBER, credits("1")).unwrap();
        assert!(spending.spend(NOVEMBER, credits("0.001")).is_err());
    }
}
