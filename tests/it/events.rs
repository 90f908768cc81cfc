//! Watching a generation: event streams, and a POST that waits.

use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::{Answer, TestApp};
use crate::support::database::Backend;
use crate::support::wait;

on_both!(
    a_stream_tells_a_life_and_ends_with_it,
    a_stream_tells_attempts_to_who_asks,
    a_stream_that_was_cut_off_goes_on_where_it_was,
    a_deletion_and_a_stop_end_streams,
    streams_are_bounded,
    a_post_that_waits_answers_the_finished_record,
    a_client_that_does_not_wait_for_its_wait_loses_nothing,
    a_repetition_of_a_post_that_waits_gets_what_was_answered,
);

/// A stream as a client reads it.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(app: &TestApp, key: &str, id: &str, last: Option<&str>) -> Self {
        let mut request = app.get_as(key, &format!("/v1/content/{id}/events"));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        Self::of(request).await
    }

    async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    async fn until(&mut self, text: &str) {
        while !self.text.contains(text) {
            assert!(self.read().await, "it ended without {text:?}: {}", self.text);
        }
    }

    /// Everything up to the clean end.
    async fn end(mut self) -> Vec<Value> {
        while self.read().await {}
        let events = self.text.split("\n\n").filter_map(|event| {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            let data: Value = serde_json::from_str(field("data: ")?).unwrap();
            Some(json!({ "id": field("id: "), "event": field("event: "), "data": data }))
        });
        events.collect()
    }

    async fn read(&mut self) -> bool {
        let chunk = tokio::time::timeout(wait::LIMIT, self.response.chunk()).await;
        let chunk = chunk.unwrap_or_else(|_| panic!("nothing comes after {}", self.text));
        let Some(chunk) = chunk.unwrap() else { return false };
        self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        true
    }
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

async fn slow(app: &TestApp, latency_ms: u64) -> String {
    let fields = json!({ "generation_sandbox_latency_ms": latency_ms });
    app.generate("sandbox/polling", fields).await.generation_id()
}

async fn a_stream_tells_a_life_and_ends_with_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = slow(&app, 1000).await;
    let events = Stream::open(&app, &app.key, &id, None).await.end().await;
    assert_eq!(
        names(&events),
        ["generation.pending", "generation.started", "generation.completed"]
    );
    let record = app.record(&id).await;
    for (event, (status, time)) in events.iter().zip([
        ("pending", "generation_created_at"),
        ("processing", "generation_started_at"),
        ("succeeded", "generation_completed_at"),
    ]) {
        assert_eq!(event["data"]["generation_id"], id);
        assert_eq!(event["data"]["generation_status"], status);
        assert_eq!(event["data"]["timestamp"], record[time]);
    }
    assert_eq!(events[2]["data"]["generation"], record);
    assert_eq!(events[1]["data"]["generation"], Value::Null, "only the end has the record");
    // Failures and cancels are ends too.
    let failing = json!({ "generation_sandbox_outcome": "fail",
        "generation_sandbox_latency_ms": 500 });
    let id = app.generate("sandbox/polling", failing).await.generation_id();
    let events = Stream::open(&app, &app.key, &id, None).await.end().await;
    assert_eq!(names(&events).last(), Some(&"generation.failed"));
    let id = slow(&app, 60_000).await;
    let mut stream = Stream::open(&app, &app.key, &id, None).await;
    stream.until("generation.started").await;
    let canceled = app.ask(app.post(&format!("/v1/content/generation/cancel/{id}"))).await;
    canceled.data();
    assert_eq!(names(&stream.end().await).last(), Some(&"generation.canceled"));
    let (_, stranger) = app.account("1.000");
    for (key, id) in [(&stranger, &*id), (&app.key, "x")] {
        let missing = app.ask(app.get_as(key, &format!("/v1/content/{id}/events"))).await;
        assert_eq!((missing.status.as_u16(), missing.code()), (404, "BSE2012"));
    }
}

