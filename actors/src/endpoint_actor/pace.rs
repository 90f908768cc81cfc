//! How many deliveries go to an endpoint at a time, and in which lane.
//!
//! Nothing is known of an endpoint at first, so it begins with one; a few successes on each of its
//! connections open another, and each failure goes back. An endpoint that does not answer thus
//! takes two places among its like, however much waits for it; and a few events cost neither side
//! a connection each.

use crate::lanes::{Lane, SLOW_AFTER};
use crate::webhook::TryResult;

/// As long as nothing is known.
const WINDOW_FIRST: usize = 1;
/// After a failure: enough to come to a decision about the endpoint in a few minutes.
const WINDOW_FAILING: usize = 2;

/// So many successes in a row on each connection, on average, and there may be one more.
const WIDER_AFTER: usize = 4;

#[derive(Debug)]
pub(super) struct Pace {
    window: usize,
    /// Successes since it last changed.
    successes: usize,
    window_max: usize,
    lane: Lane,
}

impl Pace {
    /// The beginning.
    pub(super) fn new(window_max: usize) -> Self {
        Self { window: WINDOW_FIRST, successes: 0, window_max, lane: Lane::Quick }
    }

    /// It has been failing: whether it answers is to be seen among those that do not.
    pub(super) fn doubt(&mut self) {
        self.lane = Lane::Silent;
    }

    /// How many may be on their way.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Where the next try begins.
    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    /// Takes the result of a try in.
    pub(super) fn record(&mut self, result: &TryResult) {
        self.lane = match result.status {
            None => Lane::Silent,
            Some(_) if result.took > SLOW_AFTER => Lane::Slow,
            Some(_) => Lane::Quick,
        };
        self.successes += 1;
        let window = match result.is_success() {
            true if self.successes < self.window * WIDER_AFTER => return,
            true => self.window + 1,
            false => WINDOW_FAILING,
        };
        self.successes = 0;
        self.window = window.min(self.window_max);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn result(status: Option<u16>, error: Option<&str>, took: Duration) -> TryResult {
        let error = error.map(str::to_owned);
        TryResult { status, error, took, ..TryResult::default() }
    }

    #[test]
    fn the_window_opens_with_success_and_closes_with_failure() {
        let mut pace = Pace::new(8);
        let quick = result(Some(200), None, Duration::ZERO);
        let mut succeed = |count: usize| {
            (0..count).for_each(|_| pace.record(&quick));
            pace.window()
        };
        let windows = [3, 1, 7, 1, 12, 16 + 20 + 24 + 28, 32].map(&mut succeed);
        assert_eq!((windows, pace.lane()), ([1, 2, 2, 3, 4, 8, 8], Lane::Quick));
        pace.record(&result(Some(500), Some("500"), Duration::ZERO));
        assert_eq!((pace.window(), pace.lane()), (2, Lane::Quick), "it answers");
        pace.record(&result(None, Some("no answer"), Duration::from_secs(10)));
        assert_eq!((pace.window(), pace.lane()), (2, Lane::Silent));
        pace.record(&result(Some(200), None, Duration::from_secs(1)));
        assert_eq!((pace.window(), pace.lane()), (2, Lane::Slow), "alive");
        pace.record(&result(Some(504), Some("504"), Duration::from_secs(5)));
        assert_eq!((pace.window(), pace.lane()), (2, Lane::Slow), "dead behind a gateway");
        pace.record(&quick);
        assert_eq!(pace.lane(), Lane::Quick);
        assert_eq!(Pace::new(1).window(), 1);
        let mut pace = Pace::new(8);
        pace.doubt();
        assert_eq!((pace.window(), pace.lane()), (1, Lane::Silent));
    }
}
