//! What operators see of the actors. Labels are bounded: every label is a closed enum.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counts of one kind of actor.
#[derive(Debug, Clone, Default)]
pub struct ActorCounts {
    /// Running now.
    pub alive: Gauge,
    /// Started, restarts included.
    pub started: Counter,
    /// Ended because there was nothing left to do.
    pub finished: Counter,
    /// Started again after a death.
    pub restarted: Counter,
    /// Died without finishing.
    pub panicked: Counter,
}

/// The labels of an attempt's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AttemptLabels {
    /// Which provider.
    pub provider: &'static str,
    /// What became of it.
    pub outcome: &'static str,
}

/// A label for a status.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StatusLabel {
    /// Which status.
    pub status: &'static str,
}

/// A label for a kind of work.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WorkLabel {
    /// Which kind.
    pub work: &'static str,
}

/// Everything the actors count.
#[derive(Debug, Clone, Default)]
pub struct EngineMetrics {
    /// One per generation in flight.
    pub generation_actors: ActorCounts,
    /// One per webhook endpoint with something to send.
    pub endpoint_actors: ActorCounts,
    /// Generations that entered a status.
    pub generations: Family<StatusLabel, Counter>,
    /// Generations in flight, by status.
    pub in_flight: Family<StatusLabel, Gauge>,
    /// Attempts that were decided.
    pub attempts: Family<AttemptLabels, Counter>,
    /// Webhook tries, by how they ended.
    pub webhook_tries: Family<StatusLabel, Counter>,
    /// Hints of new deliveries that a full mailbox did not take: the rows are found in the store.
    pub hints_lost: Counter,
    /// Seconds that the oldest due piece of work is late.
    pub oldest_due: Family<WorkLabel, Gauge<f64, AtomicU64>>,
}

impl EngineMetrics {
    /// Makes them visible.
    pub fn register(&self, registry: &mut Registry) {
        let kinds = [
            ("generation_actors", &self.generation_actors),
            ("endpoint_actors", &self.endpoint_actors),
        ];
        for (name, counts) in kinds {
            let name = |what: &str| format!("babysea_{name}_{what}");
            registry.register(name("alive"), "Actors running now", counts.alive.clone());
            registry.register(name("started"), "Actors started", counts.started.clone());
            registry.register(name("finished"), "Actors that ended", counts.finished.clone());
            registry.register(name("restarted"), "Actors restarted", counts.restarted.clone());
            registry.register(name("panicked"), "Actors that died", counts.panicked.clone());
        }
        registry.register(
            "babysea_generations",
            "Generations that entered a status",
            self.generations.clone(),
        );
        registry.register(
            "babysea_generations_in_flight",
            "Generations in flight by status",
            self.in_flight.clone(),
        );
        registry.register(
            "babysea_attempts",
            "Attempts by provider and outcome",
            self.attempts.clone(),
        );
        registry.register(
            "babysea_webhook_tries",
            "Webhook tries by how they ended",
            self.webhook_tries.clone(),
        );
        registry.register(
            "babysea_webhook_hints_lost",
            "Hints of new deliveries that were lost, whose rows are found in the store",
            self.hints_lost.clone(),
        );
        registry.register(
            "babysea_oldest_due_seconds",
            "How late the oldest due piece of work is",
            self.oldest_due.clone(),
        );
    }
}

impl ActorCounts {
    /// Counts a start.
    pub fn start(&self) {
        self.started.inc();
        self.alive.inc();
    }

    /// Counts an end.
    pub fn end(&self, finished: bool) {
        self.alive.dec();
        if finished {
            self.finished.inc()
        } else {
            self.panicked.inc()
        };
    }
}
