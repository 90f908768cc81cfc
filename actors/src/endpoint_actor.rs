//! One actor per webhook endpoint with something to send.
//!
//! Several deliveries go at a time, in the order in which they happened; a delivery waits
//! while an earlier one of the same generation is on its way, so that `started` comes before
//! the end, unless its retries are still running. A slow or dead endpoint holds up nobody
//! but itself. What is pending is in the store; this is only a window on it, and what is to be
//! tried again much later is not even in that.

mod calls;
mod calm;
mod pace;
mod pages;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle,
};
use chrono::{DateTime, TimeDelta, Utc};

use crate::batch::{DeliveryTried, TryOutcome};
use crate::death::DeathNotice;
use crate::endpoint_actor::calls::{find_endpoint, post, record};
use crate::endpoint_actor::calm::{Before, Calm};
use crate::endpoint_actor::pace::Pace;
use crate::endpoint_actor::pages::Pages;
use crate::env::Env;
use crate::id::{AccountId, DeliveryId, EndpointId, GenerationId};
use crate::lanes::Lane;
use crate::ports::StoreError;
use crate::webhook::endpoint::EndpointState;
use crate::webhook::{DeliveryStatus, TryResult, WebhookDelivery, WebhookEndpoint};

/// Deliveries held in memory; the rest waits in the store.
const WINDOW: usize = 256;
/// Of an endpoint that does not answer, which may be one of thousands.
const WINDOW_SILENT: usize = 32;
/// With so few left to be sent, the next ones are read.
const QUEUE_LOW: usize = WINDOW / 4;
/// Results that are written together: others' units of work share the batch.
const RECORDED_MAX: usize = 128;
/// How old the endpoint's URL and switch may be when something is sent: a change by an
/// operator takes effect within a second.
const ENDPOINT_AGE_MAX: Duration = Duration::from_millis(900);
/// With something to send it is looked at so early that seldom a try has to look itself.
const LOOK_AFTER: Duration = Duration::from_millis(700);
/// How long an actor with nothing to do stays, so that steady traffic does not start one
/// actor per event.
const LINGER: Duration = Duration::from_secs(10);
/// What is due later than this stays in the store, where the janitor finds it: the fast tries
/// are sooner, the others much later.
const HORIZON: Duration = Duration::from_secs(15);
/// How long what was read is believed to be all: with the janitor's look, what is to be sent again
/// is under way within three seconds.
const READ_ALL_AGE_MAX: Duration = Duration::from_secs(2);
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
    /// Deliveries on their way, and failures that are not written down: what comes of those
    /// decides what follows.
    in_flight: usize,
    /// What was answered and is to be written down.
    answered: Vec<DeliveryTried>,
    /// How many answers are being written down.
    recording: usize,
    /// How far the store is read.
    pages: Pages,
    /// When that was begun which came to the end of it.
    read_to_end_at: Option<DateTime<Utc>>,
    /// Whether the endpoint alone is being read.
    looking: bool,
    /// How many go at a time.
    pace: Pace,
    /// Whether one delivery has to arrive before others may go.
    probing: bool,
    /// Whether another success would change nothing about the endpoint.
    calm: Calm,
    /// Done with since the read began: it may have seen them pending.
    done: Vec<DeliveryId>,
    /// The end of an actor with nothing to do.
    linger: Option<SpawnHandle>,
    /// Hints that any endpoint's actor had missed when the last one came.
    hints_lost: u64,
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
        let (limits, hints_lost) = (env.limits, env.metrics.hints_lost.get());
        Self {
            env,
            account_id,
            id,
            endpoint: None,
            queue: VecDeque::new(),
            known: HashSet::new(),
            sending: HashSet::new(),
            in_flight: 0,
            answered: Vec::new(),
            recording: 0,
            pages: Pages::new(),
            read_to_end_at: None,
            looking: false,
            pace: Pace::new(limits.tries_per_endpoint),
            probing: false,
            calm: Calm::default(),
            done: Vec::new(),
            linger: None,
            hints_lost,
            draining: false,
            notice,
        }
    }

    /// Sends what may be sent now, and reads on before there is nothing left.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.draining {
            if self.in_flight + self.answered.len() + self.recording == 0 {
                self.finish(ctx);
            }
            return;
        }
        let may_read = self.pages.more() && !self.pages.reading();
        // A page for every few that are done with would be mostly of what is known.
        if may_read && self.queue.len() <= QUEUE_LOW && self.room() >= self.window() / 4 {
            self.read(ctx);
        } else if !self.queue.is_empty() && !self.is_known_for(LOOK_AFTER) {
            self.look(ctx);
        }
        while self.may_send() {
            let Some(delivery) = self.take_next() else { break };
            self.send(ctx, delivery);
        }
        self.linger(ctx);
    }

    /// The first that need not wait for another one.
    fn take_next(&mut self) -> Option<WebhookDelivery> {
        let mut passed = HashSet::new();
        let free = |delivery: &WebhookDelivery| {
            let mut sequences = Sequence::of(delivery);
            let free = sequences.all(|it| !self.sending.contains(&it) && !passed.contains(&it));
            if !free {
                passed.extend(Sequence::of(delivery));
            }
            free
        };
        let position = self.queue.iter().position(free)?;
        self.queue.remove(position)
    }

    /// How many may be held.
    fn window(&self) -> usize {
        if self.pace.lane() == Lane::Silent { WINDOW_SILENT } else { WINDOW }
    }

    /// How many more may be held.
    fn room(&self) -> usize {
        self.window().saturating_sub(self.known.len())
    }

    /// How many of a page can be taken in.
    fn fitting(&self, page: &[WebhookDelivery]) -> usize {
        let mut room = self.room();
        let fits = |delivery: &&WebhookDelivery| {
            let known = self.known.contains(&delivery.id);
            let fits = known || room > 0;
            room -= usize::from(fits && !known);
            fits
        };
        page.iter().take_while(fits).count()
    }

    fn may_send(&self) -> bool {
        // While it is probed, what is on its way or waits for its next try decides.
        let decided = !self.probing || self.known.len() == self.queue.len();
        let wanted = !self.queue.is_empty() && self.in_flight < self.pace.window();
        wanted && decided && self.endpoint.is_some()
    }

    /// Whether the endpoint is known as it was so long ago.
    fn is_known_for(&self, age_max: Duration) -> bool {
        let now = self.env.clock.now();
        self.endpoint.as_ref().is_some_and(|(_, read_at)| is_younger(*read_at, now, age_max))
    }

    /// Whether what is due is likely what is known already. Whoever says twice a second that
    /// something is due does not know that; what is new and was not told waits for a moment.
    fn has_read_all(&self) -> bool {
        let now = self.env.clock.now();
        let recently = |at: DateTime<Utc>| is_younger(at, now, READ_ALL_AGE_MAX);
        !self.known.is_empty() && !self.pages.more() && self.read_to_end_at.is_some_and(recently)
    }

    fn linger(&mut self, ctx: &mut Context<Self>) {
        if let Some(linger) = self.linger.take() {
            ctx.cancel_future(linger);
        }
        if self.is_idle() {
            self.linger = Some(ctx.run_later(LINGER, |actor, ctx| {
                actor.linger = None;
                if actor.is_idle() {
                    actor.finish(ctx);
                }
            }));
        }
    }

    fn is_idle(&self) -> bool {
        self.known.is_empty() && !self.pages.reading() && !self.looking
    }

    /// Reads the endpoint, and the next page of what is due for it.
    fn read(&mut self, ctx: &mut Context<Self>) {
        let (env, account_id, id) = (Arc::clone(&self.env), self.account_id, self.id);
        let (after, window, before) = (self.pages.begin(), self.window(), self.calm.before());
        let read = async move {
            let read_at = env.clock.now();
            let endpoint = match find_endpoint(&env, account_id, id).await {
                Ok(endpoint) => endpoint,
                Err(error) => return (None, read_at, Err(error)),
            };
            if !endpoint.as_ref().is_some_and(|endpoint| is_open(&endpoint.state, read_at)) {
                return (endpoint, read_at, Ok(Vec::new()));
            }
            let (due_before, limit) =
                (read_at + HORIZON, u32::try_from(window).unwrap_or(u32::MAX));
            let store = &env.deliveries;
            let found = store.list_pending(account_id, id, due_before, after, limit).await;
            (endpoint, read_at, found)
        };
        ctx.spawn(wrap_future::<_, Self>(read).map(
            move |(endpoint, read_at, found), actor, ctx| {
                if let Err(error @ StoreError::Corrupt(_)) = found {
                    return actor.give_up(ctx, &error);
                }
                if !actor.saw(endpoint, read_at, before) {
                    actor.pages.fail();
                    return actor.leave(ctx);
                }
                match found {
                    Ok(mut page) => {
                        let fitting = actor.fitting(&page);
                        let more = page.len() >= window || fitting < page.len();
                        page.truncate(fitting);
                        let next = actor.pages.turn(page, more);
                        actor.read_to_end_at = (!actor.pages.more()).then_some(read_at);
                        actor.enqueue(ctx, next);
                        for id in std::mem::take(&mut actor.done) {
                            actor.known.remove(&id);
                        }
                        actor.pump(ctx);
                    }
                    Err(error) => {
                        actor.pages.fail();
                        tracing::warn!(endpoint = %actor.id, %error, "cannot read its deliveries");
                        ctx.run_later(READ_AGAIN_AFTER, Self::pump);
                    }
                }
            },
        ));
    }

    /// Reads the endpoint alone.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.pages.reading() || self.looking {
            return;
        }
        self.looking = true;
        let (env, account_id, id) = (Arc::clone(&self.env), self.account_id, self.id);
        let before = self.calm.before();
        let look = async move {
            let read_at = env.clock.now();
            (find_endpoint(&env, account_id, id).await, read_at)
        };
        ctx.spawn(wrap_future::<_, Self>(look).map(move |(endpoint, read_at), actor, ctx| {
            actor.looking = false;
            let endpoint = match endpoint {
                Ok(endpoint) => endpoint,
                Err(error) => return actor.give_up(ctx, &error),
            };
            if !actor.saw(endpoint, read_at, before) {
                return actor.leave(ctx);
            }
            actor.pump(ctx);
        }));
    }

    /// Takes in how the endpoint was then. Answers whether it is to be sent anything now.
    fn saw(
        &mut self,
        endpoint: Option<WebhookEndpoint>,
        read_at: DateTime<Utc>,
        before: Before,
    ) -> bool {
        let Some(endpoint) = endpoint else { return false };
        let state = &endpoint.state;
        self.probing = state.probing;
        self.calm.see(state, before);
        if self.endpoint.is_none() && state.exhausted_in_a_row > 0 {
            self.pace.doubt();
        }
        let open = is_open(state, read_at);
        self.endpoint = Some((Arc::new(endpoint), read_at));
        open
    }

    /// Neither queued nor on its way any more.
    fn forget(&mut self, id: DeliveryId) {
        if self.pages.reading() {
            self.done.push(id);
        } else {
            self.known.remove(&id);
        }
    }

    fn enqueue(&mut self, ctx: &mut Context<Self>, deliveries: Vec<WebhookDelivery>) {
        let now = self.env.clock.now();
        for delivery in deliveries {
            if self.room() == 0 {
                self.pages.miss();
                break;
            }
            if !self.known.insert(delivery.id) {
                continue;
            }
            match (delivery.next_try_at - now).to_std() {
                Ok(wait) if delivery.tries > 0 => self.queue_later(ctx, wait, delivery),
                // It was the next of its queue before this actor began.
                Err(_) if delivery.tries > 0 && delivery.in_order => {
                    self.queue.push_front(delivery);
                }
                Ok(_) | Err(_) => self.queue.push_back(delivery),
            }
        }
    }

    fn queue_later(&mut self, ctx: &mut Context<Self>, wait: Duration, delivery: WebhookDelivery) {
        // The rest of the queue waits for it, unless it waits for another one already.
        let holds = delivery.in_order && self.sending.insert(Sequence::Queue);
        ctx.run_later(wait, move |actor, ctx| {
            if holds {
                actor.sending.remove(&Sequence::Queue);
            }
            match actor.probing || delivery.in_order {
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
        self.sending.extend(Sequence::of(&delivery));
        let (env, known) = (Arc::clone(&self.env), self.endpoint.clone());
        let (account_id, id, lane) = (self.account_id, self.id, self.pace.lane());
        let tried = async move {
            // The wait for room may be long, so the endpoint is looked at after it.
            let place = env.lanes.enter(lane).await?;
            let now = env.clock.now();
            let fresh = |read_at: &DateTime<Utc>| is_younger(*read_at, now, ENDPOINT_AGE_MAX);
            let endpoint = match known.filter(|(_, read_at)| fresh(read_at)) {
                Some((endpoint, _)) => endpoint,
                // The next look tells what is wrong with it.
                None => Arc::new(find_endpoint(&env, account_id, id).await.ok()??),
            };
            if !is_open(&endpoint.state, now) {
                return None;
            }
            let result = env.lanes.carry(place, post(&env, &endpoint, &delivery)).await;
            Some((delivery, result))
        };
        ctx.spawn(wrap_future::<_, Self>(tried).map(move |tried, actor, ctx| match tried {
            Some((delivery, result)) => actor.answered(ctx, delivery, result),
            None => {
                actor.in_flight -= 1;
                actor.leave(ctx);
            }
        }));
    }

    /// Takes an answer in. After a success the next one may go at once; after a failure what is
    /// written down decides.
    fn answered(&mut self, ctx: &mut Context<Self>, delivery: WebhookDelivery, result: TryResult) {
        if result.is_success() {
            self.free(&delivery, &result);
        } else {
            self.calm.fail();
        }
        let spread = self.env.ids.spread();
        let endpoint_calm = self.calm.is_calm();
        self.answered.push(DeliveryTried { delivery, endpoint_calm, spread, result });
        self.record(ctx);
        self.pump(ctx);
    }

    /// Makes room for the next one.
    fn free(&mut self, delivery: &WebhookDelivery, result: &TryResult) {
        self.pace.record(result);
        self.in_flight -= 1;
        for sequence in Sequence::of(delivery) {
            self.sending.remove(&sequence);
        }
    }

    /// Writes answers down, those together that came while others were written.
    fn record(&mut self, ctx: &mut Context<Self>) {
        if self.recording > 0 || self.answered.is_empty() {
            return;
        }
        self.recording = self.answered.len().min(RECORDED_MAX);
        let tried: Vec<DeliveryTried> = self.answered.drain(..self.recording).collect();
        let (env, account_id) = (Arc::clone(&self.env), self.account_id);
        let recorded = async move { record(&env, account_id, tried).await };
        ctx.spawn(wrap_future::<_, Self>(recorded).map(|recorded, actor, ctx| {
            actor.recording = 0;
            let mut open = true;
            for (tried, outcome) in recorded {
                open &= actor.recorded(ctx, &tried, outcome);
            }
            actor.record(ctx);
            match open {
                true => actor.pump(ctx),
                false => actor.leave(ctx),
            }
        }));
    }

    /// Goes on with what came of a try. Answers whether its endpoint is to be sent anything now.
    fn recorded(
        &mut self,
        ctx: &mut Context<Self>,
        tried: &DeliveryTried,
        outcome: Option<TryOutcome>,
    ) -> bool {
        let id = tried.delivery.id;
        if !tried.result.is_success() {
            self.free(&tried.delivery, &tried.result);
            self.calm.record_failure();
        }
        let Some(outcome) = outcome else {
            self.forget(id);
            return true;
        };
        let now = self.env.clock.now();
        if !tried.is_routine() {
            self.probing = outcome.endpoint_probing;
        }
        let delivery = outcome.delivery;
        let wait = (delivery.next_try_at - now).to_std().unwrap_or_default();
        // One that was queued meanwhile waits for its owner.
        if delivery.status == DeliveryStatus::Pending && wait <= HORIZON {
            self.queue_later(ctx, wait, delivery);
        } else {
            self.forget(id);
        }
        let paused = outcome.endpoint_paused_until.is_some_and(|until| until > now);
        outcome.endpoint_enabled && !paused
    }

    /// The endpoint is disabled, deleted, or wants to be left alone: what is pending stays in the
    /// store, and is found there when that has changed.
    fn leave(&mut self, ctx: &mut Context<Self>) {
        self.queue.clear();
        self.draining = true;
        self.pump(ctx);
    }

    /// What the store holds cannot be understood: that counts as a death, and the supervisor
    /// disables an endpoint of many, so that its owner is told.
    fn give_up(&mut self, ctx: &mut Context<Self>, error: &StoreError) {
        tracing::error!(endpoint = %self.id, %error, "its rows cannot be understood");
        ctx.stop();
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
    /// Those that it belongs to.
    fn of(delivery: &WebhookDelivery) -> impl Iterator<Item = Self> + use<> {
        let queue = delivery.in_order.then_some(Self::Queue);
        queue.into_iter().chain(delivery.generation_id.map(Self::Generation))
    }
}

/// Whether the endpoint is to be sent anything now.
fn is_open(endpoint: &EndpointState, now: DateTime<Utc>) -> bool {
    endpoint.enabled && endpoint.pause(now).is_none()
}

fn is_younger(read_at: DateTime<Utc>, now: DateTime<Utc>, age_max: Duration) -> bool {
    let age = now - read_at;
    age >= TimeDelta::zero() && age.to_std().is_ok_and(|age| age <= age_max)
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
        let lost = self.env.metrics.hints_lost.get();
        if std::mem::replace(&mut self.hints_lost, lost) != lost {
            // Without those that were lost, these could overtake them.
            self.pages.miss();
        } else if deliver.0.is_empty() {
            if !self.has_read_all() {
                self.pages.miss();
            }
        } else {
            let next = self.pages.commit(deliver.0);
            self.enqueue(ctx, next);
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
