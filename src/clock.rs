//! The system's time, the only place that asks for it.

use chrono::{DateTime, SubsecRound, Utc};
use providers::clock::Clock;

/// The time of day of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others stand for")]
    fn now(&self) -> DateTime<Utc> {
        // Both databases keep microseconds; a time must equal itself after a round trip. Cut and
        // not rounded up, since a time in the future would be wrong in a signature.
        Utc::now().trunc_subsecs(6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_both_databases() {
        for _ in 0..1000 {
            let now = SystemClock.now();
            assert_eq!(now.timestamp_subsec_nanos() % 1000, 0, "{now}");
        }
    }
}
