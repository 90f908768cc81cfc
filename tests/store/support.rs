//! A store of its own for each test, on either database, and short ways to say things to it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::account::{Account, AccountKind, Plan, PlanLimits, Plans};
use actors::activity::{Actor, By};
use actors::batch::{Advance, AdvanceRefusal};
use actors::catalogue::PriceSource;
use actors::file_urls::FileUrls;
use actors::generation::{
    AskedBy, Event, Generation, NewAttempt, NewGeneration, Pricing, StoredFile,
};
use actors::id::{AccountId, ActivityId, GenerationId, NodeId, first_at};
use actors::money::Credits;
use actors::operator::Act;
use actors::ports::{AccountStore, GenerationStore, Grant, IdSource};
use actors::retention::Retention;
use actors::webhook::{DeliveryPolicy, EventName, WebhookEndpoint};
use babysea::config::{Config, Database, Overrides};
use babysea::identity::{Context, NewEndpoint, act, create_endpoint};
use babysea::ids::SystemIds;
use babysea::secrets::MasterKey;
use babysea::store::audit::{Finding, audit};
use babysea::store::{Db, Store, StoreMetrics, StoreParts};
use chrono::{DateTime, Utc};
use prometheus_client::metrics::histogram::Histogram;
use providers::clock::Clock;
use providers::name::ProviderName;
use providers::{JobRef, MediaKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::content::Told;

/// Tries that the policy of these tests allows.
pub(crate) const TRIES_MAX: u32 = 5;
/// As long as the plans say.
pub(crate) const KEPT: Retention = Retention::LONGEST;

/// Seconds after a start that is the same in every test.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    // Later than whatever the system's clock says, so that nothing made with it is too new.
    DateTime::from_timestamp(4_000_000_000 + seconds, 0).unwrap()
}

/// What the system does then.
pub(crate) fn by(seconds: i64) -> By {
    By { actor: Actor::System, id: ActivityId(SystemIds.next()), at: at(seconds) }
}

pub(crate) fn credits(text: &str) -> Credits {
    Credits::parse(text).unwrap()
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct ManualClock(pub(crate) Mutex<DateTime<Utc>>);

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

impl ManualClock {
    pub(crate) fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap() = now;
    }
}

/// Ids of the clock's time, in the order in which they are made.
#[derive(Debug)]
struct ClockIds {
    clock: Arc<ManualClock>,
    made: AtomicU64,
}

impl IdSource for ClockIds {
    fn next(&self) -> Uuid {
        self.next_at(self.clock.now())
    }

    fn next_at(&self, at: DateTime<Utc>) -> Uuid {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let (version, variant) = (7 << 76, 2 << 62);
        Uuid::from_u128(first_at(at).as_u128() | version | variant | u128::from(number))
    }

    fn spread(&self) -> f64 {
        0.5
    }
}

/// A store with its writer, on a database that is gone afterwards.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) context: Context,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) node: NodeId,
    /// What whoever watches generations is told.
    pub(crate) told: Arc<Told>,
    db: Db,
    writer: JoinHandle<()>,
    database: Database,
    directory: PathBuf,
    /// The database to be dropped, and where to say so.
    drop: Option<(String, SecretString)>,
}

impl TestStore {
    pub(crate) async fn sqlite() -> Self {
        let directory = directory();
        let database = Database::Sqlite(directory.join("babysea.db"));
        Self::open(database, directory, None).await
    }

    /// `None` without a server to test against, which only a developer may be.
    pub(crate) async fn postgres() -> Option<Self> {
        let Some(url) = std::env::var_os("TEST_POSTGRES_URL") else {
            let required = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(!required, "in CI, TEST_POSTGRES_URL must be set");
            return None;
        };
        let url = url.into_string().unwrap();
        let name = format!("babysea_{:016x}", rand::random::<u64>());
        administer(&url, &format!("CREATE DATABASE {name}")).await;
        let mut own = url::Url::parse(&url).unwrap();
        own.set_path(&name);
        let database = Database::Postgres(SecretString::from(own.to_string()));
        let drop = Some((format!("DROP DATABASE {name} WITH (FORCE)"), SecretString::from(url)));
        Some(Self::open(database, directory(), drop).await)
    }

