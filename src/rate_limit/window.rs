//! A true sliding window: what happened in the last 60 seconds.
//!
//! Pure: the time is an argument. Every one that was taken is counted for 60 seconds, and those
//! of one millisecond until the last of them leaves: no 60 seconds, wherever they begin, ever
//! hold more than the limit.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

/// The length of the window (`spec/contract.md` 6.1).
pub const SECONDS: i64 = 60;
const LENGTH: i64 = SECONDS * 1_000_000;
/// Threads read the clock and then wait for their turn, so times come slightly out of order.
/// What lies further back is a clock that was set back.
const OUT_OF_ORDER: i64 = 1_000_000;

/// What was taken within the last 60 seconds, oldest first.
///
/// Those of one millisecond share an entry, so there are at most as many entries as the window
/// has milliseconds, whatever the limit is.
#[derive(Debug, Default)]
pub struct SlidingWindow {
    runs: VecDeque<Run>,
    count: u64,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    /// Of the latest: Unix time in microseconds.
    at: i64,
    count: u32,
}

impl Run {
    fn millisecond(&self) -> i64 {
        self.at.div_euclid(1000)
    }
}

/// One that was taken, to be given back: the millisecond of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(i64);

/// How a window stands at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many may be taken in a window.
    pub limit: u32,
    /// How many may be taken now.
    pub remaining: u32,
    /// When one more may be taken than now, which is now when none is counted: both Unix time
    /// in microseconds.
    frees_at: i64,
    now: i64,
}

impl Standing {
    /// Whole seconds after which one more may be taken; waiting for exactly that long suffices.
    /// 0 when none is counted.
    pub fn wait_seconds(&self) -> u32 {
        let wait = ceil_div((self.frees_at - self.now).max(0), 1_000_000);
        u32::try_from(wait).unwrap_or(u32::MAX)
    }

    /// The same as Unix time in seconds, rounded up.
    pub fn reset(&self) -> i64 {
        ceil_div(self.frees_at, 1_000_000)
    }
}

impl SlidingWindow {
    /// Takes one.
    ///
    /// # Errors
    /// How it stands, when that would be one too many.
    pub fn take(&mut self, limit: u32, now: DateTime<Utc>) -> Result<Token, Standing> {
        self.forget(now);
        if self.count >= u64::from(limit) {
            return Err(self.standing(limit, now));
        }
        let newest = self.runs.back().map_or(i64::MIN, |run| run.at);
        let new = Run { at: now.timestamp_micros().max(newest), count: 1 };
        match self.runs.back_mut() {
            Some(run) if run.millisecond() == new.millisecond() => {
                *run = Run { count: run.count + 1, ..new };
            }
            Some(_) | None => self.runs.push_back(new),
        }
        self.count += 1;
        Ok(Token(new.millisecond()))
    }

    /// Makes one that was taken not have been. It may have left the window by now.
    pub fn give_back(&mut self, token: Token) {
        let Ok(place) = self.runs.binary_search_by_key(&token.0, Run::millisecond) else { return };
        self.count -= 1;
        self.runs[place].count -= 1;
        if self.runs[place].count == 0 {
            self.runs.remove(place);
        }
    }

    /// How it stands.
    pub fn standing(&mut self, limit: u32, now: DateTime<Utc>) -> Standing {
        self.forget(now);
        let remaining = u64::from(limit).saturating_sub(self.count);
        // One for the oldest; more when the limit was lowered and there are too many.
        let mut leaving = (self.count + 1).saturating_sub(u64::from(limit)).max(1);
        let now = now.timestamp_micros();
        let leaves = self.runs.iter().find(|run| {
            leaving = leaving.saturating_sub(u64::from(run.count));
            leaving == 0
        });
        Standing {
            limit,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            frees_at: leaves.map_or(now, |run| run.at + LENGTH),
            now,
        }
    }

    /// Whether nothing is counted any more.
    pub fn is_idle(&mut self, now: DateTime<Utc>) -> bool {
        self.forget(now);
        self.runs.is_empty()
    }

    fn forget(&mut self, now: DateTime<Utc>) {
        let now = now.timestamp_micros();
        self.follow(now);
        let oldest = now - LENGTH;
        while let Some(run) = self.runs.front().filter(|run| run.at <= oldest) {
            self.count -= u64::from(run.count);
            self.runs.pop_front();
        }
    }

    /// When the clock was set back, what is counted goes back with it: it keeps its age, so
    /// nobody is shut out until the clock has caught up, and nothing is forgotten.
    fn follow(&mut self, now: i64) {
        let ahead = self.runs.back().map_or(0, |newest| newest.at - now);
        if ahead > OUT_OF_ORDER {
            self.runs.iter_mut().for_each(|run| run.at -= ahead);
        }
    }
}

