//! What happened in an account, counted by the hour: what charts are drawn from, and what stays when
//! the rows are gone (`spec/dashboard.md` 5.1).
//!
//! Counted in the transaction of what happened, so a tally is never of something that did not.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::batch::Changes;
use crate::generation::{Generation, State};
use crate::id::AccountId;
use crate::logged_request::{LoggedRequest, StatusClass};
use crate::webhook::DeliveryStatus;

/// Upper ends of the buckets of [`What::Latency`], in milliseconds: steps of a fifth to a half, so
/// a percentile is never further off than that, and by interpolation much less. The last one has
/// no end.
pub const LATENCY_BUCKETS: [u64; 28] = [
    50,
    100,
    150,
    200,
    300,
    400,
    500,
    750,
    1_000,
    1_500,
    2_000,
    3_000,
    4_000,
    5_000,
    7_500,
    10_000,
    15_000,
    20_000,
    30_000,
    45_000,
    60_000,
    90_000,
    120_000,
    180_000,
    300_000,
    600_000,
    1_200_000,
    u64::MAX,
];

/// Of which kind something is that is counted, and so what the total beside the number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Generations that ended, by status; the total is their outputs.
    Outcome,
    /// Generations that failed, by the code of their failure.
    Failure,
    /// Generations that ended, by model; the total is what was charged, in thousandths.
    Model,
    /// The same by the id of the key that asked, empty where none did.
    Key,
    /// Attempts as they stood when their generation ended, by provider and outcome, with a space
    /// between; the total is what they were estimated to cost, in millionths.
    Provider,
    /// Generations that needed more than one provider; the total is how many more.
    Failover,
    /// Generations that succeeded, by bucket of how long they took; the total is milliseconds.
    Latency,
    /// The same where the provider's own time is known, in one; the total is milliseconds.
    Inference,
    /// Deliveries to webhook endpoints that ended, by how; the total is tries.
    Delivery,
    /// Requests by class of status; the total is microseconds.
    Request,
    /// Requests by method and route, with a space between; the total is those that failed.
    Endpoint,
    /// Requests by the id of the key; the total is those that failed.
    Caller,
    /// Requests that failed, by `BSE####`.
    Code,
}

impl What {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Outcome,
        Self::Failure,
        Self::Model,
        Self::Key,
        Self::Provider,
        Self::Failover,
        Self::Latency,
        Self::Inference,
        Self::Delivery,
        Self::Request,
        Self::Endpoint,
        Self::Caller,
        Self::Code,
    ];

    /// The text in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::Failure => "failure",
            Self::Model => "model",
            Self::Key => "key",
            Self::Provider => "provider",
            Self::Failover => "failover",
            Self::Latency => "latency",
            Self::Inference => "inference",
            Self::Delivery => "delivery",
            Self::Request => "request",
            Self::Endpoint => "endpoint",
            Self::Caller => "caller",
            Self::Code => "code",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == text)
    }
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TallyKey {
    /// The tenant.
    pub account_id: AccountId,
    /// The hour of UTC: `2026-11-28T14`.
    pub hour: String,
    /// Of which kind.
    pub what: What,
    /// Which of that kind.
    pub name: String,
}

/// How often, and a sum in the unit of the kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub times: i64,
    /// The sum.
    pub total: i64,
}

/// What is added to tallies, in one order everywhere.
#[derive(Debug, Default)]
pub struct Tallies(pub BTreeMap<TallyKey, Tally>);

/// What a batch of units of work adds.
pub fn of_changes(changes: &Changes) -> Tallies {
    let mut tallies = Tallies::default();
    let ended_now = changes.updated.iter().filter(|(_, was)| !was.is_terminal());
    let ended = ended_now.map(|(generation, _)| generation).chain(&changes.inserted);
    for generation in ended {
        tallies.generation(generation);
    }
    for tried in &changes.tried {
        let name = match tried.delivery.status {
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Exhausted => "failed",
            DeliveryStatus::Pending
            | DeliveryStatus::Queued
            | DeliveryStatus::Resent
            | DeliveryStatus::Expired => continue,
        };
        let tries = i64::from(tried.delivery.tries);
        let account_id = tried.delivery.account_id;
        tallies.add((account_id, tried.last.at), What::Delivery, name, tries);
    }
    tallies
}

/// What requests add.
pub fn of_requests(requests: &[LoggedRequest]) -> Tallies {
    let mut tallies = Tallies::default();
    for request in requests {
        let place = (request.key.account_id, request.at);
        let failed = i64::from(request.status >= 400);
        let took = i64::try_from(request.took.as_micros()).unwrap_or(i64::MAX);
        let class = StatusClass::of(request.status).as_str();
        tallies.add(place, What::Request, class, took);
        let endpoint = format!("{} {}", request.method, request.endpoint);
        tallies.add(place, What::Endpoint, endpoint, failed);
        tallies.add(place, What::Caller, request.key.id.to_string(), failed);
        if let Some(code) = request.code {
            tallies.add(place, What::Code, code, 0);
        }
    }
    tallies
}

