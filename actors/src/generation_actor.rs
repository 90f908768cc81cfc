//! One actor per generation in flight.
//!
//! It decides *when*: it sends the submission, waits for the provider by polling, callback
//! or inline, and writes down what happened. *What* follows is decided by
//! [`crate::routing`], and made true by the store. Everything it knows can be read again
//! from the database, so it may die at any line and be started again.
//!
//! ```mermaid
//! stateDiagram-v2
//!     [*] --> submitting: attempt is on disk
//!     submitting --> awaiting: a job
//!     submitting --> storing: the result, inline
//!     submitting --> reconciling: the answer was lost
//!     submitting --> submitting: refused, next provider
//!     reconciling --> awaiting: found
//!     reconciling --> submitting: certainly absent
//!     awaiting --> storing: the result
//!     awaiting --> submitting: failed, next provider
//!     storing --> [*]
//! ```

mod calls;
pub mod orphans;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle};
use actix::{ActorContext, ActorFuture};
use providers::{CallbackNews, Cost, DeliveryMode, Error};
use tokio::sync::oneshot;

use crate::attempt::{Attempt, AttemptOutcome};
use crate::batch::{Advance, AdvanceRefusal};
use crate::death::DeathNotice;
use crate::env::Env;
use crate::failure::Failure;
use crate::generation::{Event, Generation, Status};
use crate::id::GenerationId;
use crate::metrics::{AttemptLabels, StatusLabel};
use crate::retry::Waits;
use crate::routing::{Step, next_step};

/// Waits between repeated writes and look-ups after a failure.
const RETRY_INITIAL: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The actor of one generation in flight.
pub struct GenerationActor {
    /// Ports and limits.
    env: Arc<Env>,
    /// The generation as last written.
    generation: Generation,
    /// The submission that waits to hear that a provider has taken it.
    waiter: Option<oneshot::Sender<Generation>>,
    /// Whether the open attempt was written a moment ago and has not left yet.
    fresh: bool,
    /// The attempt that was submitted once more because it was certainly absent.
    repeated: Option<u32>,
    /// The growing wait between look-ups.
    waits: Waits,
    /// The next poll or look-up.
    timer: Option<SpawnHandle>,
    /// Calls and writes in flight: a stop waits for them.
    busy: u32,
    /// The attempt of which a submit or look-up is under way: its answer says how to go on.
    asking: Option<u32>,
    /// The attempt whose result is being stored: later news of it does not count.
    storing: Option<u32>,
    /// Whether files may lie in its folder.
    stored: bool,
    /// Whether to stop as soon as nothing is in flight.
    draining: bool,
    /// Tells the supervisor when this actor ends, however it ends.
    notice: DeathNotice<GenerationId>,
}

/// A hint; the row is the fact.
#[derive(Message)]
#[rtype(result = "()")]
pub enum Nudge {
    /// A provider called back about an attempt.
    Callback(u32, Box<CallbackNews>),
    /// The generation was canceled; the flag says that the provider has stopped the job.
    Canceled(Box<Generation>, bool),
    /// Stop as soon as no call is in flight.
    Drain,
}

impl GenerationActor {
    /// An actor for a generation. `fresh` when its open attempt was just written and has
    /// certainly not left; after a restart that is not known.
    pub fn new(
        env: Arc<Env>,
        generation: Generation,
        fresh: bool,
        waiter: Option<oneshot::Sender<Generation>>,
        notice: DeathNotice<GenerationId>,
    ) -> Self {
        let waits = Waits::new(RETRY_INITIAL, RETRY_MAX);
        Self {
            env,
            generation,
            waiter,
            fresh,
            waits,
            timer: None,
            busy: 0,
            repeated: None,
            asking: None,
            storing: None,
            // What a dead actor has left is not known.
            stored: !fresh,
            draining: false,
            notice,
        }
    }

    fn step(&mut self, ctx: &mut Context<Self>) {
        match next_step(&self.generation, &self.env.limits.route, self.env.clock.now()) {
            Step::Rest => self.finish(ctx),
            Step::Fail(failure) => {
                let at = self.env.clock.now();
                if let Some(attempt) = self.generation.open_attempt().cloned()
                    && let Some(job) = attempt.job_at_provider().cloned()
                {
                    self.cancel_job(ctx, &attempt, job);
                }
                self.write(ctx, vec![Event::Failed { failure, at }]);
            }
            Step::Submit(_) => {
                let start = self.next_events(&self.generation);
                self.write(ctx, start);
            }
            Step::Attend(number) => self.attend(ctx, number),
        }
    }

