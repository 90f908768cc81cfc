//! Starts, finds and restarts the actors of generations, one supervisor per arbiter.
//!
//! Supervision is ours because actix's does not survive a panic: when an actor is gone
//! without having finished, its generation is read again from the store and a new actor
//! takes it on; one that keeps dying is failed and refunded with a reason, never looped.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, StreamHandler};
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};

use crate::batch::Advance;
use crate::death::{Death, DeathNotice};
use crate::env::Env;
use crate::failure::{Failure, FailureCode};
use crate::generation::{Event, Generation};
use crate::generation_actor::{GenerationActor, Nudge, orphans};
use crate::id::{AccountId, GenerationId};
use crate::ports::StoreError;

/// Messages that may wait for a supervisor. Senders wait their turn beyond it, so it bounds
/// memory and costs nothing: a message is handled in microseconds.
const MAILBOX: usize = 4096;
/// Messages that may wait for one generation: a cancel, a drain, and a burst of callbacks.
const NUDGES: usize = 16;
/// The wait before a dead actor is started again, times the deaths so far.
const RESTART_WAIT: Duration = Duration::from_millis(100);

/// Keeps the generation actors of one arbiter.
pub struct Supervisor {
    /// Ports and limits.
    env: Arc<Env>,
    /// Who is alive, or about to be started again.
    children: HashMap<GenerationId, Child>,
    /// Where children say that they are gone.
    deaths: mpsc::UnboundedSender<Death<GenerationId>>,
    /// The other end, until the actor has started.
    deaths_seen: Option<mpsc::UnboundedReceiver<Death<GenerationId>>>,
    /// Whether nothing new is taken on.
    draining: bool,
    /// Who waits for the last child to be gone.
    drained: Option<oneshot::Sender<()>>,
}

struct Child {
    account_id: AccountId,
    /// With a higher one in its row, another process has taken it over.
    epoch: i64,
    address: Option<Addr<GenerationActor>>,
    deaths: u32,
}

/// Takes a generation on. One that is already taken on is left alone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attend {
    /// As it stands in the store.
    pub generation: Box<Generation>,
    /// Whether its open attempt was just written and has certainly not left.
    pub fresh: bool,
    /// Who waits to hear that a provider has taken it.
    pub waiter: Option<oneshot::Sender<Generation>>,
}

/// Passes a hint on. When nobody attends to the generation the hint is dropped: the row is
/// the fact.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Tell {
    /// About which generation.
    pub id: GenerationId,
    /// The hint.
    pub nudge: Nudge,
}

/// Stops every child as soon as it has no call in flight.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Told when the last one is gone.
    pub drained: oneshot::Sender<()>,
}

impl Supervisor {
    /// A supervisor without children.
    pub fn new(env: Arc<Env>) -> Self {
        let (deaths, deaths_seen) = mpsc::unbounded_channel();
        Self {
            env,
            children: HashMap::new(),
            deaths,
            deaths_seen: Some(deaths_seen),
            draining: false,
            drained: None,
        }
    }

    fn start_child(
        &mut self,
        generation: Generation,
        fresh: bool,
        waiter: Option<oneshot::Sender<Generation>>,
    ) {
        let (id, account_id, epoch) = (generation.id, generation.account_id, generation.epoch);
        let notice = DeathNotice::new(id, self.deaths.clone());
        let env = Arc::clone(&self.env);
        let address = GenerationActor::create(move |ctx| {
            ctx.set_mailbox_capacity(NUDGES);
            GenerationActor::new(env, generation, fresh, waiter, notice)
        });
        match self.children.entry(id) {
            Entry::Occupied(mut child) => child.get_mut().address = Some(address),
            Entry::Vacant(place) => {
                place.insert(Child { account_id, epoch, address: Some(address), deaths: 0 });
            }
        }
    }

    fn died(&mut self, ctx: &mut Context<Self>, id: GenerationId) {
        let Some(child) = self.children.get_mut(&id) else { return };
        child.address = None;
        child.deaths += 1;
        let (account_id, deaths) = (child.account_id, child.deaths);
        if deaths > self.env.limits.restarts_max {
            tracing::error!(generation = %id, deaths, "its actor keeps dying; failing it");
            return self.quarantine(ctx, account_id, id);
        }
        tracing::warn!(generation = %id, deaths, "its actor died; starting another");
        ctx.run_later(RESTART_WAIT * deaths, move |supervisor, ctx| {
            supervisor.restart(ctx, account_id, id);
        });
    }

