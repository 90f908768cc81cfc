//! Cancel against completion: one of the two, and the books agree with it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::wait;

on_both!(
    a_canceled_generation_gives_its_credit_back,
    a_cancel_that_comes_too_late_is_a_conflict,
    a_late_result_is_recorded_and_delivered_to_nobody,
    a_thousand_races_each_have_one_winner,
);

async fn cancel(app: &TestApp, id: &str) -> crate::support::app::Answer {
    app.ask(app.post(&format!("/v1/content/generation/cancel/{id}"))).await
}

async fn a_canceled_generation_gives_its_credit_back(backend: Backend) {
    let app = TestApp::start(backend).await;
    for model in ["sandbox/polling", "sandbox/webhook"] {
        let fields = json!({ "generation_sandbox_latency_ms": 60000 });
        let created = app.generate(model, fields).await;
        let id = created.generation_id();
        let canceled = cancel(&app, &id).await;
        assert_eq!(canceled.status, 200);
        let expected = json!({ "generation_id": id, "generation_status": "canceled",
            "provider_cancel_sent": true, "credits_refunded": true });
        assert_eq!(*canceled.data(), expected);
        let record = app.record(&id).await;
        assert_eq!(record["generation_status"], "canceled");
        assert_eq!(record["generation_provider_used"], Value::Null);
        assert_eq!(app.movements(&app.account_id, &id), ["reserve", "refund"]);
        assert_eq!(app.show(&id)["attempts"][0]["outcome"], "cancelled");
        let again = cancel(&app, &id).await;
        assert_eq!((again.status.as_u16(), again.code()), (409, "BSE2013"));
        assert_eq!(again.body["error"]["details"]["generation_status"], "canceled");
    }
}

async fn a_cancel_that_comes_too_late_is_a_conflict(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app.generate("sandbox/inline", json!({})).await.generation_id();
    app.wait_for_end(&id).await;
    let late = cancel(&app, &id).await;
    assert_eq!((late.status.as_u16(), late.code()), (409, "BSE2013"));
    assert_eq!(app.movements(&app.account_id, &id), ["reserve", "charge"]);
    for unknown in ["01a203a4-04f5-775f-b34c-6a8e58214132", "not-an-id"] {
        let missing = cancel(&app, unknown).await;
        assert_eq!((missing.status.as_u16(), missing.code()), (404, "BSE2012"));
    }
}

async fn a_late_result_is_recorded_and_delivered_to_nobody(backend: Backend) {
    let app = TestApp::start_with(backend, &[("generation.answer_timeout_ms", "1200")]).await;
    // Long enough that the cancel comes before the result.
    let fields = json!({ "generation_sandbox_latency_ms": 6000 });
    let id = app.generate("sandbox/inline", fields).await.generation_id();
    let canceled = cancel(&app, &id).await;
    assert_eq!(canceled.data()["provider_cancel_sent"], false, "inline calls cannot be");
    wait::until("the late result is on its attempt", async || {
        (app.show(&id)["attempts"][0]["outcome"] == "discarded").then_some(())
    })
    .await;
    let record = app.record(&id).await;
    assert_eq!(record["generation_status"], "canceled");
    assert_eq!(record["generation_output_file"], Value::Null);
    assert_eq!(app.movements(&app.account_id, &id), ["reserve", "refund"]);
}

async fn a_thousand_races_each_have_one_winner(backend: Backend) {
    const RACES: usize = 1000;
    const AT_ONCE: usize = 20;
    let app = TestApp::start(backend).await;
    let (account, key) = app.account("10.000");
    // How long a result takes depends on the machine. The wait before the cancels is moved
    // until the two meet, so that each round is decided by who comes first.
    let mut wait_ms = 20.0_f64;
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..RACES / AT_ONCE {
        let races = (0..AT_ONCE).map(|index| {
            race(&app, &key, Duration::from_secs_f64(wait_ms * index as f64 / 10_000.0))
        });
        let ends = futures_util::future::join_all(races).await;
        let canceled = ends.iter().filter(|end| *end == "canceled").count();
        wait_ms *= if canceled > AT_ONCE / 2 { 1.3 } else { 0.8 };
        ends.into_iter().for_each(|end| *tally.entry(end).or_default() += 1);
    }
    let mut settled: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in app.ledger(&account).iter().filter(|entry| entry["type"] != "add") {
        let id = entry["generation_id"].as_str().unwrap().to_owned();
        settled.entry(id).or_default().push(entry["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(settled.len(), RACES);
    let refunds = settled.values().filter(|kinds| *kinds == &["reserve", "refund"]).count();
    let charges = settled.values().filter(|kinds| *kinds == &["reserve", "charge"]).count();
    assert_eq!(refunds + charges, RACES, "each has one reserve and one settlement");
    assert_eq!(refunds, tally.get("canceled").copied().unwrap_or(0));
    assert!(refunds > 100 && charges > 100, "both sides win often: {tally:?}");
}

/// Submits a job that is done at once, cancels it after a while, and sees to it that the
/// answer to the cancel and the record agree. Gives the end.
async fn race(app: &TestApp, key: &str, wait: Duration) -> String {
    let body = json!({ "generation_prompt": "race" });
    let request = app.post_as(key, "/v1/generate/image/sandbox/webhook").json(&body);
    let id = app.ask(request).await.generation_id();
    tokio::time::sleep(wait).await;
    let path = format!("/v1/content/generation/cancel/{id}");
    let canceled = app.ask(app.post_as(key, &path)).await;
    let record = app.ask(app.get_as(key, &format!("/v1/content/{id}"))).await;
    let status = record.data()["generation_status"].as_str().unwrap().to_owned();
    match canceled.status.as_u16() {
        200 => assert_eq!(status, "canceled"),
        409 => assert_eq!(status, "succeeded"),
        other => panic!("{other}: {}", canceled.body),
    }
    status
}
