//! The record of a generation, field by field.

use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::wait;

on_both!(a_record_has_the_documented_shape_in_every_state);

/// A record with what differs from run to run replaced by what it is.
fn shape(record: &Value) -> Value {
    let mut shape = record.clone();
    for (field, value) in shape.as_object_mut().unwrap() {
        let varies = field.ends_with("_at") || field.ends_with("_time") || field.ends_with("_id");
        if varies && *value != Value::Null {
            if field.ends_with("_at") {
                let text = value.as_str().unwrap();
                assert!(text.len() == 24 && text.ends_with('Z'), "{field}: {text}");
            }
            *value = json!(if value.is_number() { "NUMBER" } else { "TEXT" });
        }
    }
    shape
}

async fn a_record_has_the_documented_shape_in_every_state(backend: Backend) {
    // An inline call is shown as processing after a second, so the answer comes well before.
    let app = TestApp::start_with(backend, &[("generation.answer_timeout_ms", "20")]).await;
    let golden = |model: &str, latency: u64, outcome: &str| {
        let provider = format!("sandbox_{}", &model["sandbox/".len()..]);
        json!({
            "account_id": "TEXT",
            "generation_id": "TEXT",
            "model_identifier": model,
            "generation_provider_order": [provider],
            "generation_provider_used": null,
            "generation_prediction_id": "TEXT",
            "generation_status": "processing",
            "generation_prompt": "a lighthouse made of folded paper",
            "generation_ratio": "1:1",
            "generation_output_format": "png",
            "generation_output_number": 1,
            "generation_input_file": null,
            "generation_sandbox_latency_ms": latency,
            "generation_sandbox_outcome": outcome,
            "generation_sandbox_fail_providers": null,
            "generation_seed": null,
            "generation_output_file": null,
            "generation_created_at": "TEXT",
            "generation_started_at": "TEXT",
            "generation_completed_at": null,
            "generation_metrics_total_time": null,
            "generation_metrics_predict_time": null,
        })
    };
    let make = async |model: &str, latency: u64, outcome: &str| {
        let fields = json!({ "generation_sandbox_latency_ms": latency,
            "generation_sandbox_outcome": outcome });
        app.generate(model, fields).await.generation_id()
    };
    let same = |record: &Value, expected: &Value| {
        // As text, so that the order of the fields counts.
        assert_eq!(shape(record).to_string(), expected.to_string());
        assert_eq!(record["account_id"], app.account_id);
    };

    // The call of an inline provider has not come back, so nobody has the job yet.
    let id = make("sandbox/inline", 60_000, "succeed").await;
    let mut pending = golden("sandbox/inline", 60_000, "succeed");
    pending["generation_status"] = json!("pending");
    pending["generation_prediction_id"] = Value::Null;
    pending["generation_started_at"] = Value::Null;
    same(&app.record(&id).await, &pending);

    let id = make("sandbox/polling", 60_000, "succeed").await;
    let processing = golden("sandbox/polling", 60_000, "succeed");
    let record = wait::until("the provider has the job", async || {
        let record = app.record(&id).await;
        (record["generation_status"] == "processing").then_some(record)
    })
    .await;
    same(&record, &processing);
    let cancel = format!("/v1/content/generation/cancel/{id}");
    app.ask(app.post(&cancel)).await.data();
    let mut canceled = processing;
    canceled["generation_status"] = json!("canceled");
    canceled["generation_completed_at"] = json!("TEXT");
    same(&app.record(&id).await, &canceled);

    let id = make("sandbox/polling", 0, "succeed").await;
    let record = app.wait_for_end(&id).await;
    let mut succeeded = golden("sandbox/polling", 0, "succeed");
    succeeded["generation_status"] = json!("succeeded");
    succeeded["generation_provider_used"] = json!("sandbox_polling");
    succeeded["generation_completed_at"] = json!("TEXT");
    succeeded["generation_metrics_total_time"] = json!("NUMBER");
    succeeded["generation_metrics_predict_time"] = json!("NUMBER");
    succeeded["generation_output_file"] = record["generation_output_file"].clone();
    same(&record, &succeeded);
    let file = record["generation_output_file"][0].as_str().unwrap();
    assert!(
        file.starts_with(&format!("{}/files/", app.url)) && file.contains("/0.png?expires="),
        "{file}"
    );

    // Late enough that the request for it is answered before it fails.
    let id = make("sandbox/polling", 1500, "fail").await;
    let record = app.wait_for_end(&id).await;
    let mut failed = golden("sandbox/polling", 1500, "fail");
    failed["generation_status"] = json!("failed");
    failed["generation_provider_used"] = json!("sandbox_polling");
    failed["generation_completed_at"] = json!("TEXT");
    failed["generation_metrics_total_time"] = json!("NUMBER");
    failed["generation_metrics_predict_time"] = json!("NUMBER");
    failed["generation_error"] = record["generation_error"].clone();
    failed["generation_error_code"] = json!("BSE4003");
    same(&record, &failed);
    assert!(record["generation_error"].is_string());
}
