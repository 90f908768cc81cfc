//! What an account has: list and delete.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::{Answer, TestApp};
use crate::support::database::Backend;
use crate::support::receiver::Receiver;
use crate::support::wait;

on_both!(
    an_account_lists_what_it_has_newest_first,
    a_deleted_generation_is_gone_with_its_files,
    what_is_in_flight_is_canceled_refunded_and_deleted,
    what_is_foreign_is_as_missing_as_what_never_was,
    of_two_deletions_one_wins,
    a_deletion_against_a_completion_leaves_nothing_and_settles_once,
    a_deletion_against_a_cancel_refunds_once,
    a_deletion_cut_short_by_a_kill_is_completed_by_repeating_it,
);

const ROUNDS: usize = 200;
const AT_ONCE: usize = 20;

async fn delete(app: &TestApp, key: &str, id: &str) -> Answer {
    let url = format!("{}/v1/content/{id}", app.url);
    Answer::read(app.client.delete(url).bearer_auth(key).send().await.unwrap()).await
}

async fn submit(app: &TestApp, key: &str, model: &str, latency_ms: u64) -> String {
    let body = json!({ "generation_prompt": "a boat",
        "generation_sandbox_latency_ms": latency_ms });
    let request = app.post_as(key, &format!("/v1/generate/image/{model}")).json(&body);
    app.ask(request).await.generation_id()
}

/// Every file in a folder and below.
fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Waits until nothing is stored any more: an actor may still be removing what came late.
async fn nothing_is_stored(app: &TestApp) {
    let outputs = app.directory.path().join("outputs");
    wait::until("no file is left", async || files(&outputs).is_empty().then_some(())).await;
}

/// Every generation of the account has one reserve and one settlement; how many were refunded.
fn refunds(app: &TestApp, account: &str, generations: usize) -> usize {
    let entries = app.ledger(account);
    let ids: BTreeSet<&str> =
        entries.iter().filter_map(|entry| entry["generation_id"].as_str()).collect();
    assert_eq!(ids.len(), generations);
    let count = |kind: &str| entries.iter().filter(|entry| entry["type"] == kind).count();
    assert_eq!((count("reserve"), count("charge") + count("refund")), (ids.len(), ids.len()));
    count("refund")
}

