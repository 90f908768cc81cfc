//! The circuit breaker of one model at one provider.
//!
//! ```mermaid
//! stateDiagram-v2
//!     [*] --> closed
//!     closed --> paused: it limits us
//!     paused --> closed: the time it asked for is over
//!     closed --> open: too many failures, or our account there is refused
//!     open --> half_open: the cool-down is over
//!     half_open --> closed: enough probes were served
//!     half_open --> open: a probe failed, for twice as long, or it limits us, for a moment
//! ```
//!
//! Time and chance are arguments, so that the same news lead to the same state. Who counts as
//! having failed is decided by [`Signal::of`]: a caller's mistake, refused content, a cancel and
//! our own faults never do (`spec/domain.md` B.6).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::attempt::AttemptOutcome;
use crate::failure::FailureCode;

/// When a circuit opens and closes (`spec/contract.md` B.4; how long a pause lasts, and which share
/// of the traffic probes, is ours).
#[derive(Debug, Clone, Copy)]
pub struct BreakerRules {
    /// How long attempts count: the half-life of what is counted, and the window of health.
    pub window: Duration,
    /// Fewer attempts than this say too little.
    pub attempts_min: u64,
    /// The share of failures from which a circuit opens.
    pub failures_percent: u64,
    /// How long it stays open before it is tried.
    pub open: Duration,
    /// The longest that it stays open, after probes that failed.
    pub open_max: Duration,
    /// How long a provider is left alone that limits us and does not say for how long.
    pub pause: Duration,
    /// The longest such time that a provider may ask for.
    pub pause_max: Duration,
    /// The share of the traffic that probes a circuit that is half open.
    pub probe_percent: u32,
    /// So many served probes close it, and no more than that are under way at once.
    pub probes: u32,
}

/// What the end of an attempt says about a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It served.
    Served,
    /// It failed.
    Failed,
    /// Our credential or our funds were refused: it will fail until somebody acts.
    Barred,
}

impl Signal {
    /// Of an outcome; `None` when it is not the provider's doing.
    pub fn of(outcome: &AttemptOutcome) -> Option<Self> {
        match outcome {
            AttemptOutcome::Used { .. } => Some(Self::Served),
            AttemptOutcome::Failed { failure, .. } => match failure.code {
                FailureCode::ProviderTimeout
                | FailureCode::ProviderUnavailable
                | FailureCode::ProviderError
                | FailureCode::ProviderRateLimited
                | FailureCode::GenerationTimedOut => Some(Self::Failed),
                FailureCode::ProviderCreditsExhausted
                | FailureCode::ProviderAuthenticationFailed => Some(Self::Barred),
                FailureCode::ContentPolicyViolation
                | FailureCode::ProviderRejectedRequest
                | FailureCode::AllProvidersFailed
                | FailureCode::GenerationFailed
                | FailureCode::OutputProcessingFailed
                | FailureCode::OutputNotStored => None,
            },
            // A late result was counted when its attempt had failed, or followed a cancel.
            AttemptOutcome::Pending
            | AttemptOutcome::Discarded { .. }
            | AttemptOutcome::Canceled { .. } => None,
        }
    }
}

/// Where a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Traffic flows.
    Closed,
    /// The provider limits us: left alone for a moment, then as before.
    Paused {
        /// Until when.
        until: DateTime<Utc>,
    },
    /// It fails: left alone, then tried.
    Open {
        /// Since when: what was sent before says nothing more.
        since: DateTime<Utc>,
        /// Until when.
        until: DateTime<Utc>,
    },
    /// A share of the traffic tries it.
    HalfOpen {
        /// Since when it had been open.
        since: DateTime<Utc>,
        /// For how long it had been open, in milliseconds.
        opened_ms: u64,
        /// Probes that were served.
        served: u32,
        /// Probes that are under way.
        asked: u32,
        /// When the last one began: one that never ends must not keep others away.
        asked_at: DateTime<Utc>,
    },
}

impl State {
    /// The word for people and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Paused { .. } => "paused",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half_open",
        }
    }
}

/// The breaker of one model at one provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Circuit {
    state: State,
    successes: f64,
    failures: f64,
    counted_at: DateTime<Utc>,
}

impl Default for Circuit {
    fn default() -> Self {
        let counted_at = DateTime::UNIX_EPOCH;
        Self { state: State::Closed, successes: 0.0, failures: 0.0, counted_at }
    }
}

impl Circuit {
    /// Where it stands at that time.
    pub fn state(&self, now: DateTime<Utc>) -> State {
        match self.state {
            State::Paused { until } if until <= now => State::Closed,
            State::Open { since, until } if until <= now => State::HalfOpen {
                since,
                opened_ms: (until - since).num_milliseconds().unsigned_abs(),
                served: 0,
                asked: 0,
                asked_at: until,
            },
            State::Closed | State::Paused { .. } | State::Open { .. } | State::HalfOpen { .. } => {
                self.state
            }
        }
    }

