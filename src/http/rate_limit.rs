//! What every authenticated answer says about the limits of its account (`spec/contract.md` 6.2,
//! B.2).
//!
//! Twice: in the three fields that official clients read, and in those that the IETF is about to
//! standardize (draft-ietf-httpapi-ratelimit-headers), which can speak of two buckets at once.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::rate_limit::window::{SECONDS, Standing};
use crate::rate_limit::{Standings, X_LIMIT, X_REMAINING, X_RESET};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The routes that take from both buckets.
const GENERATES: &str = "/v1/generate/";

/// Adds the fields to the answer of a route. A refusal has named the bucket that was full by
/// itself already; everything else speaks of generations where they are made, and else of
/// requests.
pub(super) fn put(headers: &mut HeaderMap, route: &str, standings: &Standings) {
    let Standings { requests, generations } = standings;
    let generates = route.starts_with(GENERATES);
    if !headers.contains_key(X_LIMIT) {
        let shown = if generates { generations } else { requests };
        headers.insert(X_LIMIT, shown.limit.into());
        headers.insert(X_REMAINING, shown.remaining.into());
        headers.insert(X_RESET, shown.reset().into());
    }
    let (mut policy, mut state) = (String::with_capacity(64), String::with_capacity(64));
    if generates {
        member("generations", generations, &mut policy, &mut state);
    }
    member("requests", requests, &mut policy, &mut state);
    insert(headers, POLICY, &policy);
    insert(headers, RATE_LIMIT, &state);
}

fn member(name: &str, standing: &Standing, policy: &mut String, state: &mut String) {
    use std::fmt::Write as _;
    for list in [&mut *policy, &mut *state] {
        list.push_str(if list.is_empty() { "" } else { ", " });
    }
    let Standing { limit, remaining, .. } = standing;
    let wait = standing.wait_seconds();
    // Writing to a string does not fail.
    let _ = write!(policy, "\"{name}\";q={limit};w={SECONDS}");
    let _ = write!(state, "\"{name}\";r={remaining};t={wait}");
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // Letters, digits and punctuation, made by us.
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
