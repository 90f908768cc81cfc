//! The adapters against a scripted server on loopback, with recorded bodies.
//!
//! [`conformance`] holds what every adapter must do; the files named after providers say how
//! each of them does it.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "adapters/alibabacloud.rs"]
mod alibabacloud;
#[path = "adapters/bfl.rs"]
mod bfl;
#[path = "adapters/byteplus.rs"]
mod byteplus;
#[path = "adapters/cloudflare.rs"]
mod cloudflare;
#[path = "adapters/conformance.rs"]
mod conformance;
#[path = "adapters/fal.rs"]
mod fal;
#[path = "adapters/openai.rs"]
mod openai;
#[path = "adapters/replicate.rs"]
mod replicate;
#[path = "adapters/runway.rs"]
mod runway;
#[path = "adapters/script.rs"]
mod script;
#[path = "adapters/support.rs"]
mod support;
