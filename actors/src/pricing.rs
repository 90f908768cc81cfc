//! What a generation costs, known in full before credit is reserved.
//!
//! Everything is exact: rates are integer thousandths of a credit, durations are integer
//! milliseconds, and the one rounding (half up, `spec/contract.md` B.3) is at the cost of one
//! generation. The kinds of price and the keys of their tiers are those of
//! `spec/contract.md` 9.6 and `spec/domain.md` D.2.

use crate::money::Credits;

/// Outputs that one estimate may ask for at most (`spec/contract.md` 1.5).
pub const COUNT_MAX: u32 = 100;

/// What a model charges for: pictures, or seconds of video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Price {
    /// One rate per picture.
    PerImage(Rates),
    /// One rate per second of video.
    PerSecond(Rates),
}

/// The rate, or the rates by what the request chooses.
///
/// Tiers are kept in the order in which the model offers them, under the keys that
/// `model_pricing` shows: `720p`, `audio`, `noaudio`, `720p_audio`, `720p_noaudio`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rates {
    /// The same whatever is chosen.
    Flat(Credits),
    /// By resolution.
    ByResolution(Vec<(String, Credits)>),
    /// By whether there is sound.
    ByAudio(Vec<(String, Credits)>),
    /// By both.
    ByResolutionAndAudio(Vec<(String, Credits)>),
}

/// The part of a request that a price depends on (`spec/domain.md` N4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choice<'a> {
    /// Resolution tier, on models that have tiers.
    pub resolution: Option<&'a str>,
    /// Sound; absent is the same as without (`spec/contract.md` 7.2).
    pub audio: Option<bool>,
    /// Length of a video in milliseconds.
    pub duration_ms: Option<u64>,
}

/// What one output of a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// The rate per second, on videos only.
    pub cost_per_second: Option<Credits>,
    /// One output.
    pub cost_per_generation: Credits,
}

/// Why there is no price for a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// The resolution has no tier, or none was chosen.
    #[error("there is no price for this resolution and audio")]
    NoTier,
    /// A video without its length.
    #[error("a video is priced by its duration, and there is none")]
    NoDuration,
    /// Above [`Credits::MAX`].
    #[error("the amount is larger than any balance")]
    TooLarge,
}

impl Price {
    /// The rates, whatever they are for.
    pub fn rates(&self) -> &Rates {
        match self {
            Self::PerImage(rates) | Self::PerSecond(rates) => rates,
        }
    }

    /// What one output of this choice costs.
    ///
    /// # Errors
    /// [`PricingError`].
    pub fn quote(&self, choice: &Choice<'_>) -> Result<Quote, PricingError> {
        match self {
            Self::PerImage(rates) => {
                Ok(Quote { cost_per_second: None, cost_per_generation: rates.rate(choice)? })
            }
            Self::PerSecond(rates) => {
                let rate = rates.rate(choice)?;
                let duration_ms = choice.duration_ms.ok_or(PricingError::NoDuration)?;
                let cost_per_generation = for_duration(rate, duration_ms)?;
                Ok(Quote { cost_per_second: Some(rate), cost_per_generation })
            }
        }
    }
}

impl Rates {
    /// The tiers by their public keys; empty for a flat rate.
    pub fn tiers(&self) -> &[(String, Credits)] {
        match self {
            Self::Flat(_) => &[],
            Self::ByResolution(tiers)
            | Self::ByAudio(tiers)
            | Self::ByResolutionAndAudio(tiers) => tiers,
        }
    }

    fn rate(&self, choice: &Choice<'_>) -> Result<Credits, PricingError> {
        let audio = audio_key(choice.audio.unwrap_or(false));
        let resolution = choice.resolution.ok_or(PricingError::NoTier);
        let key = match self {
            Self::Flat(rate) => return Ok(*rate),
            Self::ByResolution(_) => resolution?.to_owned(),
            Self::ByAudio(_) => audio.to_owned(),
            Self::ByResolutionAndAudio(_) => format!("{}_{audio}", resolution?),
        };
        let tier = self.tiers().iter().find(|(name, _)| *name == key);
        tier.map(|(_, rate)| *rate).ok_or(PricingError::NoTier)
    }
}

