//! One actor per webhook endpoint with something to send.
//!
//! Several deliveries go at a time, in the order in which they happened; a delivery waits
//! while an earlier one of the same generation is on its way, so that `started` comes before
//! the end, unless its retries are still running. A slow or dead endpoint holds up nobody
//! but itself. What is pending is in the store; this is only a window on it, and what is to be
//! tried again much later is not even in that.

mod calls;
mod pace;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle,
};
use chrono::{DateTime, TimeDelta, Utc};

use crate::batch::TryOutcome;
use crate::death::DeathNotice;
use crate::endpoint_actor::calls::{find_endpoint, post, record};
use crate::endpoint_actor::pace::Pace;
use crate::env::Env;
use crate::id::{AccountId, DeliveryId, EndpointId, GenerationId};
use crate::webhook::{TryResult, WebhookDelivery, WebhookEndpoint};

/// Deliveries held in memory; the rest waits in the store.
const WINDOW: usize = 256;
/// How old the endpoint's URL and switch may be when something is sent: a change by an
/// operator takes effect within a second.
const ENDPOINT_AGE_MAX: Duration = Duration::from_millis(500);
/// How long an actor with nothing to do stays, so that steady traffic does not start one
/// actor per event.
const LINGER: Duration = Duration::from_secs(10);
/// What is due later than this stays in the store, where the janitor finds it: the fast tries
/// are sooner, the others much later.
const HORIZON: Duration = Duration::from_secs(15);
/// The wait after the store did not answer.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The actor of one webhook endpoint.
pub struct EndpointActor {
    /// Ports and limits.
    env: Arc<Env>,
    /// Whose endpoint.
    account_id: AccountId,
    /// Which endpoint.
    id: EndpointId,
    /// The endpoint as last read, and when.
    endpoint: Option<(Arc<WebhookEndpoint>, DateTime<Utc>)>,
    /// To be sent, in order.
    queue: VecDeque<WebhookDelivery>,
    /// Queued, on their way, or waiting for a retry.
    known: HashSet<DeliveryId>,
    /// What has a delivery on its way that others wait for.
    sending: HashSet<Sequence>,
    /// Deliveries on their way.
    in_flight: usize,
    /// Whether the store may hold more than the window.
    more: bool,
    /// Whether a read is under way, of deliveries or of the endpoint alone.
    reading: bool,
    /// How many go at a time.
    pace: Pace,
    /// Whether one delivery has to arrive before others may go.
    probing: bool,
    /// Done with since that read began: it may have seen them pending.
    done: Vec<DeliveryId>,
    /// The end of an actor with nothing to do.
    linger: Option<SpawnHandle>,
    /// Whether to stop as soon as nothing is on its way.
    draining: bool,
    /// Tells the supervisor when this actor ends, however it ends.
    notice: DeathNotice<EndpointId>,
}

/// New deliveries, or, when empty, the hint that the store has some.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver(pub Vec<WebhookDelivery>);

/// Stop as soon as nothing is on its way.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

impl EndpointActor {
    /// An actor that begins by reading what is pending.
    pub fn new(
        env: Arc<Env>,
        account_id: AccountId,
        id: EndpointId,
        notice: DeathNotice<EndpointId>,
    ) -> Self {
        let limits = env.limits;
        Self {
            env,
            account_id,
            id,
            endpoint: None,
            queue: VecDeque::new(),
            known: HashSet::new(),
            sending: HashSet::new(),
            in_flight: 0,
            more: true,
            reading: false,
            pace: Pace::new(limits.tries_per_endpoint),
            probing: false,
            done: Vec::new(),
            linger: None,
            draining: false,
            notice,
        }
    }