    /// Whether traffic flows.
    pub fn is_closed(&self, now: DateTime<Utc>) -> bool {
        self.state(now) == State::Closed
    }

    /// When it may be asked again: now, for one that is closed or half open.
    pub fn opens_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self.state(now) {
            State::Paused { until } | State::Open { until, .. } => until,
            State::Closed | State::HalfOpen { .. } => now,
        }
    }

    /// Whether one more probe may be sent.
    pub fn has_room_for_probe(&self, rules: &BreakerRules, now: DateTime<Utc>) -> bool {
        match self.state(now) {
            State::HalfOpen { asked, asked_at, .. } => {
                asked < rules.probes || now - asked_at > millis(rules.open)
            }
            State::Closed | State::Paused { .. } | State::Open { .. } => false,
        }
    }

    /// A probe is sent.
    pub fn probe(&mut self, rules: &BreakerRules, now: DateTime<Utc>) {
        self.state = self.state(now);
        if let State::HalfOpen { asked, asked_at, .. } = &mut self.state {
            let stale = now - *asked_at > millis(rules.open);
            *asked = if stale { 1 } else { asked.saturating_add(1) };
            *asked_at = now;
        }
    }

    /// The provider limits us, or is too busy and says for how long.
    pub fn limit(
        &mut self,
        retry_after: Option<Duration>,
        rules: &BreakerRules,
        now: DateTime<Utc>,
    ) {
        let pause = millis(retry_after.unwrap_or(rules.pause).min(rules.pause_max));
        self.state = match self.state(now) {
            State::Closed => State::Paused { until: now + pause },
            State::Paused { until } => State::Paused { until: until.max(now + pause) },
            // It answers, so it is not given up for as long as one that fails.
            State::HalfOpen { since, .. } => State::Open { since, until: now + pause },
            open @ State::Open { .. } => open,
        };
    }

    /// An attempt that was sent at `sent_at` has ended at `at`.
    pub fn note(
        &mut self,
        signal: Signal,
        sent_at: DateTime<Utc>,
        at: DateTime<Utc>,
        rules: &BreakerRules,
    ) {
        self.count(signal, at, rules);
        self.state = match (self.state(at), signal) {
            (State::Closed | State::Paused { .. }, Signal::Barred) => opened(at, rules.open),
            (State::Closed | State::Paused { .. }, Signal::Failed) if self.fails(rules) => {
                opened(at, rules.open)
            }
            (flowing @ (State::Closed | State::Paused { .. }), _) => flowing,
            // What was sent before it opened is no news.
            (open @ State::Open { .. }, _) => open,
            (half_open @ State::HalfOpen { since, .. }, _) if sent_at < since => half_open,
            (State::HalfOpen { served, .. }, Signal::Served) if served + 1 >= rules.probes => {
                self.failures = 0.0;
                State::Closed
            }
            (State::HalfOpen { since, opened_ms, served, asked, asked_at }, Signal::Served) => {
                let (served, asked) = (served + 1, asked.saturating_sub(1));
                State::HalfOpen { since, opened_ms, served, asked, asked_at }
            }
            (State::HalfOpen { opened_ms, .. }, Signal::Failed | Signal::Barred) => {
                opened(at, Duration::from_millis(opened_ms.saturating_mul(2)).min(rules.open_max))
            }
        };
    }

    /// Forgets by time and, so that a long good past does not hide an outage, by number: what
    /// is counted never exceeds one and a half times the minimum of evidence.
    fn count(&mut self, signal: Signal, at: DateTime<Utc>, rules: &BreakerRules) {
        let age = (at - self.counted_at).to_std().unwrap_or_default();
        let kept = (-age.as_secs_f64() / rules.window.as_secs_f64()).exp2();
        let room = rules.attempts_min as f64 * 1.5 - 1.0;
        let total = (self.successes + self.failures) * kept;
        let kept = if total > room { kept * room / total } else { kept };
        self.successes *= kept;
        self.failures *= kept;
        self.counted_at = self.counted_at.max(at);
        match signal {
            Signal::Served => self.successes += 1.0,
            Signal::Failed | Signal::Barred => self.failures += 1.0,
        }
    }

    /// Whole attempts: ten of the last minute are ten, though they have faded a little.
    fn fails(&self, rules: &BreakerRules) -> bool {
        let total = self.successes + self.failures;
        total.ceil() >= rules.attempts_min as f64
            && self.failures * 100.0 >= total * rules.failures_percent as f64
    }
}

fn opened(at: DateTime<Utc>, time: Duration) -> State {
    State::Open { since: at, until: at + millis(time) }
}

fn millis(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests;
