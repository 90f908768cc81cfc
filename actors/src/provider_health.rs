//! How each provider has done lately, counted from the attempts that have ended.
//!
//! Only what a provider answers for counts: a caller's mistake, refused content, a cancel and
//! our own faults say nothing about it. The counts are in memory, in seconds, so they take the
//! same room however many attempts there are; at start they are made again from the attempts
//! that the store has.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use providers::name::ProviderName;

use crate::attempt::AttemptOutcome;
use crate::failure::FailureCode;

/// When a provider counts as degraded (`spec/contract.md` B.4).
#[derive(Debug, Clone, Copy)]
pub struct HealthRules {
    /// How far back attempts count.
    pub window: Duration,
    /// Fewer attempts than this say too little.
    pub attempts_min: u64,
    /// The share of failures from which it is degraded.
    pub failures_percent: u64,
}

/// The recent attempts of every provider. Shared by all actors and the API.
#[derive(Debug)]
pub struct ProviderHealth {
    rules: HealthRules,
    windows: Mutex<BTreeMap<ProviderName, Window>>,
}

/// How a provider has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// What that comes to.
    pub status: HealthStatus,
    /// Attempts that failed through the provider.
    pub failures: u64,
    /// Attempts that it served.
    pub successes: u64,
}

/// The word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStatus {
    /// It serves.
    Healthy,
    /// It fails too often.
    Degraded,
    /// Nobody has asked it lately.
    Unknown,
}

impl HealthStatus {
    /// The text of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
        }
    }
}

impl Report {
    /// All attempts that count.
    pub fn attempts(&self) -> u64 {
        self.failures + self.successes
    }
}

impl ProviderHealth {
    /// Nothing known yet.
    pub fn new(rules: HealthRules) -> Self {
        Self { rules, windows: Mutex::default() }
    }

    /// By which it judges.
    pub fn rules(&self) -> &HealthRules {
        &self.rules
    }

    /// Takes in how an attempt ended.
    pub fn note(&self, provider: ProviderName, outcome: &AttemptOutcome) {
        let (Some(served), Some(at)) = (served(outcome), outcome.resolved_at()) else { return };
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.entry(provider).or_default().add(at.timestamp(), served, self.seconds());
    }

    /// How a provider has done in the window before now.
    pub fn report(&self, provider: ProviderName, now: DateTime<Utc>) -> Report {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let after = now.timestamp() - self.seconds();
        let (failures, successes) =
            windows.get(&provider).map_or((0, 0), |window| window.count(after));
        let attempts = failures + successes;
        let status = if attempts == 0 {
            HealthStatus::Unknown
        } else if attempts >= self.rules.attempts_min
            && failures * 100 >= attempts * self.rules.failures_percent
        {
            HealthStatus::Degraded
        } else {
            HealthStatus::Healthy
        };
        Report { status, failures, successes }
    }

    fn seconds(&self) -> i64 {
        i64::try_from(self.rules.window.as_secs()).unwrap_or(i64::MAX / 2)
    }
}

/// Whether the provider served an attempt; `None` when the outcome is not its doing.
fn served(outcome: &AttemptOutcome) -> Option<bool> {
    match outcome {
        AttemptOutcome::Used { .. } => Some(true),
        AttemptOutcome::Failed { failure, .. } => match failure.code {
            FailureCode::ProviderTimeout
            | FailureCode::ProviderUnavailable
            | FailureCode::ProviderError
            | FailureCode::ProviderRateLimited
            | FailureCode::ProviderCreditsExhausted
            | FailureCode::ProviderAuthenticationFailed
            | FailureCode::GenerationTimedOut => Some(false),
            FailureCode::ContentPolicyViolation
            | FailureCode::ProviderRejectedRequest
            | FailureCode::AllProvidersFailed
            | FailureCode::GenerationFailed
            | FailureCode::OutputProcessingFailed => None,
        },
        // A late result was counted when its attempt had failed, or followed a cancel.
        AttemptOutcome::Pending
        | AttemptOutcome::Discarded { .. }
        | AttemptOutcome::Canceled { .. } => None,
    }
}

