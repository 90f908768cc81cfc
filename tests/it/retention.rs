//! What is not kept for longer goes, and nothing else.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::receiver::Receiver;
use crate::support::wait;

on_both!(files_go_then_the_record_and_the_ledger_stays);

async fn files_go_then_the_record_and_the_ledger_stays(backend: Backend) {
    let settings = [("retention.interval_ms", "100"), ("retention.files_max_ms", "5000")];
    let mut app = TestApp::start_with(backend, &settings).await;
    let receiver = Receiver::start();
    let url = &receiver.url;
    app.cli(&["webhook", "create", "--account", &app.account_id, "--url", url]);
    let slow = json!({ "generation_sandbox_latency_ms": 60000 });
    let running = app.generate("sandbox/polling", slow).await.generation_id();
    let id = app.generate("sandbox/inline", json!({})).await.generation_id();
    let deleted = app.generate("sandbox/inline", json!({})).await.generation_id();
    let record = app.record(&id).await;
    let link = record["generation_output_file"][0].as_str().unwrap();
    assert_eq!(app.client.get(link).send().await.unwrap().status(), StatusCode::OK);

    let removed = wait::until("the files are removed", async || {
        let records = [app.record(&id).await, app.record(&deleted).await];
        records.iter().all(|record| record["generation_removed"] == true).then_some(records)
    })
    .await;
    assert_eq!(removed[0]["generation_output_file"], Value::Null);
    assert_eq!(removed[0]["generation_status"], "succeeded");
    assert_eq!(app.client.get(link).send().await.unwrap().status(), StatusCode::GONE);
    assert!(!app.directory.path().join(format!("outputs/{}/{id}", app.account_id)).exists());
    let delete = app.client.delete(format!("{}/v1/content/{deleted}", app.url));
    let gone = app.ask(delete.bearer_auth(&app.key)).await;
    assert_eq!(gone.data()["files_deleted"], 0, "they were removed before");

    // Not earlier, so that records are there for as long as they are looked at.
    assert!(app.stop().await.success());
    app.set("retention.records_max_ms", "5000");
    app.start_again();
    wait::until("the record is gone", async || {
        let answer = app.ask(app.get(&format!("/v1/content/{id}"))).await;
        (answer.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    let list = app.ask(app.get("/v1/content/list")).await;
    assert_eq!(list.body["total"], 1, "what is in flight stays");
    assert_eq!(list.data()["generations"][0]["generation_id"], running);
    assert_eq!(app.movements(&app.account_id, &id), ["reserve", "charge"]);
    // Midnight may have passed meanwhile.
    let usage = app.ask(app.get("/v1/usage?days=2")).await;
    assert_eq!(usage.data()["usage_total_generations"], 3, "{}", usage.body);
    let closed = "SELECT COUNT(*) FROM webhook_deliveries WHERE status = 'delivered'";
    wait::until("the deliveries are gone", async || (app.count(closed).await == 0).then_some(()))
        .await;
    assert!(receiver.received().len() >= 5);
}

/// Nothing of it depends on the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_no_generation_has_are_removed_and_others_stay() {
    let settings = [("retention.orphans_after_ms", "1000")];
    let app = TestApp::start_with(Backend::Sqlite, &settings).await;
    let id = app.generate("sandbox/inline", json!({})).await.generation_id();
    let outputs = app.directory.path().join("outputs");
    let put = |path: &str| {
        let path = outputs.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "left behind").unwrap();
    };
    let orphan = format!("{}/0198c0de-7a10-7000-8000-00000000002a/0.png", app.account_id);
    let foreign = ["notes.txt", "a/b/c.txt", "health/other"];
    put(&orphan);
    foreign.iter().for_each(|path| put(path));
    let gone = |path: &Path| (!path.exists()).then_some(());
    wait::until("the orphan is gone", async || gone(&outputs.join(&orphan))).await;
    assert!(foreign.iter().all(|path| outputs.join(path).exists()));
    assert!(outputs.join(format!("{}/{id}/0.png", app.account_id)).exists());
}
