//! Many deliveries, many endpoints, and an account of every one of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actors::account::{AccountKind, Plan};
use actors::webhook::EventName;
use babysea::clock::SystemClock;
use babysea::config::{Config, Overrides};
use babysea::identity::{Context, NewAccount, NewEndpoint, create_account, create_endpoint};
use babysea::secrets::{MasterKey, Purpose};
use babysea::store::{Db, Store};
use providers::clock::Clock as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::migrate::Migrator;

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::{self, Backend, random};
use crate::support::receiver::{Received, Receiver, Reply};
use crate::support::wait;

on_both!(
    ten_thousand_events_arrive_though_the_server_is_killed_in_between,
    what_an_older_version_has_left_is_delivered,
);

const ENDPOINTS: usize = 10;
/// Two events each, for every endpoint.
const GENERATIONS: usize = 500;
const DELIVERIES: usize = GENERATIONS * 2 * ENDPOINTS;
const CLIENTS: usize = 16;

async fn ten_thousand_events_arrive_though_the_server_is_killed_in_between(backend: Backend) {
    let settings = [
        ("webhooks.waits_ms", "0,50,200,1000"),
        // A few use up all of those, since the receiver counts what comes and not who.
        ("webhooks.tail_waits_ms", "1000,1000,1000,1000"),
    ];
    let mut app = TestApp::start_with(backend, &settings).await;
    let (account, key) = app.account("1000.000");
    let receiver = Receiver::start();
    // One in twenty fails at first.
    for number in 0..DELIVERIES {
        receiver.then(Reply::Status(if number % 20 == 7 { 500 } else { 200 }));
    }
    let endpoints: Vec<String> =
        (0..ENDPOINTS).map(|_| add_endpoint(&app, &account, &receiver.url)).collect();
    let mut wanted: Vec<usize> = (0..GENERATIONS).collect();
    let mut unanswered = Vec::new();
    for kill_at in [Some(DELIVERIES / 4), Some(DELIVERIES / 2), None] {
        let load = tokio::spawn(submit(Submitter::of(&app, &key), std::mem::take(&mut wanted)));
        if let Some(count) = kill_at {
            wait::until_count("many are on their way", count as i64, async || {
                let came = if load.is_finished() { count } else { receiver.count() };
                came as i64
            })
            .await;
            app.kill();
            app.start_again();
        }
        unanswered = load.await.unwrap();
        wanted = unanswered.iter().map(|(number, _)| *number).collect();
    }
    assert!(unanswered.is_empty(), "{unanswered:?}");
    let delivered = "SELECT COUNT(*) FROM webhook_deliveries WHERE status = 'delivered'";
    let all = DELIVERIES as i64;
    wait::until_count("everything is delivered", all, async || app.count(delivered).await).await;
    assert_eq!(app.count("SELECT COUNT(*) FROM webhook_deliveries").await, all);
    account_for(&app, &endpoints, &receiver.received());
}

fn add_endpoint(app: &TestApp, account: &str, url: &str) -> String {
    let mut line = vec!["webhook", "create", "--account", account, "--url", url];
    for event in ["started", "completed", "failed", "canceled"] {
        line.extend(["--event", ["generation.", event].concat().leak()]);
    }
    app.cli(&line)["webhook_endpoint_id"].as_str().unwrap().to_owned()
}

/// Sends requests, each of which happens once however often it is sent.
struct Submitter {
    client: reqwest::Client,
    url: String,
    key: String,
}

impl Submitter {
    fn of(app: &TestApp, key: &str) -> Self {
        let url = format!("{}/v1/generate/image/sandbox/inline", app.url);
        Self { client: app.client.clone(), url, key: key.to_owned() }
    }

    /// What was not answered with success, and how it was.
    async fn submit(&self, number: usize) -> Result<(), String> {
        let request = self.client.post(&self.url).bearer_auth(&self.key);
        let body = json!({ "generation_prompt": format!("event {number}") });
        let request = request.header("Idempotency-Key", format!("event-{number}")).json(&body);
        // The server may be dead.
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let text = response.text().await.map_err(|error| error.to_string())?;
        // Taken before a kill, and made after it.
        let is_taken = status.is_success() || text.contains("idempotency_request_in_progress");
        if is_taken { Ok(()) } else { Err(text) }
    }
}

/// Submits until all are or the server is dead. Gives those that have not been answered, and why.
async fn submit(submitter: Submitter, numbers: Vec<usize>) -> Vec<(usize, String)> {
    let next = Arc::new(AtomicUsize::new(0));
    let client = async |_| {
        let mut unanswered = Vec::new();
        while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(why) = submitter.submit(*number).await {
                unanswered.push((*number, why));
            }
        }
        unanswered
    };
    futures_util::future::join_all((0..CLIENTS).map(client)).await.concat()
}

