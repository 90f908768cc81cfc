//! Which models this server runs, and at which providers.
//!
//! The catalogue says what could be run. What is run depends on the providers that this server
//! has, and on whether a price is one to charge: a placeholder is no price for real work
//! (`spec/domain.md` D.2). A model that is not offered does not exist for a client.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use providers::name::ProviderName;
use sha2::{Digest, Sha256};

use crate::catalogue::{Catalogue, Model, PriceSource};

/// What stands behind the name of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The provider itself, which bills us.
    Real,
    /// The sandbox, or the emulator in the provider's place: nobody bills us.
    Simulated,
}

/// The models on offer, decided once, when the server starts.
#[derive(Debug)]
pub struct Offering {
    catalogue: Arc<Catalogue>,
    services: BTreeMap<ProviderName, Service>,
    /// By the index of the model in the catalogue; empty for one that is not offered.
    providers: Vec<Vec<ProviderName>>,
    version: String,
}

impl Offering {
    /// Decides. `allow_placeholder_prices` is the operator's word that placeholders are prices
    /// to charge for work that is billed.
    pub fn new(
        catalogue: Arc<Catalogue>,
        services: BTreeMap<ProviderName, Service>,
        allow_placeholder_prices: bool,
    ) -> Self {
        let offered = |model: &Model| {
            let (service, providers) = available(model, &services);
            let placeholder = model.price_source == PriceSource::Placeholder;
            match service == Service::Real && placeholder && !allow_placeholder_prices {
                true => Vec::new(),
                false => providers,
            }
        };
        let providers: Vec<Vec<ProviderName>> = catalogue.models().iter().map(offered).collect();
        let version = version(&catalogue, &services, &providers);
        Self { catalogue, services, providers, version }
    }

    /// The model of this identifier, if it is offered.
    pub fn find(&self, identifier: &str) -> Option<&Model> {
        self.models().map(|(model, _)| model).find(|model| model.identifier == identifier)
    }

    /// Every model that is offered with the providers that run it, in the order of the
    /// catalogue and of the stack.
    pub fn models(&self) -> impl Iterator<Item = (&Model, &[ProviderName])> {
        let all = self.catalogue.models().iter().zip(self.providers.iter().map(Vec::as_slice));
        all.filter(|(_, providers)| !providers.is_empty())
    }

    /// An order of providers without those that do not run the model here.
    pub fn route(&self, model: &Model, order: &[ProviderName]) -> Vec<ProviderName> {
        let found = self.models().find(|(other, _)| other.identifier == model.identifier);
        let runs = |name: &ProviderName| found.is_some_and(|(_, names)| names.contains(name));
        order.iter().copied().filter(runs).collect()
    }

    /// What is behind a provider's name here; `None` when nothing is.
    pub fn service(&self, provider: ProviderName) -> Option<Service> {
        self.services.get(&provider).copied()
    }

    /// The version of the catalogue, as it is written on generations.
    pub fn catalogue_version(&self) -> &str {
        self.catalogue.version()
    }

