//! Estimates: what is said is what is reserved, to the thousandth.

use serde_json::json;

use crate::emulation::Quick;
use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;

on_both!(
    the_documented_figures_are_answered_for_the_balance_of_the_account,
    what_was_estimated_is_what_is_reserved_and_charged,
);

async fn the_documented_figures_are_answered_for_the_balance_of_the_account(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (_, key) = app.account("4.100");
    let path = "/v1/estimate/bfl/flux-1.1-pro?count=3";
    let answer = app.ask(app.get_as(&key, path)).await;
    assert_eq!(
        answer.data().to_string(),
        json!({
            "model_identifier": "bfl/flux-1.1-pro",
            "model_type": "image",
            "assets_count": 3,
            "cost_per_generation": 0.052,
            "cost_total_consumed": 0.156,
            "credit_balance": 4.1,
            "credit_balance_can_afford": true,
            "credit_balance_max_affordable": 78,
        })
        .to_string()
    );
    let (_, key) = app.account("0.500");
    let path = "/v1/estimate/bytedance/seedance-1.5-pro\
                ?count=2&duration=6&resolution=720p&audio=true";
    let answer = app.ask(app.get_as(&key, path)).await;
    assert_eq!(
        answer.data().to_string(),
        json!({
            "model_identifier": "bytedance/seedance-1.5-pro",
            "model_type": "video",
            "assets_count": 2,
            "cost_per_second": 0.062,
            "duration_seconds": 6,
            "resolution": "720p",
            "cost_per_generation": 0.372,
            "cost_total_consumed": 0.744,
            "credit_balance": 0.5,
            "credit_balance_can_afford": false,
            "credit_balance_max_affordable": 1,
        })
        .to_string()
    );
    for (balance, path, affordable) in [
        ("10", "/v1/estimate/bfl/flux-schnell?count=2", 2000),
        ("12.480", "/v1/estimate/bfl/flux-1.1-pro", 240),
    ] {
        let (_, key) = app.account(balance);
        let answer = app.ask(app.get_as(&key, path)).await;
        assert_eq!(answer.data()["credit_balance_max_affordable"], affordable);
    }
}

async fn what_was_estimated_is_what_is_reserved_and_charged(backend: Backend) {
    let quick = Quick::new();
    let app = TestApp::start_with(backend, &[quick.setting()]).await;
    let (account, key) = app.account("100");
    for (kind, model, query, body) in [
        ("image", "bfl/flux-schnell", "", json!({})),
        (
            "image",
            "qwen/image-2",
            "?count=3",
            json!({ "generation_output_number": 3, "generation_ratio": "9:16" }),
        ),
        ("image", "bfl/flux-2-pro", "?resolution=4MP", json!({ "generation_resolution": "4MP" })),
        ("video", "google/veo-2", "?duration=5", json!({ "generation_duration": 5 })),
        (
            "video",
            "google/veo-3.1-fast",
            "?duration=4&audio=true",
            json!({ "generation_duration": 4, "generation_generate_audio": true }),
        ),
        (
            "video",
            "bytedance/seedance-1.5-pro",
            "?duration=4&resolution=480p",
            json!({ "generation_duration": 4, "generation_resolution": "480p" }),
        ),
    ] {
        let path = format!("/v1/estimate/{model}{query}");
        let estimate = app.ask(app.get_as(&key, &path)).await.data().clone();
        let mut body = body;
        body["generation_prompt"] = json!("a lighthouse made of folded paper");
        let path = format!("/v1/generate/{kind}/{model}");
        let answer = app.ask(app.post_as(&key, &path).json(&body)).await;
        let id = answer.generation_id();
        let path = format!("/v1/content/{id}");
        let record = crate::support::wait::until("the generation has ended", async || {
            let record = app.ask(app.get_as(&key, &path)).await.data().clone();
            let ended = !record["generation_completed_at"].is_null();
            ended.then_some(record)
        })
        .await;
        assert_eq!(record["generation_status"], "succeeded", "{record}");
        let entries: Vec<_> = app
            .ledger(&account)
            .into_iter()
            .filter(|entry| entry["generation_id"] == id.as_str())
            .map(|entry| (entry["type"].clone(), entry["amount"].clone()))
            .collect();
        let total = &estimate["cost_total_consumed"];
        assert_eq!(entries, [(json!("reserve"), total.clone()), (json!("charge"), total.clone())]);
    }
}
