//! When to ask again: exponential steps with jitter.
//!
//! The one file that knows the `backoff` crate. It is unmaintained (RUSTSEC-2025-0012) and
//! gives us only the sequence of steps; the jitter comes from outside so that tests and the
//! simulator control it.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// A growing sequence of waits.
#[derive(Debug)]
pub struct Waits(ExponentialBackoff);

impl Waits {
    /// Starts at `initial` and grows by half again each time, up to `max`.
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self(ExponentialBackoff {
            current_interval: initial,
            initial_interval: initial,
            max_interval: max,
            multiplier: 1.5,
            randomization_factor: 0.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }

    /// The next wait, spread by ±20 % so that many waiting for one provider do not ask in
    /// step. `spread` is uniform in `0.0..1.0`.
    pub fn next(&mut self, spread: f64) -> Duration {
        let step = self.0.next_backoff().unwrap_or(self.0.max_interval);
        jittered(step, spread)
    }

    /// Begins again.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

/// `wait` spread by ±20 %.
pub fn jittered(wait: Duration, spread: f64) -> Duration {
    wait.mul_f64(0.8 + 0.4 * spread.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_maximum_and_stay_there() {
        let mut waits = Waits::new(Duration::from_millis(100), Duration::from_millis(300));
        let steps: Vec<u128> = (0..5).map(|_| waits.next(0.5).as_millis()).collect();
        assert_eq!(steps, [100, 150, 225, 300, 300]);
        waits.reset();
        assert_eq!(waits.next(0.0).as_millis(), 80);
        assert_eq!(waits.next(1.0).as_millis(), 180);
    }
}