    /// Sends what may be sent now, and reads on when the window is empty.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.draining {
            if self.in_flight == 0 {
                self.finish(ctx);
            }
            return;
        }
        if !self.reading {
            if self.more && self.queue.is_empty() && self.known.len() < WINDOW {
                return self.read(ctx);
            }
            if !self.queue.is_empty() && !self.is_fresh() {
                return self.look(ctx);
            }
        }
        if self.is_fresh() {
            while self.may_send() {
                let free = |delivery: &WebhookDelivery| {
                    Sequence::of(delivery).is_none_or(|it| !self.sending.contains(&it))
                };
                let next = self.queue.iter().position(free);
                let Some(delivery) = next.and_then(|position| self.queue.remove(position)) else {
                    break;
                };
                self.send(ctx, delivery);
            }
        }
        self.linger(ctx);
    }

    fn may_send(&self) -> bool {
        // While it is probed, what is on its way or waits for its next try decides.
        let decided = !self.probing || self.known.len() == self.queue.len();
        decided && self.in_flight < self.pace.window()
    }

    /// Whether the endpoint is known as it is now.
    fn is_fresh(&self) -> bool {
        let now = self.env.clock.now();
        self.endpoint.as_ref().is_some_and(|(_, read_at)| is_fresh(*read_at, now))
    }

    fn linger(&mut self, ctx: &mut Context<Self>) {
        if let Some(linger) = self.linger.take() {
            ctx.cancel_future(linger);
        }
        if self.known.is_empty() && !self.reading {
            self.linger = Some(ctx.run_later(LINGER, |actor, ctx| {
                actor.linger = None;
                if actor.known.is_empty() && !actor.reading {
                    actor.finish(ctx);
                }
            }));
        }
    }

    /// Reads the endpoint, and what is due for it.
    fn read(&mut self, ctx: &mut Context<Self>) {
        self.reading = true;
        let (env, account_id, id) = (Arc::clone(&self.env), self.account_id, self.id);
        let limit = u32::try_from(WINDOW).unwrap_or(u32::MAX);
        let read = async move {
            let read_at = env.clock.now();
            let endpoint = find_endpoint(&env, account_id, id).await;
            let due_before = read_at + HORIZON;
            let found = env.deliveries.list_pending(account_id, id, due_before, limit).await;
            (endpoint, read_at, found)
        };
        ctx.spawn(wrap_future::<_, Self>(read).map(|(endpoint, read_at, found), actor, ctx| {
            actor.reading = false;
            if !actor.saw(endpoint, read_at) {
                return actor.leave(ctx);
            }
            match found {
                Ok(deliveries) => {
                    actor.more = deliveries.len() >= WINDOW;
                    actor.enqueue(ctx, deliveries);
                    for id in std::mem::take(&mut actor.done) {
                        actor.known.remove(&id);
                    }
                    actor.pump(ctx);
                }
                Err(error) => {
                    tracing::warn!(endpoint = %actor.id, %error, "cannot read its deliveries");
                    ctx.run_later(READ_AGAIN_AFTER, Self::pump);
                }
            }
        }));
    }

    /// Reads the endpoint alone.
    fn look(&mut self, ctx: &mut Context<Self>) {
        self.reading = true;
        let (env, account_id, id) = (Arc::clone(&self.env), self.account_id, self.id);
        let look = async move {
            let read_at = env.clock.now();
            (find_endpoint(&env, account_id, id).await, read_at)
        };
        ctx.spawn(wrap_future::<_, Self>(look).map(|(endpoint, read_at), actor, ctx| {
            actor.reading = false;
            for id in std::mem::take(&mut actor.done) {
                actor.known.remove(&id);
            }
            if !actor.saw(endpoint, read_at) {
                return actor.leave(ctx);
            }
            actor.pump(ctx);
        }));
    }

    /// Takes in how the endpoint was then. Answers whether it is to be sent anything now.
    fn saw(&mut self, endpoint: Option<WebhookEndpoint>, read_at: DateTime<Utc>) -> bool {
        let Some(endpoint) = endpoint else { return false };
        let state = &endpoint.state;
        self.probing = state.probing;
        let open = state.enabled && state.pause(read_at).is_none();
        self.endpoint = Some((Arc::new(endpoint), read_at));
        open
    }

    /// Neither queued nor on its way any more.
    fn forget(&mut self, id: DeliveryId) {
        if self.reading {
            self.done.push(id);
        } else {
            self.known.remove(&id);
        }
    }

    fn enqueue(&mut self, ctx: &mut Context<Self>, deliveries: Vec<WebhookDelivery>) {
        let now = self.env.clock.now();
        for delivery in deliveries {
            if self.known.len() >= WINDOW {
                self.more = true;
                break;
            }
            if !self.known.insert(delivery.id) {
                continue;
            }
            match (delivery.next_try_at - now).to_std() {
                Ok(wait) if delivery.tries > 0 => self.queue_later(ctx, wait, delivery),
                Ok(_) | Err(_) => self.queue.push_back(delivery),
            }
        }
    }

    fn queue_later(&mut self, ctx: &mut Context<Self>, wait: Duration, delivery: WebhookDelivery) {
        ctx.run_later(wait, move |actor, ctx| {
            match actor.probing {
                // The probe is one event, until it is decided.
                true => actor.queue.push_front(delivery),
                // Behind what has not been tried at all, or retries would keep it waiting.
                false => actor.queue.push_back(delivery),
            }
            actor.pump(ctx);
        });
    }

    fn send(&mut self, ctx: &mut Context<Self>, delivery: WebhookDelivery) {
        self.in_flight += 1;
        let (delivery_id, sequence) = (delivery.id, Sequence::of(&delivery));
        self.sending.extend(sequence);
        let (env, known) = (Arc::clone(&self.env), self.endpoint.clone());
        let (account_id, id, lane) = (self.account_id, self.id, self.pace.lane());
        let tried = async move {
            // The wait for room may be long, so the endpoint is looked at after it.
            let place = env.lanes.enter(lane).await;
            let now = env.clock.now();
            let endpoint = match known.filter(|(_, read_at)| is_fresh(*read_at, now)) {
                Some((endpoint, _)) => endpoint,
                None => match find_endpoint(&env, account_id, id).await {
                    Some(endpoint) => Arc::new(endpoint),
                    None => return Tried::EndpointOff,
                },
            };
            if !endpoint.state.enabled || endpoint.state.pause(now).is_some() {
                return Tried::EndpointOff;
            }
            let result = env.lanes.carry(place, post(&env, &endpoint, &delivery)).await;
            match record(&env, &delivery, result.clone()).await {
                Some(outcome) => Tried::Once(result, Box::new(outcome)),
                None => Tried::DeliveryGone,
            }
        };
        ctx.spawn(wrap_future::<_, Self>(tried).map(move |tried, actor, ctx| {
            actor.in_flight -= 1;
            if let Some(sequence) = sequence {
                actor.sending.remove(&sequence);
            }
            actor.tried(ctx, delivery_id, tried);
        }));
    }

    fn tried(&mut self, ctx: &mut Context<Self>, id: DeliveryId, tried: Tried) {
        match tried {
            Tried::Once(result, outcome) => {
                self.pace.record(&result);
                self.probing = outcome.endpoint_probing;
                let now = self.env.clock.now();
                let paused = outcome.endpoint_paused_until.is_some_and(|until| until > now);
                if !outcome.endpoint_enabled || paused {
                    return self.leave(ctx);
                }
                let delivery = outcome.delivery;
                let wait = (delivery.next_try_at - now).to_std().unwrap_or_default();
                if delivery.status.is_open() && wait <= HORIZON {
                    self.queue_later(ctx, wait, delivery);
                } else {
                    self.forget(id);
                }
            }
            Tried::DeliveryGone => self.forget(id),
            Tried::EndpointOff => return self.leave(ctx),
        }
        self.pump(ctx);
    }

    /// The endpoint is disabled, deleted, or wants to be left alone: what is pending stays in the
    /// store, and is found there when that has changed.
    fn leave(&mut self, ctx: &mut Context<Self>) {
        self.queue.clear();
        self.draining = true;
        self.pump(ctx);
    }

    fn finish(&mut self, ctx: &mut Context<Self>) {
        self.notice.finish();
        ctx.stop();
    }
}

