//! That the document says what the server does.

use std::collections::BTreeSet;
use std::sync::Arc;

use actors::account::Plan;
use actors::catalogue::field::CORE_FIELDS;
use actors::failure::FailureCode;
use actors::input::normalize;
use actors::offering::Service;
use jsonschema::Validator;
use providers::name::ProviderName;
use serde_json::json;

use super::*;
use crate::catalogue_file::{Sources, load};
use crate::error::ErrorCode;
use crate::http::record::record;
use crate::http::samples;

/// All models, at the sandbox.
fn offering() -> Offering {
    let sources = Sources { sandbox: true, ..Sources::default() };
    let services = ProviderName::ALL.map(|name| (name, Service::Simulated));
    Offering::new(Arc::new(load(sources).unwrap()), services.into(), false)
}

/// The document of a server that runs them.
fn served() -> Value {
    serde_json::from_slice(&Document::of(&offering()).json.bytes).unwrap()
}

/// `GET /v1/content/{}`: names of parameters differ between routes and document.
fn anonymous(method: &str, path: &str) -> String {
    let mut route = format!("{} ", method.to_ascii_uppercase());
    let mut depth = 0;
    for c in path.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => (depth, _) = (0, route.push_str("{}")),
            '}' => depth -= 1,
            c if depth == 0 => route.push(c),
            _ => {}
        }
    }
    route
}

/// What `routes.rs` serves below `/v1`.
fn routes() -> Vec<String> {
    let source = include_str!("../routes.rs");
    let mut routes = Vec::new();
    for (at, path) in source.match_indices("\"/v1/").map(|(at, _)| (at, &source[at + 1..])) {
        let (path, rest) = path.split_once('"').unwrap();
        let service = rest.split(".service(").next().unwrap();
        let methods = ["get", "post", "delete"].into_iter();
        let methods = methods.filter(|method| service.contains(&format!("{method}().to(")));
        let before = routes.len();
        routes.extend(methods.map(|method| anonymous(method, path)));
        assert!(routes.len() > before, "no method at {at}: {path}");
    }
    routes
}

#[test]
fn every_route_is_described_once() {
    let mut document = contract();
    let paths = document["paths"].as_object_mut().unwrap();
    let described = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(|method| anonymous(method, path))
    });
    let mut described: Vec<_> = described.collect();
    let mut served = routes();
    described.sort();
    served.sort();
    assert_eq!(described, served);
}

#[test]
fn every_operation_says_what_it_is_and_how_it_fails() {
    let mut document = contract();
    let mut ids = BTreeSet::new();
    for operation in answers::operations(&mut document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} twice");
        assert!(refusals::by_status(id).is_some(), "{id} is missing in refusals.rs");
        assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{id}");
        assert_eq!(operation["security"].as_array().unwrap().len(), 1, "{id}");
        assert!(operation["x-scope"].as_str().unwrap().contains(':'), "{id}");
        assert!(operation["responses"]["200"]["headers"].is_object(), "{id}");
        assert!(operation["responses"]["401"]["content"].is_object(), "{id}");
    }
}

