//! What the forms of several pages have in common.

use serde::Deserialize;

/// A form that asks for nothing but what it is sent to.
#[derive(Debug, Deserialize)]
pub(super) struct Nothing {}

/// The end of a sentence as one of its own.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}
