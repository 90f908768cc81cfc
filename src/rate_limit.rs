//! How much an account may ask for in a minute, by its plan (`spec/contract.md` 6).
//!
//! Two buckets for each account, shared by all of its keys: API requests, and generations. Both
//! are in the memory of this process, which is exact because one server owns a database. What is
//! refused does not count.

pub mod window;

use std::fmt;
use std::sync::Arc;

use actix_web::http::header::HeaderName;
use actors::account::{Plan, Plans};
use actors::id::AccountId;
use chrono::{DateTime, Utc};
use dashmap::DashMap;
use serde_json::json;

use self::window::{SlidingWindow, Standing, Token};
use crate::error::{ApiError, ErrorCode};

/// How many may be taken in a window.
pub const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// How many are left.
pub const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// When one more may be taken, as Unix time in seconds.
pub const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The windows of all accounts that asked for something lately.
#[derive(Debug)]
pub struct RateLimits {
    plans: Plans,
    accounts: DashMap<AccountId, Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    requests: SlidingWindow,
    generations: SlidingWindow,
}

/// How the buckets of an account stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standings {
    pub requests: Standing,
    pub generations: Standing,
}

/// The bucket that was full. Nothing is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitExceeded(pub Standing);

impl RateLimits {
    pub fn new(plans: Plans) -> Self {
        Self { plans, accounts: DashMap::new() }
    }

    /// Takes a request.
    ///
    /// # Errors
    /// [`LimitExceeded`].
    pub fn take_request(
        self: &Arc<Self>,
        account_id: AccountId,
        plan: Plan,
        now: DateTime<Utc>,
    ) -> Result<TakenRequest, LimitExceeded> {
        let limit = self.plans.limits(plan).requests_per_minute;
        let mut buckets = self.accounts.entry(account_id).or_default();
        let request = buckets.requests.take(limit, now).map_err(LimitExceeded)?;
        drop(buckets);
        Ok(TakenRequest { limits: Arc::clone(self), account_id, plan, request })
    }

    /// How the buckets of an account stand, without taking anything.
    pub fn standings(&self, account_id: AccountId, plan: Plan, now: DateTime<Utc>) -> Standings {
        let limits = self.plans.limits(plan);
        let standings = |buckets: &mut Buckets| Standings {
            requests: buckets.requests.standing(limits.requests_per_minute, now),
            generations: buckets.generations.standing(limits.generations_per_minute, now),
        };
        match self.accounts.get_mut(&account_id) {
            Some(mut buckets) => standings(&mut buckets),
            None => standings(&mut Buckets::default()),
        }
    }

    /// Forgets accounts that have not asked for anything for a minute; to be called every few
    /// seconds.
    pub fn sweep(&self, now: DateTime<Utc>) {
        self.accounts.retain(|_, buckets| {
            !buckets.requests.is_idle(now) || !buckets.generations.is_idle(now)
        });
    }

    fn change(&self, account_id: AccountId, change: impl FnOnce(&mut Buckets)) {
        if let Some(mut buckets) = self.accounts.get_mut(&account_id) {
            change(&mut buckets);
        }
    }
}

/// A request that was counted.
pub struct TakenRequest {
    limits: Arc<RateLimits>,
    account_id: AccountId,
    plan: Plan,
    request: Token,
}

impl TakenRequest {
    /// Takes a generation for this request. A refusal gives the request back too.
    ///
    /// # Errors
    /// [`LimitExceeded`].
    pub fn take_generation(&self, now: DateTime<Utc>) -> Result<GenerationPermit, LimitExceeded> {
        let limit = self.limits.plans.limits(self.plan).generations_per_minute;
        let mut buckets = self.limits.accounts.entry(self.account_id).or_default();
        match buckets.generations.take(limit, now) {
            Ok(generation) => Ok(GenerationPermit {
                limits: Arc::clone(&self.limits),
                account_id: self.account_id,
                request: self.request,
                generation,
            }),
            Err(full) => {
                buckets.requests.give_back(self.request);
                Err(LimitExceeded(full))
            }
        }
    }
}

impl fmt::Debug for TakenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TakenRequest").field(&self.request).finish()
    }
}

/// A generation that was counted, together with its request. Dropping it changes nothing: both
/// stay counted.
#[must_use]
#[derive(Debug)]
pub struct GenerationPermit {
    limits: Arc<RateLimits>,
    account_id: AccountId,
    request: Token,
    generation: Token,
}

impl GenerationPermit {
    /// Gives the generation and its request back: what is refused with 429 does not count.
    pub fn give_back(self) {
        self.limits.change(self.account_id, |buckets| {
            buckets.generations.give_back(self.generation);
            buckets.requests.give_back(self.request);
        });
    }

    /// Gives only the generation back: a stored answer was sent again, and nothing was made.
    pub fn give_back_generation(self) {
        self.limits.change(self.account_id, |buckets| {
            buckets.generations.give_back(self.generation);
        });
    }
}

