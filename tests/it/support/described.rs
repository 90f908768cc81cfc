//! Every answer that a story gets has to be as `docs/openapi.json` describes it, with nothing
//! that is not described.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document: Value =
        serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
    close(&mut document);
    document
});

/// Checks an answer with a JSON body. What is refused before it reaches an operation, a wrong
/// route or method, has no description.
pub fn check(method: &Method, path: &str, status: StatusCode, body: &Value) {
    let code = &body["error"]["code"];
    if code == "BSE2017" || code == "BSE2014" {
        return;
    }
    let method = method.as_str().to_ascii_lowercase();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let mut fitting =
        paths.iter().filter(|(template, item)| fits(template, path) && item[&method].is_object());
    // A text that fits as it is comes before one with a parameter.
    let Some((template, _)) = fitting.clone().find(|(it, _)| *it == path).or(fitting.next()) else {
        return;
    };
    let problems: Vec<String> = match validator(template, &method, status) {
        None => vec!["this status is not described".to_owned()],
        Some(validator) => validator.iter_errors(body).map(|error| error.to_string()).collect(),
    };
    assert!(
        problems.is_empty(),
        "{method} {path} answered {status}, and not as docs/openapi.json says: \
         {problems:#?}\n{body:#}"
    );
}

fn fits(template: &str, path: &str) -> bool {
    // A model has a slash in its name.
    if let Some(start) = template.strip_suffix("{model_identifier}") {
        return path.starts_with(start);
    }
    let (known, given) = (template.split('/'), path.split('/'));
    known.clone().count() == given.clone().count()
        && known.zip(given).all(|(known, given)| known.starts_with('{') || known == given)
}

/// Made once for each: a story asks the same thing many times.
fn validator(template: &str, method: &str, status: StatusCode) -> Option<Arc<Validator>> {
    static MADE: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let escaped = template.replace('~', "~0").replace('/', "~1");
    let status = status.as_u16();
    let pointer =
        format!("/paths/{escaped}/{method}/responses/{status}/content/application~1json/schema");
    let schema = DOCUMENT.pointer(&pointer)?;
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let new = || {
        // With what it refers to, where it looks for that.
        let mut schema = schema.clone();
        schema["components"] = DOCUMENT["components"].clone();
        Arc::new(jsonschema::draft202012::options().build(&schema).unwrap())
    };
    Some(Arc::clone(made.entry(pointer.clone()).or_insert_with(new)))
}

/// Closes every object that lists its members and does not say that it is open.
fn close(value: &mut Value) {
    if value.get("properties").is_some_and(Value::is_object) && value["type"] == "object" {
        let members = value.as_object_mut().unwrap();
        members.entry("additionalProperties").or_insert(json!(false));
    }
    match value {
        Value::Object(members) => members.values_mut().for_each(close),
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
