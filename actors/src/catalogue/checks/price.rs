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

    /// What the tiers depend on is told from how their keys are spelled; they must then be
    /// exactly the choices that every provider of the stack offers.
    fn tiers(&mut self, stack: &[Offer], shared: &Capabilities) -> Option<Rates> {
        let Some(PriceSpec::Tiers(tiers)) = &self.spec.price else { return None };
        let sound = [audio_key(false), audio_key(true)];
        let resolutions = &shared.resolutions;
        let ends = |key: &String| sound.iter().any(|end| key.ends_with(&format!("_{end}")));
        let by_both = tiers.keys().any(ends);
        let by_audio = !by_both && tiers.keys().any(|key| sound.contains(&key.as_str()));
        let expected: Vec<String> = if by_both {
            let keys = |resolution| sound.iter().map(move |end| format!("{resolution}_{end}"));
            resolutions.iter().flat_map(keys).collect()
        } else if by_audio {
            sound.iter().map(|&key| key.to_owned()).collect()
        } else {
            resolutions.clone()
        };

        let before = self.problems.len();
        if (by_both || by_audio) && !shared.audio {
            let without = stack.iter().find(|offer| !offer.capabilities.audio);
            let provider = without.map_or("", |offer| offer.provider.as_str());
            self.add_price("price", format!("depends on sound, which {provider} does not offer"));
        }
        if !by_audio && resolutions.is_empty() {
            let without = stack.iter().find(|offer| offer.capabilities.resolutions.is_empty());
            let provider = without.map_or("", |offer| offer.provider.as_str());
            let reason = format!("depends on the resolution, of which {provider} offers none");
            self.add_price("price", reason);
        }
        if self.problems.len() > before {
            return None;
        }
        for key in tiers.keys().filter(|key| !expected.contains(key)) {
            let lacks = |offer: &&Offer| {
                let tier = key.split('_').next().unwrap_or_default();
                !offer.capabilities.resolutions.iter().any(|resolution| resolution == tier)
            };
            let reason = match stack.iter().find(lacks) {
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
        if self.problems.len() > before {
            return None;
        }
        Some(match (by_both, by_audio) {
            (true, _) => Rates::ByResolutionAndAudio(rates),
            (false, true) => Rates::ByAudio(rates),
            (false, false) => Rates::ByResolution(rates),
        })
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
