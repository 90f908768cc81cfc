//! Rules between fields: both are fields of the model, and every value is one that it accepts.

use serde_json::Value;

use super::Report;
use crate::catalogue::capabilities::Capabilities;
use crate::catalogue::rule::Rule;
use crate::pricing::thousandths;

impl Report<'_> {
    pub(super) fn rules(&mut self, shared: &Capabilities) -> Vec<Rule> {
        let mut rules = Vec::with_capacity(self.spec.rules.len());
        for spec in &self.spec.rules {
            for (name, values) in [(&spec.when, &spec.is), (&spec.needs, &spec.one_of)] {
                if values.is_empty() {
                    self.add("rules", format!("a rule names no value of `{name}`"));
                }
                for value in values.iter().filter(|value| !accepts(shared, name, value)) {
                    self.add("rules", format!("`{name}` is never {value} on this model"));
                }
            }
            if spec.when == spec.needs {
                self.add("rules", format!("a rule needs two fields, not `{}` twice", spec.when));
            }
            rules.push(Rule {
                when: spec.when.clone(),
                is: spec.is.clone(),
                needs: spec.needs.clone(),
                one_of: spec.one_of.clone(),
            });
        }
        rules
    }
}

/// Whether a request can have this value. Of an input file a rule knows whether it is given.
fn accepts(shared: &Capabilities, name: &str, value: &Value) -> bool {
    let listed = |list: &[String]| value.as_str().is_some_and(|it| list.iter().any(|x| x == it));
    match name {
        "generation_ratio" => listed(&shared.ratios),
        "generation_resolution" => listed(&shared.resolutions),
        "generation_output_format" => shared.formats.iter().any(|it| *value == it.as_str()),
        "generation_duration" => {
            let ms = value.as_f64().and_then(thousandths);
            ms.is_some_and(|ms| shared.durations_ms.contains(&ms))
        }
        "generation_generate_audio" => shared.audio && value.is_boolean(),
        "generation_input_file" => shared.input_files.max > 0 && value.is_boolean(),
        "generation_input_file_last_content" => shared.last_frame && value.is_boolean(),
        _ => {
            let field = shared.fields.iter().find(|field| field.name == name);
            field.is_some_and(|field| field.kind.check(value).is_empty())
        }
    }
}
