//! Requests that happen once (`spec/contract.md` 5).

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};
use crate::support::database::Backend;
use crate::support::wait;

crate::on_both!(
    a_repetition_is_answered_byte_for_byte_and_makes_nothing,
    another_body_is_a_conflict_and_another_order_of_members_is_not,
    a_key_belongs_to_its_account_and_route,
    a_malformed_key_is_refused_before_anything_happens,
    a_thousand_at_once_make_one_generation,
    while_the_first_is_being_answered_others_are_told_to_wait,
    a_canceled_generation_is_told_as_canceled,
    what_is_canceled_while_one_waits_for_it_is_told_as_its_repetition,
    the_key_of_a_deleted_generation_stays_used,
    a_failure_worth_another_try_frees_the_key,
    a_final_failure_is_told_again,
    a_refusal_leaves_the_key_free,
    a_request_whose_server_was_killed_is_answered_by_the_next,
);

const INLINE: &str = "/v1/generate/image/sandbox/inline";
const POLLING: &str = "/v1/generate/image/sandbox/polling";

fn body(fields: Value) -> Value {
    let mut body = json!({ "generation_prompt": "once" });
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn claimed(app: &TestApp, path: &str, key: &str, fields: Value) -> RequestBuilder {
    app.post(path).header("Idempotency-Key", key).json(&body(fields))
}

fn replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

fn reserves(app: &TestApp) -> usize {
    app.ledger(&app.account_id).iter().filter(|entry| entry["type"] == "reserve").count()
}

async fn a_repetition_is_answered_byte_for_byte_and_makes_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ask = || claimed(&app, INLINE, "order:4711:cover", json!({})).send();
    let first = ask().await.unwrap();
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let first = first.bytes().await.unwrap();
    let id = serde_json::from_slice::<Value>(&first).unwrap()["data"]["generation_id"].clone();
    app.wait_for_end(id.as_str().unwrap()).await;
    for _ in 0..3 {
        let again = ask().await.unwrap();
        assert_eq!(
            (again.status(), &again.headers()["idempotency-replayed"]),
            (200.try_into().unwrap(), &"true".try_into().unwrap())
        );
        assert_eq!(again.bytes().await.unwrap(), first);
    }
    assert_eq!(reserves(&app), 1);
}

async fn another_body_is_a_conflict_and_another_order_of_members_is_not(backend: Backend) {
    let app = TestApp::start(backend).await;
    let post = |text: &'static str| {
        let request = app.post(INLINE).header("Idempotency-Key", "k");
        app.ask(request.header("Content-Type", "application/json").body(text))
    };
    let first = post(r#"{"generation_prompt":"a","generation_ratio":"1:1"}"#).await;
    let same = post(r#"{ "generation_ratio": "1:1", "generation_prompt": "a" }"#).await;
    assert!(replayed(&same));
    assert_eq!(first.body, same.body);
    let other = post(r#"{"generation_prompt":"b","generation_ratio":"1:1"}"#).await;
    assert_eq!((other.status.as_u16(), other.code()), (409, "BSE2015"));
    assert_eq!(other.body["error"]["retryable"], false);
    assert_eq!(reserves(&app), 1);
}

async fn a_key_belongs_to_its_account_and_route(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (_, other_key) = app.account("1");
    let one = app.ask(claimed(&app, INLINE, "k", json!({}))).await;
    let two = app.ask(claimed(&app, POLLING, "k", json!({}))).await;
    let request = app.post_as(&other_key, INLINE).header("Idempotency-Key", "k");
    let three = app.ask(request.json(&body(json!({})))).await;
    let ids = [&one, &two, &three].map(Answer::generation_id);
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    assert!(![one, two, three].iter().any(replayed));
}

async fn a_malformed_key_is_refused_before_anything_happens(backend: Backend) {
    let app = TestApp::start(backend).await;
    for key in ["", "a b", "a/b", &"x".repeat(256)] {
        let refused = app.ask(claimed(&app, INLINE, key, json!({}))).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "BSE2001"), "{key:?}");
        assert_eq!(refused.body["error"]["details"]["field"], "Idempotency-Key");
    }
    let twice = claimed(&app, INLINE, "a", json!({})).header("Idempotency-Key", "b");
    assert_eq!(app.ask(twice).await.code(), "BSE2001");
    assert_eq!(reserves(&app), 0);
    app.ask(claimed(&app, INLINE, &"x".repeat(255), json!({}))).await.data();
}

