use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};

use chrono::TimeDelta;
use futures_util::future::{join, join_all};

use super::fakes::*;
use super::*;
use crate::config::Config;

const SCOPE: Scope = Scope::GenerationRead;

struct Setting {
    clock: Arc<ManualClock>,
    keys: Arc<FakeKeys>,
    auth: Auth,
}

impl Setting {
    /// Knows the key `plain(1)`.
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (clock, keys, mut config) = (ManualClock::new(), Arc::<FakeKeys>::default(), config());
        change(&mut config);
        keys.rows.lock().unwrap().push(row(&plain(1)));
        let auth = auth(&keys, &clock, &config);
        Self { clock, keys, auth }
    }

    async fn present(&self, key: &PlainKey) -> Result<Arc<ApiKey>, ErrorCode> {
        self.present_from(key, "192.0.2.1").await
    }

    async fn present_from(&self, key: &PlainKey, client: &str) -> Result<Arc<ApiKey>, ErrorCode> {
        let (header, client) = (bearer_of(key), client.parse().unwrap());
        let caller = self.authorize(Some(&header), client).await;
        caller.map(|caller| caller.key).map_err(|error| error.code())
    }

    async fn send(&self, header: Option<&str>) -> Result<(), ErrorCode> {
        let client = IpAddr::from([192, 0, 2, 1]);
        self.authorize(header, client).await.map(drop).map_err(|error| error.code())
    }

    async fn authorize(&self, header: Option<&str>, client: IpAddr) -> Result<Caller, ApiError> {
        let caller = self.auth.authenticate(header, client).await?;
        self.auth.admit(&caller, SCOPE)?;
        Ok(caller)
    }

    fn look_ups(&self) -> usize {
        self.keys.look_ups.load(Ordering::Relaxed)
    }

    fn bcrypts(&self) -> u64 {
        self.auth.metrics.bcrypt_taken.get()
    }

    /// Keeps the only thread of the pool busy until the answer is dropped.
    fn occupy(&self) -> Sender<()> {
        let (started, has_started) = channel();
        let (finish, may_finish) = channel::<()>();
        let occupy = move || {
            started.send(()).unwrap();
            let _ = may_finish.recv();
        };
        self.auth.verifier.pool.try_run(occupy).unwrap();
        has_started.recv().unwrap();
        finish
    }
}

#[actix_web::test]
async fn a_header_without_our_kind_of_key_is_no_attempt() {
    let setting = Setting::with(|config| config.auth.failures_per_minute = 1);
    for header in [None, Some(""), Some("Bearer"), Some("Bearer sk_1"), Some("bearer bye_1")] {
        for _ in 0..3 {
            assert_eq!(setting.send(header).await, Err(ErrorCode::AuthenticationRequired));
        }
    }
}

#[actix_web::test]
async fn everything_that_is_wrong_with_a_key_gets_the_same_answer() {
    let setting = Setting::new();
    for malformed in ["Bearer bye_", "Bearer bye_x", "Bearer bye_\0", "Bearer bye_ä"] {
        assert_eq!(setting.send(Some(malformed)).await, Err(ErrorCode::AuthenticationFailed));
    }
    assert_eq!(setting.look_ups(), 0, "a malformed key is not looked for");
    assert_eq!(setting.present(&plain(2)).await, Err(ErrorCode::AuthenticationFailed));
    let now = setting.clock.now();
    setting.keys.change(0, |row| row.revoked_at = Some(now));
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::AuthenticationFailed));
}

#[actix_web::test]
async fn a_key_of_another_region_is_a_wrong_key() {
    let setting = Setting::with(|config| config.auth.failures_per_minute = 2);
    setting.keys.change(0, |row| row.region = None);
    assert!(setting.present(&plain(1)).await.is_ok(), "a key without a region works in any");
    setting.keys.change(0, |row| row.region = Some("eu".to_owned()));
    setting.clock.forward(1000);
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::AuthenticationFailed));
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::AuthenticationFailed));
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::AuthRateLimited));
}

#[actix_web::test]
async fn address_comes_before_scope_and_lifecycle_before_both() {
    let setting = Setting::new();
    setting.keys.change(0, |row| {
        row.scopes = vec![Scope::HealthRead];
        row.allowed_ips = vec!["192.0.2.1".parse().unwrap()];
        row.expires_at = Some(setting.clock.now() + TimeDelta::seconds(10));
    });
    let key = plain(1);
    assert_eq!(setting.present_from(&key, "192.0.2.9").await, Err(ErrorCode::IpNotAllowed));
    let mapped = setting.present_from(&key, "::ffff:192.0.2.1").await;
    assert_eq!(mapped, Err(ErrorCode::InsufficientPermissions));
    setting.clock.forward(10_000);
    let expired = setting.present_from(&key, "192.0.2.9").await;
    assert_eq!(expired, Err(ErrorCode::AuthenticationFailed));
}

