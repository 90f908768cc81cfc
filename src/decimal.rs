//! Exact decimals as JSON numbers: whole ones without a fraction, as the contract shows them.

use actors::money::Credits;
use serde_json::{Number, Value};

/// `4.1`, `10`.
pub(crate) fn credits(amount: Credits) -> Value {
    decimal(amount.thousandths())
}

/// `5`, `5.4`: whole seconds are whole numbers, as they were sent.
pub(crate) fn seconds(ms: u64) -> Value {
    i64::try_from(ms).map_or(Value::Null, decimal)
}

/// Integer thousandths as a number. A double holds them exactly up to 2^53.
fn decimal(thousandths: i64) -> Value {
    match thousandths % 1000 {
        0 => Value::from(thousandths / 1000),
        _ => Number::from_f64(thousandths as f64 / 1000.0).map_or(Value::Null, Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_as_the_contract_shows_them() {
        let text = |amount: &str| credits(Credits::parse(amount).unwrap()).to_string();
        assert_eq!(text("4.100"), "4.1");
        assert_eq!(text("0.744"), "0.744");
        assert_eq!(text("10"), "10");
        assert_eq!(text("0"), "0");
        assert_eq!(text("9999999.999"), "9999999.999");
        assert_eq!(
            (seconds(6000).to_string(), seconds(5400).to_string()),
            ("6".into(), "5.4".into())
        );
    }
}
