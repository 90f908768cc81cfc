//! Every field of a model with what it accepts and what it becomes when it is omitted: what the
//! documented `schema` leaves out (`spec/domain.md` F18).

use actors::catalogue::Model;
use actors::catalogue::field::{Field, FieldKind};
use actors::input::PROMPT_MAX;
use serde_json::{Map, Value, json};

use crate::decimal::seconds;

/// By public name, in the order of `spec/contract.md` 7.2.
pub(crate) fn describe(model: &Model) -> Map<String, Value> {
    let mut fields = core(model);
    if model.last_frame {
        let last = json!({ "type": "url", "required": false, "needs": "generation_input_file" });
        fields.push(("generation_input_file_last_content", last));
    }
    fields.extend(model.fields.iter().map(|field| (field.name.as_str(), specific(field))));
    fields.into_iter().map(|(name, description)| (name.to_owned(), description)).collect()
}

/// What the fields of a model ask of each other, in words.
pub(crate) fn rules(model: &Model) -> Vec<String> {
    model.rules.iter().map(|rule| format!("{} {}.", rule.needs, rule.demand())).collect()
}

/// The fields that all models know, as far as this one takes them.
fn core(model: &Model) -> Vec<(&str, Value)> {
    let text = |texts: &[String]| choice(texts.iter().map(|text| json!(text)).collect());
    let formats = model.formats.iter().map(|format| json!(format.as_str())).collect();
    let durations: Vec<Value> = model.durations_ms.iter().map(|ms| seconds(*ms)).collect();
    let (count_max, files) = (model.output_number_max, model.input_files);
    let prompt =
        json!({ "type": "string", "required": true, "min_length": 1, "max_length": PROMPT_MAX });
    let number =
        json!({ "type": "integer", "required": false, "min": 1, "max": count_max, "default": 1 });
    let duration = json!({ "type": "number", "required": true, "values": durations });
    let audio = json!({ "type": "boolean", "required": false, "default": false });
    let input = json!({ "type": "url_array", "required": files.min > 0,
        "min_items": files.min, "max_items": files.max });
    [
        (true, "generation_prompt", prompt),
        (true, "generation_ratio", text(&model.ratios)),
        (true, "generation_output_format", choice(formats)),
        (true, "generation_output_number", number),
        (!durations.is_empty(), "generation_duration", duration),
        (!model.resolutions.is_empty(), "generation_resolution", text(&model.resolutions)),
        (model.audio, "generation_generate_audio", audio),
        (files.max > 0, "generation_input_file", input),
    ]
    .into_iter()
    .filter(|(taken, ..)| *taken)
    .map(|(_, name, description)| (name, description))
    .collect()
}

/// One of these; the first when it is omitted.
fn choice(values: Vec<Value>) -> Value {
    let default = values.first().cloned();
    json!({ "type": "string", "required": false, "values": values, "default": default })
}

fn specific(field: &Field) -> Value {
    let mut description = match &field.kind {
        FieldKind::Integer { min, max } => json!({ "type": "integer", "min": min, "max": max }),
        FieldKind::Number { min, max } => json!({ "type": "number", "min": min, "max": max }),
        FieldKind::Boolean => json!({ "type": "boolean" }),
        FieldKind::Text { max } => json!({ "type": "string", "max_length": max }),
        FieldKind::Enum(values) => json!({ "type": "string", "values": values }),
        FieldKind::EnumList(values) => json!({ "type": "string_array", "values": values }),
    };
    description["required"] = json!(false);
    description["default"] = json!(field.default);
    description
}
