//! The ports, faked for the tests of the actors: in memory, under the real rules, and on
//! virtual time, so that an hour of waiting costs nothing and no test depends on speed.

pub(crate) mod provider;
pub(crate) mod store;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use providers::clock::Clock;
use providers::name::ProviderName;
use providers::registry::Registry;
use providers::{MediaKind, OutputFile, OutputFormat, Provider, RawCallback};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};
use url::Url;
use uuid::Uuid;

use crate::account::{Plan, PlanLimits, Plans, Standing};
use crate::batch::Advance;
use crate::catalogue::spec::{CapabilitiesSpec, ModelSpec, OfferSpec, Place, PriceSpec};
use crate::catalogue::{Catalogue, PriceSource};
use crate::engine::{CallbackRefusal, CallbackTarget, Engine};
use crate::env::{EngineLimits, Env};
use crate::fakes::provider::FakeProvider;
use crate::fakes::store::FakeStore;
use crate::file_urls::FileUrls;
use crate::generation::{AskedBy, Event, Generation, NewAttempt, NewGeneration, Pricing, Status};
use crate::id::{AccountId, EndpointId, GenerationId, NodeId};
use crate::input::{Input, Route};
use crate::lanes::Lanes;
use crate::ledger::{Balance, EntryKind};
use crate::metrics::EngineMetrics;
use crate::money::Credits;
use crate::poll_budget::PollBudgets;
use crate::ports::{
    CallbackUrls, GenerationStore, IdSource, OutputStore, Reply, StoreError, TakeOverError,
    WebhookSender,
};
use crate::retention::Retention;
use crate::router::{Router, RouterRules};
use crate::routing::RouteLimits;
use crate::routing::breaker::BreakerRules;
use crate::routing::evidence::Memory;
use crate::routing::ranking::RankingRules;
use crate::system::System;
use crate::webhook::DeliveryPolicy;

pub(crate) const NODE: NodeId = NodeId(Uuid::from_u128(7));
pub(crate) const ACCOUNT: AccountId = AccountId(Uuid::from_u128(1));
/// What the account starts with, and what a generation costs, in thousandths.
pub(crate) const WELCOME: i64 = 1_000;
pub(crate) const PRICE: i64 = 10;

/// Runs a test on one thread and on virtual time: whenever nothing can run, time jumps to the
/// next timer.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let system = actix_rt::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    });
    system.block_on(test);
}

/// Numbers in order.
#[derive(Default)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    /// The next id, for tests of the domain, which knows no ports.
    pub(crate) fn fresh(&self) -> Uuid {
        Uuid::from_u128(1_000 + u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

impl IdSource for Ids {
    fn next(&self) -> Uuid {
        self.fresh()
    }

    fn next_at(&self, _: DateTime<Utc>) -> Uuid {
        self.fresh()
    }

    fn spread(&self) -> f64 {
        0.5
    }
}

/// The time of day on virtual time.
pub(crate) struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-06-02T08:00:00Z".parse().unwrap();
        start + TimeDelta::from_std(self.0.elapsed()).unwrap()
    }
}

/// What makes URLs.
pub(crate) fn file_urls() -> FileUrls {
    let retention = Retention::LONGEST;
    FileUrls::new("https://files.test".to_owned(), &[7; 32], retention)
}

/// Keeps files; refuses as often as it is told to.
#[derive(Default)]
pub(crate) struct FakeOutputs {
    pub(crate) files: Mutex<BTreeMap<String, Bytes>>,
    pub(crate) failures: AtomicU64,
    pub(crate) wait: Mutex<Duration>,
    /// What comes of the next fetches of files that are elsewhere, before they succeed.
    pub(crate) fetches: Mutex<VecDeque<TakeOverError>>,
}

impl FakeOutputs {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let wait = *self.wait.lock().unwrap();
        sleep(wait).await;
        let left = self.failures.load(Ordering::Relaxed);
        if left > 0 {
            self.failures.store(left - 1, Ordering::Relaxed);
            return Err(StoreError::Overloaded);
        }
        self.files.lock().unwrap().insert(key.to_owned(), bytes);
        Ok(())
    }
}

