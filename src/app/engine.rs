//! What the actors are given: providers, limits, ports.

pub(super) mod services;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actors::catalogue::Catalogue;
use actors::env::{EngineLimits, Env};
use actors::lanes::Lanes;
use actors::metrics::EngineMetrics;
use actors::offering::Service;
use actors::ports::{CallbackUrls, IdSource, OutputStore};
use actors::router::Router;
use actors::routing::RouteLimits;
use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use providers::Provider;
use providers::clock::Clock;
use providers::name::ProviderName;
use providers::registry::Registry;
use providers::sandbox::{Sandbox, SandboxSettings};
use reqwest::redirect::Policy;
use secrecy::SecretString;

use crate::config::Config;
use crate::secrets::{MasterKey, Purpose};
use crate::store::Store;
use crate::webhook_sender::WebhookClient;

/// Webhook tries in flight that are or will soon be answered, all endpoints together, and in each
/// of the lanes for those that are not: enough that a thousand dead endpoints hold up nobody who
/// lives, few enough for the sockets of one process.
const TRIES_QUICK_MAX: usize = 512;
const TRIES_SLOW_MAX: usize = 512;
/// How long a provider's server may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the rest of the process shares with the engine.
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) registry: Registry,
    pub(super) outputs: Arc<dyn OutputStore>,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) callbacks: Arc<dyn CallbackUrls>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) metrics: EngineMetrics,
    pub(super) router: Arc<Router>,
}

/// The engine's ports and limits.
pub(super) fn env(config: &Config, shared: Shared) -> anyhow::Result<Env> {
    let registry = shared.registry;
    let rates = config.providers.polls_per_second.iter();
    let polls = rates.map(|(name, per_second)| (*name, *per_second)).collect();
    let sender = WebhookClient::new(&config.webhooks).context("cannot make an HTTP client")?;
    Ok(Env {
        generations: Arc::clone(&shared.store) as _,
        deliveries: Arc::clone(&shared.store) as _,
        backlog: shared.store,
        outputs: shared.outputs,
        sender: Arc::new(sender),
        registry,
        catalogue: shared.catalogue,
        callbacks: shared.callbacks,
        clock: shared.clock,
        ids: shared.ids,
        limits: limits(config),
        metrics: shared.metrics,
        router: shared.router,
        polls,
        lanes: Lanes::new(TRIES_QUICK_MAX, TRIES_SLOW_MAX),
    })
}

fn limits(config: &Config) -> EngineLimits {
    let generation = &config.generation;
    EngineLimits {
        route: RouteLimits {
            image_attempt: generation.image_attempt_timeout,
            image_total: generation.image_timeout,
            video_attempt: generation.video_attempt_timeout,
            video_total: generation.video_timeout,
            attempts_max: generation.attempts_max,
        },
        call: generation.submit_timeout,
        answer: generation.answer_timeout,
        poll_initial: generation.poll_initial,
        poll_max: generation.poll_max,
        restarts_max: generation.restarts_max,
        output_bytes_max: generation.store_output_bytes_max,
        tries_per_endpoint: config.webhooks.in_flight_max_per_endpoint,
        drain: config.server.shutdown_timeout,
    }
}

/// The providers that this server has: those with a credential, and the sandbox.
pub(super) fn registry(
    config: &Config,
    key: &MasterKey,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Registry> {
    let mut registry = Registry::from_iter(services::configured(config, clock)?);
    if config.sandbox.enabled {
        for sandbox in sandboxes(config, key, clock)? {
            registry.insert(Arc::new(sandbox) as Arc<dyn Provider>);
        }
    }
    Ok(registry)
}

/// What stands behind each name. Nobody bills for what the sandbox or the emulator does.
pub(super) fn services(registry: &Registry, is_emulated: bool) -> BTreeMap<ProviderName, Service> {
    let service = |name: ProviderName| match name.is_sandbox() || is_emulated {
        true => Service::Simulated,
        false => Service::Real,
    };
    registry.names().map(|name| (name, service(name))).collect()
}

fn sandboxes(
    config: &Config,
    key: &MasterKey,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<[Sandbox; 3]> {
    let secret = STANDARD.encode(key.derive(Purpose::SandboxCallbacks).mac(b"sandbox"));
    let settings = SandboxSettings {
        callback_secret: SecretString::from(format!("whsec_{secret}")),
        submissions_log: config.sandbox.submissions_log.clone(),
    };
    // It calls this very process: no proxy, and nobody to redirect it.
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
        .context("cannot make an HTTP client")?;
    Sandbox::all(settings, Arc::clone(clock), client).context("cannot make the sandbox providers")
}
