//! What an account has used over some days (`spec/contract.md` 10.6).

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use providers::name::ProviderName;
use uuid::Uuid;

use crate::id::first_at;
use crate::logged_request::RequestCounts;

/// Calendar days of UTC, today's included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageWindow {
    /// The first day.
    pub from: NaiveDate,
}

impl UsageWindow {
    /// The last so many days.
    pub fn of_days(days: u32, now: DateTime<Utc>) -> Self {
        let before = Days::new(u64::from(days.saturating_sub(1)));
        let today = now.date_naive();
        Self { from: today.checked_sub_days(before).unwrap_or(NaiveDate::MIN) }
    }

    /// No generation of the window has a smaller id, and none from before it a larger one: ids
    /// begin with their time.
    pub fn first_id(&self) -> Uuid {
        first_at(self.from.and_time(NaiveTime::MIN).and_utc())
    }
}

/// What was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// By endpoint, in the order of their names.
    pub endpoints: Vec<EndpointUsage>,
    /// By provider, in the order of their names.
    pub providers: Vec<ProviderUsage>,
    /// Generations that were accepted.
    pub generations: u64,
}

/// Requests at one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUsage {
    /// The route.
    pub endpoint: String,
    /// How they ended.
    pub counts: RequestCounts,
    /// How often with which `BSE####`.
    pub codes: Vec<(String, u64)>,
}

/// Attempts at one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderUsage {
    /// Which.
    pub provider: ProviderName,
    /// All of them, also those whose outcome is open.
    pub submissions: u64,
    /// Whose result was delivered.
    pub used: u64,
    /// That ended with a cancel.
    pub canceled: u64,
    /// Whose result came too late.
    pub discarded: u64,
    /// That came to nothing.
    pub failed: u64,
    /// What all of them cost, in millionths of a credit.
    pub cost_microcredits: i64,
    /// What those cost that were for nothing: failed, discarded, canceled.
    pub wasted_microcredits: i64,
}

impl ProviderUsage {
    /// None at all yet.
    pub fn new(provider: ProviderName) -> Self {
        Self {
            provider,
            submissions: 0,
            used: 0,
            canceled: 0,
            discarded: 0,
            failed: 0,
            cost_microcredits: 0,
            wasted_microcredits: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_begins_at_midnight_and_holds_today() {
        let now = at("2026-03-01T00:00:00Z");
        assert_eq!(UsageWindow::of_days(1, now).from.to_string(), "2026-03-01");
        assert_eq!(UsageWindow::of_days(2, now).from.to_string(), "2026-02-28");
        assert_eq!(UsageWindow::of_days(90, now).from.to_string(), "2025-12-02");
    }

    #[test]
    fn ids_of_the_window_sort_after_its_first() {
        let first = UsageWindow::of_days(1, at("2026-03-01T12:00:00Z")).first_id();
        let id = |milliseconds: u128| Uuid::from_u128(milliseconds << 80 | 0x7abc << 64 | 5);
        let midnight = u128::try_from(at("2026-03-01T00:00:00Z").timestamp_millis()).unwrap();
        assert!(id(midnight) > first && id(midnight - 1) < first);
    }
}
