//! The published ranking formula (`spec/domain.md` B.3) and its document, `ranking.v1` (B.4).
//!
//! For export and comparison; `fastest` goes by [`super::ranking`].

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use providers::name::ProviderName;

use crate::attempt::{AttemptOutcome, EndedAttempt};

/// The window over which attempts count.
pub const WINDOW: TimeDelta = TimeDelta::hours(24);
const WASTE_WEIGHT: f64 = 0.5;
const LATENCY_WEIGHT: f64 = 0.3;

/// The attempts of one provider at one model.
#[derive(Debug, Clone, Default)]
struct Tally {
    used: u64,
    /// Milliseconds, of all attempts, failed ones too.
    latencies: Vec<u32>,
}

/// The ended attempts of one model, by provider.
#[derive(Debug, Clone, Default)]
pub struct ModelTally(BTreeMap<ProviderName, Tally>);

/// The value of a `ranking.v1` document.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedRanking {
    /// Best first, with the score of each.
    pub ranked: Vec<(ProviderName, f64)>,
    /// Attempts that it is made of.
    pub attempts_total: u64,
}

impl ModelTally {
    /// Takes an attempt in that was sent within [`WINDOW`]. One that ended before it began is a
    /// clock's mistake and dropped (B.2).
    pub fn add(&mut self, attempt: &EndedAttempt) {
        let Some(ended) = attempt.outcome.resolved_at() else { return };
        let Ok(latency) = (ended - attempt.submitted_at).to_std() else { return };
        let tally = self.0.entry(attempt.provider).or_default();
        tally.used += u64::from(matches!(attempt.outcome, AttemptOutcome::Used { .. }));
        tally.latencies.push(u32::try_from(latency.as_millis()).unwrap_or(u32::MAX));
    }

    /// Scores and orders the providers; `None` without attempts.
    pub fn ranking(&self) -> Option<PublishedRanking> {
        let attempts_total = self.0.values().map(|tally| tally.latencies.len() as u64).sum();
        let p95s: BTreeMap<ProviderName, u32> =
            self.0.iter().map(|(name, tally)| (*name, p95(&tally.latencies))).collect();
        let slowest = p95s.values().copied().max()?;
        let score = |(name, tally): (&ProviderName, &Tally)| {
            let share = tally.used as f64 / tally.latencies.len() as f64;
            let latency = match slowest {
                0 => 0.0,
                slowest => f64::from(p95s[name]) / f64::from(slowest),
            };
            let score = share - WASTE_WEIGHT * (1.0 - share) - LATENCY_WEIGHT * latency;
            (*name, (score * 1_000_000.0).round() / 1_000_000.0)
        };
        let mut ranked: Vec<(ProviderName, f64)> = self.0.iter().map(score).collect();
        ranked.sort_by(|(one, one_score), (other, other_score)| {
            other_score
                .total_cmp(one_score)
                .then_with(|| p95s[one].cmp(&p95s[other]))
                .then_with(|| one.as_str().cmp(other.as_str()))
        });
        Some(PublishedRanking { ranked, attempts_total })
    }
}

/// Where such a document is kept (B.4).
pub fn document_key(region: &str, model: &str) -> String {
    format!("predictive:ranking:{region}:{model}")
}

/// Nearest rank. Zero for nothing.
fn p95(latencies: &[u32]) -> u32 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * 95).div_ceil(100);
    rank.checked_sub(1).map_or(0, |index| sorted[index])
}

/// When a document was computed, and so which attempts count: those sent after this.
pub fn window_start(computed_at: DateTime<Utc>) -> DateTime<Utc> {
    computed_at - WINDOW
}

#[cfg(test)]
mod tests {
    use providers::name::ProviderName::{Bfl, Fal, Replicate};

    use super::*;
    use crate::failure::{Failure, FailureCode};

    fn attempt(provider: ProviderName, outcome: &str, ms: i64) -> EndedAttempt {
        let submitted_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let at = submitted_at + TimeDelta::milliseconds(ms);
        let outcome = match outcome {
            "used" => AttemptOutcome::Used { at },
            "discarded" => AttemptOutcome::Discarded { at },
            "canceled" => AttemptOutcome::Canceled { at },
            "pending" => AttemptOutcome::Pending,
            _ => AttemptOutcome::Failed {
                at,
                failure: Failure::new(FailureCode::ProviderError, "no"),
            },
        };
        EndedAttempt {
            model: "lab/image".to_owned(),
            provider,
            outcome,
            submitted_at,
            work_milli: 1000,
            cost_share: None,
        }
    }

    fn ranking(attempts: &[(ProviderName, &str, i64)]) -> Option<PublishedRanking> {
        let mut tally = ModelTally::default();
        attempts.iter().for_each(|(name, outcome, ms)| tally.add(&attempt(*name, outcome, *ms)));
        tally.ranking()
    }

    #[test]
    fn the_worked_vector_of_domain_b_3_holds() {
        let (a, b, c) = (Bfl, Fal, Replicate);
        let ranking = ranking(&[
            (a, "used", 6400),
            (a, "failed", 12000),
            (a, "failed", 11800),
            (b, "used", 4200),
            (b, "used", 4500),
            (b, "used", 4700),
            (c, "used", 9000),
            (c, "discarded", 9400),
            (c, "used", 8800),
        ])
        .unwrap();
        assert_eq!(ranking.ranked, [(b, 0.8825), (c, 0.265), (a, -0.3)]);
        assert_eq!(ranking.attempts_total, 9);
    }

    #[test]
    fn one_success_outranks_many_with_a_failure_as_published() {
        let mut attempts = vec![(Fal, "used", 1000)];
        attempts.extend([(Bfl, "used", 1000)].repeat(990));
        attempts.extend([(Bfl, "failed", 1000)].repeat(10));
        assert_eq!(ranking(&attempts).unwrap().ranked, [(Fal, 0.7), (Bfl, 0.685)]);
    }

    #[test]
    fn equals_are_ordered_by_time_and_then_by_name() {
        let ranking = ranking(&[(Replicate, "used", 0), (Fal, "used", 0), (Bfl, "canceled", 0)]);
        let names: Vec<ProviderName> =
            ranking.unwrap().ranked.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [Fal, Replicate, Bfl]);
    }

    #[test]
    fn what_has_not_ended_or_ended_before_it_began_does_not_count() {
        assert_eq!(ranking(&[(Fal, "pending", 5), (Fal, "used", -1)]), None);
        assert_eq!(ranking(&[]), None);
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<u32> = (1..=100).rev().collect();
        assert_eq!((p95(&hundred), p95(&hundred[..20]), p95(&[7]), p95(&[])), (95, 99, 7, 0));
    }
}
