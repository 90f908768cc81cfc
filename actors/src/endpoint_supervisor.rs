//! Starts and finds the actors of webhook endpoints, one supervisor per arbiter.
//!
//! An endpoint actor that dies is simply forgotten: what it had is pending in the store, and
//! the next hint or the next look of the janitor starts another. One whose actors die again and
//! again is disabled, with a reason, instead of being started for ever.

use std::collections::HashMap;
use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, StreamHandler};
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};

use crate::batch::EndpointFault;
use crate::death::{Death, DeathNotice};
use crate::endpoint_actor::{self, Deliver, EndpointActor};
use crate::env::Env;
use crate::id::{AccountId, EndpointId};
use crate::webhook::WebhookDelivery;
use crate::webhook::endpoint::DisableReason;

/// Messages that may wait; hints beyond it are dropped and found again by the janitor.
const MAILBOX: usize = 4096;
/// Hints that may wait for one endpoint.
const HINTS: usize = 64;

/// Keeps the endpoint actors of one arbiter.
pub struct EndpointSupervisor {
    /// Ports and limits.
    env: Arc<Env>,
    /// Who is alive.
    children: HashMap<EndpointId, Addr<EndpointActor>>,
    /// Deaths in a row of those whose actors have not finished since.
    strikes: HashMap<EndpointId, u32>,
    /// Whose endpoints those are.
    owners: HashMap<EndpointId, AccountId>,
    /// Where children say that they are gone.
    deaths: mpsc::UnboundedSender<Death<EndpointId>>,
    /// The other end, until the actor has started.
    deaths_seen: Option<mpsc::UnboundedReceiver<Death<EndpointId>>>,
    /// Whether nothing new is taken on.
    draining: bool,
    /// Who waits for the last child to be gone.
    drained: Option<oneshot::Sender<()>>,
}

/// An endpoint has deliveries: these, or, when empty, some in the store.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wake {
    /// Whose.
    pub account_id: AccountId,
    /// Which endpoint.
    pub id: EndpointId,
    /// The new deliveries.
    pub deliveries: Vec<WebhookDelivery>,
}

/// Stops every child as soon as nothing is on its way.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Told when the last one is gone.
    pub drained: oneshot::Sender<()>,
}

impl EndpointSupervisor {
    /// A supervisor without children.
    pub fn new(env: Arc<Env>) -> Self {
        let (deaths, deaths_seen) = mpsc::unbounded_channel();
        Self {
            env,
            children: HashMap::new(),
            strikes: HashMap::new(),
            owners: HashMap::new(),
            deaths,
            deaths_seen: Some(deaths_seen),
            draining: false,
            drained: None,
        }
    }

    /// Counts a death. After too many the endpoint is disabled: what kills its actor is in its
    /// rows, and is kept there.
    fn strike(&mut self, id: EndpointId, ctx: &mut Context<Self>) {
        self.env.metrics.endpoint_actors.restarted.inc();
        let strikes = self.strikes.entry(id).or_default();
        *strikes += 1;
        if *strikes <= self.env.limits.restarts_max {
            tracing::warn!(endpoint = %id, "its actor died; the next look starts another");
            return;
        }
        tracing::error!(endpoint = %id, "its actors keep dying; it is disabled");
        let Some(account_id) = self.owners.get(&id).copied() else { return };
        let env = Arc::clone(&self.env);
        let fault = EndpointFault {
            endpoint_id: id,
            reason: DisableReason::Quarantined,
            at: env.clock.now(),
        };
        let quarantine = async move { env.deliveries.disable(account_id, fault).await };
        ctx.spawn(wrap_future::<_, Self>(quarantine).map(move |disabled, supervisor, _| {
            match disabled {
                Ok(_) => drop(supervisor.strikes.remove(&id)),
                // The next death tries again.
                Err(error) => tracing::warn!(endpoint = %id, %error, "it could not be disabled"),
            }
        }));
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

impl Actor for EndpointSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if let Some(mut seen) = self.deaths_seen.take() {
            ctx.add_stream(stream::poll_fn(move |task| seen.poll_recv(task)));
        }
    }
}

impl StreamHandler<Death<EndpointId>> for EndpointSupervisor {
    fn handle(&mut self, death: Death<EndpointId>, ctx: &mut Self::Context) {
        self.env.metrics.endpoint_actors.end(death.finished);
        // A successor may already live under the same id.
        let gone = self.children.get(&death.id).is_some_and(|address| !address.connected());
        if gone {
            self.children.remove(&death.id);
        }
        if death.finished {
            self.strikes.remove(&death.id);
        } else {
            self.strike(death.id, ctx);
        }
        if !self.children.contains_key(&death.id) {
            self.owners.remove(&death.id);
        }
        self.tell_if_drained();
    }
}

impl Handler<Wake> for EndpointSupervisor {
    type Result = ();

    fn handle(&mut self, wake: Wake, _ctx: &mut Self::Context) {
        if self.draining {
            return;
        }
        let alive = self.children.get(&wake.id).filter(|address| address.connected());
        if let Some(address) = alive {
            let from_store = wake.deliveries.is_empty();
            // The janitor looks again.
            if address.try_send(Deliver(wake.deliveries)).is_err() && !from_store {
                self.env.metrics.hints_lost.inc();
            }
            return;
        }
        let notice = DeathNotice::new(wake.id, self.deaths.clone());
        let (env, account_id, id) = (Arc::clone(&self.env), wake.account_id, wake.id);
        // A new actor reads the store first, so the deliveries at hand are not needed.
        let address = EndpointActor::create(move |ctx| {
            ctx.set_mailbox_capacity(HINTS);
            EndpointActor::new(env, account_id, id, notice)
        });
        self.children.insert(wake.id, address);
        self.owners.insert(wake.id, account_id);
    }
}

impl Handler<Drain> for EndpointSupervisor {
    type Result = ();

    fn handle(&mut self, drain: Drain, _ctx: &mut Self::Context) {
        self.draining = true;
        self.drained = Some(drain.drained);
        for address in self.children.values() {
            // A full mailbox means that it is busy; it is dropped with the process.
            let _ = address.try_send(endpoint_actor::Drain);
        }
        self.children.retain(|_, address| address.connected());
        self.tell_if_drained();
    }
}
