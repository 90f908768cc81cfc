//! The library, and the health of models.

use actors::attempt::{AttemptOutcome, EndedAttempt};
use actors::failure::{Failure, FailureCode};
use actors::offering::Service;
use providers::clock::Clock;
use providers::name::ProviderName;
use serde_json::{Value, json};

use super::server::{Reply, Server};
use super::{check_error, prompt};

fn model<'a>(reply: &'a Reply, identifier: &str) -> &'a Value {
    let models = reply.json["data"]["models"].as_array().unwrap();
    models.iter().find(|model| model["model_identifier"] == identifier).unwrap()
}

#[actix_web::test]
async fn a_model_is_listed_in_the_documented_shape() {
    let server = Server::start().await;
    let reply = server.get("/v1/library/models").await;
    assert_eq!(reply.status, 200);
    let seedance = model(&reply, "bytedance/seedance-1.5-pro");
    let fields: Vec<_> = seedance.as_object().unwrap().keys().take(6).collect();
    assert_eq!(
        fields,
        [
            "model_type",
            "model_identifier",
            "model_pricing",
            "model_supported_provider",
            "schema",
            "specific_schema"
        ]
    );
    assert_eq!(seedance["model_pricing"]["720p_audio"].to_string(), "0.062");
    assert_eq!(seedance["model_pricing"].as_object().unwrap().len(), 6);
    assert_eq!(seedance["model_supported_provider"], json!(["byteplus", "replicate", "fal"]));
    let schema = json!({
        "generation_prompt": true,
        "generation_ratio": ["16:9", "9:16", "1:1", "4:3", "3:4", "21:9"],
        "generation_output_format": ["mp4"],
        "generation_output_number": 1,
        "generation_input_file": true,
        "generation_duration": [4, 5, 6, 7, 8, 9, 10, 11, 12],
        "generation_resolution": ["720p", "480p", "1080p"],
        "generation_generate_audio": true,
    });
    assert_eq!(seedance["schema"].to_string(), schema.to_string());
    assert_eq!(
        seedance["specific_schema"],
        json!(["generation_input_file_last_content", "generation_camera_fixed", "generation_seed"])
    );
    let seed = &seedance["model_fields"]["generation_seed"];
    assert_eq!((&seed["min"], &seed["max"]), (&json!(0), &json!(2_147_483_647)));
    assert_eq!(seedance["model_fields"]["generation_input_file"]["max_items"], 1);

    let schnell = model(&reply, "bfl/flux-schnell");
    assert_eq!(schnell["model_pricing"].to_string(), "0.005");
    assert_eq!(schnell["model_price_source"], "published");
    let absent = ["generation_duration", "generation_resolution", "generation_generate_audio"];
    assert!(absent.iter().all(|field| schnell["schema"].get(field).is_none()));
    let veo = model(&reply, "google/veo-3.1");
    assert_eq!(
        veo["model_rules"],
        json!(["generation_duration must be 8 when generation_resolution is 1080p."])
    );
}

/// What official clients and starters rely on (`spec/contract.md` 0.3 rule 17).
#[actix_web::test]
async fn every_model_has_what_clients_rely_on() {
    let server = Server::start().await;
    let reply = server.get("/v1/library/models").await;
    let data = &reply.json["data"];
    let models = data["models"].as_array().unwrap();
    assert_eq!(data["models_total"], models.len());
    for model in models {
        let schema = &model["schema"];
        for list in ["generation_ratio", "generation_output_format"] {
            assert!(!schema[list].as_array().unwrap().is_empty(), "{model}");
        }
        assert!(schema["generation_output_number"].as_u64().unwrap() > 0);
        assert!(model["model_pricing"].is_number() || model["model_pricing"].is_object());
        let providers = model["model_supported_provider"].as_array().unwrap();
        let order: Vec<&str> = providers.iter().map(|name| name.as_str().unwrap()).collect();
        if model["model_fields"]["generation_input_file"]["required"] == true {
            // It would be fetched.
            continue;
        }
        server.clock.forward(2000);
        let mut body = prompt();
        body["generation_provider_order"] = json!(order.join(", "));
        body["generation_duration"] =
            schema["generation_duration"].as_array().map_or(Value::Null, |all| all[0].clone());
        let expected = order.join(", ");
        server.engine.submits(move |new| {
            assert_eq!(new.input.requested_order.as_deref(), Some(expected.as_str()));
            Ok(crate::http::samples::processing())
        });
        let (kind, name) = (&model["model_type"], &model["model_identifier"]);
        let path = format!("/v1/generate/{}/{}", kind.as_str().unwrap(), name.as_str().unwrap());
        assert_eq!(server.post(&path, &body).await.status, 200, "{path}");
    }
}

