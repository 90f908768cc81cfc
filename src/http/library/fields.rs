//! Every field of a model with what it accepts and what it becomes when it is omitted: what the
//! documented `schema` leaves out (`spec/domain.md` F18).

use actors::catalogue::Model;
use actors::catalogue::field::{Field, FieldKind};
use actors::input::PROMPT_MAX;
use serde_json::{Map, Value, json};

use crate::http::number::seconds;

/// By public name, in the order of `spec/contract.md` 7.2.
pub(super) fn describe(model: &Model) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, description: Value| {
        fields.insert(name.to_owned(), description);
    };
    let prompt =
        json!({ "type": "string", "required": true, "min_length": 1, "max_length": PROMPT_MAX });
    put("generation_prompt", prompt);
    put("generation_ratio", choice(model.ratios.iter().map(|ratio| json!(ratio)).collect()));
    let formats = model.formats.iter().map(|format| json!(format.as_str())).collect();
    put("generation_output_format", choice(formats));
    let number = json!({ "type": "integer", "required": false, "min": 1,
        "max": model.output_number_max, "default": 1 });
    put("generation_output_number", number);
    if !model.durations_ms.is_empty() {
        let values: Vec<Value> = model.durations_ms.iter().map(|ms| seconds(*ms)).collect();
        let duration = json!({ "type": "number", "required": true, "values": values });
        put("generation_duration", duration);
    }
    if !model.resolutions.is_empty() {
        let resolutions = model.resolutions.iter().map(|tier| json!(tier)).collect();
        put("generation_resolution", choice(resolutions));
    }
    if model.audio {
        let audio = json!({ "type": "boolean", "required": false, "default": false });
        put("generation_generate_audio", audio);
    }
    if model.input_files.max > 0 {
        let limits = model.input_files;
        let files = json!({ "type": "url_array", "required": limits.min > 0,
            "min_items": limits.min, "max_items": limits.max });
        put("generation_input_file", files);
    }
    if model.last_frame {
        let last = json!({ "type": "url", "required": false, "needs": "generation_input_file" });
        put("generation_input_file_last_content", last);
    }
    for field in &model.fields {
        put(&field.name, specific(field));
    }
    fields
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
