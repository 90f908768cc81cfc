//! The order of `fastest`: what each provider of a model is worth, by what is known of it.
//!
//! Beside the published formula ([`super::formula`]) it asks how much the evidence can bear (a
//! lower bound, so that one success is not certainty), times successes only and for equal work,
//! and knows cost (`spec/domain.md` B.7). Providers of which too little is known keep their static
//! order behind those that are ranked; none is ever dropped.

use chrono::{DateTime, Utc};
use providers::name::ProviderName;

use crate::routing::evidence::{Evidence, Memory};

/// What counts how much.
#[derive(Debug, Clone, Copy)]
pub struct RankingRules {
    /// Whether `fastest` is more than the static order of the model.
    pub enabled: bool,
    /// How the past fades.
    pub memory: Memory,
    /// Fewer attempts than this rank nobody.
    pub attempts_min: u32,
    /// Weight of the time, relative to that of success, which is 1.
    pub latency_weight: f64,
    /// Weight of what a provider costs over the price, relative to the same.
    pub cost_weight: f64,
    /// The share of requests that begin at a provider of which too little is known, or that would
    /// be first if it served as surely as the one that is: it may have recovered.
    pub explore_percent: u32,
    /// With fewer attempts than this, too little is known.
    pub explore_below: u32,
}

/// What is known of one provider of a model, and what it comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The provider.
    pub provider: ProviderName,
    /// Attempts that count, faded.
    pub attempts: f64,
    /// Those of them that were served.
    pub successes: f64,
    /// What it serves at least, 0 to 1.
    pub success_bound: f64,
    /// Median and 95th percentile of the time for a unit of work, in milliseconds.
    pub unit_ms: Option<(f64, f64)>,
    /// That percentile over the largest of the model's providers, 0 to 1.
    pub latency: f64,
    /// What it costs over the price, where that is known.
    pub cost_share: Option<f64>,
    /// What it is worth; `None` when too little is known to rank it.
    pub score: Option<f64>,
    /// Whether it would be first if it served as surely as the one that is.
    pub promising: bool,
}

/// Assesses the providers of a model, in the order given.
pub fn assess(
    providers: &[(ProviderName, &Evidence)],
    rules: &RankingRules,
    now: DateTime<Utc>,
) -> Vec<Assessment> {
    let known: Vec<(ProviderName, Evidence)> =
        providers.iter().map(|(name, evidence)| (*name, evidence.at(now, &rules.memory))).collect();
    let slowest = known.iter().filter_map(|(_, it)| it.unit_ms_p95()).fold(0.0, f64::max);
    let costs: Vec<f64> = known.iter().filter_map(|(_, it)| it.cost_share()).collect();
    // Nobody gains or loses by a price that is not known.
    let usual_cost = costs.iter().sum::<f64>() / costs.len().max(1) as f64;
    let mut all: Vec<Assessment> = Vec::with_capacity(known.len());
    for (provider, evidence) in &known {
        let p95 = evidence.unit_ms_p95();
        // Who has never served is as slow as the slowest.
        let latency = p95.filter(|_| slowest > 0.0).map_or(1.0, |p95| p95 / slowest);
        let cost = evidence.cost_share().unwrap_or(usual_cost);
        let success_bound = evidence.success_bound();
        let score = success_bound - rules.latency_weight * latency - rules.cost_weight * cost;
        let ranked = evidence.attempts() >= f64::from(rules.attempts_min);
        all.push(Assessment {
            provider: *provider,
            attempts: evidence.attempts(),
            successes: evidence.successes(),
            success_bound,
            unit_ms: evidence.unit_ms_p50().zip(p95),
            latency,
            cost_share: evidence.cost_share(),
            score: ranked.then_some(score),
            promising: false,
        });
    }
    let best = all.iter().filter_map(|it| Some((it.score?, it.success_bound)));
    if let Some((score, bound)) = best.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        for it in &mut all {
            it.promising = it.score.is_some_and(|own| own - it.success_bound + bound > score);
        }
    }
    all
}

/// Best first; those that are not ranked follow in the order given, which also decides between
/// equals.
pub fn rank(assessments: &[Assessment]) -> Vec<ProviderName> {
    let mut order: Vec<&Assessment> = assessments.iter().collect();
    let worth = |it: &Assessment| it.score.unwrap_or(f64::NEG_INFINITY);
    order.sort_by(|one, other| worth(other).total_cmp(&worth(one)));
    order.into_iter().map(|it| it.provider).collect()
}

#[cfg(test)]
mod tests;