#[actix_web::test]
async fn the_eight_providers_are_listed_with_what_is_documented_of_them() {
    let server = Server::start().await;
    let data = server.get("/v1/library/providers").await.json["data"].clone();
    assert_eq!(data["providers_total"], 8);
    let text = |field: &str| -> Vec<&str> {
        let providers = data["providers"].as_array().unwrap();
        providers.iter().map(|provider| provider[field].as_str().unwrap()).collect()
    };
    assert_eq!(
        text("provider_id"),
        ["alibabacloud", "bfl", "byteplus", "cloudflare", "fal", "openai", "replicate", "runway"]
    );
    assert_eq!(
        text("provider_name"),
        ["Alibaba Cloud", "BFL", "BytePlus", "Cloudflare", "FAL", "OpenAI", "Replicate", "Runway"]
    );
    let replicate = &data["providers"][6];
    let fields: Vec<_> = replicate.as_object().unwrap().keys().take(7).collect();
    assert_eq!(fields[5..], ["provider_status", "babysea_implementation"]);
    let mut implementation = replicate["babysea_implementation"].clone();
    assert!(implementation["supported_models_total"].take().as_u64().unwrap() > 20);
    let documented = json!({
        "delivery_method": "webhook_with_polling",
        "cancel_method": "prediction_cancel_api",
        "webhook_verification": "hmac_sha256",
        "error_mapping": "bse_error_codes",
        "cost_tracking": "per_generation_usd",
        "schema_conversion": "unified_to_native",
        "failover_strategy": "sequential_provider_chain",
        "health_monitoring": "circuit_breaker",
        "supported_media_types": ["image", "video"],
        "supported_models_total": null,
    });
    assert_eq!(implementation.to_string(), documented.to_string());
    let openai = &data["providers"][5]["babysea_implementation"];
    assert_eq!(
        (&openai["delivery_method"], &openai["cancel_method"]),
        (&json!("synchronous"), &Value::Null)
    );
    assert_eq!(openai["supported_media_types"], json!(["image"]));
}

#[actix_web::test]
async fn a_client_that_has_the_library_is_not_told_again() {
    let server = Server::start().await;
    let bearer = ("Authorization", server.bearer.as_str());
    for path in ["/v1/library/models", "/v1/library/providers"] {
        let first = server.get(path).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.len() == 14, "{tag}");
        assert_eq!(first.header("cache-control"), "private, no-cache");
        let version = first.header("x-babysea-catalogue-version");
        assert_eq!(first.json["data"]["catalogue_version"], version);
        for known in [tag.clone(), format!("W/{tag}"), format!("\"old\", {tag}"), "*".to_owned()] {
            let headers = [bearer, ("If-None-Match", known.as_str())];
            let again = server.exchange("GET", path, &headers, b"").await;
            assert_eq!((again.status, again.bytes.len()), (304, 0), "{known}");
            assert_eq!(again.header("etag"), tag);
            assert_eq!(again.header("x-babysea-catalogue-version"), version);
        }
        for unknown in ["\"old\"", "no tag at all", ""] {
            let headers = [bearer, ("If-None-Match", unknown)];
            assert_eq!(server.exchange("GET", path, &headers, b"").await.status, 200, "{unknown}");
        }
        let without_key = [("If-None-Match", tag.as_str())];
        check_error(&server.exchange("GET", path, &without_key, b"").await, 401, "BSE1001");
    }
    let other = Server::start_with([(ProviderName::Fal, Service::Simulated)].into()).await;
    let tag = |reply: Reply| reply.header("etag").to_owned();
    let path = "/v1/library/models";
    assert_ne!(tag(server.get(path).await), tag(other.get(path).await), "others run it");
}