async fn an_account_lists_what_it_has_newest_first(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (_, key) = app.account("1.000");
    let list =
        async |query: &str| app.ask(app.get_as(&key, &format!("/v1/content/list{query}"))).await;
    let empty = list("").await;
    assert_eq!((empty.status.as_u16(), empty.data()), (200, &json!({ "generations": [] })));
    assert_eq!((&empty.body["total"], &empty.body["limit"]), (&json!(0), &json!(50)));
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(submit(&app, &key, "sandbox/inline", 0).await);
    }
    made.reverse();
    let page = |answer: &Answer| -> Vec<String> {
        let records = answer.data()["generations"].as_array().unwrap();
        records.iter().map(|record| record["generation_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = list("?limit=0100").await;
    assert_eq!((page(&all), &all.body["total"]), (made.clone(), &json!(7)));
    let first = app.ask(app.get_as(&key, &format!("/v1/content/{}", made[0]))).await;
    assert_eq!(&all.data()["generations"][0], first.data());
    let times: Vec<&str> = (all.data()["generations"].as_array().unwrap().iter())
        .map(|record| record["generation_created_at"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted_by(|one, next| one >= next), "{times:?}");
    let middle = list("?limit=2&offset=3").await;
    assert_eq!(page(&middle), made[3..5]);
    let said = ["total", "limit", "offset"].map(|field| middle.body[field].as_i64().unwrap());
    assert_eq!(said, [7, 2, 3]);
    assert_eq!(page(&list("?limit=-1&offset=-1").await), made[..1]);
    assert!(page(&list("?offset=7").await).is_empty());
    let refused = list("?limit=all").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (400, "BSE2001"));
    let others = app.ask(app.get("/v1/content/list")).await;
    assert_eq!(others.body["total"], 0, "what others have is not shown");
}

async fn a_deleted_generation_is_gone_with_its_files(backend: Backend) {
    let app = TestApp::start(backend).await;
    let fields = json!({ "generation_output_number": 3 });
    let id = app.generate("sandbox/inline", fields).await.generation_id();
    let kept = app.generate("sandbox/inline", json!({})).await.generation_id();
    let record = app.record(&id).await;
    let urls = record["generation_output_file"].as_array().unwrap();
    let deleted = delete(&app, &app.key, &id).await;
    assert_eq!(*deleted.data(), json!({ "generation_id": id, "files_deleted": 3 }));
    for url in urls {
        let gone = app.client.get(url.as_str().unwrap()).send().await.unwrap();
        assert_eq!(gone.status(), 404);
    }
    let cancel = format!("/v1/content/generation/cancel/{id}");
    for missing in [
        delete(&app, &app.key, &id).await,
        app.ask(app.get(&format!("/v1/content/{id}"))).await,
        app.ask(app.get(&format!("/v1/content/{id}/events"))).await,
        app.ask(app.post(&cancel)).await,
    ] {
        assert_eq!((missing.status.as_u16(), missing.code()), (404, "BSE2012"));
    }
    assert_eq!(app.movements(&app.account_id, &id), ["reserve", "charge"]);
    let list = app.ask(app.get("/v1/content/list")).await;
    assert_eq!(
        (&list.body["total"], list.data()["generations"][0]["generation_id"].as_str()),
        (&json!(1), Some(&*kept))
    );
    assert_eq!(files(&app.directory.path().join("outputs")).len(), 1, "others keep theirs");
    let checked = app.cli(&["audit"]);
    assert_eq!(checked["checked"]["attempts"], 2, "what was asked of providers stays: {checked}");
}

async fn what_is_in_flight_is_canceled_refunded_and_deleted(backend: Backend) {
    let app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    let mut line = vec!["webhook", "create", "--account", &app.account_id];
    line.extend(["--url", &receiver.url, "--event", "generation.canceled"]);
    app.cli(&line);
    for model in ["sandbox/polling", "sandbox/webhook"] {
        let id = submit(&app, &app.key, model, 60_000).await;
        let deleted = delete(&app, &app.key, &id).await;
        assert_eq!(*deleted.data(), json!({ "generation_id": id, "files_deleted": 0 }));
        assert_eq!(delete(&app, &app.key, &id).await.code(), "BSE2012");
        assert_eq!(app.movements(&app.account_id, &id), ["reserve", "refund"]);
        receiver
            .wait_for("it was told as canceled", |one| {
                one.json()["webhook_data"]["generation_id"] == *id
            })
            .await;
    }
}

async fn what_is_foreign_is_as_missing_as_what_never_was(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (_, stranger) = app.account("1.000");
    let ended = submit(&app, &app.key, "sandbox/inline", 0).await;
    let running = submit(&app, &app.key, "sandbox/polling", 60_000).await;
    let never = "01a203a4-04f5-775f-b34c-6a8e58214132";
    let mut bodies = Vec::new();
    for id in [&ended, &running, never, "not-an-id", "%00"] {
        let missing = delete(&app, &stranger, id).await;
        assert_eq!((missing.status.as_u16(), missing.code()), (404, "BSE2012"), "{id}");
        bodies.push(missing.body["error"].to_string());
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    assert_eq!(app.record(&ended).await["generation_status"], "succeeded");
    assert_eq!(app.record(&running).await["generation_status"], "processing");
    let reader = app.new_key("read_only", &[]);
    let refused = delete(&app, &reader.text, &ended).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "BSE1003"));
}

async fn of_two_deletions_one_wins(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (account, key) = app.account("10.000");
    for _ in 0..ROUNDS / AT_ONCE {
        let rounds = (0..AT_ONCE).map(async |_| {
            let id = submit(&app, &key, "sandbox/inline", 0).await;
            let two = tokio::join!(delete(&app, &key, &id), delete(&app, &key, &id));
            let (won, lost) = if two.0.status == 200 { (two.0, two.1) } else { (two.1, two.0) };
            assert_eq!(won.data()["files_deleted"], 1);
            assert_eq!((lost.status.as_u16(), lost.code()), (404, "BSE2012"));
        });
        join_all(rounds).await;
    }
    nothing_is_stored(&app).await;
    assert_eq!(refunds(&app, &account, ROUNDS), 0);
}

async fn a_deletion_against_a_completion_leaves_nothing_and_settles_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    // As with cancels: the wait is moved until the two meet. Every fourth comes surely after.
    let mut wait_ms = 20.0_f64;
    let mut canceled = 0;
    for round in 1..=ROUNDS / AT_ONCE {
        let rounds = (0..AT_ONCE).map(async |index| {
            let id = submit(&app, &app.key, "sandbox/webhook", 0).await;
            match index % 4 {
                0 => drop(app.wait_for_end(&id).await),
                _ => {
                    let wait = Duration::from_secs_f64(wait_ms * index as f64 / 10_000.0);
                    tokio::time::sleep(wait).await;
                }
            }
            let deleted = delete(&app, &app.key, &id).await;
            assert_eq!(deleted.status, 200, "it never loses: {}", deleted.body);
            let record = app.ask(app.get(&format!("/v1/content/{id}"))).await;
            assert_eq!(record.status, 404);
        });
        join_all(rounds).await;
        let before =
            std::mem::replace(&mut canceled, refunds(&app, &app.account_id, round * AT_ONCE));
        wait_ms *= if canceled - before > AT_ONCE / 2 { 2.0 } else { 0.7 };
    }
    nothing_is_stored(&app).await;
    assert!(canceled > 10 && canceled <= ROUNDS * 3 / 4, "both happen: {canceled} refunds");
}