    /// Sees to an open attempt: sends it, waits for its job, or finds out what became of it.
    fn attend(&mut self, ctx: &mut Context<Self>, number: u32) {
        let Some(attempt) = self.generation.attempt(number).cloned() else { return };
        if std::mem::take(&mut self.fresh) {
            return self.submit(ctx, attempt);
        }
        match attempt.job_at_provider() {
            Some(_) => self.await_job(ctx, &attempt, Duration::ZERO),
            None => self.reconcile(ctx, attempt),
        }
    }

    /// Ends an attempt and, in the same write, begins the next one or gives up.
    fn conclude(&mut self, ctx: &mut Context<Self>, number: u32, failure: Failure) {
        self.clear_timer(ctx);
        let ended = Event::AttemptFailed { attempt: number, failure, at: self.env.clock.now() };
        let mut preview = self.generation.clone();
        if preview.apply(ended.clone()).is_err() {
            return self.finish_if_over(ctx);
        }
        let mut events = vec![ended];
        let begins = |event: &Event| matches!(event, Event::AttemptStarted(_));
        let next = self.next_events(&preview).into_iter();
        // A process that stops begins no attempt that the next one would have to look for.
        events.extend(next.filter(|event| !(self.draining && begins(event))));
        self.write(ctx, events);
    }

    /// What a provider says for itself ends an attempt. One that limits us is left alone from now
    /// on, before anything is written.
    fn conclude_by(&mut self, ctx: &mut Context<Self>, number: u32, error: Error) {
        if let (Some(attempt), Some(wish)) = (self.generation.attempt(number), wish(&error)) {
            let (model, now) = (&self.generation.model, self.env.clock.now());
            self.env.router.limit(model, attempt.provider, wish, now);
        }
        self.conclude(ctx, number, error.into());
    }

    /// The facts that follow by themselves from where a generation stands.
    fn next_events(&self, generation: &Generation) -> Vec<Event> {
        let at = self.env.clock.now();
        let route = &self.env.limits.route;
        match next_step(generation, route, at) {
            Step::Submit(provider) => {
                let deadline_at =
                    route.attempt_deadline(generation.media, at).min(generation.deadline_at);
                let Generation { model, input, .. } = generation;
                let new = self.env.new_attempt(model, input, provider, at, deadline_at);
                vec![Event::AttemptStarted(new)]
            }
            Step::Fail(failure) => vec![Event::Failed { failure, at }],
            Step::Attend(_) | Step::Rest => Vec::new(),
        }
    }

    /// Records a result that came too late.
    fn discard(&mut self, ctx: &mut Context<Self>, number: u32, cost: Option<Cost>) {
        let late = self.generation.attempt(number).is_some_and(|attempt| {
            matches!(
                attempt.outcome,
                AttemptOutcome::Failed { .. } | AttemptOutcome::Canceled { .. }
            )
        });
        if late {
            let at = self.env.clock.now();
            self.write(ctx, vec![Event::ResultDiscarded { attempt: number, cost, at }]);
        } else {
            self.finish_if_over(ctx);
        }
    }

    /// Writes facts down, again and again until the store answers, and goes on from there.
    /// The actor does nothing else meanwhile, so that all news is judged by what is written.
    fn write(&mut self, ctx: &mut Context<Self>, events: Vec<Event>) {
        self.clear_timer(ctx);
        let started = events.iter().any(|event| matches!(event, Event::AttemptStarted(_)));
        let advance = Advance {
            account_id: self.generation.account_id,
            id: self.generation.id,
            epoch: Some(self.generation.epoch),
            events,
        };
        let env = Arc::clone(&self.env);
        let written = async move { (write_down(&env, advance.clone()).await, advance) };
        let written = self.counted(written, move |actor, (result, advance), ctx| match result {
            Ok(generation) => {
                actor.count(&generation);
                actor.generation = generation;
                actor.fresh = started;
                actor.answer();
                actor.go_on(ctx);
            }
            Err(AdvanceRefusal::Conflict(current)) => actor.overtaken(ctx, *current, &advance),
            Err(refusal @ (AdvanceRefusal::Fenced | AdvanceRefusal::NotFound)) => {
                tracing::info!(generation = %actor.generation.id, %refusal, "let go");
                if actor.stored {
                    actor.remove_orphans(ctx, Self::finish);
                } else {
                    actor.finish(ctx);
                }
            }
        });
        ctx.wait(written);
    }