#[actix_web::test]
async fn the_health_of_models_names_their_providers() {
    let services = [(ProviderName::Replicate, Service::Simulated)];
    let server = Server::start_with(services.into()).await;
    let reply = server.get("/v1/health/inference/models").await;
    let data = &reply.json["data"];
    assert_eq!((&data["service"], &data["healthy"]), (&json!("models"), &json!(true)));
    assert_eq!(data["models_total"], data["models"].as_array().unwrap().len());
    let schnell = json!({
        "model_identifier": "bfl/flux-schnell",
        "model_type": "image",
        "model_pricing": 0.005,
        "providers": {
            "replicate": { "available": true, "raw_model_id": "black-forest-labs/flux-schnell" },
            "fal": { "available": false, "raw_model_id": null },
            "cloudflare": { "available": false, "raw_model_id": null },
        },
    });
    assert_eq!(model(&reply, "bfl/flux-schnell").to_string(), schnell.to_string());
    assert!(model(&reply, "bytedance/seedance-1-pro").get("model_pricing").is_none());

    let failure = Failure::new(FailureCode::ProviderUnavailable, "It is down.");
    for _ in 0..10 {
        let (at, failure) = (server.clock.now(), failure.clone());
        let outcome = AttemptOutcome::Failed { at, failure };
        server.router.note(&EndedAttempt {
            model: "bfl/flux-schnell".to_owned(),
            provider: ProviderName::Replicate,
            outcome,
            submitted_at: at,
            work_milli: 1000,
            cost_share: None,
        });
    }
    let reply = server.get("/v1/health/inference/models").await;
    assert_eq!(reply.json["data"]["healthy"], false);
    let degraded = &model(&reply, "bfl/flux-schnell")["providers"]["replicate"];
    assert_eq!(*degraded, json!({ "available": false, "raw_model_id": null }));
}

#[actix_web::test]
async fn what_nobody_here_runs_does_not_exist() {
    let real = [(ProviderName::Replicate, Service::Real), (ProviderName::Bfl, Service::Simulated)];
    let server = Server::start_with(real.into()).await;
    let reply = server.get("/v1/library/models").await;
    let models = reply.json["data"]["models"].as_array().unwrap();
    let priced: Vec<&Value> = models.iter().map(|model| &model["model_identifier"]).collect();
    assert_eq!(priced, ["bfl/flux-schnell", "bfl/flux-1.1-pro"], "placeholders are no prices");
    assert_eq!(models[1]["model_supported_provider"], json!(["replicate"]));
    for model in ["bfl/flux-2-pro", "qwen/image-max", "sandbox/inline"] {
        check_error(&server.get(&format!("/v1/estimate/{model}")).await, 404, "BSE2011");
        let path = format!("/v1/generate/image/{model}");
        check_error(&server.post(&path, &prompt()).await, 404, "BSE2011");
    }
    let mut body = prompt();
    body["generation_provider_order"] = json!("bfl, fal");
    let reply = server.post("/v1/generate/image/bfl/flux-1.1-pro", &body).await;
    check_error(&reply, 400, "BSE2001");
    assert_eq!(reply.json["error"]["details"]["field"], "generation_provider_order");
    body["generation_provider_order"] = json!("bfl, replicate, fal");
    server.engine.submits(|new| {
        assert_eq!(new.input.provider_order, [ProviderName::Replicate]);
        Ok(crate::http::samples::processing())
    });
    let reply = server.post("/v1/generate/image/bfl/flux-1.1-pro", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.json);
}

#[actix_web::test]
async fn the_library_and_the_health_need_their_scopes() {
    let server = Server::start().await;
    server.keys.change(0, |row| row.scopes.clear());
    server.clock.forward(1000);
    for path in [
        "/v1/estimate/bfl/flux-schnell",
        "/v1/library/models",
        "/v1/library/providers",
        "/v1/health/inference/models",
    ] {
        check_error(&server.get(path).await, 403, "BSE1003");
    }
}
