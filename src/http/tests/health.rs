//! The health routes.

use actors::attempt::{AttemptOutcome, EndedAttempt};
use actors::failure::{Failure, FailureCode};
use providers::clock::Clock;
use providers::name::ProviderName;
use serde_json::{Value, json};

use super::check_error;
use super::server::Server;

const PROVIDERS: &str = "/v1/health/inference/providers";

/// An attempt at a model of the sandbox's that all three providers have.
fn ended(provider: ProviderName, outcome: AttemptOutcome) -> EndedAttempt {
    let submitted_at = outcome.resolved_at().unwrap();
    let model = "sandbox/failover".to_owned();
    EndedAttempt { model, provider, outcome, submitted_at, work_milli: 1000, cost_share: None }
}

fn note(server: &Server, provider: ProviderName, served: bool) {
    let at = server.clock.now();
    let failure = Failure::new(FailureCode::ProviderUnavailable, "It is down.");
    let outcome =
        if served { AttemptOutcome::Used { at } } else { AttemptOutcome::Failed { at, failure } };
    server.router.note(&ended(provider, outcome));
}

fn find<'a>(data: &'a Value, provider: &str) -> &'a Value {
    let providers = data["providers"].as_array().unwrap();
    providers.iter().find(|one| one["provider"] == provider).unwrap()
}

#[actix_web::test]
async fn providers_are_listed_with_what_is_known_of_them() {
    let server = Server::start().await;
    note(&server, ProviderName::SandboxInline, true);
    note(&server, ProviderName::SandboxInline, true);
    note(&server, ProviderName::SandboxInline, false);
    let reply = server.get(PROVIDERS).await;
    assert_eq!(reply.json["message"], "Provider health data retrieved successfully");
    let data = &reply.json["data"];
    let members: Vec<&String> = data.as_object().unwrap().keys().collect();
    assert_eq!(members, ["service", "healthy", "providers", "providers_total"]);
    assert_eq!((&data["service"], &data["healthy"]), (&json!("providers"), &json!(true)));
    assert_eq!(data["providers_total"], data["providers"].as_array().unwrap().len());
    assert_eq!(
        find(data, "sandbox_inline").to_string(),
        r#"{"provider":"sandbox_inline","status":"healthy","failure_rate":0.3333,"window":{"total_attempts":3,"failures":1,"successes":2,"duration_seconds":300},"configured":true,"emulated":false}"#
    );
    let never_asked = find(data, "sandbox_webhook");
    assert_eq!(
        (&never_asked["status"], &never_asked["failure_rate"]),
        (&json!("unknown"), &json!(0.0))
    );
    assert_eq!(never_asked["configured"], false);
}

#[actix_web::test]
async fn one_provider_that_can_be_asked_and_serves_keeps_the_whole_healthy() {
    let server = Server::start().await;
    for _ in 0..10 {
        note(&server, ProviderName::SandboxInline, false);
    }
    let data = server.get(PROVIDERS).await.json["data"].clone();
    assert_eq!(
        (&data["healthy"], &find(&data, "sandbox_inline")["status"]),
        (&json!(true), &json!("degraded"))
    );
    for _ in 0..10 {
        note(&server, ProviderName::SandboxPolling, false);
    }
    // The third cannot be asked, whatever is known of it.
    let reply = server.get(PROVIDERS).await;
    assert_eq!((reply.status, &reply.json["data"]["healthy"]), (200, &json!(false)));
    server.clock.forward(300_000);
    assert_eq!(server.get(PROVIDERS).await.json["data"]["healthy"], true);
}

#[actix_web::test]
async fn what_the_server_stands_on_is_tried() {
    let server = Server::start().await;
    for (path, service) in [("/v1/health/storage", "storage"), ("/v1/health/cache", "redis")] {
        let reply = server.get(path).await;
        let data = &reply.json["data"];
        assert_eq!((&data["service"], &data["healthy"]), (&json!(service), &json!(true)));
        assert!(data["latency_ms"].as_f64().unwrap() >= 0.0);
        assert_eq!(data.get("error"), None);
        server.keys.change(0, |row| row.scopes = vec![actors::api_key::Scope::LibraryRead]);
        server.clock.forward(1000);
        check_error(&server.get(path).await, 403, "BSE1003");
        server.keys.change(0, |row| row.scopes = actors::api_key::Scope::ALL.to_vec());
        server.clock.forward(1000);
    }
}