#[async_trait]
impl OutputStore for FakeOutputs {
    /// What is elsewhere holds the text of its URL.
    async fn take_over(
        &self,
        key: &str,
        file: &OutputFile,
        _format: OutputFormat,
    ) -> Result<u64, TakeOverError> {
        let bytes = match file {
            OutputFile::Bytes { bytes, .. } => bytes.clone(),
            OutputFile::Url(url) => {
                if let Some(answer) = self.fetches.lock().unwrap().pop_front() {
                    return Err(answer);
                }
                Bytes::from(url.to_string())
            }
        };
        let length = bytes.len() as u64;
        self.put(key, bytes).await?;
        Ok(length)
    }

    fn folder(&self, _account_id: AccountId, id: GenerationId) -> String {
        format!("folder-{id}")
    }

    async fn remove(&self, folder: &str) -> Result<u64, StoreError> {
        let left = self.failures.load(Ordering::Relaxed);
        if left > 0 {
            self.failures.store(left - 1, Ordering::Relaxed);
            return Err(StoreError::Overloaded);
        }
        let mut files = self.files.lock().unwrap();
        let before = files.len();
        files.retain(|key, _| !key.starts_with(&format!("{folder}/")));
        Ok((before - files.len()) as u64)
    }
}

/// One webhook that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) url: String,
    pub(crate) event: String,
    pub(crate) delivery: String,
    pub(crate) generation: String,
    pub(crate) at: DateTime<Utc>,
}

/// Stands for a try that was not answered.
pub(crate) const NO_ANSWER: u16 = 0;

/// Replies as written down per URL, else 200 at once.
#[derive(Default)]
pub(crate) struct FakeSender {
    pub(crate) posts: Mutex<Vec<Post>>,
    pub(crate) replies: Mutex<HashMap<String, VecDeque<(Duration, u16)>>>,
    /// The reply to everything at a URL that has none written down.
    pub(crate) always: Mutex<HashMap<String, (Duration, u16)>>,
    /// What is said with an error, per URL.
    pub(crate) retry_after: Mutex<HashMap<String, Duration>>,
    in_flight: AtomicU64,
    pub(crate) in_flight_max: AtomicU64,
    clock: Mutex<Option<Arc<VirtualClock>>>,
}

#[async_trait]
impl WebhookSender for FakeSender {
    async fn post(&self, url: &Url, headers: Vec<(&'static str, String)>, body: Bytes) -> Reply {
        let header = |name: &str| {
            headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()).unwrap()
        };
        let body: Value = serde_json::from_slice(&body).unwrap();
        let post = Post {
            url: url.to_string(),
            event: header("x-babysea-event"),
            delivery: header("x-babysea-delivery-id"),
            generation: body["webhook_data"]["generation_id"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            at: self.clock.lock().unwrap().as_ref().unwrap().now(),
        };
        self.posts.lock().unwrap().push(post);
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.in_flight_max.fetch_max(now, Ordering::Relaxed);
        let next = self.replies.lock().unwrap().get_mut(url.as_str()).and_then(VecDeque::pop_front);
        let always = self.always.lock().unwrap().get(url.as_str()).copied();
        let (took, status) = next.or(always).unwrap_or((Duration::ZERO, 200));
        sleep(took).await;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let error = (status != 200).then(|| format!("status {status}"));
        let retry_after = self.retry_after.lock().unwrap().get(url.as_str()).copied();
        let retry_after = retry_after.filter(|_| error.is_some());
        let status = Some(status).filter(|status| *status != NO_ANSWER);
        Reply { status, error, took, retry_after, ..Reply::default() }
    }
}

/// Whether providers can reach us.
struct FakeCallbacks {
    reachable: bool,
}

impl CallbackUrls for FakeCallbacks {
    fn url(&self, generation: &Generation, attempt: u32) -> Option<Url> {
        let url = format!("https://us.test/callbacks/{}/{attempt}", generation.id);
        url.parse().ok().filter(|_| self.reachable)
    }
}

/// Everything around a running system.
pub(crate) struct World {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) outputs: Arc<FakeOutputs>,
    pub(crate) sender: Arc<FakeSender>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) metrics: EngineMetrics,
    pub(crate) router: Arc<Router>,
    pub(crate) polls: PollBudgets,
    pub(crate) reachable: bool,
    pub(crate) lanes: Lanes,
    order: Vec<ProviderName>,
    registry: Registry,
    system: Option<System>,
}

