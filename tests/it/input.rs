//! What must not be let in: refused before credit moves, with the documented code, the field
//! and why.

use std::net::Shutdown;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::on_both;
use crate::support::app::{Answer, TestApp};
use crate::support::database::Backend;
use crate::support::wire::{self, Reply};

on_both!(
    every_problem_is_told_at_once_with_its_place,
    what_is_no_json_object_is_refused,
    prompts_have_bounds,
    a_model_on_the_wrong_route_is_as_unknown_as_one_that_does_not_exist,
    a_generation_of_somebody_else_is_as_missing_as_one_that_never_was,
    a_body_above_the_limit_is_refused_however_it_is_sent,
    a_body_that_does_not_come_is_given_up,
    input_files_inside_a_network_are_refused,
    routes_and_methods_that_do_not_exist_are_refused,
    browsers_of_other_sites_may_use_the_api,
    an_escaped_slash_in_a_model_is_a_slash,
    the_request_id_is_in_the_header_too,
);

const IMAGE: &str = "/v1/generate/image/sandbox/inline";
const VIDEO: &str = "/v1/generate/video/sandbox/video";
/// An id that nothing has.
const NOBODYS: &str = "01a203a4-04f5-775f-b34c-6a8e58214132";

/// Sees to it that nothing has happened: no credit has moved and no generation was made.
pub fn nothing_happened(app: &TestApp) {
    let kinds: Vec<Value> =
        app.ledger(&app.account_id).into_iter().map(|entry| entry["type"].clone()).collect();
    assert_eq!(kinds, ["add"]);
    let checked = app.cli(&["audit"])["checked"].clone();
    let rows = ["generations", "attempts"].map(|table| checked[table].clone());
    assert_eq!(rows, [0, 0], "{checked}");
}

pub async fn send(app: &TestApp, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = app.post(path).header("content-type", "application/json").body(body);
    app.ask(request).await
}

pub fn refused(answer: &Answer, status: u16, code: &str) {
    let body = &answer.body;
    assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{body}");
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["status", "request_id", "error"]);
    assert_eq!(body["error"]["retryable"], false, "{body}");
    assert!(body["error"]["type"].is_string() && body["error"]["message"].is_string());
}

/// The pointers of all problems, in order; each has to name its field and say why.
pub fn pointers(answer: &Answer) -> Vec<&str> {
    let issues = answer.body["error"]["details"]["issues"].as_array().unwrap();
    let pointer = |issue: &'_ Value| {
        assert!(issue["field"].is_string() && issue["reason"].is_string(), "{issue}");
    };
    issues.iter().for_each(pointer);
    issues.iter().map(|issue| issue["pointer"].as_str().unwrap()).collect()
}

