//! A generate request as we work with it: normalized, and valid for its model.
//!
//! [`normalize`] decides everything that can be decided from the body and the model alone,
//! before credit is reserved and before anything is sent (`spec/domain.md` N6). It coerces
//! nothing and reports all problems at once. Whether an input file can be fetched, and from
//! where it may be, is not its business.

pub mod body;
pub mod problem;

mod order;
mod stored;
mod url;

use ::url::Url;
use providers::name::ProviderName;
use providers::{MediaKind, OutputFormat};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalogue::Model;
use crate::catalogue::field::{CORE_FIELDS, Misfit, check_enum, check_integer, check_printable};
use crate::input::problem::{PROBLEMS_MAX, Problem};
use crate::money::Credits;
use crate::pricing::{Choice, PricingError, thousandths};
use crate::routing::choice::Decision;

/// Characters of a prompt (`spec/contract.md` B.4).
pub const PROMPT_MAX: usize = 10_000;

/// What a generate request asks for, every default filled in.
///
/// Stored with the generation as JSON, so that the catalogue may change while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Trimmed, 1 to [`PROMPT_MAX`] characters.
    pub prompt: String,
    /// One of the model's ratios.
    pub ratio: String,
    /// One of the model's formats.
    #[serde(with = "stored::format")]
    pub format: OutputFormat,
    /// How many outputs, at least 1.
    pub count: u32,
    /// Input files in the order given.
    pub input_files: Vec<Url>,
    /// The picture that a video ends with.
    pub last_frame: Option<Url>,
    /// Length of a video; absent for an image.
    pub duration_ms: Option<u64>,
    /// One of the model's resolutions, where it has any.
    pub resolution: Option<String>,
    /// Whether there is sound, where that can be chosen.
    pub audio: Option<bool>,
    /// Every field of the model's own, in catalogue order; null when omitted without a default
    /// (`spec/contract.md` 7.2).
    pub options: Map<String, Value>,
    /// The providers to try, in order: as asked for, or the static stack of the model.
    #[serde(with = "stored::providers")]
    pub provider_order: Vec<ProviderName>,
    /// The order as asked for, `a, b`; absent for `fastest`, when a ranking may rearrange
    /// [`Input::provider_order`] (`spec/contract.md` 7.3).
    pub requested_order: Option<String>,
    /// What was decided when the generation was accepted; not asked for by anybody.
    #[serde(default)]
    pub route: Route,
}

/// How a generation goes from provider to provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// Why it begins where it does.
    pub decision: Decision,
    /// Whether content that one provider refuses is offered to the next.
    pub failover_on_moderation: bool,
}

impl Input {
    /// Whether there are files to be fetched.
    pub fn names_files(&self) -> bool {
        !self.input_files.is_empty() || self.last_frame.is_some()
    }

    /// What the whole request costs, to be reserved (`spec/contract.md` 9.6).
    ///
    /// # Errors
    /// [`PricingError`]. Never for the model that this input was normalized for; an input read
    /// back from the store may meet a catalogue that has changed.
    pub fn amount(&self, model: &Model) -> Result<Credits, PricingError> {
        model.quote(&self.choice())?.total(self.count)
    }

    /// A field by its public name, as a rule of the catalogue knows it: of a file whether it is
    /// given, of a length its seconds.
    fn value(&self, field: &str) -> Option<Value> {
        match field {
            "generation_ratio" => Some(self.ratio.as_str().into()),
            "generation_output_format" => Some(self.format.as_str().into()),
            "generation_resolution" => self.resolution.as_deref().map(Value::from),
            "generation_duration" => self.duration_ms.map(|ms| (ms as f64 / 1000.0).into()),
            "generation_generate_audio" => self.audio.map(Value::from),
            "generation_input_file" => Some((!self.input_files.is_empty()).into()),
            "generation_input_file_last_content" => Some(self.last_frame.is_some().into()),
            own => self.options.get(own).cloned(),
        }
    }

    /// The part that the price depends on.
    pub fn choice(&self) -> Choice<'_> {
        Choice {
            resolution: self.resolution.as_deref(),
            audio: self.audio,
            duration_ms: self.duration_ms,
        }
    }
}

