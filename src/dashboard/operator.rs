//! The console of those who run this server: how it does, and accounts and people of all of it.
//!
//! For everybody else there is nothing here. Whatever is done here is in the audit log, which is
//! written with it.

pub(super) mod account;
pub(super) mod accounts;
pub(super) mod audit;
pub(super) mod overview;
pub(super) mod users;

use super::listing::ListQuery;

/// Rows of a page.
const PAGE: usize = 50;

/// Whether a search finds one of these texts.
fn has(query: &ListQuery, texts: &[&str]) -> bool {
    let Some(wanted) = query.search() else { return true };
    texts.iter().any(|text| text.to_lowercase().contains(&wanted))
}
