//! Looks for due work that nobody attends to, and measures how late the oldest is.
//!
//! Messages are hints and may be lost; this is what makes that cost one look and never a
//! result. It is also what readiness asks: a process whose due work does not move is not
//! ready, however well it answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::engine::Engine;
use crate::generation::Status;
use crate::id::{GenerationId, NodeId};
use crate::metrics::{StatusLabel, WorkLabel};
use crate::ports::{Backlog, StoreError};

/// How often it looks. What an operator's command has made due waits no longer than this.
const INTERVAL: Duration = Duration::from_millis(500);
/// Actors attend to their own work on time; a generation later than this has none.
const LATE_AFTER: Duration = Duration::from_secs(2);
/// Rows read at a time; of generations, in one look.
const PAGE: u32 = 500;
/// Work later than this, with nothing moving, makes the process not ready.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// A look that has not ended for so long makes the process not ready.
const SILENT_AFTER: Duration = Duration::from_secs(15);

/// What the janitor saw last. Shared with whoever asks for readiness.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Seen>>);

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    looked_at: Option<DateTime<Utc>>,
    backlog: Backlog,
    /// Since when the oldest due generation has been the same, and which time that is.
    generation_still: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The same for deliveries.
    delivery_still: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// What had been done by then.
    done: Done,
}

/// Counts that grow when work moves: one slow endpoint, whose oldest delivery waits long, must
/// not make a process that serves everybody else not ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Done {
    /// Generations that entered a state.
    generations: u64,
    /// Webhook tries that ended.
    tries: u64,
}

impl Watch {
    /// What keeps the process from being ready; empty when nothing does.
    pub fn problems(&self, now: DateTime<Utc>) -> Vec<String> {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut problems = Vec::new();
        match seen.looked_at {
            None => problems.push("nobody has looked at the queues yet".to_owned()),
            Some(at) if now - at > delta(SILENT_AFTER) => {
                problems.push(format!("nobody has looked at the queues since {at}"));
            }
            Some(_) => {}
        }
        let stills = [("generation", seen.generation_still), ("delivery", seen.delivery_still)];
        for (work, still) in stills {
            if let Some((since, due_at)) = still
                && now - since > delta(STUCK_AFTER)
                && now - due_at > delta(STUCK_AFTER)
            {
                problems.push(format!("a {work} is due since {due_at} and nothing moves"));
            }
        }
        problems
    }

    fn saw(&self, now: DateTime<Utc>, backlog: Backlog, done: Done) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.looked_at = Some(now);
        seen.backlog = backlog;
        let before = std::mem::replace(&mut seen.done, done);
        let next = |still: Option<(DateTime<Utc>, DateTime<Utc>)>,
                    due: Option<DateTime<Utc>>,
                    moved: bool| {
            let due = due.filter(|due| *due <= now)?;
            Some(still.filter(|(_, old)| *old == due && !moved).unwrap_or((now, due)))
        };
        let moved = before.generations != done.generations;
        seen.generation_still = next(seen.generation_still, backlog.generation_due_at, moved);
        let moved = before.tries != done.tries;
        seen.delivery_still = next(seen.delivery_still, backlog.delivery_due_at, moved);
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// The actor that looks.
pub struct Janitor {
    /// Whom to tell.
    engine: Engine,
    /// Whose generations.
    node: NodeId,
    /// What was seen last.
    watch: Watch,
    /// The last generation that was late: the next look goes on after it, so that a page full of
    /// those that have an actor does not hide one that has none.
    attended: Option<(DateTime<Utc>, GenerationId)>,
    /// Whether a look is under way.
    looking: bool,
    /// Dropped with this, which tells who waits for its end.
    drained: Option<oneshot::Sender<()>>,
}

/// Ends the janitor as soon as it does not look any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Dropped when it has.
    pub drained: oneshot::Sender<()>,
}

impl Janitor {
    /// A janitor for what this process owns.
    pub fn new(engine: Engine, node: NodeId, watch: Watch) -> Self {
        Self { engine, node, watch, attended: None, looking: false, drained: None }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.engine.is_stopping() {
            return ctx.stop();
        }
        self.looking = true;
        let (engine, node, attended) = (self.engine.clone(), self.node, self.attended);
        let look = async move { look(&engine, node, attended).await };
        ctx.spawn(wrap_future::<_, Self>(look).map(|seen, janitor, ctx| {
            janitor.looking = false;
            match seen {
                Ok((backlog, attended)) => {
                    janitor.attended = attended;
                    let now = janitor.engine.env().clock.now();
                    janitor.watch.saw(now, backlog, janitor.done());
                    janitor.measure(now, backlog);
                }
                Err(error) => tracing::warn!(%error, "cannot look for due work"),
            }
            match janitor.drained {
                Some(_) => ctx.stop(),
                None => drop(ctx.run_later(INTERVAL, Self::look)),
            }
        }));
    }

    fn done(&self) -> Done {
        let metrics = &self.engine.env().metrics;
        let count = |family: &Family<StatusLabel, Counter>, statuses: &[&'static str]| {
            let of = |status: &&'static str| family.get_or_create(&StatusLabel { status }).get();
            statuses.iter().map(of).sum()
        };
        Done {
            generations: count(&metrics.generations, &Status::ALL.map(Status::as_str)),
            tries: count(&metrics.webhook_tries, &["delivered", "failed"]),
        }
    }

