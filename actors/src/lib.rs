//! The domain, its ports, and the actors that decide when.
//!
//! Plain data and pure functions first, then what is needed from outside (`ports`), then the
//! actors, which are the only files that know actix. ARCHITECTURE.md has an order to read them in.

#![warn(missing_docs)]

pub mod id;
pub mod money;

pub mod account;
pub mod activity;
pub mod alert;
pub mod api_key;
pub mod attempt;
pub mod batch;
pub mod catalogue;
pub mod delivery_mode;
pub mod failure;
pub mod file_urls;
pub mod generation;
pub mod idempotency;
pub mod input;
pub mod ledger;
pub mod logged_request;
pub mod mail;
pub mod member;
pub mod notification;
pub mod offering;
pub mod operator;
pub mod permission;
pub mod pricing;
pub mod provider_health;
pub mod retention;
pub mod retry;
pub mod router;
pub mod routing;
pub mod spending;
pub mod tally;
pub mod usage;
pub mod user;
pub mod webhook;

pub mod env;
pub mod lanes;
pub mod metrics;
pub mod poll_budget;
pub mod ports;
pub mod watchers;

pub mod death;
pub mod endpoint_actor;
pub mod endpoint_supervisor;
pub mod engine;
pub mod generation_actor;
pub mod janitor;
pub mod supervisor;
pub mod system;

#[cfg(test)]
mod fakes;