pub(crate) fn limits() -> EngineLimits {
    EngineLimits {
        route: RouteLimits {
            image_attempt: Duration::from_secs(60),
            image_total: Duration::from_secs(150),
            video_attempt: Duration::from_secs(600),
            video_total: Duration::from_secs(1200),
            attempts_max: 3,
        },
        call: Duration::from_secs(5),
        answer: Duration::from_secs(18),
        poll_initial: Duration::from_millis(500),
        poll_max: Duration::from_secs(5),
        restarts_max: 2,
        output_bytes_max: 1_000,
        tries_per_endpoint: 4,
        drain: Duration::from_secs(10),
    }
}

/// The static order, as long as nobody is left alone.
pub(crate) fn router_rules() -> RouterRules {
    let seconds = Duration::from_secs;
    RouterRules {
        breaker: BreakerRules {
            window: seconds(300),
            attempts_min: 10,
            failures_percent: 50,
            open: seconds(60),
            open_max: seconds(600),
            pause: seconds(5),
            pause_max: seconds(60),
            probe_percent: 10,
            probes: 3,
        },
        ranking: RankingRules {
            enabled: false,
            memory: Memory { half_life: seconds(10_800), attempts_max: 100 },
            attempts_min: 5,
            latency_weight: 0.3,
            cost_weight: 0.2,
            explore_percent: 5,
            explore_below: 20,
        },
    }
}

pub(crate) fn catalogue() -> Catalogue {
    let capabilities = CapabilitiesSpec {
        ratios: vec!["1:1".to_owned()],
        formats: vec!["png".to_owned()],
        output_number_max: 1,
        input_files_min: 0,
        input_files_max: 0,
        last_frame: false,
        durations: Vec::new(),
        resolutions: Vec::new(),
        audio: false,
        fields: Vec::new(),
    };
    let offer = |name: &ProviderName| OfferSpec {
        provider: name.as_str().to_owned(),
        raw_model_id: format!("raw/{name}"),
        cost: None,
        capabilities: capabilities.clone(),
    };
    let spec = ModelSpec {
        place: Place::default(),
        identifier: "lab/image".to_owned(),
        media: Some("image".to_owned()),
        price: Some(PriceSpec::Flat(0.010)),
        price_place: None,
        price_source: Some("placeholder".to_owned()),
        stack: ProviderName::ALL.iter().map(offer).collect(),
        rules: Vec::new(),
    };
    Catalogue::build(vec![spec]).unwrap()
}

/// A balance, with nothing in flight, on the largest plan.
pub(crate) fn standing(thousandths: i64, seq: i64) -> Standing {
    let credits = Credits::from_thousandths(thousandths).unwrap();
    Standing {
        plan: Plan::Enterprise,
        balance: Balance { credits, seq },
        images_in_flight: 0,
        videos_in_flight: 0,
        generations: 0,
        alert_below: Credits::ZERO,
        failover_on_moderation: false,
    }
}

/// As many in flight as a test likes, but on the free plan: two images and one video.
pub(crate) fn plans() -> Plans {
    Plans::new(|plan| match plan {
        Plan::Free => PlanLimits {
            generations_per_minute: 10,
            requests_per_minute: 30,
            images_in_flight_max: 2,
            videos_in_flight_max: 1,
        },
        Plan::Starter | Plan::Pro | Plan::Scale | Plan::Enterprise => PlanLimits {
            generations_per_minute: 1_000_000,
            requests_per_minute: 1_000_000,
            images_in_flight_max: 1_000_000,
            videos_in_flight_max: 1_000_000,
        },
    })
}