fn ceil_div(number: i64, by: i64) -> i64 {
    -(-number).div_euclid(by)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(1_780_000_000_000_000 + micros).unwrap()
    }

    const SECOND: i64 = 1_000_000;

    #[test]
    fn the_window_slides_and_does_not_jump() {
        let mut window = SlidingWindow::default();
        for second in [0, 20, 59] {
            window.take(3, at(second * SECOND)).unwrap();
        }
        let refused = window.take(3, at(59 * SECOND)).unwrap_err();
        assert_eq!((refused.limit, refused.remaining, refused.wait_seconds()), (3, 0, 1));
        assert_eq!(refused.reset(), at(60 * SECOND).timestamp());
        window.take(3, at(60 * SECOND)).unwrap();
        assert_eq!(window.take(3, at(61 * SECOND)).unwrap_err().wait_seconds(), 19);
        window.take(3, at(80 * SECOND)).unwrap();
        assert_eq!(window.take(3, at(81 * SECOND)).unwrap_err().wait_seconds(), 38);
        assert!(!window.is_idle(at(139 * SECOND)));
        assert!(window.is_idle(at(140 * SECOND)));
    }

    #[test]
    fn a_standing_counts_down_to_when_the_oldest_leaves() {
        let mut window = SlidingWindow::default();
        let standing = window.standing(5, at(0));
        assert_eq!((standing.remaining, standing.wait_seconds()), (5, 0));
        assert_eq!(standing.reset(), at(0).timestamp());
        window.take(5, at(0)).unwrap();
        window.take(5, at(10 * SECOND)).unwrap();
        let standing = window.standing(5, at(10 * SECOND + 1));
        assert_eq!((standing.remaining, standing.wait_seconds()), (3, 50));
        assert_eq!(standing.reset(), at(60 * SECOND).timestamp());
    }

    #[test]
    fn what_is_given_back_was_never_taken() {
        let mut window = SlidingWindow::default();
        let early = window.take(2, at(0)).unwrap();
        let late = window.take(2, at(SECOND)).unwrap();
        window.take(2, at(SECOND)).unwrap_err();
        window.give_back(late);
        let again = window.take(2, at(2 * SECOND)).unwrap();
        window.give_back(early);
        window.give_back(again);
        assert!(window.is_idle(at(2 * SECOND)));
        window.give_back(early);
        assert_eq!(window.standing(2, at(2 * SECOND)).remaining, 2, "only once");
    }

    #[test]
    fn a_lowered_limit_waits_for_as_many_as_are_too_many() {
        let mut window = SlidingWindow::default();
        for second in 0..10 {
            window.take(10, at(second * SECOND)).unwrap();
        }
        let refused = window.take(3, at(9 * SECOND)).unwrap_err();
        assert_eq!((refused.remaining, refused.wait_seconds()), (0, 58), "the first eight leave");
        let after = at(9 * SECOND) + TimeDelta::seconds(58);
        window.take(3, after - TimeDelta::microseconds(1)).unwrap_err();
        window.take(3, after).unwrap();
    }

    #[test]
    fn a_clock_set_back_neither_opens_nor_shuts() {
        let mut window = SlidingWindow::default();
        window.take(2, at(3600 * SECOND)).unwrap();
        window.take(2, at(3620 * SECOND)).unwrap();
        let refused = window.take(2, at(0)).unwrap_err();
        assert_eq!(refused.wait_seconds(), 40);
        window.take(2, at(40 * SECOND)).unwrap();
        // A thread that read the clock before another one and got its turn after it.
        let mut window = SlidingWindow::default();
        window.take(2, at(500_000)).unwrap();
        window.take(2, at(400_000)).unwrap();
        window.take(2, at(60 * SECOND + 400_000)).unwrap_err();
        window.take(2, at(60 * SECOND + 500_000)).unwrap();
    }

    #[test]
    fn memory_is_bounded_by_the_window_and_not_by_the_limit() {
        let mut window = SlidingWindow::default();
        for step in 0..1_000_000 {
            window.take(u32::MAX, at(step * 100)).unwrap();
        }
        assert!((600_000..600_010).contains(&window.count), "{}", window.count);
        assert!(window.runs.len() <= 60_001, "{}", window.runs.len());
    }

    /// Against the definition: over random calls no 60 seconds hold more than the limit, who is
    /// refused would have been too many (to the millisecond), and the promised wait is enough
    /// and not a second too long.
    #[test]
    fn random_calls_agree_with_the_definition() {
        for round in 0..200 {
            let limit = rand::random_range(1..20);
            let pace = *[1_000, 100_000, 3 * SECOND, 20 * SECOND].get(round % 4).unwrap();
            let (mut window, mut taken, mut now) = (SlidingWindow::default(), Vec::new(), 0);
            for _ in 0..500 {
                now += rand::random_range(0..pace);
                let within = |length: i64, now: i64, taken: &[i64]| {
                    taken.iter().filter(|then| **then > now - length).count()
                };
                match window.take(limit, at(now)) {
                    Ok(token) if rand::random_ratio(1, 8) => window.give_back(token),
                    Ok(_) => {
                        taken.push(now);
                        assert!(within(60 * SECOND, now, &taken) <= limit as usize);
                    }
                    Err(refused) => {
                        assert!(within(60 * SECOND + 1000, now, &taken) >= limit as usize);
                        let wait = i64::from(refused.wait_seconds());
                        assert!((1..=60).contains(&wait), "{wait}");
                        let later = now + wait * SECOND;
                        assert!(within(60 * SECOND, later, &taken) < limit as usize);
                        let sooner = later - SECOND;
                        assert!(within(60 * SECOND + 1000, sooner, &taken) >= limit as usize);
                        if rand::random_ratio(1, 4) {
                            now = later;
                            window.take(limit, at(now)).expect("the wait was over");
                            taken.push(now);
                        }
                    }
                }
            }
        }
    }
}
