//! How much an account may ask for in a minute.

use std::time::{Duration, Instant};

use chrono::DateTime;
use futures_util::future::join_all;
use serde_json::json;

use crate::on_both;
use crate::support::app::{Answer, TestApp};
use crate::support::database::Backend;
use crate::support::wait;

on_both!(
    of_two_hundred_requests_at_once_as_many_pass_as_are_left,
    of_many_generations_at_once_as_many_are_made_as_are_left,
    what_is_refused_for_a_cap_counts_nothing_and_a_repetition_only_its_request,
    a_changed_plan_counts_within_a_second,
    the_limits_are_on_every_authenticated_answer,
);

fn header(answer: &Answer, name: &str) -> i64 {
    answer.headers[name].to_str().unwrap().parse().unwrap()
}

/// How many were answered and how many refused for the limit; nothing else may have happened.
fn passed_and_refused(answers: &[Answer], limit: u32) -> (usize, usize) {
    let refused = answers.iter().filter(|answer| answer.status == 429);
    for answer in refused.clone() {
        assert_eq!(answer.code(), "BSE1005");
        assert_eq!(answer.body["error"]["retryable"], true);
        let details = &answer.body["error"]["details"];
        let wait = details["retry_after_seconds"].as_i64().unwrap();
        assert!((1..=60).contains(&wait), "{details}");
        assert_eq!(*details, json!({ "retry_after_seconds": wait, "limit": limit }));
        assert_eq!(header(answer, "retry-after"), wait);
        assert_eq!(header(answer, "x-ratelimit-limit"), i64::from(limit));
        assert_eq!(header(answer, "x-ratelimit-remaining"), 0);
    }
    let passed = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(passed + refused.clone().count(), answers.len());
    (passed, refused.count())
}

async fn of_two_hundred_requests_at_once_as_many_pass_as_are_left(backend: Backend) {
    let limit = ("plan_enterprise.requests_per_minute", "30");
    let app = TestApp::start_with(backend, &[limit]).await;
    let other = app.new_key("full_access", &[]).text;
    let keys = [&app.key, &other];
    let ask = |number: usize| app.ask(app.get_as(keys[number % 2], "/v1/status"));
    let first = join_all((0..20).map(ask)).await;
    assert_eq!(passed_and_refused(&first, 30), (20, 0));
    let burst = join_all((0..200).map(ask)).await;
    assert_eq!(passed_and_refused(&burst, 30), (10, 190), "both keys share what is left");
    // Another account has its own.
    let (_, stranger) = app.account("1");
    app.ask(app.get_as(&stranger, "/v1/status")).await.data();
}

async fn of_many_generations_at_once_as_many_are_made_as_are_left(backend: Backend) {
    let settings = [
        ("plan_enterprise.generations_per_minute", "10"),
        ("plan_enterprise.requests_per_minute", "1000"),
    ];
    let app = TestApp::start_with(backend, &settings).await;
    let burst = join_all((0..60).map(|_| app.generate("sandbox/inline", json!({})))).await;
    assert_eq!(passed_and_refused(&burst, 10), (10, 50));
    let reserves = app.ledger(&app.account_id);
    assert_eq!(reserves.iter().filter(|entry| entry["type"] == "reserve").count(), 10);
    // What was refused took no request either.
    let status = app.ask(app.get("/v1/status")).await;
    assert_eq!(header(&status, "x-ratelimit-remaining"), 1000 - 10 - 1);
    // A body that is no good never became a generation.
    let bad = app.generate("sandbox/inline", json!({ "generation_ratio": "7:5" })).await;
    assert_eq!(bad.code(), "BSE2001");
}

