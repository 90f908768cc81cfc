//! Chance that can be repeated: the same seed, purpose and number throw the same.

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

/// One stream of throws.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream for the nth event of a purpose.
    pub(crate) fn of(seed: u64, purpose: &str, nth: u64) -> Self {
        let hash = Sha256::new()
            .chain_update(seed.to_le_bytes())
            .chain_update(nth.to_le_bytes())
            .chain_update(purpose.as_bytes())
            .finalize();
        let mut start = [0; 8];
        start.copy_from_slice(&hash[..8]);
        Self(u64::from_le_bytes(start))
    }

    /// Any number (SplitMix64).
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to but not including 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Around a median, as run times are: never negative, with a long tail.
    pub(crate) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let (u, v) = (1.0 - self.share(), self.share());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        median * (sigma * normal).exp()
    }

    /// So many characters of an alphabet.
    pub(crate) fn text(&mut self, length: usize, alphabet: &str) -> String {
        let letters = alphabet.as_bytes();
        let letter = |_| char::from(letters[(self.number() % letters.len() as u64) as usize]);
        (0..length).map(letter).collect()
    }

    /// A UUID of the random kind.
    pub(crate) fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.number().to_le_bytes());
        bytes[8..].copy_from_slice(&self.number().to_le_bytes());
        Builder::from_random_bytes(bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_and_another_does_not() {
        let throw = |seed, nth| Dice::of(seed, "x", nth).uuid();
        assert_eq!(throw(1, 1), throw(1, 1));
        assert_ne!(throw(1, 1), throw(2, 1));
        assert_ne!(throw(1, 1), throw(1, 2));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let mut dice = Dice::of(7, "latency", 0);
        let below = (0..10_000).filter(|_| dice.log_normal(10.0, 0.35) < 10.0).count();
        assert!((4800..5200).contains(&below), "{below}");
    }
}