async fn every_problem_is_told_at_once_with_its_place(backend: Backend) {
    let app = TestApp::start_with(backend, &[("webhooks.allow_private_targets", "false")]).await;
    let body = json!({
        "generation_ratio": 7,
        "generation_output_format": "gif",
        "generation_output_number": "2",
        "generation_input_file": ["https://8.8.8.8/a.png", 7],
        "generation_provider_order": "fal",
        "generation_sandbox_fail_providers": ["sandbox_inline", "bfl"],
        "generation_seed": -1,
        "generation_duration": 5,
        "cost": 0,
        "a/b~c": 1,
    });
    let answer = send(&app, IMAGE, body.to_string()).await;
    refused(&answer, 400, "BSE2001");
    let mut found = pointers(&answer);
    found.sort_unstable();
    let mut expected = [
        "/generation_prompt",
        "/generation_ratio",
        "/generation_output_format",
        "/generation_output_number",
        "/generation_input_file/1",
        "/generation_provider_order",
        "/generation_sandbox_fail_providers/1",
        "/generation_seed",
        "/generation_duration",
        "/cost",
        "/a~1b~0c",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
    let first = &answer.body["error"]["details"];
    assert_eq!(first["field"], first["issues"][0]["field"]);
    // A number out of its range alone has a code of its own, and says the range.
    for (field, value, min, max) in [
        ("generation_output_number", json!(5), 1, 4),
        ("generation_output_number", json!(0), 1, 4),
        ("generation_seed", json!(2_147_483_648_i64), 0, 2_147_483_647),
        ("generation_sandbox_latency_ms", json!(600_001), 0, 600_000),
    ] {
        let body = json!({ "generation_prompt": "x", field: value });
        let answer = send(&app, IMAGE, body.to_string()).await;
        refused(&answer, 422, "BSE2008");
        let details = &answer.body["error"]["details"];
        assert_eq!((&details["field"], &details["min"]), (&json!(field), &json!(min)));
        assert_eq!(details["max"], max);
    }
    // Nothing is made to fit.
    for (field, value) in [
        ("generation_output_number", json!(1.5)),
        ("generation_output_number", json!(true)),
        ("generation_seed", json!("7")),
        ("generation_ratio", json!("16:10")),
        ("generation_output_format", json!("PNG")),
        ("generation_input_file", json!("https://8.8.8.8/a.png")),
        ("generation_sandbox_outcome", json!("explode")),
        ("generation_provider_order", json!("sandbox_inline, sandbox_inline")),
        ("__proto__", json!({ "generation_prompt": "y" })),
        ("generation_prompt", json!(["x"])),
        ("Generation_Prompt", json!("x")),
        ("generation_input_file_last_content", json!("https://8.8.8.8/a.png")),
    ] {
        let mut body = json!({ "generation_prompt": "x" });
        body[field] = value;
        let answer = send(&app, IMAGE, body.to_string()).await;
        refused(&answer, 400, "BSE2001");
        assert_eq!(pointers(&answer).len(), 1, "{}", answer.body);
        assert_eq!(answer.body["error"]["details"]["field"], field);
    }
    let answer = send(&app, VIDEO, r#"{"generation_prompt":"x"}"#).await;
    refused(&answer, 400, "BSE2001");
    assert_eq!(pointers(&answer), ["/generation_duration"]);
    nothing_happened(&app);
}

async fn what_is_no_json_object_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let deep = format!(r#"{{"generation_prompt":{}{}}}"#, "[".repeat(2000), "]".repeat(2000));
    for body in [
        &b""[..],
        b" \n",
        b"null",
        b"[]",
        b"7",
        b"\"generation_prompt\"",
        b"{",
        b"generation_prompt=x",
        b"{\"generation_prompt\":\"x\"} {}",
        b"{\"generation_prompt\":\"\xff\"}",
        b"{\"generation_prompt\":\"\\ud800\"}",
        b"\xef\xbb\xbf{\"generation_prompt\":\"x\"}",
        b"\x1f\x8b\x08\x00",
        br#"{"generation_prompt":"x","generation_seed":NaN}"#,
        br#"{"generation_prompt":"x","generation_seed":Infinity}"#,
        br#"{"generation_prompt":"x","generation_seed":1e999}"#,
        br#"{"generation_prompt":"x","generation_prompt":"y"}"#,
        br#"{"generation_prompt":"x","\u0067eneration_prompt":"y"}"#,
        deep.as_bytes(),
    ] {
        let answer = send(&app, IMAGE, body.to_vec()).await;
        refused(&answer, 400, "BSE2001");
        assert_eq!(pointers(&answer).len(), 1, "{}", answer.body);
    }
    // A number too large for its field, in any spelling.
    for number in ["1e300", "99999999999999999999999999"] {
        let body = format!(r#"{{"generation_prompt":"x","generation_seed":{number}}}"#);
        let answer = send(&app, IMAGE, body).await;
        assert_eq!(answer.body["error"]["details"]["field"], "generation_seed");
    }
    nothing_happened(&app);
    // The body is what is read, whatever its type is said to be.
    let request = app.post(IMAGE).header("content-type", "text/plain");
    app.ask(request.body(r#"{"generation_prompt":"x"}"#)).await.data();
}

async fn prompts_have_bounds(backend: Backend) {
    let app = TestApp::start(backend).await;
    for prompt in ["", " ", "\n\t", "\u{3000}", "a\0b", &"é".repeat(10_001)] {
        let answer = send(&app, IMAGE, json!({ "generation_prompt": prompt }).to_string()).await;
        refused(&answer, 400, "BSE2001");
        assert_eq!(pointers(&answer), ["/generation_prompt"]);
    }
    nothing_happened(&app);
    let prompt = "é".repeat(10_000);
    let made = send(&app, IMAGE, json!({ "generation_prompt": prompt }).to_string()).await;
    assert_eq!(app.record(&made.generation_id()).await["generation_prompt"], prompt);
}

async fn a_model_on_the_wrong_route_is_as_unknown_as_one_that_does_not_exist(backend: Backend) {
    let app = TestApp::start(backend).await;
    let image = r#"{"generation_prompt":"x"}"#;
    let video = r#"{"generation_prompt":"x","generation_duration":1}"#;
    let mut errors = Vec::new();
    for (path, body) in [
        ("/v1/generate/image/sandbox/none", image),
        ("/v1/generate/image/sandbox", image),
        ("/v1/generate/image/", image),
        ("/v1/generate/image/sandbox/inline/", image),
        ("/v1/generate/image/Sandbox/Inline", image),
        ("/v1/generate/image/sandbox/video", video),
        ("/v1/generate/image/sandbox/video", image),
        ("/v1/generate/video/sandbox/inline", image),
        ("/v1/generate/video/sandbox/inline", video),
        ("/v1/generate/image/sandbox/%ff", image),
    ] {
        let answer = send(&app, path, body).await;
        refused(&answer, 404, "BSE2011");
        errors.push(answer.body["error"].to_string());
    }
    assert!(errors.windows(2).all(|pair| pair[0] == pair[1]));
    nothing_happened(&app);
}

async fn a_generation_of_somebody_else_is_as_missing_as_one_that_never_was(backend: Backend) {
    let app = TestApp::start(backend).await;
    let slow = json!({ "generation_sandbox_latency_ms": 60000 });
    let id = app.generate("sandbox/polling", slow).await.generation_id();
    let (_, stranger) = app.account("1.000");
    let simple = id.replace('-', "");
    let long = "a".repeat(3000);
    let mut errors = Vec::new();
    for (key, id) in [
        (&app.key, NOBODYS),
        (&app.key, "not-an-id"),
        (&app.key, &simple),
        (&app.key, "%00"),
        (&app.key, "..%2f..%2fstatus"),
        (&app.key, &long),
        (&stranger, &id),
        (&stranger, NOBODYS),
    ] {
        let content = app.ask(app.get_as(key, &format!("/v1/content/{id}"))).await;
        let cancel = format!("/v1/content/generation/cancel/{id}");
        let cancel = app.ask(app.post_as(key, &cancel)).await;
        for answer in [content, cancel] {
            refused(&answer, 404, "BSE2012");
            errors.push(answer.body["error"].to_string());
        }
    }
    assert!(errors.windows(2).all(|pair| pair[0] == pair[1]), "{errors:#?}");
    assert_eq!(app.record(&id).await["generation_status"], "processing");
    assert_eq!(app.movements(&app.account_id, &id), ["reserve"]);
}

fn head(app: &TestApp, path: &str, more: &str) -> String {
    let key = &app.key;
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{more}\r\n")
}

fn refused_raw(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.code().as_str()), (status, code), "{reply:?}");
    assert_eq!(reply.json()["request_id"], reply.header("x-request-id"));
}

async fn a_body_above_the_limit_is_refused_however_it_is_sent(backend: Backend) {
    let app = TestApp::start(backend).await;
    let padded = |size: usize| {
        let body = r#"{"generation_prompt":"x"}"#;
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    refused(&send(&app, IMAGE, padded(102_401)).await, 413, "BSE2010");
    refused(&send(&app, IMAGE, padded(1 << 20)).await, 413, "BSE2010");
    let chunks = format!("{:x}\r\n{}\r\n", 60_000, " ".repeat(60_000)).repeat(2);
    let chunked = head(&app, IMAGE, "Transfer-Encoding: chunked\r\n") + &chunks;
    refused_raw(&wire::exchange(&app.url, chunked.as_bytes()).await, 413, "BSE2010");
    for length in ["102401", "99999999999"] {
        let announced = head(&app, IMAGE, &format!("Content-Length: {length}\r\n"));
        refused_raw(&wire::exchange(&app.url, announced.as_bytes()).await, 413, "BSE2010");
    }
    // Who may not send a body is not asked for it.
    let stranger = format!("POST {IMAGE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    refused_raw(&wire::exchange(&app.url, stranger.as_bytes()).await, 401, "BSE1001");
    nothing_happened(&app);
    send(&app, IMAGE, padded(102_400)).await.data();
}

async fn a_body_that_does_not_come_is_given_up(backend: Backend) {
    let app = TestApp::start_with(backend, &[("server.body_timeout_ms", "500")]).await;
    // Sooner than by the usual limit, which is ten seconds.
    let soon = |began: Instant| {
        let took = began.elapsed();
        assert!(took < Duration::from_secs(9), "it took {took:?}");
    };
    let began = Instant::now();
    let announced = head(&app, IMAGE, "Content-Length: 500\r\n") + "{\"generation_prompt\":";
    let reply = wire::exchange(&app.url, announced.as_bytes()).await;
    soon(began);
    refused_raw(&reply, 400, "BSE2001");
    assert_eq!(reply.header("connection"), "close");
    // A drop now and then does not keep it open.
    let began = Instant::now();
    let mut stream = wire::connect(&app.url).await;
    let chunked = head(&app, IMAGE, "Transfer-Encoding: chunked\r\n");
    stream.write_all(chunked.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let drip = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            if writing.write_all(b"1\r\n \r\n").await.is_err() {
                break;
            }
        }
    });
    refused_raw(&wire::read(&mut reading).await, 400, "BSE2001");
    soon(began);
    drip.abort();
    // Nor does a body that nobody has asked for.
    let began = Instant::now();
    let stranger = "POST /v1/nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    refused_raw(&wire::exchange(&app.url, stranger.as_bytes()).await, 404, "BSE2017");
    soon(began);
    // One that breaks off is nobody's any more.
    let stream = wire::connect(&app.url).await.into_std().unwrap();
    std::io::Write::write_all(&mut &stream, announced.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    nothing_happened(&app);
}

async fn input_files_inside_a_network_are_refused(backend: Backend) {
    let app = TestApp::start_with(backend, &[("webhooks.allow_private_targets", "false")]).await;
    let ask = async |url: &str| {
        let body = json!({ "generation_prompt": "x", "generation_input_file": [url] });
        let answer = send(&app, IMAGE, body.to_string()).await;
        assert_eq!(pointers(&answer), ["/generation_input_file/0"], "{url}");
        refused(&answer, 422, "BSE2009");
    };
    for url in [
        "http://127.0.0.1/x.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/x.png",
        "http://192.168.1.1/x.png",
        "http://100.64.0.1/x.png",
        "http://0.0.0.0/x.png",
        "http://[::1]/x.png",
        "http://[::ffff:127.0.0.1]/x.png",
        "http://[fd00::1]/x.png",
        "http://[64:ff9b::7f00:1]/x.png",
        "http://2130706433/x.png",
        "http://0x7f.1/x.png",
        "http://0177.0.0.1/x.png",
        "http://127.1/x.png",
        "http://localhost/x.png",
        "http://localhost./x.png",
        "http://LOCALHOST/x.png",
        "http://a.localhost/x.png",
        "http://metadata.google.internal/x.png",
    ] {
        ask(url).await;
    }
    for url in [
        "ftp://8.8.8.8/x.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "gopher://8.8.8.8/",
        "//8.8.8.8/x.png",
        "x.png",
        "http://user@8.8.8.8/x.png",
        "http://8.8.8.8:pass@127.0.0.1/x.png",
        "http://8.8.8.8:22/x.png",
        "http://8.8.8.8\\@127.0.0.1/",
        "http:8.8.8.8/x.png",
        "http://8.8.8.8/ x.png",
        "http://8.8.8.8/x.png\r\nHost: a",
        "https://",
        "",
        &format!("https://8.8.8.8/{}", "a".repeat(3000)),
    ] {
        ask(url).await;
    }
    // The closing picture of a film is a file like the others.
    let body = json!({ "generation_prompt": "x", "generation_duration": 1,
        "generation_input_file": ["http://10.0.0.1/a.png"],
        "generation_input_file_last_content": "http://127.0.0.1/x.png" });
    let answer = send(&app, VIDEO, body.to_string()).await;
    refused(&answer, 422, "BSE2009");
    let both = ["/generation_input_file/0", "/generation_input_file_last_content"];
    assert_eq!(pointers(&answer), both);
    let five = json!({ "generation_prompt": "x",
        "generation_input_file": vec!["https://8.8.8.8/a.png"; 5] });
    refused(&send(&app, IMAGE, five.to_string()).await, 400, "BSE2001");
    nothing_happened(&app);
}

async fn routes_and_methods_that_do_not_exist_are_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    // Whether with a key or without one: routes come before keys.
    for path in ["/v1", "/v1/nothing", "/v1/status/", "/v1/content", "/v2/status", "/api/v1/status"]
    {
        refused(&app.ask(app.get(path)).await, 404, "BSE2017");
        let stranger = app.client.get(format!("{}{path}", app.url));
        refused(&app.ask(stranger).await, 404, "BSE2017");
    }
    let content = format!("/v1/content/{NOBODYS}");
    let cancel = format!("/v1/content/generation/cancel/{NOBODYS}");
    for (method, path, allow) in [
        ("POST", "/v1/status", "GET"),
        ("PUT", content.as_str(), "GET, DELETE"),
        ("GET", IMAGE, "POST"),
        ("PATCH", VIDEO, "POST"),
        ("GET", &cancel, "POST"),
        ("OPTIONS", "/v1/status", "GET"),
        ("BREW", "/v1/status", "GET"),
    ] {
        let url = format!("{}{path}", app.url);
        let answer = app.ask(app.client.request(method.parse().unwrap(), url)).await;
        refused(&answer, 405, "BSE2014");
        assert_eq!(answer.headers["allow"], allow, "{method} {path}");
    }
    for (path, allow) in [("/v1/status", "GET"), (IMAGE, "POST")] {
        let answer = app.client.head(format!("{}{path}", app.url)).bearer_auth(&app.key);
        let answer = answer.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["allow"]),
            (405, &allow.parse().unwrap())
        );
        assert!(answer.bytes().await.unwrap().is_empty());
    }
    for path in ["/livez", "/readyz"] {
        let answer = app.client.head(format!("{}{path}", app.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    nothing_happened(&app);
}

async fn browsers_of_other_sites_may_use_the_api(backend: Backend) {
    let app = TestApp::start(backend).await;
    let asks = app.client.request(reqwest::Method::OPTIONS, format!("{}{IMAGE}", app.url));
    let asks = asks
        .header("origin", "https://a.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization, idempotency-key");
    let answer = app.ask(asks).await;
    assert_eq!((answer.status.as_u16(), &answer.body), (204, &Value::Null));
    let header = |answer: &Answer, name: &str| {
        answer.headers.get(name).map(|value| value.to_str().unwrap().to_lowercase())
    };
    let named = header(&answer, "access-control-allow-headers").unwrap();
    for name in ["authorization", "content-type", "idempotency-key", "x-babysea-sdk-name"] {
        assert!(named.contains(name), "{named}");
    }
    assert_eq!(
        header(&answer, "access-control-allow-methods").unwrap(),
        "get, post, delete, options"
    );
    assert_eq!(header(&answer, "access-control-max-age").unwrap(), "600");
    assert_eq!(header(&answer, "access-control-allow-credentials"), None);
    let stranger = app.client.get(format!("{}/v1/status", app.url));
    for request in [app.get("/v1/status"), stranger, app.get("/v1/nothing")] {
        let answer = app.ask(request.header("origin", "https://a.example")).await;
        assert_eq!(header(&answer, "access-control-allow-origin").unwrap(), "*");
        let exposed = header(&answer, "access-control-expose-headers").unwrap();
        for name in ["x-ratelimit-limit", "retry-after", "idempotency-replayed"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
}

async fn an_escaped_slash_in_a_model_is_a_slash(backend: Backend) {
    let app = TestApp::start(backend).await;
    for path in ["sandbox%2Finline", "sandbox%2finline", "sandbox/inline"] {
        let body = r#"{"generation_prompt":"x"}"#;
        let made = send(&app, &format!("/v1/generate/image/{path}"), body).await;
        assert_eq!(made.data()["model_identifier"], "sandbox/inline");
    }
}

async fn the_request_id_is_in_the_header_too(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut ids = std::collections::BTreeSet::new();
    let stranger = app.client.get(format!("{}/v1/status", app.url));
    let claims = app.get("/v1/status").header("x-request-id", "req_chosen0");
    for request in [app.get("/v1/status"), stranger, app.get("/v1/nothing"), app.get(IMAGE), claims]
    {
        let answer = app.ask(request).await;
        let id = answer.body["request_id"].as_str().unwrap().to_owned();
        assert_eq!(answer.headers["x-request-id"], id);
        let tail = id.strip_prefix("req_").unwrap();
        assert!(tail.len() == 8 && tail.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert!(ids.insert(id));
    }
    assert!(!ids.contains("req_chosen0"));
}