#[actix_web::test]
async fn bcrypt_is_paid_once_per_key() {
    let setting = Setting::new();
    let (key, finish) = (plain(1), setting.occupy());
    let occupied = setting.bcrypts();
    let burst = join_all((0..50).map(|_| setting.present(&key)));
    // Let go when all fifty are waiting.
    let (burst, ()) = join(burst, async { drop(finish) }).await;
    assert!(burst.iter().all(Result::is_ok));
    assert_eq!(setting.bcrypts() - occupied, 1, "a burst is one verification");
    setting.clock.forward(60_000);
    assert!(setting.present(&key).await.is_ok());
    assert_eq!(setting.bcrypts() - occupied, 1, "and it is remembered");
    let counted = |outcome| setting.auth.metrics.counted(outcome);
    assert_eq!((counted(AuthOutcome::Verified), counted(AuthOutcome::Cached)), (50, 1));
}

#[actix_web::test]
async fn a_key_that_shares_its_prefix_is_told_apart() {
    let setting = Setting::new();
    let mut draws = [1; 32];
    draws[20] = 2;
    let other = PlainKey::from_draws(draws);
    assert_eq!(other.prefix(), plain(1).prefix());
    assert_eq!(setting.present(&other).await, Err(ErrorCode::AuthenticationFailed));
    setting.clock.forward(31_000);
    let mut second = row(&other);
    second.name = "second".to_owned();
    setting.keys.rows.lock().unwrap().push(second);
    assert_eq!(setting.present(&other).await.unwrap().name, "second");
    assert_eq!(setting.present(&plain(1)).await.unwrap().name, "render farm");
}

#[actix_web::test]
async fn the_same_wrong_key_costs_one_bcrypt_and_an_unknown_prefix_none() {
    let setting = Setting::new();
    let mut draws = [1; 32];
    draws[20] = 2;
    let wrong = PlainKey::from_draws(draws);
    for _ in 0..10 {
        assert!(setting.present(&wrong).await.is_err());
        assert!(setting.present(&plain(9)).await.is_err());
    }
    assert_eq!(setting.bcrypts(), 1);
}

#[actix_web::test]
async fn a_change_counts_within_the_recheck_time_on_a_remembered_key() {
    let setting = Setting::new();
    let (key, now) = (plain(1), setting.clock.now());
    assert!(setting.present(&key).await.is_ok());
    setting.keys.change(0, |row| row.revoked_at = Some(now));
    setting.clock.forward(499);
    assert!(setting.present(&key).await.is_ok(), "believed for half a second");
    setting.clock.forward(1);
    assert_eq!(setting.present(&key).await, Err(ErrorCode::AuthenticationFailed));
    assert_eq!(setting.bcrypts(), 1, "and no bcrypt is needed to see it");

    setting.keys.change(0, |row| row.revoked_at = None);
    setting.clock.forward(500);
    assert!(setting.present(&key).await.is_ok());
    setting.keys.rows.lock().unwrap().clear();
    setting.clock.forward(500);
    assert_eq!(setting.present(&key).await, Err(ErrorCode::AuthenticationFailed), "deleted");
}

#[actix_web::test]
async fn expiry_counts_at_once_and_a_clock_set_back_asks_again() {
    let setting = Setting::new();
    let key = plain(1);
    let end = setting.clock.now() + TimeDelta::milliseconds(100);
    setting.keys.change(0, |row| row.expires_at = Some(end));
    assert!(setting.present(&key).await.is_ok());
    setting.clock.forward(100);
    assert_eq!(setting.present(&key).await, Err(ErrorCode::AuthenticationFailed));
    let reads = setting.keys.reads.load(Ordering::Relaxed);
    setting.clock.forward(-3_600_000);
    assert!(setting.present(&key).await.is_ok());
    assert_eq!(setting.keys.reads.load(Ordering::Relaxed), reads + 1);
}

#[actix_web::test]
async fn failures_of_an_address_stop_it_before_any_key_work() {
    let setting = Setting::with(|config| config.auth.failures_per_minute = 3);
    for _ in 0..3 {
        assert_eq!(setting.present(&plain(2)).await, Err(ErrorCode::AuthenticationFailed));
    }
    let look_ups = setting.look_ups();
    assert_eq!(setting.present(&plain(2)).await, Err(ErrorCode::AuthRateLimited));
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::AuthRateLimited));
    assert_eq!(setting.look_ups(), look_ups);
    assert!(setting.present_from(&plain(1), "192.0.2.2").await.is_ok(), "others go on");
    assert!(setting.present(&plain(1)).await.is_ok(), "and so does a key that is known by now");
    setting.keys.change(0, |row| row.revoked_at = Some(DateTime::UNIX_EPOCH));
    setting.clock.forward(1_000);
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::AuthenticationFailed));
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::AuthRateLimited));
    setting.keys.change(0, |row| row.revoked_at = None);
    setting.clock.forward(120_000);
    assert!(setting.present(&plain(1)).await.is_ok());
}

