//! Providers call back: the emulator signs and calls, and the server believes what it has to.

use serde_json::{Value, json};

use crate::emulator::Emulator;
use crate::support::app::{Answer, TestApp};
use crate::support::receiver::{Received, Receiver};
use crate::support::relay::Relay;
use crate::support::wait;

/// Nobody is polled within the time of a story.
const NO_POLLS: [(&str, &str); 2] =
    [("generation.poll_initial_ms", "600000"), ("generation.poll_max_ms", "600000")];
const SIGNING: [&str; 2] = ["replicate", "fal"];

async fn start(app: &TestApp, provider: &str) -> String {
    let made = app.generate("bfl/flux-schnell", json!({ "generation_provider_order": provider }));
    made.await.generation_id()
}

fn polls(asked: &[String]) -> usize {
    asked.iter().filter(|line| line.contains("/predictions/") || line.contains("/status")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_callback_brings_the_result_however_it_comes() {
    let (emulator, relay) = (Emulator::instant(""), Relay::start().await);
    let settings = [&NO_POLLS[..], &[("server.public_url", relay.url.as_str())]].concat();
    let app = emulator.app(&settings).await;
    relay.lead_to(&app.url);
    for provider in SIGNING {
        for (fault, answers) in [
            (json!({}), vec![200]),
            (json!({ "duplicate_callback": 1 }), vec![200, 200]),
            (json!({ "forged_callback": 1 }), vec![401, 200]),
            (json!({ "early_callback": 1 }), vec![200]),
        ] {
            emulator.reset().await;
            let mut faults = fault.clone();
            faults["latency_scale"] = json!(0);
            emulator.set_faults(provider, faults).await;
            let id = start(&app, provider).await;
            let record = app.wait_for_end(&id).await;
            assert_eq!(record["generation_status"], "succeeded", "{provider} {fault}: {record}");
            let called = wait::until("it has called", async || {
                let called = emulator.called(provider).await;
                (called.len() >= answers.len()).then_some(called)
            });
            assert_eq!(called.await, answers, "{provider} {fault}");
            assert_eq!(polls(&emulator.asked(provider).await), 0, "{provider} {fault}");
            assert_eq!(app.movements(&app.account_id, &id), ["reserve", "charge"]);
        }
    }
    // Nobody signs for BytePlus: what it says is a reason to ask.
    let made = app.generate(
        "bytedance/seedance-1-pro",
        json!({ "generation_provider_order": "byteplus", "generation_duration": 5 }),
    );
    let record = app.wait_for_end(&made.await.generation_id()).await;
    assert_eq!(record["generation_status"], "succeeded", "{record}");
    let asked = emulator.asked("byteplus").await;
    assert!(
        asked.iter().any(|line| line.starts_with("GET") && line.contains("/tasks/")),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_is_nothing_to_anybody_but_the_attempt_that_it_is_for() {
    let (emulator, receiver) = (Emulator::quick(""), Receiver::start());
    let public_url = receiver.url.trim_end_matches("/hook").to_owned();
    let settings = [&NO_POLLS[..], &[("server.public_url", public_url.as_str())]].concat();
    let app = emulator.app(&settings).await;
    for (index, provider) in SIGNING.into_iter().enumerate() {
        let mut started = Vec::new();
        for number in 1..=2 {
            let id = start(&app, provider).await;
            let calls = receiver.wait_for_count(index * 2 + number).await;
            let call = calls.last().unwrap().clone();
            assert!(call.path.contains(&id), "{}", call.path);
            started.push((id, call));
        }
        let [(first, call), (_, foreign)] = started.try_into().unwrap();
        let (head, token) = call.path.rsplit_once('/').unwrap();
        let (attempt, rest) = (head.rsplit_once('/').unwrap().0, token);
        let other = if token.starts_with('0') { "1" } else { "0" };
        let changed = Received { body: call.body.replacen('e', "E", 1), ..call.clone() };
        let stale = with_timestamp(&call, "1700000000");
        let unsigned = Received { headers: Vec::new(), ..call.clone() };
        for (what, path, call, status) in [
            ("changed", &call.path, &changed, 401),
            ("stale", &call.path, &stale, 401),
            ("unsigned", &call.path, &unsigned, 401),
            ("for another attempt", &format!("{attempt}/2/{rest}"), &call, 404),
            ("with another token", &format!("{head}/{other}{}", &token[1..]), &call, 404),
            ("without a token", &format!("{head}/"), &call, 404),
            ("of another generation", &call.path, &foreign, 404),
        ] {
            let answer = post(&app, path, call).await;
            assert_eq!(answer.status, status, "{provider}: {what}: {}", answer.body);
        }
        assert_eq!(app.record(&first).await["generation_status"], "processing");
        assert_eq!(post(&app, &call.path, &call).await.status, 200);
        let record = app.wait_for_end(&first).await;
        assert_eq!(record["generation_status"], "succeeded", "{record}");
        // Replayed, and after the end.
        for _ in 0..2 {
            assert_eq!(post(&app, &call.path, &call).await.status, 200);
        }
        assert_eq!(app.movements(&app.account_id, &first), ["reserve", "charge"]);
        assert_eq!(post(&app, &foreign.path, &foreign).await.status, 200);
    }
}

fn with_timestamp(call: &Received, timestamp: &str) -> Received {
    let mut call = call.clone();
    for (name, value) in &mut call.headers {
        if name.ends_with("-timestamp") {
            timestamp.clone_into(value);
        }
    }
    call
}

async fn post(app: &TestApp, path: &str, call: &Received) -> Answer {
    let mut request = app.client.post(format!("{}{path}", app.url)).body(call.body.clone());
    for (name, value) in &call.headers {
        if name.starts_with("webhook-") || name.starts_with("x-fal-") {
            request = request.header(name, value);
        }
    }
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_whose_clock_is_an_hour_off_is_not_believed_and_polled() {
    let emulator = Emulator::quick("clock_offset_seconds = 3600\n");
    let relay = Relay::start().await;
    let settings = [("server.public_url", relay.url.as_str()), ("generation.poll_max_ms", "500")];
    let app = emulator.app(&settings).await;
    relay.lead_to(&app.url);
    for provider in SIGNING {
        let record = app.wait_for_end(&start(&app, provider).await).await;
        assert_eq!(record["generation_status"], "succeeded", "{provider}: {record}");
        let called = emulator.called(provider).await;
        assert!(called.iter().all(|status| *status == 401), "{provider}: {called:?}");
        assert!(polls(&emulator.asked(provider).await) > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_cannot_call_answers_with_the_image() {
    let emulator = Emulator::instant("");
    let app = emulator.app(&NO_POLLS).await;
    for (provider, line) in [
        ("replicate", "POST /replicate/v1/models/black-forest-labs/flux-schnell/predictions"),
        ("fal", "POST /fal/run/fal-ai/flux/schnell"),
    ] {
        let made =
            app.generate("bfl/flux-schnell", json!({ "generation_provider_order": provider }));
        let made = made.await;
        let record = app.wait_for_end(&made.generation_id()).await;
        assert_eq!(record["generation_status"], "succeeded", "{record}");
        let asked = emulator.asked(provider).await;
        assert_eq!((asked[0].as_str(), polls(&asked)), (line, 0), "{asked:?}");
    }
    let job: Value = app.show(
        &app.generate("bfl/flux-schnell", json!({ "generation_provider_order": "replicate" }))
            .await
            .generation_id(),
    );
    let id = job["generation_prediction_id"].as_str().unwrap();
    assert_eq!(id.len(), 26, "the provider's own name of it: {id}");
}
