//! The composition root: settings in, a running server out.

mod announcement;
mod emulation;
mod engine;
mod keeping;
mod listeners;
mod lock;
mod open_files;
mod people;
mod signals;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use actix_web::dev::ServerHandle;
use actix_web::web;
use actors::catalogue::Catalogue;
use actors::file_urls::FileUrls;
use actors::id::NodeId;
use actors::janitor::Watch;
use actors::metrics::EngineMetrics;
use actors::offering::{Offering, Service};
use actors::ports::{DeliveryListener, GenerationStore, IdSource, IdempotencyStore, KeyStore};
use actors::router::Router;
use actors::system::System;
use actors::watchers::Watchers;
use anyhow::Context;
use async_trait::async_trait;
use chrono::TimeDelta;
use prometheus_client::registry::Registry as MetricsRegistry;
use providers::adapter::ADAPTERS;
use providers::clock::Clock;
use providers::name::ProviderName;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::account_removal;
use crate::address_guard::Policy;
use crate::app::engine::Shared;
use crate::app::listeners::{
    Pages, listen, listen_for_operator, local_url, serve_api, serve_operator,
};
use crate::app::lock::ServerLock;
use crate::app::signals::StopSignals;
use crate::auth::{Auth, AuthParts};
use crate::callback_urls::SignedCallbackUrls;
use crate::catalogue_file::{self, Sources};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::dashboard::{Dashboard, Live, Policy as PagePolicy, Process};
use crate::http::{AppState, BodyLimits, Document, Idempotency, Readiness, StreamLimits, Streams};
use crate::identity::{self, CreatedKey};
use crate::ids::SystemIds;
use crate::input_files::InputFiles;
use crate::metrics::Metrics;
use crate::moderation::Moderation;
use crate::outputs::Outputs;
use crate::rate_limit::RateLimits;
use crate::request_log::{RequestLog, RequestLogParts};
use crate::routing_memory;
use crate::secrets::{MasterKey, Purpose};
use crate::storage_probe::StorageProbe;
use crate::store::server_lock::DatabaseLock;
use crate::store::{Db, Store, StoreMetrics, StoreParts};
use crate::webhook_sender::WebhookClient;

/// How long an answer may take beyond the wait for a provider, to be written down and sent.
const ANSWER_SLACK: Duration = Duration::from_secs(2);
/// How long the writer may take for what is queued when everybody else has stopped.
const WRITER_END: Duration = Duration::from_secs(10);

/// Runs the server until it is told to stop.
///
/// # Errors
/// When it cannot start; the message says what is wrong.
pub fn serve(config: &Config, as_json: bool) -> anyhow::Result<()> {
    open_files::raise_limit();
    actix_rt::System::new().block_on(async {
        // Before anything can be told of the start, and so that a stop during it is orderly too.
        let mut signals = StopSignals::listen()?;
        let mut running = start(config).await?;
        running.announce(as_json)?;
        tokio::select! {
            () = signals.recv() => tracing::info!("stopping"),
            // Nothing can be written any more. Whoever watches over the process starts it again.
            _ = &mut running.writer_ended => anyhow::bail!("the writer has died"),
        }
        running.stop().await;
        Ok(())
    })
}

/// That no server runs on this data directory and this database.
pub struct Stopped {
    database_lock: DatabaseLock,
    _lock: ServerLock,
}

impl Stopped {
    /// Takes the place of a server.
    ///
    /// # Errors
    /// A server runs.
    pub async fn take(config: &Config, db: &Db) -> anyhow::Result<Self> {
        let lock = ServerLock::take(&config.storage.data_dir, &config.storage.database)?;
        Ok(Self { database_lock: db.lock_server().await?, _lock: lock })
    }

    /// Lets a server run again.
    pub async fn release(self) {
        self.database_lock.release().await;
    }
}

/// A server that runs.
pub struct Running {
    /// Where the API listens.
    pub address: SocketAddr,
    /// Where metrics are, unless that is turned off.
    pub operator_address: Option<SocketAddr>,
    /// The key of the first account, when this start has made it.
    pub first_key: Option<CreatedKey>,
    /// The link that makes the first owner, as long as there is nobody.
    pub first_link: Option<String>,
    url: String,
    /// The real providers that are asked, unless it is the emulator.
    providers: Vec<ProviderName>,
    emulator: Option<emulator::Running>,
    servers: Vec<ServerHandle>,
    watchers: Watchers,
    live: Live,
    auth: Arc<Auth>,
    request_log: RequestLog,
    /// What is written down or cleaned up from time to time.
    keeping: Vec<JoinHandle<()>>,
    routing: Routing,
    system: System,
    store: Arc<Store>,
    deliveries: Arc<dyn DeliveryListener>,
    writer_ended: oneshot::Receiver<()>,
    db: Db,
    database_lock: DatabaseLock,
    _lock: ServerLock,
}

