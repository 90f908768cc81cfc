//! What recognizing a known key and counting its request cost, in process.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use actors::api_key::Scope;
use serde::Serialize;

use crate::auth::Auth;

/// Where the calls come from.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What `babysea bench auth` found: means over all calls, in microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct AuthReport {
    /// Calls that were measured.
    pub calls: u32,
    /// Recognizing the key, which is in memory, and finding its lifecycle good.
    pub authenticate_us: f64,
    /// Allowlist, scope, last use, and taking a request from its bucket.
    pub admit_us: f64,
    /// Taking a generation.
    pub take_generation_us: f64,
    /// What the answer says of the buckets.
    pub standings_us: f64,
    /// All of them.
    pub total_us: f64,
}

/// Presents the same good key over and over.
///
/// # Errors
/// When the key is refused.
pub async fn auth(auth: &Auth, key: &str, calls: u32) -> anyhow::Result<AuthReport> {
    let header = format!("Bearer {key}");
    let refused = |error| anyhow::anyhow!("the key was refused: {error}");
    let mut callers = Vec::with_capacity(calls as usize);
    // Pays for bcrypt.
    let first = auth.authenticate(Some(&header), CLIENT).await.map_err(refused)?;
    let started = Instant::now();
    for _ in 0..calls {
        callers.push(auth.authenticate(Some(&header), CLIENT).await.map_err(refused)?);
    }
    let authenticate_us = mean(started, calls);
    let mut taken = Vec::with_capacity(calls as usize);
    let started = Instant::now();
    for caller in &callers {
        taken.push(auth.admit(caller, Scope::GenerationWrite).map_err(refused)?);
    }
    let admit_us = mean(started, calls);
    let started = Instant::now();
    for (caller, taken) in callers.iter().zip(&taken) {
        drop(black_box(taken.take_generation(caller.at)));
    }
    let take_generation_us = mean(started, calls);
    let started = Instant::now();
    for caller in &callers {
        black_box(auth.limits().standings(first.key.account_id, caller.plan, caller.at));
    }
    let standings_us = mean(started, calls);
    let total_us = authenticate_us + admit_us + take_generation_us + standings_us;
    Ok(AuthReport { calls, authenticate_us, admit_us, take_generation_us, standings_us, total_us })
}

fn mean(started: Instant, calls: u32) -> f64 {
    started.elapsed().as_secs_f64() * 1e6 / f64::from(calls.max(1))
}