/// What must go one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sequence {
    /// What is told of a generation.
    Generation(GenerationId),
    /// What was queued while the endpoint was disabled.
    Queue,
}

impl Sequence {
    fn of(delivery: &WebhookDelivery) -> Option<Self> {
        if delivery.in_order {
            Some(Self::Queue)
        } else {
            delivery.generation_id.map(Self::Generation)
        }
    }
}

fn is_fresh(read_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let age = now - read_at;
    age >= TimeDelta::zero() && age.to_std().is_ok_and(|age| age <= ENDPOINT_AGE_MAX)
}

/// How a try ended, for the actor.
enum Tried {
    /// It was made, with this result, and this came of it.
    Once(TryResult, Box<TryOutcome>),
    /// The delivery is no longer in the store.
    DeliveryGone,
    /// The endpoint is disabled or deleted, or wants to be left alone.
    EndpointOff,
}

impl Actor for EndpointActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.env.metrics.endpoint_actors.start();
        self.pump(ctx);
    }
}

impl Handler<Deliver> for EndpointActor {
    type Result = ();

    fn handle(&mut self, deliver: Deliver, ctx: &mut Self::Context) {
        if deliver.0.is_empty() || self.more || self.reading {
            // What is new comes after what the store still holds, so it is read in its order.
            self.more = true;
        } else {
            self.enqueue(ctx, deliver.0);
        }
        self.pump(ctx);
    }
}

impl Handler<Drain> for EndpointActor {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.draining = true;
        self.pump(ctx);
    }
}

#[cfg(test)]
mod tests;
