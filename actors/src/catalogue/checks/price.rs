//! What a model costs: a price for each of its choices, and for nothing else.

use providers::MediaKind;

use super::Report;
use crate::catalogue::Offer;
use crate::catalogue::capabilities::Capabilities;
use crate::catalogue::spec::PriceSpec;
use crate::money::Credits;
use crate::pricing::{COUNT_MAX, Choice, Price, PricingError, Rates, audio_key, thousandths};

impl Report<'_> {
    /// The price; tiers only where it is known what the stack offers.
    pub(super) fn price(
        &mut self,
        media: Option<MediaKind>,
        stack: &[Offer],
        shared: Option<&Capabilities>,
    ) -> Option<Price> {
        let rates = match &self.spec.price {
            None => {
                // Not billable means not offered, never free (`spec/domain.md` D.2).
                self.add_price("price", "is missing");
                return None;
            }
            Some(PriceSpec::Flat(number)) => Rates::Flat(self.rate("price", *number)?),
            Some(PriceSpec::Tiers(_)) => self.tiers(stack, shared?)?,
        };
        let price = match media? {
            MediaKind::Image => Price::PerImage(rates),
            MediaKind::Video => Price::PerSecond(rates),
        };
        self.amounts(&price, shared?);
        Some(price)
    }

    /// Says where the price was written, which may be in a file of prices.
    fn add_price(&mut self, field: &str, reason: impl Into<String>) {
        let mut problem = Self::problem_of(self.spec, field, reason);
        if let Some(place) = &self.spec.price_place {
            problem.place = place.clone();
        }
        self.push(problem);
    }

    /// The tiers must be exactly the choices that every provider of the stack offers.
    fn tiers(&mut self, stack: &[Offer], shared: &Capabilities) -> Option<Rates> {
        let Some(PriceSpec::Tiers(tiers)) = &self.spec.price else { return None };
        let basis = Basis::of(tiers.keys());
        if let Some(reason) = basis.is_missing(stack, shared) {
            self.add_price("price", reason);
            return None;
        }
        let before = self.problems.len();
        let expected = basis.keys(&shared.resolutions);
        for key in tiers.keys().filter(|key| !expected.contains(key)) {
            let tier = key.split('_').next().unwrap_or_default();
            let has = |offer: &Offer| offer.capabilities.resolutions.iter().any(|it| it == tier);
            let reason = match stack.iter().find(|offer| !has(offer)) {
                Some(offer) => format!("is a tier that {} does not offer", offer.provider),
                None => "is a tier that the model does not offer".to_owned(),
            };
            self.add_price(&format!("price.{key}"), reason);
        }
        let mut rates = Vec::with_capacity(expected.len());
        for key in expected {
            let field = format!("price.{key}");
            match tiers.get(&key) {
                None => self.add_price(&field, "is missing"),
                Some(number) => {
                    let rate = self.rate(&field, *number);
                    rates.extend(rate.map(|rate| (key, rate)));
                }
            }
        }
        (self.problems.len() == before).then(|| basis.rates(rates))
    }

    fn rate(&mut self, field: &str, number: f64) -> Option<Credits> {
        let rate = thousandths(number)
            .filter(|rate| *rate > 0)
            .and_then(|rate| i64::try_from(rate).ok())
            .and_then(|rate| Credits::from_thousandths(rate).ok());
        if rate.is_none() {
            self.add_price(field, format!("{number} is not an amount above 0 with three decimals"));
        }
        rate
    }

    /// No request of this model may turn out free or beyond every balance.
    fn amounts(&mut self, price: &Price, shared: &Capabilities) {
        let lengths = [shared.durations_ms.first().copied(), shared.durations_ms.last().copied()];
        let tiers: Vec<(Option<&str>, Option<bool>)> = match shared.resolutions.as_slice() {
            [] => vec![(None, Some(false)), (None, Some(true))],
            all => all
                .iter()
                .flat_map(|name| [false, true].map(|audio| (Some(name.as_str()), Some(audio))))
                .collect(),
        };
        for (resolution, audio) in tiers {
            for duration_ms in lengths {
                let quote = price.quote(&Choice { resolution, audio, duration_ms });
                let total = quote.and_then(|quote| quote.total(COUNT_MAX));
                match total {
                    Ok(total) if total > Credits::ZERO => {}
                    Ok(_) => return self.add_price("price", "makes the shortest video free"),
                    // Without its length a video has no price: that was reported already.
                    Err(PricingError::NoDuration) => {}
                    Err(error) => return self.add_price("price", error.to_string()),
                }
            }
        }
    }
}

/// What tiers depend on, told from how their keys are spelled.
#[derive(Clone, Copy)]
enum Basis {
    Resolution,
    Audio,
    ResolutionAndAudio,
}

impl Basis {
    fn of<'a>(mut keys: impl Iterator<Item = &'a String> + Clone) -> Self {
        let sound = [audio_key(false), audio_key(true)];
        let ends = |key: &String| sound.iter().any(|end| key.ends_with(&format!("_{end}")));
        if keys.clone().any(ends) {
            Self::ResolutionAndAudio
        } else if keys.any(|key| sound.contains(&key.as_str())) {
            Self::Audio
        } else {
            Self::Resolution
        }
    }

    /// Who does not offer the choice at all that the price depends on (`spec/domain.md` N3).
    fn is_missing(self, stack: &[Offer], shared: &Capabilities) -> Option<String> {
        let first = |lacks: fn(&Capabilities) -> bool| {
            let offer = stack.iter().find(|offer| lacks(&offer.capabilities));
            offer.map_or("nobody", |offer| offer.provider.as_str())
        };
        let (by_resolution, by_audio) = match self {
            Self::Resolution => (true, false),
            Self::Audio => (false, true),
            Self::ResolutionAndAudio => (true, true),
        };
        if by_audio && !shared.audio {
            let provider = first(|it| !it.audio);
            return Some(format!("depends on sound, which {provider} does not offer"));
        }
        if by_resolution && shared.resolutions.is_empty() {
            let provider = first(|it| it.resolutions.is_empty());
            return Some(format!("depends on the resolution, of which {provider} offers none"));
        }
        None
    }

    /// The keys that there have to be.
    fn keys(self, resolutions: &[String]) -> Vec<String> {
        let sound = [audio_key(false), audio_key(true)];
        let both = |resolution| sound.iter().map(move |end| format!("{resolution}_{end}"));
        match self {
            Self::Resolution => resolutions.to_vec(),
            Self::Audio => sound.iter().map(|&key| key.to_owned()).collect(),
            Self::ResolutionAndAudio => resolutions.iter().flat_map(both).collect(),
        }
    }

    fn rates(self, rates: Vec<(String, Credits)>) -> Rates {
        match self {
            Self::Resolution => Rates::ByResolution(rates),
            Self::Audio => Rates::ByAudio(rates),
            Self::ResolutionAndAudio => Rates::ByResolutionAndAudio(rates),
        }
    }
}
