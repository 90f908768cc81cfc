//! Who watches which generation, so that a change is seen when it happens.
//!
//! A hint wakes; the row says what is so. A watcher looks by itself too, every
//! `LOOK_EVERY`: another process may have written, and a hint may be lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::id::{AccountId, GenerationId};
use crate::ports::GenerationListener;

/// How often a watcher looks without a hint.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// All watchers of a process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Watchers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// How many are watched: told apart from none without a lock, at every commit.
    watched: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    closed: bool,
    hints: HashMap<(AccountId, GenerationId), watch::Sender<()>>,
}

/// One that watches a generation.
pub struct Watcher {
    watchers: Watchers,
    key: (AccountId, GenerationId),
    hints: watch::Receiver<()>,
    /// When it looks without a hint.
    look_at: Instant,
}

/// Why a watcher has woken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The generation may have changed.
    Look,
    /// The time given is over.
    TimeIsUp,
    /// The process stops.
    Closed,
}

impl Watchers {
    /// Begins to watch. What changes from now on wakes; so begin first, and then look.
    pub fn watch(&self, account_id: AccountId, id: GenerationId) -> Watcher {
        let key = (account_id, id);
        let mut table = self.table();
        let hints = match table.hints.get(&key) {
            Some(sender) => sender.subscribe(),
            None => {
                let (sender, hints) = watch::channel(());
                // Without its sender a watcher wakes at once.
                if !table.closed {
                    table.hints.insert(key, sender);
                    self.count(&table);
                }
                hints
            }
        };
        drop(table);
        Watcher { watchers: self.clone(), key, hints, look_at: Instant::now() + LOOK_EVERY }
    }

    /// Wakes everybody for the last time: the process stops.
    pub fn close(&self) {
        let mut table = self.table();
        table.closed = true;
        table.hints.clear();
        self.count(&table);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, table: &Table) {
        self.0.watched.store(table.hints.len(), Ordering::SeqCst);
    }
}

impl GenerationListener for Watchers {
    fn changed(&self, ids: &mut dyn Iterator<Item = (AccountId, GenerationId)>) {
        // Whoever begins to watch right now reads a row that is committed already.
        if self.0.watched.load(Ordering::SeqCst) == 0 {
            return;
        }
        let table = self.table();
        for key in ids {
            if let Some(sender) = table.hints.get(&key) {
                sender.send_replace(());
            }
        }
    }
}

impl Watcher {
    /// Waits until there is something to look at, or until a time.
    pub async fn wake(&mut self, until: Instant) -> Wake {
        let wake = match timeout_at(until.min(self.look_at), self.hints.changed()).await {
            Ok(Ok(())) => Wake::Look,
            Ok(Err(_)) => Wake::Closed,
            Err(_) if self.look_at < until => Wake::Look,
            Err(_) => Wake::TimeIsUp,
        };
        if wake == Wake::Look {
            self.look_at = Instant::now() + LOOK_EVERY;
        }
        wake
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut table = self.watchers.table();
        // This one is still counted.
        let last = table.hints.get(&self.key).is_some_and(|sender| sender.receiver_count() <= 1);
        if last {
            table.hints.remove(&self.key);
            self.watchers.count(&table);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ACCOUNT: AccountId = AccountId(Uuid::from_u128(1));
    const ONE: GenerationId = GenerationId(Uuid::from_u128(2));
    const OTHER: GenerationId = GenerationId(Uuid::from_u128(3));
    const SECOND: Duration = Duration::from_secs(1);

    fn change(watchers: &Watchers, id: GenerationId) {
        watchers.changed(&mut [(ACCOUNT, id)].into_iter());
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_wakes_those_who_watch_it_and_nobody_else() {
        let watchers = Watchers::default();
        let mut watching = [ONE, ONE, OTHER].map(|id| watchers.watch(ACCOUNT, id));
        let soon = Instant::now() + SECOND;
        // Before they wait: it is not lost.
        change(&watchers, ONE);
        let mut woken = Vec::new();
        for watcher in &mut watching {
            woken.push(watcher.wake(soon).await);
        }
        assert_eq!(woken, [Wake::Look, Wake::Look, Wake::TimeIsUp]);
        assert_eq!(watching[0].wake(Instant::now() + SECOND).await, Wake::TimeIsUp, "once each");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_hint_it_looks_every_few_seconds() {
        let mut watcher = Watchers::default().watch(ACCOUNT, ONE);
        let (began, until) = (Instant::now(), Instant::now() + 10 * SECOND);
        let mut woken = Vec::new();
        while woken.last() != Some(&Wake::TimeIsUp) {
            woken.push(watcher.wake(until).await);
        }
        assert_eq!((woken.len(), began.elapsed()), (4, 10 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn waking_for_something_else_does_not_put_the_look_off() {
        let mut watcher = Watchers::default().watch(ACCOUNT, ONE);
        let began = Instant::now();
        while watcher.wake(Instant::now() + SECOND / 10).await == Wake::TimeIsUp {}
        assert_eq!(began.elapsed(), LOOK_EVERY);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_gone_is_forgotten() {
        let watchers = Watchers::default();
        let (first, second) = (watchers.watch(ACCOUNT, ONE), watchers.watch(ACCOUNT, ONE));
        drop(first);
        assert_eq!(watchers.0.watched.load(Ordering::SeqCst), 1);
        drop(second);
        assert_eq!(watchers.0.watched.load(Ordering::SeqCst), 0);
        // And asks for no ids any more.
        watchers.changed(&mut std::iter::from_fn(|| unreachable!("nobody watches")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_wakes_everybody_and_those_who_come_later() {
        let watchers = Watchers::default();
        let mut early = watchers.watch(ACCOUNT, ONE);
        watchers.close();
        let mut late = watchers.watch(ACCOUNT, ONE);
        let until = Instant::now() + SECOND;
        assert_eq!([early.wake(until).await, late.wake(until).await], [Wake::Closed; 2]);
    }
}
