//! A clock and keys for tests.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use actors::account::Plan;
use actors::activity::By;
use actors::api_key::{Credential, PREFIX_LENGTH, Rotated, Rotation};
use actors::id::{AccountId, ApiKeyId};
use actors::money::Credits;
use actors::ports::KeyRefusal;
use actors::spending::Spending;
use async_trait::async_trait;
use chrono::TimeDelta;
use secrecy::SecretString;
use uuid::Uuid;

use super::*;
use crate::config::{Config, Overrides};
use crate::rate_limit::RateLimits;
use crate::secrets::{MasterKey, Purpose};

/// A time that a test moves.
pub(crate) struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(DateTime::from_timestamp(1_780_388_110, 802_000_000).unwrap())))
    }

    pub(crate) fn forward(&self, milliseconds: i64) {
        *self.0.lock().unwrap() += TimeDelta::milliseconds(milliseconds);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// Keys in memory, and how often they were asked for.
#[derive(Default)]
pub(crate) struct FakeKeys {
    pub(crate) rows: Mutex<Vec<ApiKey>>,
    /// Of every account; none is enterprise.
    pub(crate) plan: Mutex<Option<Plan>>,
    /// Every account.
    pub(crate) suspended: Mutex<bool>,
    pub(crate) look_ups: AtomicUsize,
    pub(crate) reads: AtomicUsize,
    pub(crate) touched: Mutex<Vec<(ApiKeyId, DateTime<Utc>)>>,
    pub(crate) broken: Mutex<bool>,
}

impl FakeKeys {
    /// Changes the only row, or the row of that number.
    pub(crate) fn change(&self, number: usize, change: impl FnOnce(&mut ApiKey)) {
        change(&mut self.rows.lock().unwrap()[number]);
    }

    fn credential(&self, key: &ApiKey) -> Credential {
        let plan = self.plan.lock().unwrap().unwrap_or(Plan::Enterprise);
        Credential { key: key.clone(), plan, suspended: *self.suspended.lock().unwrap() }
    }

    fn check(&self) -> Result<(), StoreError> {
        match *self.broken.lock().unwrap() {
            true => Err(StoreError::Database("the disk is on fire".into())),
            false => Ok(()),
        }
    }
}

/// A key whose every random character is drawn the same.
pub(crate) fn plain(draw: u8) -> PlainKey {
    PlainKey::from_draws([draw; 32])
}

/// The header that presents a key.
pub(crate) fn bearer_of(key: &PlainKey) -> String {
    format!("Bearer {}", key.expose())
}

/// A row for a key, with all scopes; its hash is the cheapest there is.
pub(crate) fn row(key: &PlainKey) -> ApiKey {
    ApiKey {
        account_id: AccountId(Uuid::from_u128(0xacc)),
        id: ApiKeyId(Uuid::from_u128(u128::from(key.expose().as_bytes()[10]))),
        name: "render farm".to_owned(),
        prefix: key.expose()[..PREFIX_LENGTH].to_owned(),
        hash: bcrypt::non_truncating_hash(key.expose(), 4).unwrap(),
        scopes: Scope::ALL.to_vec(),
        allowed_ips: Vec::<IpAddr>::new(),
        region: Some("us".to_owned()),
        created_at: DateTime::from_timestamp(1_779_271_200, 0).unwrap(),
        expires_at: None,
        rotated_at: None,
        revoked_at: None,
        last_used_at: None,
        spending: Spending::default(),
    }
}

#[async_trait]
impl KeyStore for FakeKeys {
    async fn list_keys_by_prefix_any_account(
        &self,
        prefix: &str,
    ) -> Result<Vec<Credential>, StoreError> {
        self.look_ups.fetch_add(1, Ordering::Relaxed);
        self.check()?;
        let rows = self.rows.lock().unwrap();
        let found = rows.iter().filter(|row| row.prefix == prefix);
        Ok(found.map(|row| self.credential(row)).collect())
    }

    async fn find_key_any_account(&self, id: ApiKeyId) -> Result<Option<Credential>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.check()?;
        let rows = self.rows.lock().unwrap();
        Ok(rows.iter().find(|row| row.id == id).map(|row| self.credential(row)))
    }

    async fn touch_keys(&self, used: Vec<(ApiKeyId, DateTime<Utc>)>) -> Result<(), StoreError> {
        self.check()?;
        self.touched.lock().unwrap().extend(used);
        Ok(())
    }

    async fn create_key(
        &self,
        _: ApiKey,
        _: u32,
        _: By,
    ) -> Result<Result<(), KeyRefusal>, StoreError> {
        unreachable!("authentication makes no keys")
    }

    async fn list_keys(&self, _: AccountId) -> Result<Vec<ApiKey>, StoreError> {
        unreachable!("authentication lists no accounts")
    }

    async fn rotate_key(
        &self,
        _: AccountId,
        _: ApiKeyId,
        _: Rotation,
        _: By,
    ) -> Result<Result<Rotated, KeyRefusal>, StoreError> {
        unreachable!("authentication rotates no keys")
    }

    async fn revoke_key(&self, _: AccountId, _: ApiKeyId, _: By) -> Result<bool, StoreError> {
        unreachable!("authentication revokes no keys")
    }

    async fn limit_key(
        &self,
        _: AccountId,
        _: ApiKeyId,
        _: Option<Credits>,
    ) -> Result<bool, StoreError> {
        unreachable!("nobody sets limits here")
    }

    async fn delete_key(&self, _: AccountId, _: ApiKeyId, _: By) -> Result<bool, StoreError> {
        unreachable!("authentication deletes no keys")
    }
}

/// Default settings, with one thread for bcrypt.
pub(crate) fn config() -> Config {
    let mut config = Config::load(None, &Overrides::default()).unwrap();
    config.secrets.master_key = Some(SecretString::from("5".repeat(64)));
    config.auth.bcrypt_threads = 1;
    config
}

/// The key for a purpose that goes with [`config`].
pub(crate) fn purpose_key(purpose: Purpose) -> PurposeKey {
    MasterKey::load(&config()).unwrap().derive(purpose)
}

pub(crate) fn auth(keys: &Arc<FakeKeys>, clock: &Arc<ManualClock>, config: &Config) -> Auth {
    Auth::start(AuthParts {
        limits: Arc::new(RateLimits::new(config.plans)),
        keys: Arc::clone(keys) as _,
        clock: Arc::clone(clock) as _,
        pepper: purpose_key(Purpose::KeyCache),
        config: &config.auth,
        region: config.server.region.clone(),
        proxies: config.server.trusted_proxies.clone(),
        metrics: AuthMetrics::default(),
    })
    .unwrap()
}