async fn a_stream_tells_attempts_to_who_asks(backend: Backend) {
    let app = TestApp::start(backend).await;
    let fields = json!({
        "generation_provider_order": "sandbox_polling, sandbox_webhook, sandbox_inline",
        "generation_sandbox_fail_providers": ["sandbox_polling"],
        // Long enough that the second attempt is under way when the stream is opened.
        "generation_sandbox_latency_ms": 4000,
    });
    let id = app.generate("sandbox/failover", fields).await.generation_id();
    let path = format!("/v1/content/{id}/events?attempts=true");
    let events = Stream::of(app.get(&path)).await.end().await;
    let attempts: Vec<&Value> = events
        .iter()
        .filter(|event| event["event"] == "generation.attempt")
        .inspect(|event| assert_eq!(event["id"], Value::Null, "the life has three ids"))
        .map(|event| &event["data"])
        .collect();
    let told: Vec<Value> = attempts
        .iter()
        .map(|it| json!([it["attempt_order"], it["provider"], it["outcome"]]))
        .collect();
    let expected = json!([
        [1, "sandbox_polling", "failed"],
        [2, "sandbox_webhook", "pending"],
        [2, "sandbox_webhook", "used"],
    ]);
    assert_eq!(Value::from(told), expected);
    assert!(attempts[0]["error"]["code"].as_str().unwrap().starts_with("BSE"));
    assert_eq!(attempts[1]["resolved_at"], Value::Null);
    assert!(attempts[2]["resolved_at"].is_string() && attempts[2].get("error").is_none());
    assert_eq!(names(&events).last(), Some(&"generation.completed"));
    let silent = Stream::open(&app, &app.key, &id, None).await.end().await;
    assert!(!names(&silent).contains(&"generation.attempt"));
}

async fn a_stream_that_was_cut_off_goes_on_where_it_was(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let id = slow(&app, 1500).await;
    let mut stream = Stream::open(&app, &app.key, &id, None).await;
    stream.until("generation.started").await;
    app.kill();
    app.start_again();
    let events = Stream::open(&app, &app.key, &id, Some("2")).await.end().await;
    assert_eq!((names(&events), &events[0]["id"]), (vec!["generation.completed"], &json!("3")));
    // The answer after which a browser does not come back.
    let path = format!("/v1/content/{id}/events");
    let nothing = app.ask(app.get(&path).header("Last-Event-ID", "3")).await;
    assert_eq!((nothing.status.as_u16(), nothing.body), (204, Value::Null));
}

async fn a_deletion_and_a_stop_end_streams(backend: Backend) {
    let settings = [("events.heartbeat_ms", "100"), ("server.shutdown_timeout_ms", "60000")];
    let mut app = TestApp::start_with(backend, &settings).await;
    let id = slow(&app, 60_000).await;
    let mut stream = Stream::open(&app, &app.key, &id, None).await;
    stream.until(": still here").await;
    let url = format!("{}/v1/content/{id}", app.url);
    let deleted = app.client.delete(url).bearer_auth(&app.key).send().await.unwrap();
    assert_eq!(deleted.status(), 200);
    let events = stream.end().await;
    // The cancel may be seen, or only that nothing is there any more.
    assert!((2..=3).contains(&events.len()), "{events:?}");

    let id = slow(&app, 60_000).await;
    let mut stream = Stream::open(&app, &app.key, &id, None).await;
    stream.until("generation.started").await;
    let body = json!({ "generation_prompt": "wait",
        "generation_sandbox_latency_ms": 60_000 });
    let request = app.post("/v1/generate/image/sandbox/polling").json(&body);
    let waiting = tokio::spawn(request.header("Prefer", "wait=60").send());
    wait::until("it has been accepted", async || {
        let list = app.ask(app.get("/v1/content/list")).await;
        (list.body["total"] == 2).then_some(())
    })
    .await;
    let began = Instant::now();
    assert!(app.stop().await.success());
    assert!(began.elapsed() < Duration::from_secs(30), "nobody was waited for");
    assert_eq!(names(&stream.end().await).len(), 2, "it ends cleanly");
    let answer = Answer::read(waiting.await.unwrap().unwrap()).await;
    assert_eq!(answer.data()["generation_initialized"], true);
    app.start_again();
}

