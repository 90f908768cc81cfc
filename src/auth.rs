//! Who calls, and what they may do.
//!
//! The checks run in the order of `spec/contract.md` 4.1: bearer, failures of this address,
//! the key itself, its lifecycle, its allowlist, its scope; then its account's requests are
//! counted. A handler states the scope that it
//! needs in its signature, as [`Authorized<S>`], and cannot run without it.

mod bcrypt_pool;
mod bounded;
mod failures;
mod last_used;
pub mod session;
pub mod throttle;
mod verifier;

use std::cell::OnceCell;
use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web};
use actors::account::Plan;
use actors::api_key::{ApiKey, KeyStatus, PlainKey, Scope};
use actors::ports::{KeyStore, StoreError};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use providers::clock::Clock;
use serde_json::json;
use tokio::sync::oneshot;

use self::bcrypt_pool::BcryptPool;
use self::failures::{Blocked, Failures, client_of};
use self::last_used::LastUsed;
use self::verifier::{Memory, NotVerified, Recognized, Verifier};
use crate::config::{AuthConfig, TrustedProxies};
use crate::error::{ApiError, ErrorCode};
use crate::metrics::{AuthMetrics, AuthOutcome};
use crate::rate_limit::{RateLimits, TakenRequest, X_LIMIT, X_REMAINING, X_RESET};
use crate::secrets::PurposeKey;

/// What every `Authorization` header begins with.
const BEARER: &str = "Bearer bye_";
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Checks keys, and remembers what it takes to do so fast. One per process.
pub struct Auth {
    clock: Arc<dyn Clock>,
    region: String,
    proxies: TrustedProxies,
    failures: Failures,
    verifier: Verifier,
    last_used: LastUsed,
    limits: Arc<RateLimits>,
    metrics: AuthMetrics,
}

/// Too much is being hashed; nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much is being hashed")]
pub struct Busy;

/// What [`Auth`] is made of.
pub struct AuthParts<'a> {
    pub keys: Arc<dyn KeyStore>,
    pub limits: Arc<RateLimits>,
    pub clock: Arc<dyn Clock>,
    /// `Purpose::KeyCache`.
    pub pepper: PurposeKey,
    pub config: &'a AuthConfig,
    /// That of this server: keys of another one are refused.
    pub region: String,
    pub proxies: TrustedProxies,
    pub metrics: AuthMetrics,
}

