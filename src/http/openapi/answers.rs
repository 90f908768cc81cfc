//! What the handlers' annotations leave out because it is the same everywhere: the two
//! envelopes, the errors of each operation, and the headers.

use serde_json::{Map, Value, json};

use super::{components, refusals};
use crate::error::ErrorCode;

/// The one operation whose envelope has a page beside its data (`spec/contract.md` 2.1).
const PAGED: &str = "list_generations";

/// Whose answers a client may keep.
const LIBRARY: [&str; 2] = ["list_models", "list_providers"];

/// What every answer says once it is known whose account it is.
const LIMITS: [&str; 5] = [
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "RateLimit",
    "RateLimit-Policy",
];

/// Completes a document as it comes from the annotations.
pub(super) fn complete(document: &mut Value) {
    for operation in operations(document) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        say_scope(operation);
        unbound(operation);
        wrap(operation, id == PAGED);
        if id.starts_with("create_") {
            operation["responses"]["200"]["links"] = links();
        }
        for (status, codes) in refusals::by_status(&id).unwrap_or_default() {
            operation["responses"][status.to_string()] = refusal(&codes);
        }
        for (status, answer) in members(&mut operation["responses"]) {
            add_headers(&id, status, answer);
        }
    }
    components::add(&mut document["components"]);
}

/// The operations of a document.
pub(super) fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    members(&mut document["paths"])
        .flat_map(|(_, methods)| members(methods).map(|(_, operation)| operation))
}

fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flat_map(|object| object.iter_mut())
}

/// Where people and programs find it: 3.1 has roles in the requirement, viewers do not show it.
fn say_scope(operation: &mut Value) {
    let scope = operation["security"][0]["api_key"][0].clone();
    let text = scope.as_str().unwrap_or_default();
    let needs = format!("The key needs the scope `{text}`.");
    let said = match operation["description"].as_str() {
        None => needs,
        Some(before) => format!("{before}\n\n{needs}"),
    };
    operation["description"] = said.into();
    operation["x-scope"] = scope;
}

/// Whole numbers in queries are brought into their range however many digits they have, so no
/// format may bound them.
fn unbound(operation: &mut Value) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        if let Some(schema) = parameter["schema"].as_object_mut()
            && schema.get("type").is_some_and(|kind| kind == "integer")
        {
            schema.remove("format");
        }
    }
}

/// Puts the envelope of `spec/contract.md` 2.1 around what succeeds.
fn wrap(operation: &mut Value, paged: bool) {
    let content = &mut operation["responses"]["200"]["content"];
    let Some(json) = content.get_mut("application/json") else { return };
    let data = json["schema"].take();
    let mut properties = json!({
        "status": { "const": "success" },
        "request_id": { "$ref": "#/components/schemas/RequestId" },
        "message": { "type": "string" },
        "timestamp": { "type": "string", "format": "date-time" },
        "data": data,
    });
    let mut required = vec!["status", "request_id", "message", "timestamp", "data"];
    if paged {
        for field in ["total", "limit", "offset"] {
            properties[field] = json!({ "type": "integer", "minimum": 0 });
            required.push(field);
        }
    }
    json["schema"] = json!({ "type": "object", "required": required, "properties": properties });
}

/// What can be done with what was made.
fn links() -> Value {
    let link = |operation: &&str| {
        let id = json!({ "generation_id": "$response.body#/data/generation_id" });
        ((*operation).to_owned(), json!({ "operationId": operation, "parameters": id }))
    };
    let operations = ["get_generation", "cancel_generation", "delete_generation"];
    operations.iter().map(link).collect()
}

/// The errors that share a status.
fn refusal(codes: &[ErrorCode]) -> Value {
    let lines: Vec<_> = codes.iter().map(|code| line(*code)).collect();
    let numbers: Vec<_> = codes.iter().map(|code| code.row().code).collect();
    let example = |number: &&str| {
        let reference = format!("#/components/examples/{number}");
        ((*number).to_owned(), json!({ "$ref": reference }))
    };
    let examples: Map<_, _> = numbers.iter().map(example).collect();
    json!({
        "description": lines.join("\n"),
        "content": { "application/json": {
            "schema": { "allOf": [
                { "$ref": "#/components/schemas/Error" },
                { "properties": { "error": { "properties": { "code": { "enum": numbers } } } } },
            ] },
            "examples": examples,
        } },
    })
}

fn line(code: ErrorCode) -> String {
    let row = code.row();
    format!("- `{}` `{}`: {}", row.code, row.kind, row.message)
}

fn add_headers(id: &str, status: &str, answer: &mut Value) {
    let mut put = |name: &str| {
        answer["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
    };
    put("X-Request-Id");
    LIMITS.into_iter().for_each(&mut put);
    if matches!(status, "409" | "429" | "503") {
        put("Retry-After");
    }
    if id.starts_with("create_") && matches!(status, "200" | "422" | "500" | "502") {
        put("Idempotency-Replayed");
    }
    if id.starts_with("create_") && status == "200" {
        put("Preference-Applied");
    }
    if LIBRARY.contains(&id) && matches!(status, "200" | "304") {
        put("ETag");
        put("X-BabySea-Catalogue-Version");
    }
}
