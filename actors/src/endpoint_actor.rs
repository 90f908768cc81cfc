//! One actor per webhook endpoint with something to send.
//!
//! Several deliveries go at a time, in the order in which they happened; a delivery waits
//! while an earlier one of the same generation is on its way, so that `started` comes before
//! the end, unless its retries are still running. A slow or dead endpoint holds up nobody
//! but itself. What is pending is in the store; this is only a window on it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::batch::{DeliveryTried, TryOutcome};
use crate::death::DeathNotice;
use crate::env::Env;
use crate::id::{AccountId, DeliveryId, EndpointId, GenerationId};
use crate::metrics::StatusLabel;
use crate::retry::Waits;
use crate::webhook::{DeliveryStatus, TryResult, WebhookDelivery, WebhookEndpoint};

/// Deliveries held in memory; the rest waits in the store.
const WINDOW: usize = 256;
/// How old the endpoint's URL and switch may be when something is sent: a change by an
/// operator takes effect within a second.
const ENDPOINT_AGE_MAX: Duration = Duration::from_millis(500);
/// How long an actor with nothing to do stays, so that steady traffic does not start one
/// actor per event.
const LINGER: Duration = Duration::from_secs(10);
/// The wait after the store did not answer.
const RETRY_INITIAL: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);

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
    /// Generations with a delivery on its way.
    sending: HashSet<GenerationId>,
    /// Deliveries on their way.
    in_flight: usize,
    /// Whether the store may hold more than the window.
    more: bool,
    /// Whether a read is under way.
    reading: bool,
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
        if self.more && self.queue.is_empty() && self.known.len() < WINDOW && !self.reading {
            return self.read(ctx);
        }
        while self.in_flight < self.env.limits.tries_per_endpoint {
            let next = self
                .queue
                .iter()
                .position(|delivery| !self.sending.contains(&delivery.generation_id));
            let Some(delivery) = next.and_then(|position| self.queue.remove(position)) else {
                break;
            };
            self.send(ctx, delivery);
        }
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

    fn read(&mut self, ctx: &mut Context<Self>) {
        self.reading = true;
        let (env, account_id, id) = (Arc::clone(&self.env), self.account_id, self.id);
        let limit = u32::try_from(WINDOW).unwrap_or(u32::MAX);
        let read = async move { env.deliveries.list_pending(account_id, id, limit).await };
        ctx.spawn(wrap_future::<_, Self>(read).map(|read, actor, ctx| {
            actor.reading = false;
            match read {
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
                    ctx.run_later(RETRY_MAX, Self::pump);
                }
            }
        }));
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
            // Behind what has not been tried at all, or retries would keep it waiting.
            actor.queue.push_back(delivery);
            actor.pump(ctx);
        });
    }

    fn send(&mut self, ctx: &mut Context<Self>, delivery: WebhookDelivery) {
        self.in_flight += 1;
        self.sending.insert(delivery.generation_id);
        let (env, known) = (Arc::clone(&self.env), self.endpoint.clone());
        let (account_id, id) = (self.account_id, self.id);
        let (delivery_id, generation_id) = (delivery.id, delivery.generation_id);
        let tried = async move {
            // The wait for room may be long, so the endpoint is looked at after it.
            let room = env.tries.acquire().await;
            let now = env.clock.now();
            let fresh = known.filter(|(_, read_at)| {
                (now - *read_at).to_std().is_ok_and(|age| age <= ENDPOINT_AGE_MAX)
            });
            let (endpoint, read_at) = match fresh {
                Some(known) => known,
                None => match find_endpoint(&env, account_id, id).await {
                    Some(endpoint) => (Arc::new(endpoint), now),
                    None => return Tried::EndpointOff,
                },
            };
            if !endpoint.state.enabled {
                return Tried::EndpointOff;
            }
            let result = post(&env, &endpoint, &delivery).await;
            drop(room);
            match record(&env, &delivery, result).await {
                Some(outcome) => Tried::Once(endpoint, read_at, Box::new(outcome)),
                None => Tried::DeliveryGone,
            }
        };
        ctx.spawn(wrap_future::<_, Self>(tried).map(move |tried, actor, ctx| {
            actor.in_flight -= 1;
            actor.sending.remove(&generation_id);
            actor.tried(ctx, delivery_id, tried);
        }));
    }

    fn tried(&mut self, ctx: &mut Context<Self>, id: DeliveryId, tried: Tried) {
        match tried {
            Tried::Once(endpoint, read_at, outcome) => {
                if self.endpoint.as_ref().is_none_or(|(_, known_at)| *known_at < read_at) {
                    self.endpoint = Some((endpoint, read_at));
                }
                if !outcome.endpoint_enabled {
                    return self.switch_off(ctx);
                }
                match outcome.delivery.status {
                    DeliveryStatus::Pending => {
                        let wait = outcome.delivery.next_try_at - self.env.clock.now();
                        let wait = wait.to_std().unwrap_or_default();
                        self.queue_later(ctx, wait, outcome.delivery);
                    }
                    DeliveryStatus::Delivered | DeliveryStatus::Exhausted => {
                        self.forget(id);
                    }
                }
            }
            Tried::DeliveryGone => self.forget(id),
            Tried::EndpointOff => return self.switch_off(ctx),
        }
        self.pump(ctx);
    }

    /// The endpoint was disabled or deleted: what is pending stays in the store.
    fn switch_off(&mut self, ctx: &mut Context<Self>) {
        self.queue.clear();
        self.draining = true;
        self.pump(ctx);
    }

    fn finish(&mut self, ctx: &mut Context<Self>) {
        self.notice.finish();
        ctx.stop();
    }
}

