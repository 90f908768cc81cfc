//! The shape of a catalogue file, and its models as specs.

use std::collections::BTreeMap;

use actors::catalogue::spec::{
    CapabilitiesSpec, CatalogueProblem, FieldSpec, ModelSpec, OfferSpec, Place, PriceSpec, RuleSpec,
};
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIn {
    #[serde(default)]
    defaults: ModelIn,
    #[serde(default)]
    fields: BTreeMap<String, FieldIn>,
    #[serde(default, rename = "model")]
    models: Vec<Spanned<ModelIn>>,
}

/// A model, or the defaults of a file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ModelIn {
    identifier: Option<String>,
    media: Option<String>,
    price: Option<PriceIn>,
    price_source: Option<String>,
    stack: Option<Vec<OfferIn>>,
    rules: Option<Vec<RuleIn>>,
    // What each offer can do, unless it says otherwise. Not a struct of its own: flattened
    // structs cannot refuse unknown keys.
    ratios: Option<Vec<String>>,
    formats: Option<Vec<String>>,
    output_number_max: Option<u32>,
    input_files_min: Option<u32>,
    input_files_max: Option<u32>,
    last_frame: Option<bool>,
    durations: Option<Vec<f64>>,
    resolutions: Option<Vec<String>>,
    audio: Option<bool>,
    fields: Option<Vec<String>>,
}

/// A price of a model, here or in a file of prices.
#[derive(Deserialize, Clone)]
#[serde(untagged, expecting = "expected a number, or a table of numbers by tier")]
pub(super) enum PriceIn {
    Flat(f64),
    Tiers(BTreeMap<String, f64>),
}

impl From<PriceIn> for PriceSpec {
    fn from(price: PriceIn) -> Self {
        match price {
            PriceIn::Flat(rate) => Self::Flat(rate),
            PriceIn::Tiers(tiers) => Self::Tiers(tiers),
        }
    }
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct OfferIn {
    provider: String,
    model: String,
    cost: Option<PriceIn>,
    #[serde(default)]
    can: CapabilitiesIn,
}

/// What one offer can do other than the rest of its stack.
#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
struct CapabilitiesIn {
    ratios: Option<Vec<String>>,
    formats: Option<Vec<String>>,
    output_number_max: Option<u32>,
    input_files_min: Option<u32>,
    input_files_max: Option<u32>,
    last_frame: Option<bool>,
    durations: Option<Vec<f64>>,
    resolutions: Option<Vec<String>>,
    audio: Option<bool>,
    fields: Option<Vec<String>>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RuleIn {
    when: String,
    is: Vec<serde_json::Value>,
    needs: String,
    one_of: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldIn {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    min: Option<f64>,
    max: Option<f64>,
    values: Option<Vec<String>>,
    default: Option<serde_json::Value>,
}

/// The models of one file.
pub(super) fn parse(
    file: &str,
    text: &str,
    problems: &mut Vec<CatalogueProblem>,
) -> Vec<ModelSpec> {
    let place = |line| Place { file: file.to_owned(), line };
    let whole_file = |line, field: &str, reason: &str| CatalogueProblem {
        place: place(line),
        model: String::new(),
        field: field.to_owned(),
        reason: reason.to_owned(),
    };
    let parsed: FileIn = match toml::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let line = error.span().map(|span| line_at(text, span.start));
            problems.push(whole_file(line, "", error.message()));
            return Vec::new();
        }
    };
    if parsed.defaults.identifier.is_some() {
        problems.push(whole_file(None, "defaults.identifier", "is different for every model"));
    }
    let mut specs = Vec::with_capacity(parsed.models.len());
    for model in parsed.models {
        let place = place(Some(line_at(text, model.span().start)));
        let mut reader =
            Reader { defaults: &parsed.defaults, definitions: &parsed.fields, problems };
        specs.push(reader.spec(model.into_inner(), place));
    }
    specs
}

/// The line of a place in a text, from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// Puts models together from what they say and what their file says for all.
struct Reader<'a> {
    defaults: &'a ModelIn,
    definitions: &'a BTreeMap<String, FieldIn>,
    problems: &'a mut Vec<CatalogueProblem>,
}