impl Quote {
    /// The cost of so many outputs: what an estimate shows and what a request reserves.
    ///
    /// # Errors
    /// [`PricingError::TooLarge`].
    pub fn total(&self, count: u32) -> Result<Credits, PricingError> {
        self.cost_per_generation.checked_mul(count).ok_or(PricingError::TooLarge)
    }

    /// How many outputs a balance pays for, not limited by any count; `None` when one costs
    /// nothing, which no catalogue allows.
    pub fn max_affordable(&self, balance: Credits) -> Option<i64> {
        balance.thousandths().checked_div(self.cost_per_generation.thousandths())
    }
}

/// How the keys of tiers spell sound.
pub fn audio_key(audio: bool) -> &'static str {
    if audio { "audio" } else { "noaudio" }
}

/// A number of at most three decimals as integer thousandths: credits from a price, and
/// milliseconds from a duration in seconds.
///
/// Exact: a number passes only if dividing the integer by 1000 gives the very same double,
/// which is what reading its decimal text gives. `None` for a fourth decimal, a negative
/// number, and anything beyond 2^53 thousandths.
pub fn thousandths(number: f64) -> Option<u64> {
    // 2^53: up to here every integer is a double.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let scaled = (number * 1000.0).round();
    ((0.0..=EXACT_MAX).contains(&scaled) && scaled / 1000.0 == number).then_some(scaled as u64)
}