    /// Somebody was faster, or a write whose answer was lost had become durable after all.
    fn overtaken(&mut self, ctx: &mut Context<Self>, current: Generation, advance: &Advance) {
        self.count(&current);
        self.generation = current;
        self.answer();
        // An attempt that this very write began has not left.
        let open = self.generation.open_attempt().map(|attempt| attempt.correlation);
        self.fresh = advance.events.iter().any(|event| match event {
            Event::AttemptStarted(new) => Some(new.correlation) == open,
            _ => false,
        });
        let canceled = self.generation.status() == Status::Canceled;
        match advance.events.last() {
            Some(Event::Completed { attempt, cost, .. }) => self.discard(ctx, *attempt, *cost),
            Some(Event::Accepted { attempt, job, .. }) if canceled => {
                // Whoever canceled did not know of the job.
                if let Some(attempt) = self.generation.attempt(*attempt).cloned() {
                    self.cancel_job(ctx, &attempt, job.clone());
                }
            }
            _ => self.go_on(ctx),
        }
    }

    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.generation.status().is_terminal() {
            return self.finish_if_over(ctx);
        }
        if self.draining {
            return; // What has not begun is left to the next process.
        }
        let Some(attempt) = self.generation.open_attempt().cloned() else {
            return self.step(ctx);
        };
        let number = Some(attempt.number);
        if self.asking == number || self.storing == number {
            return;
        }
        if self.fresh || attempt.job_at_provider().is_none() {
            self.attend(ctx, attempt.number);
        } else {
            self.await_job(ctx, &attempt, self.poll_wait(&attempt, None));
        }
    }

    fn called_back(&mut self, ctx: &mut Context<Self>, number: u32, news: CallbackNews) {
        let attempt = self.generation.attempt(number);
        match news {
            CallbackNews::Told { job, progress } => {
                let known = attempt.and_then(Attempt::job_at_provider);
                // A callback about another job than ours is not for us.
                if known.is_none_or(|known| *known == job) {
                    self.progressed(ctx, number, Some(job), progress);
                }
            }
            // Without a timer a question is under way already.
            CallbackNews::Hint => {
                if attempt.is_some_and(Attempt::is_pending) && self.timer.is_some() {
                    self.attend(ctx, number);
                }
            }
        }
    }

    fn canceled(&mut self, ctx: &mut Context<Self>, generation: Generation, stopped: bool) {
        self.count(&generation);
        self.generation = generation;
        self.answer();
        let watched = self.generation.attempts().last().filter(|last| self.watches(last));
        match watched.cloned() {
            Some(last) if !stopped && self.timer.is_some() => {
                self.await_job(ctx, &last, self.poll_wait(&last, None));
            }
            Some(_) | None => {
                self.clear_timer(ctx);
                self.finish_if_over(ctx);
            }
        }
    }

    /// Whether a canceled attempt may still come to a result that somebody has to pay for.
    fn watches(&self, attempt: &Attempt) -> bool {
        matches!(attempt.outcome, AttemptOutcome::Canceled { .. })
            && attempt.job_at_provider().is_some()
            && !self.time_left(attempt).is_zero()
    }

    /// Ends the actor when the generation has ended and nothing is in flight or awaited.
    fn finish_if_over(&mut self, ctx: &mut Context<Self>) {
        let status = self.generation.status();
        if !status.is_terminal() || self.busy > 0 || self.timer.is_some() {
            return;
        }
        if self.stored && status != Status::Succeeded {
            self.remove_orphans(ctx, Self::finish_if_over);
        } else {
            self.finish(ctx);
        }
    }

    fn remove_orphans(&mut self, ctx: &mut Context<Self>, then: fn(&mut Self, &mut Context<Self>)) {
        self.stored = false;
        let env = Arc::clone(&self.env);
        let (account_id, id) = (self.generation.account_id, self.generation.id);
        let removed = async move { orphans::remove(&env, account_id, id).await };
        self.work(ctx, removed, move |actor, (), ctx| then(actor, ctx));
    }

    fn finish(&mut self, ctx: &mut Context<Self>) {
        self.notice.finish();
        ctx.stop();
    }

    /// Tells the submission that waits, as soon as a provider has taken the generation; an
    /// inline call is waited for until it has come to a result or a job.
    fn answer(&mut self) {
        let calling = self.generation.open_attempt().is_some_and(|attempt| {
            self.delivery(attempt) == DeliveryMode::Inline && attempt.job_at_provider().is_none()
        });
        let told = match self.generation.status() {
            Status::Pending => false,
            Status::Processing => !calling,
            Status::Succeeded | Status::Failed | Status::Canceled => true,
        };
        if told && let Some(waiter) = self.waiter.take() {
            // The client may have gone away.
            let _ = waiter.send(self.generation.clone());
        }
    }

    fn count(&self, next: &Generation) {
        let metrics = &self.env.metrics;
        let before = &self.generation;
        let entered = |status: Status| {
            metrics.generations.get_or_create(&StatusLabel { status: status.as_str() }).inc();
        };
        // An inline result enters two states in one write.
        if next.started_at().is_some() && before.started_at().is_none() {
            entered(Status::Processing);
        }
        if next.status().is_terminal() && !before.status().is_terminal() {
            entered(next.status());
        }
        for attempt in next.attempts() {
            let before = before.attempt(attempt.number).map(|before| &before.outcome);
            if !attempt.is_pending() && before != Some(&attempt.outcome) {
                let provider = attempt.provider.as_str();
                let labels = AttemptLabels { provider, outcome: attempt.outcome.as_str() };
                metrics.attempts.get_or_create(&labels).inc();
                self.env.router.note(&attempt.ended());
            }
        }
    }

    /// Runs a future beside everything else; a stop waits for it.
    fn work<T: 'static>(
        &mut self,
        ctx: &mut Context<Self>,
        future: impl Future<Output = T> + 'static,
        then: impl FnOnce(&mut Self, T, &mut Context<Self>) + 'static,
    ) {
        let future = self.counted(future, then);
        ctx.spawn(future);
    }

    fn counted<T: 'static>(
        &mut self,
        future: impl Future<Output = T> + 'static,
        then: impl FnOnce(&mut Self, T, &mut Context<Self>) + 'static,
    ) -> Pin<Box<dyn ActorFuture<Self, Output = ()>>> {
        self.busy += 1;
        Box::pin(wrap_future::<_, Self>(future).map(move |result, actor, ctx| {
            actor.busy -= 1;
            then(actor, result, ctx);
            if actor.draining && actor.busy == 0 {
                // What is left is in the database; the next process goes on from there.
                actor.finish(ctx);
            }
        }))
    }

    fn set_timer(
        &mut self,
        ctx: &mut Context<Self>,
        wait: Duration,
        then: impl FnOnce(&mut Self, &mut Context<Self>) + 'static,
    ) {
        self.clear_timer(ctx);
        self.timer = Some(ctx.run_later(wait, move |actor, ctx| {
            actor.timer = None;
            then(actor, ctx);
        }));
    }

    fn clear_timer(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
    }

    fn next_wait(&mut self) -> Duration {
        let spread = self.env.ids.spread();
        self.waits.next(spread)
    }
}