/// Checks a body against a model and fills in the defaults. A member that is null counts as
/// absent (`spec/domain.md` C.3), unless its very name is unknown.
///
/// # Errors
/// Every problem, those of fields in the order of `spec/contract.md` 7.2 and unknown fields
/// last; at most [`PROBLEMS_MAX`].
pub fn normalize(model: &Model, body: &Value) -> Result<Input, Vec<Problem>> {
    let Some(body) = body.as_object() else {
        return Err(vec![Problem::unreadable(&[], "must be a JSON object")]);
    };
    let mut reader = Reader { model, body, problems: Vec::new() };
    let prompt = reader.prompt();
    let ratio = reader.choice("generation_ratio", &model.ratios);
    let format = reader.format();
    let count = reader.count();
    let duration_ms = reader.duration();
    let resolution = reader.choice("generation_resolution", &model.resolutions);
    let audio = reader.audio();
    let input_files = reader.input_files();
    let last_frame = reader.last_frame();
    let (provider_order, requested_order) = reader.provider_order();
    let options = reader.options();
    reader.unknown_fields();

    let (Some(prompt), Some(ratio), Some(format), Some(count), true) =
        (prompt, ratio, format, count, reader.problems.is_empty())
    else {
        return Err(reader.problems);
    };
    let input = Input {
        prompt,
        ratio,
        format,
        count,
        input_files,
        last_frame,
        duration_ms,
        resolution,
        audio,
        options,
        provider_order,
        requested_order,
        route: Route::default(),
    };
    // Only of a request whose fields are good: what breaks a rule may be a wrong value.
    let broken: Vec<Problem> = broken_rules(model, &input).take(PROBLEMS_MAX).collect();
    if broken.is_empty() { Ok(input) } else { Err(broken) }
}

/// What the model's own rules have against an input whose single fields are good.
fn broken_rules(model: &Model, input: &Input) -> impl Iterator<Item = Problem> {
    let broken = model.rules.iter().filter(|rule| !rule.is_kept_by(|field| input.value(field)));
    broken.map(|rule| Problem::invalid(&rule.needs, &rule.demand()))
}

