//! The one thing about a job that its id cannot say: that somebody canceled it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// How many cancels are remembered, the oldest forgotten first. A canceled job is asked for
/// within seconds or never, so this is hours of them at any rate that one machine reaches.
const REMEMBERED_MAX: usize = 50_000;

/// The jobs canceled most recently. They are forgotten at a restart: a canceled job is then
/// simply nobody's, and whoever still asks for it finds it done.
#[derive(Default)]
pub(super) struct CanceledJobs {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    known: HashSet<Uuid>,
    in_order: VecDeque<Uuid>,
}

impl CanceledJobs {
    pub(super) fn contains(&self, job: Uuid) -> bool {
        self.lock().known.contains(&job)
    }

    pub(super) fn insert(&self, job: Uuid) {
        let mut inner = self.lock();
        if !inner.known.insert(job) {
            return;
        }
        inner.in_order.push_back(job);
        if inner.in_order.len() > REMEMBERED_MAX
            && let Some(oldest) = inner.in_order.pop_front()
        {
            inner.known.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No panic can leave the two out of step for longer than one forgotten entry.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let canceled = CanceledJobs::default();
        for n in 0..=REMEMBERED_MAX as u128 {
            canceled.insert(Uuid::from_u128(n));
            canceled.insert(Uuid::from_u128(n));
        }
        assert!(!canceled.contains(Uuid::from_u128(0)));
        assert!(canceled.contains(Uuid::from_u128(1)));
        assert!(canceled.contains(Uuid::from_u128(REMEMBERED_MAX as u128)));
        assert_eq!(canceled.lock().known.len(), REMEMBERED_MAX);
    }
}
