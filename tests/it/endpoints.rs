//! Webhook endpoints that fail and come back, what is kept for them, and who can check what they
//! are sent.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};

use actors::webhook::signing::signature;

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::receiver::{Received, Receiver, Reply};
use crate::support::wait;

on_both!(
    an_endpoint_that_is_gone_is_disabled_and_its_owner_is_told,
    events_are_kept_while_disabled_and_sent_in_order_when_told,
    an_endpoint_that_asks_for_a_pause_gets_it,
    an_endpoint_that_drips_is_cut_off,
    a_test_event_is_answered_at_once_and_is_in_the_log,
    a_rotated_secret_signs_beside_the_old_one,
    a_replay_is_a_new_delivery_of_the_same_data,
    a_low_balance_is_told_once,
    secrets_are_sealed_anew_with_another_master_key,
    the_libraries_of_standard_webhooks_accept_what_is_sent,
);

/// Adds an endpoint; gives its id and secret.
fn endpoint(app: &TestApp, url: &str, events: &[&str]) -> (String, String) {
    let mut line = vec!["webhook", "create", "--account", &app.account_id, "--url", url];
    events.iter().for_each(|event| line.extend(["--event", event]));
    let made = app.cli(&line);
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("webhook_endpoint_id"), text("secret"))
}

fn row(app: &TestApp, id: &str) -> Value {
    let listed = app.cli(&["webhook", "list", "--account", &app.account_id]);
    let rows = listed["webhook_endpoints"].as_array().unwrap();
    rows.iter().find(|row| row["webhook_endpoint_id"] == id).unwrap().clone()
}

/// The log, oldest first.
fn log(app: &TestApp, id: &str) -> Vec<Value> {
    let listed = app.cli(&["webhook", "log", "--id", id, "--limit", "1000"]);
    let mut rows = listed["webhook_deliveries"].as_array().unwrap().clone();
    rows.reverse();
    rows
}

async fn an_endpoint_that_is_gone_is_disabled_and_its_owner_is_told(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (gone, other) = (Receiver::start(), Receiver::start());
    gone.always(Reply::Status(410));
    let (id, _) = endpoint(&app, &gone.url, &["generation.completed"]);
    endpoint(&app, &other.url, &["webhook.disabled"]);
    app.generate("sandbox/inline", json!({})).await.data();
    let told = other.wait_for("the other endpoint is told", |_| true).await.json();
    assert_eq!(told["webhook_event"], "webhook.disabled");
    assert_eq!(told["webhook_data"]["webhook_endpoint_id"], id);
    assert_eq!(row(&app, &id)["disabled_reason"], "gone");
    let told = app.cli(&["notification", "list", "--account", &app.account_id]);
    assert_eq!(told["notifications"][0]["kind"], "webhook.disabled");
    assert_eq!(log(&app, &id)[0]["state"], "pending", "it is kept");
    let (ok, refused) = app.try_cli(&["webhook", "enable", "--id", &id]);
    assert!(!ok, "{refused}");
    gone.always(Reply::Status(200));
    app.cli(&["webhook", "enable", "--id", &id, "--force"]);
    // The kept event is the probe.
    gone.wait_for("the probe", |one| one.answered == 200).await;
    wait::until("the probe has opened it", async || {
        (row(&app, &id)["probing"] == false).then_some(())
    })
    .await;
}

async fn events_are_kept_while_disabled_and_sent_in_order_when_told(backend: Backend) {
    let app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    let (id, _) = endpoint(&app, &receiver.url, &[]);
    app.cli(&["webhook", "disable", "--id", &id]);
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(app.generate("sandbox/inline", json!({})).await.generation_id());
    }
    let kept = log(&app, &id);
    assert_eq!(kept.len(), 10);
    assert!(kept.iter().all(|row| row["state"] == "pending" && row["attempts"] == 0));
    let line = ["webhook", "deliver-queued", "--id", &id];
    assert!(!app.try_cli(&line).0, "it is disabled");
    app.cli(&["webhook", "enable", "--id", &id]);
    assert_eq!(app.cli(&line)["resent"], 10);
    let received = receiver.wait_for_count(10).await;
    let sent: Vec<String> =
        received.iter().map(|one| one.json()["webhook_data"].to_string()).collect();
    let wanted: Vec<String> = kept.iter().map(|row| row["payload"].to_string()).collect();
    assert_eq!(sent, wanted, "one after another");
    let ids: Vec<&str> = received.iter().map(|one| one.header("x-babysea-delivery-id")).collect();
    assert!(kept.iter().all(|row| !ids.contains(&row["webhook_delivery_id"].as_str().unwrap())));
    wait::until("the log says that all have arrived", async || {
        log(&app, &id).iter().all(|row| row["state"] == "delivered").then_some(())
    })
    .await;
}

