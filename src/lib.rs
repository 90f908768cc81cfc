//! The server and its command line: everything that touches the outside.
//!
//! Modules stand in reading order. What has to be decided is decided in `actors`; what providers
//! say is translated in `providers`.

pub mod clock;
pub mod config;
pub mod ids;
pub mod secrets;
pub mod telemetry;

pub mod address_guard;
pub mod catalogue_file;
mod decimal;
pub mod input_files;
mod model_fields;
pub mod moderation;
pub mod outputs;
pub mod storage_probe;
pub mod webhook_sender;

pub mod store;

pub mod endpoint_admin;
pub mod identity;
pub mod routing_memory;

pub mod error;
pub mod metrics;

pub mod rate_limit;

pub mod auth;
pub mod callback_urls;
pub mod request_log;

pub mod account_removal;
pub mod mail;
pub mod people;

pub mod dashboard;
pub mod http;

pub mod app;
pub mod bench;
pub mod cli;
