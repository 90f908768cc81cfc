//! Measures the product against what the machine can do, both in one run.
//!
//! Machines are noisy, so only the ratio counts: the product and a bare handler take turns,
//! A B A B, with the same load, on the same disk, with the same durability.

pub mod auth;
pub mod bare;
pub mod dashboard;
pub mod load;
pub mod routing;
pub mod webhooks;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::bench::load::{Load, Sample};

/// How a bench is run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections that send one request after another.
    pub connections: usize,
    /// How long each turn lasts.
    pub turn: Duration,
    /// Turns of each side.
    pub turns: usize,
}

/// What `babysea bench submit` found.
#[derive(Debug, Clone, Serialize)]
pub struct SubmitReport {
    /// Connections that sent one request after another.
    pub connections: usize,
    /// The product: authenticated, validated, reserved, committed, taken by a provider.
    pub submit: SideReport,
    /// A handler that appends one row in group commit.
    pub bare: SideReport,
    /// Median over the turns of product to bare, in requests per second.
    pub ratio: f64,
}

/// One side, medians over its turns.
#[derive(Debug, Clone, Serialize)]
pub struct SideReport {
    /// Answers with status 200, each second.
    pub per_second: f64,
    /// Milliseconds that half of the requests took at most.
    pub p50_ms: f64,
    /// Milliseconds that 99 of 100 requests took at most.
    pub p99_ms: f64,
    /// Answers of another status, over all turns.
    pub refused: u64,
}

/// The two sides of the submit bench, both listening.
#[derive(Debug)]
pub struct SubmitSides {
    /// The product.
    pub product: SocketAddr,
    /// A key of an account with enough credit.
    pub key: String,
    /// The bare handler.
    pub bare: SocketAddr,
}

/// Runs both sides in turns.
///
/// # Errors
/// When a side cannot be reached.
pub fn submit(sides: &SubmitSides, plan: Plan) -> anyhow::Result<SubmitReport> {
    let authorization = format!("Authorization: Bearer {}", sides.key);
    let body = r#"{"generation_prompt":"a lighthouse made of folded paper","generation_ratio":"16:9","generation_sandbox_latency_ms":600000}"#;
    let path = "/v1/generate/image/sandbox/webhook";
    let product = Load::post(sides.product, path, &[&authorization], body);
    let bare = Load::post(sides.bare, "/", &[&authorization], body);
    // The first requests pay for bcrypt, connections and caches.
    product.run(plan.connections, Duration::from_millis(500))?;
    bare.run(plan.connections, Duration::from_millis(500))?;
    let (mut ours, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..plan.turns {
        ours.push(product.run(plan.connections, plan.turn)?);
        bares.push(bare.run(plan.connections, plan.turn)?);
    }
    let ratios = ours.iter().zip(&bares).map(|(our, bare)| our.per_second() / bare.per_second());
    Ok(SubmitReport {
        connections: plan.connections,
        ratio: median(ratios.collect()),
        submit: side(&ours),
        bare: side(&bares),
    })
}

fn side(samples: &[Sample]) -> SideReport {
    SideReport {
        per_second: median(samples.iter().map(Sample::per_second).collect()),
        p50_ms: median(samples.iter().map(|sample| sample.percentile_ms(0.50)).collect()),
        p99_ms: median(samples.iter().map(|sample| sample.percentile_ms(0.99)).collect()),
        refused: samples.iter().map(|sample| sample.refused).sum(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
