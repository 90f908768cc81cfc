//! Where requests go when providers do better or worse: our server and the emulator, over HTTP.

use serde_json::{Value, json};

use crate::emulator::Emulator;
use crate::on_both;
use crate::provider_life::app_behind;
use crate::support::app::TestApp;
use crate::support::database::Backend;

on_both!(refused_content_is_offered_to_others_when_the_account_says_so);

const MODEL: &str = "bfl/flux-schnell";

/// Polls and circuits that are as quick as a test; nothing is left to chance but probes.
const QUICK: [(&str, &str); 6] = [
    ("generation.poll_initial_ms", "10"),
    ("generation.poll_max_ms", "20"),
    ("provider_health.open_ms", "200"),
    ("provider_health.open_max_ms", "200"),
    ("provider_health.probe_percent", "50"),
    ("routing.explore_percent", "0"),
];

/// Generates a picture, and answers with what the operator is shown of it.
async fn picture(app: &TestApp, key: &str) -> Value {
    let body = json!({ "generation_prompt": "a boat" });
    let path = format!("/v1/generate/image/{MODEL}");
    let asked = app.post_as(key, &path).header("prefer", "wait=60").json(&body);
    let record = app.ask(asked).await.data().clone();
    assert_eq!(record["generation_status"], "succeeded", "{record}");
    app.show(record["generation_id"].as_str().unwrap())
}

fn first_asked(shown: &Value) -> &str {
    shown["attempts"][0]["provider"].as_str().unwrap()
}

/// On one database only: what is decided lies in front of the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_leaves_a_provider_that_degrades_and_comes_back_to_it() {
    let emulator = Emulator::instant("");
    let app = app_behind(&emulator, &QUICK).await;
    let (account, key) = app.account("100");
    for _ in 0..8 {
        assert_eq!(first_asked(&picture(&app, &key).await), "replicate");
    }
    emulator.set_faults("replicate", json!({ "failed": 1.0, "latency_scale": 0 })).await;
    let mut firsts = Vec::new();
    for _ in 0..20 {
        firsts.push(first_asked(&picture(&app, &key).await).to_owned());
    }
    assert_eq!((firsts[0].as_str(), firsts[19].as_str()), ("replicate", "fal"), "{firsts:?}");
    let explained = app.cli(&["routing", "explain", MODEL]);
    assert_eq!(explained["order"][0], "fal", "{explained}");
    assert_eq!(explained["providers"][0]["provider"], "replicate", "{explained}");
    assert!(explained["providers"][0]["attempts"].as_f64().unwrap() > 8.0, "{explained}");

    emulator.set_faults("replicate", json!({ "latency_scale": 0 })).await;
    let (mut sources, mut back) = (Vec::new(), 0);
    // Half of the requests probe; that fewer than three of so many do will not happen.
    while back < 5 {
        let shown = picture(&app, &key).await;
        let source = shown["attempts"][0]["decided_by"].as_str().unwrap().to_owned();
        let first = first_asked(&shown) == "replicate" && source == "ranking";
        back = if first { back + 1 } else { 0 };
        sources.push(source);
        assert!(sources.len() < 200, "{sources:?}");
    }
    assert!(sources.iter().filter(|source| *source == "probe").count() >= 3, "{sources:?}");
    published(&app, &account);
}

/// The published formula, over what has happened above.
fn published(app: &TestApp, account: &str) {
    let exported = app.cli(&["routing", "export", MODEL]);
    assert_eq!((&exported["schema"], &exported["region"]), (&json!("ranking.v1"), &json!("us")));
    let value = &exported["rankings"][format!("predictive:ranking:us:{MODEL}")];
    let ranked = value["providers_ranked"].as_array().unwrap();
    assert_eq!(ranked[0], "fal", "{value}");
    assert_eq!(value["scores"].as_object().unwrap().len(), ranked.len());
    assert_eq!((&value["window_hours"], account.is_empty()), (&json!(24), false));
    assert!(value["attempts_total"].as_u64().unwrap() > 40, "{value}");
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
