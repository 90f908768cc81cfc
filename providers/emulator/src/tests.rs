//! What depends on time: a clock that is set by hand, and the wires without HTTP.

use std::sync::{Arc, Mutex};

use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use providers::clock::Clock;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::call::Call;
use crate::house::House;
use crate::settings::{Provider, Settings};
use crate::{media, server, wire};

struct ManualClock(Mutex<DateTime<Utc>>);

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// An emulator without HTTP.
struct Bench {
    house: Arc<House>,
    clock: Arc<ManualClock>,
}

const ORIGIN: &str = "http://emulator";

impl Bench {
    fn new(settings: &str) -> Self {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Arc::new(ManualClock(Mutex::new(start)));
        let settings: Settings = toml::from_str(&format!("seed = 1\n{settings}")).unwrap();
        let house = House::new(settings, Arc::clone(&clock) as _).unwrap();
        Self { house: Arc::new(house), clock }
    }

    fn pass(&self, time: TimeDelta) {
        *self.clock.0.lock().unwrap() += time;
    }

    async fn ask(&self, line: &str, key: &str, body: Value) -> (u16, Value) {
        let (method, rest) = line.split_once(' ').unwrap();
        let (name, rest) = rest.split_once('/').unwrap();
        let provider = Provider::parse(name).unwrap();
        let call = call(provider, method, rest, key, &body);
        let target = wire::of(provider).target(&call);
        let answer = server::keyed(&self.house, provider, &call, target).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// The status of a file.
    async fn fetch(&self, url: &str) -> u16 {
        let rest = url.strip_prefix(ORIGIN).unwrap().strip_prefix("/files/").unwrap();
        let (name, rest) = rest.split_once('/').unwrap();
        let provider = Provider::parse(name).unwrap();
        let call = call(provider, "GET", rest, "", &Value::Null);
        media::serve(&self.house, provider, &call).await.status
    }
}

fn call(provider: Provider, method: &str, rest: &str, key: &str, body: &Value) -> Call {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    };
    set("authorization", key);
    set("x-key", key);
    set("x-runway-version", "2024-11-06");
    set("x-dashscope-async", "enable");
    Call {
        method: method.parse::<Method>().unwrap(),
        path: path.split('/').map(str::to_owned).collect(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers,
        body: Bytes::from(body.to_string()),
        base: format!("{ORIGIN}/{}", provider.as_str()),
    }
}

fn prompt() -> Value {
    json!({ "prompt": "a fox", "width": 64, "height": 64 })
}

#[tokio::test]
async fn the_picture_of_black_forest_labs_is_gone_after_ten_minutes() {
    let bench = Bench::new("[providers.bfl.faults]\nlatency_scale = 0");
    let (_, task) = bench.ask("POST bfl/v1/flux-2-pro", "k", prompt()).await;
    let line = format!("GET bfl/v1/get_result?id={}", task["id"].as_str().unwrap());
    let (_, ready) = bench.ask(&line, "", Value::Null).await;
    let url = ready["result"]["sample"].as_str().unwrap();
    assert_eq!(bench.fetch(url).await, 200);
    bench.pass(TimeDelta::seconds(599));
    assert_eq!(bench.fetch(url).await, 200);
    bench.pass(TimeDelta::seconds(1));
    assert_eq!(bench.fetch(url).await, 403);
}

#[tokio::test]
async fn black_forest_labs_refuses_what_is_beyond_24_tasks() {
    let bench = Bench::new("");
    for _ in 0..24 {
        assert_eq!(bench.ask("POST bfl/v1/flux-2-pro", "k", prompt()).await.0, 200);
    }
    assert_eq!(bench.ask("POST bfl/v1/flux-2-pro", "k", prompt()).await.0, 429);
    assert_eq!(bench.ask("POST bfl/v1/flux-2-pro", "other", prompt()).await.0, 200);
    bench.pass(TimeDelta::minutes(5));
    assert_eq!(bench.ask("POST bfl/v1/flux-2-pro", "k", prompt()).await.0, 200);
}

#[tokio::test]
async fn the_data_of_a_prediction_is_removed_after_an_hour() {
    let bench = Bench::new("");
    let asked = json!({ "input": { "prompt": "a fox" } });
    let line = "POST replicate/v1/models/black-forest-labs/flux-schnell/predictions";
    let (status, made) = bench.ask(line, "Bearer k", asked).await;
    assert_eq!((status, &made["status"]), (201, &json!("starting")));
    let line = format!("GET replicate/v1/predictions/{}", made["id"].as_str().unwrap());
    bench.pass(TimeDelta::minutes(5));
    let (_, done) = bench.ask(&line, "Bearer k", Value::Null).await;
    assert_eq!((&done["status"], &done["data_removed"]), (&json!("succeeded"), &json!(false)));
    assert_eq!(done["output"].as_array().unwrap().len(), 1);
    bench.pass(TimeDelta::hours(1));
    let (_, late) = bench.ask(&line, "Bearer k", Value::Null).await;
    assert_eq!((&late["status"], &late["data_removed"]), (&json!("succeeded"), &json!(true)));
    assert_eq!((&late["output"], &late["input"]), (&Value::Null, &json!({})));
    let stranger = bench.ask(&line, "Bearer other", Value::Null).await;
    assert_eq!(stranger.0, 404);
}

#[tokio::test]
async fn fal_keeps_what_is_beyond_its_concurrency_in_the_queue() {
    let bench = Bench::new("[providers.fal]\nconcurrency = 2\nrun_ms = 10000\nqueue_ms = 0");
    let mut urls = Vec::new();
    for _ in 0..4 {
        let line = "POST fal/queue/fal-ai/flux/schnell";
        let (status, made) = bench.ask(line, "Key a:b", prompt()).await;
        assert_eq!(status, 200);
        let url = made["status_url"].as_str().unwrap().to_owned();
        // The sub-path of the app is dropped.
        assert!(url.contains("/fal/queue/fal-ai/flux/requests/"), "{url}");
        urls.push(url.strip_prefix(ORIGIN).unwrap()[1..].to_owned());
    }
    let states = async || {
        let mut states = Vec::new();
        for url in &urls {
            let (_, state) = bench.ask(&format!("GET {url}"), "Key a:b", Value::Null).await;
            states.push(state["status"].as_str().unwrap().to_owned());
        }
        states
    };
    bench.pass(TimeDelta::seconds(1));
    assert_eq!(states().await, ["IN_PROGRESS", "IN_PROGRESS", "IN_QUEUE", "IN_QUEUE"]);
    bench.pass(TimeDelta::minutes(5));
    assert_eq!(states().await, ["COMPLETED"; 4]);
}

#[tokio::test]
async fn runway_throttles_what_is_beyond_its_concurrency() {
    let bench = Bench::new("[providers.runway]\nconcurrency = 1");
    let asked = json!({ "model": "gen4_image", "promptText": "a fox", "ratio": "1280:720" });
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (_, made) =
            bench.ask("POST runway/v1/text_to_image", "Bearer key_a", asked.clone()).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    bench.pass(TimeDelta::seconds(5));
    let state = async |id: &str| {
        let line = format!("GET runway/v1/tasks/{id}");
        bench.ask(&line, "Bearer key_a", Value::Null).await
    };
    assert_eq!(state(&ids[0]).await.1["status"], "RUNNING");
    assert_eq!(state(&ids[1]).await.1["status"], "THROTTLED");
    // Deleting a running one cancels it, and deleting one that is over loses its output.
    let delete = format!("DELETE runway/v1/tasks/{}", ids[0]);
    assert_eq!(bench.ask(&delete, "Bearer key_a", Value::Null).await.0, 204);
    bench.pass(TimeDelta::minutes(10));
    assert_eq!(state(&ids[1]).await.1["status"], "SUCCEEDED");
    let delete = format!("DELETE runway/v1/tasks/{}", ids[1]);
    assert_eq!(bench.ask(&delete, "Bearer key_a", Value::Null).await.0, 204);
    assert_eq!([state(&ids[0]).await.0, state(&ids[1]).await.0], [404, 404]);
}

#[tokio::test]
async fn dashscope_does_not_know_a_task_after_a_day() {
    let bench = Bench::new("");
    let asked = json!({ "model": "wan2.5-t2v-preview", "input": { "prompt": "a fox" } });
    let line = "POST alibabacloud/api/v1/services/aigc/video-generation/video-synthesis";
    let (status, made) = bench.ask(line, "Bearer sk-a", asked).await;
    assert_eq!((status, &made["output"]["task_status"]), (200, &json!("PENDING")));
    let line =
        format!("GET alibabacloud/api/v1/tasks/{}", made["output"]["task_id"].as_str().unwrap());
    let state = async || bench.ask(&line, "Bearer sk-a", Value::Null).await.1["output"].clone();
    bench.pass(TimeDelta::hours(23));
    let done = state().await;
    assert_eq!((&done["task_status"], done["video_url"].is_string()), (&json!("SUCCEEDED"), true));
    bench.pass(TimeDelta::hours(1));
    assert_eq!(state().await["task_status"], "UNKNOWN");
}

#[tokio::test]
async fn a_modelark_task_expires_and_one_that_runs_cannot_be_deleted() {
    let bench = Bench::new("[providers.byteplus]\nrun_ms = 100000\nqueue_ms = 1000");
    let asked = json!({
        "model": "seedance-1-0-pro-250528", "execution_expires_after": 10,
        "content": [{ "type": "text", "text": "a fox" }],
    });
    let tasks = "byteplus/api/v3/contents/generations/tasks";
    let (_, made) = bench.ask(&format!("POST {tasks}"), "Bearer k", asked).await;
    let id = made["id"].as_str().unwrap();
    assert!(id.starts_with("cgt-20231115061320-"), "{id}");
    let ask = async |method: &str| {
        bench.ask(&format!("{method} {tasks}/{id}"), "Bearer k", Value::Null).await
    };
    bench.pass(TimeDelta::seconds(5));
    let (status, refused) = ask("DELETE").await;
    let code = &refused["error"]["code"];
    assert_eq!((status, code), (409, &json!("InvalidAction.RunningTaskDeletion")));
    bench.pass(TimeDelta::seconds(5));
    assert_eq!(ask("GET").await.1["status"], "expired");
    assert_eq!(ask("DELETE").await, (200, json!({})));
    assert_eq!(ask("GET").await.0, 404);
}

#[tokio::test]
async fn a_key_that_is_used_up_is_told_when_there_will_be_more() {
    let bench = Bench::new("[providers.replicate]\nper_minute = 1");
    let line = "POST replicate/v1/models/black-forest-labs/flux-schnell/predictions";
    let asked = json!({ "input": { "prompt": "a fox" } });
    assert_eq!(bench.ask(line, "Bearer k", asked.clone()).await.0, 201);
    let (status, refused) = bench.ask(line, "Bearer k", asked.clone()).await;
    assert_eq!((status, &refused["retry_after"]), (429, &json!(60)));
    bench.pass(TimeDelta::minutes(1));
    assert_eq!(bench.ask(line, "Bearer k", asked).await.0, 201);
}

#[tokio::test]
async fn the_same_seed_makes_the_same_run() {
    let run = async || {
        let bench = Bench::new("[providers.bfl.faults]\nmoderated = 0.3\nfailed = 0.3");
        let mut ends = Vec::new();
        for _ in 0..20 {
            let (_, task) = bench.ask("POST bfl/v1/flux-2-pro", "k", prompt()).await;
            bench.pass(TimeDelta::minutes(5));
            let line = format!("GET bfl/v1/get_result?id={}", task["id"].as_str().unwrap());
            ends.push(bench.ask(&line, "", Value::Null).await.1);
        }
        ends
    };
    let (first, second) = (run().await, run().await);
    assert_eq!(first, second);
    for status in ["Ready", "Content Moderated", "Error"] {
        assert!(first.iter().any(|end| end["status"] == status), "{status}: {first:?}");
    }
}

#[tokio::test]
async fn every_wire_asks_for_a_key_in_its_own_words() {
    let bench = Bench::new("");
    for (line, key, status) in [
        ("GET replicate/v1/account", "r8_a", 401),
        ("POST fal/queue/fal-ai/flux", "Key a", 401),
        ("POST fal/queue/fal-ai/flux", "Bearer a:b", 401),
        ("GET openai/v1/videos", "Bearer a", 401),
        ("GET byteplus/api/v3/contents/generations/tasks", "a", 401),
        ("GET alibabacloud/api/v1/tasks/a", "Bearer a", 401),
        ("GET runway/v1/organization", "Bearer a", 401),
        ("POST cloudflare/client/v4/accounts/a/ai/run/b", "Token a", 401),
        ("GET bfl/v1/credits", "", 403),
    ] {
        assert_eq!(bench.ask(line, key, json!({})).await.0, status, "{line} {key}");
    }
}