/// The log and the receiver tell the same story.
fn account_for(app: &TestApp, endpoints: &[String], received: &[Received]) {
    let mut receipts: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, one) in received.iter().enumerate() {
        receipts.entry(one.header("x-babysea-delivery-id")).or_default().push(index);
    }
    assert_eq!(receipts.len(), DELIVERIES, "each has an id of its own, at every try");
    for endpoint in endpoints {
        let log = app.cli(&["webhook", "log", "--id", endpoint, "--limit", "1000"]);
        let rows = log["webhook_deliveries"].as_array().unwrap();
        assert_eq!(rows.len(), GENERATIONS * 2);
        let mut lives: BTreeMap<&str, BTreeMap<bool, usize>> = BTreeMap::new();
        let mut failed_at_first = BTreeSet::new();
        for row in rows {
            let came = &receipts[row["webhook_delivery_id"].as_str().unwrap()];
            let body = received[came[0]].json();
            assert_eq!(
                (&row["payload"], &row["event"]),
                (&body["webhook_data"], &body["webhook_event"])
            );
            assert_eq!(row["state"], "delivered");
            assert!(came.iter().any(|index| received[*index].answered == 200));
            // A try whose end was not written down before a kill is made again.
            let tries = row["attempts"].as_u64().unwrap() as usize;
            assert!(
                (tries..=tries + 2).contains(&came.len()),
                "{tries} tries, came {}",
                came.len()
            );
            let generation = row["generation_id"].as_str().unwrap();
            let started = row["event"] == "generation.started";
            lives.entry(generation).or_default().insert(started, came[0]);
            if started && received[came[0]].answered != 200 {
                failed_at_first.insert(generation);
            }
        }
        assert_eq!(lives.len(), GENERATIONS);
        for (generation, life) in lives {
            let in_order = life[&true] < life[&false];
            assert!(in_order || failed_at_first.contains(generation), "{generation}: {life:?}");
        }
    }
}

const ACCOUNTS: usize = 70;
/// Of the ten of each account one will die.
const LIVING: usize = ACCOUNTS * (ENDPOINTS - 1);
const FIRST: usize = 3;
const THEN: usize = 8;

/// Endpoints that took all that came, and as many at a time as may be, hang from one moment on:
/// more tries than there is room for at a time. They are not heard of again in this story.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_die_while_they_are_busy_hold_up_nobody_else() {
    // The receivers are in this process.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let app = TestApp::start_with(Backend::Sqlite, &[("webhooks.timeout_ms", "60000")]).await;
    let (dying, living) = (Receiver::start(), Receiver::start());
    let context = arranging(&app).await;
    for _ in 0..ACCOUNTS {
        let new = NewAccount {
            name: "Crowd".to_owned(),
            kind: AccountKind::Team,
            plan: Plan::Enterprise,
            email: None,
            credits: None,
        };
        let account_id = create_account(&context, new).await.unwrap().id;
        for place in 0..ENDPOINTS {
            let url = if place == 0 { &dying.url } else { &living.url }.clone();
            let events = vec![EventName::GenerationCompleted];
            create_endpoint(&context, NewEndpoint { account_id, url, events }).await.unwrap();
        }
    }
    app.execute(
        "INSERT INTO webhook_deliveries (
             account_id, id, endpoint_id, event, data, status, tries, next_try_at, created_at)
         SELECT account_id, randomblob(16), id, 'generation.completed', '{}', 'pending', 0,
             created_at, created_at
         FROM webhook_endpoints CROSS JOIN (SELECT value FROM json_each('[1, 2, 3]'))",
    )
    .await;
    let delivered = "SELECT COUNT(*) FROM webhook_deliveries WHERE status = 'delivered'";
    let all = (ACCOUNTS * ENDPOINTS * FIRST) as i64;
    wait::until_count("all have answered", all, async || app.count(delivered).await).await;
    dying.always(Reply::Slow(Duration::from_secs(3600), 200));
    app.execute(
        "INSERT INTO webhook_deliveries (
             account_id, id, endpoint_id, event, data, status, tries, next_try_at, created_at)
         SELECT account_id, randomblob(16), id, 'generation.completed', '{}', 'pending', 0,
             created_at, created_at
         FROM webhook_endpoints
         CROSS JOIN (SELECT value FROM json_each('[1, 2, 3, 4, 5, 6, 7, 8]'))",
    )
    .await;
    let all = (LIVING * (FIRST + THEN)) as i64;
    wait::until_count("the living have heard everything", all, async || living.count() as i64)
        .await;
    assert_eq!(dying.count(), ACCOUNTS * FIRST, "nothing more has been answered there");
}