async fn what_is_refused_for_a_cap_counts_nothing_and_a_repetition_only_its_request(
    backend: Backend,
) {
    let settings = [
        ("plan_enterprise.generations_per_minute", "10"),
        ("plan_enterprise.requests_per_minute", "1000"),
        ("plan_enterprise.images_in_flight_max", "1"),
        ("generation.answer_timeout_ms", "300"),
    ];
    let app = TestApp::start_with(backend, &settings).await;
    let body = json!({ "generation_prompt": "slow", "generation_sandbox_latency_ms": 600_000 });
    let path = "/v1/generate/image/sandbox/polling";
    let ask =
        |key: &'static str| app.ask(app.post(path).header("idempotency-key", key).json(&body));
    let left = |answer: &Answer| header(answer, "x-ratelimit-remaining");
    let requests_left = async || left(&app.ask(app.get("/v1/status")).await);
    let first = ask("one").await;
    first.data();
    assert_eq!((left(&first), requests_left().await), (9, 998));
    for _ in 0..20 {
        let capped = ask("other").await;
        assert_eq!((capped.code(), left(&capped)), ("BSE1009", 9));
    }
    assert_eq!(requests_left().await, 997);
    for _ in 0..20 {
        let again = ask("one").await;
        assert_eq!(again.headers["idempotency-replayed"], "true");
        assert_eq!((again.generation_id(), left(&again)), (first.generation_id(), 9));
    }
    assert_eq!(requests_left().await, 976);
    app.ask(app.post(&format!("/v1/content/generation/cancel/{}", first.generation_id()))).await;
}

async fn a_changed_plan_counts_within_a_second(backend: Backend) {
    let settings =
        [("plan_enterprise.requests_per_minute", "5"), ("plan_scale.requests_per_minute", "1000")];
    let app = TestApp::start_with(backend, &settings).await;
    let ask = async || app.ask(app.get("/v1/status")).await;
    for _ in 0..5 {
        ask().await.data();
    }
    assert_eq!(ask().await.code(), "BSE1005");
    app.execute("UPDATE accounts SET plan = 'scale'").await;
    let changed = Instant::now();
    wait::until("the new plan counts", async || {
        // What was asked after the second that is promised has to be answered by the new plan,
        // however long a busy machine takes for the answer.
        let asked = changed.elapsed();
        if ask().await.status == 200 {
            return Some(());
        }
        assert!(asked < Duration::from_secs(1), "asked after {asked:?}");
        None
    })
    .await;
}

async fn the_limits_are_on_every_authenticated_answer(backend: Backend) {
    let settings = [
        ("plan_enterprise.generations_per_minute", "200"),
        ("plan_enterprise.requests_per_minute", "600"),
    ];
    let app = TestApp::start_with(backend, &settings).await;
    let monitor = app.new_key("monitor_only", &[]).text;
    let shown = |answer: &Answer| {
        let date = answer.headers["date"].to_str().unwrap();
        let now = DateTime::parse_from_rfc2822(date).unwrap().timestamp();
        let reset = header(answer, "x-ratelimit-reset") - now;
        assert!((0..=62).contains(&reset), "{reset}");
        let text = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        assert!(text("ratelimit-policy").contains(r#""requests";q=600;w=60"#));
        assert!(text("ratelimit").contains(r#""requests";r="#));
        (header(answer, "x-ratelimit-limit"), header(answer, "x-ratelimit-remaining"))
    };
    assert_eq!(shown(&app.ask(app.get("/v1/status")).await), (600, 599));
    assert_eq!(shown(&app.generate("sandbox/inline", json!({})).await), (200, 199));
    assert_eq!(shown(&app.generate("sandbox/none", json!({})).await), (200, 199));
    assert_eq!(shown(&app.ask(app.get("/v1/content/x")).await), (600, 596));
    let refused = app.ask(app.get_as(&monitor, "/v1/status")).await;
    assert_eq!((refused.code(), shown(&refused)), ("BSE1003", (600, 596)));
    let stranger = app.ask(app.client.get(format!("{}/v1/status", app.url))).await;
    assert!(stranger.headers.keys().all(|name| !name.as_str().contains("ratelimit")));
}
