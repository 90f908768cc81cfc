//! A model as somebody wrote it down, before any check.
//!
//! Whoever reads catalogue files makes these; `Catalogue::build` is the only way from here to
//! a [`Model`](crate::catalogue::Model). Numbers are as written and texts are not looked at,
//! so that every mistake can be reported in one place and all at once.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// One model of a catalogue file. The order of every list is meaningful: the first ratio,
/// format and resolution is the default (`spec/domain.md` C.2), the stack is tried in order.
///
/// What the model can do is not written anywhere: it follows from what its offers can.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelSpec {
    /// Where it was written; no part of the content.
    #[serde(skip)]
    pub place: Place,
    /// `lab/model`.
    pub identifier: String,
    /// `image` or `video`.
    pub media: Option<String>,
    /// In credits.
    pub price: Option<PriceSpec>,
    /// Where the price was written, when that was not with the model.
    #[serde(skip)]
    pub price_place: Option<Place>,
    /// `published`, `operator` or `placeholder`.
    pub price_source: Option<String>,
    /// Providers in the order of the static stack.
    pub stack: Vec<OfferSpec>,
    /// What a request must be beyond its single fields.
    pub rules: Vec<RuleSpec>,
}

/// Where a model was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// Its line, where known.
    pub line: Option<usize>,
}

/// A price as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum PriceSpec {
    /// One number.
    Flat(f64),
    /// By the keys of `model_pricing`.
    Tiers(BTreeMap<String, f64>),
}

/// One provider of a stack as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfferSpec {
    /// The provider's name in the contract.
    pub provider: String,
    /// The provider's own name of the model.
    pub raw_model_id: String,
    /// What the provider takes, in US dollars, for a picture or a second of video; by tier like a
    /// price.
    pub cost: Option<PriceSpec>,
    /// What this provider can do for the model.
    pub capabilities: CapabilitiesSpec,
}

/// What a provider can do for a model, as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CapabilitiesSpec {
    /// Canonical ratios.
    pub ratios: Vec<String>,
    /// Output formats.
    pub formats: Vec<String>,
    /// Most outputs of one request.
    pub output_number_max: u32,
    /// Fewest input files.
    pub input_files_min: u32,
    /// Most input files; 0 for none.
    pub input_files_max: u32,
    /// Whether a closing picture can be given.
    pub last_frame: bool,
    /// Lengths of a video in seconds.
    pub durations: Vec<f64>,
    /// Resolution tiers.
    pub resolutions: Vec<String>,
    /// Whether sound can be chosen.
    pub audio: bool,
    /// Model-specific fields.
    pub fields: Vec<FieldSpec>,
}

/// A rule between two fields as written: when one has one of these values, the other must have
/// one of those.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleSpec {
    /// The public name of the field that decides.
    pub when: String,
    /// Its values that matter.
    pub is: Vec<Value>,
    /// The public name of the field that has to follow.
    pub needs: String,
    /// The values that it may then have.
    pub one_of: Vec<Value>,
}

/// A model-specific field as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldSpec {
    /// The public name.
    pub name: String,
    /// `integer`, `number`, `boolean`, `text`, `enum` or `enum_list`.
    pub kind: String,
    /// Lower bound of a numeric field.
    pub min: Option<f64>,
    /// Upper bound of a numeric field, or the most characters of a text.
    pub max: Option<f64>,
    /// Values of an enum.
    pub values: Option<Vec<String>>,
    /// What an omitted field becomes.
    pub default: Option<Value>,
}

/// One mistake in a catalogue, with everything needed to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueProblem {
    /// Where the model was written.
    pub place: Place,
    /// The model's identifier; empty when the mistake is in no model.
    pub model: String,
    /// The key in the file, or the model-specific field; empty when it is in none.
    pub field: String,
    /// What is wrong, as a clause.
    pub reason: String,
}

impl fmt::Display for CatalogueProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place.file)?;
        if let Some(line) = self.place.line {
            write!(f, ":{line}")?;
        }
        for part in [&self.model, &self.field] {
            if !part.is_empty() {
                write!(f, ": {part}")?;
            }
        }
        write!(f, ": {}", self.reason)
    }
}