    /// A short text that changes with the catalogue and with what is offered of it.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// Who runs a model: those of its stack that are here. Beside the real providers none that is
/// simulated: a failover must not end with a drawing that is charged as work.
fn available(
    model: &Model,
    services: &BTreeMap<ProviderName, Service>,
) -> (Service, Vec<ProviderName>) {
    let of = |service| {
        let here = |name: &ProviderName| services.get(name) == Some(&service);
        model.providers().filter(here).collect::<Vec<_>>()
    };
    let real = of(Service::Real);
    match real.is_empty() {
        true => (Service::Simulated, of(Service::Simulated)),
        false => (Service::Real, real),
    }
}

/// The first 12 hexadecimal digits of the SHA-256 of everything that is offered.
fn version(
    catalogue: &Catalogue,
    services: &BTreeMap<ProviderName, Service>,
    providers: &[Vec<ProviderName>],
) -> String {
    let mut hash = Sha256::new();
    hash.update(catalogue.version());
    hash.update(format!("{services:?}{providers:?}"));
    let mut text = String::with_capacity(12);
    for byte in &hash.finalize()[..6] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use providers::name::ProviderName::{Bfl, Fal, Replicate, SandboxInline};

    use super::Service::{Real, Simulated};
    use super::*;
    use crate::catalogue::spec::{CapabilitiesSpec, ModelSpec, OfferSpec, Place, PriceSpec};

    fn spec(name: &str, source: &str, stack: &[ProviderName]) -> ModelSpec {
        let offer = |provider: &ProviderName| OfferSpec {
            provider: provider.as_str().to_owned(),
            raw_model_id: "their/model".to_owned(),
            cost: None,
            capabilities: CapabilitiesSpec {
                ratios: vec!["1:1".to_owned()],
                formats: vec!["png".to_owned()],
                output_number_max: 1,
                input_files_min: 0,
                input_files_max: 0,
                last_frame: false,
                durations: Vec::new(),
                resolutions: Vec::new(),
                audio: false,
                fields: Vec::new(),
            },
        };
        ModelSpec {
            place: Place::default(),
            identifier: format!("lab/{name}"),
            media: Some("image".to_owned()),
            price: Some(PriceSpec::Flat(0.01)),
            price_place: None,
            price_source: Some(source.to_owned()),
            stack: stack.iter().map(offer).collect(),
            rules: Vec::new(),
        }
    }

    fn offering(services: &[(ProviderName, Service)], allow: bool) -> Offering {
        let specs = vec![
            spec("priced", "operator", &[Bfl, Replicate, Fal]),
            spec("unpriced", "placeholder", &[Bfl, Replicate]),
            spec("drawn", "operator", &[SandboxInline]),
        ];
        let catalogue = Arc::new(Catalogue::build(specs).unwrap());
        Offering::new(catalogue, services.iter().copied().collect(), allow)
    }

    fn names(offering: &Offering) -> Vec<&str> {
        offering.models().map(|(model, _)| &model.identifier["lab/".len()..]).collect()
    }

    #[test]
    fn a_model_is_offered_when_somebody_here_runs_it() {
        let simulated =
            offering(&[(Bfl, Simulated), (Replicate, Simulated), (Fal, Simulated)], false);
        assert_eq!(names(&simulated), ["priced", "unpriced"]);
        assert!(simulated.find("lab/drawn").is_none());
        assert_eq!(names(&offering(&[(SandboxInline, Simulated)], false)), ["drawn"]);
        assert!(names(&offering(&[], true)).is_empty());
    }

    #[test]
    fn a_placeholder_is_charged_for_real_work_only_when_the_operator_says_so() {
        let services = [(Replicate, Real), (Bfl, Simulated)];
        assert_eq!(names(&offering(&services, false)), ["priced"]);
        assert_eq!(names(&offering(&services, true)), ["priced", "unpriced"]);
    }

    #[test]
    fn beside_a_real_provider_nobody_is_simulated() {
        let offering = offering(&[(Replicate, Real), (Bfl, Simulated), (Fal, Simulated)], false);
        let model = offering.find("lab/priced").unwrap();
        assert_eq!(offering.route(model, &[Fal, Replicate, Bfl]), [Replicate]);
        assert_eq!(offering.route(model, &[Fal]), []);
    }

    #[test]
    fn an_order_is_kept_without_those_who_are_not_here() {
        let offering = offering(&[(Fal, Simulated), (Bfl, Simulated)], false);
        let model = offering.find("lab/priced").unwrap();
        assert_eq!(offering.route(model, &[Fal, Replicate, Bfl]), [Fal, Bfl]);
    }

    #[test]
    fn the_version_changes_with_what_is_offered() {
        let one = offering(&[(Fal, Simulated)], false);
        let same = offering(&[(Fal, Simulated)], false);
        let other = offering(&[(Fal, Real)], false);
        assert_eq!(one.version(), same.version());
        assert_ne!(one.version(), other.version());
        assert_eq!(one.catalogue_version(), other.catalogue_version());
    }
}
