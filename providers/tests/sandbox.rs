//! How the sandbox behaves towards whoever uses it, over a real local receiver of callbacks.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "sandbox/callbacks.rs"]
mod callbacks;
#[path = "sandbox/files.rs"]
mod files;
#[path = "sandbox/jobs.rs"]
mod jobs;
#[path = "sandbox/support.rs"]
mod support;
