//! How well requests are served while one of a model's providers degrades and recovers: by the
//! static order, with and without circuit breakers, and by `fastest`.
//!
//! The sides meet the same providers, an emulator each, whose faults have the same seed. One
//! request follows another, so that every side meets them in the same order.

use std::time::Duration;

use actors::attempt::AttemptOutcome;
use actors::generation::{Generation, Status};
use actors::id::AccountId;
use actors::ports::GenerationStore;
use anyhow::Context as _;
use reqwest::Client;
use serde::Serialize;
use serde_json::{Value, json};

use crate::store::Store;

/// The model whose providers are tried.
pub const MODEL: &str = "bench/image";
/// Its catalogue: what a picture brings, and what each provider takes for it.
pub const CATALOGUE: &str = r#"
[[model]]
identifier = "bench/image"
media = "image"
price = 0.010
price_source = "operator"
ratios = ["1:1"]
formats = ["png"]
stack = [
  { provider = "replicate", model = "black-forest-labs/flux-schnell", cost = 0.006 },
  { provider = "fal", model = "fal-ai/flux/schnell", cost = 0.005 },
  { provider = "cloudflare", model = "@cf/black-forest-labs/flux-1-schnell", cost = 0.004 },
]
"#;
/// What goes on at each provider in turn: a name, and the faults.
const PHASES: [(&str, Faults); 3] = [
    ("healthy", [("replicate", 0.02, 0.02), ("fal", 0.02, 0.02), ("cloudflare", 0.02, 0.02)]),
    ("first degraded", [("replicate", 0.6, 0.2), ("fal", 0.02, 0.02), ("cloudflare", 0.02, 0.02)]),
    ("best degraded", [("replicate", 0.02, 0.02), ("fal", 0.6, 0.2), ("cloudflare", 0.02, 0.02)]),
];
/// Providers, each with the share of its jobs that fail and what its times are multiplied by.
type Faults = [(&'static str, f64, f64); 3];
/// No request takes longer.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// One side: a server that runs, its providers, and a key for it.
pub struct Side<'a> {
    /// What it is called.
    pub name: &'static str,
    /// Where the server is.
    pub server: std::net::SocketAddr,
    /// Where its providers are.
    pub emulator: std::net::SocketAddr,
    /// Whose key it is.
    pub account_id: AccountId,
    /// A key of an account with enough credit.
    pub key: String,
    /// Where its attempts are.
    pub store: &'a Store,
}

/// How one side has done in one phase.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseReport {
    /// Which side.
    pub side: &'static str,
    /// What went on.
    pub phase: &'static str,
    /// Requests that were made.
    pub requests: usize,
    /// The share of them that succeeded.
    pub success_rate: f64,
    /// Milliseconds that 95 of 100 requests took at most, from acceptance to the stored file.
    pub p95_ms: f64,
    /// What providers take for attempts that were not used, in dollars.
    pub wasted_usd: f64,
    /// Attempts for each request.
    pub mean_attempts: f64,
}

/// Sends so many requests in each phase.
///
/// # Errors
/// When a side cannot be reached.
pub async fn routing(side: &Side<'_>, requests: usize) -> anyhow::Result<Vec<PhaseReport>> {
    let client = Client::builder().no_proxy().timeout(REQUEST_LIMIT).build()?;
    let mut reports = Vec::new();
    for (phase, providers) in PHASES {
        for (provider, failed, latency_scale) in providers {
            let url = format!("http://{}/admin/faults/{provider}", side.emulator);
            let faults = json!({ "failed": failed, "latency_scale": latency_scale });
            client.put(url).json(&faults).send().await?.error_for_status()?;
        }
        let mut generations = Vec::with_capacity(requests);
        for _ in 0..requests {
            generations.push(generate(&client, side).await?);
        }
        reports.push(report(side.name, phase, &generations));
    }
    Ok(reports)
}

/// One request, waited for to its end.
async fn generate(client: &Client, side: &Side<'_>) -> anyhow::Result<Generation> {
    let url = format!("http://{}/v1/generate/image/{MODEL}", side.server);
    let asked = client.post(url).bearer_auth(&side.key).header("prefer", "wait=60");
    let body = json!({ "generation_prompt": "a lighthouse made of folded paper" });
    let before = side.store.count(side.account_id).await?;
    let answer: Value = asked.json(&body).send().await?.json().await?;
    let taken = side.store.count(side.account_id).await? == before + 1;
    anyhow::ensure!(taken, "a request was not accepted: {answer}");
    // A failure does not name its generation, but nobody else makes any.
    let newest = side.store.list(side.account_id, 0, 1).await?;
    newest.into_iter().next().context("the generation is gone")
}

fn report(side: &'static str, phase: &'static str, generations: &[Generation]) -> PhaseReport {
    let requests = generations.len();
    let served = generations.iter().filter(|it| it.status() == Status::Succeeded).count();
    let took = |it: &Generation| Some((it.completed_at()? - it.created_at).as_seconds_f64());
    let mut times: Vec<f64> = generations.iter().filter_map(took).collect();
    times.sort_by(f64::total_cmp);
    let p95 = times.get((times.len() * 95).div_ceil(100).saturating_sub(1)).copied();
    let attempts = || generations.iter().flat_map(Generation::attempts);
    let wasted: u64 = attempts()
        .filter(|it| !matches!(it.outcome, AttemptOutcome::Used { .. }))
        .filter_map(|it| Some(it.provider_cost?.cost.0))
        .sum();
    PhaseReport {
        side,
        phase,
        requests,
        success_rate: served as f64 / requests.max(1) as f64,
        p95_ms: p95.unwrap_or(f64::NAN) * 1000.0,
        wasted_usd: wasted as f64 / 1_000_000.0,
        mean_attempts: attempts().count() as f64 / requests.max(1) as f64,
    }
}
