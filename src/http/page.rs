//! Which part of a list is asked for (`spec/contract.md` 1.8, 2.5, B.3).

use std::ops::RangeInclusive;

use url::form_urlencoded;

use crate::error::{ApiError, ErrorCode};

const LIMIT: RangeInclusive<u64> = 1..=100;
const LIMIT_DEFAULT: u64 = 50;

/// A page, within its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) limit: u32,
    pub(super) offset: u64,
}

impl Page {
    /// Reads `limit` and `offset`; what is out of range is brought into it.
    ///
    /// # Errors
    /// BSE2001 for what is no whole number.
    pub(super) fn read(query: &str) -> Result<Self, ApiError> {
        let limit = number(query, "limit")?.unwrap_or(LIMIT_DEFAULT);
        let limit = limit.clamp(*LIMIT.start(), *LIMIT.end());
        let offset = number(query, "offset")?.unwrap_or(0);
        Ok(Self { limit: u32::try_from(limit).unwrap_or(u32::MAX), offset })
    }
}

/// A whole number of a query, the first where it is given twice. One below zero counts as zero,
/// and one beyond all bounds as the largest there is.
fn number(query: &str, field: &str) -> Result<Option<u64>, ApiError> {
    let given = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == field);
    let Some((_, text)) = given else { return Ok(None) };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::field(ErrorCode::InvalidInput, field, "Must be a whole number."));
    }
    Ok(Some(if text.starts_with('-') { 0 } else { digits.parse().unwrap_or(u64::MAX) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_brought_into_it() {
        for (query, limit, offset) in [
            ("", 50, 0),
            ("limit=7&offset=3", 7, 3),
            ("limit=0", 1, 0),
            ("limit=-5&offset=-1", 1, 0),
            ("limit=101", 100, 0),
            ("limit=%31&other=x", 1, 0),
            ("limit=1&limit=2", 1, 0),
            ("limit=%2B7", 7, 0),
            ("limit=99999999999999999999&offset=99999999999999999999", 100, u64::MAX),
        ] {
            assert_eq!(Page::read(query).unwrap(), Page { limit, offset }, "{query}");
        }
    }

    #[test]
    fn what_is_no_whole_number_is_refused_by_name() {
        for (query, field) in [
            ("limit=", "limit"),
            ("limit", "limit"),
            ("limit=ten", "limit"),
            ("limit=1.5", "limit"),
            ("limit=+1", "limit"), // A space, in a query.
            ("limit=-", "limit"),
            ("limit=1&offset=0x1", "offset"),
            ("offset=%D9%A1", "offset"),
        ] {
            let error = Page::read(query).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidInput);
            assert_eq!(error.to_json()["details"]["field"], field, "{query}");
        }
    }
}