pub(crate) fn new_generation(
    id: Uuid,
    order: &[ProviderName],
    created_at: DateTime<Utc>,
) -> NewGeneration {
    NewGeneration {
        account_id: ACCOUNT,
        id: GenerationId(id),
        model: "lab/image".to_owned(),
        media: MediaKind::Image,
        input: Input {
            prompt: "a boat".to_owned(),
            ratio: "1:1".to_owned(),
            format: OutputFormat::Png,
            count: 1,
            input_files: Vec::new(),
            last_frame: None,
            duration_ms: None,
            resolution: None,
            audio: None,
            options: Map::new(),
            provider_order: order.to_vec(),
            requested_order: None,
            route: Route::default(),
        },
        amount: Credits::from_thousandths(PRICE).unwrap(),
        pricing: Pricing {
            cost_per_output: Credits::from_thousandths(PRICE).unwrap(),
            source: PriceSource::Operator,
            catalogue_version: "1".to_owned(),
        },
        asked_by: AskedBy::default(),
        claim: None,
        asked_at: created_at,
        created_at,
        deadline_at: created_at + limits().route.image_total,
    }
}

impl World {
    /// The ports, with nothing running yet. Generations try the providers in this order.
    pub(crate) fn new(providers: &[&Arc<FakeProvider>]) -> Self {
        Self::new_with(providers, |_| {})
    }

    /// With another policy for webhooks.
    pub(crate) fn new_with(
        providers: &[&Arc<FakeProvider>],
        policy: impl FnOnce(&mut DeliveryPolicy),
    ) -> Self {
        let ids = Arc::new(Ids::default());
        let clock = Arc::new(VirtualClock(Instant::now()));
        let mut store = FakeStore::new(Arc::clone(&ids));
        policy(&mut store.policy);
        let store = Arc::new(store);
        store.add_account(ACCOUNT, WELCOME);
        let sender = Arc::new(FakeSender::default());
        *sender.clock.lock().unwrap() = Some(Arc::clone(&clock));
        let mut registry = Registry::default();
        for provider in providers {
            let provider: Arc<FakeProvider> = Arc::clone(provider);
            registry.insert(provider);
        }
        Self {
            store,
            outputs: Arc::default(),
            sender,
            clock,
            ids,
            metrics: EngineMetrics::default(),
            router: Arc::new(Router::new(&catalogue(), router_rules())),
            polls: PollBudgets::default(),
            reachable: true,
            lanes: Lanes::new(64, 64),
            order: providers.iter().map(|provider| provider.name()).collect(),
            registry,
            system: None,
        }
    }

    /// The ports and a running system.
    pub(crate) async fn start(providers: &[&Arc<FakeProvider>]) -> Self {
        let mut world = Self::new(providers);
        world.boot().await;
        world
    }

    /// Starts a system on the ports, as a new process would.
    pub(crate) async fn boot(&mut self) {
        let env = Env {
            generations: Arc::clone(&self.store) as _,
            deliveries: Arc::clone(&self.store) as _,
            backlog: Arc::clone(&self.store) as _,
            outputs: Arc::clone(&self.outputs) as _,
            sender: Arc::clone(&self.sender) as _,
            registry: self.registry.clone(),
            catalogue: Arc::new(catalogue()),
            callbacks: Arc::new(FakeCallbacks { reachable: self.reachable }),
            clock: Arc::clone(&self.clock) as _,
            ids: Arc::clone(&self.ids) as _,
            limits: limits(),
            metrics: self.metrics.clone(),
            router: Arc::clone(&self.router),
            polls: self.polls.clone(),
            lanes: self.lanes.clone(),
        };
        let system = System::start(env, NODE, 0).await.unwrap();
        *self.store.listener.lock().unwrap() = Some(system.engine().clone());
        self.system = Some(system);
    }

    pub(crate) fn engine(&self) -> Engine {
        self.system.as_ref().unwrap().engine().clone()
    }

    pub(crate) fn system(&self) -> &System {
        self.system.as_ref().unwrap()
    }

    pub(crate) async fn stop(&mut self) {
        self.system.take().unwrap().stop().await;
    }