/// Starts everything in order: what is needed first, what can be asked from outside last.
///
/// # Errors
/// When anything is not as it must be.
pub async fn start(config: &Config) -> anyhow::Result<Running> {
    let lock = ServerLock::take(&config.storage.data_dir, &config.storage.database)?;
    let master_key = Arc::new(MasterKey::load(config)?);
    let catalogue = load_catalogue(config)?;
    let db = Db::connect(&config.storage.database, config.storage.database_connections).await?;
    let database_lock = db.lock_server().await?;
    db.migrate().await?;

    let listener = listen(config.server.listen)?;
    let address = listener.local_addr()?;
    let url = config.server.public_url(address).as_str().trim_end_matches('/').to_owned();
    let files_key = master_key.derive(Purpose::OutputUrls).mac(b"files");
    let files = FileUrls::new(url.clone(), &files_key, config.retention.kept);
    let (clock, ids): (Arc<dyn Clock>, Arc<dyn IdSource>) =
        (Arc::new(SystemClock), Arc::new(SystemIds));
    let node = NodeId(ids.next());
    let emulator = emulation::start(config, &master_key, &clock)?;
    let config = &emulation::configured(config, emulator.as_ref())?;

    let mut registry = MetricsRegistry::default();
    let (http_metrics, engine_metrics) =
        (Metrics::register(&mut registry), EngineMetrics::default());
    engine_metrics.register(&mut registry);
    let watchers = Watchers::default();
    let (store, writer) = Store::new(StoreParts {
        db: db.clone(),
        node,
        master_key: Arc::clone(&master_key),
        ids: Arc::clone(&ids),
        files: files.clone(),
        policy: config.webhooks.policy.clone(),
        plans: config.plans,
        batch_max: config.writer.batch_max,
        queue_max: config.writer.queue_max,
        metrics: StoreMetrics::register(&mut registry),
        watchers: Arc::new(watchers.clone()),
    });
    let writer_ended = run_writer(writer);
    let first_key = identity::bootstrap(&identity::Context::new(store.clone(), config)).await?;

    let store = Arc::new(store);
    let downloads = engine::services::downloads(config)?;
    let outputs = Arc::new(Outputs::open(&config.outputs, downloads)?);
    let provider_registry = engine::registry(config, &master_key, &clock)?;
    let offering = Arc::new(Offering::new(
        Arc::clone(&catalogue),
        engine::services(&provider_registry, emulator.is_some()),
        config.catalogue.allow_placeholder_prices,
    ));
    let router = Arc::new(Router::new(&catalogue, config.routing.rules));
    // Before any attempt of this process ends, which would then count twice. Without it a provider
    // is unknown for a while, which is no reason not to start.
    let region = config.server.region.as_str();
    if let Err(error) = routing_memory::recall(&router, &*store, region, clock.now()).await {
        tracing::warn!(%error, "how providers have done before is not known");
    }
    let local = local_url(address)?;
    let outside = match &emulator {
        // It is in this process and needs no way through proxies and certificates.
        Some(_) => Some(local.clone()),
        None => config.server.configured_public_url.clone(),
    };
    let token_key = master_key.derive(Purpose::CallbackTokens);
    let callbacks = Arc::new(SignedCallbackUrls::new(local, outside, token_key));
    let env = engine::env(
        config,
        Shared {
            store: Arc::clone(&store),
            registry: provider_registry,
            outputs: Arc::clone(&outputs) as _,
            catalogue: Arc::clone(&catalogue),
            callbacks: Arc::clone(&callbacks) as _,
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            metrics: engine_metrics,
            router: Arc::clone(&router),
        },
    )?;
    let configured_providers = env.registry.names().collect();
    let system = System::start(env, node, config.generation.engine_threads).await?;
    let deliveries: Arc<dyn DeliveryListener> = Arc::new(system.engine().clone());
    store.listen(&deliveries);

    let auth = Arc::new(Auth::start(AuthParts {
        keys: Arc::clone(&store) as Arc<dyn KeyStore>,
        limits: Arc::new(RateLimits::new(config.plans)),
        clock: Arc::clone(&clock),
        pepper: master_key.derive(Purpose::KeyCache),
        config: &config.auth,
        region: config.server.region.clone(),
        proxies: config.server.trusted_proxies.clone(),
        metrics: http_metrics.auth.clone(),
    })?);
    let (request_log, write_log) = RequestLog::new(RequestLogParts {
        store: Arc::clone(&store) as _,
        ids: Arc::clone(&ids),
        ip_key: master_key.derive(Purpose::IpHash),
        queue_max: config.request_log.queue_max,
        metrics: http_metrics.request_log.clone(),
    });
    actix_rt::spawn(write_log);
    let parts = people::Parts {
        config,
        master_key: &master_key,
        url: &url,
        store: &store,
        clock: &clock,
        ids: &ids,
        auth: &auth,
    };
    let (sessions, people) = (web::Data::new(parts.sessions()), Arc::new(parts.people().await?));
    let postman = parts.postman(&people)?;
    let first_link = people.first_link().await?;
    let state = Arc::new(AppState {
        engine: Arc::new(system.engine().clone()),
        generations: Arc::clone(&store) as Arc<dyn GenerationStore>,
        idempotency: Idempotency {
            store: Arc::clone(&store) as Arc<dyn IdempotencyStore>,
            answer_within: TimeDelta::from_std(config.generation.answer_timeout + ANSWER_SLACK)?,
        },
        accounts: Arc::clone(&store) as _,
        requests: Arc::clone(&store) as _,
        request_log: request_log.clone(),
        document: Document::of(&offering),
        catalogue,
        offering: Arc::clone(&offering),
        clock: Arc::clone(&clock),
        ids,
        callbacks,
        files: files.clone(),
        outputs: Arc::clone(outputs.objects()),
        router: Arc::clone(&router),
        configured_providers,
        storage_probe: StorageProbe::new(Arc::clone(outputs.objects()), node.0),
        readiness: Arc::new(WatchReadiness {
            watch: system.watch().clone(),
            clock: Arc::clone(&clock),
        }),
        metrics: http_metrics,
        body: BodyLimits {
            bytes_max: config.server.body_limit_bytes,
            timeout: config.server.body_timeout,
        },
        input_files: InputFiles::new(
            &config.input_files,
            Policy::FILE.or_private(config.webhooks.allow_private_targets),
        )?,
        moderation: Moderation::new(config.moderation.as_ref())?,
        watchers: watchers.clone(),
        streams: Streams::new(StreamLimits {
            streams_max: config.events.streams_max,
            streams_max_per_account: config.events.streams_max_per_account,
            heartbeat: config.events.heartbeat,
        }),
    });
    let (live, registry) = (Live::default(), Arc::new(registry));
    let dashboard = Dashboard {
        context: identity::Context::new(store.as_ref().clone(), config),
        people,
        offering,
        webhook_sender: Arc::new(
            WebhookClient::new(&config.webhooks).context("cannot make an HTTP client")?,
        ),
        engine: system.engine().clone(),
        files,
        url: url.clone(),
        plans: config.plans,
        kept: config.retention.kept,
        router: Arc::clone(&router),
        metrics: Arc::clone(&registry),
        process: Process { node, started_at: clock.now() },
        live: live.clone(),
        policy: PagePolicy::with_media_from(&url)?,
    };
    let pages = Pages { sessions: sessions.clone(), dashboard: web::Data::new(dashboard) };
    let mut servers = vec![serve_api(config, listener, state, &auth, pages)?];
    let operator = config.operator.listen.and_then(listen_for_operator);
    let operator_address = operator.as_ref().map(TcpListener::local_addr).transpose()?;
    if let Some(listener) = operator {
        servers.push(serve_operator(listener, registry)?);
    }
    let routing =
        Routing { router, region: config.server.region.clone(), clock: Arc::clone(&clock) };
    let keeping = vec![
        actix_rt::spawn(keeping::look_after(Arc::clone(&auth), Arc::clone(&clock))),
        actix_rt::spawn(keeping::forget_expired(Arc::clone(&store), Arc::clone(&clock))),
        actix_rt::spawn(keeping::forget_requests(
            Arc::clone(&store),
            config.request_log.keep_max,
            Arc::clone(&clock),
        )),
        actix_rt::spawn(keeping::compact_tallies(Arc::clone(&store), Arc::clone(&clock))),
        actix_rt::spawn(keeping::keep_routing(
            routing.clone(),
            Arc::clone(&store),
            config.routing.snapshot,
        )),
        actix_rt::spawn(postman.run()),
        actix_rt::spawn(account_removal::run(
            Arc::clone(&store),
            system.engine().clone(),
            Arc::clone(&clock),
        )),
        actix_rt::spawn(people::forget(
            sessions.into_inner(),
            Arc::clone(&store),
            Arc::clone(&clock),
        )),
        actix_rt::spawn(keeping::clear(
            system.engine().clone(),
            Arc::clone(&store),
            config.retention,
        )),
        actix_rt::spawn(keeping::remove_orphans(
            outputs,
            Arc::clone(&store),
            clock,
            config.retention,
        )),
    ];
    Ok(Running {
        address,
        operator_address,
        first_key,
        first_link,
        url,
        providers: match emulator {
            Some(_) => Vec::new(),
            None => config.providers.asked.keys().copied().collect(),
        },
        emulator,
        servers,
        watchers,
        live,
        auth,
        request_log,
        keeping,
        routing,
        system,
        store,
        deliveries,
        writer_ended,
        db,
        database_lock,
        _lock: lock,
    })
}

