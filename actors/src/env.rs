//! What every actor works with: the ports, the limits, the counters.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use providers::clock::Clock;
use providers::name::ProviderName;
use providers::registry::Registry;
use providers::{Capabilities, DeliveryMode};

use crate::attempt::Attempt;
use crate::catalogue::Catalogue;
use crate::delivery_mode;
use crate::generation::{Generation, NewAttempt};
use crate::input::Input;
use crate::lanes::Lanes;
use crate::metrics::EngineMetrics;
use crate::poll_budget::PollBudgets;
use crate::ports::{
    BacklogStore, CallbackUrls, DeliveryStore, GenerationStore, IdSource, OutputStore,
    WebhookSender,
};
use crate::router::Router;
use crate::routing::RouteLimits;

/// The ports and limits, shared by every actor.
pub struct Env {
    /// Generations.
    pub generations: Arc<dyn GenerationStore>,
    /// Webhook deliveries.
    pub deliveries: Arc<dyn DeliveryStore>,
    /// What is waiting, for readiness.
    pub backlog: Arc<dyn BacklogStore>,
    /// Outputs.
    pub outputs: Arc<dyn OutputStore>,
    /// Customers' endpoints.
    pub sender: Arc<dyn WebhookSender>,
    /// Providers.
    pub registry: Registry,
    /// Models, for the providers' own names of them.
    pub catalogue: Arc<Catalogue>,
    /// Where providers may call us.
    pub callbacks: Arc<dyn CallbackUrls>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and spread.
    pub ids: Arc<dyn IdSource>,
    /// How long and how often.
    pub limits: EngineLimits,
    /// What is counted.
    pub metrics: EngineMetrics,
    /// How providers do, and in which order they are asked.
    pub router: Arc<Router>,
    /// How often each provider is asked about jobs: a hundred thousand waiting generations must
    /// not become a storm.
    pub polls: PollBudgets,
    /// Room for webhook tries, all endpoints together.
    pub lanes: Lanes,
}

impl Env {
    /// What the provider of an attempt can do for its model.
    pub(crate) fn capabilities(&self, generation: &Generation, attempt: &Attempt) -> Capabilities {
        let deliveries = &[DeliveryMode::Polling];
        let none = Capabilities { deliveries, cancel: false, look_up: false };
        self.registry
            .get(attempt.provider)
            .map_or(none, |provider| provider.capabilities(&attempt.raw_model, generation.media))
    }

    /// How the result of an attempt is to come.
    pub(crate) fn delivery(&self, generation: &Generation, attempt: &Attempt) -> DeliveryMode {
        let offered = self.capabilities(generation, attempt).deliveries;
        let reachable = self.callbacks.url(generation, attempt.number).is_some();
        delivery_mode::choose(offered, generation.media, reachable)
    }

    /// A submission to this provider, to be written down before it leaves. When the catalogue no
    /// longer has the model its name is empty, which the provider then refuses.
    pub(crate) fn new_attempt(
        &self,
        model: &str,
        input: &Input,
        provider: ProviderName,
        at: DateTime<Utc>,
        deadline_at: DateTime<Utc>,
    ) -> NewAttempt {
        let model = self.catalogue.find(model);
        let mut stack = model.iter().flat_map(|model| &model.stack);
        let offer = stack.find(|offer| offer.provider == provider);
        NewAttempt {
            correlation: self.ids.next(),
            provider,
            raw_model: offer.map(|offer| offer.raw_model_id.clone()).unwrap_or_default(),
            cost: offer.and_then(|offer| offer.cost(input)),
            at,
            deadline_at,
        }
    }
}

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct EngineLimits {
    /// Attempts and deadlines.
    pub route: RouteLimits,
    /// The longest that a submit to a provider that is not inline may take, and a poll, a
    /// look-up or a cancel.
    pub call: Duration,
    /// How long a submission waits for a provider to take it.
    pub answer: Duration,
    /// The first wait between polls.
    pub poll_initial: Duration,
    /// What that wait grows to with the age of a job; also the pace of the safety net behind
    /// callbacks.
    pub poll_max: Duration,
    /// Deaths of an actor after which its generation is failed.
    pub restarts_max: u32,
    /// The most bytes of one output file.
    pub output_bytes_max: u64,
    /// Webhook tries in flight for one endpoint.
    pub tries_per_endpoint: usize,
    /// How long a stop waits for calls in flight.
    pub drain: Duration,
}