/// How a try ended, for the actor.
enum Tried {
    /// It was made, to this endpoint as it was read then, with this outcome.
    Once(Arc<WebhookEndpoint>, DateTime<Utc>, Box<TryOutcome>),
    /// The delivery is no longer in the store.
    DeliveryGone,
    /// The endpoint is disabled or deleted.
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

/// Reads the endpoint, waiting for the store as long as it takes.
async fn find_endpoint(
    env: &Env,
    account_id: AccountId,
    id: EndpointId,
) -> Option<WebhookEndpoint> {
    let mut waits = Waits::new(RETRY_INITIAL, RETRY_MAX);
    loop {
        match env.deliveries.find_endpoint(account_id, id).await {
            Ok(found) => return found,
            Err(error) => tracing::warn!(endpoint = %id, %error, "cannot read the endpoint"),
        }
        tokio::time::sleep(waits.next(env.ids.spread())).await;
    }
}

/// One HTTP try.
async fn post(env: &Env, endpoint: &WebhookEndpoint, delivery: &WebhookDelivery) -> TryResult {
    let body = delivery.body();
    let headers = delivery.headers(&body, &endpoint.secret, env.clock.now());
    let reply = env.sender.post(&endpoint.url, headers, Bytes::from(body)).await;
    let result = TryResult { status: reply.status, error: reply.error, at: env.clock.now() };
    let status = if result.is_success() { "delivered" } else { "failed" };
    env.metrics.webhook_tries.get_or_create(&StatusLabel { status }).inc();
    result
}

/// Writes the result of a try down, waiting for the store as long as it takes.
async fn record(env: &Env, delivery: &WebhookDelivery, result: TryResult) -> Option<TryOutcome> {
    let mut waits = Waits::new(RETRY_INITIAL, RETRY_MAX);
    loop {
        let tried = DeliveryTried { delivery_id: delivery.id, result: result.clone() };
        match env.deliveries.record_try(delivery.account_id, tried).await {
            Ok(outcome) => return outcome,
            Err(error) => tracing::warn!(delivery = %delivery.id, %error, "cannot record a try"),
        }
        tokio::time::sleep(waits.next(env.ids.spread())).await;
    }
}

#[cfg(test)]
mod tests;
