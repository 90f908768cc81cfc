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
pub mod input_files;
pub mod moderation;
pub mod outputs;
pub mod storage_probe;
pub mod webhook_sender;

pub mod store;

pub mod endpoint_admin;
pub mod identity;

pub mod error;
pub mod metrics;

pub mod rate_limit;

pub mod auth;
pub mod callback_urls;
pub mod http;
pub mod request_log;

pub mod app;
pub mod bench;
pub mod cli;
