//! What customers are told.

use actors::webhook::signing::signature;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::receiver::{Down, Receiver, Reply};
use crate::support::wait;

on_both!(
    every_event_of_a_life_is_signed_and_delivered,
    a_failing_endpoint_is_tried_five_times,
    an_endpoint_that_keeps_failing_is_disabled,
    a_dead_endpoint_holds_up_nobody_else,
    deliveries_survive_the_death_of_the_server,
    an_endpoint_that_was_down_gets_everything_once_it_is_up,
    an_endpoint_that_flaps_gets_everything_in_the_end,
    private_targets_are_refused_unless_a_developer_says_otherwise,
);

const ALL: [&str; 4] =
    ["generation.started", "generation.completed", "generation.failed", "generation.canceled"];

/// Adds an endpoint for all events; gives its id and secret.
fn endpoint(app: &TestApp, url: &str) -> (String, String) {
    let mut arguments = vec!["webhook", "create", "--account", &app.account_id, "--url", url];
    ALL.iter().for_each(|event| arguments.extend(["--event", event]));
    let made = app.cli(&arguments);
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("webhook_endpoint_id"), text("secret"))
}

fn status(app: &TestApp, id: &str) -> Value {
    let listed = app.cli(&["webhook", "list", "--account", &app.account_id]);
    let rows = listed["webhook_endpoints"].as_array().unwrap();
    rows.iter().find(|row| row["webhook_endpoint_id"] == id).unwrap()["status"].clone()
}

async fn every_event_of_a_life_is_signed_and_delivered(backend: Backend) {
    let app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    let (_, secret) = endpoint(&app, &receiver.url);
    let id = app.generate("sandbox/polling", json!({})).await.generation_id();
    app.wait_for_end(&id).await;
    let failing = json!({ "generation_sandbox_outcome": "fail" });
    app.generate("sandbox/polling", failing).await;
    let slow = json!({ "generation_sandbox_latency_ms": 60000 });
    let canceled = app.generate("sandbox/polling", slow).await.generation_id();
    let path = format!("/v1/content/generation/cancel/{canceled}");
    app.ask(app.post(&path)).await.data();
    let received = receiver.wait_for_count(6).await;
    for one in &received {
        let body = one.json();
        assert_eq!(one.header("content-type"), "application/json");
        assert_eq!(one.header("x-babysea-event"), body["webhook_event"]);
        assert_eq!(one.header("x-babysea-timestamp"), body["webhook_timestamp"]);
        assert_eq!(one.header("x-babysea-delivery-id"), body["webhook_delivery_id"]);
        let sent = one.header("x-babysea-signature");
        let (time, _) = sent.strip_prefix("t=").unwrap().split_once(',').unwrap();
        let secret = SecretString::from(secret.clone());
        assert_eq!(sent, signature(&secret, time.parse().unwrap(), one.body.as_bytes()));
    }
    let mut events: Vec<String> = received.iter().map(|one| one.event()).collect();
    events.sort();
    let expected = [ALL[3], ALL[1], ALL[2], ALL[0], ALL[0], ALL[0]];
    assert_eq!(events, expected);
    let completed = received.iter().find(|one| one.event() == ALL[1]).unwrap().json();
    let data = &completed["webhook_data"];
    assert_eq!(data["generation_id"], id);
    assert_eq!(data["generation_status"], "succeeded");
    assert_eq!(data["generation_output_file"], app.record(&id).await["generation_output_file"]);
    let canceled = received.iter().find(|one| one.event() == ALL[3]).unwrap().json();
    assert_eq!(canceled["webhook_data"]["credits_refunded"], true);
    let failed = received.iter().find(|one| one.event() == ALL[2]).unwrap().json();
    assert_eq!(failed["webhook_data"]["generation_error_code"], "BSE4003");
    // `started` comes first.
    let of_first: Vec<String> = received
        .iter()
        .filter(|one| one.json()["webhook_data"]["generation_id"] == id)
        .map(|one| one.event())
        .collect();
    assert_eq!(of_first, [ALL[0], ALL[1]]);
}