impl From<LimitExceeded> for ApiError {
    fn from(LimitExceeded(full): LimitExceeded) -> Self {
        // Never 0, which clients take for absent (`spec/contract.md` 0.3).
        let wait = full.wait_seconds().max(1);
        Self::new(ErrorCode::RateLimitExceeded)
            .details(json!({ "retry_after_seconds": wait, "limit": full.limit }))
            .retry_after(wait)
            .header(X_LIMIT, full.limit)
            .header(X_REMAINING, full.remaining)
            .header(X_RESET, full.reset())
    }
}

#[cfg(test)]
mod tests {
    use actors::account::PlanLimits;
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    const ACCOUNT: AccountId = AccountId(Uuid::from_u128(1));

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000, 0).unwrap()
    }

    fn limits(requests_per_minute: u32, generations_per_minute: u32) -> Arc<RateLimits> {
        Arc::new(RateLimits::new(Plans::new(|_| PlanLimits {
            generations_per_minute,
            requests_per_minute,
            images_in_flight_max: 1,
            videos_in_flight_max: 1,
        })))
    }

    fn remaining(limits: &RateLimits) -> (u32, u32) {
        let standings = limits.standings(ACCOUNT, Plan::Free, now());
        (standings.requests.remaining, standings.generations.remaining)
    }

    #[test]
    fn a_generation_takes_one_from_both_and_a_refused_one_from_neither() {
        let limits = limits(5, 2);
        for left in [1, 0] {
            let request = limits.take_request(ACCOUNT, Plan::Free, now()).unwrap();
            let _permit = request.take_generation(now()).unwrap();
            assert_eq!(remaining(&limits), (3 + left, left));
        }
        let request = limits.take_request(ACCOUNT, Plan::Free, now()).unwrap();
        assert_eq!(remaining(&limits), (2, 0));
        let full = request.take_generation(now()).unwrap_err();
        assert_eq!((full.0.limit, full.0.wait_seconds()), (2, 60));
        assert_eq!(remaining(&limits), (3, 0));
    }

    #[test]
    fn what_is_refused_later_is_given_back() {
        let limits = limits(5, 2);
        let take = || {
            let request = limits.take_request(ACCOUNT, Plan::Free, now()).unwrap();
            request.take_generation(now()).unwrap()
        };
        take().give_back();
        assert_eq!(remaining(&limits), (5, 2));
        take().give_back_generation();
        assert_eq!(remaining(&limits), (4, 2));
    }

    #[test]
    fn of_two_hundred_at_once_exactly_those_pass_that_are_left() {
        let limits = limits(30, 30);
        for _ in 0..20 {
            limits.take_request(ACCOUNT, Plan::Free, now()).unwrap();
        }
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let take = |_| limits.take_request(ACCOUNT, Plan::Free, now()).is_ok();
                        (0..25).map(take).filter(|passed| *passed).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 10);
    }

    #[test]
    fn a_change_of_plan_counts_what_was_taken_before() {
        let limits = Arc::new(RateLimits::new(Plans::new(|plan| PlanLimits {
            generations_per_minute: 1,
            requests_per_minute: if plan == Plan::Free { 2 } else { 4 },
            images_in_flight_max: 1,
            videos_in_flight_max: 1,
        })));
        let take = |plan| limits.take_request(ACCOUNT, plan, now()).is_ok();
        assert!(take(Plan::Free) && take(Plan::Free) && !take(Plan::Free));
        assert!(take(Plan::Pro) && take(Plan::Pro) && !take(Plan::Pro));
        assert!(!take(Plan::Free));
    }

    #[test]
    fn idle_accounts_leave_the_memory_and_busy_ones_stay() {
        let limits = limits(5, 2);
        for account in 0..100 {
            let account_id = AccountId(Uuid::from_u128(account));
            let at = now() + TimeDelta::seconds(if account == 7 { 30 } else { 0 });
            limits.take_request(account_id, Plan::Free, at).unwrap();
        }
        limits.sweep(now() + TimeDelta::seconds(60));
        assert_eq!(limits.accounts.len(), 1);
        // Asking how an account stands does not remember it.
        limits.standings(ACCOUNT, Plan::Free, now());
        assert_eq!(limits.accounts.len(), 1);
    }

    #[test]
    fn who_is_refused_is_told_when_to_come_back() {
        let limits = limits(1, 1);
        limits.take_request(ACCOUNT, Plan::Free, now()).unwrap();
        let later = now() + TimeDelta::milliseconds(17_500);
        let full = limits.take_request(ACCOUNT, Plan::Free, later).unwrap_err();
        let error = ApiError::from(full);
        assert_eq!(error.code(), ErrorCode::RateLimitExceeded);
        let details = &error.to_json()["details"];
        assert_eq!(details.to_string(), r#"{"retry_after_seconds":43,"limit":1}"#);
        let mut headers = actix_web::http::header::HeaderMap::new();
        error.put_headers(&mut headers);
        let read = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(read("retry-after"), "43");
        assert_eq!(
            (read("x-ratelimit-limit"), read("x-ratelimit-remaining")),
            ("1".into(), "0".into())
        );
        assert_eq!(read("x-ratelimit-reset"), (now().timestamp() + 60).to_string());
    }
}
