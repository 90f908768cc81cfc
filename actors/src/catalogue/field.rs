//! A model-specific field: what it accepts, and what an omitted one becomes.

use serde_json::{Number, Value};

use crate::catalogue::spec::FieldSpec;

/// The public names every model knows (`spec/contract.md` 7.2), whether it takes them or not;
/// a model-specific field may not be called one of these.
pub const CORE_FIELDS: [&str; 10] = [
    "generation_prompt",
    "generation_ratio",
    "generation_output_format",
    "generation_output_number",
    "generation_duration",
    "generation_resolution",
    "generation_generate_audio",
    "generation_input_file",
    "generation_input_file_last_content",
    "generation_provider_order",
];

/// A field that only some models have.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The public name, `generation_…`.
    pub name: String,
    /// What it accepts.
    pub kind: FieldKind,
    /// What an omitted one becomes; `None` leaves it null.
    pub default: Option<Value>,
}

/// What a field accepts. Bounds are inclusive.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldKind {
    /// A whole number, written without fraction or exponent.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// Any number.
    Number {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// `true` or `false`.
    Boolean,
    /// Text.
    Text {
        /// Most characters.
        max: usize,
    },
    /// One of these texts, exactly.
    Enum(Vec<String>),
    /// A list of these texts, none twice.
    EnumList(Vec<String>),
}

/// Why a value does not fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Misfit {
    /// The item of a list that is at fault.
    pub index: Option<usize>,
    /// What would fit, as the end of a sentence: "must be …".
    pub reason: String,
    /// The bounds, when the value is a number outside them.
    pub range: Option<(Number, Number)>,
}

impl Misfit {
    /// A value of the wrong kind, or not one of those allowed.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { index: None, reason: reason.into(), range: None }
    }
}

impl FieldKind {
    /// Checks a value without changing it: nothing is coerced (`spec/domain.md` C.3).
    pub fn check(&self, value: &Value) -> Vec<Misfit> {
        let misfit = match self {
            Self::Integer { min, max } => check_integer(value, *min, *max).err(),
            Self::Number { min, max } => check_number(value, *min, *max).err(),
            Self::Boolean => (!value.is_boolean()).then(|| Misfit::new("must be true or false")),
            Self::Text { max } => check_text(value, *max).err(),
            Self::Enum(values) => check_enum(value, values).err(),
            Self::EnumList(values) => return check_enum_list(value, values),
        };
        misfit.into_iter().collect()
    }
}

/// A whole number within bounds. `1.0` and `1e2` are not whole numbers as written; a number
/// of more than 64 bits is out of range, not of the wrong kind.
///
/// # Errors
/// [`Misfit`].
pub fn check_integer(value: &Value, min: i64, max: i64) -> Result<i64, Misfit> {
    // From here on a double stands for digits that no 64-bit integer holds.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    let Value::Number(number) = value else {
        return Err(Misfit::new("must be an integer"));
    };
    let huge = number.is_u64() || number.as_f64().is_some_and(|float| float.abs() >= BEYOND);
    match number.as_i64() {
        Some(integer) if (min..=max).contains(&integer) => Ok(integer),
        None if !huge => Err(Misfit::new("must be an integer, without a decimal point")),
        Some(_) | None => Err(Misfit {
            index: None,
            reason: format!("must be an integer from {min} to {max}"),
            range: Some((min.into(), max.into())),
        }),
    }
}

fn check_number(value: &Value, min: f64, max: f64) -> Result<(), Misfit> {
    let number = value.as_f64().ok_or_else(|| Misfit::new("must be a number"))?;
    if (min..=max).contains(&number) {
        return Ok(());
    }
    let range = Number::from_f64(min).zip(Number::from_f64(max));
    Err(Misfit { index: None, reason: format!("must be a number from {min} to {max}"), range })
}

fn check_text(value: &Value, max: usize) -> Result<(), Misfit> {
    let text = value.as_str().ok_or_else(|| Misfit::new("must be a string"))?;
    if text.chars().count() > max {
        return Err(Misfit::new(format!("must be at most {max} characters")));
    }
    check_printable(text)
}

/// Refuses NUL and other control characters; line ends and tabs are text.
///
/// # Errors
/// [`Misfit`].
pub fn check_printable(text: &str) -> Result<(), Misfit> {
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    match text.chars().any(control) {
        true => Err(Misfit::new("must not contain control characters")),
        false => Ok(()),
    }
}

/// One of the texts, exactly as spelled.
///
/// # Errors
/// [`Misfit`].
pub fn check_enum<'a>(value: &'a Value, values: &[String]) -> Result<&'a str, Misfit> {
    let known = value.as_str().filter(|text| values.iter().any(|value| value == text));
    known.ok_or_else(|| Misfit::new(format!("must be one of {}", values.join(", "))))
}