#[actix_web::test]
async fn a_limited_client_is_told_when_to_come_back() {
    let setting = Setting::with(|config| config.auth.failures_per_minute = 1);
    setting.present(&plain(2)).await.unwrap_err();
    setting.clock.forward(18_000);
    let client = IpAddr::from([192, 0, 2, 1]);
    let header = bearer_of(&plain(1));
    let error = setting.authorize(Some(&header), client).await.unwrap_err();
    let mut headers = actix_web::http::header::HeaderMap::new();
    error.put_headers(&mut headers);
    let read = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(read("retry-after"), "42");
    assert_eq!(read("x-ratelimit-limit"), "1");
    assert_eq!(read("x-ratelimit-remaining"), "0");
    let reset = setting.clock.now().timestamp() + 42;
    assert_eq!(read("x-ratelimit-reset"), reset.to_string());
}

#[actix_web::test]
async fn a_full_queue_answers_at_once_and_blames_nobody() {
    let setting = Setting::with(|config| {
        config.auth.bcrypt_queue_max = 1;
        config.auth.failures_per_minute = 1;
    });
    let finish = setting.occupy();
    setting.auth.verifier.pool.try_run(|| ()).unwrap();
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::ServiceUnavailable));
    drop(finish);
    while setting.auth.metrics.bcrypt_waiting.get() > 0 {
        std::thread::yield_now();
    }
    assert!(setting.present(&plain(1)).await.is_ok());
}

#[actix_web::test]
async fn a_store_that_fails_lets_nobody_in() {
    let setting = Setting::new();
    assert!(setting.present(&plain(1)).await.is_ok());
    *setting.keys.broken.lock().unwrap() = true;
    setting.clock.forward(500);
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::InternalError));
    *setting.keys.broken.lock().unwrap() = false;
    assert!(setting.present(&plain(1)).await.is_ok());
}

#[actix_web::test]
async fn last_uses_are_collected_and_survive_a_store_that_fails() {
    let setting = Setting::new();
    let key = plain(1);
    setting.present(&key).await.unwrap();
    setting.clock.forward(100);
    let row = setting.present(&key).await.unwrap();
    *setting.keys.broken.lock().unwrap() = true;
    assert!(setting.auth.flush_last_used().await.is_err());
    *setting.keys.broken.lock().unwrap() = false;
    setting.auth.flush_last_used().await.unwrap();
    setting.auth.flush_last_used().await.unwrap();
    let touched = setting.keys.touched.lock().unwrap().clone();
    assert_eq!(touched, [(row.id, setting.clock.now())]);
}

#[actix_web::test]
async fn a_suspended_account_is_refused_up_to_its_limit() {
    let setting = Setting::new();
    *setting.keys.plan.lock().unwrap() = Some(Plan::Free);
    *setting.keys.suspended.lock().unwrap() = true;
    for _ in 0..30 {
        let refused = setting.present(&plain(1)).await;
        assert_eq!(refused, Err(ErrorCode::InsufficientPermissions));
    }
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::RateLimitExceeded));
}

#[actix_web::test]
async fn all_keys_of_an_account_share_its_plan_and_a_change_of_it_counts_within_the_recheck_time() {
    let setting = Setting::new();
    let mut second = row(&plain(2));
    second.account_id = setting.keys.rows.lock().unwrap()[0].account_id;
    setting.keys.rows.lock().unwrap().push(second);
    *setting.keys.plan.lock().unwrap() = Some(Plan::Free);
    for number in 0..30 {
        assert!(setting.present(&plain(1 + number % 2)).await.is_ok(), "{number}");
    }
    for key in [plain(1), plain(2)] {
        assert_eq!(setting.present(&key).await, Err(ErrorCode::RateLimitExceeded));
    }
    *setting.keys.plan.lock().unwrap() = Some(Plan::Starter);
    setting.clock.forward(499);
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::RateLimitExceeded));
    setting.clock.forward(1);
    for number in 0..30 {
        assert!(setting.present(&plain(1 + number % 2)).await.is_ok(), "{number}");
    }
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::RateLimitExceeded));
}

#[actix_web::test]
async fn what_a_key_may_not_do_does_not_count() {
    let setting = Setting::with(|config| {
        config.plans = actors::account::Plans::new(|plan| actors::account::PlanLimits {
            requests_per_minute: 1,
            ..config.plans.limits(plan)
        });
    });
    setting.keys.change(0, |row| row.scopes = vec![Scope::HealthRead]);
    for _ in 0..3 {
        let refused = setting.present(&plain(1)).await;
        assert_eq!(refused, Err(ErrorCode::InsufficientPermissions));
    }
    setting.keys.change(0, |row| row.scopes = Scope::ALL.to_vec());
    setting.clock.forward(500);
    assert!(setting.present(&plain(1)).await.is_ok());
    assert_eq!(setting.present(&plain(1)).await, Err(ErrorCode::RateLimitExceeded));
}
