//! How much one key may ask for: submits per minute, and jobs at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::latency::Limits;

/// Keys whose counts are kept; beyond that, all start anew.
const KEYS_MAX: usize = 1_000;

/// What is left of a minute's submits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Allowance {
    /// When there will be one more.
    pub(crate) wait_seconds: f64,
    pub(crate) granted: bool,
}

/// The counts of one provider.
pub(crate) struct Meter {
    limits: Limits,
    keys: Mutex<HashMap<String, Count>>,
}

struct Count {
    tokens: f64,
    at: DateTime<Utc>,
    /// Ids and ends of the jobs that are not over.
    running: Vec<(String, DateTime<Utc>)>,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, keys: Mutex::default() }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes leave for one submit.
    pub(crate) fn take(&self, key: &str, now: DateTime<Utc>) -> Allowance {
        let limit = f64::from(self.limits.per_minute);
        self.with(key, now, |count| {
            let passed = (now - count.at).as_seconds_f64().max(0.0);
            count.tokens = (count.tokens + passed * limit / 60.0).min(limit);
            count.at = now;
            let granted = count.tokens >= 1.0;
            if granted {
                count.tokens -= 1.0;
            }
            let missing = (1.0 - count.tokens).max(0.0);
            Allowance { wait_seconds: missing * 60.0 / limit, granted }
        })
    }

    /// What is left, without taking any of it.
    pub(crate) fn peek(&self, key: &str, now: DateTime<Utc>) -> (u32, u32) {
        let limit = self.limits.per_minute;
        self.with(key, now, |count| {
            let passed = (now - count.at).as_seconds_f64().max(0.0);
            let tokens = count.tokens + passed * f64::from(limit) / 60.0;
            (limit, tokens.min(f64::from(limit)) as u32)
        })
    }

    /// How many jobs of a key are not over.
    pub(crate) fn running(&self, key: &str, now: DateTime<Utc>) -> usize {
        self.with(key, now, |count| {
            count.running.retain(|(_, ends)| *ends > now);
            count.running.len()
        })
    }

    /// When a job that comes now starts, if it has to wait for others to end.
    pub(crate) fn seat(&self, key: &str, now: DateTime<Utc>) -> DateTime<Utc> {
        let Some(concurrency) = self.limits.concurrency else { return now };
        self.with(key, now, |count| {
            count.running.retain(|(_, ends)| *ends > now);
            let Some(waiting) = count.running.len().checked_sub(concurrency) else { return now };
            let mut ends: Vec<_> = count.running.iter().map(|(_, ends)| *ends).collect();
            ends.sort_unstable();
            // As many must have ended as are too many, and one more.
            ends[waiting]
        })
    }

    pub(crate) fn start(&self, key: &str, id: &str, ends: DateTime<Utc>, now: DateTime<Utc>) {
        self.with(key, now, |count| count.running.push((id.to_owned(), ends)));
    }

    pub(crate) fn stop(&self, key: &str, id: &str, now: DateTime<Utc>) {
        self.with(key, now, |count| count.running.retain(|(known, _)| known != id));
    }

    pub(crate) fn clear(&self) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn with<T>(&self, key: &str, now: DateTime<Utc>, change: impl FnOnce(&mut Count) -> T) -> T {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_MAX && !keys.contains_key(key) {
            keys.clear();
        }
        let full = f64::from(self.limits.per_minute);
        let count = keys.entry(key.to_owned()).or_insert_with(|| Count {
            tokens: full,
            at: now,
            running: Vec::new(),
        });
        change(count)
    }
}

/// Whole seconds to wait, at least one.
pub(crate) fn whole_seconds(seconds: f64) -> u64 {
    (seconds.ceil() as u64).max(1)
}

/// A time that far from another; nothing waits for centuries.
pub(crate) fn after(at: DateTime<Utc>, seconds: f64) -> DateTime<Utc> {
    at + TimeDelta::microseconds((seconds.clamp(0.0, 1e9) * 1e6) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_minute_has_so_many_submits_and_they_come_back() {
        let meter = Meter::new(Limits { per_minute: 2, concurrency: None });
        let granted = |key, seconds| meter.take(key, at(seconds)).granted;
        assert_eq!([granted("a", 0), granted("a", 0), granted("a", 0)], [true, true, false]);
        assert!(granted("b", 0));
        assert!(!granted("a", 15));
        assert!(granted("a", 30));
        assert_eq!(meter.take("a", at(30)).wait_seconds, 30.0);
    }

    #[test]
    fn jobs_beyond_the_limit_wait_for_others_to_end() {
        let meter = Meter::new(Limits { per_minute: 9, concurrency: Some(2) });
        for (id, ends) in [("x", 10), ("y", 20)] {
            assert_eq!(meter.seat("a", at(0)), at(0));
            meter.start("a", id, at(ends), at(0));
        }
        assert_eq!(meter.seat("a", at(0)), at(10));
        meter.start("a", "z", at(40), at(0));
        assert_eq!(meter.seat("a", at(0)), at(20));
        meter.stop("a", "y", at(0));
        assert_eq!((meter.running("a", at(0)), meter.seat("a", at(0))), (2, at(10)));
        assert_eq!((meter.running("a", at(50)), meter.seat("b", at(0))), (0, at(0)));
    }
}
