//! The limits of an account on its answers, and its requests in the log.

use actix_web::http::header::HeaderMap;
use actors::account::Plan;
use actors::api_key::KeyStatus;
use actors::batch::AcceptRefusal;
use actors::engine::SubmitError;
use actors::money::Credits;
use serde_json::json;

use super::server::{Reply, Server};
use super::{IMAGE, check_error, prompt};
use crate::http::samples;

/// Limit, remaining and reset.
fn shown(reply: &Reply) -> [&str; 3] {
    ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"].map(|it| reply.header(it))
}

/// The clock of these tests stands at .802 of a second.
const RESET: &str = "1780388171";

fn fields(reply: &Reply) -> [&str; 2] {
    ["ratelimit-policy", "ratelimit"].map(|it| reply.header(it))
}

#[actix_web::test]
async fn every_authenticated_answer_says_how_the_account_stands() {
    let server = Server::start().await;
    let reply = server.get("/v1/status").await;
    assert_eq!(shown(&reply), ["600", "599", RESET]);
    assert_eq!(fields(&reply), [r#""requests";q=600;w=60"#, r#""requests";r=599;t=60"#]);
    check_error(&server.get("/v1/content/x").await, 404, "BSE2012");
    assert_eq!(shown(&server.get("/v1/content/x").await), ["600", "597", RESET]);

    server.engine.submits(|_| Ok(samples::processing()));
    let reply = server.post(IMAGE, &prompt()).await;
    assert_eq!(shown(&reply), ["200", "199", RESET]);
    assert_eq!(
        fields(&reply),
        [
            r#""generations";q=200;w=60, "requests";q=600;w=60"#,
            r#""generations";r=199;t=60, "requests";r=596;t=60"#,
        ]
    );
    server.engine.submits(|_| panic!("as asked"));
    let reply = server.post(IMAGE, &prompt()).await;
    check_error(&reply, 500, "BSE3001");
    assert_eq!(shown(&reply), ["200", "198", RESET]);
    let reply = server.post(IMAGE, &json!({})).await;
    check_error(&reply, 400, "BSE2001");
    assert_eq!(shown(&reply), ["200", "198", RESET], "it never became a generation");

    server.keys.change(0, |row| row.scopes.clear());
    server.clock.forward(1000);
    let reply = server.get("/v1/status").await;
    check_error(&reply, 403, "BSE1003");
    assert_eq!(shown(&reply), ["600", "594", RESET], "shown, and not counted");
    assert_eq!(shown(&server.get("/v1/status").await), ["600", "594", RESET]);

    for authorization in [None, Some("Bearer bye_wrong")] {
        let reply = server.send("GET", "/v1/status", authorization, b"").await;
        assert_eq!((shown(&reply), fields(&reply)), ([""; 3], [""; 2]));
    }
}

#[actix_web::test]
async fn who_asks_too_often_is_told_when_to_come_back_and_may_then() {
    let server = Server::start().await;
    *server.keys.plan.lock().unwrap() = Some(Plan::Free);
    for _ in 0..30 {
        assert_eq!(server.get("/v1/status").await.status, 200);
    }
    server.clock.forward(42_500);
    for _ in 0..3 {
        let reply = server.get("/v1/status").await;
        check_error(&reply, 429, "BSE1005");
        let details = &reply.json["error"]["details"];
        assert_eq!(details.to_string(), r#"{"retry_after_seconds":18,"limit":30}"#);
        assert_eq!(reply.json["error"]["retryable"], true);
        assert_eq!((reply.header("retry-after"), shown(&reply)), ("18", ["30", "0", RESET]));
        assert_eq!(fields(&reply)[1], r#""requests";r=0;t=18"#);
    }
    server.clock.forward(17_000);
    check_error(&server.get("/v1/status").await, 429, "BSE1005");
    server.clock.forward(1000);
    assert_eq!(server.get("/v1/status").await.status, 200);
}

#[actix_web::test]
async fn what_is_over_the_limit_takes_nothing_and_an_unpaid_generation_only_its_request() {
    let server = Server::start().await;
    *server.keys.plan.lock().unwrap() = Some(Plan::Free);
    server.engine.submits(|_| {
        let (balance, amount) = (Credits::ZERO, Credits::MAX);
        Err(SubmitError::Refused(AcceptRefusal::InsufficientCredit { balance, amount }))
    });
    for left in (25..30).rev() {
        let reply = server.post(IMAGE, &prompt()).await;
        check_error(&reply, 402, "BSE1004");
        let both = format!(r#""generations";r=10;t=0, "requests";r={left};t=60"#);
        assert_eq!(fields(&reply)[1], both);
    }
    server.engine.submits(|_| Ok(samples::processing()));
    for _ in 0..10 {
        assert_eq!(server.post(IMAGE, &prompt()).await.status, 200);
    }
    for _ in 0..50 {
        let reply = server.post(IMAGE, &prompt()).await;
        check_error(&reply, 429, "BSE1005");
        assert_eq!((reply.header("retry-after"), shown(&reply)), ("60", ["10", "0", "1780388171"]));
        assert_eq!(fields(&reply)[1], r#""generations";r=0;t=60, "requests";r=15;t=60"#);
    }
    // The bucket that blocks is the one that is named, on this route too.
    for left in (0..15).rev() {
        assert_eq!(shown(&server.get("/v1/status").await)[1], left.to_string());
    }
    let reply = server.post(IMAGE, &prompt()).await;
    check_error(&reply, 429, "BSE1005");
    assert_eq!(shown(&reply)[..2], ["30", "0"]);
}

#[actix_web::test]
async fn browsers_may_read_the_limits() {
    let server = Server::start().await;
    let reply = server.get("/v1/status").await;
    let exposed = reply.header("access-control-expose-headers").to_ascii_lowercase();
    let exposed: Vec<&str> = exposed.split(", ").collect();
    let mut names = HeaderMap::new();
    crate::http::rate_limit::put(&mut names, "/v1/status", &server.standings());
    assert!(names.len() == 5 && names.keys().all(|name| exposed.contains(&name.as_str())));
}

#[actix_web::test]
async fn a_request_is_logged_from_the_moment_its_key_is_recognized() {
    let server = Server::start().await;
    server.send("GET", "/v1/status", None, b"").await;
    server.send("GET", "/v1/status", Some("Bearer bye_wrong"), b"").await;
    server.send("POST", "/v1/status", Some(&server.bearer), b"").await;
    server.get("/v1/nothing").await;
    server.preflight("/v1/status").await;
    let sent = [("Authorization", server.bearer.as_str()), ("User-Agent", "babysea-node/2.0.0")];
    server.exchange("GET", "/v1/usage?days=7&api_key=bye_secret", &sent, b"").await;
    server.engine.submits(|_| panic!("as asked"));
    server.post(IMAGE, &prompt()).await;
    server.keys.change(0, |row| row.scopes.clear());
    server.clock.forward(1000);
    server.get("/v1/content/x").await;
    let logged = server.logged().await;
    let rows: Vec<_> = logged
        .iter()
        .map(|row| (row.method.as_str(), row.endpoint.as_str(), row.status, row.code))
        .collect();
    let expected = [
        ("GET", "/v1/usage", 200, None),
        ("POST", "/v1/generate/image", 500, Some("BSE3001")),
        ("GET", "/v1/content/{generation_id}", 403, Some("BSE1003")),
    ];
    assert_eq!(rows, expected);
    let first = &logged[0];
    assert_eq!(first.query.as_deref(), Some("days=7"));
    assert_eq!(first.user_agent.as_deref(), Some("babysea-node/2.0.0"));
    assert_eq!((first.key.account_id, first.key.name.as_str()), (samples::ACCOUNT, "render farm"));
    assert_eq!(
        (first.key_status, first.at, first.replayed),
        (KeyStatus::Active, samples::at(0), false)
    );
    assert_eq!(first.ip_hash.len(), 64);
    assert!(!format!("{logged:?}").contains("127.0.0.1"));
}
