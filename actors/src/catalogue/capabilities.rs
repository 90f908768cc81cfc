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

/// Why a stack has no capability in common: the key of the file or the field, and a clause.
pub(super) type Disagreement = (String, String);

/// What every offer of the stack can do, in the order of the first one.
///
/// # Errors
/// What they do not agree on and have to: see [`shared_list`] and [`shared_field`].
pub(super) fn intersect(stack: &[Offer]) -> Result<Capabilities, Vec<Disagreement>> {
    let all = || stack.iter().map(|offer| &offer.capabilities);
    let mut found = Vec::new();
    let mut keep = |shared: Result<(), Disagreement>| found.extend(shared.err());

    let (mut ratios, mut formats) = (Vec::new(), Vec::new());
    let (mut durations_ms, mut resolutions) = (Vec::new(), Vec::new());
    let text = |text: &String| text.clone();
    keep(shared_list("ratios", stack, |it| &it.ratios, text, &mut ratios));
    let name = |format: &OutputFormat| format.as_str().to_owned();
    keep(shared_list("formats", stack, |it| &it.formats, name, &mut formats));
    // A provider without tiers leaves none to choose, which is no disagreement: whether the
    // price can do without them is checked with the price.
    if all().all(|it| !it.resolutions.is_empty()) {
        keep(shared_list("resolutions", stack, |it| &it.resolutions, text, &mut resolutions));
    }
    if let Some(first) = stack.first() {
        let shared = |ms: &&u64| all().all(|it| it.durations_ms.contains(ms));
        durations_ms.extend(first.capabilities.durations_ms.iter().filter(shared));
        if durations_ms.is_empty() && !first.capabilities.durations_ms.is_empty() {
            keep(Err(("durations".to_owned(), format!("{} have none in common", names(stack)))));
        }
    }
    let input_files = InputFiles {
        min: all().map(|it| it.input_files.min).max().unwrap_or(0),
        max: all().map(|it| it.input_files.max).min().unwrap_or(0),
    };
    if input_files.min > input_files.max {
        let InputFiles { min, max } = input_files;
        let reason = format!("one of {} needs {min}, another takes {max}", names(stack));
        keep(Err(("input_files_min".to_owned(), reason)));
    }
    let mut fields = Vec::new();
    for field in stack.first().iter().flat_map(|first| &first.capabilities.fields) {
        match shared_field(field, stack) {
            Ok(shared) => fields.extend(shared),
            Err(reason) => keep(Err((field.name.clone(), reason))),
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
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

/// The items of the first list that are in all of them. The first item is the default, so it
/// has to be among them: a default that depends on who serves would be no default.
fn shared_list<T: Clone + PartialEq>(
    key: &str,
    stack: &[Offer],
    list: fn(&Capabilities) -> &Vec<T>,
    text: impl Fn(&T) -> String,
    shared: &mut Vec<T>,
) -> Result<(), Disagreement> {
    let Some(first) = stack.first() else { return Ok(()) };
    let lacks = |item: &T, offer: &&Offer| !list(&offer.capabilities).contains(item);
    let items = list(&first.capabilities).iter();
    shared.extend(items.filter(|item| !stack.iter().any(|it| lacks(item, &it))).cloned());
    let Some(default) = list(&first.capabilities).first() else { return Ok(()) };
    if shared.is_empty() {
        return Err((key.to_owned(), format!("{} have none in common", names(stack))));
    }
    match stack.iter().find(|offer| lacks(default, offer)) {
        None => Ok(()),
        Some(offer) => {
            let (default, provider) = (text(default), offer.provider);
            let reason = format!("the default `{default}` is not offered by {provider}");
            Err((key.to_owned(), reason))
        }
    }
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
