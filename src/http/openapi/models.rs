//! What the models of a server take: one schema for each, made from what is on offer.

use actors::catalogue::Model;
use actors::catalogue::field::{CORE_FIELDS, Field, FieldKind};
use actors::offering::Offering;
use providers::MediaKind;
use serde_json::{Map, Value, json};

use super::answers::operations;

/// Not empty when trimmed, and without control characters but line ends and tabs, as
/// `actors::input` has it.
const PROMPT: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000][^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";
const TEXT: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";

const FIRST: &str = "generation_input_file";
const LAST: &str = "generation_input_file_last_content";

/// Names the models where one is to be chosen, and says what each takes.
pub(super) fn add(document: &mut Value, offering: &Offering) {
    for operation in operations(document) {
        let media = match operation["operationId"].as_str() {
            Some("create_image_generation") => Some(MediaKind::Image),
            Some("create_video_generation") => Some(MediaKind::Video),
            Some(_) | None => None,
        };
        let fits = |model: &&Model| media.is_none_or(|media| model.media == media);
        let models: Vec<_> = offering.models().map(|(model, _)| model).filter(fits).collect();
        name_models(operation, &models);
        if media.is_some() {
            narrow(&mut operation["requestBody"]["content"]["application/json"], &models);
        }
    }
    for (model, _) in offering.models() {
        document["components"]["schemas"][component(model)] = request(model);
    }
}

fn name_models(operation: &mut Value, models: &[&Model]) {
    let names: Vec<_> = models.iter().map(|model| model.identifier.as_str()).collect();
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    let parameters = parameters.into_iter().flatten();
    for parameter in parameters.filter(|it| it["name"] == "model_identifier") {
        parameter["schema"]["enum"] = json!(names);
        parameter["example"] = json!(names.first());
    }
}

/// Which of them applies, the path decides; OpenAPI has no way to say that.
fn narrow(content: &mut Value, models: &[&Model]) {
    let reference =
        |model: &&Model| json!({ "$ref": format!("#/components/schemas/{}", component(model)) });
    let any: Vec<_> = models.iter().map(reference).collect();
    content["schema"] = json!({ "allOf": [content["schema"].take(), { "anyOf": any }] });
}

/// `Request.lab.model`: names of components have no slash.
pub(super) fn component(model: &Model) -> String {
    format!("Request.{}", model.identifier.replace('/', "."))
}

fn request(model: &Model) -> Value {
    let mut properties = Map::new();
    let mut put = |name: &str, schema: Value| properties.insert(name.to_owned(), schema);
    let formats: Vec<_> = model.formats.iter().map(|format| format.as_str().to_owned()).collect();
    put("generation_prompt", json!({ "type": "string", "maxLength": 10_000, "pattern": PROMPT }));
    put("generation_ratio", choice(&model.ratios));
    put("generation_output_format", choice(&formats));
    put("generation_output_number", count(model));
    if model.media == MediaKind::Video {
        put("generation_duration", json!({ "enum": seconds(&model.durations_ms) }));
    }
    if !model.resolutions.is_empty() {
        put("generation_resolution", choice(&model.resolutions));
    }
    if model.audio {
        put("generation_generate_audio", json!({ "type": ["boolean", "null"], "default": false }));
    }
    put(FIRST, input_files(model));
    if model.last_frame {
        put(LAST, file(json!(["string", "null"])));
    }
    put("generation_provider_order", order(model));
    for field in &model.fields {
        put(&field.name, own_field(field));
    }
    // A null counts as absent, also where there is nothing to be absent.
    for field in CORE_FIELDS {
        properties.entry(field).or_insert(json!({ "type": "null" }));
    }
    let rules = rules(model, &properties);
    let mut request = json!({
        "title": model.identifier,
        "type": "object",
        "required": required(model),
        "properties": properties,
        "additionalProperties": false,
    });
    if !rules.is_empty() {
        request["allOf"] = rules.into();
    }
    request
}

/// What fields ask of each other.
fn rules(model: &Model, properties: &Map<String, Value>) -> Vec<Value> {
    let given = [Value::Bool(true)];
    let last = model.last_frame.then(
        || json!({ "if": has(LAST, &given, properties), "then": has(FIRST, &given, properties) }),
    );
    let own = model.rules.iter().map(|rule| {
        json!({
            "if": has(&rule.when, &rule.is, properties),
            "then": has(&rule.needs, &rule.one_of, properties),
        })
    });
    last.into_iter().chain(own).collect()
}

/// A field has one of these values, by itself or by default; a file has only whether it is given.
fn has(field: &str, values: &[Value], properties: &Map<String, Value>) -> Value {
    if field == FIRST || field == LAST {
        let some = json!({ "type": ["array", "string"], "minItems": 1 });
        let given = json!({ "required": [field], "properties": { field: some } });
        let whether = [true, false].map(|it| values.contains(&Value::Bool(it)));
        return match whether {
            [true, true] => json!({}),
            [true, false] => given,
            [false, _] => json!({ "not": given }),
        };
    }
    let default = properties.get(field).and_then(|schema| schema.get("default"));
    match default.is_some_and(|default| values.contains(default)) {
        true => {
            let values: Vec<_> = values.iter().cloned().chain([Value::Null]).collect();
            json!({ "properties": { field: { "enum": values } } })
        }
        false => json!({ "required": [field], "properties": { field: { "enum": values } } }),
    }
}

fn required(model: &Model) -> Vec<&'static str> {
    let mut required = vec!["generation_prompt"];
    if model.media == MediaKind::Video {
        required.push("generation_duration");
    }
    if model.input_files.min > 0 {
        required.push(FIRST);
    }
    required
}