/// What commands work with, beside the server.
async fn arranging(app: &TestApp) -> Context {
    let overrides = Overrides {
        data_dir: Some(app.directory.path().display().to_string()),
        database_url: Some(app.database_url.clone()),
        ..Overrides::default()
    };
    let mut config = Config::load(None, &overrides).unwrap();
    config.webhooks.allow_private_targets = true;
    let db = Db::connect(&config.storage.database, 1).await.unwrap();
    Context::new(Store::without_writer(db, &MasterKey::load(&config).unwrap()), &config)
}

/// The last migration before deliveries could be queued.
const OLDER: i64 = 8;

/// Written as the version of that time did.
async fn what_an_older_version_has_left_is_delivered(backend: Backend) {
    let directory = tempfile::tempdir().unwrap();
    let database_url = database::fresh(backend, &directory).await;
    let overrides = Overrides {
        data_dir: Some(directory.path().display().to_string()),
        database_url: Some(database_url.clone()),
        ..Overrides::default()
    };
    let config = Config::load(None, &overrides).unwrap();
    let key = MasterKey::load(&config).unwrap().derive(Purpose::WebhookSecrets);
    let db = Db::connect(&config.storage.database, 1).await.unwrap();
    let folder = if backend == Backend::Sqlite { "sqlite" } else { "postgres" };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
    let mut older = Migrator::new(folder).await.unwrap();
    older.migrations.to_mut().retain(|migration| migration.version <= OLDER);
    let receiver = Receiver::start();
    let (account, now) = (random(), SystemClock.now());
    let new_account =
        "INSERT INTO accounts (id, name, kind, plan, balance_millicredits, ledger_seq, created_at)
         VALUES ($1, 'Paper Lab', 'team', 'enterprise', 0, 0, $2)";
    let new_endpoint = "INSERT INTO webhook_endpoints (
             account_id, id, url, events, secret_sealed, enabled, exhausted_in_a_row, created_at)
         VALUES ($1, $2, $3, '[\"generation.completed\"]', $4, $5, 0, $6)";
    let new_delivery = "INSERT INTO webhook_deliveries (
             account_id, id, endpoint_id, event, generation_id, data, status, tries, next_try_at, created_at)
         VALUES ($1, $2, $3, 'generation.completed', $4, '{\"left\":\"behind\"}', 'pending', $5, $6, $6)";
    let endpoints = [(random(), true), (random(), false)];
    let deliveries: Vec<_> =
        (0..20).map(|number| (random(), endpoints[number / 10].0, number % 3)).collect();
    macro_rules! write {
        ($pool:expr) => {{
            older.run($pool).await.unwrap();
            sqlx::query(AssertSqlSafe(new_account))
                .bind(account)
                .bind(now)
                .execute($pool)
                .await
                .unwrap();
            for (id, enabled) in endpoints {
                let sealed = key.seal(id.as_bytes(), b"whsec_0123456789abcdef0123456789abcdef");
                let query = sqlx::query(AssertSqlSafe(new_endpoint))
                    .bind(account)
                    .bind(id)
                    .bind(&receiver.url);
                query.bind(sealed).bind(enabled).bind(now).execute($pool).await.unwrap();
            }
            for (id, endpoint, tries) in &deliveries {
                let query =
                    sqlx::query(AssertSqlSafe(new_delivery)).bind(account).bind(id).bind(endpoint);
                let query = query.bind(random()).bind(*tries as i64).bind(now);
                query.execute($pool).await.unwrap();
            }
        }};
    }
    match &db {
        Db::Sqlite(pool, _) => write!(pool),
        Db::Postgres(pool) => write!(pool),
    }
    db.close().await;
    let app = TestApp::start_on(directory, database_url, &[]);
    let ids = |received: Vec<Received>| -> BTreeSet<String> {
        received.iter().map(|one| one.header("x-babysea-delivery-id").to_owned()).collect()
    };
    let came = receiver.wait_for_count(10).await;
    assert!(came.iter().all(|one| one.json()["webhook_data"] == json!({ "left": "behind" })));
    let pending: BTreeSet<String> =
        deliveries[..10].iter().map(|(id, ..)| id.to_string()).collect();
    assert_eq!(ids(came), pending);
    // What was kept for the endpoint that was disabled is sent when it is told to.
    let disabled = endpoints[1].0.to_string();
    let log = app.cli(&["webhook", "log", "--id", &disabled]);
    let rows = log["webhook_deliveries"].as_array().unwrap();
    assert!(rows.len() == 10 && rows.iter().all(|row| row["queued_at"] != Value::Null), "{log}");
    app.cli(&["webhook", "enable", "--id", &disabled]);
    app.cli(&["webhook", "deliver-queued", "--id", &disabled]);
    receiver.wait_for_count(20).await;
    wait::until("the log knows", async || {
        let open = "SELECT COUNT(*) FROM webhook_deliveries WHERE finished_at IS NULL";
        (app.count(open).await == 0).then_some(())
    })
    .await;
}
