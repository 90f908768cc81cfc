//! `babysea bench …`

mod dashboard;
mod routing;

use std::path::Path;
use std::time::Duration;

use actors::account::{AccountKind, Plan as AccountPlan};
use actors::id::AccountId;
use actors::money::Credits;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use tokio::sync::oneshot;

use crate::app;
use crate::bench::bare::Bare;
use crate::bench::{self, Plan, SubmitReport, SubmitSides};
use crate::cli::output::Answer;
use crate::config::{Config, Overrides};
use crate::identity::{self, Context, NewAccount, NewKey};
use crate::webhook_sender::WebhookClient;

/// The product as it is delivered, but for itself: no other listener, limits that are counted and
/// never reached, and silent.
const SETTINGS: &str = r#"
[server]
listen = "127.0.0.1:0"
[operator]
listen = ""
[webhooks]
allow_private_targets = true
[plan_enterprise]
images_in_flight_max = 1000000
generations_per_minute = 1000000000
requests_per_minute = 1000000000
[log]
filter = "error"
"#;

/// No polls in the way of what is measured.
const NO_POLLS: &str = "
[generation]
poll_initial_ms = 60000
poll_max_ms = 60000
";

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measure durable submits per second and their latency, beside a bare handler
    ///
    /// Both sides run in this process and take turns, so that only their ratio counts. The disk
    /// that is measured is that of --data-dir; what is written there is removed afterwards.
    #[command(after_help = "Example: babysea bench submit --seconds 5 --turns 5")]
    Submit(SubmitArgs),
    /// Measure what recognizing a known key and counting its request cost, in process
    #[command(after_help = "Example: babysea bench auth --calls 200000")]
    Auth(AuthArgs),
    /// Measure webhook deliveries per second and their latency, beside the HTTP client alone
    ///
    /// To one endpoint and to many, and to as many of which a tenth does not answer. Receivers run
    /// in this process too, so that only ratios count.
    #[command(after_help = "Example: babysea bench webhooks --deliveries 20000")]
    Webhooks(WebhooksArgs),
    /// Compare the order of `fastest` with the static one while providers degrade
    ///
    /// Against an emulator on this machine: three providers of one model, of which first the one
    /// that the static order begins with degrades, then the best one. It measures decisions, not
    /// speed.
    #[command(after_help = "Example: babysea bench routing --requests 200 --seed 7")]
    Routing(routing::RoutingArgs),
    /// Measure how quickly pages of a workspace with a long past are answered, and what they weigh
    ///
    /// The past is written first: by default 100,000 generations and as many logged requests. One
    /// browser asks for one page after another, in turns with a bare handler.
    #[command(after_help = "Example: babysea bench dashboard --generations 100000")]
    Dashboard(dashboard::DashboardArgs),
}

/// How many.
#[derive(Debug, Args)]
pub struct WebhooksArgs {
    /// Deliveries of each turn
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    deliveries: u32,
    /// Endpoints, where there are many
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    endpoints: u32,
}

/// How often.
#[derive(Debug, Args)]
pub struct AuthArgs {
    /// Calls to be measured
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    calls: u32,
}

/// How long and with how many.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Connections that send one request after another
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Seconds of each turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: u16,
    /// Turns of each side
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
    turns: u16,
}

/// Measures.
///
/// # Errors
/// When a side cannot be started or reached.
pub fn run(config: &Config, command: &BenchCommand) -> anyhow::Result<Answer> {
    let directory = config.storage.data_dir.join(format!("bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let measured = actix_rt::System::new().block_on(async {
        match command {
            BenchCommand::Submit(arguments) => submit(&directory, arguments).await,
            BenchCommand::Auth(arguments) => auth(&directory, arguments.calls).await,
            BenchCommand::Webhooks(arguments) => webhooks(&directory, arguments).await,
            BenchCommand::Dashboard(arguments) => dashboard::run(&directory, arguments).await,
            BenchCommand::Routing(arguments) => routing::run(&directory, arguments).await,
        }
    });
    // What is left behind is in the way of nobody, and says so by its name.
    let _ = std::fs::remove_dir_all(&directory);
    measured
}