impl Reader<'_> {
    fn spec(&mut self, model: ModelIn, place: Place) -> ModelSpec {
        let defaults = self.defaults;
        let identifier = model.identifier.clone().unwrap_or_default();
        // Named by the model itself, so wrong even where every offer has a list of its own.
        let shared = nearest([&model.fields, &defaults.fields]).unwrap_or_default();
        let shared = self.fields(&shared, &identifier, &place);
        let offers = nearest([&model.stack, &defaults.stack]).unwrap_or_default();
        let mut stack = Vec::with_capacity(offers.len());
        for OfferIn { provider, model: raw_model_id, cost, can } in offers {
            let fields = match &can.fields {
                None => shared.clone(),
                Some(own) => self.fields(own, &identifier, &place),
            };
            let capabilities = capabilities(&can, &model, defaults, fields);
            let cost = cost.map(PriceSpec::from);
            stack.push(OfferSpec { provider, raw_model_id, cost, capabilities });
        }
        let rules = nearest([&model.rules, &defaults.rules]).unwrap_or_default();
        let rule = |RuleIn { when, is, needs, one_of }| RuleSpec { when, is, needs, one_of };
        ModelSpec {
            place,
            identifier,
            media: nearest([&model.media, &defaults.media]),
            price: nearest([&model.price, &defaults.price]).map(PriceSpec::from),
            price_place: None,
            price_source: nearest([&model.price_source, &defaults.price_source]),
            stack,
            rules: rules.into_iter().map(rule).collect(),
        }
    }

    fn fields(&mut self, labels: &[String], model: &str, place: &Place) -> Vec<FieldSpec> {
        let mut fields = Vec::with_capacity(labels.len());
        for label in labels {
            if let Some(definition) = self.definitions.get(label) {
                fields.push(definition.spec(label));
                continue;
            }
            let problem = CatalogueProblem {
                place: place.clone(),
                model: model.to_owned(),
                field: "fields".to_owned(),
                reason: format!("there is no [fields.{label}] in this file"),
            };
            // Several offers may share one list.
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
        fields
    }
}

/// What one offer can do: as it says itself, else as its model or its file says for all.
fn capabilities(
    can: &CapabilitiesIn,
    model: &ModelIn,
    all: &ModelIn,
    fields: Vec<FieldSpec>,
) -> CapabilitiesSpec {
    CapabilitiesSpec {
        ratios: nearest([&can.ratios, &model.ratios, &all.ratios]).unwrap_or_default(),
        formats: nearest([&can.formats, &model.formats, &all.formats]).unwrap_or_default(),
        output_number_max: nearest([
            &can.output_number_max,
            &model.output_number_max,
            &all.output_number_max,
        ])
        .unwrap_or(1),
        input_files_min: nearest([
            &can.input_files_min,
            &model.input_files_min,
            &all.input_files_min,
        ])
        .unwrap_or(0),
        input_files_max: nearest([
            &can.input_files_max,
            &model.input_files_max,
            &all.input_files_max,
        ])
        .unwrap_or(0),
        last_frame: nearest([&can.last_frame, &model.last_frame, &all.last_frame]).unwrap_or(false),
        durations: nearest([&can.durations, &model.durations, &all.durations]).unwrap_or_default(),
        resolutions: nearest([&can.resolutions, &model.resolutions, &all.resolutions])
            .unwrap_or_default(),
        audio: nearest([&can.audio, &model.audio, &all.audio]).unwrap_or(false),
        fields,
    }
}

/// The first that is given.
fn nearest<T: Clone, const N: usize>(values: [&Option<T>; N]) -> Option<T> {
    values.into_iter().flatten().next().cloned()
}

impl FieldIn {
    fn spec(&self, label: &str) -> FieldSpec {
        FieldSpec {
            name: self.name.clone().unwrap_or_else(|| label.to_owned()),
            kind: self.kind.clone(),
            min: self.min,
            max: self.max,
            values: self.values.clone(),
            default: self.default.clone(),
        }
    }
}
