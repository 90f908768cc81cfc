//! Caps on what is in flight, and on what a key may spend.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::app::{Answer, NewKey, TestApp};
use crate::support::database::Backend;

crate::on_both!(
    a_plan_caps_what_is_in_flight,
    racers_stay_within_the_cap,
    a_key_spends_up_to_its_monthly_limit,
    a_limit_set_later_takes_effect_and_can_be_lifted,
);

/// An account on a small plan with a key.
fn on_plan(app: &TestApp, plan: &str) -> (String, String) {
    let account = app.cli(&[
        "account",
        "create",
        "--name",
        "Small",
        "--kind",
        "team",
        "--plan",
        plan,
        "--credits",
        "10.000",
    ]);
    let account = account["account_id"].as_str().unwrap().to_owned();
    let line = ["key", "create", "--account", &account, "--name", "k", "--preset", "full_access"];
    let key = NewKey::of(&app.cli(&line));
    (account, key.text)
}

async fn post(app: &TestApp, key: &str, path: &str, fields: Value) -> Answer {
    let mut body = json!({ "generation_prompt": "a crowd" });
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    app.ask(app.post_as(key, path).json(&body)).await
}

const IMAGE: &str = "/v1/generate/image/sandbox/polling";
const VIDEO: &str = "/v1/generate/video/sandbox/video";

async fn a_plan_caps_what_is_in_flight(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (account, key) = on_plan(&app, "free");
    let hang = json!({ "generation_sandbox_outcome": "hang" });
    let first = post(&app, &key, IMAGE, hang.clone()).await.generation_id();
    post(&app, &key, IMAGE, hang.clone()).await.data();
    let refused = post(&app, &key, IMAGE, hang.clone()).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "BSE1009"));
    let error = &refused.body["error"];
    assert_eq!(
        (&error["type"], &error["retryable"]),
        (&json!("concurrency_limit_exceeded"), &json!(true))
    );
    assert_eq!(error["details"], json!({ "media": "image", "limit": 2 }));
    assert!(refused.headers.contains_key("retry-after"));
    let film = json!({ "generation_sandbox_outcome": "hang", "generation_duration": 1 });
    post(&app, &key, VIDEO, film.clone()).await.data();
    assert_eq!(post(&app, &key, VIDEO, film).await.code(), "BSE1009");
    let cancel = format!("/v1/content/generation/cancel/{first}");
    app.ask(app.post_as(&key, &cancel)).await.data();
    post(&app, &key, IMAGE, hang).await.data();
    assert_eq!(app.ledger(&account).iter().filter(|e| e["type"] == "reserve").count(), 4);
}

async fn racers_stay_within_the_cap(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (_, key) = on_plan(&app, "starter");
    let hang = json!({ "generation_sandbox_outcome": "hang" });
    let answers = join_all((0..20).map(|_| post(&app, &key, IMAGE, hang.clone()))).await;
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(taken, 5);
    assert!(answers.iter().filter(|a| a.status != 200).all(|a| a.code() == "BSE1009"));
}

async fn a_key_spends_up_to_its_monthly_limit(backend: Backend) {
    let app = TestApp::start(backend).await;
    let key = app.new_key("full_access", &["--monthly-limit", "0.003"]);
    let answers = join_all((0..10).map(|_| post(&app, &key.text, IMAGE, json!({})))).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(made.len(), 3);
    let refused = answers.iter().find(|answer| answer.status != 200).unwrap();
    assert_eq!((refused.status.as_u16(), refused.code()), (402, "BSE1004"));
    let details = &refused.body["error"]["details"];
    assert_eq!(details["limit"], "key_monthly_spend");
    assert_eq!((&details["monthly_limit"], &details["amount"]), (&json!(0.003), &json!(0.001)));
    assert!(details["resets_at"].as_str().unwrap().contains("-01T00:00:00"));
    // Another key of the account is not bound by it.
    post(&app, &app.key, IMAGE, json!({})).await.data();
    for answer in &made {
        app.wait_for_end(&answer.generation_id()).await;
    }
    let listed = app.cli(&["key", "list", "--account", &app.account_id]);
    let listed = listed["apikeys"].as_array().unwrap();
    let row = listed.iter().find(|row| row["apikey_id"] == *key.id).unwrap();
    assert_eq!(row["spending"]["spent"], "0.003");
    assert_eq!(row["spending"]["monthly_limit"], "0.003");
}

async fn a_limit_set_later_takes_effect_and_can_be_lifted(backend: Backend) {
    let app = TestApp::start(backend).await;
    let key = app.new_key("full_access", &[]);
    let first = post(&app, &key.text, IMAGE, json!({})).await.generation_id();
    app.wait_for_end(&first).await;
    let limited = app.cli(&["key", "limit", "--id", &key.id, "--monthly", "0.001"]);
    assert_eq!(limited["spending"]["spent"], "0.001", "what it was charged counts");
    // A verified key is believed for half a second, and not a second longer.
    crate::support::wait::until("the limit holds", async || {
        let answer = post(&app, &key.text, IMAGE, json!({})).await;
        (answer.status == 402).then_some(())
    })
    .await;
    app.cli(&["key", "limit", "--id", &key.id, "--monthly", "none"]);
    crate::support::wait::until("the limit is lifted", async || {
        let answer = post(&app, &key.text, IMAGE, json!({})).await;
        (answer.status == 200).then_some(())
    })
    .await;
}