async fn auth(directory: &Path, calls: u32) -> anyhow::Result<Answer> {
    let config = settings(directory)?;
    let product = app::start(&config).await?;
    let key = wealthy_key(&product.identity(&config)).await?;
    let report = bench::auth::auth(product.auth(), &key, calls).await;
    product.stop().await;
    let report = report?;
    let line = |name: &str, micros: f64| format!("{name:<16}{micros:>8.2} µs\n");
    let text = [
        line("authenticate", report.authenticate_us),
        line("admit", report.admit_us),
        line("take generation", report.take_generation_us),
        line("standings", report.standings_us),
        line("total", report.total_us),
    ];
    Ok(Answer::new(serde_json::to_value(&report)?, text.concat()))
}

async fn webhooks(directory: &Path, arguments: &WebhooksArgs) -> anyhow::Result<Answer> {
    let config = settings(directory)?;
    let product = app::start(&config).await?;
    let client = WebhookClient::new(&config.webhooks).context("cannot make an HTTP client")?;
    let (deliveries, endpoints) = (arguments.deliveries as usize, arguments.endpoints as usize);
    let context = product.identity(&config);
    let report = bench::webhooks::webhooks(&context, &client, deliveries, endpoints).await;
    drop(context);
    product.stop().await;
    let report = report?;
    let side = |name: String, side: &bench::webhooks::SideReport| {
        format!(
            "{name:<16}{:>8.0}/s  ratio {:.2}   at half: p50 {:>7.2} ms  p99 {:>7.2} ms   \
             out of the outbox {:>6.0}/s  ratio {:.2}   client alone {:>6.0}/s\n",
            side.per_second,
            side.ratio,
            side.at_half.p50_ms,
            side.at_half.p99_ms,
            side.outbox_per_second,
            side.outbox_ratio,
            side.bare_per_second
        )
    };
    let text = [
        side("1 endpoint".to_owned(), &report.one),
        side(format!("{endpoints} endpoints"), &report.many),
        format!(
            "a tenth dead                          at half: p50 {:>7.2} ms  p99 {:>7.2} ms\n",
            report.with_dead.p50_ms, report.with_dead.p99_ms
        ),
        format!("memory of a busy endpoint {:.1} KiB\n", report.busy_endpoint_kib),
    ];
    Ok(Answer::new(serde_json::to_value(&report)?, text.concat()))
}

fn settings(directory: &Path) -> anyhow::Result<Config> {
    let settings = directory.join("bench.toml");
    std::fs::write(&settings, [SETTINGS, NO_POLLS].concat())?;
    let data_dir = Some(directory.join("product").display().to_string());
    let overrides = Overrides { data_dir, ..Overrides::default() };
    Ok(Config::load(Some(&settings), &overrides)?)
}

async fn submit(directory: &Path, arguments: &SubmitArgs) -> anyhow::Result<Answer> {
    let plan = Plan {
        connections: usize::from(arguments.connections),
        turn: Duration::from_secs(u64::from(arguments.seconds)),
        turns: usize::from(arguments.turns),
    };
    let config = settings(directory)?;
    let product = app::start(&config).await?;
    let key = wealthy_key(&product.identity(&config)).await?;
    let bare = Bare::start(directory, config.server.workers).await?;
    let sides = SubmitSides { product: product.address, key, bare: bare.address };
    let (done, measured) = oneshot::channel();
    std::thread::spawn(move || {
        // Whoever waited is gone only when the process is.
        let _ = done.send(bench::submit(&sides, plan));
    });
    let report = measured.await.context("the load generator ended")??;
    bare.stop().await;
    product.stop().await;
    Ok(Answer::new(serde_json::to_value(&report)?, text(&report)))
}

async fn wealthy_key(context: &Context) -> anyhow::Result<String> {
    Ok(wealthy_account(context).await?.1)
}

async fn wealthy_account(context: &Context) -> anyhow::Result<(AccountId, String)> {
    let account = NewAccount {
        name: "Bench".to_owned(),
        kind: AccountKind::Team,
        plan: AccountPlan::Enterprise,
        email: None,
        credits: Some(Credits::MAX),
    };
    let account = identity::create_account(context, account).await?;
    let key = identity::create_key(context, NewKey::full_access(account.id, "Bench")).await?;
    Ok((account.id, key.plain.expose().to_owned()))
}

fn text(report: &SubmitReport) -> String {
    let side = |name: &str, side: &bench::SideReport| {
        format!(
            "{name:<8}{:>10.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms   refused {}\n",
            side.per_second, side.p50_ms, side.p99_ms, side.refused
        )
    };
    format!(
        "{}{}ratio   {:>10.2}     (median over turns, {} connections)\n",
        side("submit", &report.submit),
        side("bare", &report.bare),
        report.ratio,
        report.connections
    )
}