    fn restart(&mut self, ctx: &mut Context<Self>, account_id: AccountId, id: GenerationId) {
        if self.draining {
            return self.remove(id);
        }
        let env = Arc::clone(&self.env);
        let read = async move {
            let found = env.generations.find(account_id, id).await;
            if let Ok(found) = &found
                && found.as_ref().is_none_or(|it| it.status().is_terminal())
            {
                // Nobody else knows what the dead actor has stored.
                orphans::remove(&env, account_id, id).await;
            }
            found
        };
        let read = wrap_future::<_, Self>(read).map(move |found, supervisor, ctx| match found {
            Ok(Some(generation)) if supervisor.is_ours(&generation) => {
                supervisor.env.metrics.generation_actors.restarted.inc();
                supervisor.start_child(generation, false, None);
            }
            Ok(_) => supervisor.remove(id),
            Err(error) => {
                tracing::warn!(generation = %id, %error, "cannot read it; trying again");
                ctx.run_later(RESTART_WAIT, move |supervisor, ctx| {
                    supervisor.restart(ctx, account_id, id);
                });
            }
        });
        ctx.spawn(read);
    }

    /// Whether a generation, as just read, is still this process's to go on with.
    fn is_ours(&self, generation: &Generation) -> bool {
        let child = self.children.get(&generation.id);
        child.is_some_and(|child| child.epoch == generation.epoch)
            && !generation.status().is_terminal()
            && !self.draining
    }

    /// Fails a generation whose actor keeps dying; its credit comes back.
    fn quarantine(&mut self, ctx: &mut Context<Self>, account_id: AccountId, id: GenerationId) {
        let env = Arc::clone(&self.env);
        let failed = async move {
            let message = "The generation failed because of an internal error.";
            let failure = Failure::new(FailureCode::GenerationFailed, message);
            let events = vec![Event::Failed { failure, at: env.clock.now() }];
            // The epoch is read, not remembered: whoever owns it now, it must not loop.
            let advance = Advance { account_id, id, epoch: None, events };
            let failed = env.generations.advance(advance).await?;
            orphans::remove(&env, account_id, id).await;
            Ok::<_, StoreError>(failed)
        };
        let failed =
            wrap_future::<_, Self>(failed).map(move |result, supervisor, ctx| match result {
                Ok(_) => supervisor.remove(id),
                Err(error) => {
                    tracing::warn!(generation = %id, %error, "cannot fail it; trying again");
                    ctx.run_later(RESTART_WAIT, move |supervisor, ctx| {
                        supervisor.quarantine(ctx, account_id, id);
                    });
                }
            });
        ctx.spawn(failed);
    }

    fn remove(&mut self, id: GenerationId) {
        self.children.remove(&id);
        self.tell_if_drained();
    }

    fn tell_if_drained(&mut self) {
        if self.children.is_empty()
            && let Some(drained) = self.drained.take()
        {
            // Whoever waited may have given up.
            let _ = drained.send(());
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if let Some(mut seen) = self.deaths_seen.take() {
            ctx.add_stream(stream::poll_fn(move |task| seen.poll_recv(task)));
        }
    }
}

impl StreamHandler<Death<GenerationId>> for Supervisor {
    fn handle(&mut self, death: Death<GenerationId>, ctx: &mut Self::Context) {
        self.env.metrics.generation_actors.end(death.finished);
        if death.finished || self.draining {
            self.remove(death.id);
        } else {
            self.died(ctx, death.id);
        }
    }
}

impl Handler<Attend> for Supervisor {
    type Result = ();

    fn handle(&mut self, attend: Attend, _ctx: &mut Self::Context) {
        let known = self.children.contains_key(&attend.generation.id);
        // While draining, what is not begun is left to the next process.
        if !known && !self.draining {
            self.start_child(*attend.generation, attend.fresh, attend.waiter);
        }
    }
}

impl Handler<Tell> for Supervisor {
    type Result = ();

    fn handle(&mut self, tell: Tell, _ctx: &mut Self::Context) {
        let child = self.children.get(&tell.id).and_then(|child| child.address.as_ref());
        if let Some(address) = child
            && address.try_send(tell.nudge).is_err()
        {
            tracing::debug!(generation = %tell.id, "a hint was dropped");
        }
    }
}

impl Handler<Drain> for Supervisor {
    type Result = ();

    fn handle(&mut self, drain: Drain, _ctx: &mut Self::Context) {
        self.draining = true;
        self.drained = Some(drain.drained);
        for child in self.children.values() {
            if let Some(address) = &child.address {
                // A full mailbox means that it is busy; it will be dropped with the process.
                let _ = address.try_send(Nudge::Drain);
            }
        }
        self.children.retain(|_, child| child.address.is_some());
        self.tell_if_drained();
    }
}
