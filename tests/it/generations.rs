//! A generation from request to output, through every delivery mode and outcome.

use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;

on_both!(
    every_delivery_mode_ends_with_a_real_picture,
    a_video_is_a_real_film,
    a_refused_submit_fails_over_to_the_next_provider,
    when_every_provider_refuses_the_answer_says_why_and_the_credit_is_back,
    a_moderated_prompt_is_not_offered_to_anybody_else,
    a_failed_job_fails_over_and_a_lost_answer_does_not,
    odd_callbacks_are_harmless,
    a_slow_inline_call_is_answered_when_it_ends,
    a_hanging_provider_is_given_up_at_the_deadline,
);

async fn fetch(app: &TestApp, record: &Value) -> (String, Vec<u8>) {
    let url = record["generation_output_file"][0].as_str().unwrap();
    let response = app.client.get(url).send().await.unwrap();
    assert!(response.status().is_success());
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    (kind, response.bytes().await.unwrap().to_vec())
}

async fn every_delivery_mode_ends_with_a_real_picture(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cases = [
        ("sandbox/inline", "png", "image/png", b"\x89PNG".as_slice()),
        ("sandbox/polling", "jpg", "image/jpeg", b"\xff\xd8\xff".as_slice()),
        ("sandbox/webhook", "webp", "image/webp", b"RIFF".as_slice()),
        ("sandbox/failover", "png", "image/png", b"\x89PNG".as_slice()),
    ];
    for (model, format, content_type, magic) in cases {
        let fields = json!({ "generation_output_format": format, "generation_ratio": "16:9",
            "generation_output_number": 2, "generation_sandbox_latency_ms": 20 });
        let created = app.generate(model, fields).await;
        assert_eq!(created.status, 200, "{model}: {}", created.body);
        assert_eq!(created.body["message"], "Generation initialized");
        assert_eq!(created.data()["generation_initialized"], true);
        assert!(created.data()["generation_prediction_id"].is_string());
        let id = created.generation_id();
        let record = app.wait_for_end(&id).await;
        assert_eq!(record["generation_status"], "succeeded", "{record}");
        assert_eq!(record["generation_output_file"].as_array().unwrap().len(), 2);
        assert_eq!(record["generation_ratio"], "16:9");
        let (kind, bytes) = fetch(&app, &record).await;
        assert_eq!(kind, content_type);
        assert!(bytes.starts_with(magic), "{model}");
        assert_eq!(app.movements(&app.account_id, &id), ["reserve", "charge"]);
        let entry = app.ledger(&app.account_id).into_iter().next_back().unwrap();
        assert_eq!(entry["amount"], 0.002, "two pictures at 0.001");
    }
}

async fn a_video_is_a_real_film(backend: Backend) {
    let app = TestApp::start(backend).await;
    let created = app.generate("sandbox/video", json!({ "generation_duration": 2 })).await;
    let record = app.wait_for_end(&created.generation_id()).await;
    assert_eq!(record["generation_status"], "succeeded", "{record}");
    assert_eq!(record["generation_duration"], 2);
    let (kind, bytes) = fetch(&app, &record).await;
    assert_eq!(kind, "video/mp4");
    assert_eq!(&bytes[4..8], b"ftyp");
    let last = app.ledger(&app.account_id).into_iter().next_back().unwrap();
    assert_eq!(last["amount"], 0.004, "two seconds at 0.002");
}

async fn a_refused_submit_fails_over_to_the_next_provider(backend: Backend) {
    let app = TestApp::start(backend).await;
    let refuse = json!({ "generation_sandbox_fail_providers": ["sandbox_polling"] });
    let created = app.generate("sandbox/failover", refuse).await;
    let id = created.generation_id();
    let record = app.wait_for_end(&id).await;
    assert_eq!(record["generation_status"], "succeeded");
    assert_eq!(record["generation_provider_used"], "sandbox_webhook");
    let shown = app.show(&id);
    let outcomes: Vec<&Value> =
        shown["attempts"].as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["failed", "used"]);
}

async fn when_every_provider_refuses_the_answer_says_why_and_the_credit_is_back(backend: Backend) {
    let app = TestApp::start(backend).await;
    let all = json!({ "generation_sandbox_fail_providers":
        ["sandbox_polling", "sandbox_webhook", "sandbox_inline"] });
    let refused = app.generate("sandbox/failover", all).await;
    assert_eq!(refused.status, 502);
    assert_eq!(refused.code(), "BSE4010");
    assert_eq!(refused.body["error"]["retryable"], true);
    let errors = refused.body["error"]["provider_errors"].as_array().unwrap();
    let providers: Vec<&Value> = errors.iter().map(|error| &error["provider"]).collect();
    assert_eq!(providers, ["sandbox_polling", "sandbox_webhook", "sandbox_inline"]);
    assert!(errors.iter().all(|error| error["code"] == "BSE4002"));
    let ledger = app.ledger(&app.account_id);
    let kinds: Vec<&Value> = ledger.iter().map(|entry| &entry["type"]).collect();
    assert_eq!(kinds, ["add", "reserve", "refund"]);
    assert_eq!(ledger[2]["balance_after"], 1.0);
    for (outcome, code) in [("rate_limit", "BSE4005"), ("out_of_credit", "BSE4008")] {
        let fields = json!({ "generation_sandbox_outcome": outcome });
        let refused = app.generate("sandbox/polling", fields).await;
        assert_eq!(refused.code(), "BSE4010");
        assert_eq!(refused.body["error"]["provider_errors"][0]["code"], code);
    }
}