impl Auth {
    /// Starts the bcrypt threads, which end when this is dropped.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(parts: AuthParts<'_>) -> io::Result<Self> {
        let AuthParts { keys, limits, clock, pepper, config, region, proxies, metrics } = parts;
        let (waiting, taken) = (metrics.bcrypt_waiting.clone(), metrics.bcrypt_taken.clone());
        let (threads, queue_max) = (config.bcrypt_threads, config.bcrypt_queue_max);
        let pool = BcryptPool::start(threads, queue_max, waiting, taken)?;
        Ok(Self {
            clock: Arc::clone(&clock),
            region,
            proxies,
            failures: Failures::new(config.failures_per_minute),
            last_used: LastUsed::new(Arc::clone(&keys), config.cache_max),
            verifier: Verifier {
                keys,
                clock,
                pepper,
                recheck: config.recheck,
                pool,
                memory: Memory::new(config.cache_max),
            },
            limits,
            metrics,
        })
    }

    /// The buckets that requests are counted in.
    pub fn limits(&self) -> &RateLimits {
        &self.limits
    }

    /// Writes when keys were last used; to be called about once a second, and at the end.
    ///
    /// # Errors
    /// They could not be written, and will be the next time.
    pub async fn flush_last_used(&self) -> Result<(), StoreError> {
        self.last_used.flush().await
    }

    /// Runs something that takes tens of milliseconds of a core on the threads for that.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (done, answer) = oneshot::channel();
        // A caller that has gone away does not need its answer.
        let job = move || drop(done.send(job()));
        self.verifier.pool.try_run(job).map_err(|_| Busy)?;
        answer.await.map_err(|_| Busy)
    }

    /// Whether what is remembered of keys can be written and read.
    pub fn probe_cache(&self) -> bool {
        self.verifier.memory.probe(self.clock.now())
    }

    /// Finds out whose request it is. `authorization` is the header as sent.
    ///
    /// # Errors
    /// What the client is to be told.
    pub async fn authenticate(
        &self,
        authorization: Option<&str>,
        client: IpAddr,
    ) -> Result<Caller, ApiError> {
        let Some(text) = authorization.and_then(bearer) else {
            return Err(self.refuse(AuthOutcome::Missing, ErrorCode::AuthenticationRequired));
        };
        // Before any work that a key could cause (`spec/contract.md` 4.1). A key that is known
        // causes none: whoever guesses from the same address must not lock its users out.
        if let Some(blocked) = self.failures.blocked(client_of(client), self.clock.now())
            && !self.verifier.known(text).is_some_and(|key| self.is_good(&key))
        {
            return Err(self.too_many(blocked));
        }
        let (found, outcome) = self.identify(text, client).await?;
        let at = self.clock.now();
        if !self.is_good(&found.row) {
            return Err(self.fail(client));
        }
        let status = found.row.status(at);
        let Recognized { row: key, plan, suspended, .. } = found;
        Ok(Caller { key, plan, suspended, status, client, at, outcome })
    }

    fn is_good(&self, key: &ApiKey) -> bool {
        key.status(self.clock.now()).authenticates() && key.works_in(&self.region)
    }

    /// Whether the caller may do what needs this scope, from where it calls and now.
    ///
    /// # Errors
    /// What the client is to be told.
    pub fn admit(&self, caller: &Caller, scope: Scope) -> Result<TakenRequest, ApiError> {
        if !caller.key.allows(caller.client) {
            return Err(self.refuse(AuthOutcome::IpNotAllowed, ErrorCode::IpNotAllowed));
        }
        if !caller.key.scopes.contains(&scope) {
            return Err(self.refuse(AuthOutcome::NoScope, ErrorCode::InsufficientPermissions));
        }
        if caller.suspended {
            // What is refused is logged, and so has its limit.
            self.limits.take_request(caller.key.account_id, caller.plan, caller.at)?;
            let refused = self.refuse(AuthOutcome::Suspended, ErrorCode::InsufficientPermissions);
            return Err(refused.details(json!({ "reason": "The account is suspended." })));
        }
        self.last_used.note(caller.key.id, caller.at);
        self.metrics.count(caller.outcome);
        Ok(self.limits.take_request(caller.key.account_id, caller.plan, caller.at)?)
    }

    async fn identify(
        &self,
        text: &str,
        client: IpAddr,
    ) -> Result<(Recognized, AuthOutcome), ApiError> {
        // A typing mistake costs no look-up and no bcrypt (`spec/faults.md` B9).
        let Some(key) = PlainKey::parse(text) else { return Err(self.fail(client)) };
        match self.verifier.recognize(key).await {
            Ok(found) if found.cached => Ok((found, AuthOutcome::Cached)),
            Ok(found) => Ok((found, AuthOutcome::Verified)),
            Err(NotVerified::Unknown) => Err(self.fail(client)),
            Err(NotVerified::Busy) => {
                self.metrics.count(AuthOutcome::Busy);
                Err(ApiError::busy())
            }
            Err(NotVerified::Store(error)) => {
                self.metrics.count(AuthOutcome::Error);
                Err(error.into())
            }
        }
    }

    /// One answer for every key that is not good, so that nobody learns what is wrong with it.
    fn fail(&self, client: IpAddr) -> ApiError {
        self.failures.record(client_of(client), self.clock.now());
        self.refuse(AuthOutcome::Failed, ErrorCode::AuthenticationFailed)
    }

    fn refuse(&self, outcome: AuthOutcome, code: ErrorCode) -> ApiError {
        self.metrics.count(outcome);
        ApiError::new(code)
    }

    fn too_many(&self, blocked: Blocked) -> ApiError {
        self.refuse(AuthOutcome::Limited, ErrorCode::AuthRateLimited)
            .retry_after(blocked.retry_after)
            .header(X_LIMIT, blocked.limit)
            .header(X_REMAINING, 0)
            .header(X_RESET, blocked.reset)
    }

    /// The address of the client: of the peer, unless that is one of our proxies
    /// (`spec/faults.md` B12).
    pub fn client(&self, request: &HttpRequest) -> IpAddr {
        // Only a test without a connection has no peer.
        let peer = request.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip());
        let forwarded: Vec<&str> = request
            .headers()
            .get_all(FORWARDED_FOR)
            .map(|value| value.to_str().unwrap_or("not text"))
            .collect();
        self.proxies.client(peer, forwarded.into_iter())
    }
}

