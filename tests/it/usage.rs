//! What an account is told about itself, and the log that this comes from.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::metrics::Metrics;
use crate::support::wait;

on_both!(
    usage_adds_up_what_was_asked_for,
    a_thousand_requests_are_all_in_the_log_after_a_stop,
    deleting_a_key_removes_its_requests_and_keeps_the_usage,
    old_requests_leave_and_the_usage_stays,
    the_log_holds_no_secret,
    an_account_and_its_billing_are_as_documented,
);

/// The usage once so many requests are counted: the log follows the answers.
async fn usage_of(app: &TestApp, requests: u64) -> Value {
    wait::until("all requests are counted", async || {
        let usage = app.ask(app.get("/v1/usage?days=2")).await.data().clone();
        // Those that ask are counted too, so they are left out.
        let endpoints = usage["usage_endpoints"].as_array().unwrap();
        let others = endpoints.iter().filter(|endpoint| endpoint["endpoint"] != "/v1/usage");
        let counted: u64 = others.map(|other| other["total_requests"].as_u64().unwrap()).sum();
        assert!(counted <= requests, "{usage:#}");
        (counted == requests).then_some(usage)
    })
    .await
}

fn endpoint<'a>(usage: &'a Value, name: &str) -> &'a Value {
    let endpoints = usage["usage_endpoints"].as_array().unwrap();
    endpoints.iter().find(|endpoint| endpoint["endpoint"] == name).unwrap()
}

