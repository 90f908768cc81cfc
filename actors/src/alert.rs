//! Alerts about a low balance (`spec/contract.md` 9.5, `spec/domain.md` A.8).
//!
//! A threshold fires once when the balance falls below it, and can fire again only after a grant
//! has lifted the balance a good way above: refunds do not count, or every failing generation
//! near a threshold would alert. What is crossed within one interval is told together.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::id::AccountId;
use crate::money::Credits;

/// Thresholds of an account (`spec/contract.md` 9.5).
pub const THRESHOLDS_MAX: usize = 10;
/// The threshold of an account that never chose: 0.500.
pub const THRESHOLD_DEFAULT: i64 = 500;
/// How far above a threshold the balance must come before it can fire again: a fifth of it, and
/// at least a quarter of a credit.
const BAND_DIVISOR: i64 = 5;
const BAND_MIN: i64 = 250;
/// The shortest time between two alerts of an account.
const INTERVAL: TimeDelta = TimeDelta::minutes(10);

/// What an account wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSettings {
    /// Whether anything is.
    pub enabled: bool,
    /// Highest first, each once.
    pub thresholds: Vec<Credits>,
    /// Whether the dashboard shows it.
    pub in_app: bool,
    /// Whether webhook endpoints are told.
    pub webhook: bool,
    /// Whether the primary owner is told by mail.
    pub email: bool,
}

impl Default for AlertSettings {
    fn default() -> Self {
        let threshold = Credits::from_thousandths(THRESHOLD_DEFAULT);
        let thresholds = threshold.into_iter().collect();
        Self { enabled: true, thresholds, in_app: true, webhook: false, email: true }
    }
}

/// Why settings cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AlertProblem {
    /// Too many thresholds.
    #[error("must not name more than {THRESHOLDS_MAX} thresholds")]
    TooMany,
    /// A threshold of nothing can never be crossed.
    #[error("must be more than 0")]
    Zero,
}

impl AlertSettings {
    /// Brings the thresholds into order.
    ///
    /// # Errors
    /// [`AlertProblem`].
    pub fn checked(mut self) -> Result<Self, AlertProblem> {
        self.thresholds.sort_unstable_by(|one, other| other.cmp(one));
        self.thresholds.dedup();
        if self.thresholds.len() > THRESHOLDS_MAX {
            return Err(AlertProblem::TooMany);
        }
        if self.thresholds.contains(&Credits::ZERO) {
            return Err(AlertProblem::Zero);
        }
        Ok(self)
    }
}

/// The alerts of an account: what it wants, and what it has been told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alerts {
    /// What it wants.
    pub settings: AlertSettings,
    /// Thresholds that have fired and are not armed again.
    pub fired: Vec<Credits>,
    /// When it was last told.
    pub told_at: Option<DateTime<Utc>>,
}

impl Alerts {
    /// The highest threshold that can fire: a balance below it has to be looked at.
    pub fn alert_below(&self) -> Credits {
        let armed = || self.settings.thresholds.iter().filter(|one| !self.fired.contains(one));
        let highest = self.settings.enabled.then(|| armed().max().copied()).flatten();
        highest.unwrap_or(Credits::ZERO)
    }

    /// The balance has fallen: the thresholds that fire now, highest first. While the last alert is
    /// fresh, only those below one that has fired: on the way down each is told at once, since no
    /// later reserve may succeed. The others stay armed and fire with a later one.
    pub fn fall(&mut self, balance: Credits, at: DateTime<Utc>) -> Vec<Credits> {
        if !self.settings.enabled {
            return Vec::new();
        }
        let fresh = self.told_at.is_some_and(|told| at - told < INTERVAL);
        let below = if fresh { self.fired.iter().max().copied() } else { Some(Credits::MAX) };
        let crossed: Vec<Credits> = (self.settings.thresholds.iter().copied())
            .filter(|threshold| balance < *threshold && !self.fired.contains(threshold))
            .filter(|threshold| below.is_some_and(|below| *threshold <= below))
            .collect();
        if !crossed.is_empty() {
            self.fired.extend(&crossed);
            self.told_at = Some(at);
        }
        crossed
    }

    /// Credit was granted: thresholds far enough below the balance can fire again. Answers
    /// whether anything changed.
    pub fn rise(&mut self, balance: Credits) -> bool {
        let before = self.fired.len();
        self.fired.retain(|threshold| balance.thousandths() < armed_again_at(*threshold));
        self.fired.len() != before
    }

    /// Takes other settings. What is no threshold any more has not fired either.
    pub fn change(&mut self, settings: AlertSettings) {
        self.fired.retain(|threshold| settings.thresholds.contains(threshold));
        self.settings = settings;
    }
}

fn armed_again_at(threshold: Credits) -> i64 {
    let threshold = threshold.thousandths();
    threshold.saturating_add((threshold / BAND_DIVISOR).max(BAND_MIN))
}