    /// A new generation for the providers in order.
    pub(crate) fn wanted(&self) -> NewGeneration {
        new_generation(self.ids.next(), &self.order, self.clock.now())
    }

    /// Submits and waits for the answer.
    pub(crate) async fn submit(&self) -> Generation {
        self.engine().submit(self.wanted()).await.unwrap()
    }

    /// Submits without waiting, and gives the actor time to send the first call.
    pub(crate) async fn begin(&self) -> GenerationId {
        let wanted = self.wanted();
        let (id, engine) = (wanted.id, self.engine());
        actix_rt::spawn(async move { engine.submit(wanted).await.map(drop) });
        self.pass(Duration::from_millis(10)).await;
        id
    }

    /// Writes a generation as a dead process left it: accepted, and then these facts.
    pub(crate) async fn leave(&self, events: Vec<Event>) -> GenerationId {
        let new = self.wanted();
        let (id, account_id) = (new.id, new.account_id);
        let at = self.clock.now();
        let first = NewAttempt {
            correlation: self.ids.next(),
            provider: self.order[0],
            raw_model: format!("raw/{}", self.order[0]),
            cost: None,
            at,
            deadline_at: at + limits().route.image_attempt,
        };
        self.store.accept(new, first).await.unwrap().unwrap();
        if !events.is_empty() {
            let advance = Advance { account_id, id, epoch: None, events };
            self.store.advance(advance).await.unwrap().unwrap();
        }
        id
    }

    /// Lets virtual time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    /// Waits until the generation has ended and its actor is gone.
    pub(crate) async fn ended(&self, id: GenerationId) -> Generation {
        for _ in 0..4_000 {
            let generation = self.store.generation(id);
            if generation.status().is_terminal() && self.alive() == 0 {
                self.settled();
                return generation;
            }
            self.pass(Duration::from_millis(100)).await;
        }
        panic!("still {:?}, {} actors", self.store.generation(id), self.alive());
    }

    pub(crate) fn alive(&self) -> i64 {
        self.metrics.generation_actors.alive.get()
    }

    pub(crate) async fn call_back(
        &self,
        id: GenerationId,
        attempt: u32,
        body: &str,
    ) -> Result<(), CallbackRefusal> {
        let generation = self.store.generation(id);
        let provider = generation.attempt(attempt).unwrap().provider;
        let target = CallbackTarget { provider, account_id: ACCOUNT, generation_id: id, attempt };
        let received_at = self.clock.now();
        let callback = RawCallback { headers: &[], body: body.as_bytes(), received_at };
        self.engine().call_back(target, callback).await
    }

    /// Every ended generation is settled once and rightly, every other one only reserved, and
    /// the balance is the sum of all movements.
    pub(crate) fn settled(&self) {
        let generations: Vec<Generation> =
            self.store.rows().generations.values().cloned().collect();
        for generation in generations {
            let wanted: &[EntryKind] = match generation.status() {
                Status::Pending | Status::Processing => &[EntryKind::Reserve],
                Status::Succeeded => &[EntryKind::Reserve, EntryKind::Charge],
                Status::Failed | Status::Canceled => &[EntryKind::Reserve, EntryKind::Refund],
            };
            assert_eq!(self.store.movements(generation.id), wanted);
        }
        let rows = self.store.rows();
        let moved: i64 = rows.entries.iter().map(|entry| entry.delta).sum();
        assert_eq!(rows.standings[&ACCOUNT].balance.credits.thousandths(), WELCOME + moved);
    }

    pub(crate) fn balance(&self) -> i64 {
        self.store.rows().standings[&ACCOUNT].balance.credits.thousandths()
    }

    pub(crate) fn add_endpoint(&self, number: u128) -> EndpointId {
        let id = EndpointId(Uuid::from_u128(number));
        self.store.add_endpoint(ACCOUNT, id, &endpoint_url(number));
        id
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.sender.posts.lock().unwrap().clone()
    }
}

pub(crate) fn endpoint_url(number: u128) -> String {
    format!("https://hooks.test/{number}")
}
