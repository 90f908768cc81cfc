//! The API over real connections, with a fake engine behind it.

mod account;
mod content;
mod described;
mod estimates;
mod events;
mod health;
mod library;
mod limits;
mod server;
mod submission;

use actors::batch::AdvanceRefusal;
use actors::engine::{CallbackRefusal, CancelError, Cancellation};
use chrono::TimeDelta;
use providers::CallbackError;
use providers::clock::Clock as _;
use serde_json::{Value, json};

use self::server::{Reply, Server};
use super::samples;

const IMAGE: &str = "/v1/generate/image/sandbox/inline";

fn prompt() -> Value {
    json!({ "generation_prompt": "a lighthouse" })
}

fn check_error(reply: &Reply, status: u16, code: &str) {
    let body = &reply.json;
    assert_eq!((reply.status, &body["error"]["code"]), (status, &json!(code)), "{body}");
    assert_eq!(body["status"], "error");
    assert_eq!(body["request_id"], reply.header("x-request-id"));
    assert!(body["error"]["retryable"].is_boolean() && body["error"]["message"].is_string());
    assert_eq!(body.as_object().unwrap().len(), 3, "{body}");
}

#[actix_web::test]
async fn a_success_has_the_documented_envelope() {
    let server = Server::start().await;
    let reply = server.get("/v1/status").await;
    assert_eq!(reply.status, 200);
    let mut body = reply.json.clone();
    let id = body["request_id"].take();
    let id = id.as_str().unwrap();
    assert_eq!((id.len(), &id[..4], id), (12, "req_", reply.header("x-request-id")));
    let fields: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["status", "request_id", "message", "timestamp", "data"]);
    assert_eq!(body["message"], "API connected successfully");
    assert_eq!(body["timestamp"], "2026-06-02T08:15:10.802Z");
    let data = json!({
        "account_id": samples::ACCOUNT,
        "apikey_id": "00000000-0000-0000-0000-000000000031",
        "apikey_name": "render farm",
        "apikey_prefix": "bye_11111",
        "apikey_created_at": "2026-05-20T10:00:00.000Z",
        "apikey_last_used_at": "2026-06-02T08:15:10.802Z",
        "apikey_expires_at": null,
    });
    assert_eq!(body["data"].to_string(), data.to_string());
}

#[actix_web::test]
async fn routes_and_methods_are_refused_before_anybody_asks_for_a_key() {
    let server = Server::start().await;
    for path in ["/", "/v1", "/v1/nothing", "/v1/status/", "/v2/status", "/callbacks/x"] {
        check_error(&server.send("GET", path, None, b"").await, 404, "BSE2017");
    }
    for (method, path, allow) in [
        ("POST", "/v1/status", "GET"),
        ("PUT", "/v1/content/x", "GET, DELETE"),
        ("DELETE", "/v1/content/list", "GET"),
        ("POST", "/v1/content/x/events", "GET"),
        ("GET", IMAGE, "POST"),
        ("BREW", "/v1/content/generation/cancel/x", "POST"),
        ("DELETE", "/files/a.png", "GET, HEAD"),
        ("OPTIONS", "/v1/status", "GET"),
    ] {
        let reply = server.send(method, path, None, b"").await;
        check_error(&reply, 405, "BSE2014");
        assert_eq!(reply.header("allow"), allow);
    }
    let head = server.send("HEAD", "/v1/status", None, b"").await;
    assert_eq!((head.status, head.header("allow")), (405, "GET"));
}

#[actix_web::test]
async fn the_documented_messages_are_exact() {
    let server = Server::start().await;
    let reply = server.send("GET", "/v1/status", None, b"").await;
    check_error(&reply, 401, "BSE1001");
    assert_eq!(
        reply.json["error"]["message"],
        "Missing API key. Provide a valid key via the Authorization header."
    );
    let reply = server.send("GET", "/v1/status", Some("Bearer bye_wrong"), b"").await;
    check_error(&reply, 401, "BSE1002");
    assert_eq!(reply.json["error"]["message"], "Invalid or expired API key.");
    server.keys.change(0, |row| row.scopes.clear());
    server.clock.forward(1000);
    let reply = server.get("/v1/status").await;
    check_error(&reply, 403, "BSE1003");
    server.keys.change(0, |row| row.allowed_ips = vec!["192.0.2.1".parse().unwrap()]);
    server.clock.forward(1000);
    check_error(&server.get("/v1/status").await, 403, "BSE1007");
}

