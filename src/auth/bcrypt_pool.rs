//! The threads that bcrypt runs on.
//!
//! One verification takes tens of milliseconds of a core, so it may neither run on a thread
//! that serves requests nor wait in a queue without end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads and a bounded queue. The threads end when this is dropped, after
/// what is queued.
pub(super) struct BcryptPool {
    queue: SyncSender<Job>,
    waiting: Gauge,
    taken: Counter,
}

/// The queue is full; the job was not taken.
#[derive(Debug)]
pub(super) struct Full;

impl BcryptPool {
    pub(super) fn start(
        threads: usize,
        queue_max: usize,
        waiting: Gauge,
        taken: Counter,
    ) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(queue_max);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads.max(1) {
            let (jobs, waiting) = (Arc::clone(&jobs), waiting.clone());
            thread::Builder::new()
                .name(format!("bcrypt-{number}"))
                .spawn(move || work(&jobs, &waiting))?;
        }
        Ok(Self { queue, waiting, taken })
    }

    pub(super) fn try_run(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Full> {
        self.waiting.inc();
        match self.queue.try_send(Box::new(job)) {
            Ok(()) => {
                self.taken.inc();
                Ok(())
            }
            Err(_) => {
                self.waiting.dec();
                Err(Full)
            }
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, waiting: &Gauge) {
    loop {
        // Held only while waiting for a job, so that the next thread waits meanwhile.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        waiting.dec();
        // A thread less would go unnoticed until the last one is gone.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("checking an API key panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_full_queue_refuses_and_a_panic_takes_no_thread_away() {
        let waiting = Gauge::default();
        let pool = BcryptPool::start(1, 1, waiting.clone(), Counter::default()).unwrap();
        let (started, has_started) = channel();
        let (finish, may_finish) = channel::<()>();
        let blocked = move || {
            started.send(()).unwrap();
            let _ = may_finish.recv();
            panic!("as asked");
        };
        pool.try_run(blocked).unwrap();
        has_started.recv().unwrap();
        let (done, is_done) = channel();
        pool.try_run(move || done.send(()).unwrap()).unwrap();
        assert_eq!(waiting.get(), 1);
        assert!(pool.try_run(|| ()).is_err());
        assert_eq!(waiting.get(), 1);
        drop(finish);
        is_done.recv().unwrap();
        assert_eq!(waiting.get(), 0);
    }
}