async fn a_deletion_against_a_cancel_refunds_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (account, key) = app.account("10.000");
    for _ in 0..ROUNDS / AT_ONCE {
        let rounds = (0..AT_ONCE).map(async |_| {
            let id = submit(&app, &key, "sandbox/polling", 60_000).await;
            let cancel = app.post_as(&key, &format!("/v1/content/generation/cancel/{id}"));
            let (deleted, canceled) = tokio::join!(delete(&app, &key, &id), app.ask(cancel));
            assert_eq!(deleted.status, 200, "{}", deleted.body);
            match canceled.status.as_u16() {
                200 => assert_eq!(canceled.data()["credits_refunded"], true),
                409 => {
                    assert_eq!(canceled.body["error"]["details"]["generation_status"], "canceled")
                }
                404 => assert_eq!(canceled.code(), "BSE2012"),
                other => panic!("{other}: {}", canceled.body),
            }
        });
        join_all(rounds).await;
    }
    assert_eq!(refunds(&app, &account, ROUNDS), ROUNDS);
    let list = app.ask(app.get_as(&key, "/v1/content/list")).await;
    assert_eq!(list.body["total"], 0);
}

async fn a_deletion_cut_short_by_a_kill_is_completed_by_repeating_it(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let (_, key) = app.account("10.000");
    for round in 0..8_u64 {
        let ids = join_all((0..10).map(|_| submit(&app, &key, "sandbox/inline", 0))).await;
        let deletions: Vec<_> = ids
            .iter()
            .map(|id| {
                let url = format!("{}/v1/content/{id}", app.url);
                let request = app.client.delete(url).bearer_auth(&key);
                // The server dies on some of them.
                tokio::spawn(async move { request.send().await.ok().map(|it| it.status()) })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(round * 2)).await;
        app.kill();
        let answers = join_all(deletions).await;
        app.start_again();
        for (id, answer) in ids.iter().zip(answers) {
            let again = delete(&app, &key, id).await;
            match answer.unwrap() {
                Some(status) => {
                    assert_eq!(
                        (status.as_u16(), again.code()),
                        (200, "BSE2012"),
                        "what was said holds"
                    );
                }
                None => assert!([200, 404].contains(&again.status.as_u16()), "{}", again.body),
            }
        }
        nothing_is_stored(&app).await;
    }
    let list: Value = app.ask(app.get_as(&key, "/v1/content/list")).await.body;
    assert_eq!(list["total"], 0);
}