/// Rate × duration, rounded half up to a thousandth.
fn for_duration(rate: Credits, duration_ms: u64) -> Result<Credits, PricingError> {
    // A rate has at most 34 bits and a duration 64: this cannot overflow.
    let millionths = i128::from(rate.thousandths()) * i128::from(duration_ms);
    let cost = i64::try_from((millionths + 500) / 1000).map_err(|_| PricingError::TooLarge)?;
    Credits::from_thousandths(cost).map_err(|_| PricingError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(text: &str) -> Credits {
        Credits::parse(text).unwrap()
    }

    fn tiers(pairs: &[(&str, &str)]) -> Vec<(String, Credits)> {
        pairs.iter().map(|(key, rate)| ((*key).to_owned(), credits(rate))).collect()
    }

    fn per_image(rate: &str) -> Quote {
        Price::PerImage(Rates::Flat(credits(rate))).quote(&Choice::default()).unwrap()
    }

    #[test]
    fn the_documented_checks_of_contract_9_6_hold() {
        let schnell = per_image("0.005");
        assert_eq!(schnell.total(2), Ok(credits("0.010")));
        assert_eq!(schnell.total(5), Ok(credits("0.025")));
        assert_eq!(schnell.max_affordable(credits("10")), Some(2000));
        assert_eq!(per_image("0.052").max_affordable(credits("12.480")), Some(240));
        assert_eq!(per_image("0.051").max_affordable(credits("10")), Some(196));
        assert_eq!(schnell.cost_per_second, None);
    }

    #[test]
    fn the_image_estimate_of_contract_13_8_holds() {
        let quote = per_image("0.052");
        assert_eq!(quote.cost_per_generation, credits("0.052"));
        assert_eq!(quote.total(3), Ok(credits("0.156")));
        assert_eq!(quote.max_affordable(credits("4.100")), Some(78));
    }

    #[test]
    fn the_video_estimate_of_contract_13_9_holds() {
        let price = Price::PerSecond(Rates::ByResolutionAndAudio(tiers(&[
            ("480p_noaudio", "0.02"),
            ("480p_audio", "0.03"),
            ("720p_noaudio", "0.041"),
            ("720p_audio", "0.062"),
        ])));
        let choice =
            Choice { resolution: Some("720p"), audio: Some(true), duration_ms: Some(6000) };
        let quote = price.quote(&choice).unwrap();
        assert_eq!(quote.cost_per_second, Some(credits("0.062")));
        assert_eq!(quote.cost_per_generation, credits("0.372"));
        assert_eq!(quote.total(2), Ok(credits("0.744")));
        assert_eq!(quote.max_affordable(credits("0.500")), Some(1));
        let silent = price.quote(&Choice { audio: None, ..choice }).unwrap();
        assert_eq!(silent.cost_per_second, Some(credits("0.041")));
        let unknown = Choice { resolution: Some("4k"), ..choice };
        assert_eq!(price.quote(&unknown), Err(PricingError::NoTier));
        assert_eq!(price.quote(&Choice { resolution: None, ..choice }), Err(PricingError::NoTier));
    }

    #[test]
    fn every_kind_of_price_finds_its_rate() {
        let by_resolution = tiers(&[("480p", "0.030"), ("720p", "0.062"), ("1080p", "0.166")]);
        let choice = |resolution, audio| Choice { resolution, audio, duration_ms: Some(5000) };
        let cost = |price: &Price, choice| price.quote(&choice).unwrap().cost_per_generation;
        let image = Price::PerImage(Rates::ByResolution(by_resolution.clone()));
        assert_eq!(cost(&image, choice(Some("1080p"), None)), credits("0.166"));
        let video = Price::PerSecond(Rates::ByResolution(by_resolution));
        assert_eq!(cost(&video, choice(Some("480p"), Some(true))), credits("0.150"));
        let flat = Price::PerSecond(Rates::Flat(credits("0.5")));
        assert_eq!(cost(&flat, choice(None, None)), credits("2.5"));
        let sound = Price::PerSecond(Rates::ByAudio(tiers(&[("noaudio", "1"), ("audio", "2")])));
        assert_eq!(cost(&sound, choice(None, None)), credits("5"));
        assert_eq!(cost(&sound, choice(None, Some(true))), credits("10"));
        assert_eq!(flat.quote(&Choice::default()), Err(PricingError::NoDuration));
    }

    #[test]
    fn a_fraction_of_a_thousandth_is_rounded_half_up_once() {
        for (rate, duration_ms, cost) in [
            ("0.001", 500, "0.001"),
            ("0.001", 499, "0.000"),
            ("0.001", 1499, "0.001"),
            ("0.001", 1500, "0.002"),
            ("0.333", 5400, "1.798"),
            ("0.062", 1, "0.000"),
        ] {
            assert_eq!(for_duration(credits(rate), duration_ms), Ok(credits(cost)), "{rate}");
        }
        let quote = Quote {
            cost_per_second: None,
            cost_per_generation: for_duration(credits("0.001"), 1500).unwrap(),
        };
        assert_eq!(quote.total(4), Ok(credits("0.008")), "not 0.006: rounded before counting");
    }

    #[test]
    fn an_amount_beyond_every_balance_is_an_error() {
        assert_eq!(for_duration(Credits::MAX, u64::MAX), Err(PricingError::TooLarge));
        assert_eq!(for_duration(Credits::MAX, 1001), Err(PricingError::TooLarge));
        assert_eq!(for_duration(Credits::MAX, 1000), Ok(Credits::MAX));
        assert_eq!(per_image("9999999.999").total(2), Err(PricingError::TooLarge));
        assert_eq!(per_image("0").max_affordable(Credits::MAX), None);
    }

    #[test]
    fn thousandths_are_exact_or_refused() {
        for (number, expected) in [
            (0.005, Some(5)),
            (0.052, Some(52)),
            (5.0, Some(5000)),
            (5.4, Some(5400)),
            (9_999_999.999, Some(9_999_999_999)),
            (0.0, Some(0)),
            (0.0005, None),
            (5.0001, None),
            (-1.0, None),
            (1e300, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(thousandths(number), expected, "{number}");
        }
        for integer in 0..200_000_u64 {
            let text = format!("{}.{:03}", integer / 1000, integer % 1000);
            assert_eq!(thousandths(text.parse().unwrap()), Some(integer), "{text}");
        }
    }
}
