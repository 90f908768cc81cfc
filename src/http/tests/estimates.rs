//! GET estimate.

use std::sync::{Arc, Mutex};

use actors::catalogue::Model;
use actors::money::Credits;
use providers::MediaKind;
use serde_json::{Value, json};

use super::check_error;
use super::server::Server;
use crate::http::samples;

#[actix_web::test]
async fn the_estimates_of_contract_13_8_and_13_9_are_answered_to_the_letter() {
    let server = Server::start().await;
    server.accounts.set_balance(Some("4.100"));
    let reply = server.get("/v1/estimate/bfl/flux-1.1-pro?count=3").await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"));
    let data = r#"{"model_identifier":"bfl/flux-1.1-pro","model_type":"image","assets_count":3,"cost_per_generation":0.052,"cost_total_consumed":0.156,"credit_balance":4.1,"credit_balance_can_afford":true,"credit_balance_max_affordable":78}"#;
    assert_eq!(reply.json["data"].to_string(), data);

    server.accounts.set_balance(Some("0.500"));
    let path = "/v1/estimate/bytedance%2Fseedance-1.5-pro";
    let query = "?count=2&duration=6&resolution=720p&audio=true";
    let reply = server.get(&format!("{path}{query}")).await;
    let data = r#"{"model_identifier":"bytedance/seedance-1.5-pro","model_type":"video","assets_count":2,"cost_per_second":0.062,"duration_seconds":6,"resolution":"720p","cost_per_generation":0.372,"cost_total_consumed":0.744,"credit_balance":0.5,"credit_balance_can_afford":false,"credit_balance_max_affordable":1}"#;
    assert_eq!(reply.json["data"].to_string(), data);
}

#[actix_web::test]
async fn the_documented_checks_of_contract_9_6_hold() {
    let server = Server::start().await;
    for (query, balance, total, affordable) in [
        ("bfl/flux-schnell?count=2", "10", 0.01, 2000),
        ("bfl/flux-schnell?count=5", "10", 0.025, 2000),
        ("bfl/flux-1.1-pro", "12.480", 0.052, 240),
    ] {
        server.accounts.set_balance(Some(balance));
        let data = server.get(&format!("/v1/estimate/{query}")).await.json["data"].clone();
        assert_eq!(data["cost_total_consumed"], total, "{query}");
        assert_eq!(data["credit_balance_max_affordable"], affordable, "{query}");
    }
}

#[actix_web::test]
async fn a_balance_that_cannot_be_read_is_null_and_the_price_is_named() {
    let server = Server::start().await;
    server.accounts.set_balance(None);
    let data = server.get("/v1/estimate/bfl/flux-schnell").await.json["data"].clone();
    assert_eq!(data["cost_per_generation"], 0.005);
    for field in ["balance", "balance_can_afford", "balance_max_affordable"] {
        assert_eq!(data.get(format!("credit_{field}")), Some(&Value::Null), "{data}");
    }
}

#[actix_web::test]
async fn a_count_is_clamped_and_what_does_not_matter_is_ignored() {
    let server = Server::start().await;
    for (query, count) in [
        ("", 1),
        ("?count=0", 1),
        ("?count=-7", 1),
        ("?count=100", 100),
        ("?count=101", 100),
        ("?count=99999999999999999999999", 100),
        ("?duration=x&resolution=8k&audio=loud&color=red", 1),
    ] {
        let reply = server.get(&format!("/v1/estimate/bfl/flux-schnell{query}")).await;
        assert_eq!(reply.json["data"]["assets_count"], count, "{query}: {}", reply.json);
    }
    let path = "/v1/estimate/bytedance/seedance-1-pro?duration=5.0";
    let data = server.get(path).await.json["data"].clone();
    assert_eq!((&data["resolution"], &data["duration_seconds"]), (&json!("720p"), &json!(5)));
    assert_eq!(data["cost_per_generation"], 0.31);
}

