//! What a provider takes for a model: its price list, in millionths of a US dollar.
//!
//! Kept apart from prices: those are what clients pay, in thousandths of a credit; and a price
//! that is not known keeps a model from being sold, a cost that is not known keeps nobody from
//! anything.

use providers::{Cost, MediaKind};

use crate::catalogue::spec::PriceSpec;
use crate::pricing::{Choice, audio_key};

/// More for a picture or a second than any provider takes.
const DOLLARS_MAX: f64 = 10_000.0;

/// The rates of one offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostRates {
    media: MediaKind,
    /// By the keys of a price (`720p`, `audio`, `720p_noaudio`); one with an empty key is for
    /// everything.
    rates: Vec<(String, u64)>,
}

impl CostRates {
    /// Reads what was written.
    ///
    /// # Errors
    /// A rate that is no amount of money, as a clause.
    pub(super) fn read(media: MediaKind, spec: &PriceSpec) -> Result<Self, String> {
        let rate = |key: &str, dollars: f64| {
            let known = (0.0..DOLLARS_MAX).contains(&dollars);
            let micros = (dollars * 1_000_000.0).round() as u64;
            known.then(|| (key.to_owned(), micros)).ok_or_else(|| {
                format!("must be an amount of dollars from 0 to {DOLLARS_MAX}, not {dollars}")
            })
        };
        let rates = match spec {
            PriceSpec::Flat(dollars) => vec![rate("", *dollars)?],
            PriceSpec::Tiers(tiers) => {
                tiers.iter().map(|(key, dollars)| rate(key, *dollars)).collect::<Result<_, _>>()?
            }
        };
        Ok(Self { media, rates })
    }

    /// Of so many outputs; `None` where there is no rate for the choice.
    pub(super) fn cost(&self, choice: &Choice<'_>, count: u32) -> Option<Cost> {
        let audio = audio_key(choice.audio.unwrap_or(false));
        let resolution = choice.resolution.unwrap_or_default();
        let keys = [format!("{resolution}_{audio}"), resolution.into(), audio.into(), "".into()];
        let rate = keys.iter().find_map(|key| self.rates.iter().find(|(name, _)| name == key))?.1;
        let milliseconds = match self.media {
            MediaKind::Image => 1000,
            MediaKind::Video => choice.duration_ms?,
        };
        let cost = u128::from(rate) * u128::from(milliseconds) * u128::from(count) / 1000;
        Some(Cost(u64::try_from(cost).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(media: MediaKind, tiers: &[(&str, f64)]) -> CostRates {
        let tiers = tiers.iter().map(|(key, dollars)| ((*key).to_owned(), *dollars)).collect();
        CostRates::read(media, &PriceSpec::Tiers(tiers)).unwrap()
    }

    #[test]
    fn a_cost_is_exact_to_a_millionth() {
        let rates = CostRates::read(MediaKind::Image, &PriceSpec::Flat(0.003_125)).unwrap();
        assert_eq!(rates.cost(&Choice::default(), 4), Some(Cost(12_500)));
    }

    #[test]
    fn the_most_special_rate_counts() {
        let rates = rates(MediaKind::Video, &[("720p", 0.1), ("720p_audio", 0.15), ("1080p", 0.2)]);
        let cost = |resolution, audio| {
            let duration_ms = Some(1_500);
            rates.cost(&Choice { resolution: Some(resolution), audio, duration_ms }, 2)
        };
        assert_eq!(cost("720p", Some(true)), Some(Cost(450_000)));
        assert_eq!(cost("720p", None), Some(Cost(300_000)));
        assert_eq!(cost("1080p", Some(true)), Some(Cost(600_000)));
        assert_eq!(cost("480p", None), None);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for dollars in [-0.1, f64::NAN, f64::INFINITY, 10_000.0] {
            assert!(CostRates::read(MediaKind::Image, &PriceSpec::Flat(dollars)).is_err());
        }
    }
}