async fn usage_adds_up_what_was_asked_for(backend: Backend) {
    let app = TestApp::start(backend).await;
    let fails = json!({ "generation_sandbox_fail_providers": ["sandbox_polling"] });
    for fields in [json!({}), fails] {
        let made = app.generate("sandbox/failover", fields).await;
        app.wait_for_end(&made.generation_id()).await;
    }
    app.generate("sandbox/failover", json!({ "generation_ratio": "7:5" })).await;
    let before = app.ask(app.get("/v1/usage")).await;
    assert_eq!(before.body["message"], "Usage data retrieved successfully");
    assert_eq!(before.data()["usage_period_days"], 30);
    let usage = wait::until("the generations are counted", async || {
        let usage = app.ask(app.get("/v1/usage?days=500")).await.data().clone();
        let endpoints = usage["usage_endpoints"].as_array().unwrap();
        let generate = endpoints.iter().find(|it| it["endpoint"] == "/v1/generate/image");
        generate.is_some_and(|it| it["total_requests"] == 3).then_some(usage)
    })
    .await;
    assert_eq!(usage["account_id"], app.account_id.as_str());
    assert_eq!(usage["usage_period_days"], 90);
    let generate = endpoint(&usage, "/v1/generate/image");
    assert_eq!(
        (&generate["success_count"], &generate["client_error_count"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(generate["error_codes"], json!({ "BSE2001": 1 }));
    assert_eq!(usage["usage_total_generations"], 2);
    assert_eq!(usage["usage_total_provider_submissions"], 3);
    let providers: Vec<_> = usage["usage_providers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let counts = ["total_submissions", "used_count", "failed_count", "cancelled_count"];
            (it["provider"].as_str().unwrap(), counts.map(|count| it[count].as_u64().unwrap()))
        })
        .collect();
    let expected = [("sandbox_polling", [2, 1, 1, 0]), ("sandbox_webhook", [1, 1, 0, 0])];
    assert_eq!(providers, expected);
    let spent: f64 = app
        .ledger(&app.account_id)
        .iter()
        .filter(|entry| entry["type"] == "reserve")
        .map(|entry| entry["amount"].as_f64().unwrap())
        .sum();
    let cost = usage["usage_total_estimated_cost"].as_f64().unwrap();
    assert!(
        (cost - 1.5 * spent).abs() < 1e-9,
        "three attempts at the price of two: {cost} {spent}"
    );
}

async fn a_thousand_requests_are_all_in_the_log_after_a_stop(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let paths = ["/v1/status", "/v1/content/x"];
    let answers = join_all((0..1000).map(|number| app.ask(app.get(paths[number % 2])))).await;
    assert!(answers.iter().all(|answer| [200, 404].contains(&answer.status.as_u16())));
    assert!(app.stop().await.success());
    assert_eq!(app.count("SELECT COUNT(*) FROM logged_requests").await, 1000);
    app.start_again();
    let usage = usage_of(&app, 1000).await;
    assert_eq!(endpoint(&usage, "/v1/status")["success_count"], 500);
    let missing = endpoint(&usage, "/v1/content/{generation_id}");
    assert_eq!(missing["error_codes"], json!({ "BSE2012": 500 }));
}

async fn deleting_a_key_removes_its_requests_and_keeps_the_usage(backend: Backend) {
    let app = TestApp::start(backend).await;
    let key = app.new_key("full_access", &[]);
    for _ in 0..5 {
        app.ask(app.get_as(&key.text, "/v1/status")).await.data();
    }
    usage_of(&app, 5).await;
    let of_key = "SELECT COUNT(*) FROM logged_requests WHERE endpoint = '/v1/status'";
    assert_eq!(app.count(of_key).await, 5);
    app.cli(&["key", "delete", "--id", &key.id]);
    assert_eq!(app.count(of_key).await, 0);
    usage_of(&app, 5).await;
}

async fn old_requests_leave_and_the_usage_stays(backend: Backend) {
    const KEPT: Duration = Duration::from_secs(1);
    let mut app = TestApp::start_with(backend, &[("request_log.keep_max_ms", "1000")]).await;
    app.ask(app.get("/v1/status")).await.data();
    usage_of(&app, 1).await;
    let asked_last = Instant::now();
    assert!(app.stop().await.success());
    // They are removed at a start and then seldom.
    wait::until("they are old", async || (asked_last.elapsed() > KEPT).then_some(())).await;
    app.start_again();
    wait::until("they are gone", async || {
        (app.count("SELECT COUNT(*) FROM logged_requests").await == 0).then_some(())
    })
    .await;
    usage_of(&app, 1).await;
}

async fn the_log_holds_no_secret(backend: Backend) {
    let app = TestApp::start(backend).await;
    let path = format!("/v1/usage?days=3&api_key={}", app.key);
    app.ask(app.get(&path).header("user-agent", "babysea-node/2.0.0 (node)")).await.data();
    app.ask(app.get("/v1/status")).await.data();
    usage_of(&app, 1).await;
    let good = "SELECT COUNT(*) FROM logged_requests WHERE query = 'days=3' AND status = 200
         AND method = 'GET' AND user_agent = 'babysea-node/2.0.0 (node)' AND key_status = 'active'
         AND length(ip_hash) = 64 AND code IS NULL AND took_us > 0";
    assert_eq!(app.count(good).await, 1);
    let metrics = Metrics::read(&app).await;
    assert!(metrics.get("babysea_request_log_written_total") >= 2.0, "{}", metrics.text);
    assert_eq!(metrics.get("babysea_request_log_dropped_total"), 0.0);
}

async fn an_account_and_its_billing_are_as_documented(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (account, key) = app.account("26.318");
    let answer = app.ask(app.get_as(&key, "/v1/user/account")).await;
    let mut data = answer.data().clone();
    assert!(data["account_created_at"].take().as_str().unwrap().ends_with('Z'));
    let expected = json!({
        "account_id": account,
        "account_name": "Paper Lab",
        "account_email": null,
        "account_is_personal": false,
        "account_picture_url": null,
        "account_created_at": null,
    });
    assert_eq!(data, expected);
    let answer = app.ask(app.get_as(&key, "/v1/user/billing")).await;
    assert_eq!(answer.body["message"], "User billing data retrieved successfully");
    assert_eq!(answer.data()["billing_credit_balance"], 26.318);
    assert_eq!(answer.data().as_object().unwrap().len(), 10);
    let nulls = answer.data().as_object().unwrap().values().filter(|value| value.is_null());
    assert_eq!(nulls.count(), 8);
    let personal = app.ask(app.get("/v1/user/account")).await;
    assert_eq!(personal.data()["account_is_personal"], true);
    let refused = app.new_key("generate_only", &[]).text;
    for path in ["/v1/usage", "/v1/user/account", "/v1/user/billing"] {
        assert_eq!(app.ask(app.get_as(&refused, path)).await.code(), "BSE1003", "{path}");
    }
    let bad = app.ask(app.get("/v1/usage?days=many")).await;
    assert_eq!((bad.code(), &bad.body["error"]["details"]["field"]), ("BSE2001", &json!("days")));
}
