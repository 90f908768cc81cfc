//! What a generation's actor asks of providers and of the output store, and what it makes of
//! the answers.

use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{ActorFutureExt, AsyncContext, Context};
use providers::{
    Acceptance, Capabilities, DeliveryMode, Error, JobRef, LookUp, Output, OutputFile,
    OutputFormat, Progress, Provider, Request, SubmitError, Submitted,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::attempt::Attempt;
use crate::env::Env;
use crate::failure::{Failure, FailureCode};
use crate::generation::{Event, Status, StoredFile};
use crate::generation_actor::{GenerationActor, RETRY_INITIAL, RETRY_MAX};
use crate::ports::TakeOverError;
use crate::retry::{Waits, jittered};

/// An inline call that has not been refused by then has been taken: the generation is shown
/// as processing while the call goes on.
const INLINE_TAKEN_AFTER: Duration = Duration::from_secs(1);
/// The longest wait between two questions that a provider may ask for: a minute, after which its
/// limits have usually been lifted.
const POLL_WISH_MAX: Duration = Duration::from_secs(60);
/// For how long a result is offered again to an output store that did not take it: long enough for
/// one that starts anew, since the result was paid for.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a provider is left alone that is asked too often and does not say for how long.
const PAUSE: Duration = Duration::from_secs(2);
/// A job that has taken some time is asked for again after this part of it, so that what is
/// waited for in vain is small beside what was waited for anyway.
const POLLS_IN_AGE: u32 = 8;
/// Enough for the largest file and a slow disk or bucket.
const STORE_TIME: Duration = Duration::from_secs(30);

impl GenerationActor {
    pub(super) fn submit(&mut self, ctx: &mut Context<Self>, attempt: Attempt) {
        let Some(provider) = self.provider(&attempt) else {
            return self.conclude(ctx, attempt.number, Error::Unavailable.into());
        };
        let inline = self.delivery(&attempt) == DeliveryMode::Inline;
        let left = self.time_left(&attempt);
        let limit = if inline { left } else { left.min(self.env.limits.call) };
        let request = self.request(&attempt);
        let number = attempt.number;
        let call = async move { timeout(limit, provider.submit(&request)).await };
        self.waits.reset();
        self.asking = Some(number);
        self.work(ctx, call, move |actor, result, ctx| {
            let lost = SubmitError { error: Error::TimedOut, acceptance: Acceptance::Unknown };
            actor.submitted(ctx, number, result.unwrap_or(Err(lost)));
        });
        if inline {
            ctx.run_later(INLINE_TAKEN_AFTER, move |actor, ctx| {
                let open = actor.generation.open_attempt();
                let taken = open.filter(|open| open.number == number && open.job.is_none());
                if let (Some(attempt), None) = (taken, actor.storing) {
                    let (job, at) = (attempt.own_job(), actor.env.clock.now());
                    actor
                        .write(ctx, vec![Event::Accepted { attempt: number, job, cost: None, at }]);
                }
            });
        }
    }

    fn submitted(
        &mut self,
        ctx: &mut Context<Self>,
        number: u32,
        result: Result<Submitted, SubmitError>,
    ) {
        self.asking.take_if(|asked| *asked == number);
        let Some(attempt) = self.generation.attempt(number).cloned() else { return };
        if !attempt.is_pending() {
            return self.submitted_late(ctx, &attempt, result);
        }
        if self.storing == Some(number) {
            return; // A callback was faster.
        }
        let inline = self.delivery(&attempt) == DeliveryMode::Inline;
        match result {
            Ok(Submitted::Done { job, output }) => {
                let job = job.unwrap_or_else(|| attempt.own_job());
                self.store_output(ctx, number, job, output);
            }
            Ok(Submitted::Job { job, cost }) => {
                let at = self.env.clock.now();
                self.write(ctx, vec![Event::Accepted { attempt: number, job, cost, at }]);
            }
            Err(SubmitError { error, acceptance: Acceptance::Refused }) => {
                self.conclude_by(ctx, number, error);
            }
            Err(SubmitError { acceptance: Acceptance::Unknown, .. })
                if inline && self.time_left(&attempt).is_zero() =>
            {
                self.conclude(ctx, number, Error::TimedOut.into());
            }
            Err(SubmitError { acceptance: Acceptance::Unknown, .. }) => {
                self.attend(ctx, number);
            }
        }
    }

    /// The answer to a submit whose attempt has been decided meanwhile.
    fn submitted_late(
        &mut self,
        ctx: &mut Context<Self>,
        attempt: &Attempt,
        result: Result<Submitted, SubmitError>,
    ) {
        match result {
            Ok(Submitted::Done { output, .. }) => self.discard(ctx, attempt.number, output.cost),
            Ok(Submitted::Job { job, .. }) if self.generation.status() == Status::Canceled => {
                self.cancel_job(ctx, attempt, job);
            }
            Ok(Submitted::Job { .. }) | Err(_) => self.finish_if_over(ctx),
        }
    }

    /// Finds out whether a submit whose answer was lost has been accepted. It is never
    /// repeated unless the provider says that it knows of none.
    pub(super) fn reconcile(&mut self, ctx: &mut Context<Self>, attempt: Attempt) {
        let number = attempt.number;
        if self.time_left(&attempt).is_zero() {
            return self.conclude(ctx, number, Error::TimedOut.into());
        }
        let Some(provider) = self.provider(&attempt) else {
            return self.conclude(ctx, number, Error::Unavailable.into());
        };
        match (self.capabilities(&attempt).look_up, self.delivery(&attempt)) {
            (true, _) => {}
            (false, DeliveryMode::Inline) => {
                // The result was in the answer that is gone.
                return self.conclude(ctx, number, Error::Unavailable.into());
            }
            (false, DeliveryMode::Polling | DeliveryMode::Callback) => {
                // Only a callback can tell; otherwise the deadline decides.
                let left = self.time_left(&attempt);
                return self.look_later(ctx, left);
            }
        }
        let (request, limit) = (self.request(&attempt), self.env.limits.call);
        let call = async move { timeout(limit, provider.look_up(&request)).await };
        self.asking = Some(number);
        self.work(ctx, call, move |actor, result, ctx| {
            actor.asking.take_if(|asked| *asked == number);
            let open = actor.generation.attempt(number).is_some_and(Attempt::is_pending);
            match result.unwrap_or(Err(Error::TimedOut)) {
                _ if !open => actor.finish_if_over(ctx),
                Ok(LookUp::Found(job)) => {
                    let (cost, at) = (None, actor.env.clock.now());
                    actor.write(ctx, vec![Event::Accepted { attempt: number, job, cost, at }]);
                }
                Ok(LookUp::Absent) if actor.repeated == Some(number) => {
                    // It gets lost again and again; nothing runs, so others can be asked.
                    actor.conclude(ctx, number, Error::Unavailable.into());
                }
                Ok(LookUp::Absent) => {
                    actor.repeated = Some(number);
                    actor.fresh = true;
                    actor.go_on(ctx);
                }
                Err(_) => {
                    let wait = actor.next_wait();
                    actor.look_later(ctx, wait);
                }
            }
        });
    }

    fn look_later(&mut self, ctx: &mut Context<Self>, wait: Duration) {
        self.set_timer(ctx, wait, Self::step);
    }

    /// Sets the next poll of the attempt's job, for as soon after this wait as there is a turn.
    pub(super) fn await_job(&mut self, ctx: &mut Context<Self>, attempt: &Attempt, wait: Duration) {
        let (number, left) = (attempt.number, self.time_left(attempt));
        let budget = self.env.polls.of(attempt.provider);
        let turn = async move {
            tokio::time::sleep(wait.min(left)).await;
            if let Some(budget) = budget {
                // Without a turn in its time, the deadline decides.
                let _ = timeout(left.saturating_sub(wait), budget.turn()).await;
            }
        };
        self.clear_timer(ctx);
        // Not counted as work: a stop need not wait for it.
        let turn = wrap_future::<_, Self>(turn).map(move |(), actor, ctx| {
            actor.timer = None;
            actor.poll(ctx, number);
        });
        self.timer = Some(ctx.spawn(turn));
    }

    /// How long to wait before a job is asked for again: longer the longer it has taken already,
    /// and not less than the provider wishes. Where the provider calls back, polling is only the
    /// safety net.
    pub(super) fn poll_wait(&self, attempt: &Attempt, wish: Option<Duration>) -> Duration {
        let limits = &self.env.limits;
        let age = (self.env.clock.now() - attempt.submitted_at).to_std().unwrap_or_default();
        let own = match self.delivery(attempt) {
            DeliveryMode::Callback => limits.poll_max,
            DeliveryMode::Inline | DeliveryMode::Polling => {
                (age / POLLS_IN_AGE).clamp(limits.poll_initial, limits.poll_max)
            }
        };
        let wish = wish.unwrap_or_default().min(POLL_WISH_MAX);
        let spread = self.env.ids.spread();
        // Not at once by everybody who was told the same, and by nobody sooner.
        jittered(own, spread).max(wish.mul_f64(1.0 + spread / 5.0))
    }

    fn poll(&mut self, ctx: &mut Context<Self>, number: u32) {
        let Some(attempt) = self.generation.attempt(number).cloned() else { return };
        let (provider, job) = (self.provider(&attempt), attempt.job_at_provider().cloned());
        let (Some(provider), Some(job)) = (provider, job) else {
            return self.conclude(ctx, number, Error::Unavailable.into());
        };
        if self.time_left(&attempt).is_zero() {
            self.cancel_job(ctx, &attempt, job);
            return self.give_up(ctx, number);
        }
        let limit = self.env.limits.call.min(self.time_left(&attempt));
        let call = async move { timeout(limit, provider.poll(&job)).await };
        self.work(ctx, call, move |actor, result, ctx| {
            let answer = result.unwrap_or(Err(Error::TimedOut));
            if let (Err(Error::RateLimited { retry_after }), Some(budget)) =
                (&answer, actor.env.polls.of(attempt.provider))
            {
                budget.pause(retry_after.unwrap_or(PAUSE).min(POLL_WISH_MAX));
            }
            // A poll that could not be made says nothing about the job.
            let waiting = Progress::Waiting { retry_after: None };
            actor.progressed(ctx, number, None, answer.unwrap_or(waiting));
        });
    }

    /// Takes in how a job is doing, from a poll or a callback.
    pub(super) fn progressed(
        &mut self,
        ctx: &mut Context<Self>,
        number: u32,
        news_job: Option<JobRef>,
        progress: Progress,
    ) {
        let Some(attempt) = self.generation.attempt(number).cloned() else { return };
        if self.storing == Some(number) {
            return;
        }
        if !attempt.is_pending() {
            return match progress {
                Progress::Done(output) => self.discard(ctx, number, output.cost),
                Progress::Waiting { retry_after } if self.watches(&attempt) => {
                    self.await_job(ctx, &attempt, self.poll_wait(&attempt, retry_after));
                }
                Progress::Waiting { .. } | Progress::Failed(_) | Progress::Canceled => {
                    self.finish_if_over(ctx);
                }
            };
        }
        let known = attempt.job_at_provider().cloned();
        let is_news = known.is_none();
        let job = known.or(news_job);
        match (progress, job) {
            (Progress::Done(output), Some(job)) => self.store_output(ctx, number, job, output),
            (Progress::Failed(error), _) => self.conclude_by(ctx, number, error),
            (Progress::Canceled, _) => {
                let error = Error::Failed("The provider canceled the job.".to_owned());
                self.conclude(ctx, number, error.into());
            }
            (Progress::Waiting { .. }, Some(job)) if is_news => {
                let (cost, at) = (None, self.env.clock.now());
                self.write(ctx, vec![Event::Accepted { attempt: number, job, cost, at }]);
            }
            (Progress::Waiting { retry_after }, _) => {
                self.await_job(ctx, &attempt, self.poll_wait(&attempt, retry_after));
            }
            (Progress::Done(_), None) => {}
        }
    }

    /// Stores a result, and only then says that the generation succeeded.
    fn store_output(&mut self, ctx: &mut Context<Self>, number: u32, job: JobRef, output: Output) {
        self.storing = Some(number);
        self.stored = true;
        self.clear_timer(ctx);
        let env = Arc::clone(&self.env);
        let Output { predict_time, cost, .. } = output;
        let folder = env.outputs.folder(self.generation.account_id, self.generation.id);
        let format = self.generation.input.format;
        // What is at the provider can be asked for as long as the attempt lasts.
        let left = self.generation.attempt(number).map(|attempt| self.time_left(attempt));
        let until = Instant::now() + left.unwrap_or_default().max(STORE_TIME);
        let stored = async move { store_files(&env, &folder, output, format, until).await };
        self.work(ctx, stored, move |actor, result, ctx| {
            let at = actor.env.clock.now();
            match result {
                Ok(outputs) => {
                    let attempt = number;
                    let accepted = Event::Accepted { attempt, job, cost, at };
                    let completed = Event::Completed { attempt, outputs, predict_time, cost, at };
                    actor.write(ctx, vec![accepted, completed]);
                }
                Err(failure) => {
                    actor.storing = None;
                    actor.conclude(ctx, number, failure);
                }
            }
        });
    }

    /// Tells the provider to stop a job that nobody wants any more. Best effort.
    pub(super) fn cancel_job(&mut self, ctx: &mut Context<Self>, attempt: &Attempt, job: JobRef) {
        let provider = self.provider(attempt).filter(|_| self.capabilities(attempt).cancel);
        let Some(provider) = provider else { return self.finish_if_over(ctx) };
        let limit = self.env.limits.call;
        let call = async move { timeout(limit, provider.cancel(&job)).await };
        self.work(ctx, call, |actor, _, ctx| actor.finish_if_over(ctx));
    }

    /// The attempt's time is over.
    fn give_up(&mut self, ctx: &mut Context<Self>, number: u32) {
        if self.generation.attempt(number).is_some_and(Attempt::is_pending) {
            self.conclude(ctx, number, Error::TimedOut.into());
        } else {
            self.finish_if_over(ctx);
        }
    }

    pub(super) fn time_left(&self, attempt: &Attempt) -> Duration {
        let left = attempt.deadline_at.min(self.generation.deadline_at) - self.env.clock.now();
        left.to_std().unwrap_or_default()
    }

    /// How the result of an attempt is to come.
    pub(super) fn delivery(&self, attempt: &Attempt) -> DeliveryMode {
        self.env.delivery(&self.generation, attempt)
    }

    fn provider(&self, attempt: &Attempt) -> Option<Arc<dyn Provider>> {
        self.env.registry.get(attempt.provider).cloned()
    }

    pub(super) fn capabilities(&self, attempt: &Attempt) -> Capabilities {
        self.env.capabilities(&self.generation, attempt)
    }

    fn request(&self, attempt: &Attempt) -> Request {
        let input = &self.generation.input;
        let delivery = self.delivery(attempt);
        let callback = self.env.callbacks.url(&self.generation, attempt.number);
        Request {
            correlation: attempt.correlation,
            submitted_at: attempt.submitted_at,
            model: attempt.raw_model.clone(),
            media: self.generation.media,
            prompt: input.prompt.clone(),
            ratio: input.ratio.clone(),
            format: input.format,
            count: input.count,
            input_files: input.input_files.clone(),
            last_frame: input.last_frame.clone(),
            duration_ms: input.duration_ms,
            resolution: input.resolution.clone(),
            audio: input.audio,
            options: input.options.clone(),
            delivery,
            callback: callback.filter(|_| delivery == DeliveryMode::Callback),
        }
    }
}

async fn store_files(
    env: &Env,
    folder: &str,
    output: Output,
    format: OutputFormat,
    until: Instant,
) -> Result<Vec<StoredFile>, Failure> {
    if output.files.is_empty() {
        return Err(Error::Protocol("no files".to_owned()).into());
    }
    let mut stored = Vec::with_capacity(output.files.len());
    for (index, file) in output.files.into_iter().enumerate() {
        if let OutputFile::Bytes { bytes, .. } = &file
            && bytes.len() as u64 > env.limits.output_bytes_max
        {
            return Err(unusable("The output is larger than this server accepts."));
        }
        let key = format!("{folder}/{index}.{}", format.as_str());
        let bytes = take_over(env, &key, &file, format, until).await?;
        stored.push(StoredFile { key, bytes });
    }
    Ok(stored)
}

/// Offers a file to the store until it has it. A store that does not take what it is offered
/// is given up sooner than a provider that does not give it.
async fn take_over(
    env: &Env,
    key: &str,
    file: &OutputFile,
    format: OutputFormat,
    until: Instant,
) -> Result<u64, Failure> {
    let mut waits = Waits::new(RETRY_INITIAL, RETRY_MAX);
    let mut store_until = None;
    loop {
        let limit = match file {
            OutputFile::Bytes { .. } => Instant::now() + STORE_TIME,
            OutputFile::Url(_) => until,
        };
        match timeout_at(limit, env.outputs.take_over(key, file, format)).await {
            Ok(Ok(bytes)) => return Ok(bytes),
            Ok(Err(TakeOverError::Refused(reason))) => return Err(unusable(&reason)),
            Ok(Err(TakeOverError::Unstorable(reason))) => return Err(unstored(&reason)),
            Ok(Err(TakeOverError::Unavailable(reason))) => {
                tracing::warn!(reason, "an output could not be fetched");
                if Instant::now() + RETRY_MAX > until {
                    return Err(unusable(&reason));
                }
            }
            Ok(Err(TakeOverError::Store(error))) => {
                tracing::warn!(%error, "an output could not be stored");
                store_until.get_or_insert_with(|| Instant::now() + STORE_PATIENCE);
            }
            // The provider's answer to us may have been what took so long.
            Err(_) if matches!(file, OutputFile::Url(_)) => {
                return Err(unusable("The output was not taken over in time."));
            }
            Err(_) => {
                tracing::warn!("an output was not taken over in time");
                store_until.get_or_insert_with(|| Instant::now() + STORE_PATIENCE);
            }
        }
        if store_until.is_some_and(|until| Instant::now() >= until) {
            return Err(unstored("The output could not be stored."));
        }
        tokio::time::sleep(waits.next(env.ids.spread())).await;
    }
}

fn unusable(message: &str) -> Failure {
    Failure::new(FailureCode::OutputProcessingFailed, message)
}

fn unstored(message: &str) -> Failure {
    Failure::new(FailureCode::OutputNotStored, message)
}
