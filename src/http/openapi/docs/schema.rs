//! A schema as nested lists of what an object has.

use std::fmt;

use serde_json::Value;

use super::prose::{Escaped, Prose};
use super::{members, text};

/// A schema of the document.
pub(super) struct Schema<'a>(pub(super) &'a Value);

impl fmt::Display for Schema<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.0;
        if let Some(name) = referenced(schema) {
            return write!(f, "<p><a href='#schema-{0}'>{0}</a></p>", Escaped(name));
        }
        write!(f, "<p class=type>{}</p>", Escaped(&kind(schema)))?;
        write!(f, "{}", Prose(text(&schema["description"])))?;
        for (word, said) in [("allOf", "all of"), ("anyOf", "one of"), ("oneOf", "one of")] {
            if let Some(parts) = schema[word].as_array() {
                write!(f, "<p>{said}</p><ul>")?;
                for part in parts {
                    write!(f, "<li>{}", Schema(part))?;
                }
                f.write_str("</ul>")?;
            }
        }
        if schema["properties"].is_object() {
            fields(schema, f)?;
        }
        let items = &schema["items"];
        if items["properties"].is_object() || items["$ref"].is_string() {
            write!(f, "{}", Schema(items))?;
        }
        Ok(())
    }
}

fn fields(schema: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("<dl>")?;
    for (name, field) in members(&schema["properties"]) {
        let required =
            schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
        let optional = if required { "" } else { " <i>optional</i>" };
        write!(f, "<dt><code>{}</code>{optional}<dd>{}", Escaped(name), Schema(field))?;
    }
    f.write_str("</dl>")
}

fn referenced(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/components/schemas/")
}

/// `integer or null, from 1 to 4, default 1`
fn kind(schema: &Value) -> String {
    let mut words = Vec::new();
    match &schema["type"] {
        Value::String(kind) => words.push(kind.clone()),
        Value::Array(kinds) => words.push(kinds.iter().map(text).collect::<Vec<_>>().join(" or ")),
        _ => {}
    }
    if let Some(values) = schema["enum"].as_array() {
        words.push(values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | "));
    }
    for (word, said) in [
        ("const", "always"),
        ("format", "format"),
        ("pattern", "pattern"),
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "characters from"),
        ("maxLength", "characters to"),
        ("minItems", "items from"),
        ("maxItems", "items to"),
        ("default", "default"),
    ] {
        match &schema[word] {
            Value::Null => {}
            Value::String(value) => words.push(format!("{said} {value}")),
            value => words.push(format!("{said} {value}")),
        }
    }
    words.join(", ")
}