impl Tallies {
    fn add(
        &mut self,
        (account_id, at): (AccountId, DateTime<Utc>),
        what: What,
        name: impl Into<String>,
        total: i64,
    ) {
        let key = TallyKey { account_id, hour: hour(at), what, name: name.into() };
        let tally = self.0.entry(key).or_default();
        tally.times += 1;
        tally.total = tally.total.saturating_add(total);
    }

    fn generation(&mut self, generation: &Generation) {
        let Some(at) = generation.completed_at() else { return };
        let place = (generation.account_id, at);
        let (mut outputs, mut charged) = (0, 0);
        match generation.state() {
            State::Succeeded { outputs: files, predict_time, .. } => {
                outputs = i64::try_from(files.len()).unwrap_or(i64::MAX);
                charged = generation.amount.thousandths();
                let took = (at - generation.created_at).num_milliseconds().max(0);
                self.add(place, What::Latency, bucket(took).to_string(), took);
                if let Some(time) = predict_time {
                    let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                    self.add(place, What::Inference, "", ms);
                }
            }
            State::Failed { failure, .. } => {
                self.add(place, What::Failure, failure.code.as_str(), 0);
            }
            State::Canceled { .. } | State::Pending | State::Processing { .. } => {}
        }
        let key = generation.asked_by.key.map(|key| key.to_string()).unwrap_or_default();
        self.add(place, What::Outcome, generation.status().as_str(), outputs);
        self.add(place, What::Model, generation.model.clone(), charged);
        self.add(place, What::Key, key, charged);
        for attempt in generation.attempts() {
            let name = format!("{} {}", attempt.provider.as_str(), attempt.outcome.as_str());
            self.add(place, What::Provider, name, attempt.estimated_cost_microcredits);
        }
        let more = generation.attempts().len().saturating_sub(1);
        if more > 0 {
            self.add(place, What::Failover, "", i64::try_from(more).unwrap_or(i64::MAX));
        }
    }
}

/// The text of an hour in tables, which sorts as hours do.
pub fn hour(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H").to_string()
}

/// The bucket of a time in milliseconds, by its upper end.
fn bucket(milliseconds: i64) -> u64 {
    let milliseconds = milliseconds.unsigned_abs();
    LATENCY_BUCKETS.into_iter().find(|end| milliseconds <= *end).unwrap_or(u64::MAX)
}

/// How long the given share of what is in buckets took at most, in milliseconds, taking it for even
/// within a bucket; `None` of nothing. `buckets` are upper ends with how many, in order.
pub fn percentile(buckets: &[(u64, i64)], share: f64) -> Option<f64> {
    let all: i64 = buckets.iter().map(|(_, times)| times).sum();
    let wanted = all as f64 * share;
    let mut before = 0.0;
    for (end, times) in buckets.iter().filter(|(_, times)| *times > 0) {
        let times = *times as f64;
        if before + times >= wanted {
            let index = LATENCY_BUCKETS.iter().position(|bucket| bucket == end).unwrap_or(0);
            let begin = index.checked_sub(1).map_or(0, |before| LATENCY_BUCKETS[before]);
            // What has no end is at least as long as its begin.
            let end = if *end == u64::MAX { begin } else { *end };
            let within = (wanted - before) / times;
            return Some(begin as f64 + (end - begin) as f64 * within);
        }
        before += times;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for what in What::ALL {
            assert_eq!(What::parse(what.as_str()), Some(what));
        }
    }

    #[test]
    fn a_time_is_in_the_first_bucket_that_holds_it() {
        let cases = [(0, 50), (50, 50), (51, 100), (9_999, 10_000), (i64::MAX, u64::MAX)];
        for (milliseconds, end) in cases {
            assert_eq!(bucket(milliseconds), end, "{milliseconds}");
        }
        assert!(LATENCY_BUCKETS.is_sorted());
    }

    #[test]
    fn percentiles_lie_within_their_bucket() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[(100, 10)], 0.5), Some(75.0));
        let spread = [(100, 90), (1_000, 9), (u64::MAX, 1)];
        assert_eq!(percentile(&spread, 0.9), Some(100.0));
        assert_eq!(percentile(&spread, 0.99), Some(1_000.0));
        assert_eq!(percentile(&spread, 1.0), Some(1_200_000.0), "at least that");
    }
}
