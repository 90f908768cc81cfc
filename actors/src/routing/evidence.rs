//! What is known of one model at one provider: decayed counts of what it served and failed, how
//! fast it was when it served, and what it cost.
//!
//! Everything fades by half in the rules' half-life, and by number: no more than so many attempts
//! are remembered, so that what happens now shows, however much happened before. A run of successes
//! that what is remembered makes hardly likely says that an outage is over, and its failures are
//! forgotten at once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::routing::breaker::Signal;

/// A run of successes that had a smaller chance than this, by what is remembered, is no chance.
const CHANGED: f64 = 0.01;

/// How the past fades.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// After so long an attempt counts for half.
    pub half_life: Duration,
    /// Most attempts that are remembered.
    pub attempts_max: u32,
}

/// One ended attempt, as it counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// How it ended.
    pub signal: Signal,
    /// When.
    pub at: DateTime<Utc>,
    /// How long a success took for each unit of work ([`super::workload`]), in milliseconds.
    pub unit_ms: Option<f64>,
    /// What it cost us over what it brings us, where the provider's price is known.
    pub cost_share: Option<f64>,
}

/// The decayed record of one model at one provider.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    successes: f64,
    failures: f64,
    /// Sum of the logarithms of times, weighted like successes: times spread by factors.
    log_ms: f64,
    log_ms_squared: f64,
    cost_share: f64,
    costed: f64,
    /// Successes since the last failure, and the share of successes when that came.
    run: u32,
    share_before: f64,
    at: DateTime<Utc>,
}

impl Evidence {
    /// As it counts at that time.
    pub fn at(&self, now: DateTime<Utc>, memory: &Memory) -> Self {
        let age = (now - self.at).to_std().unwrap_or_default();
        let kept = (-age.as_secs_f64() / memory.half_life.as_secs_f64()).exp2();
        Self { at: self.at.max(now), ..self.scaled(kept) }
    }

    /// Takes an attempt in.
    pub fn add(&mut self, observation: Observation, memory: &Memory) {
        let mut next = self.at(observation.at, memory);
        let room = f64::from(memory.attempts_max.max(1)) - 1.0;
        if next.attempts() > room {
            next = next.scaled(room / next.attempts());
        }
        match observation.signal {
            Signal::Served => {
                next.successes += 1.0;
                next.run = next.run.saturating_add(1);
                if f64::from(next.run) * next.share_before.ln() < CHANGED.ln() {
                    next.forgive();
                }
            }
            Signal::Failed | Signal::Barred => {
                next.failures += 1.0;
                next.run = 0;
                // As if there had been one more of each: few attempts are not certain of anything.
                next.share_before = (next.successes + 1.0) / (next.attempts() + 2.0);
            }
        }
        if let Some(log) = observation.unit_ms.map(|ms| ms.max(1.0).ln()) {
            next.log_ms += log;
            next.log_ms_squared += log * log;
        }
        if let Some(share) = observation.cost_share {
            next.cost_share += share;
            next.costed += 1.0;
        }
        *self = next;
    }

    /// Forgets failures: the outage that they were of is over.
    pub fn forgive(&mut self) {
        self.failures = 0.0;
    }

    /// How many attempts it speaks of.
    pub fn attempts(&self) -> f64 {
        self.successes + self.failures
    }

    /// Those of them that were served.
    pub fn successes(&self) -> f64 {
        self.successes
    }

    /// The Wilson score's lower bound on the share of successes, at 95 % on one side: what it
    /// serves at least, as far as this many attempts can tell. Zero when there were none.
    pub fn success_bound(&self) -> f64 {
        /// The normal quantile of 0.95.
        const Z: f64 = 1.644_853_626_951_472_2;
        let n = self.attempts();
        if n <= 0.0 {
            return 0.0;
        }
        let share = self.successes / n;
        let spread = (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        ((share + Z * Z / (2.0 * n) - Z * spread) / (1.0 + Z * Z / n)).max(0.0)
    }

    /// The 95th percentile of the time for a unit of work, in milliseconds, if times are
    /// log-normal; `None` before the first success.
    pub fn unit_ms_p95(&self) -> Option<f64> {
        /// The normal quantile of 0.95.
        const Z: f64 = 1.644_853_626_951_472_2;
        let (mean, variance) = self.log_moments()?;
        Some((mean + Z * variance.sqrt()).exp())
    }

    /// The median of the same.
    pub fn unit_ms_p50(&self) -> Option<f64> {
        Some(self.log_moments()?.0.exp())
    }

    /// What an attempt costs us over what it brings us, on average; `None` where nobody knows.
    pub fn cost_share(&self) -> Option<f64> {
        (self.costed > 0.0).then(|| self.cost_share / self.costed)
    }

    fn log_moments(&self) -> Option<(f64, f64)> {
        if self.successes <= 0.0 {
            return None;
        }
        let mean = self.log_ms / self.successes;
        Some((mean, (self.log_ms_squared / self.successes - mean * mean).max(0.0)))
    }

    fn scaled(&self, by: f64) -> Self {
        Self {
            successes: self.successes * by,
            failures: self.failures * by,
            log_ms: self.log_ms * by,
            log_ms_squared: self.log_ms_squared * by,
            cost_share: self.cost_share * by,
            costed: self.costed * by,
            ..*self
        }
    }
}