    async fn open(
        database: Database,
        directory: PathBuf,
        drop: Option<(String, SecretString)>,
    ) -> Self {
        let data_dir = Some(directory.to_str().unwrap().to_owned());
        let mut config =
            Config::load(None, &Overrides { data_dir, ..Overrides::default() }).unwrap();
        // As little work as bcrypt knows: nothing here is about how long it takes.
        config.auth.bcrypt_cost = 4;
        let db = Db::connect(&database, 8).await.unwrap();
        db.migrate().await.unwrap();
        let node = NodeId(SystemIds.next());
        let told = Arc::<Told>::default();
        let clock = Arc::new(ManualClock(Mutex::new(at(0))));
        let ids = Arc::new(ClockIds { clock: Arc::clone(&clock), made: AtomicU64::new(0) });
        let (store, writer) = Store::new(StoreParts {
            db: db.clone(),
            node,
            master_key: Arc::new(MasterKey::load(&config).unwrap()),
            ids: ids.clone(),
            files: FileUrls::new("https://files.test".to_owned(), &[7; 32], KEPT),
            plans: plans(),
            policy: DeliveryPolicy {
                waits: vec![Duration::from_secs(1); TRIES_MAX as usize],
                ..DeliveryPolicy::default()
            },
            batch_max: 256,
            queue_max: 4096,
            metrics: StoreMetrics {
                batch_units: Histogram::new([1.0]),
                batch_seconds: Histogram::new([1.0]),
            },
            watchers: told.clone(),
        });
        let writer = tokio::spawn(writer);
        let mut context = Context::new(store.clone(), &config);
        (context.clock, context.ids) = (clock.clone(), ids);
        Self { store, context, clock, node, told, db, writer, database, directory, drop }
    }

    /// Every test ends with this: nothing that it did may have broken a rule.
    pub(crate) async fn finish(self) {
        let findings = self.findings().await;
        assert!(findings.is_empty(), "{findings:#?}");
        self.discard().await;
    }

    /// The end of a test that broke rules on purpose.
    pub(crate) async fn discard(self) {
        drop((self.store, self.context));
        self.writer.await.unwrap();
        self.db.close().await;
        if let Some((statement, url)) = &self.drop {
            administer(url.expose_secret(), statement).await;
        }
        std::fs::remove_dir_all(&self.directory).unwrap();
    }

    pub(crate) async fn findings(&self) -> Vec<Finding> {
        audit(&self.store, TRIES_MAX).await.unwrap().findings
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.database, Database::Sqlite(_))
    }

    /// Another pool on the same database.
    pub(crate) async fn connect(&self) -> Db {
        Db::connect(&self.database, 1).await.unwrap()
    }

    /// Arranges by SQL what no unit of work does.
    pub(crate) async fn execute(&self, statement: &'static str) {
        match &self.db {
            Db::Sqlite(pool, _) => drop(sqlx::query(statement).execute(pool).await.unwrap()),
            Db::Postgres(pool) => drop(sqlx::query(statement).execute(pool).await.unwrap()),
        }
    }

    /// Why the database does not run a statement.
    pub(crate) async fn refusal(&self, statement: &'static str) -> String {
        let refused = match &self.db {
            Db::Sqlite(pool, _) => sqlx::query(statement).execute(pool).await.err(),
            Db::Postgres(pool) => sqlx::query(statement).execute(pool).await.err(),
        };
        refused.expect(statement).to_string()
    }

    /// Asks the database for a number.
    pub(crate) async fn count(&self, question: &'static str) -> i64 {
        match &self.db {
            Db::Sqlite(pool, _) => sqlx::query_scalar(question).fetch_one(pool).await.unwrap(),
            Db::Postgres(pool) => sqlx::query_scalar(question).fetch_one(pool).await.unwrap(),
        }
    }

    /// Something that is done at the command line.
    pub(crate) fn act(&self) -> Act {
        act(&self.context, "a test").unwrap()
    }

    /// An account with this much credit.
    pub(crate) async fn account(&self, amount: &str) -> AccountId {
        let account = Account {
            id: AccountId(SystemIds.next()),
            name: "Test".to_owned(),
            kind: AccountKind::Personal,
            plan: Plan::Pro,
            email: None,
            failover_on_moderation: false,
            suspended_at: None,
            balance: Credits::ZERO,
            created_at: at(0),
        };
        let grant = Grant {
            amount: credits(amount),
            key: format!("test:{}", account.id),
            description: "Test".to_owned(),
            at: at(0),
        };
        let grant = (grant.amount > Credits::ZERO).then_some(grant);
        self.store.create_account(account, grant, self.act()).await.unwrap().id
    }

    pub(crate) async fn balance(&self, account_id: AccountId) -> Credits {
        self.store.find_account(account_id).await.unwrap().unwrap().balance
    }

    /// The ledger as `kind amount balance`, one line each.
    pub(crate) async fn ledger(&self, account_id: AccountId) -> Vec<String> {
        let entries = self.store.list_entries(account_id, 0, 10_000).await.unwrap();
        let line = |entry: &actors::ledger::LedgerEntry| {
            format!("{} {} {}", entry.kind.as_str(), entry.amount, entry.balance_after)
        };
        entries.iter().map(line).collect()
    }

    /// An endpoint for these events.
    pub(crate) async fn endpoint(
        &self,
        account_id: AccountId,
        events: &[EventName],
    ) -> WebhookEndpoint {
        let url = "https://hooks.example.com/".to_owned();
        let new = NewEndpoint { account_id, url, events: events.to_vec() };
        create_endpoint(&self.context, new).await.unwrap()
    }

    /// An accepted generation of 0.100 credits.
    pub(crate) async fn accepted(&self, account_id: AccountId) -> Generation {
        let id = GenerationId(SystemIds.next());
        self.store.accept(new(account_id, id), attempt()).await.unwrap().unwrap()
    }

    /// One that a provider has taken.
    pub(crate) async fn processing(&self, account_id: AccountId) -> Generation {
        let generation = self.accepted(account_id).await;
        self.advance(&generation, vec![taken(1)]).await.unwrap()
    }

    pub(crate) async fn advance(
        &self,
        generation: &Generation,
        events: Vec<Event>,
    ) -> Result<Generation, AdvanceRefusal> {
        let advance = Advance {
            account_id: generation.account_id,
            id: generation.id,
            epoch: Some(generation.epoch),
            events,
        };
        self.store.advance(advance).await.unwrap()
    }
}

