//! The operator's own prices, in a file beside the models:
//!
//! ```toml
//! "bfl/flux-2-pro" = { 1MP = 0.04, 2MP = 0.06, 4MP = 0.09 }
//! "google/nano-banana" = 0.045
//! ```
//!
//! A price takes the place of the model's as a whole and is then the operator's word, no
//! placeholder.

use std::collections::BTreeMap;

use actors::catalogue::PriceSource;
use actors::catalogue::spec::{CatalogueProblem, ModelSpec, Place};
use toml::Spanned;

use super::wire::{PriceIn, line_at};

/// Puts the prices of the file on the models. Tiers that a model does not offer, or that are
/// missing, are found when it is checked, and are reported at their line of this file.
pub(super) fn apply(
    file: &str,
    text: &str,
    models: &mut [ModelSpec],
    problems: &mut Vec<CatalogueProblem>,
) {
    let problem = |line, model: &str, reason: &str| CatalogueProblem {
        place: Place { file: file.to_owned(), line },
        model: model.to_owned(),
        field: String::new(),
        reason: reason.to_owned(),
    };
    let prices: BTreeMap<String, Spanned<PriceIn>> = match toml::from_str(text) {
        Ok(prices) => prices,
        Err(error) => {
            let line = error.span().map(|span| line_at(text, span.start));
            problems.push(problem(line, "", error.message()));
            return;
        }
    };
    for (identifier, price) in prices {
        let line = Some(line_at(text, price.span().start));
        let mut found = false;
        for model in models.iter_mut().filter(|model| model.identifier == identifier) {
            found = true;
            model.price = Some(price.get_ref().clone().into());
            model.price_place = Some(Place { file: file.to_owned(), line });
            model.price_source = Some(PriceSource::Operator.as_str().to_owned());
        }
        if !found {
            problems.push(problem(line, &identifier, "there is no such model"));
        }
    }
}