async fn an_endpoint_that_asks_for_a_pause_gets_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    receiver.then(Reply::Later(429, 2));
    endpoint(&app, &receiver.url, &["generation.completed"]);
    let asked = std::time::Instant::now();
    for _ in 0..4 {
        app.generate("sandbox/inline", json!({})).await.data();
    }
    let received = receiver.wait_for_count(5).await;
    assert!(asked.elapsed() >= Duration::from_secs(2));
    let answers: Vec<u16> = received.iter().map(|one| one.answered).collect();
    assert_eq!(answers, [429, 200, 200, 200, 200]);
}

async fn an_endpoint_that_drips_is_cut_off(backend: Backend) {
    let settings = [("webhooks.timeout_ms", "300"), ("webhooks.waits_ms", "0,100")];
    let app = TestApp::start_with(backend, &settings).await;
    let receiver = Receiver::start();
    receiver.always(Reply::Drip);
    let (id, _) = endpoint(&app, &receiver.url, &["generation.completed"]);
    app.generate("sandbox/inline", json!({})).await.data();
    receiver.wait_for_count(2).await;
    let tries = wait::until("both tries are in the log", async || {
        let delivery = log(&app, &id)[0]["webhook_delivery_id"].as_str().unwrap().to_owned();
        let shown = app.cli(&["webhook", "delivery", "--id", &delivery]);
        let tries = shown["tries"].as_array().unwrap().clone();
        (tries.len() == 2).then_some(tries)
    })
    .await;
    for one in tries {
        assert!(one["error"].as_str().unwrap().contains("in time"), "{one}");
        let took = one["took_ms"].as_u64().unwrap();
        assert!((300..5_000).contains(&took), "{took}");
    }
}

async fn a_test_event_is_answered_at_once_and_is_in_the_log(backend: Backend) {
    let app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    let (id, secret) = endpoint(&app, &receiver.url, &["generation.completed"]);
    app.cli(&["webhook", "disable", "--id", &id]);
    receiver.then(Reply::Status(204)).then(Reply::Status(500));
    let passed = app.cli(&["webhook", "test", "--id", &id]);
    assert_eq!((&passed["delivered"], &passed["status_code"]), (&json!(true), &json!(204)));
    let (ok, failed) = app.try_cli(&["webhook", "test", "--id", &id]);
    assert!(!ok && failed["status_code"] == 500, "{failed}");
    let one = &receiver.received()[0];
    let body = one.json();
    assert_eq!(body["webhook_event"], "webhook.test");
    let nil = "00000000-0000-0000-0000-000000000000";
    assert_eq!(body["webhook_data"]["generation_id"], nil);
    assert_ne!(body["webhook_delivery_id"], nil);
    check_signature(one, &secret);
    let states: Vec<Value> = log(&app, &id).iter().map(|row| row["state"].clone()).collect();
    assert_eq!(states, ["delivered", "exhausted"]);
}

fn check_signature(one: &Received, secret: &str) {
    let sent = one.header("x-babysea-signature");
    let time = sent.strip_prefix("t=").unwrap().split_once(',').unwrap().0.parse().unwrap();
    let wanted = signature(&SecretString::from(secret), time, one.body.as_bytes());
    assert!(sent.starts_with(&wanted), "{sent}");
}

async fn a_rotated_secret_signs_beside_the_old_one(backend: Backend) {
    let app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    let (id, old) = endpoint(&app, &receiver.url, &["generation.completed"]);
    let rotate = |hours: &str| {
        let line = ["webhook", "rotate-secret", "--id", &id, "--overlap-hours", hours];
        app.cli(&line)["secret"].as_str().unwrap().to_owned()
    };
    let new = rotate("24");
    assert_ne!(new, old);
    app.cli(&["webhook", "test", "--id", &id]);
    let both = receiver.received()[0].clone();
    check_signature(&both, &new);
    assert_eq!(both.header("x-babysea-signature").matches("v1=").count(), 2);
    let newest = rotate("0");
    app.cli(&["webhook", "test", "--id", &id]);
    let one = receiver.received()[1].clone();
    check_signature(&one, &newest);
    assert_eq!(one.header("x-babysea-signature").matches("v1=").count(), 1);
}

async fn a_replay_is_a_new_delivery_of_the_same_data(backend: Backend) {
    let app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    let (id, _) = endpoint(&app, &receiver.url, &["generation.completed"]);
    app.generate("sandbox/inline", json!({})).await.data();
    let first = receiver.wait_for_count(1).await.remove(0);
    let delivery = first.header("x-babysea-delivery-id").to_owned();
    app.cli(&["webhook", "replay", "--delivery", &delivery]);
    let again = receiver.wait_for_count(2).await.remove(1);
    assert_ne!(again.header("x-babysea-delivery-id"), delivery);
    assert_eq!(again.json()["webhook_data"], first.json()["webhook_data"]);
    let line = [
        "webhook",
        "replay",
        "--id",
        &id,
        "--from",
        "2020-01-01T00:00:00Z",
        "--until",
        "2100-01-01T00:00:00Z",
    ];
    assert_eq!(app.cli(&line)["resent"], 1, "the replay is not replayed");
    receiver.wait_for_count(3).await;
}