/// `webhook_data` of `credits.low_balance` (`spec/contract.md` 8.2).
pub fn low_balance_data(account_id: AccountId, balance: Credits, crossed: &[Credits]) -> Value {
    let crossed: Vec<Value> = crossed
        .iter()
        .map(|threshold| {
            json!({ "threshold": threshold.to_number(), "balance_at": balance.to_number() })
        })
        .collect();
    json!({
        "account_id": account_id,
        "current_balance": balance.to_number(),
        "thresholds_crossed": crossed,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn credits(thousandths: i64) -> Credits {
        Credits::from_thousandths(thousandths).unwrap()
    }

    fn alerts(thresholds: &[i64]) -> Alerts {
        let thresholds = thresholds.iter().map(|one| credits(*one)).collect();
        let settings = AlertSettings { thresholds, ..AlertSettings::default() };
        Alerts { settings: settings.checked().unwrap(), ..Alerts::default() }
    }

    fn minute(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000 + minutes * 60, 0).unwrap()
    }

    #[test]
    fn a_threshold_fires_once_and_strictly_below() {
        let mut alerts = alerts(&[500]);
        assert_eq!(alerts.alert_below(), credits(500));
        assert!(alerts.fall(credits(500), minute(0)).is_empty());
        assert_eq!(alerts.fall(credits(499), minute(0)), [credits(500)]);
        assert_eq!(alerts.alert_below(), Credits::ZERO);
        assert!(alerts.fall(credits(100), minute(60)).is_empty());
    }

    #[test]
    fn a_failing_generation_near_a_threshold_alerts_once() {
        let mut alerts = alerts(&[500]);
        let mut told = 0;
        for round in 0..5 {
            told += alerts.fall(credits(490), minute(round * 60)).len();
            // A refund does not go through here; a small grant does, and is within the band.
            alerts.rise(credits(510));
        }
        assert_eq!(told, 1);
        assert!(!alerts.rise(credits(749)));
        assert!(alerts.rise(credits(750)), "a quarter of a credit above");
        assert_eq!(alerts.fall(credits(490), minute(999)), [credits(500)]);
    }

    #[test]
    fn the_band_of_a_high_threshold_is_a_fifth_of_it() {
        let mut alerts = alerts(&[10_000]);
        alerts.fall(credits(9_000), minute(0));
        assert!(!alerts.rise(credits(11_999)));
        assert!(alerts.rise(credits(12_000)));
    }

    #[test]
    fn several_thresholds_are_told_together_and_the_next_when_it_is_crossed() {
        let mut alerts = alerts(&[100, 5_000, 1_000]);
        assert_eq!(alerts.alert_below(), credits(5_000));
        assert_eq!(alerts.fall(credits(900), minute(0)), [credits(5_000), credits(1_000)]);
        assert_eq!(alerts.alert_below(), credits(100));
        assert_eq!(
            alerts.fall(credits(50), minute(1)),
            [credits(100)],
            "there may be no later one"
        );
    }

    #[test]
    fn one_that_is_armed_again_waits_for_the_interval() {
        let mut alerts = alerts(&[500]);
        assert_eq!(alerts.fall(credits(490), minute(0)), [credits(500)]);
        assert!(alerts.rise(credits(5_000)));
        assert!(alerts.fall(credits(480), minute(9)).is_empty(), "too soon");
        assert_eq!(alerts.alert_below(), credits(500), "and still armed");
        assert_eq!(alerts.fall(credits(470), minute(10)), [credits(500)]);
    }

    #[test]
    fn what_is_turned_off_tells_nobody() {
        let mut alerts = alerts(&[500]);
        alerts.settings.enabled = false;
        assert_eq!(alerts.alert_below(), Credits::ZERO);
        assert!(alerts.fall(Credits::ZERO, minute(0)).is_empty());
    }

    #[test]
    fn ten_thresholds_above_nothing_are_taken() {
        let with = |thresholds: Vec<Credits>| {
            AlertSettings { thresholds, ..AlertSettings::default() }.checked()
        };
        assert!(with((1..=10).map(credits).collect()).is_ok());
        assert_eq!(with((1..=11).map(credits).collect()), Err(AlertProblem::TooMany));
        assert_eq!(with(vec![Credits::ZERO]), Err(AlertProblem::Zero));
    }

    #[test]
    fn it_is_told_as_in_the_contract() {
        let data = low_balance_data(AccountId(Uuid::nil()), credits(412), &[credits(500)]);
        let wanted = concat!(
            r#"{"account_id":"00000000-0000-0000-0000-000000000000","current_balance":0.412,"#,
            r#""thresholds_crossed":[{"threshold":0.5,"balance_at":0.412}]}"#
        );
        assert_eq!(data.to_string(), wanted);
    }
}