/// As many in flight as a test likes, but on the free plan: two images and one video.
fn plans() -> Plans {
    Plans::new(|plan| {
        let many = 1_000_000;
        let (images, videos) = if plan == Plan::Free { (2, 1) } else { (many, many) };
        PlanLimits {
            generations_per_minute: many,
            requests_per_minute: many,
            images_in_flight_max: images,
            videos_in_flight_max: videos,
        }
    })
}

pub(crate) fn new(account_id: AccountId, id: GenerationId) -> NewGeneration {
    let input = json!({
        "prompt": "a test",
        "ratio": "1:1",
        "format": "png",
        "count": 2,
        "input_files": [],
        "last_frame": null,
        "duration_ms": null,
        "resolution": null,
        "audio": null,
        "options": {},
        "provider_order": ["sandbox_polling", "sandbox_inline"],
        "requested_order": null,
    });
    NewGeneration {
        account_id,
        id,
        model: "sandbox/failover".to_owned(),
        media: MediaKind::Image,
        input: serde_json::from_value(input).unwrap(),
        amount: credits("0.100"),
        pricing: Pricing {
            cost_per_output: credits("0.050"),
            source: PriceSource::Published,
            catalogue_version: "test".to_owned(),
        },
        asked_by: AskedBy::default(),
        claim: None,
        asked_at: at(1),
        created_at: at(1),
        deadline_at: at(1000),
    }
}

pub(crate) fn attempt() -> NewAttempt {
    NewAttempt {
        correlation: SystemIds.next(),
        provider: ProviderName::SandboxPolling,
        raw_model: "polling".to_owned(),
        cost: None,
        at: at(1),
        deadline_at: at(100),
    }
}

pub(crate) fn taken(attempt: u32) -> Event {
    Event::Accepted { attempt, job: JobRef("job-1".to_owned()), cost: None, at: at(2) }
}

pub(crate) fn completed(attempt: u32) -> Event {
    let file = |key: &str| StoredFile { key: key.to_owned(), bytes: 10 };
    let outputs = vec![file("a/0.png"), file("a/1.png")];
    Event::Completed {
        attempt,
        outputs,
        predict_time: Some(Duration::from_millis(7)),
        cost: None,
        at: at(3),
    }
}

fn directory() -> PathBuf {
    let name = format!("babysea-store-{:016x}", rand::random::<u64>());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir(&directory).unwrap();
    directory
}

async fn administer(url: &str, statement: &str) {
    let url = Database::Postgres(SecretString::from(url));
    let Db::Postgres(pool) = Db::connect(&url, 1).await.unwrap() else { unreachable!() };
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    pool.close().await;
}