#[test]
fn every_code_is_in_it() {
    let document = contract();
    let known = document["components"]["schemas"]["ErrorCode"]["enum"].as_array().unwrap();
    let table = document["components"]["schemas"]["ErrorCode"]["description"].as_str().unwrap();
    for code in ErrorCode::ALL {
        let row = code.row();
        assert!(known.contains(&json!(row.code)), "{}", row.code);
        assert!(table.contains(row.code) && table.contains(row.kind), "{}", row.code);
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = served();
    let mut open = vec![&document];
    let mut found = 0;
    while let Some(value) = open.pop() {
        if let Some(id) = value.pointer("/parameters/generation_id").and(value.get("operationId")) {
            let linked = document["paths"].to_string().contains(&format!("\"operationId\":{id}"));
            assert!(linked, "{id}");
        }
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
            found += 1;
        }
        match value {
            Value::Object(members) => open.extend(members.values()),
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(found > 20, "{found}");
}

#[test]
fn nothing_in_it_is_null_but_values() {
    let document = served();
    let mut open = vec![("", &document)];
    while let Some((name, value)) = open.pop() {
        assert!(!value.is_null() || name == "default", "{name}");
        let members = value.as_object().into_iter().flatten();
        // Lists of values are the ones that may have a null.
        open.extend(members.filter(|(name, _)| *name != "enum").map(|(name, it)| (&**name, it)));
        open.extend(value.as_array().into_iter().flatten().map(|item| (name, item)));
    }
}

/// The contract as it was reviewed. To take over a change that is meant, run this test with
/// `UPDATE_SNAPSHOTS=1`.
#[test]
fn the_document_is_the_one_that_was_reviewed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let found = format!("{:#}\n", contract());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    let reviewed = std::fs::read_to_string(path).unwrap_or_default();
    let differs = reviewed.lines().zip(found.lines()).position(|(one, other)| one != other);
    assert!(
        reviewed == found,
        "docs/openapi.json differs at line {:?}; if that is meant: \
         UPDATE_SNAPSHOTS=1 cargo test -p babysea --lib openapi",
        differs.map(|line| line + 1)
    );
}

/// A validator for a schema of the document, in which what is not described is an error.
fn strict(document: &Value, pointer: &str) -> Validator {
    let mut schema = document.pointer(pointer).unwrap().clone();
    // What it refers to, where it looks for that.
    if schema.to_string().contains("$ref") {
        schema["components"] = document["components"].clone();
    }
    close(&mut schema);
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

/// Closes every object that lists its members and does not say that it is open.
fn close(value: &mut Value) {
    if value["properties"].is_object() && value["type"] == "object" {
        let members = value.as_object_mut().unwrap();
        members.entry("additionalProperties").or_insert(json!(false));
    }
    match value {
        Value::Object(members) => members.values_mut().for_each(close),
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn records_in_every_state_are_as_described() {
    let record_schema = strict(&contract(), "/components/schemas/Generation");
    let files = samples::file_urls();
    let attempts = [(ProviderName::Fal, FailureCode::ProviderTimeout)];
    let failed = samples::failed(&attempts, FailureCode::AllProvidersFailed);
    for generation in [
        samples::pending(),
        samples::processing(),
        samples::succeeded(),
        samples::removed(),
        samples::canceled(),
        failed,
        samples::failed_video(),
    ] {
        let record = record(&generation, &files.of(&generation, Plan::Pro), true);
        let problems: Vec<_> =
            record_schema.iter_errors(&record).map(|it| it.to_string()).collect();
        assert!(problems.is_empty(), "{problems:?}: {record}");
    }
}

/// The schema of a model and the check of a request are made from the same catalogue by
/// different code.
#[test]
fn what_a_model_takes_is_described_as_it_is_checked() {
    let (offering, document) = (offering(), served());
    for (model, _) in offering.models() {
        let name = models::component(model);
        let schema = strict(&document, &format!("/components/schemas/{name}"));
        let mut good = json!({ "generation_prompt": "a" });
        if let Some(length) = model.durations_ms.first() {
            good["generation_duration"] = json!(length / 1000);
        }
        if model.input_files.min > 0 {
            good["generation_input_file"] = json!(["https://a.example/a.png"]);
        }
        let agree = |body: &Value| {
            assert_eq!(schema.is_valid(body), normalize(model, body).is_ok(), "{name} {body}");
        };
        agree(&good);
        let values = [
            json!(null),
            json!(""),
            json!("a"),
            json!(" \n"),
            json!("\u{7}"),
            json!("x".repeat(10_001)),
            json!(true),
            json!(-1),
            json!(0),
            json!(1),
            json!(2),
            json!(1.5),
            json!(1e10),
            json!([]),
            json!(["https://a.example/b.png"]),
            json!(["sandbox_polling"]),
            json!(["x", "x"]),
            json!({}),
            json!("16:9"),
            json!("png"),
            json!("mp4"),
            json!("720p"),
            json!("1080p"),
            json!("1:1"),
            json!(8),
            json!("fastest"),
            json!("https://a.example/b.png"),
            json!("sandbox_polling"),
            json!("sandbox_webhook, sandbox_inline"),
            json!("succeed"),
        ];
        let own = model.fields.iter().map(|field| field.name.as_str());
        for field in CORE_FIELDS.into_iter().chain(own).chain(["generation_x", "__proto__"]) {
            for value in &values {
                let mut body = good.clone();
                body[field] = value.clone();
                agree(&body);
            }
        }
        agree(&json!({}));
        agree(&json!([]));
        let mut both = good.clone();
        both["generation_input_file"] = json!(["https://a.example/b.png"]);
        both["generation_input_file_last_content"] = json!("https://a.example/c.png");
        agree(&both);
    }
}

#[test]
fn the_page_shows_every_operation_and_schema_and_nothing_of_it_is_markup() {
    let mut document = served();
    document["paths"]["/v1/status"]["get"]["summary"] = json!("<script>alert('x')</script>");
    let page = docs::render(&document);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    for operation in answers::operations(&mut document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(page.contains(&format!("<section id='{id}'>")), "{id}");
        assert!(page.contains(&format!("<a href='#{id}'>")), "{id}");
    }
    for (name, _) in document["components"]["schemas"].as_object().unwrap() {
        assert!(page.contains(&format!("<section id='schema-{name}'>")), "{name}");
    }
}

#[test]
fn a_strict_validator_sees_what_is_missing_and_what_is_too_much() {
    let pointer = "/paths/~1v1~1status/get/responses/200/content/application~1json/schema";
    let status = strict(&contract(), pointer);
    let good = json!({
        "status": "success",
        "request_id": "req_7hq2m9xd",
        "message": "API connected successfully",
        "timestamp": "2026-06-02T08:14:05.321Z",
        "data": {
            "account_id": "3f6c1d0e-8b1a-4d57-9c7e-51d0a6b2e904",
            "apikey_id": "0c9b7a52-1d8e-4f0b-b6a3-9e27d4c81f65",
            "apikey_name": "render farm",
            "apikey_prefix": "bye_Q7rT2",
            "apikey_created_at": "2026-05-20T10:00:00.000Z",
            "apikey_last_used_at": "2026-06-02T08:14:05.300Z",
            "apikey_expires_at": null,
        },
    });
    assert!(status.is_valid(&good), "{:?}", status.iter_errors(&good).collect::<Vec<_>>());
    let broken = [
        ("/data/account_id", json!("x")),
        ("/data/apikey_name", json!(null)),
        ("/request_id", json!("7hq2m9xd")),
        ("/timestamp", json!("yesterday")),
        ("/status", json!("error")),
    ];
    for (member, value) in broken {
        let mut bad = good.clone();
        *bad.pointer_mut(member).unwrap() = value;
        assert!(!status.is_valid(&bad), "{member}");
    }
    let mut more = good.clone();
    more["data"]["more"] = json!(1);
    assert!(!status.is_valid(&more));
    let mut less = good;
    less["data"].as_object_mut().unwrap().remove("apikey_expires_at");
    assert!(!status.is_valid(&less));
}