#[actix_web::test]
async fn a_stranger_cannot_claim_another_address() {
    let server = Server::start().await;
    server.keys.change(0, |row| row.allowed_ips = vec!["192.0.2.1".parse().unwrap()]);
    let claims = [("Authorization", server.bearer.as_str()), ("X-Forwarded-For", "192.0.2.1")];
    check_error(&server.exchange("GET", "/v1/status", &claims, b"").await, 403, "BSE1007");
}

#[actix_web::test]
async fn a_panic_is_answered_and_the_server_goes_on() {
    let server = Server::start().await;
    server.engine.submits(|_| panic!("as asked"));
    for _ in 0..3 {
        let reply = server.post(IMAGE, &prompt()).await;
        check_error(&reply, 500, "BSE3001");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
    }
    assert_eq!(server.get("/v1/status").await.status, 200);
}

#[actix_web::test]
async fn a_record_is_its_owners_and_every_other_id_is_missing() {
    let server = Server::start().await;
    let reply = server.get(&format!("/v1/content/{}", samples::GENERATION)).await;
    assert_eq!(reply.json["message"], "Generation retrieved successfully");
    let files = reply.json["data"]["generation_output_file"].to_string();
    assert!(files.starts_with(r#"["https://files.example.net/files/us/b7d2f0a4/0.webp?expires="#));
    let missing = "0c9b7a52-1d8e-4f0b-b6a3-9e27d4c81f65";
    let simple = samples::GENERATION.0.simple().to_string();
    let mut bodies = Vec::new();
    for id in [missing, "x", "list%20", &simple, "%00", "..%2f..", &"a".repeat(5000)] {
        let reply = server.get(&format!("/v1/content/{id}")).await;
        check_error(&reply, 404, "BSE2012");
        bodies.push(reply.json["error"].to_string());
    }
    server.keys.change(0, |row| row.account_id.0 = uuid::Uuid::nil());
    server.clock.forward(1000);
    let foreign = server.get(&format!("/v1/content/{}", samples::GENERATION)).await;
    check_error(&foreign, 404, "BSE2012");
    bodies.push(foreign.json["error"].to_string());
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
}

#[actix_web::test]
async fn a_cancel_needs_no_body_and_a_lost_one_says_why() {
    let server = Server::start().await;
    let path = format!("/v1/content/generation/cancel/{}", samples::GENERATION);
    server.engine.cancels(|| {
        Ok(Cancellation { generation: samples::canceled(), provider_cancel_sent: true })
    });
    let reply = server.send("POST", &path, Some(&server.bearer), b"").await;
    assert_eq!(reply.json["message"], "Generation canceled successfully");
    assert_eq!(
        reply.json["data"].to_string(),
        r#"{"generation_id":"b7d2f0a4-6e35-4c1f-8a90-2f4be1c6d713","generation_status":"canceled","provider_cancel_sent":true,"credits_refunded":true}"#
    );
    server.engine.cancels(|| {
        let conflict = AdvanceRefusal::Conflict(Box::new(samples::succeeded()));
        Err(CancelError::Refused(conflict))
    });
    let reply = server.send("POST", &path, Some(&server.bearer), b"").await;
    check_error(&reply, 409, "BSE2013");
    let details = &reply.json["error"]["details"];
    assert_eq!(details.to_string(), r#"{"generation_status":"succeeded"}"#);
    server.engine.cancels(|| Err(CancelError::Refused(AdvanceRefusal::NotFound)));
    let path = "/v1/content/generation/cancel/nonsense";
    let reply = server.send("POST", path, Some(&server.bearer), b"").await;
    check_error(&reply, 404, "BSE2012");
}

#[actix_web::test]
async fn a_callback_is_taken_under_its_own_url_only() {
    let server = Server::start().await;
    let good = server.callback_path();
    let seen = server.engine.calls_back(|| Ok(()));
    let reply = server.send("POST", &good, None, b"{\"x\":1}").await;
    assert_eq!((reply.status, reply.json.to_string().as_str()), (200, r#"{"received":true}"#));
    assert_eq!(*seen.lock().unwrap(), b"{\"x\":1}");

    let mut wrong = good.clone();
    wrong.replace_range(good.len() - 1.., if good.ends_with('0') { "1" } else { "0" });
    for path in
        [&wrong, &good.replace("fal", "bfl"), &good.replace("/1/", "/2/"), "/callbacks/a/b/c/d/e"]
    {
        let reply = server.send("POST", path, None, b"{}").await;
        check_error(&reply, 404, "BSE2017");
    }
    for (refusal, status) in [
        (CallbackError::Signature, 401),
        (CallbackError::Stale, 401),
        (CallbackError::Malformed, 400),
    ] {
        server.engine.calls_back(move || Err(CallbackRefusal::Refused(refusal)));
        let reply = server.send("POST", &good, None, b"{}").await;
        assert_eq!((reply.status, &reply.json["received"]), (status, &json!(false)));
    }
    server.engine.calls_back(|| Err(CallbackRefusal::NotFound));
    check_error(&server.send("POST", &good, None, b"{}").await, 404, "BSE2017");
    check_error(&server.send("POST", &good, None, &vec![0; 1 << 21]).await, 413, "BSE2010");
}

#[actix_web::test]
async fn files_are_served_whole_and_in_parts() {
    let server = Server::start().await;
    server.store_file("acc/gen-1/0.mp4", b"0123456789").await;
    let signed = |key: &str| {
        let url = samples::file_urls().url(key, server.clock.now() + TimeDelta::hours(1));
        url.strip_prefix("https://files.example.net").unwrap().to_owned()
    };
    let link = signed("acc/gen-1/0.mp4");
    let reply = server.send("GET", &link, None, b"").await;
    assert_eq!((reply.status, reply.bytes.as_slice()), (200, &b"0123456789"[..]));
    assert_eq!(reply.header("content-type"), "video/mp4");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert_eq!(reply.header("cache-control"), "private, max-age=3600, immutable");
    assert_eq!(reply.header("content-length"), "10");
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    for (range, status, bytes, shown) in [
        ("bytes=2-4", 206, &b"234"[..], "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-", 200, b"0123456789", ""),
        ("bytes=50-", 200, b"0123456789", ""),
    ] {
        let reply = server.get_range(&link, range).await;
        assert_eq!((reply.status, reply.bytes.as_slice()), (status, bytes), "{range}");
        assert_eq!(reply.header("content-range"), shown, "{range}");
    }
    let head = server.send("HEAD", &link, None, b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, "10"));
    let missing = signed("acc/gen-1/1.mp4");
    for path in [missing.as_str(), "/files/", "/files/acc", "/files/..%2fmaster.key"] {
        check_error(&server.send("GET", path, None, b"").await, 404, "BSE2017");
    }
    let bare = server.send("GET", "/files/acc/gen-1/0.mp4", None, b"").await;
    assert_eq!(bare.status, 403);
}

#[actix_web::test]
async fn browsers_of_other_sites_may_use_the_api() {
    let server = Server::start().await;
    let reply = server.preflight(IMAGE).await;
    assert_eq!((reply.status, reply.bytes.len()), (204, 0));
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(reply.header("access-control-allow-methods"), "GET, POST, DELETE, OPTIONS");
    assert!(reply.header("access-control-allow-headers").contains("Idempotency-Key"));
    assert_eq!(reply.header("access-control-max-age"), "600");
    assert_eq!(reply.header("access-control-allow-credentials"), "");
    for reply in [server.get("/v1/status").await, server.get("/v1/nothing").await] {
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert!(reply.header("access-control-expose-headers").contains("Retry-After"));
    }
    let reply = server.send("GET", "/livez", None, b"").await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, ""));
}

#[actix_web::test]
async fn readiness_says_what_does_not_move() {
    let server = Server::start().await;
    let reply = server.send("GET", "/readyz", None, b"").await;
    assert_eq!((reply.status, &reply.json), (200, &json!({ "ready": true })));
    server.problems.lock().unwrap().push("due work does not move".to_owned());
    let reply = server.send("GET", "/readyz", None, b"").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json, json!({ "ready": false, "reasons": ["due work does not move"] }));
}

#[actix_web::test]
async fn many_requests_share_one_connection() {
    let server = Server::start().await;
    let get = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n", server.bearer);
    let (status, text) =
        server.raw(&format!("{get}\r\n{get}\r\n{get}Connection: close\r\n\r\n")).await;
    assert_eq!((status, text.matches("API connected successfully").count()), (200, 3), "{text}");
}
