//! Stories from outside: the real program in a process of its own, over real HTTP, on both
//! databases.
#![expect(clippy::unwrap_used, unreachable_pub, reason = "tests")]

mod support;

mod admission;
mod auth;
mod browser;
mod callbacks;
mod cancel;
mod cli;
mod client;
mod console;
mod content;
mod credits;
mod dashboard;
mod emulation;
mod emulator;
mod endpoints;
mod estimates;
mod events;
mod fuzz;
mod generations;
mod health;
mod idempotency;
mod input;
mod input_files;
mod insight_pages;
mod library;
mod limits;
mod moderation;
mod money;
mod operator;
mod outbox;
mod outputs;
mod people;
mod provider_faults;
mod provider_life;
mod providers;
mod record;
mod recovery;
mod retention;
mod routing;
mod teams;
mod usage;
mod webhook_pages;
mod webhooks;