    fn measure(&self, now: DateTime<Utc>, backlog: Backlog) {
        let metrics = &self.engine.env().metrics;
        let late = |due: Option<DateTime<Utc>>| {
            due.map_or(0.0, |due| (now - due).num_milliseconds().max(0) as f64 / 1000.0)
        };
        let work = [
            ("generation", late(backlog.generation_due_at)),
            ("delivery", late(backlog.delivery_due_at)),
        ];
        for (work, seconds) in work {
            metrics.oldest_due.get_or_create(&WorkLabel { work }).set(seconds);
        }
        let in_flight = [("pending", backlog.pending), ("processing", backlog.processing)];
        for (status, count) in in_flight {
            let gauge = metrics.in_flight.get_or_create(&StatusLabel { status });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

impl Actor for Janitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look(ctx);
    }
}

impl Handler<Drain> for Janitor {
    type Result = ();

    fn handle(&mut self, message: Drain, ctx: &mut Self::Context) {
        self.drained = Some(message.drained);
        if !self.looking {
            ctx.stop();
        }
    }
}

/// What waits, and where the next look at generations goes on.
type Look = (Backlog, Option<(DateTime<Utc>, GenerationId)>);

async fn look(
    engine: &Engine,
    node: NodeId,
    attended: Option<(DateTime<Utc>, GenerationId)>,
) -> Result<Look, StoreError> {
    let env = engine.env();
    let now = env.clock.now();
    let late = now - delta(LATE_AFTER);
    let overdue = env.generations.list_due_any_account(node, late, attended, PAGE).await?;
    // A page that is not full is the last one, and the next look begins again.
    let full = overdue.len() == PAGE as usize;
    let last = overdue.iter().rev().find_map(|last| Some((last.due_at()?, last.id)));
    let attended = last.filter(|_| full);
    for generation in overdue {
        engine.attend(generation).await;
    }
    // All of them: thousands may have become due together, and none is to wait for a page that
    // dead ones fill again and again.
    let mut after = None;
    loop {
        let due = env.deliveries.list_due_endpoints_any_account(now, after, PAGE).await?;
        after = due.last().copied().filter(|_| due.len() == PAGE as usize);
        for (account_id, id) in due {
            engine.wake(account_id, id).await;
        }
        if after.is_none() {
            break;
        }
    }
    Ok((env.backlog.backlog(now).await?, attended))
}

#[cfg(test)]
mod tests {
    use providers::name::ProviderName::{SandboxInline, SandboxPolling};
    use providers::{DeliveryMode, Error};
    use uuid::Uuid;

    use super::*;
    use crate::fakes::provider::{Answer, FakeProvider, done};
    use crate::fakes::{World, run};
    use crate::generation::Status;

    const SECOND: Duration = Duration::from_secs(1);

    fn problems(world: &World) -> Vec<String> {
        let now = providers::clock::Clock::now(&*world.clock);
        world.system().watch().problems(now)
    }

    #[test]
    fn a_generation_that_nobody_attends_to_is_found_when_it_is_due() {
        run(async {
            let first = FakeProvider::new(SandboxPolling, DeliveryMode::Polling);
            let second = FakeProvider::new(SandboxInline, DeliveryMode::Inline);
            second.on_submit(Answer::Now(done()));
            let world = World::start(&[&first, &second]).await;
            let id = world.leave(Vec::new()).await;
            world.pass(63 * SECOND).await;
            assert_eq!(world.ended(id).await.status(), Status::Succeeded);
            assert_eq!(first.count("submit"), 0);
            assert!(problems(&world).is_empty());
        });
    }

    #[test]
    fn a_process_is_ready_after_the_first_look_and_not_while_due_work_stands_still() {
        run(async {
            let provider = FakeProvider::new(SandboxPolling, DeliveryMode::Polling);
            let mut world = World::new(&[&provider]);
            world.boot().await;
            assert_eq!(problems(&world).len(), 1);
            world.pass(SECOND).await;
            assert!(problems(&world).is_empty());
            // Another process owns it and does nothing.
            let id = world.leave(Vec::new()).await;
            world.store.rows().owners.insert(id, NodeId(Uuid::from_u128(8)));
            world.pass(85 * SECOND).await;
            assert!(problems(&world).is_empty());
            world.pass(10 * SECOND).await;
            assert_eq!(problems(&world).len(), 1);
            let late = world.metrics.oldest_due.get_or_create(&WorkLabel { work: "generation" });
            assert!(late.get() > 30.0);
        });
    }

    #[test]
    fn a_stop_ends_the_looking() {
        run(async {
            let provider = FakeProvider::new(SandboxPolling, DeliveryMode::Polling);
            provider.on_submit(Answer::Now(Err(providers::SubmitError {
                error: Error::TimedOut,
                acceptance: providers::Acceptance::Unknown,
            })));
            let mut world = World::start(&[&provider]).await;
            let id = world.begin().await;
            world.stop().await;
            world.pass(100 * SECOND).await;
            assert_eq!(world.metrics.generation_actors.started.get(), 1);
            assert_eq!(world.store.generation(id).status(), Status::Pending);
        });
    }
}
