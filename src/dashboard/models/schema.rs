//! What a model accepts, for people: each field in words, and a request that can be sent.

use actors::catalogue::Model;
use providers::MediaKind;
use serde_json::{Map, Value, json};

/// A field as a row of a table.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) is_required: bool,
    /// What it may be, in words.
    pub(super) accepts: String,
    /// What it becomes when it is omitted; empty when nothing.
    pub(super) default: String,
}

impl Field {
    /// From its description in the library.
    pub(super) fn of(name: String, description: &Value) -> Self {
        let number = |key: &str| description[key].as_f64().map(|number| number.to_string());
        let accepts = match (&description["values"], number("min"), number("max")) {
            (Value::Array(values), ..) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
            (_, Some(min), Some(max)) => format!("{min} to {max}"),
            _ => match (number("min_items"), number("max_items"), number("max_length")) {
                (Some(min), Some(max), _) if min == max => format!("{max} URLs"),
                (Some(min), Some(max), _) => format!("{min} to {max} URLs"),
                (_, _, Some(max)) => format!("up to {max} characters"),
                _ => String::new(),
            },
        };
        let default = &description["default"];
        Self {
            name,
            kind: plain(&description["type"]).replace('_', " "),
            is_required: description["required"] == true,
            accepts,
            default: if default.is_null() { String::new() } else { plain(default) },
        }
    }
}

/// As a person writes it: text without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A request with everything that is required, for a shell.
pub(super) fn example(model: &Model, fields: &Map<String, Value>, url: &str) -> String {
    let mut body = Map::new();
    for (name, description) in fields {
        if description["required"] == true {
            body.insert(name.clone(), sample(name, description));
        }
    }
    let kind = match model.media {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
    };
    // Plain data with text keys: writing it to memory cannot fail.
    let body = serde_json::to_string_pretty(&body).unwrap_or_default();
    format!(
        "curl {url}/v1/generate/{kind}/{} \\\n  -H \"Authorization: Bearer $BABYSEA_API_KEY\" \\\n  \
         -H \"Content-Type: application/json\" \\\n  -d '{body}'",
        model.identifier
    )
}

/// Something that a required field takes.
fn sample(name: &str, description: &Value) -> Value {
    match (name, &description["values"]) {
        ("generation_prompt", _) => json!("a lighthouse made of folded paper"),
        (_, Value::Array(values)) if !values.is_empty() => values[0].clone(),
        _ if description["type"] == "url_array" => json!(["https://example.com/input.png"]),
        _ => description["min"].clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_told_in_words() {
        for (description, accepts, default) in [
            (
                json!({ "type": "string", "values": ["1:1", "9:16"], "default": "1:1" }),
                "1:1, 9:16",
                "1:1",
            ),
            (json!({ "type": "number", "values": [5, 7.5], "required": true }), "5, 7.5", ""),
            (json!({ "type": "integer", "min": 1, "max": 4, "default": 1 }), "1 to 4", "1"),
            (
                json!({ "type": "string", "max_length": 2000, "default": null }),
                "up to 2000 characters",
                "",
            ),
            (json!({ "type": "url_array", "min_items": 0, "max_items": 3 }), "0 to 3 URLs", ""),
            (json!({ "type": "boolean", "default": false }), "", "false"),
        ] {
            let field = Field::of("generation_x".to_owned(), &description);
            assert_eq!((field.accepts.as_str(), field.default.as_str()), (accepts, default));
        }
    }
}
