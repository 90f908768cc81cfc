//! Credits: integer thousandths, checked everywhere.

use std::fmt;

/// An amount of credit in thousandths (1 credit = 1 USD, `spec/contract.md` 9.1).
///
/// Never negative. A signed delta of the ledger is an `i64` of the same unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Credits(i64);

/// An amount that is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// More than three decimals, a sign, or not a number.
    #[error("an amount has at most three decimals and no sign")]
    Malformed,
    /// Above [`Credits::MAX`].
    #[error("an amount is at most 9999999.999")]
    TooLarge,
}

impl Credits {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// NUMERIC(10,3), the largest balance and the largest movement.
    pub const MAX: Self = Self(9_999_999_999);

    /// From thousandths.
    ///
    /// # Errors
    /// [`MoneyError`] outside `0..=MAX`.
    pub fn from_thousandths(thousandths: i64) -> Result<Self, MoneyError> {
        match thousandths {
            ..0 => Err(MoneyError::Malformed),
            0..=9_999_999_999 => Ok(Self(thousandths)),
            _ => Err(MoneyError::TooLarge),
        }
    }

    /// A stored balance. Credit that came back may lift it above [`Credits::MAX`], which bounds
    /// what can be granted and spent, not what is there.
    ///
    /// # Errors
    /// [`MoneyError::Malformed`] below zero.
    pub fn from_balance(thousandths: i64) -> Result<Self, MoneyError> {
        if thousandths < 0 { Err(MoneyError::Malformed) } else { Ok(Self(thousandths)) }
    }

    /// Reads a decimal such as `10`, `0.5` or `1.000`; a fourth decimal is refused, never
    /// rounded away (`spec/domain.md` L4).
    ///
    /// # Errors
    /// [`MoneyError`].
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
            return Err(MoneyError::Malformed);
        }
        let thousandths = format!("{whole}{fraction:0<3}");
        let thousandths: i64 = thousandths.parse().map_err(|_| MoneyError::TooLarge)?;
        Self::from_thousandths(thousandths)
    }

    /// In thousandths.
    pub fn thousandths(self) -> i64 {
        self.0
    }

    /// In millionths of a credit, the unit of costs.
    pub fn microcredits(self) -> i64 {
        self.0.saturating_mul(1000)
    }

    /// The sum, or `None` above [`Credits::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = self.0.checked_add(other.0)?;
        Self::from_thousandths(sum).ok()
    }

    /// The sum without the upper bound: credit that comes back is never refused, and what
    /// can come back is bounded by what was once a balance.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or `None` below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        let difference = self.0.checked_sub(other.0)?;
        Self::from_balance(difference).ok()
    }

    /// The product, or `None` above [`Credits::MAX`].
    pub fn checked_mul(self, factor: u32) -> Option<Self> {
        let product = self.0.checked_mul(i64::from(factor))?;
        Self::from_thousandths(product).ok()
    }

    /// As a JSON number with up to three decimals. Exact: thousandths of this size fit a
    /// double without loss.
    pub fn to_number(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_read_exactly_and_a_fourth_place_is_refused() {
        assert_eq!(Credits::parse("10").unwrap().thousandths(), 10_000);
        assert_eq!(Credits::parse("0.5").unwrap().thousandths(), 500);
        assert_eq!(Credits::parse("1.000").unwrap().to_string(), "1.000");
        assert_eq!(Credits::parse("9999999.999"), Ok(Credits::MAX));
        for malformed in ["", ".", "1.", ".5", "-1", "+1", "1.0000", "1e3", "NaN", " 1", "1,5"] {
            assert_eq!(Credits::parse(malformed), Err(MoneyError::Malformed), "{malformed}");
        }
        assert_eq!(Credits::parse("10000000"), Err(MoneyError::TooLarge));
        assert_eq!(Credits::parse("99999999999999999999"), Err(MoneyError::TooLarge));
    }

    #[test]
    fn credit_that_comes_back_above_the_maximum_can_be_read_and_spent() {
        let one = Credits::parse("1").unwrap();
        let above = Credits::from_balance(Credits::MAX.plus(one).thousandths()).unwrap();
        assert_eq!(above.checked_sub(one), Some(Credits::MAX));
        assert_eq!(above.checked_add(one), None);
        assert!(above.checked_sub(Credits::parse("0.001").unwrap()).is_some());
        assert_eq!(Credits::from_balance(-1), Err(MoneyError::Malformed));
    }

    #[test]
    fn arithmetic_stops_at_both_ends() {
        let one = Credits::parse("1").unwrap();
        assert_eq!(Credits::ZERO.checked_sub(one), None);
        assert_eq!(Credits::MAX.checked_add(one), None);
        assert_eq!(Credits::MAX.checked_mul(2), None);
        assert_eq!(one.checked_mul(3).unwrap().to_string(), "3.000");
    }
}
