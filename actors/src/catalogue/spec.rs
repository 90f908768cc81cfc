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
    /// `published`, `operator` or `placeholder`.
    pub price_source: Option<String>,
    /// Providers in the order of the static stack.
    pub stack: Vec<OfferSpec>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfferSpec {
    /// The provider's name in the contract.
    pub provider: String,
    /// The provider's own name of the model.
    pub raw_model_id: String,
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
