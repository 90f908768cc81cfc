//! In which order the providers of a model are tried, and why: an explicit pin comes before the
//! breaker, the breaker before the ranking, the ranking before the static order (`spec/domain.md`
//! B.6). The chain is never shorter than it was: who is left alone goes last.
//!
//! One number, uniform in `0.0..1.0`, decides who is tried out of turn. Its range is cut into a
//! piece for every provider that may be first, so the probability of what was chosen is known
//! exactly and kept with the attempt.

use chrono::{DateTime, Utc};
use providers::name::ProviderName;
use serde::{Deserialize, Serialize};

/// Why a generation begins at the provider that it begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// It was asked for.
    Pinned,
    /// The order of the model: nothing is known, or the ranking is switched off.
    #[default]
    Static,
    /// It is the best.
    Ranking,
    /// Too little is known of it, or it may have recovered.
    Exploration,
    /// Its circuit is half open, and this is a probe.
    Probe,
    /// Whose turn it was is left alone by its breaker.
    Breaker,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 6] =
        [Self::Pinned, Self::Static, Self::Ranking, Self::Exploration, Self::Probe, Self::Breaker];

    /// The text in tables and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Static => "static",
            Self::Ranking => "ranking",
            Self::Exploration => "exploration",
            Self::Probe => "probe",
            Self::Breaker => "breaker",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == text)
    }
}

/// What decided about the first provider of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// Why it is this one.
    pub source: Source,
    /// How likely that was, in millionths: 1 to 1,000,000.
    pub propensity_ppm: Option<u32>,
}

/// One provider that may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub provider: ProviderName,
    /// Whether its circuit is closed.
    pub flows: bool,
    /// When it may be asked again, if it is not.
    pub opens_at: DateTime<Utc>,
    /// Whether a probe may be sent to it.
    pub probe: bool,
    /// Whether too little is known of it, or it may have recovered.
    pub unknown: bool,
}

/// The shares of requests that do not begin where the order says, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Probes, all half-open circuits of the model together.
    pub probe: f64,
    /// Exploration, all providers of which too little is known together.
    pub explore: f64,
}

/// One way that a choice can go.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// The order in which providers are tried.
    pub order: Vec<ProviderName>,
    /// Why the first is first.
    pub source: Source,
    /// How likely this is, 0 to 1.
    pub propensity: f64,
}

/// Every way that a choice can go, with probabilities that add up to 1; the usual one last.
/// `base` is why the candidates, none of them twice, come in this order.
pub fn ways(candidates: &[Candidate], base: Source, shares: Shares) -> Vec<Way> {
    let of = |flows| candidates.iter().filter(move |it: &&Candidate| it.flows == flows);
    let mut alone: Vec<&Candidate> = of(false).collect();
    alone.sort_by_key(|it| it.opens_at);
    let usual: Vec<ProviderName> = of(true).chain(alone).map(|it| it.provider).collect();
    let (Some(wanted), Some(first)) = (candidates.first(), usual.first()) else {
        return Vec::new();
    };
    let pinned = base == Source::Pinned;
    let someone_flows = of(true).next().is_some();
    let source = if *first == wanted.provider { base } else { Source::Breaker };
    let mut ways = Vec::new();
    let mut spread = |share: f64, source: Source, chosen: Vec<ProviderName>| {
        let propensity = share / chosen.len().max(1) as f64;
        for provider in chosen.into_iter().filter(|_| propensity > 0.0) {
            let rest = usual.iter().copied().filter(|name| *name != provider);
            let order = std::iter::once(provider).chain(rest).collect();
            ways.push(Way { order, source, propensity });
        }
    };
    // A pin names who comes first, so only that one is probed out of turn.
    let probed = candidates.iter().filter(|it| it.probe && (!pinned || *it == wanted));
    if someone_flows {
        spread(shares.probe, Source::Probe, probed.map(|it| it.provider).collect());
    }
    if !pinned {
        let unknown = of(true).filter(|it| it.unknown && it.provider != *first);
        spread(shares.explore, Source::Exploration, unknown.map(|it| it.provider).collect());
    }
    let taken: f64 = ways.iter().map(|way| way.propensity).sum();
    ways.push(Way { order: usual, source, propensity: 1.0 - taken });
    ways
}

/// The way that a number uniform in `0.0..1.0` leads to.
pub fn choose(ways: Vec<Way>, random: f64) -> Option<Way> {
    let mut left = random;
    let last = ways.len().checked_sub(1)?;
    ways.into_iter().enumerate().find_map(|(index, way)| {
        left -= way.propensity;
        (left < 0.0 || index == last).then_some(way)
    })
}

impl Way {
    /// What is kept of it.
    pub fn decision(&self) -> Decision {
        let ppm = (self.propensity * 1_000_000.0).round().clamp(1.0, 1_000_000.0);
        Decision { source: self.source, propensity_ppm: Some(ppm as u32) }
    }
}

#[cfg(test)]
mod tests;
