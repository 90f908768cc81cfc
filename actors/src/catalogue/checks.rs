//! From a written model to a [`Model`], or everything that is wrong with it
//! (`spec/domain.md` C.2).

mod offer;
mod price;
mod rules;

use providers::MediaKind;
use providers::name::ProviderName;

use crate::catalogue::capabilities::{Capabilities, intersect};
use crate::catalogue::cost::CostRates;
use crate::catalogue::field::first_repeated;
use crate::catalogue::spec::{CatalogueProblem, ModelSpec, OfferSpec, PriceSpec};
use crate::catalogue::{Model, Offer, PriceSource};

/// Models described twice, in one file or in two.
pub(super) fn duplicates(specs: &[ModelSpec]) -> Vec<CatalogueProblem> {
    let problem = |(index, spec): (usize, &ModelSpec)| {
        if spec.identifier.is_empty() {
            return None;
        }
        let first = specs[..index].iter().find(|first| first.identifier == spec.identifier)?;
        let reason = match first.place.line {
            Some(line) => format!("was already described in {}:{line}", first.place.file),
            None => format!("was already described in {}", first.place.file),
        };
        Some(Report::problem_of(spec, "identifier", reason))
    };
    specs.iter().enumerate().filter_map(problem).collect()
}

/// One model.
pub(super) fn check_model(spec: &ModelSpec) -> Result<Model, Vec<CatalogueProblem>> {
    let mut report = Report { spec, problems: Vec::new() };
    report.identifier();
    let media = report.media();
    let price_source = report.price_source();
    let stack = report.stack(media);
    let shared = report.shared(&stack);
    let price = report.price(media, &stack, shared.as_ref());
    let rules = shared.as_ref().map(|shared| report.rules(shared)).unwrap_or_default();
    match (media, price_source, shared, price) {
        (Some(media), Some(price_source), Some(shared), Some(price))
            if report.problems.is_empty() =>
        {
            Ok(Model {
                identifier: spec.identifier.clone(),
                media,
                price_source,
                stack,
                ratios: shared.ratios,
                formats: shared.formats,
                output_number_max: shared.output_number_max,
                input_files: shared.input_files,
                last_frame: shared.last_frame,
                durations_ms: shared.durations_ms,
                resolutions: shared.resolutions,
                audio: shared.audio,
                fields: shared.fields,
                rules,
                price,
            })
        }
        _ => Err(report.problems),
    }
}

/// What was found so far. Each method looks at one key, or at keys that belong together, and
/// returns what it made of them as far as it could.
struct Report<'a> {
    spec: &'a ModelSpec,
    problems: Vec<CatalogueProblem>,
}

impl Report<'_> {
    fn problem_of(spec: &ModelSpec, field: &str, reason: impl Into<String>) -> CatalogueProblem {
        CatalogueProblem {
            place: spec.place.clone(),
            model: spec.identifier.clone(),
            field: field.to_owned(),
            reason: reason.into(),
        }
    }

    fn add(&mut self, field: &str, reason: impl Into<String>) {
        self.push(Self::problem_of(self.spec, field, reason));
    }

    /// Once: offers that share what a file says of them share its mistakes too.
    fn push(&mut self, problem: CatalogueProblem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn identifier(&mut self) {
        let part = |part: &str| {
            part.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && part.bytes().all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_')
                })
        };
        let identifier = &self.spec.identifier;
        let shaped =
            identifier.split_once('/').is_some_and(|(lab, model)| part(lab) && part(model));
        if !shaped || identifier.len() > 100 {
            self.add("identifier", "must be `lab/model`: lower case, digits, `.`, `-` and `_`");
        }
    }

    fn media(&mut self) -> Option<MediaKind> {
        let known = [MediaKind::Image, MediaKind::Video];
        let media = self.spec.media.as_deref();
        let found = media.and_then(|text| known.into_iter().find(|kind| kind.as_str() == text));
        if found.is_none() {
            self.add("media", "must be `image` or `video`");
        }
        found
    }

    fn price_source(&mut self) -> Option<PriceSource> {
        let found = self.spec.price_source.as_deref().and_then(PriceSource::parse);
        if found.is_none() {
            self.add("price_source", "must be `published`, `operator` or `placeholder`");
        }
        found
    }

    fn stack(&mut self, media: Option<MediaKind>) -> Vec<Offer> {
        let mut stack: Vec<Offer> = Vec::new();
        for OfferSpec { provider: name, raw_model_id: raw, cost, capabilities } in &self.spec.stack
        {
            if raw.is_empty() || raw.len() > 200 || !raw.bytes().all(|b| b.is_ascii_graphic()) {
                self.add("stack", format!("`{name}` lacks the provider's model name"));
            }
            let capabilities = self.capabilities(media, capabilities);
            match ProviderName::parse(name) {
                None => self.add("stack", format!("`{name}` is no known provider")),
                Some(provider) if stack.iter().any(|other| other.provider == provider) => {
                    self.add("stack", format!("`{provider}` is listed twice"));
                }
                Some(provider) => {
                    let (rates, raw_model_id) = (self.cost(media, cost.as_ref()), raw.clone());
                    stack.push(Offer { provider, raw_model_id, rates, capabilities });
                }
            }
        }
        if self.spec.stack.is_empty() {
            self.add("stack", "needs at least one provider");
        }
        stack
    }

    fn cost(&mut self, media: Option<MediaKind>, cost: Option<&PriceSpec>) -> Option<CostRates> {
        let rates = CostRates::read(media?, cost?);
        rates.map_err(|reason| self.add("stack.cost", reason)).ok()
    }

    /// What all of the stack can do. Mistakes of a single offer have to be mended first: they
    /// would be reported again, as disagreements.
    fn shared(&mut self, stack: &[Offer]) -> Option<Capabilities> {
        if !self.problems.is_empty() {
            return None;
        }
        match intersect(stack) {
            Ok(shared) => Some(shared),
            Err(disagreements) => {
                for (field, reason) in disagreements {
                    self.add(&field, reason);
                }
                None
            }
        }
    }

    fn distinct<T: PartialEq + std::fmt::Display>(&mut self, field: &str, items: &[T]) {
        if let Some(item) = first_repeated(items) {
            self.add(field, format!("`{item}` is listed twice"));
        }
    }
}