impl Running {
    /// What recognizes keys, for measuring it.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// For making accounts and keys beside the running server.
    pub fn identity(&self, config: &Config) -> identity::Context {
        identity::Context::new(self.store.as_ref().clone(), config)
    }

    /// Stops in the reverse order: no new requests, then the actors, then the writer.
    pub async fn stop(self) {
        // The servers wait for answers under way, and those who watch would wait for an end.
        self.watchers.close();
        self.live.close();
        for server in self.servers {
            server.stop(true).await;
        }
        for task in self.keeping {
            // Awaited, since it holds the store.
            task.abort();
            let _ = task.await;
        }
        self.request_log.finish().await;
        if let Err(error) = self.auth.flush_last_used().await {
            tracing::warn!(%error, "it was not written down when keys were last used");
        }
        drop((self.auth, self.request_log));
        self.system.stop().await;
        self.routing.keep(&self.store).await;
        if let Some(emulator) = self.emulator {
            emulator.stop().await;
        }
        // The writer ends when nobody can give it work any more.
        drop((self.store, self.deliveries));
        if timeout(WRITER_END, self.writer_ended).await.is_err() {
            // It keeps a connection, for which a close would wait.
            tracing::warn!("the writer has not ended");
            return;
        }
        self.db.close().await;
        self.database_lock.release().await;
    }
}

