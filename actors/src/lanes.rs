//! Room for webhook tries, all endpoints together, in lanes.
//!
//! With one lane, endpoints that do not answer would hold it full for as long as a try may take,
//! and everybody else would wait behind them. So a try that is not answered quickly moves aside
//! and makes room; and an endpoint that was slow the last time, or did not answer at all, begins
//! among its like. The slow then only wait for each other, and so do the dead.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A try that takes longer than this is slow. Living endpoints answer well within it, from the
/// other side of the world too.
pub(crate) const SLOW_AFTER: Duration = Duration::from_millis(500);

/// All lanes.
#[derive(Debug, Clone)]
pub struct Lanes {
    quick: Arc<Semaphore>,
    /// Where tries of the quick lane move to.
    aside: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    silent: Arc<Semaphore>,
}

/// Which lane a try begins in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// For endpoints that answer, and those that nothing is known of.
    Quick,
    /// For endpoints whose last answer was slow.
    Slow,
    /// For endpoints that did not answer the last time.
    Silent,
}

/// A place in a lane, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    lane: Lane,
    _permit: OwnedSemaphorePermit,
}

impl Lanes {
    /// So many places in the quick lane, and so many in each of the others.
    pub fn new(quick: usize, others: usize) -> Self {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Self {
            quick: semaphore(quick),
            aside: semaphore(others),
            slow: semaphore(others),
            silent: semaphore(others),
        }
    }

    /// Waits for a place. There is none when the lanes are closed.
    pub async fn enter(&self, lane: Lane) -> Option<Place> {
        let semaphore = match lane {
            Lane::Quick => &self.quick,
            Lane::Slow => &self.slow,
            Lane::Silent => &self.silent,
        };
        let permit = Arc::clone(semaphore).acquire_owned().await.ok()?;
        Some(Place { lane, _permit: permit })
    }

    /// Sends those away who wait, now and later; who has a place keeps it.
    pub fn close(&self) {
        for semaphore in [&self.quick, &self.aside, &self.slow, &self.silent] {
            semaphore.close();
        }
    }

    /// Does the work in that place; what takes longer gives its place in the quick lane up as
    /// soon as there is one aside.
    pub async fn carry<T>(&self, place: Place, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        if place.lane != Lane::Quick {
            return work.await;
        }
        if let Ok(done) = timeout(SLOW_AFTER, &mut work).await {
            return done;
        }
        let _aside = tokio::select! {
            done = &mut work => return done,
            aside = Arc::clone(&self.aside).acquire_owned() => aside,
        };
        drop(place);
        work.await
    }
}
