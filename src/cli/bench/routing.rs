//! `babysea bench routing`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use emulator::settings::{Provider, ProviderSettings, Settings};
use serde_json::json;

use super::{SETTINGS, wealthy_account};
use crate::app;
use crate::bench::routing::{CATALOGUE, PhaseReport, Side, routing};
use crate::cli::output::{Answer, table};
use crate::clock::SystemClock;
use crate::config::{Config, Overrides};

/// What differs between the sides. Outages last as long as a phase, so circuits are tried sooner
/// than in life.
const SIDES: [(&str, &str); 3] = [
    (
        "static, no breaker",
        "[provider_health]\nattempts_min = 1000000\n[routing]\nenabled = false\n",
    ),
    ("static", "[provider_health]\nopen_ms = 500\n[routing]\nenabled = false\n"),
    ("fastest", "[provider_health]\nopen_ms = 500\n"),
];
/// Jobs last some tens of milliseconds here.
const POLLS: &str = "
[generation]
poll_initial_ms = 10
poll_max_ms = 20
";
/// The providers of the bench's model, with the form of their keys and their base paths.
const PROVIDERS: [(Provider, &str, &str); 3] = [
    (Provider::Replicate, "r8_bench", "/replicate/v1"),
    (Provider::Fal, "id:secret", "/fal/queue"),
    (Provider::Cloudflare, "bench", "/cloudflare/client/v4"),
];

/// How many, and of which chance.
#[derive(Debug, Args)]
pub struct RoutingArgs {
    /// Requests of each side in each phase
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    requests: u32,
    /// Repeats the faults of a run; which provider is tried first is still left to chance
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

pub(super) async fn run(directory: &Path, arguments: &RoutingArgs) -> anyhow::Result<Answer> {
    let catalogue = directory.join("catalogue");
    std::fs::create_dir_all(&catalogue)?;
    std::fs::write(catalogue.join("bench.toml"), CATALOGUE)?;
    let mut reports = Vec::new();
    for (index, (name, more)) in SIDES.into_iter().enumerate() {
        let emulator = emulator::start(emulator_settings(arguments.seed), Arc::new(SystemClock))?;
        let directory = directory.join(format!("side-{index}"));
        let config = settings(&directory, &catalogue, emulator.address, more)?;
        let product = app::start(&config).await?;
        let identity = product.identity(&config);
        let (account_id, key) = wealthy_account(&identity).await?;
        let (server, emulated, store) = (product.address, emulator.address, &identity.store);
        let side = Side { name, server, emulator: emulated, account_id, key, store };
        let measured = routing(&side, arguments.requests as usize).await;
        drop(identity);
        product.stop().await;
        emulator.stop().await;
        reports.extend(measured?);
    }
    let text = text(&reports);
    Ok(Answer::new(json!({ "seed": arguments.seed, "phases": reports }), text))
}

/// Without the limits of a real account, of which the bench makes more requests.
fn emulator_settings(seed: u64) -> Settings {
    let unlimited = ProviderSettings {
        per_minute: Some(1_000_000),
        concurrency: Some(1_000_000),
        ..ProviderSettings::default()
    };
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        seed: Some(seed),
        providers: PROVIDERS.map(|(provider, ..)| (provider, unlimited.clone())).into(),
        ..Settings::default()
    }
}

fn settings(
    directory: &Path,
    catalogue: &Path,
    emulator: SocketAddr,
    more: &str,
) -> anyhow::Result<Config> {
    std::fs::create_dir_all(directory)?;
    let mut text = [SETTINGS, POLLS, more].concat();
    write!(text, "[catalogue]\ndirectory = {:?}\n", catalogue.display().to_string())?;
    for (provider, key, path) in PROVIDERS {
        let name = provider.as_str();
        write!(text, "[provider_{name}]\napi_key = \"{key}\"\n")?;
        writeln!(text, "base_url = \"http://{emulator}{path}\"")?;
        match provider {
            Provider::Cloudflare => {
                writeln!(text, "account_id = \"0123456789abcdef0123456789abcdef\"")?;
            }
            Provider::Fal => {
                let keys = format!("http://{emulator}/fal/rest/.well-known/jwks.json");
                writeln!(text, "keys_url = \"{keys}\"")?;
                writeln!(text, "run_url = \"http://{emulator}/fal/run\"")?;
            }
            _ => {}
        }
    }
    let file = directory.join("bench.toml");
    std::fs::write(&file, text)?;
    let data_dir = Some(directory.join("product").display().to_string());
    Ok(Config::load(Some(&file), &Overrides { data_dir, ..Overrides::default() })?)
}

fn text(reports: &[PhaseReport]) -> String {
    let row = |it: &PhaseReport| {
        [
            it.phase.to_owned(),
            it.side.to_owned(),
            format!("{:.1} %", it.success_rate * 100.0),
            format!("{:.0} ms", it.p95_ms),
            format!("${:.3}", it.wasted_usd),
            format!("{:.2}", it.mean_attempts),
        ]
    };
    let mut sorted: Vec<&PhaseReport> = reports.iter().collect();
    // Stable: the sides of a phase stand under each other in their order.
    let place = |phase| reports.iter().position(|other| other.phase == phase);
    sorted.sort_by_key(|it| place(it.phase));
    let rows: Vec<_> = sorted.into_iter().map(row).collect();
    table(["PHASE", "ORDER", "SUCCESS", "P95", "WASTED", "ATTEMPTS"], &rows, "Nothing was asked.")
}
