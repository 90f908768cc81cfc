//! What one provider can do for a model, and what all of a stack can.
//!
//! A request may end at any provider of the stack, so a model offers what each of them can do
//! and nothing else (`spec/domain.md` N3).

use providers::OutputFormat;

use crate::catalogue::field::{Field, FieldKind};
use crate::catalogue::{InputFiles, Offer};

/// What can be asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Capabilities {
    /// Ratios; the first is the default.
    pub ratios: Vec<String>,
    /// Formats; the first is the default.
    pub formats: Vec<OutputFormat>,
    /// Most outputs of one request.
    pub output_number_max: u32,
    /// How many input files a request must and may have.
    pub input_files: InputFiles,
    /// Whether a video can be given the picture it ends with.
    pub last_frame: bool,
    /// Lengths of a video in milliseconds, ascending.
    pub durations_ms: Vec<u64>,
    /// Resolution tiers, the first is the default.
    pub resolutions: Vec<String>,
    /// Whether sound can be chosen.
    pub audio: bool,
    /// Model-specific fields.
    pub fields: Vec<Field>,
}

/// What a stack does not agree on: the key of the file or the field, and why as a clause.
pub(super) type Disagreement = (String, String);

/// What every offer of the stack can do, in the order of the first one.
///
/// # Errors
/// Everything on which they have to agree and do not.
pub(super) fn intersect(stack: &[Offer]) -> Result<Capabilities, Vec<Disagreement>> {
    let all = || stack.iter().map(|offer| &offer.capabilities);
    let (mut found, mut fields) = (Vec::new(), Vec::new());
    let text = |text: &String| text.clone();
    let name = |format: &OutputFormat| format.as_str().to_owned();
    let ratios = shared_list("ratios", stack, |it| &it.ratios, text);
    let formats = shared_list("formats", stack, |it| &it.formats, name);
    // A provider without tiers leaves none to choose, which is no disagreement: whether the
    // price can do without them is checked with the price.
    let resolutions = match all().all(|it| !it.resolutions.is_empty()) {
        true => shared_list("resolutions", stack, |it| &it.resolutions, text),
        false => Ok(Vec::new()),
    };
    let (durations_ms, input_files) = (shared_durations(stack), shared_input_files(stack));
    for field in stack.first().iter().flat_map(|first| &first.capabilities.fields) {
        match shared_field(field, stack) {
            Ok(shared) => fields.extend(shared),
            Err(reason) => found.push((field.name.clone(), reason)),
        }
    }
    match (ratios, formats, resolutions, durations_ms, input_files) {
        (Ok(ratios), Ok(formats), Ok(resolutions), Ok(durations_ms), Ok(input_files))
            if found.is_empty() =>
        {
            Ok(Capabilities {
                ratios,
                formats,
                output_number_max: all().map(|it| it.output_number_max).min().unwrap_or(0),
                input_files,
                last_frame: all().all(|it| it.last_frame),
                durations_ms,
                resolutions,
                audio: all().all(|it| it.audio),
                fields,
            })
        }
        (ratios, formats, resolutions, durations_ms, input_files) => {
            let lists = [ratios.err(), formats.err(), resolutions.err()];
            let others = [durations_ms.err(), input_files.err()];
            found.splice(0..0, lists.into_iter().chain(others).flatten());
            Err(found)
        }
    }
}

/// The items of the first list that are in all of them. The first item is the default, so it
/// has to be among them: a default that depends on who serves would be no default.
fn shared_list<T: Clone + PartialEq>(
    key: &str,
    stack: &[Offer],
    list: fn(&Capabilities) -> &Vec<T>,
    text: impl Fn(&T) -> String,
) -> Result<Vec<T>, Disagreement> {
    let Some(first) = stack.first().map(|first| list(&first.capabilities)) else {
        return Ok(Vec::new());
    };
    let without = |item: &T| stack.iter().find(|it| !list(&it.capabilities).contains(item));
    let shared: Vec<T> = first.iter().filter(|item| without(item).is_none()).cloned().collect();
    let problem = match first.first().map(|default| (default, without(default))) {
        _ if shared.is_empty() => format!("{} have none in common", names(stack)),
        Some((default, Some(offer))) => {
            format!("the default `{}` is not offered by {}", text(default), offer.provider)
        }
        Some((_, None)) | None => return Ok(shared),
    };
    Err((key.to_owned(), problem))
}