async fn a_thousand_at_once_make_one_generation(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ask = || app.ask(claimed(&app, INLINE, "storm", json!({})));
    let answers = join_all((0..1000).map(|_| ask())).await;
    let (mut made, mut first) = (0, None);
    for answer in &answers {
        match answer.status.as_u16() {
            200 => {
                made += usize::from(!replayed(answer));
                first.get_or_insert(&answer.body);
                assert_eq!(first, Some(&answer.body));
            }
            409 => {
                assert_eq!(answer.code(), "BSE2016");
                assert_eq!(answer.body["error"]["retryable"], true);
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!((made, reserves(&app)), (1, 1));
    assert!(replayed(&ask().await));
}

async fn while_the_first_is_being_answered_others_are_told_to_wait(backend: Backend) {
    let app = TestApp::start(backend).await;
    let slow = json!({ "generation_sandbox_latency_ms": 5000 });
    let ask = || app.ask(claimed(&app, INLINE, "slow", slow.clone()));
    let (first, waiting) = tokio::join!(ask(), async {
        wait::until("the first has begun", async || {
            let list = app.ask(app.get("/v1/content/list")).await;
            (list.body["total"] == 1).then_some(())
        })
        .await;
        ask().await
    });
    assert_eq!((waiting.status.as_u16(), waiting.code()), (409, "BSE2016"));
    assert_eq!(
        waiting.body["error"]["message"],
        "A request with this Idempotency-Key is still being processed. Retry once the original \
         request completes."
    );
    assert_eq!(waiting.headers["retry-after"], "2");
    let again = ask().await;
    assert!(replayed(&again));
    assert_eq!(again.body, first.body);
    assert_eq!(reserves(&app), 1);
}

async fn a_canceled_generation_is_told_as_canceled(backend: Backend) {
    let app = TestApp::start(backend).await;
    let hang = json!({ "generation_sandbox_outcome": "hang" });
    let first = app.ask(claimed(&app, POLLING, "k", hang.clone())).await;
    let id = first.generation_id();
    app.ask(app.post(&format!("/v1/content/generation/cancel/{id}"))).await.data();
    let again = app.ask(claimed(&app, POLLING, "k", hang)).await;
    assert!(replayed(&again));
    assert_eq!(*again.data(), json!({ "generation_id": id, "generation_status": "canceled" }));
    assert_eq!(reserves(&app), 1);
}

async fn what_is_canceled_while_one_waits_for_it_is_told_as_its_repetition(backend: Backend) {
    let app = TestApp::start(backend).await;
    let hang = json!({ "generation_sandbox_outcome": "hang" });
    let ask = || claimed(&app, POLLING, "k", hang.clone()).header("Prefer", "wait=30");
    let cancel = async {
        let id = wait::until("a provider has the job", async || {
            let list = app.ask(app.get("/v1/content/list")).await;
            let first = &list.data()["generations"][0];
            let taken = first["generation_status"] == "processing";
            taken.then(|| first["generation_id"].as_str().unwrap().to_owned())
        })
        .await;
        app.ask(app.post(&format!("/v1/content/generation/cancel/{id}"))).await.data();
        id
    };
    let (waited, id) = tokio::join!(app.ask(ask()), cancel);
    let canceled = json!({ "generation_id": id, "generation_status": "canceled" });
    assert_eq!(*waited.data(), canceled);
    assert_eq!(*app.ask(ask()).await.data(), canceled);
}

async fn the_key_of_a_deleted_generation_stays_used(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ask = || claimed(&app, INLINE, "k", json!({})).header("Prefer", "wait=30");
    let id = app.ask(ask()).await.generation_id();
    let url = format!("{}/v1/content/{id}", app.url);
    app.ask(app.client.delete(url).bearer_auth(&app.key)).await.data();
    for _ in 0..2 {
        let again = app.ask(ask()).await;
        assert_eq!((again.status.as_u16(), again.code()), (404, "BSE2012"), "{again:?}");
    }
    let other = app.ask(claimed(&app, INLINE, "k", json!({ "generation_prompt": "twice" }))).await;
    assert_eq!(other.status.as_u16(), 409);
    assert_eq!(reserves(&app), 1);
}

async fn a_failure_worth_another_try_frees_the_key(backend: Backend) {
    let app = TestApp::start(backend).await;
    let limited = json!({ "generation_sandbox_outcome": "rate_limit" });
    for attempt in 1..=2 {
        let failed = app.ask(claimed(&app, POLLING, "k", limited.clone())).await;
        assert_eq!(failed.body["error"]["retryable"], true, "{failed:?}");
        assert!(!replayed(&failed));
        assert_eq!(reserves(&app), attempt);
    }
}

async fn a_final_failure_is_told_again(backend: Backend) {
    let app = TestApp::start(backend).await;
    let moderated = json!({ "generation_sandbox_outcome": "moderate" });
    let ask = || app.ask(claimed(&app, POLLING, "k", moderated.clone()));
    let first = ask().await;
    assert_eq!((first.status.as_u16(), first.code()), (422, "BSE2006"), "{first:?}");
    assert!(!replayed(&first));
    let again = ask().await;
    assert!(replayed(&again));
    assert_eq!((again.status, &again.body["error"]), (first.status, &first.body["error"]));
    assert_eq!(reserves(&app), 1);
}

async fn a_refusal_leaves_the_key_free(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (account, key) = app.account("0.000");
    let ask = || {
        let request = app.post_as(&key, INLINE).header("Idempotency-Key", "k");
        app.ask(request.json(&body(json!({}))))
    };
    assert_eq!(ask().await.code(), "BSE1004");
    app.cli(&[
        "credit",
        "add",
        "--account",
        &account,
        "--amount",
        "1",
        "--key",
        "top-up",
        "--description",
        "a top-up",
    ]);
    let made = ask().await;
    assert!(!replayed(&made));
    made.data();
}

async fn a_request_whose_server_was_killed_is_answered_by_the_next(backend: Backend) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let settings = [("sandbox.submissions_log", log.path().to_str().unwrap())];
    let mut app = TestApp::start_with(backend, &settings).await;
    let slow = json!({ "generation_sandbox_latency_ms": 3000 });
    let request = claimed(&app, INLINE, "killed", slow.clone());
    let first = tokio::spawn(request.timeout(Duration::from_secs(10)).send());
    let submitted = || std::fs::read_to_string(log.path()).unwrap().lines().count();
    wait::until("it was submitted", async || (submitted() == 1).then_some(())).await;
    app.kill();
    assert!(first.await.unwrap().is_err());
    app.start_again();
    let again = wait::until("somebody knows what it came to", async || {
        let answer = app.ask(claimed(&app, INLINE, "killed", slow.clone())).await;
        (answer.status.as_u16() != 409).then_some(answer)
    })
    .await;
    assert!(replayed(&again), "{again:?}");
    app.wait_for_end(&again.generation_id()).await;
    assert_eq!((submitted(), reserves(&app)), (1, 1));
}
