//! Where requests go when providers do better or worse: our server and the emulator, over HTTP.

use serde_json::json;

use crate::emulator::Emulator;
use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;

on_both!(refused_content_is_offered_to_others_when_the_account_says_so);

const MODEL: &str = "bfl/flux-schnell";

/// Polls and circuits that are as quick as a test, and as much exploration as can be.
const QUICK: [(&str, &str); 6] = [
    ("generation.poll_initial_ms", "10"),
    ("generation.poll_max_ms", "20"),
    ("provider_health.open_ms", "200"),
    ("provider_health.open_max_ms", "200"),
    ("provider_health.probe_percent", "50"),
    ("routing.explore_percent", "30"),
];
/// Far more requests than it takes to see that a provider has recovered: a third of them try.
const RECOVERY_MAX: usize = 150;

/// Generates so many pictures, all of which succeed.
async fn pictures(app: &TestApp, key: &str, count: usize) {
    let body = json!({ "generation_prompt": "a boat" });
    let path = format!("/v1/generate/image/{MODEL}");
    for _ in 0..count {
        let asked = app.post_as(key, &path).header("prefer", "wait=60").json(&body);
        let record = app.ask(asked).await.data().clone();
        assert_eq!(record["generation_status"], "succeeded", "{record}");
    }
}

/// Whom the next request most likely begins at.
fn first(app: &TestApp) -> String {
    let explained = app.cli(&["routing", "explain", MODEL]);
    let known = explained["providers"].as_array().unwrap();
    assert_eq!((known.len(), &known[0]["provider"]), (3, &json!("replicate")), "{explained}");
    let ways = explained["ways"].as_array().unwrap();
    let sum: f64 = ways.iter().map(|way| way["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 0.001, "{explained}");
    explained["order"][0].as_str().unwrap().to_owned()
}

/// On one database only: what is decided lies in front of the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_leaves_a_provider_that_degrades_and_comes_back_to_it() {
    let emulator = Emulator::instant("");
    let app = emulator.app(&QUICK).await;
    let (_, key) = app.account("100");
    // Some hundred milliseconds, beside which a busy machine is not to be seen.
    for slower in ["fal", "cloudflare"] {
        emulator.set_faults(slower, json!({ "latency_scale": 0.3 })).await;
    }
    pictures(&app, &key, 12).await;
    assert_eq!(first(&app), "replicate");
    emulator.set_faults("replicate", json!({ "failed": 1.0, "latency_scale": 0 })).await;
    pictures(&app, &key, 20).await;
    assert_ne!(first(&app), "replicate", "within twenty requests");
    emulator.set_faults("replicate", json!({ "latency_scale": 0 })).await;
    let mut more = 0;
    while first(&app) != "replicate" {
        assert!(more < RECOVERY_MAX, "it has not come back");
        pictures(&app, &key, 10).await;
        more += 10;
    }
    let tried = "SELECT COUNT(*) FROM attempts
         WHERE decided_by IN ('exploration', 'probe') AND propensity_ppm IS NOT NULL";
    assert!(app.count(tried).await > 0);
    published(&app);
}

/// The published formula, over what has happened above.
fn published(app: &TestApp) {
    let exported = app.cli(&["routing", "export", MODEL]);
    assert_eq!((&exported["schema"], &exported["region"]), (&json!("ranking.v1"), &json!("us")));
    let value = &exported["rankings"][format!("predictive:ranking:us:{MODEL}")];
    let ranked = value["providers_ranked"].as_array().unwrap();
    assert_eq!(value["scores"].as_object().unwrap().len(), ranked.len());
    assert_eq!(value["window_hours"], 24);
    assert!(value["attempts_total"].as_u64().unwrap() >= 32, "{value}");
    assert_eq!(app.cli(&["routing", "export"])["rankings"].as_object().unwrap().len(), 1);
    let none = app.cli(&["routing", "export", "sandbox/inline"]);
    assert_eq!(none["rankings"], json!({}));
}

async fn refused_content_is_offered_to_others_when_the_account_says_so(backend: Backend) {
    let app = TestApp::start(backend).await;
    let refused = json!({ "generation_sandbox_outcome": "moderate" });
    let attempts = async || {
        let answer = app.generate("sandbox/failover", refused.clone()).await;
        assert_eq!(answer.code(), "BSE2006");
        app.count("SELECT COUNT(*) FROM attempts").await
    };
    assert_eq!(attempts().await, 1);
    let set = |allowed: &str| {
        let id = app.account_id.as_str();
        app.cli(&["account", "update", "--id", id, "--failover-on-moderation", allowed])
    };
    assert_eq!(set("true")["account_failover_on_moderation"], true);
    assert_eq!(attempts().await, 1 + 3);
    assert_eq!(set("false")["account_failover_on_moderation"], false);
    assert_eq!(attempts().await, 1 + 3 + 1);
}
