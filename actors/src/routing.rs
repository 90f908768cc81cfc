//! What a generation needs next. Pure: the actor decides when, this decides what.
//!
//! In which order providers are tried is decided once, when it is accepted: by [`choice`], out of
//! what [`breaker`] and [`ranking`] make of the [`evidence`].

pub mod breaker;
pub mod choice;
pub mod evidence;
pub mod formula;
pub mod ranking;
pub mod workload;

use std::time::Duration;

use chrono::{DateTime, Utc};
use providers::MediaKind;
use providers::name::ProviderName;

use crate::attempt::{Attempt, AttemptOutcome};
use crate::failure::{Failure, FailureCode};
use crate::generation::Generation;

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct RouteLimits {
    /// Time for one attempt at an image.
    pub image_attempt: Duration,
    /// Time for an image, all attempts together.
    pub image_total: Duration,
    /// Time for one attempt at a video.
    pub video_attempt: Duration,
    /// Time for a video, all attempts together.
    pub video_total: Duration,
    /// Attempts for one generation.
    pub attempts_max: u32,
}

impl RouteLimits {
    /// When a generation accepted at `at` fails if it still runs.
    pub fn deadline(&self, media: MediaKind, at: DateTime<Utc>) -> DateTime<Utc> {
        match media {
            MediaKind::Image => at + self.image_total,
            MediaKind::Video => at + self.video_total,
        }
    }

    /// When an attempt that begins at `at` is given up.
    pub fn attempt_deadline(&self, media: MediaKind, at: DateTime<Utc>) -> DateTime<Utc> {
        match media {
            MediaKind::Image => at + self.image_attempt,
            MediaKind::Video => at + self.video_attempt,
        }
    }
}

/// What to do next for a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask this provider.
    Submit(ProviderName),
    /// An attempt is open: see to it.
    Attend(u32),
    /// Nothing is left to be tried.
    Fail(Failure),
    /// It has ended.
    Rest,
}

/// Decides the next step (`spec/contract.md` 7.3): sequentially along the resolved order,
/// each provider once, never past a decisive refusal, a deadline or the attempt limit. Refused
/// content is decisive unless the account lets others judge it too.
pub fn next_step(generation: &Generation, limits: &RouteLimits, now: DateTime<Utc>) -> Step {
    if generation.status().is_terminal() {
        return Step::Rest;
    }
    if now >= generation.deadline_at {
        let message = "The generation did not finish in time.";
        return Step::Fail(Failure::new(FailureCode::GenerationTimedOut, message));
    }
    if let Some(attempt) = generation.open_attempt() {
        return Step::Attend(attempt.number);
    }
    let failures: Vec<&Failure> = generation.attempts().iter().filter_map(failure).collect();
    let goes_on = |code: FailureCode| {
        code == FailureCode::ContentPolicyViolation && generation.input.route.failover_on_moderation
    };
    let decisive =
        failures.iter().find(|failure| failure.code.is_decisive() && !goes_on(failure.code));
    if let Some(decisive) = decisive {
        return Step::Fail((*decisive).clone());
    }
    let asked =
        |name: &ProviderName| generation.attempts().iter().any(|attempt| attempt.provider == *name);
    let next = generation.input.provider_order.iter().find(|name| !asked(name));
    match next {
        Some(name) if generation.attempts().len() < limits.attempts_max as usize => {
            Step::Submit(*name)
        }
        Some(_) | None => Step::Fail(summary(&failures)),
    }
}

fn failure(attempt: &Attempt) -> Option<&Failure> {
    match &attempt.outcome {
        AttemptOutcome::Failed { failure, .. } => Some(failure),
        AttemptOutcome::Pending
        | AttemptOutcome::Used { .. }
        | AttemptOutcome::Discarded { .. }
        | AttemptOutcome::Canceled { .. } => None,
    }
}

/// One provider's failure is told as it is; several become one. Content that anybody refused is
/// told as refused: the owner can do something about that.
fn summary(failures: &[&Failure]) -> Failure {
    let refused =
        failures.iter().find(|failure| failure.code == FailureCode::ContentPolicyViolation);
    match (failures, refused) {
        ([only], _) | (_, Some(only)) => (*only).clone(),
        _ => Failure::new(
            FailureCode::AllProvidersFailed,
            "All providers failed for this generation.",
        ),
    }
}

#[cfg(test)]
mod tests;