/// Lengths have no default, so any in common will do.
fn shared_durations(stack: &[Offer]) -> Result<Vec<u64>, Disagreement> {
    let mut lists = stack.iter().map(|offer| &offer.capabilities.durations_ms);
    let Some(first) = lists.next().filter(|first| !first.is_empty()) else {
        return Ok(Vec::new());
    };
    let shared: Vec<u64> =
        first.iter().filter(|ms| lists.clone().all(|list| list.contains(ms))).copied().collect();
    match shared.is_empty() {
        true => Err(("durations".to_owned(), format!("{} have none in common", names(stack)))),
        false => Ok(shared),
    }
}

/// The lowest maximum and the highest minimum.
fn shared_input_files(stack: &[Offer]) -> Result<InputFiles, Disagreement> {
    let all = || stack.iter().map(|offer| offer.capabilities.input_files);
    let (min, max) = (all().map(|it| it.min).max(), all().map(|it| it.max).min());
    let (min, max) = (min.unwrap_or(0), max.unwrap_or(0));
    if min <= max {
        return Ok(InputFiles { min, max });
    }
    let reason = format!("one of {} needs {min}, another takes {max}", names(stack));
    Err(("input_files_min".to_owned(), reason))
}

/// A field as far as every offer has it: `None` when one lacks it. Ranges and values shrink to
/// what is common; the default stays that of the first, and has to fit.
fn shared_field(first: &Field, stack: &[Offer]) -> Result<Option<Field>, String> {
    let mut shared = first.clone();
    for offer in stack {
        let own = offer.capabilities.fields.iter().find(|field| field.name == first.name);
        let Some(own) = own else { return Ok(None) };
        shared.kind = shared_kind(&shared.kind, &own.kind)
            .ok_or_else(|| format!("{} have no value of it in common", names(stack)))?;
    }
    let misfit = |default| shared.kind.check(default).into_iter().next();
    match shared.default.as_ref().and_then(misfit) {
        None => Ok(Some(shared)),
        Some(misfit) => {
            Err(format!("its default does not suit {}: {}", names(stack), misfit.reason))
        }
    }
}

/// `None` when there is no value that fits both.
fn shared_kind(one: &FieldKind, other: &FieldKind) -> Option<FieldKind> {
    use FieldKind::{Boolean, Enum, EnumList, Integer, Number, Text};
    let common = |one: &[String], other: &[String]| {
        let values: Vec<String> = one.iter().filter(|it| other.contains(it)).cloned().collect();
        (!values.is_empty()).then_some(values)
    };
    match (one, other) {
        (Integer { min, max }, Integer { min: other_min, max: other_max }) => {
            let (min, max) = (*min.max(other_min), *max.min(other_max));
            (min <= max).then_some(Integer { min, max })
        }
        (Number { min, max }, Number { min: other_min, max: other_max }) => {
            let (min, max) = (min.max(*other_min), max.min(*other_max));
            (min <= max).then_some(Number { min, max })
        }
        (Boolean, Boolean) => Some(Boolean),
        (Text { max }, Text { max: other }) => Some(Text { max: *max.min(other) }),
        (Enum(one), Enum(other)) => common(one, other).map(Enum),
        (EnumList(one), EnumList(other)) => common(one, other).map(EnumList),
        (Integer { .. } | Number { .. } | Boolean | Text { .. } | Enum(_) | EnumList(_), _) => None,
    }
}

fn names(stack: &[Offer]) -> String {
    let names: Vec<&str> = stack.iter().map(|offer| offer.provider.as_str()).collect();
    names.join(", ")
}
