//! Starts everything in order and stops it in reverse.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Arbiter};
use chrono::TimeDelta;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::endpoint_supervisor::{self, EndpointSupervisor};
use crate::engine::Engine;
use crate::env::Env;
use crate::id::NodeId;
use crate::janitor::{self, Janitor, Watch};
use crate::ports::StoreError;
use crate::supervisor::{self, Supervisor};

/// Generations read at a time when a process takes over what another left.
const ADOPTION_PAGE: u32 = 1000;
/// Further away than any deadline.
const EVER: TimeDelta = TimeDelta::weeks(5200);

/// Everything that runs, with the arbiters it runs on.
///
/// The arbiters are the engine's own: HTTP workers stop first, and a generation must not
/// stop with the connection that asked for it.
pub struct System {
    engine: Engine,
    supervisors: Vec<actix::Addr<Supervisor>>,
    endpoint_supervisors: Vec<actix::Addr<EndpointSupervisor>>,
    janitor: actix::Addr<Janitor>,
    arbiters: Vec<Arbiter>,
    watch: Watch,
    drain: Duration,
}

impl System {
    /// Starts supervisors on `threads` arbiters of its own, or on the caller's when there are
    /// to be none, takes over every generation in flight, and starts the janitor. When this
    /// returns, everything left by a dead process has an actor.
    ///
    /// # Errors
    /// [`StoreError`] when what is in flight cannot be read.
    pub async fn start(env: Env, node: NodeId, threads: usize) -> Result<Self, StoreError> {
        let drain = env.limits.drain;
        let env = Arc::new(env);
        let arbiters: Vec<Arbiter> = (0..threads).map(|_| arbiter()).collect();
        let handles = match threads {
            0 => vec![Arbiter::current()],
            _ => arbiters.iter().map(Arbiter::handle).collect(),
        };
        let mut supervisors = Vec::new();
        let mut endpoint_supervisors = Vec::new();
        for arbiter in &handles {
            let (here, there) = (Arc::clone(&env), Arc::clone(&env));
            supervisors.push(Supervisor::start_in_arbiter(arbiter, move |_| Supervisor::new(here)));
            endpoint_supervisors.push(EndpointSupervisor::start_in_arbiter(arbiter, move |_| {
                EndpointSupervisor::new(there)
            }));
        }
        let engine = Engine::new(env, supervisors.clone(), endpoint_supervisors.clone());
        adopt(&engine, node).await?;
        let watch = Watch::default();
        let looking = Janitor::new(engine.clone(), node, watch.clone());
        let janitor = Janitor::start_in_arbiter(&handles[0], move |_| looking);
        Ok(Self { engine, supervisors, endpoint_supervisors, janitor, arbiters, watch, drain })
    }

    /// The door to the actors.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What keeps the process from being ready.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Stops: nothing new is accepted, calls in flight are waited for up to a limit, the rest
    /// is left in the store for the next start.
    pub async fn stop(self) {
        self.engine.refuse();
        // Tries that wait for room are left to the next start.
        self.engine.env().lanes.close();
        let mut drained = Vec::new();
        for supervisor in &self.supervisors {
            let (told, gone) = oneshot::channel();
            let drain = supervisor::Drain { drained: told };
            if supervisor.send(drain).await.is_ok() {
                drained.push(gone);
            }
        }
        for supervisor in &self.endpoint_supervisors {
            let (told, gone) = oneshot::channel();
            let drain = endpoint_supervisor::Drain { drained: told };
            if supervisor.send(drain).await.is_ok() {
                drained.push(gone);
            }
        }
        // A query that is cut off with its arbiter panics.
        let (told, gone) = oneshot::channel();
        if self.janitor.send(janitor::Drain { drained: told }).await.is_ok() {
            drained.push(gone);
        }
        let all = async {
            for gone in drained {
                // A supervisor that is gone has nothing left to wait for.
                let _ = gone.await;
            }
        };
        if timeout(self.drain, all).await.is_err() {
            tracing::warn!("some calls were still in flight; the next start sees to them");
        }
        for arbiter in self.arbiters {
            arbiter.stop();
            // A thread that panicked has stopped too.
            let _ = arbiter.join();
        }
    }
}

/// A thread for actors. What a stop cuts off is dropped when its runtime does not run any more, and
/// a connection that goes back to its pool then asks for one all the same.
fn arbiter() -> Arbiter {
    Arbiter::with_tokio_rt(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system has room for a runtime");
        std::mem::forget(runtime.enter());
        runtime
    })
}

/// Takes over every generation in flight.
async fn adopt(engine: &Engine, node: NodeId) -> Result<(), StoreError> {
    let env = engine.env();
    let adopted = env.generations.adopt_any_account(node).await?;
    if adopted > 0 {
        tracing::info!(adopted, "taking over generations in flight");
    }
    let ever = env.clock.now() + EVER;
    let mut after = None;
    loop {
        let page = env.generations.list_due_any_account(node, ever, after, ADOPTION_PAGE).await?;
        // One that ended since it was listed has no such time any more.
        let last = page.iter().rev().find_map(|last| Some((last.due_at()?, last.id)));
        if last.is_none() {
            return Ok(());
        }
        after = last;
        for generation in page {
            engine.attend(generation).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells when it is dropped whether there is a runtime.
    struct Asks(Option<oneshot::Sender<bool>>);

    impl Drop for Asks {
        fn drop(&mut self) {
            let found = tokio::runtime::Handle::try_current().is_ok();
            self.0.take().unwrap().send(found).unwrap();
        }
    }

    #[test]
    fn what_a_stop_cuts_off_finds_a_runtime() {
        actix::System::new().block_on(async {
            let (asks, found) = oneshot::channel();
            let (begins, begun) = oneshot::channel();
            let arbiter = arbiter();
            arbiter.spawn(async move {
                let _asks = Asks(Some(asks));
                begins.send(()).unwrap();
                std::future::pending::<()>().await;
            });
            begun.await.unwrap();
            arbiter.stop();
            arbiter.join().unwrap();
            assert!(found.await.unwrap());
        });
    }
}