/// A body being read. Each method reads one field; what it returns counts only if no problem
/// was found anywhere.
struct Reader<'a> {
    model: &'a Model,
    body: &'a Map<String, Value>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn get(&self, field: &str) -> Option<&'a Value> {
        self.body.get(field).filter(|value| !value.is_null())
    }

    fn add(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    fn invalid(&mut self, field: &str, what: &str) {
        self.add(Problem::invalid(field, what));
    }

    /// The value, or `None` after noting the problem.
    fn keep<T>(&mut self, field: &str, checked: Result<T, Misfit>) -> Option<T> {
        checked.map_err(|misfit| self.add(Problem::misfit(field, misfit))).ok()
    }

    fn prompt(&mut self) -> Option<String> {
        let field = "generation_prompt";
        match self.get(field) {
            None => self.invalid(field, "is required"),
            Some(value) => return self.keep(field, check_prompt(value)),
        }
        None
    }

    /// An enum of the model, the first being the default; `None` too when the model has none.
    fn choice(&mut self, field: &str, values: &[String]) -> Option<String> {
        match self.get(field) {
            None => values.first().cloned(),
            Some(_) if values.is_empty() => {
                self.invalid(field, "is not accepted by this model");
                None
            }
            Some(value) => self.keep(field, check_enum(value, values)).map(str::to_owned),
        }
    }

    fn format(&mut self) -> Option<OutputFormat> {
        let texts: Vec<String> =
            self.model.formats.iter().map(|format| format.as_str().to_owned()).collect();
        OutputFormat::parse(&self.choice("generation_output_format", &texts)?)
    }

    fn count(&mut self) -> Option<u32> {
        let field = "generation_output_number";
        let max = i64::from(self.model.output_number_max);
        let Some(value) = self.get(field) else { return Some(1) };
        let count = self.keep(field, check_integer(value, 1, max))?;
        u32::try_from(count).ok()
    }

    fn duration(&mut self) -> Option<u64> {
        let field = "generation_duration";
        match (self.model.media, self.get(field)) {
            (MediaKind::Image, None) => None,
            (MediaKind::Image, Some(_)) => {
                self.invalid(field, "is not accepted by an image model");
                None
            }
            (MediaKind::Video, None) => {
                self.invalid(field, "is required by a video model");
                None
            }
            (MediaKind::Video, Some(value)) => {
                self.keep(field, check_duration(value, &self.model.durations_ms))
            }
        }
    }

    fn audio(&mut self) -> Option<bool> {
        let field = "generation_generate_audio";
        match (self.get(field), self.model.audio) {
            (None, true) => Some(false),
            (None, false) => None,
            (Some(_), false) => {
                self.invalid(field, "is not accepted by this model");
                None
            }
            (Some(Value::Bool(audio)), true) => Some(*audio),
            (Some(_), true) => {
                self.invalid(field, "must be true or false");
                None
            }
        }
    }

    fn input_files(&mut self) -> Vec<Url> {
        let field = "generation_input_file";
        let limits = self.model.input_files;
        let Some(value) = self.get(field) else {
            if limits.min > 0 {
                self.invalid(field, &format!("is required: at least {}", files(limits.min)));
            }
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            self.invalid(field, "must be an array of URL strings");
            return Vec::new();
        };
        // The number first: an array beyond it is not looked into.
        if items.len() > limits.max as usize {
            let what = match limits.max {
                0 => "is not accepted by this model".to_owned(),
                max => format!("must have at most {}", files(max)),
            };
            self.invalid(field, &what);
            return Vec::new();
        }
        if items.len() < limits.min as usize {
            self.invalid(field, &format!("must have at least {}", files(limits.min)));
        }
        let mut urls = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            urls.extend(self.url(field, Some(index), item));
        }
        urls
    }

    /// The address of a file. Another type than text is a mistake in the body; a text that is
    /// no such address is a file that cannot be had (`spec/contract.md` 7.8).
    fn url(&mut self, field: &str, index: Option<usize>, value: &Value) -> Option<Url> {
        let Some(text) = value.as_str() else {
            let misfit = Misfit { index, ..Misfit::new("must be a URL string") };
            return self.keep(field, Err(misfit));
        };
        let checked = url::check_url(text);
        let note = |misfit| self.add(Problem::file_url(field, Misfit { index, ..misfit }));
        checked.map_err(note).ok()
    }

    fn last_frame(&mut self) -> Option<Url> {
        let field = "generation_input_file_last_content";
        let value = self.get(field)?;
        if !self.model.last_frame {
            self.invalid(field, "is not accepted by this model");
            return None;
        }
        // One that was given and refused is reported once, not twice.
        let first = self.get("generation_input_file");
        if first.is_none_or(|first| first.as_array().is_some_and(Vec::is_empty)) {
            self.invalid(field, "needs a generation_input_file to start from");
        }
        self.url(field, None, value)
    }

    fn provider_order(&mut self) -> (Vec<ProviderName>, Option<String>) {
        let field = "generation_provider_order";
        let stack: Vec<ProviderName> = self.model.providers().collect();
        let asked = match self.get(field) {
            None => None,
            Some(value) => self.keep(field, order::check_order(value, &stack)).flatten(),
        };
        match asked {
            None => (stack, None),
            Some(asked) => {
                let text = order::to_text(&asked);
                (asked, Some(text))
            }
        }
    }

    fn options(&mut self) -> Map<String, Value> {
        let mut options = Map::new();
        for field in &self.model.fields {
            let default = || field.default.clone().unwrap_or(Value::Null);
            let value = match self.get(&field.name) {
                None => default(),
                Some(value) => {
                    for misfit in field.kind.check(value) {
                        self.add(Problem::misfit(&field.name, misfit));
                    }
                    value.clone()
                }
            };
            options.insert(field.name.clone(), value);
        }
        options
    }

    /// Strict: also `cost`, `status`, `__proto__` and whatever else somebody tries
    /// (`spec/faults.md` B7).
    fn unknown_fields(&mut self) {
        for name in self.body.keys() {
            let specific = self.model.fields.iter().any(|field| field.name == *name);
            if !specific && !CORE_FIELDS.contains(&name.as_str()) {
                self.invalid(name, "is not a field of this model");
            }
        }
    }
}

fn check_prompt(value: &Value) -> Result<String, Misfit> {
    let text = value.as_str().ok_or_else(|| Misfit::new("must be a string"))?;
    check_printable(text)?;
    let text = text.trim();
    match text.chars().count() {
        0 => Err(Misfit::new("must not be empty")),
        1..=PROMPT_MAX => Ok(text.to_owned()),
        _ => Err(Misfit::new(format!("must be at most {PROMPT_MAX} characters"))),
    }
}

/// A number equal to one of the lengths, however it is written: 5 and 5.0 are the same. Any
/// other number is out of range, also between two lengths, as in an estimate
/// (`spec/contract.md` B.3).
fn check_duration(value: &Value, durations_ms: &[u64]) -> Result<u64, Misfit> {
    let seconds = value.as_f64().ok_or_else(|| Misfit::new("must be a number of seconds"))?;
    let found = thousandths(seconds).filter(|ms| durations_ms.contains(ms));
    found.ok_or_else(|| {
        let all: Vec<String> = durations_ms.iter().map(|ms| seconds_text(*ms)).collect();
        let number = |ms: Option<&u64>| serde_json::from_str(&seconds_text(*ms?)).ok();
        Misfit {
            index: None,
            reason: format!("must be one of {} seconds", all.join(", ")),
            range: number(durations_ms.first()).zip(number(durations_ms.last())),
        }
    })
}

/// `5`, `5.4`: without zeros that say nothing.
fn seconds_text(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn files(count: u32) -> String {
    format!("{count} input file{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
