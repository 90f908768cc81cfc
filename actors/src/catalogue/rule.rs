//! A rule between two fields of one request, such as "1080p only at 8 seconds".
//!
//! Some labs refuse combinations of values that they accept one by one. What is not ruled out
//! here fails at the provider, after credit was reserved.

use serde_json::Value;

/// When one field has one of these values, another must have one of those.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The public name of the field that decides.
    pub when: String,
    /// Its values that matter.
    pub is: Vec<Value>,
    /// The public name of the field that has to follow.
    pub needs: String,
    /// The values that it may then have.
    pub one_of: Vec<Value>,
}

impl Rule {
    /// Whether the values of a request keep it. A field of which nothing is known keeps every
    /// rule.
    pub fn is_kept_by(&self, value: impl Fn(&str) -> Option<Value>) -> bool {
        let has = |values: &[Value], value: &Value| values.iter().any(|it| same(it, value));
        let applies = value(&self.when).is_some_and(|value| has(&self.is, &value));
        !applies || value(&self.needs).is_none_or(|value| has(&self.one_of, &value))
    }

    /// What a request that breaks it has to do, as the end of a sentence about
    /// [`Rule::needs`].
    pub fn demand(&self) -> String {
        let list = |values: &[Value]| {
            let texts: Vec<String> = values.iter().map(plain).collect();
            texts.join(" or ")
        };
        let given = |value: &Value| if *value == true { "given" } else { "not given" };
        let is = match self.is.as_slice() {
            [one] if self.when.starts_with("generation_input_file") => given(one).to_owned(),
            values => list(values),
        };
        format!("must be {} when {} is {is}", list(&self.one_of), self.when)
    }
}

/// 8 and 8.0 are the same length.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// As a person writes it: text without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule() -> Rule {
        Rule {
            when: "generation_resolution".to_owned(),
            is: vec![json!("1080p"), json!("4k")],
            needs: "generation_duration".to_owned(),
            one_of: vec![json!(8)],
        }
    }

    fn kept(resolution: Value, duration: Value) -> bool {
        rule().is_kept_by(|field| match field {
            "generation_resolution" => Some(resolution.clone()),
            "generation_duration" => Some(duration.clone()).filter(|it| !it.is_null()),
            _ => panic!("{field}"),
        })
    }

    #[test]
    fn a_rule_applies_to_its_values_only() {
        assert!(kept(json!("720p"), json!(4)));
        assert!(kept(json!("4k"), json!(8.0)), "however it is written");
        assert!(!kept(json!("4k"), json!(4)));
        assert!(!kept(json!("1080p"), json!(6)));
        assert!(kept(json!("1080p"), Value::Null), "nothing is known of the other");
        assert_eq!(rule().demand(), "must be 8 when generation_resolution is 1080p or 4k");
        let when = "generation_input_file".to_owned();
        let without_file = Rule { when, is: vec![json!(false)], ..rule() };
        assert_eq!(without_file.demand(), "must be 8 when generation_input_file is not given");
    }
}
