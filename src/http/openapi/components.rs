//! What operations refer to: the error envelope, the table of codes, headers, the key.

use serde_json::{Value, json};

use crate::error::{ErrorCode, Origin};

/// What has members beside those that are listed: the fields that single models have.
const OPEN: [&str; 2] = ["Generation", "GenerationRequest"];

/// Adds them to those that come from the annotations.
pub(super) fn add(components: &mut Value) {
    let schemas = &mut components["schemas"];
    for name in OPEN {
        schemas[name]["additionalProperties"] = true.into();
    }
    schemas["Error"] = error_schema();
    schemas["ProviderError"] = provider_error_schema();
    schemas["ErrorCode"] = code_schema();
    schemas["RequestId"] = json!({
        "type": "string",
        "pattern": "^req_[0-9a-z]{8}$",
        "description": "Names the request in logs.",
    });
    components["examples"] =
        ErrorCode::ALL.iter().map(|code| (code.row().code.to_owned(), example(*code))).collect();
    components["headers"] = headers();
    components["securitySchemes"] = json!({ "api_key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "bye_…",
        "description": "An API key. Each operation names the scope that the key must have.",
    } });
}

fn example(code: ErrorCode) -> Value {
    let row = code.row();
    json!({ "summary": row.kind, "value": {
        "status": "error",
        "request_id": "req_7hq2m9xd",
        "error": {
            "code": row.code,
            "type": row.kind,
            "message": row.message,
            "retryable": row.retryable,
        },
    } })
}

/// `spec/contract.md` 2.2.
fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["status", "request_id", "error"],
        "properties": {
            "status": { "const": "error" },
            "request_id": { "$ref": "#/components/schemas/RequestId" },
            "error": {
                "type": "object",
                "required": ["code", "type", "message", "retryable"],
                "properties": {
                    "code": { "$ref": "#/components/schemas/ErrorCode" },
                    "type": { "type": "string" },
                    "message": { "type": "string" },
                    "retryable": {
                        "type": "boolean",
                        "description": "Whether the same request may succeed later.",
                    },
                    "details": {
                        "type": "object",
                        "description": "What there is to say depends on the code: an invalid \
                                        request names the first `field` and lists all `issues`.",
                    },
                    "provider_errors": {
                        "type": "array",
                        "items": { "$ref": "#/components/schemas/ProviderError" },
                    },
                },
            },
        },
    })
}

fn provider_error_schema() -> Value {
    json!({
        "type": "object",
        "description": "What one of the providers said that were tried.",
        "required": ["provider", "code", "type", "message", "retryable"],
        "properties": {
            "provider": { "type": "string" },
            "code": { "$ref": "#/components/schemas/ErrorCode" },
            "type": { "type": "string" },
            "message": { "type": "string" },
            "retryable": { "type": "boolean" },
        },
    })
}

/// Every code, with its row of the table.
fn code_schema() -> Value {
    let row = |code: ErrorCode| {
        let row = code.row();
        let retry = if row.retryable { "yes" } else { "no" };
        let ours = if row.origin == Origin::Ours { " *" } else { "" };
        format!(
            "| {}{ours} | `{}` | {} | {retry} | {} |",
            row.code, row.kind, row.status, row.message
        )
    };
    let rows: Vec<_> = ErrorCode::ALL.into_iter().map(row).collect();
    let numbers: Vec<_> = ErrorCode::ALL.iter().map(|code| code.row().code).collect();
    json!({
        "type": "string",
        "enum": numbers,
        "description": format!(
            "Clients go by `retryable`, then by the code. A star marks numbers that are this \
             server's own choice.\n\n| code | type | status | retryable | message |\n\
             |---|---|---|---|---|\n{}",
            rows.join("\n")
        ),
    })
}

/// By name: what it says, and its schema.
fn headers() -> Value {
    let header = |says: &str, schema: Value| json!({ "description": says, "schema": schema });
    let integer = |minimum: u8| json!({ "type": "integer", "minimum": minimum });
    let id = json!({ "$ref": "#/components/schemas/RequestId" });
    let text = json!({ "type": "string" });
    let replayed = "`true` when this is the remembered answer of an earlier request.";
    json!({
        "X-Request-Id": header("Names the request in logs; `request_id`, unless the answer is a replay.", id),
        "Retry-After": header("Seconds after which to ask again.", integer(1)),
        "X-RateLimit-Limit": header("What the limit allows in 60 seconds.", integer(0)),
        "X-RateLimit-Remaining": header("How much of it is left.", integer(0)),
        "X-RateLimit-Reset": header("When more becomes free, in seconds since 1970.", integer(0)),
        "ETag": header("Stands for the data, not for the envelope around it.", text.clone()),
        "X-BabySea-Catalogue-Version": header("The version that generations keep.", text.clone()),
        "Preference-Applied": header("The wait that was granted.", text.clone()),
        "RateLimit": header("The same for each limit, as the IETF drafts it.", text.clone()),
        "RateLimit-Policy": header("What each limit allows, as the IETF drafts it.", text),
        "Idempotency-Replayed": header(replayed, json!({ "const": "true" })),
    })
}
