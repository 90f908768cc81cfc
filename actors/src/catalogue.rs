//! The models on offer: what each accepts, what it costs, and who can run it.
//!
//! A catalogue is data that was checked once, when the server starts; it never changes while
//! the server runs. There is no way to a [`Model`] but [`Catalogue::build`], so whoever holds
//! one may rely on it: lists that have a default are not empty, every choice has a price.

pub mod capabilities;
pub mod cost;
pub mod field;
pub mod rule;
pub mod spec;

mod checks;

use std::fmt::Write as _;

use providers::name::ProviderName;
use providers::{Cost, MediaKind, OutputFormat};
use sha2::{Digest, Sha256};

use crate::catalogue::capabilities::Capabilities;
use crate::catalogue::cost::CostRates;
use crate::catalogue::field::Field;
use crate::catalogue::rule::Rule;
use crate::catalogue::spec::{CatalogueProblem, ModelSpec};
use crate::input::Input;
use crate::pricing::{Choice, Price, PricingError, Quote};

/// All models, in the order of their files.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    models: Vec<Model>,
    version: String,
}

/// One model of the catalogue (`spec/contract.md` 11.2). What it accepts is what every offer of
/// its stack can do: [`capabilities`] computes it, nobody writes it down.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// `lab/model`, our public name.
    pub identifier: String,
    /// What it makes.
    pub media: MediaKind,
    /// Where its price comes from.
    pub price_source: PriceSource,
    /// Who can run it, in the order in which they are tried; never empty.
    pub stack: Vec<Offer>,
    /// Ratios; the first is the default.
    pub ratios: Vec<String>,
    /// Formats; the first is the default.
    pub formats: Vec<OutputFormat>,
    /// Most outputs of one request, at least 1.
    pub output_number_max: u32,
    /// How many input files a request must and may have.
    pub input_files: InputFiles,
    /// Whether a video can be given the picture it ends with.
    pub last_frame: bool,
    /// Lengths of a video in milliseconds, ascending; empty for images only.
    pub durations_ms: Vec<u64>,
    /// Resolution tiers, the first is the default; empty when there is nothing to choose.
    pub resolutions: Vec<String>,
    /// Whether sound can be chosen.
    pub audio: bool,
    /// Fields that only this model and its like have, in the order of the file.
    pub fields: Vec<Field>,
    /// What a request must be beyond its single fields.
    pub rules: Vec<Rule>,
    /// Private, so that there is no model but a checked one.
    price: Price,
}

/// A provider that can run a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The provider.
    pub provider: ProviderName,
    /// The provider's own name of the model.
    pub raw_model_id: String,
    /// What the provider takes, where that is known.
    pub rates: Option<CostRates>,
    /// What it can do, of which the model offers what all of the stack can.
    pub capabilities: Capabilities,
}

/// Limits on the number of input files; 0 and 0 for a model that takes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputFiles {
    /// Fewest.
    pub min: u32,
    /// Most.
    pub max: u32,
}

/// Where a price comes from, since only two of BabySea's are publicly known
/// (`spec/domain.md` D.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceSource {
    /// BabySea's own published price.
    Published,
    /// Set by whoever runs this server.
    Operator,
    /// Ours, to be replaced.
    Placeholder,
}

impl PriceSource {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Published, Self::Operator, Self::Placeholder];

    /// The text used in catalogue files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Operator => "operator",
            Self::Placeholder => "placeholder",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == text)
    }
}

impl Catalogue {
    /// Checks every model (`spec/domain.md` C.2) and makes a catalogue of them.
    ///
    /// # Errors
    /// Everything that is wrong with any of them; the server does not start on it.
    pub fn build(specs: Vec<ModelSpec>) -> Result<Self, Vec<CatalogueProblem>> {
        let mut models = Vec::with_capacity(specs.len());
        let mut problems = checks::duplicates(&specs);
        for spec in &specs {
            match checks::check_model(spec) {
                Ok(model) => models.push(model),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { models, version: version(&specs) })
    }

    /// The model of this identifier.
    pub fn find(&self, identifier: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.identifier == identifier)
    }

    /// Every model, in order.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// A short text that changes with the content of the catalogue.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl Model {
    /// What it charges.
    pub fn price(&self) -> &Price {
        &self.price
    }

    /// What one output costs; without a resolution, of the default one
    /// (`spec/contract.md` 1.5).
    ///
    /// # Errors
    /// [`PricingError`], for a choice that this model does not offer.
    pub fn quote(&self, choice: &Choice<'_>) -> Result<Quote, PricingError> {
        let default = self.resolutions.first().map(String::as_str);
        self.price.quote(&Choice { resolution: choice.resolution.or(default), ..*choice })
    }

    /// The providers of the stack, in order.
    pub fn providers(&self) -> impl Iterator<Item = ProviderName> + '_ {
        self.stack.iter().map(|offer| offer.provider)
    }

    /// The names for `specific_schema`: the model's own fields, and the closing picture where
    /// it has one (`spec/contract.md` 11.2).
    pub fn specific_schema(&self) -> Vec<&str> {
        let last = self.last_frame.then_some("generation_input_file_last_content");
        last.into_iter().chain(self.fields.iter().map(|field| field.name.as_str())).collect()
    }
}

impl Offer {
    /// What the provider takes for a request, as far as its price list is known.
    pub fn cost(&self, input: &Input) -> Option<Cost> {
        self.rates.as_ref()?.cost(&input.choice(), input.count)
    }
}

/// The first 12 hexadecimal digits of the SHA-256 of what the files say.
fn version(specs: &[ModelSpec]) -> String {
    let mut hash = Sha256::new();
    for spec in specs {
        // A spec is plain data with text keys: writing it to memory cannot fail.
        hash.update(serde_json::to_vec(spec).unwrap_or_default());
    }
    let mut text = String::with_capacity(12);
    for byte in &hash.finalize()[..6] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
