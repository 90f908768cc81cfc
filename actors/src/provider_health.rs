//! How each provider has done lately, over all of its models (`spec/contract.md` 10.1).
//!
//! What counts is what [`Signal::of`](crate::routing::breaker::Signal::of) makes of attempts. They
//! are counted by the second, so they take the same room however many there are.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use crate::routing::breaker::State;

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
    /// Some circuits of it are open, or tried again; most of its traffic flows.
    Recovering,
    /// The circuits of at least half of its traffic are open.
    Degraded,
    /// Nobody has asked it lately.
    Unknown,
}

impl HealthStatus {
    /// The text of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Recovering => "recovering",
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

/// One circuit of a provider: where it stands, with the failures and successes of the window.
pub type Counted = (State, u64, u64);

/// What the circuits of a provider come to, each weighing as much as its traffic.
pub fn roll_up(circuits: impl IntoIterator<Item = Counted>) -> Report {
    let (mut failures, mut successes, mut weight, mut open, mut trying) = (0, 0, 0, 0, 0);
    for (state, failed, served) in circuits {
        failures += failed;
        successes += served;
        // A circuit that is not closed says something even when the window has forgotten why.
        let own = (failed + served).max(u64::from(state != State::Closed));
        weight += own;
        match state {
            State::Closed => {}
            State::Paused { .. } | State::Open { .. } => open += own,
            State::HalfOpen { .. } => trying += own,
        }
    }
    let status = if weight == 0 {
        HealthStatus::Unknown
    } else if open * 2 >= weight {
        HealthStatus::Degraded
    } else if open + trying > 0 {
        HealthStatus::Recovering
    } else {
        HealthStatus::Healthy
    };
    Report { status, failures, successes }
}

/// The second at which a window begins that ends now.
pub(crate) fn window_start(now: DateTime<Utc>, seconds: i64) -> i64 {
    now.timestamp().saturating_sub(seconds)
}

/// Attempts, counted by the second, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Window(VecDeque<Second>);

#[derive(Debug, Clone, Copy)]
struct Second {
    at: i64,
    failures: u64,
    successes: u64,
}

impl Window {
    pub(crate) fn add(&mut self, at: i64, served: bool, seconds: i64) {
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
    pub(crate) fn count(&self, after: i64) -> (u64, u64) {
        let recent = self.0.iter().filter(|second| second.at > after);
        recent.fold((0, 0), |(failures, successes), second| {
            (failures + second.failures, successes + second.successes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn a_provider_is_what_most_of_its_traffic_meets() {
        let open = State::Open { since: at(0), until: at(60) };
        let paused = State::Paused { until: at(5) };
        let half_open =
            State::HalfOpen { since: at(0), opened_ms: 1, served: 0, asked: 0, asked_at: at(0) };
        let closed = State::Closed;
        for (circuits, expected) in [
            (vec![], HealthStatus::Unknown),
            (vec![(closed, 0, 0)], HealthStatus::Unknown),
            (vec![(closed, 1, 9), (closed, 0, 0)], HealthStatus::Healthy),
            (vec![(closed, 0, 10), (open, 9, 0)], HealthStatus::Recovering),
            (vec![(closed, 0, 10), (open, 10, 0)], HealthStatus::Degraded),
            (vec![(closed, 0, 10), (paused, 10, 5)], HealthStatus::Degraded),
            (vec![(closed, 0, 10), (half_open, 90, 0)], HealthStatus::Recovering),
            (vec![(open, 0, 0)], HealthStatus::Degraded),
            (vec![(half_open, 0, 0)], HealthStatus::Recovering),
        ] {
            assert_eq!(roll_up(circuits.clone()).status, expected, "{circuits:?}");
        }
        let report = roll_up([(closed, 1, 2), (open, 3, 4)]);
        assert_eq!((report.failures, report.successes, report.attempts()), (4, 6, 10));
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut window = Window::default();
        window.add(0, false, 300);
        window.add(10, true, 300);
        let count = |now| window.count(window_start(at(now), 300) - 1_800_000_000);
        assert_eq!((count(299), count(300), count(310)), ((1, 1), (0, 1), (0, 0)));
    }

    #[test]
    fn it_takes_the_same_room_however_much_happens() {
        let mut window = Window::default();
        for second in 0..2_000 {
            (0..5).for_each(|_| window.add(second, true, 300));
            // Late news is put in its place.
            window.add(second - 3, false, 300);
        }
        assert!(window.0.len() <= 300);
        assert_eq!(window.count(1_699), (297, 1_500));
    }
}