async fn a_moderated_prompt_is_not_offered_to_anybody_else(backend: Backend) {
    let app = TestApp::start(backend).await;
    let fields = json!({ "generation_sandbox_outcome": "moderate" });
    let refused = app.generate("sandbox/failover", fields).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "BSE2006"));
    let errors = refused.body["error"]["provider_errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "one provider was asked");
}

async fn a_failed_job_fails_over_and_a_lost_answer_does_not(backend: Backend) {
    let app = TestApp::start(backend).await;
    let fields = json!({ "generation_sandbox_outcome": "fail" });
    let created = app.generate("sandbox/failover", fields).await;
    let record = app.wait_for_end(&created.generation_id()).await;
    assert_eq!(record["generation_status"], "failed");
    assert_eq!(record["generation_error_code"], "BSE4010");
    assert!(record["generation_error"].is_string());
    assert_eq!(app.show(&created.generation_id())["attempts"].as_array().unwrap().len(), 3);

    for model in ["sandbox/polling", "sandbox/webhook", "sandbox/inline", "sandbox/failover"] {
        let fields = json!({ "generation_sandbox_outcome": "lose_submit_response" });
        let created = app.generate(model, fields).await;
        let id = created.generation_id();
        let record = app.wait_for_end(&id).await;
        assert_eq!(record["generation_status"], "succeeded", "{model}: {record}");
        let shown = app.show(&id);
        assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{model}: {shown}");
        assert_eq!(app.movements(&app.account_id, &id), ["reserve", "charge"]);
    }
}

async fn odd_callbacks_are_harmless(backend: Backend) {
    let app = TestApp::start_with(backend, &[("generation.poll_max_ms", "600")]).await;
    for outcome in [
        "never_call_back",
        "call_back_twice",
        "call_back_forged",
        "call_back_before_submit_returns",
    ] {
        let fields =
            json!({ "generation_sandbox_outcome": outcome, "generation_sandbox_latency_ms": 50 });
        let created = app.generate("sandbox/webhook", fields).await;
        assert_eq!(created.status, 200, "{outcome}: {}", created.body);
        let id = created.generation_id();
        let record = app.wait_for_end(&id).await;
        assert_eq!(record["generation_status"], "succeeded", "{outcome}: {record}");
        let shown = app.show(&id);
        assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{outcome}: {shown}");
        assert_eq!(app.movements(&app.account_id, &id), ["reserve", "charge"], "{outcome}");
    }
}

async fn a_slow_inline_call_is_answered_when_it_ends(backend: Backend) {
    // Far from both: what ends before it, and what is still to be running after it.
    let app = TestApp::start_with(backend, &[("generation.answer_timeout_ms", "4000")]).await;
    let slow = |ms: u32| json!({ "generation_sandbox_latency_ms": ms });
    let created = app.generate("sandbox/inline", slow(500)).await;
    let record = app.record(&created.generation_id()).await;
    assert_eq!(record["generation_status"], "succeeded", "answered at the end");

    let created = app.generate("sandbox/inline", slow(7500)).await;
    assert_eq!(created.status, 200, "answered before the end: {}", created.body);
    let ours = created.data()["generation_prediction_id"].clone();
    let id = created.generation_id();
    let record = app.record(&id).await;
    assert_eq!(record["generation_status"], "processing");
    assert_eq!(record["generation_prediction_id"], ours);
    assert_eq!(app.wait_for_end(&id).await["generation_status"], "succeeded");
}

async fn a_hanging_provider_is_given_up_at_the_deadline(backend: Backend) {
    let settings = [
        ("generation.image_attempt_timeout_ms", "1500"),
        ("generation.image_timeout_ms", "9000"),
        ("generation.submit_timeout_ms", "1000"),
    ];
    let app = TestApp::start_with(backend, &settings).await;
    let fields = json!({ "generation_sandbox_outcome": "hang" });
    let created = app.generate("sandbox/polling", fields).await;
    let record = app.wait_for_end(&created.generation_id()).await;
    assert_eq!(record["generation_status"], "failed");
    assert_eq!(record["generation_error_code"], "BSE4001");
    assert_eq!(app.movements(&app.account_id, &created.generation_id()), ["reserve", "refund"]);
}
