//! How often a provider is asked about jobs, all generations together.
//!
//! Each question takes a turn. Turns come at a fixed rate, with a second's worth at once after a
//! quiet time, and in the order in which they were asked for, which is the order in which the
//! questions were due. So a hundred thousand waiting generations ask no more often than a few;
//! each of them only waits longer. Whoever does not want its turn any more leaves the line, and
//! nobody waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use providers::name::ProviderName;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// The budgets of all providers that have one.
#[derive(Debug, Clone, Default)]
pub struct PollBudgets(BTreeMap<ProviderName, Arc<PollBudget>>);

impl PollBudgets {
    /// Of this provider; `None` when it may be asked as often as one likes.
    pub fn of(&self, provider: ProviderName) -> Option<Arc<PollBudget>> {
        self.0.get(&provider).cloned()
    }
}

impl FromIterator<(ProviderName, u32)> for PollBudgets {
    /// From the questions that each provider answers in a second.
    fn from_iter<I: IntoIterator<Item = (ProviderName, u32)>>(rates: I) -> Self {
        let budget = |(name, per_second)| (name, Arc::new(PollBudget::new(per_second)));
        Self(rates.into_iter().map(budget).collect())
    }
}

/// One provider's.
#[derive(Debug)]
pub struct PollBudget {
    /// Between two turns.
    interval: Duration,
    /// What may be caught up after a quiet time.
    burst: Duration,
    /// When the next turn is. Whoever is first in line holds the lock while it waits; the others
    /// wait for the lock, which is given in order.
    line: Mutex<Option<Instant>>,
    /// Until when nobody has a turn.
    paused_until: StdMutex<Option<Instant>>,
}

impl PollBudget {
    /// So many turns a second, at least one.
    pub fn new(per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        let burst = Duration::from_secs(1).saturating_sub(interval);
        Self { interval, burst, line: Mutex::default(), paused_until: StdMutex::default() }
    }

    /// Waits for a turn. Dropped before its end, it has taken none.
    pub async fn turn(&self) {
        let mut next = self.line.lock().await;
        let taken = loop {
            let now = Instant::now();
            let earliest = now.checked_sub(self.burst).unwrap_or(now);
            let due = [*next, *self.pauses()].into_iter().flatten().fold(earliest, Instant::max);
            if due <= now {
                break due;
            }
            sleep_until(due).await;
        };
        *next = Some(taken + self.interval);
    }

    /// Gives nobody a turn for so long, because the provider wants to be left alone.
    pub fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut paused = self.pauses();
        *paused = Some(paused.map_or(until, |before| before.max(until)));
    }

    fn pauses(&self) -> MutexGuard<'_, Option<Instant>> {
        self.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::StreamExt as _;
    use futures_util::stream::FuturesUnordered;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::fakes::run;

    const SECOND: Duration = Duration::from_secs(1);

    /// When so many turns come that are asked for at once.
    async fn turns(budget: &PollBudget, count: usize) -> Vec<Duration> {
        let start = Instant::now();
        let turn = |_| async move {
            budget.turn().await;
            start.elapsed()
        };
        (0..count).map(turn).collect::<FuturesUnordered<_>>().collect().await
    }

    #[test]
    fn a_hundred_thousand_wait_in_order_and_never_exceed_the_rate() {
        run(async {
            const WAITING: usize = 100_000;
            let budget = PollBudget::new(50);
            let (start, order) = (Instant::now(), AtomicUsize::new(0));
            let turn = |number: usize| {
                let (budget, order) = (&budget, &order);
                async move {
                    // Due one after the other, and all within a second.
                    sleep(Duration::from_micros(10) * u32::try_from(number).unwrap()).await;
                    budget.turn().await;
                    (number, order.fetch_add(1, Ordering::Relaxed), start.elapsed())
                }
            };
            // What one of them takes in memory; the line itself takes nothing.
            assert!(size_of_val(&turn(0)) <= 512, "{}", size_of_val(&turn(0)));
            let waiting: FuturesUnordered<_> = (0..WAITING).map(turn).collect();
            let mut taken: Vec<(usize, usize, Duration)> = waiting.collect().await;
            taken.sort_by_key(|(_, order, _)| *order);
            // Timers are exact to the millisecond, in which a hundred are due.
            let late = taken.iter().map(|(number, order, _)| number.abs_diff(*order)).max();
            assert!(late.unwrap() <= 200, "{late:?}");
            for window in taken.windows(101) {
                let (first, last) = (window[0].2, window[100].2);
                // Fifty at once after the quiet time, and fifty a second from then on.
                assert!(last - first >= SECOND - Duration::from_millis(2), "{first:?} {last:?}");
            }
            let (rate, all) = (50.0, taken.last().unwrap().2.as_secs_f64());
            assert!((WAITING as f64 / all - rate).abs() < 0.1, "{all}");
        });
    }

    #[test]
    fn after_a_quiet_time_there_is_a_seconds_worth_at_once() {
        run(async {
            let budget = PollBudget::new(10);
            sleep(100 * SECOND).await;
            let times = turns(&budget, 12).await;
            assert!(times[9] < SECOND / 100, "{times:?}");
            assert!(times[10] >= SECOND / 10, "{times:?}");
            assert!(times[11] >= SECOND / 5, "{times:?}");
        });
    }

    #[test]
    fn a_pause_holds_for_everybody_and_ends_without_a_storm() {
        run(async {
            let budget = PollBudget::new(10);
            budget.pause(7 * SECOND);
            budget.pause(3 * SECOND);
            let times = turns(&budget, 12).await;
            assert!(times[0] >= 7 * SECOND && times[11] >= 8 * SECOND, "{times:?}");
        });
    }

    #[test]
    fn whoever_leaves_the_line_is_not_waited_for() {
        run(async {
            let budget = PollBudget::new(1);
            budget.turn().await;
            for _ in 0..100 {
                assert!(timeout(SECOND / 1000, budget.turn()).await.is_err());
            }
            let times = turns(&budget, 1).await;
            assert!(times[0] <= SECOND, "{times:?}");
        });
    }
}