#[actix_web::test]
async fn what_is_wrong_with_a_query_is_named() {
    let server = Server::start().await;
    let seedance = "bytedance/seedance-1.5-pro";
    for (model, query, status, code, field) in [
        ("bfl/flux-schnell", "count=two", 400, "BSE2001", "count"),
        ("bfl/flux-schnell", "count=", 400, "BSE2001", "count"),
        ("bfl/flux-schnell", "count=1.5", 400, "BSE2001", "count"),
        ("bfl/flux-schnell", "count=1&count=2", 400, "BSE2001", "count"),
        (seedance, "", 400, "BSE2001", "duration"),
        (seedance, "duration=long", 400, "BSE2001", "duration"),
        (seedance, "duration=NaN", 400, "BSE2001", "duration"),
        (seedance, "duration=3", 422, "BSE2008", "duration"),
        (seedance, "duration=5.5", 422, "BSE2008", "duration"),
        (seedance, "duration=5&resolution=4k", 400, "BSE2001", "resolution"),
        (seedance, "duration=5&audio=yes", 400, "BSE2001", "audio"),
        ("google/veo-3.1", "duration=4&resolution=1080p", 400, "BSE2001", "duration"),
    ] {
        let reply = server.get(&format!("/v1/estimate/{model}?{query}")).await;
        check_error(&reply, status, code);
        let details = &reply.json["error"]["details"];
        assert_eq!(details["field"], field, "{model}?{query}: {details}");
        assert_eq!(details["min"].is_number(), status == 422);
    }
    for model in ["bfl/none", "", "bfl", "bfl/flux-schnell/"] {
        check_error(&server.get(&format!("/v1/estimate/{model}")).await, 404, "BSE2011");
    }
}

/// Every choice that the price of a model depends on, as members of a body.
fn choices(model: &Model) -> Vec<Value> {
    let mut choices = vec![json!({})];
    let mut extend = |field: &str, values: Vec<Value>| {
        choices = choices
            .iter()
            .flat_map(|choice| {
                values.iter().map(move |value| {
                    let mut choice = choice.clone();
                    choice[field] = value.clone();
                    choice
                })
            })
            .collect();
    };
    if model.media == MediaKind::Video {
        let ends = [model.durations_ms.first(), model.durations_ms.last()];
        let ends = ends.into_iter().flatten().map(|ms| json!(*ms as f64 / 1000.0));
        extend("generation_duration", ends.collect());
    }
    if !model.resolutions.is_empty() {
        extend("generation_resolution", model.resolutions.iter().map(|it| json!(it)).collect());
    }
    if model.audio {
        extend("generation_generate_audio", vec![json!(false), json!(true)]);
    }
    choices
}

#[actix_web::test]
async fn a_request_reserves_exactly_what_the_estimate_said_for_every_model_and_tier() {
    let server = Server::start().await;
    let reserved = Arc::<Mutex<Option<Credits>>>::default();
    let seen = Arc::clone(&reserved);
    server.engine.submits(move |new| {
        *seen.lock().unwrap() = Some(new.amount);
        Ok(samples::processing())
    });
    let mut compared = 0;
    let offering = Arc::clone(&server.offering);
    // Those that need a file would have it fetched.
    for (model, _) in offering.models().filter(|(model, _)| model.input_files.min == 0) {
        for mut body in choices(model) {
            // Beyond every limit of a minute.
            server.clock.forward(2000);
            let value = |field: &str| match &body[field] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let query = format!(
                "count={}&duration={}&resolution={}&audio={}",
                model.output_number_max,
                value("generation_duration"),
                value("generation_resolution"),
                value("generation_generate_audio"),
            );
            let query = query.replace("duration=&", "").replace("resolution=&", "");
            let query = query.trim_end_matches("&audio=");
            let estimate = server.get(&format!("/v1/estimate/{}?{query}", model.identifier)).await;
            body["generation_prompt"] = json!("a cat");
            body["generation_output_number"] = json!(model.output_number_max);
            *reserved.lock().unwrap() = None;
            let path = format!("/v1/generate/{}/{}", model.media.as_str(), model.identifier);
            let created = server.post(&path, &body).await;
            let amount = reserved.lock().unwrap().map(Credits::to_number);
            // A combination that the lab refuses has neither price nor reservation.
            let total = estimate.json["data"]["cost_total_consumed"].as_f64();
            assert_eq!(amount, total, "{path}?{query}: {} {}", estimate.json, created.json);
            assert_eq!(total.is_none(), estimate.status == 400, "{}", estimate.json);
            compared += i32::from(total.is_some());
        }
    }
    assert!(compared > 120, "{compared}");
}
