//! Event streams and waiting.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::server::{Open, Server};
use super::{IMAGE, check_error};
use crate::http::samples;

fn path() -> String {
    format!("/v1/content/{}/events", samples::GENERATION)
}

/// The events in a text: id, name, data.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::to_owned)
    };
    text.split("\n\n")
        .filter_map(|event| {
            let data = serde_json::from_str(&field(event, "data: ")?).unwrap();
            Some((field(event, "id: ")?, field(event, "event: ")?, data))
        })
        .collect()
}

fn ids(text: &str) -> Vec<String> {
    events(text).into_iter().map(|(id, ..)| id).collect()
}

#[actix_web::test]
async fn a_life_is_told_as_it_happens_and_the_stream_ends_with_it() {
    let server = Server::start().await;
    server.becomes(Some(samples::pending()));
    let mut open = server.open(&path(), &[]).await;
    let head = open.until("generation.pending").await.to_ascii_lowercase();
    for header in
        ["content-type: text/event-stream\r\n", "cache-control: no-store", "x-accel-buffering: no"]
    {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(head.starts_with("http/1.1 200") && head.contains("retry: 2000\n\n"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    server.becomes(Some(samples::processing()));
    open.until("generation.started").await;
    server.becomes(Some(samples::succeeded()));
    let text = open.end().await;
    let told = events(&text);
    let id = samples::GENERATION;
    let short = |status: &str, at: &str| {
        json!({ "generation_id": id, "generation_status": status, "timestamp": at }).to_string()
    };
    assert_eq!(told.len(), 3, "{text}");
    assert_eq!((&*told[0].0, &*told[0].1), ("1", "generation.pending"));
    assert_eq!(told[0].2.to_string(), short("pending", "2026-06-02T08:15:10.802Z"));
    assert_eq!((&*told[1].0, &*told[1].1), ("2", "generation.started"));
    assert_eq!(told[1].2.to_string(), short("processing", "2026-06-02T08:15:11.064Z"));
    assert_eq!((&*told[2].0, &*told[2].1), ("3", "generation.completed"));
    let record = server.get(&format!("/v1/content/{id}")).await.json["data"].clone();
    assert_eq!(told[2].2["generation"].to_string(), record.to_string());
    assert_eq!(told[2].2["timestamp"], record["generation_completed_at"]);
}

#[actix_web::test]
async fn whoever_comes_back_hears_what_it_has_missed() {
    let server = Server::start().await;
    for (header, expected) in [
        ("1", &["2", "3"][..]),
        ("2", &["3"]),
        ("3", &[]),
        ("4", &["1", "2", "3"]),
        ("0", &["1", "2", "3"]),
        ("x", &["1", "2", "3"]),
    ] {
        let open = server.open(&path(), &[("Last-Event-ID", header)]).await;
        assert_eq!(ids(&open.end().await), expected, "{header}");
    }
    // What ended before a provider took it has no second event.
    let failed = samples::failed(&[], actors::failure::FailureCode::GenerationTimedOut);
    server.becomes(Some(failed));
    let text = server.open(&path(), &[]).await.end().await;
    let told = events(&text);
    assert_eq!(ids(&text), ["1", "3"]);
    assert_eq!(
        (&*told[1].1, &told[1].2["generation_status"]),
        ("generation.failed", &json!("failed"))
    );
}

#[actix_web::test]
async fn a_silent_stream_shows_that_it_lives_and_a_lost_hint_costs_seconds() {
    let server = Server::start().await;
    server.becomes(Some(samples::processing()));
    let mut open = server.open(&path(), &[("Last-Event-ID", "2")]).await;
    open.until(": still here\n\n").await;
    // Nobody tells of it.
    *server.generation.lock().unwrap() = Some(samples::canceled());
    let text = open.end().await;
    assert_eq!(ids(&text), ["3"]);
    assert!(text.matches(": still here\n\n").count() > 3, "{text}");
}

#[actix_web::test]
async fn a_stream_ends_when_its_generation_is_deleted_or_the_process_stops() {
    let server = Server::start().await;
    server.becomes(Some(samples::processing()));
    let mut open = server.open(&path(), &[]).await;
    open.until("generation.started").await;
    server.becomes(None);
    assert_eq!(ids(&open.end().await), ["1", "2"]);
    server.becomes(Some(samples::processing()));
    let mut open = server.open(&path(), &[]).await;
    open.until("generation.started").await;
    server.watchers.close();
    assert_eq!(ids(&open.end().await), ["1", "2"]);
}

#[actix_web::test]
async fn what_is_not_there_is_refused_before_a_stream_begins() {
    let server = Server::start().await;
    for id in ["0c9b7a52-1d8e-4f0b-b6a3-9e27d4c81f65", "x", "list"] {
        check_error(&server.get(&format!("/v1/content/{id}/events")).await, 404, "BSE2012");
    }
}

#[actix_web::test]
async fn streams_are_bounded_per_account_and_in_all() {
    let server = Server::start().await;
    server.becomes(Some(samples::processing()));
    let open = async |server: &Server| -> Open {
        let mut open = server.open(&path(), &[]).await;
        open.until("generation.started").await;
        open
    };
    let (first, _second) = (open(&server).await, open(&server).await);
    let refused = server.get(&path()).await;
    check_error(&refused, 429, "BSE1009");
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(refused.json["error"]["details"]["event_streams_max"], 2);
    // One that has gone makes room; the server notices when it next shows that it lives.
    drop(first);
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while server.open(&path(), &[]).await.until("\r\n\r\n").await.starts_with("HTTP/1.1 429") {
        assert!(std::time::Instant::now() < end, "the room is never given back");
    }
}

#[actix_web::test]
async fn a_wait_answers_the_finished_record() {
    let server = Server::start().await;
    let body = super::prompt().to_string();
    let submitted = Arc::new(Notify::new());
    let told = Arc::clone(&submitted);
    server.engine.submits(move |_| {
        told.notify_one();
        Ok(samples::processing())
    });
    server.becomes(Some(samples::processing()));
    let wait = |seconds| [("Authorization", &*server.bearer), ("Prefer", seconds)];
    let headers = wait("wait=9");
    let asked = server.exchange("POST", IMAGE, &headers, body.as_bytes());
    let finish = async {
        submitted.notified().await;
        server.becomes(Some(samples::succeeded()));
    };
    let (reply, ()) = tokio::join!(asked, finish);
    assert_eq!((reply.status, reply.header("preference-applied")), (200, "wait=9"));
    assert_eq!(reply.json["message"], "Generation finished");
    let record = server.get(&format!("/v1/content/{}", samples::GENERATION)).await;
    assert_eq!(reply.json["data"].to_string(), record.json["data"].to_string());

    // One that has ended already is not waited for.
    server.engine.submits(|_| Ok(samples::succeeded()));
    let reply = server.exchange("POST", IMAGE, &wait("wait=60"), body.as_bytes()).await;
    assert_eq!(reply.json["data"]["generation_status"], "succeeded");
    let reply = server.exchange("POST", IMAGE, &wait("wait=soon"), body.as_bytes()).await;
    assert_eq!(
        (&reply.json["data"]["generation_initialized"], reply.header("preference-applied")),
        (&json!(true), "")
    );
}

#[actix_web::test]
async fn a_wait_in_vain_answers_as_ever() {
    let server = Server::start().await;
    let body = super::prompt().to_string();
    server.engine.submits(|_| Ok(samples::processing()));
    server.becomes(Some(samples::processing()));
    let headers = [("Authorization", &*server.bearer), ("Prefer", "wait=0")];
    let reply = server.exchange("POST", IMAGE, &headers, body.as_bytes()).await;
    assert_eq!(reply.header("preference-applied"), "wait=1");
    assert_eq!(reply.json["message"], "Generation initialized");
    assert_eq!(reply.json["data"]["generation_initialized"], true);
    let headers = [("Authorization", &*server.bearer), ("Prefer", "wait=60")];
    server.becomes(None);
    let reply = server.exchange("POST", IMAGE, &headers, body.as_bytes()).await;
    assert_eq!(reply.json["data"]["generation_initialized"], true, "it was deleted meanwhile");
    server.watchers.close();
    server.becomes(Some(samples::processing()));
    let reply = server.exchange("POST", IMAGE, &headers, body.as_bytes()).await;
    assert_eq!(reply.json["data"]["generation_initialized"], true, "a stop ends the wait");
    server.engine.submits(|_| Ok(samples::canceled()));
    let reply = server.exchange("POST", IMAGE, &headers, body.as_bytes()).await;
    let canceled = json!({ "generation_id": samples::GENERATION, "generation_status": "canceled" });
    assert_eq!((&reply.json["data"], reply.header("preference-applied")), (&canceled, ""));
}