/// The key in a header; its form is not looked at yet.
fn bearer(header: &str) -> Option<&str> {
    header.starts_with(BEARER).then(|| &header["Bearer ".len()..])
}

/// Whose request it is: a good key, of which nobody has asked yet what it may do.
#[derive(Debug, Clone)]
pub struct Caller {
    pub key: Arc<ApiKey>,
    pub plan: Plan,
    /// Whether the account may do nothing at present.
    pub suspended: bool,
    /// Active or rotated.
    pub status: KeyStatus,
    /// From where it calls.
    pub client: IpAddr,
    /// When it was recognized.
    pub at: DateTime<Utc>,
    outcome: AuthOutcome,
}

/// Where it is left, for what follows the answer, who called, and on which route. One for each
/// request, in its extensions; stays empty when nobody was recognized.
#[derive(Debug, Clone, Default)]
pub struct Identified(Rc<OnceCell<(Caller, String)>>);

impl Identified {
    /// The caller and the template of the route.
    pub fn get(&self) -> Option<&(Caller, String)> {
        self.0.get()
    }

    fn note(request: &HttpRequest, caller: &Caller) {
        if let Some(identified) = request.extensions().get::<Self>() {
            let route = request.match_pattern().unwrap_or_default();
            // A handler with two of these would identify the same caller twice.
            let _ = identified.0.set((caller.clone(), route));
        }
    }
}

/// A request whose key carries the scope `S`, and which was counted.
#[derive(Debug)]
pub struct Authorized<S> {
    pub key: Arc<ApiKey>,
    /// That of its account.
    pub plan: Plan,
    /// When the checks were passed; also the last use of the key.
    pub at: DateTime<Utc>,
    /// What counting it took.
    pub taken: TakenRequest,
    scope: PhantomData<S>,
}

/// A scope as a type, for [`Authorized`].
pub trait RequiredScope: 'static {
    const SCOPE: Scope;
}

macro_rules! scopes {
    ($($name:ident)*) => {
        $(
            #[derive(Debug)]
            pub struct $name;
            impl RequiredScope for $name {
                const SCOPE: Scope = Scope::$name;
            }
        )*
    };
}
scopes!(GenerationWrite GenerationRead GenerationDelete AccountRead HealthRead LibraryRead);

impl<S: RequiredScope> FromRequest for Authorized<S> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let auth = request
                .app_data::<web::Data<Auth>>()
                .ok_or_else(|| ApiError::internal("the server was wired without Auth"))?;
            let header = request.headers().get(AUTHORIZATION).and_then(|it| it.to_str().ok());
            let client = auth.client(&request);
            let caller = auth.authenticate(header, client).await?;
            Identified::note(&request, &caller);
            let taken = auth.admit(&caller, S::SCOPE)?;
            let Caller { key, plan, at, .. } = caller;
            Ok(Self { key, plan, at, taken, scope: PhantomData })
        }
        .boxed_local()
    }
}

#[cfg(test)]
pub(crate) mod fakes;
#[cfg(test)]
mod tests;