async fn streams_are_bounded(backend: Backend) {
    let limits = [
        ("events.streams_max", "2"),
        ("events.streams_max_per_account", "1"),
        ("events.heartbeat_ms", "50"),
    ];
    let app = TestApp::start_with(backend, &limits).await;
    let id = slow(&app, 60_000).await;
    let path = format!("/v1/content/{id}/events");
    let _first = Stream::open(&app, &app.key, &id, None).await;
    let refused = app.ask(app.get(&path)).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "BSE1009"));
    assert!(refused.headers.contains_key("retry-after"));
    let other = async || {
        let (_, key) = app.account("1.000");
        let body = json!({ "generation_prompt": "other",
            "generation_sandbox_latency_ms": 60_000 });
        let request = app.post_as(&key, "/v1/generate/image/sandbox/polling").json(&body);
        (app.ask(request).await.generation_id(), key)
    };
    let (second, key) = other().await;
    let stream = Stream::open(&app, &key, &second, None).await;
    let (third, third_key) = other().await;
    let path = format!("/v1/content/{third}/events");
    let refused = app.ask(app.get_as(&third_key, &path)).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, "BSE3002"));
    assert!(refused.headers.contains_key("retry-after"));
    drop(stream);
    wait::until("the room of a client that has gone is free", async || {
        let answer = app.get_as(&third_key, &path).send().await.unwrap();
        (answer.status() == 200).then_some(())
    })
    .await;
}

async fn a_post_that_waits_answers_the_finished_record(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ask = async |wait: &str, outcome: &str, latency_ms: u64| {
        let body = json!({ "generation_prompt": "a boat",
            "generation_sandbox_outcome": outcome,
            "generation_sandbox_latency_ms": latency_ms });
        let request = app.post("/v1/generate/image/sandbox/webhook").json(&body);
        app.ask(request.header("Prefer", wait)).await
    };
    let finished = ask("wait=30", "succeed", 700).await;
    assert_eq!(
        (finished.status.as_u16(), &finished.headers["preference-applied"]),
        (200, &"wait=30".parse().unwrap())
    );
    let id = finished.data()["generation_id"].as_str().unwrap();
    assert_eq!(*finished.data(), app.record(id).await);
    assert_eq!(finished.data()["generation_status"], "succeeded");
    let failed = ask("respond-async, wait=90", "fail", 700).await;
    assert_eq!(failed.headers["preference-applied"], "wait=60");
    assert_eq!(failed.data()["generation_status"], "failed");
    assert!(failed.data()["generation_error_code"].is_string());
    let began = Instant::now();
    let running = ask("wait=1", "succeed", 60_000).await;
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(running.headers["preference-applied"], "wait=1");
    assert_eq!(running.data()["generation_initialized"], true);
    let ordinary = ask("wait=soon", "succeed", 60_000).await;
    assert!(!ordinary.headers.contains_key("preference-applied"));
    assert_eq!(ordinary.data()["generation_initialized"], true);
}

async fn a_client_that_does_not_wait_for_its_wait_loses_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body = json!({ "generation_prompt": "impatient",
        "generation_sandbox_latency_ms": 1000 });
    let request = app.post("/v1/generate/image/sandbox/polling").json(&body);
    let waiting = tokio::spawn(request.header("Prefer", "wait=60").send());
    let id = wait::until("it has been accepted", async || {
        let list = app.ask(app.get("/v1/content/list")).await;
        let record = list.data()["generations"].get(0)?.clone();
        Some(record["generation_id"].as_str().unwrap().to_owned())
    })
    .await;
    waiting.abort();
    assert_eq!(app.wait_for_end(&id).await["generation_status"], "succeeded");
    assert_eq!(app.movements(&app.account_id, &id), ["reserve", "charge"]);
}

async fn a_repetition_of_a_post_that_waits_gets_what_was_answered(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ask = async |key: &str, latency_ms: u64, wait: &str| {
        let body = json!({ "generation_prompt": "once",
            "generation_sandbox_latency_ms": latency_ms });
        let request = app.post("/v1/generate/image/sandbox/polling").json(&body);
        app.ask(request.header("Idempotency-Key", key).header("Prefer", wait)).await
    };
    let in_time = ask("in-time", 300, "wait=20").await;
    assert_eq!(in_time.data()["generation_status"], "succeeded");
    let too_late = ask("too-late", 60_000, "wait=1").await;
    assert_eq!(too_late.data()["generation_initialized"], true);
    for (key, latency_ms, wait, first) in
        [("in-time", 300, "wait=20", in_time), ("too-late", 60_000, "wait=1", too_late)]
    {
        let again = ask(key, latency_ms, wait).await;
        assert_eq!(again.headers["idempotency-replayed"], "true");
        assert_eq!(again.body.to_string(), first.body.to_string());
    }
    assert_eq!(app.ask(app.get("/v1/content/list")).await.body["total"], 2);
}