async fn a_failing_endpoint_is_tried_five_times(backend: Backend) {
    let app = TestApp::start_with(backend, &[("webhooks.waits_ms", "0,20,30,40,50")]).await;
    let receiver = Receiver::start();
    receiver.always(Reply::Status(500));
    endpoint(&app, &receiver.url);
    let id = app.generate("sandbox/inline", json!({})).await.generation_id();
    let received = receiver.wait_for_count(10).await;
    let mut ids: Vec<String> =
        received.iter().map(|one| one.header("x-babysea-delivery-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2, "started and completed, the same id at every try");
    for delivery in ids {
        let tries: Vec<_> =
            received.iter().filter(|one| one.header("x-babysea-delivery-id") == delivery).collect();
        assert_eq!(tries.len(), 5);
        assert!(tries.windows(2).all(|pair| pair[0].body == pair[1].body));
    }
    assert_eq!(app.record(&id).await["generation_status"], "succeeded");
}

async fn an_endpoint_that_keeps_failing_is_disabled(backend: Backend) {
    let settings = [("webhooks.waits_ms", "0,1"), ("webhooks.cooldown_ms", "0")];
    let app = TestApp::start_with(backend, &settings).await;
    let receiver = Receiver::start();
    // A redirect is a failure like any other, and is not followed.
    receiver.always(Reply::Redirect(receiver.url.clone()));
    let (id, _) = endpoint(&app, &receiver.url);
    assert_eq!(status(&app, &id), "enabled");
    for _ in 0..8 {
        app.generate("sandbox/inline", json!({})).await.data();
    }
    wait::until("the endpoint is disabled", async || {
        (status(&app, &id) == "disabled").then_some(())
    })
    .await;
    receiver.always(Reply::Status(200));
    app.cli(&["webhook", "enable", "--id", &id]);
    assert_eq!(status(&app, &id), "enabled");
    let generation = app.generate("sandbox/inline", json!({})).await.generation_id();
    for event in ["generation.started", "generation.completed"] {
        receiver
            .wait_for(event, |one| {
                one.event() == event && one.json()["webhook_data"]["generation_id"] == generation
            })
            .await;
    }
    app.cli(&["webhook", "disable", "--id", &id]);
    let before = receiver.received().len();
    app.generate("sandbox/inline", json!({})).await.data();
    app.cli(&["webhook", "delete", "--id", &id]);
    assert_eq!(receiver.received().len(), before, "nothing is sent while it is disabled");
}

/// What the log says of each delivery, the oldest first.
fn log(app: &TestApp, id: &str, field: &str) -> Vec<Value> {
    let log = app.cli(&["webhook", "log", "--id", id]);
    let rows = log["webhook_deliveries"].as_array().unwrap();
    rows.iter().rev().map(|row| row[field].clone()).collect()
}

async fn an_endpoint_that_was_down_gets_everything_once_it_is_up(backend: Backend) {
    let tail = vec!["300"; 20].join(",");
    let settings = [("webhooks.waits_ms", "0,20"), ("webhooks.tail_waits_ms", tail.as_str())];
    let app = TestApp::start_with(backend, &settings).await;
    let down = Down::at(match backend {
        Backend::Sqlite => [127, 11, 0, 1],
        Backend::Postgres => [127, 11, 0, 2],
    });
    let (id, _) = endpoint(&app, &down.url());
    for _ in 0..3 {
        app.generate("sandbox/inline", json!({})).await.data();
    }
    wait::until("the fast tries are used up", async || {
        let tries = log(&app, &id, "attempts");
        (tries.len() == 6 && tries.iter().all(|tries| tries.as_u64().unwrap() > 2)).then_some(())
    })
    .await;
    assert_eq!(log(&app, &id, "state"), ["pending"; 6]);
    assert_eq!(log(&app, &id, "error"), ["the connection could not be made"; 6]);
    let receiver = down.start();
    receiver.wait_for_count(6).await;
    wait::until("the log says so", async || {
        (log(&app, &id, "state") == ["delivered"; 6]).then_some(())
    })
    .await;
    assert_eq!(receiver.count(), 6, "each once");
}

async fn an_endpoint_that_flaps_gets_everything_in_the_end(backend: Backend) {
    let settings = [
        ("webhooks.waits_ms", "0,20"),
        ("webhooks.tail_waits_ms", "3600000"),
        ("webhooks.disable_after", "2"),
        ("webhooks.cooldown_ms", "0"),
    ];
    let app = TestApp::start_with(backend, &settings).await;
    let receiver = Receiver::start();
    receiver.always(Reply::Status(500));
    let (id, _) = endpoint(&app, &receiver.url);
    let disabled = async || {
        wait::until("it is disabled", async || (status(&app, &id) == "disabled").then_some(()))
            .await;
    };
    app.generate("sandbox/inline", json!({})).await.data();
    disabled().await;
    assert_eq!(log(&app, &id, "state"), ["pending"; 2], "they are kept");
    app.cli(&["webhook", "enable", "--id", &id]);
    disabled().await;
    assert_eq!(log(&app, &id, "state"), ["pending"; 3], "the oldest was the probe, and has failed");
    receiver.always(Reply::Status(200));
    app.cli(&["webhook", "enable", "--id", &id]);
    assert_eq!(app.cli(&["webhook", "deliver-queued", "--id", &id])["resent"], 1);
    wait::until("each has arrived, whatever it was resent as", async || {
        (log(&app, &id, "state") == ["delivered"; 5]).then_some(())
    })
    .await;
    let received = receiver.received();
    let taken = received.iter().filter(|one| one.answered == 200).map(|one| one.event());
    assert_eq!(taken.collect::<Vec<_>>(), [ALL[0], ALL[1]]);
}

async fn a_dead_endpoint_holds_up_nobody_else(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (dead, living) = (Receiver::start(), Receiver::start());
    dead.always(Reply::Slow(std::time::Duration::from_secs(30), 200));
    endpoint(&app, &dead.url);
    endpoint(&app, &living.url);
    for _ in 0..20 {
        app.generate("sandbox/inline", json!({})).await.data();
    }
    living.wait_for_count(40).await;
}

async fn deliveries_survive_the_death_of_the_server(backend: Backend) {
    let mut app = TestApp::start_with(backend, &[("webhooks.waits_ms", "0,300,300")]).await;
    let receiver = Receiver::start();
    receiver.then(Reply::Status(500)).then(Reply::Status(500));
    endpoint(&app, &receiver.url);
    let id = app.generate("sandbox/inline", json!({})).await.generation_id();
    receiver.wait_for_count(2).await;
    app.kill();
    app.start_again();
    let done = |event: &'static str| {
        let id = id.clone();
        receiver.wait_for(event, move |one| {
            one.answered == 200
                && one.event() == event
                && one.json()["webhook_data"]["generation_id"] == id
        })
    };
    done("generation.started").await;
    done("generation.completed").await;
}

async fn private_targets_are_refused_unless_a_developer_says_otherwise(backend: Backend) {
    let app = TestApp::start_with(backend, &[("webhooks.allow_private_targets", "false")]).await;
    for url in ["http://example.com/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/"]
    {
        let arguments = [
            "webhook",
            "create",
            "--account",
            &app.account_id,
            "--url",
            url,
            "--event",
            "generation.failed",
        ];
        let (ok, printed) = app.try_cli(&arguments);
        assert!(!ok, "{url}: {printed}");
        assert!(printed["error"]["message"].is_string());
    }
}
