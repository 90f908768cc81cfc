//! The door to the actors: what the API, the dashboard and the command line call.

pub mod deletion;
pub mod retention;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::Addr;
use providers::name::ProviderName;
use providers::{
    CallbackError, CallbackNews, CancelAnswer, DeliveryMode, Expected, Output, Progress,
    RawCallback,
};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::attempt::{Attempt, AttemptOutcome};
use crate::batch::{AcceptRefusal, Advance, AdvanceRefusal};
use crate::endpoint_supervisor::{EndpointSupervisor, Wake};
use crate::engine::deletion::Turns;
use crate::env::Env;
use crate::generation::{Event, Generation, NewAttempt, NewGeneration};
use crate::generation_actor::Nudge;
use crate::id::{AccountId, EndpointId, GenerationId};
use crate::metrics::StatusLabel;
use crate::ports::{DeliveryListener, StoreError};
use crate::supervisor::{Attend, Supervisor, Tell};
use crate::webhook::WebhookDelivery;

/// A handle to everything that runs. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    env: Arc<Env>,
    supervisors: Vec<Addr<Supervisor>>,
    endpoint_supervisors: Vec<Addr<EndpointSupervisor>>,
    deletions: Turns,
    stopping: AtomicBool,
}

/// Why a generation was not taken on.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The account cannot.
    #[error(transparent)]
    Refused(#[from] AcceptRefusal),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This process is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// What a cancel came to.
#[derive(Debug, Clone)]
pub struct Cancellation {
    /// The generation, now canceled.
    pub generation: Generation,
    /// Whether the provider was told.
    pub provider_cancel_sent: bool,
}

/// Why a generation was not canceled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is none, or it has ended already.
    #[error(transparent)]
    Refused(#[from] AdvanceRefusal),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The attempt that a callback URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallbackTarget {
    /// The provider that was given the URL.
    pub provider: ProviderName,
    /// Whose generation.
    pub account_id: AccountId,
    /// Which generation.
    pub generation_id: GenerationId,
    /// Which attempt at it.
    pub attempt: u32,
}

/// Why a callback was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum CallbackRefusal {
    /// No such attempt, or it was made at another provider.
    #[error("no such attempt")]
    NotFound,
    /// Not signed by the provider, or not readable.
    #[error(transparent)]
    Refused(#[from] CallbackError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// A handle to these supervisors; for `system` only.
    pub(crate) fn new(
        env: Arc<Env>,
        supervisors: Vec<Addr<Supervisor>>,
        endpoint_supervisors: Vec<Addr<EndpointSupervisor>>,
    ) -> Self {
        let (deletions, stopping) = (Turns::default(), AtomicBool::new(false));
        let inner = Inner { env, supervisors, endpoint_supervisors, deletions, stopping };
        Self { inner: Arc::new(inner) }
    }

    /// Accepts a generation, starts its actor, and waits until a provider has taken it, until
    /// it has ended, or until the answer timeout has passed, whatever comes first. Once
    /// accepted it goes on even if the caller goes away. Its deadline is set here, and so is the
    /// order of its providers: out of the one given, by what is known of them.
    ///
    /// # Errors
    /// [`SubmitError`]: nothing was reserved.
    pub async fn submit(&self, mut new: NewGeneration) -> Result<Generation, SubmitError> {
        let env = &self.inner.env;
        if self.is_stopping() {
            return Err(SubmitError::Stopping);
        }
        new.deadline_at = env.limits.route.deadline(new.media, new.created_at);
        self.route(&mut new);
        let (first, asked_at) = (self.first_attempt(&new), new.asked_at);
        let engine = self.clone();
        let (told, taken) = oneshot::channel();
        // A task of its own: a caller that hangs up after the commit must not leave the
        // generation without an actor.
        let accepted = actix_rt::spawn(async move {
            let generation = engine.accept(new, first).await?;
            let pending = StatusLabel { status: generation.status().as_str() };
            engine.inner.env.metrics.generations.get_or_create(&pending).inc();
            let attend = Attend {
                generation: Box::new(generation.clone()),
                fresh: true,
                waiter: Some(told),
            };
            let supervisor = engine.supervisor(generation.id);
            if supervisor.send(attend).await.is_err() {
                tracing::warn!(generation = %generation.id, "accepted while stopping");
            }
            Ok::<_, SubmitError>(generation)
        });
        let generation = accepted.await.map_err(|_| SubmitError::Store(stopped()))??;
        // Whoever asked has waited since the request came in, and gives up at a time of its own.
        let waited = (env.clock.now() - asked_at).to_std().unwrap_or_default();
        match timeout(env.limits.answer.saturating_sub(waited), taken).await {
            Ok(Ok(generation)) => Ok(generation),
            // Too slow, or its actor died and another has taken it on.
            Ok(Err(_)) | Err(_) => {
                let found = env.generations.find(generation.account_id, generation.id).await;
                Ok(found.ok().flatten().unwrap_or(generation))
            }
        }
    }

    /// Cancels a generation: decided by one conditional write, and then the provider is told.
    ///
    /// # Errors
    /// [`CancelError`]; nothing changed.
    pub async fn cancel(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<Cancellation, CancelError> {
        let engine = self.clone();
        // A task of its own: a caller that hangs up after the commit must not keep it from
        // the provider.
        let canceled = actix_rt::spawn(async move {
            let env = &engine.inner.env;
            let events = vec![Event::Canceled { at: env.clock.now() }];
            let advance = Advance { account_id, id, epoch: None, events };
            let generation = env.generations.advance(advance).await??;
            let answer = engine.cancel_at_provider(&generation).await;
            let stopped = answer == Some(CancelAnswer::Canceled);
            let nudge = Nudge::Canceled(Box::new(generation.clone()), stopped);
            engine.tell(id, nudge).await;
            Ok(Cancellation { generation, provider_cancel_sent: answer.is_some() })
        });
        canceled.await.unwrap_or_else(|_| Err(CancelError::Store(stopped())))
    }

    /// How the result of an attempt comes, as this server is configured.
    pub fn delivery(&self, generation: &Generation, attempt: &Attempt) -> DeliveryMode {
        self.inner.env.delivery(generation, attempt)
    }

    /// Takes in what a provider called back with. Harmless when it is repeated, early, late
    /// or forged.
    ///
    /// # Errors
    /// [`CallbackRefusal`]; nothing changed.
    pub async fn call_back(
        &self,
        target: CallbackTarget,
        callback: RawCallback<'_>,
    ) -> Result<(), CallbackRefusal> {
        let env = &self.inner.env;
        let found = env.generations.find(target.account_id, target.generation_id).await?;
        let generation = found.ok_or(CallbackRefusal::NotFound)?;
        let attempt = generation
            .attempt(target.attempt)
            .filter(|attempt| attempt.provider == target.provider)
            .ok_or(CallbackRefusal::NotFound)?;
        let provider = env.registry.get(target.provider).ok_or(CallbackRefusal::NotFound)?;
        let about = Expected { model: &attempt.raw_model };
        let news = provider.parse_callback(&callback, &about).await?;
        match &news {
            CallbackNews::Told { job, .. }
                if attempt.job_at_provider().is_some_and(|known| known != job) =>
            {
                return Err(CallbackRefusal::NotFound);
            }
            CallbackNews::Told { progress, .. } if generation.status().is_terminal() => {
                return self.discard_late(&generation, attempt, progress).await;
            }
            CallbackNews::Told { .. } | CallbackNews::Hint => {}
        }
        let nudge = Nudge::Callback(target.attempt, Box::new(news));
        self.tell(target.generation_id, nudge).await;
        Ok(())
    }

    /// Sees to a generation that is in the store and that nobody may be attending to.
    pub(crate) async fn attend(&self, generation: Generation) {
        let supervisor = self.supervisor(generation.id);
        let attend = Attend { generation: Box::new(generation), fresh: false, waiter: None };
        // A supervisor that is gone means that the process stops; the row stays.
        let _ = supervisor.send(attend).await;
    }

    /// Sees to an endpoint that has deliveries in the store.
    pub(crate) async fn wake(&self, account_id: AccountId, id: EndpointId) {
        let wake = Wake { account_id, id, deliveries: Vec::new() };
        // A supervisor that is gone means that the process stops; the rows stay.
        let _ = self.endpoint_supervisor(id).send(wake).await;
    }

    /// Refuses new generations from now on.
    pub(crate) fn refuse(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether new generations are refused.
    pub(crate) fn is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn env(&self) -> &Arc<Env> {
        &self.inner.env
    }

    /// Accepts. When the answer is lost, the row says whether it happened.
    async fn accept(
        &self,
        new: NewGeneration,
        first: NewAttempt,
    ) -> Result<Generation, SubmitError> {
        let (store, account_id, id) = (&self.inner.env.generations, new.account_id, new.id);
        match store.accept(new, first).await {
            Err(error @ StoreError::Database(_)) => match store.find(account_id, id).await {
                Ok(Some(generation)) => Ok(generation),
                Ok(None) | Err(_) => Err(error.into()),
            },
            accepted => Ok(accepted??),
        }
    }

    fn first_attempt(&self, new: &NewGeneration) -> NewAttempt {
        let (env, at) = (&self.inner.env, new.created_at);
        let order = &new.input.provider_order;
        let provider = order.first().copied().expect("a valid input names a provider");
        let deadline_at = env.limits.route.attempt_deadline(new.media, at).min(new.deadline_at);
        env.new_attempt(&new.model, &new.input, provider, at, deadline_at)
    }

    fn route(&self, new: &mut NewGeneration) {
        let Env { router, ids, .. } = &*self.inner.env;
        let input = &mut new.input;
        let pinned = input.requested_order.is_some();
        let order = std::mem::take(&mut input.provider_order);
        (input.provider_order, input.route.decision) =
            router.route(&new.model, &order, pinned, ids.spread(), new.created_at);
    }

    /// Tells the provider of a canceled generation. `None` when it was not told: no job is
    /// known, or the provider cannot cancel or could not be reached.
    async fn cancel_at_provider(&self, generation: &Generation) -> Option<CancelAnswer> {
        let env = &self.inner.env;
        let attempt = generation.attempts().last()?;
        let job = attempt.job_at_provider()?;
        let provider = env.registry.get(attempt.provider)?;
        if !provider.capabilities(&attempt.raw_model, generation.media).cancel {
            return None;
        }
        match timeout(env.limits.call, provider.cancel(job)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::info!(generation = %generation.id, %error, "the provider did not cancel");
                None
            }
            Err(_) => None,
        }
    }

    /// A result for a generation that has ended is recorded on its attempt, once.
    async fn discard_late(
        &self,
        generation: &Generation,
        attempt: &Attempt,
        progress: &Progress,
    ) -> Result<(), CallbackRefusal> {
        let late = matches!(
            attempt.outcome,
            AttemptOutcome::Canceled { .. } | AttemptOutcome::Failed { .. }
        );
        let Progress::Done(Output { cost, .. }) = *progress else { return Ok(()) };
        if !late {
            return Ok(());
        }
        let at = self.inner.env.clock.now();
        let events = vec![Event::ResultDiscarded { attempt: attempt.number, cost, at }];
        let (account_id, id) = (generation.account_id, generation.id);
        let advance = Advance { account_id, id, epoch: None, events };
        // A refusal means that it has been recorded already.
        let _ = self.inner.env.generations.advance(advance).await?;
        Ok(())
    }

    async fn tell(&self, id: GenerationId, nudge: Nudge) {
        // A hint: whoever misses it reads the row.
        let _ = self.supervisor(id).send(Tell { id, nudge }).await;
    }

    fn supervisor(&self, id: GenerationId) -> &Addr<Supervisor> {
        let supervisors = &self.inner.supervisors;
        &supervisors[shard(id.0.as_u128(), supervisors.len())]
    }

    fn endpoint_supervisor(&self, id: EndpointId) -> &Addr<EndpointSupervisor> {
        let supervisors = &self.inner.endpoint_supervisors;
        &supervisors[shard(id.0.as_u128(), supervisors.len())]
    }
}

impl DeliveryListener for Engine {
    fn committed(&self, deliveries: Vec<WebhookDelivery>) {
        let mut by_endpoint: HashMap<EndpointId, Vec<WebhookDelivery>> = HashMap::new();
        for delivery in deliveries {
            by_endpoint.entry(delivery.endpoint_id).or_default().push(delivery);
        }
        for (id, deliveries) in by_endpoint {
            let account_id = deliveries[0].account_id;
            let wake = Wake { account_id, id, deliveries };
            if self.endpoint_supervisor(id).try_send(wake).is_err() {
                self.inner.env.metrics.hints_lost.inc();
            }
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Database("the task was stopped".into())
}

/// The low bits of a UUIDv7 are random, so they spread evenly.
fn shard(id: u128, shards: usize) -> usize {
    (id as u64 % shards as u64) as usize
}