fn check_enum_list(value: &Value, values: &[String]) -> Vec<Misfit> {
    let Some(items) = value.as_array() else {
        return vec![Misfit::new("must be an array of strings")];
    };
    if items.len() > values.len() {
        return vec![Misfit::new(format!("must have at most {} items", values.len()))];
    }
    let misfit = |(index, item): (usize, &Value)| {
        let found = match check_enum(item, values) {
            Err(misfit) => misfit,
            Ok(_) if items[..index].contains(item) => Misfit::new("must not be given twice"),
            Ok(_) => return None,
        };
        Some(Misfit { index: Some(index), ..found })
    };
    items.iter().enumerate().filter_map(misfit).collect()
}

/// Checks the definition of a field (`spec/domain.md` C.2); all that is wrong with it, or it.
pub(super) fn check_spec(spec: &FieldSpec) -> Result<Field, Vec<String>> {
    let mut reasons = Vec::new();
    if !is_public_name(&spec.name) {
        reasons.push("a field's name is lower snake case and begins with `generation_`".to_owned());
    }
    if CORE_FIELDS.contains(&spec.name.as_str()) {
        reasons.push("is a field of every model and cannot be defined again".to_owned());
    }
    let kind = kind(spec).map_err(|reason| reasons.push(reason)).ok();
    if let (Some(kind), Some(default)) = (&kind, &spec.default) {
        let misfits = kind.check(default).into_iter();
        reasons.extend(misfits.map(|misfit| format!("its default {}", misfit.reason)));
    }
    match kind {
        Some(kind) if reasons.is_empty() => {
            Ok(Field { name: spec.name.clone(), kind, default: spec.default.clone() })
        }
        Some(_) | None => Err(reasons),
    }
}

fn is_public_name(name: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    name.len() <= 64
        && name.strip_prefix("generation_").is_some_and(|rest| rest.split('_').all(word))
}

fn kind(spec: &FieldSpec) -> Result<FieldKind, String> {
    let numeric = matches!(spec.kind.as_str(), "integer" | "number");
    let listed = matches!(spec.kind.as_str(), "enum" | "enum_list");
    for (key, given, taken) in [
        ("min", spec.min.is_some(), numeric),
        ("max", spec.max.is_some(), numeric || spec.kind == "text"),
        ("values", spec.values.is_some(), listed),
    ] {
        match (given, taken) {
            (true, false) => return Err(format!("a field of type {} has no `{key}`", spec.kind)),
            (false, true) => return Err(format!("a field of type {} needs `{key}`", spec.kind)),
            (true, true) | (false, false) => {}
        }
    }
    let (min, max) = (spec.min.unwrap_or(0.0), spec.max.unwrap_or(0.0));
    if !min.is_finite() || !max.is_finite() || min > max {
        return Err("its `min` is above its `max`, or one of them is no number".to_owned());
    }
    let values = spec.values.clone().unwrap_or_default();
    match spec.kind.as_str() {
        "integer" => Ok(FieldKind::Integer { min: whole(min)?, max: whole(max)? }),
        "number" => Ok(FieldKind::Number { min, max }),
        "boolean" => Ok(FieldKind::Boolean),
        "text" => match usize::try_from(whole(max)?) {
            Ok(max @ 1..) => Ok(FieldKind::Text { max }),
            Ok(_) | Err(_) => Err("its `max` must be at least 1 character".to_owned()),
        },
        "enum" => Ok(FieldKind::Enum(distinct(values)?)),
        "enum_list" => Ok(FieldKind::EnumList(distinct(values)?)),
        unknown => Err(format!("`{unknown}` is no type of a field")),
    }
}

fn whole(bound: f64) -> Result<i64, String> {
    // 2^53: beyond it the number in the file may not be the number we read.
    match bound.fract() == 0.0 && bound.abs() <= 9_007_199_254_740_992.0 {
        true => Ok(bound as i64),
        false => Err(format!("its bound {bound} is not a whole number")),
    }
}

fn distinct(values: Vec<String>) -> Result<Vec<String>, String> {
    if values.is_empty() || values.iter().any(String::is_empty) {
        return Err("its `values` are missing or empty".to_owned());
    }
    match first_repeated(&values) {
        Some(value) => Err(format!("its value `{value}` is listed twice")),
        None => Ok(values),
    }
}

/// The first item that was there before.
pub(super) fn first_repeated<T: PartialEq>(items: &[T]) -> Option<&T> {
    let mut numbered = items.iter().enumerate();
    numbered.find(|(index, item)| items[..*index].contains(item)).map(|(_, item)| item)
}
