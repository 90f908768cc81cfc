//! `babysea emulate`: stands in for the providers, in a process of its own.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use emulator::settings::Settings;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::output::Output;
use crate::clock::SystemClock;

/// What can be said to `babysea emulate`.
#[derive(Debug, Args)]
pub(super) struct EmulateArgs {
    /// Address and port to listen on [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Emulates until it is told to stop.
///
/// # Errors
/// When it cannot start; the message says what is wrong.
pub(super) fn run(
    file: Option<&Path>,
    arguments: &EmulateArgs,
    output: Output,
) -> anyhow::Result<()> {
    let mut settings = file.map(Settings::load).transpose()?.unwrap_or_default();
    settings.listen = arguments.listen.unwrap_or(settings.listen);
    actix_rt::System::new().block_on(async {
        // Before anything can be told of the start, so that a stop right after it is orderly.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let running = emulator::start(settings, Arc::new(SystemClock))?;
        announce(running.address, output)?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        running.stop().await;
        Ok(())
    })
}

fn announce(address: SocketAddr, output: Output) -> std::io::Result<()> {
    let url = format!("http://{address}");
    let mut out = std::io::stdout().lock();
    if output.json {
        writeln!(out, "{}", json!({ "url": url }))?;
    } else {
        writeln!(out, "The emulator of all providers listens on {url}")?;
        writeln!(
            out,
            "Faults: PUT {url}/admin/faults/{{provider}}. What it was asked: GET {url}/admin/log"
        )?;
    }
    out.flush()
}