async fn a_low_balance_is_told_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    endpoint(&app, &receiver.url, &["credits.low_balance"]);
    let line = ["account", "alerts", "--id", &app.account_id];
    let before = app.cli(&line);
    assert_eq!(before["thresholds"], json!([0.5]));
    assert_eq!((&before["enabled"], &before["webhook"]), (&json!(true), &json!(false)));
    app.cli(&[&line[..], &["--threshold", "0.999", "--webhook", "true"]].concat());
    for _ in 0..3 {
        app.generate("sandbox/inline", json!({})).await.data();
    }
    let told = receiver.wait_for("the alert", |_| true).await.json();
    assert_eq!(told["webhook_event"], "credits.low_balance");
    let crossed = told["webhook_data"]["thresholds_crossed"].as_array().unwrap();
    assert!(!crossed.is_empty(), "{told}");
    assert!(told["webhook_data"].get("generation_id").is_none());
    let told = app.cli(&["notification", "list", "--account", &app.account_id]);
    assert_eq!(told["notifications"].as_array().unwrap().len(), 1);
}

async fn secrets_are_sealed_anew_with_another_master_key(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    let (id, secret) = endpoint(&app, &receiver.url, &["generation.completed"]);
    let path = app.directory.path().join("master.key");
    let before = std::fs::read_to_string(&path).unwrap();
    let (ok, refused) = app.try_cli(&["secrets", "rotate"]);
    assert!(!ok, "while the server runs: {refused}");
    assert!(app.stop().await.success());
    assert_eq!(app.cli(&["secrets", "rotate"])["webhook_endpoints"], 1);
    let after = std::fs::read_to_string(&path).unwrap();
    assert_ne!(after, before);
    assert_eq!(after.lines().count(), 1);
    app.start_again();
    app.generate("sandbox/inline", json!({})).await.data();
    check_signature(&receiver.wait_for_count(1).await[0], &secret);
    assert_eq!(row(&app, &id)["status"], "enabled");
}

async fn the_libraries_of_standard_webhooks_accept_what_is_sent(backend: Backend) {
    let app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    let (id, old) = endpoint(&app, &receiver.url, &[]);
    app.generate("sandbox/inline", json!({})).await.data();
    let mut received = receiver.wait_for_count(2).await;
    let line = ["webhook", "rotate-secret", "--id", &id, "--overlap-hours", "1"];
    let new = app.cli(&line)["secret"].as_str().unwrap().to_owned();
    app.cli(&["webhook", "test", "--id", &id]);
    received.push(receiver.wait_for_count(3).await.remove(2));
    let mut lines: Vec<Value> = received.iter().map(|one| to_check(one, &old)).collect();
    lines.push(to_check(&received[2], &new));
    let mut forged = to_check(&received[0], &old);
    forged["body"] = json!(received[0].body.replace("started", "stopped"));
    lines.push(forged);
    for verifier in VERIFIERS {
        let Some(answers) = check(verifier, &lines) else { continue };
        let fits: Vec<bool> = answers.iter().map(|answer| answer == "ok").collect();
        assert_eq!(fits, [true, true, true, true, false], "{verifier:?}: {answers:?}");
    }
}

fn to_check(one: &Received, secret: &str) -> Value {
    let headers: serde_json::Map<String, Value> =
        one.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({ "secret": secret, "headers": headers, "body": one.body })
}

const PYTHON: &str = "tests/verifiers/.venv/bin/python";

/// A program, what tells that its library is installed, and the script for it.
const VERIFIERS: [[&str; 3]; 2] = [
    ["node", "tests/verifiers/node_modules/standardwebhooks", "tests/verifiers/verify.mjs"],
    [PYTHON, PYTHON, "tests/verifiers/verify.py"],
];

/// What a library says of each; `None` where it is not installed, which `tests/run` sees to.
fn check([program, installed, script]: [&str; 3], lines: &[Value]) -> Option<Vec<String>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join(installed).exists() {
        assert!(std::env::var_os("CI").is_none(), "in CI, {installed} must be there");
        return None;
    }
    let program = if program.contains('/') { root.join(program) } else { program.into() };
    let mut command = Command::new(program);
    command.arg(root.join(script)).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    Some(answers.lines().map(str::to_owned).collect())
}