impl Actor for GenerationActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.env.metrics.generation_actors.start();
        self.step(ctx);
    }
}

impl Handler<Nudge> for GenerationActor {
    type Result = ();

    fn handle(&mut self, nudge: Nudge, ctx: &mut Self::Context) {
        match nudge {
            Nudge::Callback(number, news) => self.called_back(ctx, number, *news),
            Nudge::Canceled(generation, stopped) => self.canceled(ctx, *generation, stopped),
            Nudge::Drain => {
                self.draining = true;
                if self.busy == 0 {
                    self.finish(ctx);
                }
            }
        }
    }
}

/// For how long a provider wishes to be left alone, if it does.
fn wish(error: &Error) -> Option<Option<Duration>> {
    match error {
        Error::RateLimited { retry_after } => Some(*retry_after),
        Error::Overloaded { retry_after } => Some(Some(*retry_after)),
        Error::Rejected(_)
        | Error::Moderated(_)
        | Error::OutOfCredit
        | Error::Unauthorized
        | Error::Unavailable
        | Error::TimedOut
        | Error::Failed(_)
        | Error::Protocol(_)
        | Error::Unsupported => None,
    }
}

/// Takes facts down, waiting for the store as long as it takes: the rows are the truth, and
/// going on without them would lose it.
async fn write_down(env: &Env, advance: Advance) -> Result<Generation, AdvanceRefusal> {
    let mut waits = Waits::new(RETRY_INITIAL, RETRY_MAX);
    loop {
        match env.generations.advance(advance.clone()).await {
            Ok(decided) => return decided,
            Err(error) => {
                tracing::warn!(generation = %advance.id, %error, "could not write; trying again");
                tokio::time::sleep(waits.next(env.ids.spread())).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
