//! The server dies, and comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::wait;

on_both!(
    what_is_in_flight_survives_being_killed_again_and_again,
    a_graceful_stop_ends_well_and_hands_over,
);

/// Kills in a run. The places where a process can die are many; the moments are drawn anew
/// each time, so every run tries others.
const ROUNDS: u32 = 30;

async fn what_is_in_flight_survives_being_killed_again_and_again(backend: Backend) {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("submissions");
    let settings = [
        ("sandbox.submissions_log", log.to_str().unwrap()),
        ("generation.poll_initial_ms", "50"),
        ("generation.poll_max_ms", "500"),
    ];
    let mut app = TestApp::start_with(backend, &settings).await;
    let (account, key) = app.account("10.000");
    let models = ["sandbox/inline", "sandbox/polling", "sandbox/webhook", "sandbox/failover"];
    let mut known = BTreeSet::new();
    for round in 0..ROUNDS {
        let client = app.client.clone();
        let (url, key) = (app.url.clone(), key.clone());
        let answered = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&answered);
        let load = tokio::spawn(async move {
            let mut made = Vec::new();
            for number in 0.. {
                let body = json!({ "generation_prompt": "survive",
                    "generation_sandbox_latency_ms": number * 13 % 300 });
                let path = format!("{url}/v1/generate/image/{}", models[number % models.len()]);
                let sent = client.post(path).bearer_auth(&key).json(&body).send().await;
                // The server has died: what it has said so far counts.
                let Ok(response) = sent else { break };
                let Ok(answer) = response.json::<Value>().await else { break };
                made.extend(answer["data"]["generation_id"].as_str().map(str::to_owned));
                counted.fetch_add(1, Ordering::Relaxed);
            }
            made
        });
        // However slow the machine is: something was made in each life, and then it ends anywhere.
        wait::until("something was made", async || {
            (answered.load(Ordering::Relaxed) >= 2).then_some(())
        })
        .await;
        let life = 20 + u64::from(round) * 17 % 230 + u64::from(std::process::id() % 13);
        tokio::time::sleep(Duration::from_millis(life)).await;
        app.kill();
        known.extend(load.await.unwrap());
        app.start_again();
    }
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for id in settled_ids(&app, &account) {
        let request = app.get_as(&key, &format!("/v1/content/{id}"));
        let record = wait::until("everything has ended", async || {
            let answer = app.ask(request.try_clone().unwrap()).await;
            let record = answer.data().clone();
            let status = record["generation_status"].as_str().unwrap().to_owned();
            (!["pending", "processing"].contains(&status.as_str())).then_some(record)
        })
        .await;
        known.remove(&id);
        *ends.entry(record["generation_status"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(known.is_empty(), "answered and then lost: {known:?}");
    assert!(ends.get("succeeded").copied().unwrap_or(0) > ROUNDS, "{ends:?}");
    // Every line is one submission that reached a provider.
    let submissions = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = submissions.lines().collect();
    let distinct: BTreeSet<&str> = lines.iter().copied().collect();
    assert_eq!(lines.len(), distinct.len(), "something was submitted twice");
}

/// Every generation that credit was ever reserved for.
fn settled_ids(app: &TestApp, account: &str) -> BTreeSet<String> {
    let reserved = app.ledger(account).into_iter().filter(|entry| entry["type"] == "reserve");
    reserved.map(|entry| entry["generation_id"].as_str().unwrap().to_owned()).collect()
}

async fn a_graceful_stop_ends_well_and_hands_over(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let fields = json!({ "generation_sandbox_latency_ms": 2000 });
    let id = app.generate("sandbox/polling", fields).await.generation_id();
    assert!(app.stop().await.success());
    app.start_again();
    assert_eq!(app.wait_for_end(&id).await["generation_status"], "succeeded");
    assert_eq!(app.show(&id)["attempts"].as_array().unwrap().len(), 1);
}