/// The attempts of one provider, counted by the second, oldest first.
#[derive(Debug, Default)]
struct Window(VecDeque<Second>);

#[derive(Debug, Clone, Copy)]
struct Second {
    at: i64,
    failures: u64,
    successes: u64,
}

impl Window {
    fn add(&mut self, at: i64, served: bool, seconds: i64) {
        // Several threads note, so news may come a little out of order.
        let place = self.0.partition_point(|second| second.at < at);
        if self.0.get(place).is_none_or(|second| second.at != at) {
            self.0.insert(place, Second { at, failures: 0, successes: 0 });
        }
        let second = &mut self.0[place];
        match served {
            true => second.successes += 1,
            false => second.failures += 1,
        }
        let newest = self.0.back().map_or(at, |newest| newest.at);
        while self.0.front().is_some_and(|oldest| oldest.at <= newest - seconds) {
            self.0.pop_front();
        }
    }

    /// Failures and successes after that second.
    fn count(&self, after: i64) -> (u64, u64) {
        let recent = self.0.iter().filter(|second| second.at > after);
        recent.fold((0, 0), |(failures, successes), second| {
            (failures + second.failures, successes + second.successes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    const FAL: ProviderName = ProviderName::Fal;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 999_000_000).unwrap()
    }

    fn health() -> ProviderHealth {
        ProviderHealth::new(HealthRules {
            window: Duration::from_secs(300),
            attempts_min: 10,
            failures_percent: 50,
        })
    }

    fn note(health: &ProviderHealth, second: i64, code: Option<FailureCode>) {
        let at = at(second);
        let outcome = match code {
            None => AttemptOutcome::Used { at },
            Some(code) => AttemptOutcome::Failed { at, failure: Failure::new(code, "It broke.") },
        };
        health.note(FAL, &outcome);
    }

    const DOWN: Option<FailureCode> = Some(FailureCode::ProviderUnavailable);

    #[test]
    fn half_of_ten_failures_degrade_a_provider() {
        let health = health();
        assert_eq!(health.report(FAL, at(0)).status, HealthStatus::Unknown);
        for second in 0..9 {
            note(&health, second, DOWN);
        }
        assert_eq!(health.report(FAL, at(9)).status, HealthStatus::Healthy, "nine say too little");
        for _ in 0..9 {
            note(&health, 9, None);
        }
        let report = health.report(FAL, at(9));
        assert_eq!((report.failures, report.successes, report.attempts()), (9, 9, 18));
        assert_eq!(report.status, HealthStatus::Degraded);
        note(&health, 9, None);
        assert_eq!(health.report(FAL, at(9)).status, HealthStatus::Healthy);
        assert_eq!(health.report(ProviderName::Bfl, at(9)).status, HealthStatus::Unknown);
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let health = health();
        note(&health, 0, DOWN);
        note(&health, 10, None);
        assert_eq!(health.report(FAL, at(299)).attempts(), 2);
        assert_eq!(health.report(FAL, at(300)).attempts(), 1);
        assert_eq!(health.report(FAL, at(310)).status, HealthStatus::Unknown);
    }

    #[test]
    fn only_what_a_provider_answers_for_counts() {
        let health = health();
        for code in FailureCode::ALL {
            note(&health, 0, Some(code));
        }
        for outcome in [
            AttemptOutcome::Pending,
            AttemptOutcome::Canceled { at: at(0) },
            AttemptOutcome::Discarded { at: at(0) },
        ] {
            health.note(FAL, &outcome);
        }
        let report = health.report(FAL, at(0));
        assert_eq!((report.failures, report.successes), (7, 0));
    }

    #[test]
    fn it_takes_the_same_room_however_much_happens() {
        let health = health();
        for second in 0..2_000 {
            for _ in 0..5 {
                note(&health, second, None);
            }
            // Late news is put in its place.
            note(&health, second - 3, DOWN);
        }
        assert!(health.windows.lock().unwrap()[&FAL].0.len() <= 300);
        let report = health.report(FAL, at(1_999));
        assert_eq!((report.failures, report.successes), (297, 1_500));
    }
}