/// What a server with these settings offers.
///
/// # Errors
/// When the settings of a provider, or the catalogue, are not as they must be.
pub fn offered(config: &Config) -> anyhow::Result<(Arc<Catalogue>, Offering)> {
    let (catalogue, clock) = (load_catalogue(config)?, Arc::new(SystemClock) as Arc<dyn Clock>);
    let registry = engine::registry(config, &MasterKey::load(config)?, &clock)?;
    let is_emulated = emulation::is_needed(config);
    let mut services = engine::services(&registry, is_emulated);
    if is_emulated {
        services.extend(ADAPTERS.iter().map(|adapter| (adapter.name, Service::Simulated)));
    }
    let placeholders = config.catalogue.allow_placeholder_prices;
    let offering = Offering::new(Arc::clone(&catalogue), services, placeholders);
    Ok((catalogue, offering))
}

fn load_catalogue(config: &Config) -> anyhow::Result<Arc<Catalogue>> {
    Ok(Arc::new(catalogue_file::load(Sources {
        sandbox: config.sandbox.enabled,
        directory: config.catalogue.directory.as_deref(),
        prices: config.catalogue.prices.as_deref(),
    })?))
}

/// What is known of providers, and where it is kept.
#[derive(Clone)]
struct Routing {
    router: Arc<Router>,
    region: String,
    clock: Arc<dyn Clock>,
}

impl Routing {
    async fn keep(&self, store: &Store) {
        routing_memory::keep(&self.router, store, &self.region, &*self.clock).await;
    }
}

/// Ready as long as the janitor sees due work move.
struct WatchReadiness {
    watch: Watch,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Readiness for WatchReadiness {
    async fn problems(&self) -> Vec<String> {
        self.watch.problems(self.clock.now())
    }
}

/// The writer has a thread of its own: what it does is work for a processor, and everybody
/// waits for it.
fn run_writer(writer: impl Future<Output = ()> + Send + 'static) -> oneshot::Receiver<()> {
    let (ended, writer_ended) = oneshot::channel();
    Arbiter::new().spawn(async move {
        writer.await;
        // Nobody listens when the process ends without waiting.
        let _ = ended.send(());
    });
    writer_ended
}
