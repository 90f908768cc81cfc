//! What the API says about its own health: providers, storage, cache.

use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::wait;

on_both!(
    attempts_are_held_against_providers_over_a_restart,
    storage_that_does_not_work_is_told_with_a_success,
    the_cache_is_tried,
    health_needs_its_scope,
);

async fn data(app: &TestApp, path: &str) -> Value {
    let answer = app.ask(app.get(path)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.data().clone()
}

/// The counts of a provider, with its status.
async fn counts(app: &TestApp, provider: &str) -> (String, u64, u64, u64) {
    let all = data(app, "/v1/health/inference/providers").await;
    let providers = all["providers"].as_array().unwrap();
    assert_eq!(all["providers_total"], providers.len());
    let one = providers.iter().find(|one| one["provider"] == provider).unwrap();
    let window = &one["window"];
    assert_eq!(window["duration_seconds"], 300);
    let number = |name: &str| window[name].as_u64().unwrap();
    let status = one["status"].as_str().unwrap().to_owned();
    (status, number("total_attempts"), number("failures"), number("successes"))
}

async fn attempts_are_held_against_providers_over_a_restart(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    for provider in ["sandbox_inline", "sandbox_polling", "sandbox_webhook"] {
        assert_eq!(counts(&app, provider).await, ("unknown".to_owned(), 0, 0, 0));
    }
    let refuse = json!({
        "generation_provider_order": "sandbox_polling, sandbox_webhook",
        "generation_sandbox_fail_providers": ["sandbox_polling"],
    });
    for _ in 0..10 {
        let id = app.generate("sandbox/failover", refuse.clone()).await.generation_id();
        assert_eq!(app.wait_for_end(&id).await["generation_status"], "succeeded");
    }
    // Neither refused content nor a cancel says anything about a provider.
    let moderated = json!({ "generation_sandbox_outcome": "moderate" });
    app.generate("sandbox/inline", moderated).await;
    let slow = json!({ "generation_sandbox_latency_ms": 60000 });
    let id = app.generate("sandbox/polling", slow).await.generation_id();
    let cancel = format!("/v1/content/generation/cancel/{id}");
    app.ask(app.post(&cancel)).await.data();
    let expected = [
        ("sandbox_polling", ("degraded".to_owned(), 10, 10, 0)),
        ("sandbox_webhook", ("healthy".to_owned(), 10, 0, 10)),
        ("sandbox_inline", ("unknown".to_owned(), 0, 0, 0)),
    ];
    // A result is readable a moment before it is counted.
    wait::until("the last attempt is counted", async || {
        (counts(&app, "sandbox_webhook").await.1 == 10).then_some(())
    })
    .await;
    for (provider, expected) in &expected {
        assert_eq!(counts(&app, provider).await, *expected, "{provider}");
    }
    assert_eq!(data(&app, "/v1/health/inference/providers").await["healthy"], true);
    app.kill();
    app.start_again();
    for (provider, expected) in &expected {
        assert_eq!(counts(&app, provider).await, *expected, "{provider} after a restart");
    }
}

async fn storage_that_does_not_work_is_told_with_a_success(backend: Backend) {
    let app = TestApp::start(backend).await;
    let healthy = data(&app, "/v1/health/storage").await;
    assert_eq!((&healthy["service"], &healthy["healthy"]), (&json!("storage"), &json!(true)));
    assert_eq!(healthy["bucket"], "outputs");
    assert!(healthy["latency_ms"].as_f64().unwrap() > 0.0, "a disk takes time");
    assert_eq!(healthy.get("error"), None);
    let outputs = app.directory.path().join("outputs");
    let left: Vec<_> = std::fs::read_dir(outputs.join("health")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");

    let aside = app.directory.path().join("aside");
    std::fs::rename(&outputs, &aside).unwrap();
    std::fs::write(&outputs, "not a directory").unwrap();
    let told = wait::until("the storage is unhealthy", async || {
        let told = data(&app, "/v1/health/storage").await;
        (told["healthy"] == false).then_some(told)
    })
    .await;
    let error = told["error"].as_str().unwrap();
    assert!(!error.is_empty() && !error.contains('/'), "{error}");
    std::fs::remove_file(&outputs).unwrap();
    std::fs::rename(&aside, &outputs).unwrap();
    wait::until("the storage is healthy again", async || {
        (data(&app, "/v1/health/storage").await["healthy"] == true).then_some(())
    })
    .await;
}

async fn the_cache_is_tried(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cache = data(&app, "/v1/health/cache").await;
    assert_eq!((&cache["service"], &cache["healthy"]), (&json!("redis"), &json!(true)));
    assert!(cache["latency_ms"].is_number());
    assert_eq!(cache.as_object().unwrap().len(), 3, "{cache}");
}

async fn health_needs_its_scope(backend: Backend) {
    let app = TestApp::start(backend).await;
    let monitor = app.new_key("monitor_only", &[]).text;
    let generate = app.new_key("generate_only", &[]).text;
    for path in ["/v1/health/inference/providers", "/v1/health/storage", "/v1/health/cache"] {
        app.ask(app.get_as(&monitor, path)).await.data();
        assert_eq!(app.ask(app.get_as(&generate, path)).await.code(), "BSE1003");
        assert_eq!(app.ask(app.client.get(app.url.clone() + path)).await.code(), "BSE1001");
        assert_eq!(app.ask(app.post(path)).await.code(), "BSE2014");
    }
}
