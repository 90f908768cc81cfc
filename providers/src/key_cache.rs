//! Keys that a provider signs with, fetched when they are needed and kept for a while.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::clock::Clock;

/// How long keys are used without asking for newer ones.
const FRESH_FOR: TimeDelta = TimeDelta::hours(24);
/// The least time between two fetches: whoever sends forged callbacks must not make us ask the
/// provider once for each.
const ASK_INTERVAL: TimeDelta = TimeDelta::seconds(30);

/// The keys of one provider.
pub(crate) struct KeyCache<K> {
    clock: Arc<dyn Clock>,
    /// Locked while keys are being fetched, so that many callbacks share one fetch.
    state: Mutex<State<K>>,
}

struct State<K> {
    keys: Option<(Arc<K>, DateTime<Utc>)>,
    asked_at: Option<DateTime<Utc>>,
}

impl<K> KeyCache<K> {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::new(State { keys: None, asked_at: None }) }
    }

    /// The keys. Old ones serve as long as newer ones cannot be had.
    pub(crate) async fn get(&self, fetch: impl Future<Output = Option<K>>) -> Option<Arc<K>> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let fresh = |at: DateTime<Utc>| now - at < FRESH_FOR;
        if !state.keys.as_ref().is_some_and(|(_, at)| fresh(*at)) {
            state.ask(now, fetch).await;
        }
        state.keys.as_ref().map(|(keys, _)| Arc::clone(keys))
    }

    /// Other keys than these, which something was not signed with: the provider may have
    /// changed them. `None` when there are none, or it was asked a moment ago.
    pub(crate) async fn newer(
        &self,
        than: &Arc<K>,
        fetch: impl Future<Output = Option<K>>,
    ) -> Option<Arc<K>> {
        let mut state = self.state.lock().await;
        if state.is(than) {
            state.ask(self.clock.now(), fetch).await;
        }
        let newer = state.keys.as_ref().map(|(keys, _)| Arc::clone(keys));
        newer.filter(|keys| !Arc::ptr_eq(keys, than))
    }
}

impl<K> State<K> {
    fn is(&self, keys: &Arc<K>) -> bool {
        self.keys.as_ref().is_some_and(|(current, _)| Arc::ptr_eq(current, keys))
    }

    async fn ask(&mut self, now: DateTime<Utc>, fetch: impl Future<Output = Option<K>>) {
        if self.asked_at.is_some_and(|at| now - at < ASK_INTERVAL) {
            return;
        }
        self.asked_at = Some(now);
        if let Some(keys) = fetch.await {
            self.keys = Some((Arc::new(keys), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Mutex as StdMutex;

    use super::*;

    struct Hand(StdMutex<DateTime<Utc>>);

    impl Hand {
        fn turn(&self, by: TimeDelta) {
            *self.0.lock().unwrap() += by;
        }
    }

    impl Clock for Hand {
        fn now(&self) -> DateTime<Utc> {
            *self.0.lock().unwrap()
        }
    }

    fn cache() -> (Arc<Hand>, KeyCache<u32>) {
        let hand =
            Arc::new(Hand(StdMutex::new(DateTime::from_timestamp(1_900_000_000, 0).unwrap())));
        (Arc::clone(&hand), KeyCache::new(hand))
    }

    #[tokio::test]
    async fn keys_are_fetched_once_a_day_and_old_ones_serve_when_that_fails() {
        let (hand, cache) = cache();
        assert_eq!(cache.get(ready(Some(1))).await.as_deref(), Some(&1));
        assert_eq!(cache.get(ready(Some(2))).await.as_deref(), Some(&1));
        hand.turn(FRESH_FOR);
        assert_eq!(cache.get(ready(None)).await.as_deref(), Some(&1));
        hand.turn(ASK_INTERVAL);
        assert_eq!(cache.get(ready(Some(3))).await.as_deref(), Some(&3));
    }

    #[tokio::test]
    async fn a_key_that_does_not_match_is_worth_one_fetch_in_a_while() {
        let (hand, cache) = cache();
        let first = cache.get(ready(Some(1))).await.unwrap();
        assert_eq!(cache.newer(&first, ready(Some(2))).await, None, "asked a moment ago");
        hand.turn(ASK_INTERVAL);
        let second = cache.newer(&first, ready(Some(2))).await.unwrap();
        assert_eq!(*second, 2);
        // Others that still had the old ones learn of the new ones without a fetch.
        assert_eq!(cache.newer(&first, ready(Some(9))).await.as_deref(), Some(&2));
        assert_eq!(cache.newer(&second, ready(Some(9))).await, None);
    }
}