fn count(model: &Model) -> Value {
    let max = model.output_number_max;
    json!({ "type": ["integer", "null"], "minimum": 1, "maximum": max, "default": 1 })
}

fn input_files(model: &Model) -> Value {
    let limits = model.input_files;
    let kind = if limits.min > 0 { json!("array") } else { json!(["array", "null"]) };
    json!({
        "type": kind,
        "items": file(json!("string")),
        "minItems": limits.min,
        "maxItems": limits.max,
    })
}

/// A public URL; whether a file is there, a schema cannot say.
fn file(kind: Value) -> Value {
    json!({ "type": kind, "format": "uri", "pattern": "^https?://", "maxLength": 2048 })
}

/// One of these texts, or the first of them when absent.
fn choice(values: &[String]) -> Value {
    let any: Vec<_> = values.iter().map(|value| json!(value)).chain([Value::Null]).collect();
    json!({ "enum": any, "default": values.first() })
}

fn seconds(lengths_ms: &[u64]) -> Vec<Value> {
    let seconds = |ms: &u64| match ms % 1000 {
        0 => json!(ms / 1000),
        _ => json!(*ms as f64 / 1000.0),
    };
    lengths_ms.iter().map(seconds).collect()
}

/// `fastest`, and every order that can be made of some of the providers.
fn order(model: &Model) -> Value {
    let providers: Vec<_> = model.providers().map(|name| name.as_str()).collect();
    let mut orders = vec![vec![]];
    let mut texts = vec![json!("fastest")];
    for _ in &providers {
        orders = orders.iter().flat_map(|order| longer(order, &providers)).collect();
        texts.extend(orders.iter().map(|order| json!(order.join(", "))));
    }
    texts.push(Value::Null);
    json!({ "enum": texts, "default": "fastest" })
}

fn longer<'a>(order: &[&'a str], providers: &[&'a str]) -> Vec<Vec<&'a str>> {
    let rest = providers.iter().filter(|name| !order.contains(name));
    rest.map(|name| [order, &[name]].concat()).collect()
}

fn own_field(field: &Field) -> Value {
    let mut schema = match &field.kind {
        FieldKind::Integer { min, max } => {
            json!({ "type": ["integer", "null"], "minimum": min, "maximum": max })
        }
        FieldKind::Number { min, max } => {
            json!({ "type": ["number", "null"], "minimum": min, "maximum": max })
        }
        FieldKind::Boolean => json!({ "type": ["boolean", "null"] }),
        FieldKind::Text { max } => {
            json!({ "type": ["string", "null"], "maxLength": max, "pattern": TEXT })
        }
        FieldKind::Enum(values) => {
            let values = values.iter().map(|value| json!(value));
            json!({ "enum": values.chain([Value::Null]).collect::<Vec<_>>() })
        }
        FieldKind::EnumList(values) => {
            json!({ "type": ["array", "null"], "items": { "enum": values }, "uniqueItems": true })
        }
    };
    if let Some(default) = &field.default {
        schema["default"] = default.clone();
    }
    schema
}
