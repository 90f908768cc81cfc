//! Which key a presented text is.
//!
//! bcrypt is paid once per key and process: a verified key is remembered under a keyed hash of
//! its text, and its row is read again when it is older than `recheck`. So a revoke, a delete
//! or the end of a rotation takes effect within that time, on every server, without a message.

use std::sync::Arc;
use std::time::Duration;

use actors::account::Plan;
use actors::api_key::{ApiKey, Credential, PlainKey};
use actors::ports::{KeyStore, StoreError};
use chrono::{DateTime, Utc};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use providers::clock::Clock;
use tokio::sync::watch;

use super::bcrypt_pool::BcryptPool;
use super::bounded::Bounded;
use crate::secrets::PurposeKey;

/// How long a wrong key with an existing prefix is known to be wrong. It cannot become right:
/// keys are drawn at random. The bound is for what a client does with a wrong key, which is to
/// try again every few seconds.
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// Wrong keys remembered at once.
const REFUSED_MAX: usize = 10_000;

/// HMAC-SHA256 of a key's text. Keys have full entropy, so a fast hash is enough here; it is
/// keyed so that a dump of the memory cannot be checked against a list of leaked keys.
type Index = [u8; 32];

pub(super) struct Verifier {
    pub(super) keys: Arc<dyn KeyStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pepper: PurposeKey,
    pub(super) recheck: Duration,
    pub(super) pool: BcryptPool,
    pub(super) memory: Arc<Memory>,
}

/// What is known of keys that were presented.
pub(super) struct Memory {
    verified: Bounded<Index, Verified>,
    /// Until when.
    refused: Bounded<Index, DateTime<Utc>>,
    /// Verifications under way, so that a burst with one new key costs one bcrypt. Bounded by
    /// the pool's queue.
    flights: DashMap<Index, watch::Receiver<Option<Outcome>>>,
}

/// A verified key with what its account may do, and when they were read.
#[derive(Clone)]
struct Verified {
    row: Arc<ApiKey>,
    plan: Plan,
    suspended: bool,
    read_at: DateTime<Utc>,
}

impl Verified {
    fn of(found: Credential, read_at: DateTime<Utc>) -> Self {
        let Credential { key, plan, suspended } = found;
        Self { row: Arc::new(key), plan, suspended, read_at }
    }

    fn recognized(self, cached: bool) -> Recognized {
        let Self { row, plan, suspended, read_at: _ } = self;
        Recognized { row, plan, suspended, cached }
    }
}

/// What a verification found.
type Outcome = Option<Verified>;

/// A key, and what it took to recognize it.
pub(super) struct Recognized {
    pub(super) row: Arc<ApiKey>,
    /// What its account is entitled to.
    pub(super) plan: Plan,
    /// Whether it may do nothing at present.
    pub(super) suspended: bool,
    /// Whether it was known.
    pub(super) cached: bool,
}

/// Why a text is no key.
#[derive(Debug)]
pub(super) enum NotVerified {
    /// There is none like it.
    Unknown,
    /// Too many are being checked.
    Busy,
    Store(StoreError),
}

impl From<StoreError> for NotVerified {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Memory {
    pub(super) fn new(verified_max: usize) -> Arc<Self> {
        Arc::new(Self {
            verified: Bounded::new(verified_max),
            refused: Bounded::new(REFUSED_MAX),
            flights: DashMap::new(),
        })
    }

    /// Remembers, looks up and forgets an entry that belongs to no key.
    pub(super) fn probe(&self, now: DateTime<Utc>) -> bool {
        let nobody: Index = rand::random();
        self.refused.insert(nobody, now);
        let found = self.refused.read(&nobody, |until| *until == now);
        self.refused.remove(&nobody);
        found == Some(true) && self.refused.read(&nobody, |_| ()).is_none()
    }

    fn known(&self, index: &Index) -> Option<Verified> {
        self.verified.read(index, Verified::clone)
    }

    fn is_refused(&self, index: &Index, now: DateTime<Utc>) -> bool {
        self.refused.read(index, |until| now < *until) == Some(true)
    }
}

impl Verifier {
    /// The row of a key that was verified before, as it was read last.
    pub(super) fn known(&self, text: &str) -> Option<Arc<ApiKey>> {
        let key = PlainKey::parse(text)?;
        let known = self.memory.known(&self.pepper.mac(key.expose().as_bytes()))?;
        Some(known.row)
    }

    /// Finds the key; its lifecycle is not looked at.
    pub(super) async fn recognize(&self, key: PlainKey) -> Result<Recognized, NotVerified> {
        let index = self.pepper.mac(key.expose().as_bytes());
        if let Some(known) = self.memory.known(&index)
            && let Some(known) = self.freshen(index, known).await?
        {
            return Ok(known.recognized(true));
        }
        let now = self.clock.now();
        if self.memory.is_refused(&index, now) {
            return Err(NotVerified::Unknown);
        }
        let candidates = self.keys.list_keys_by_prefix_any_account(key.prefix()).await?;
        if candidates.is_empty() {
            // Answered without a bcrypt, so the time tells that no key has this prefix. That
            // is of no use: the prefix is shown in dashboards, and the 27 random characters
            // behind it cannot be guessed. A hash for show would let anybody who can compute
            // a checksum keep the pool busy.
            return Err(NotVerified::Unknown);
        }
        let verified = self.verify(index, key, candidates, now).await?;
        let verified = verified.ok_or(NotVerified::Unknown)?;
        // The queue may have been long.
        let fresh = self.freshen(index, verified).await?.ok_or(NotVerified::Unknown)?;
        Ok(fresh.recognized(false))
    }

    /// A verified key as it was at most `recheck` ago, or `None` when it is gone.
    async fn freshen(&self, index: Index, known: Verified) -> Result<Option<Verified>, StoreError> {
        let now = self.clock.now();
        // Compared both ways: a clock set back must not make a row good for ever.
        if known.read_at <= now && now < known.read_at + self.recheck {
            return Ok(Some(known));
        }
        match self.keys.find_key_any_account(known.row.id).await? {
            Some(found) if found.key.hash == known.row.hash => {
                let verified = Verified::of(found, now);
                self.memory.verified.insert(index, verified.clone());
                Ok(Some(verified))
            }
            Some(_) | None => {
                self.memory.verified.remove(&index);
                Ok(None)
            }
        }
    }

    /// Runs bcrypt, or waits for who runs it already for this very key. Goes on when the
    /// caller goes away.
    async fn verify(
        &self,
        index: Index,
        key: PlainKey,
        candidates: Vec<Credential>,
        read_at: DateTime<Utc>,
    ) -> Result<Outcome, NotVerified> {
        let mut outcome = match self.memory.flights.entry(index) {
            Entry::Occupied(flight) => flight.get().clone(),
            Entry::Vacant(place) => {
                // A flight leaves what it found before it ends, so it is seen either way.
                if let Some(known) = self.memory.known(&index) {
                    return Ok(Some(known));
                }
                if self.memory.is_refused(&index, read_at) {
                    return Ok(None);
                }
                let (sender, receiver) = watch::channel(None);
                let memory = Arc::clone(&self.memory);
                let job = move || fly(&memory, index, &key, candidates, read_at, &sender);
                self.pool.try_run(job).map_err(|_| NotVerified::Busy)?;
                place.insert(receiver).clone()
            }
        };
        // Fails when the thread panicked or the server stops: neither says anything of the key.
        let found = outcome.wait_for(Option::is_some).await.map_err(|_| NotVerified::Busy)?;
        Ok(found.clone().flatten())
    }
}

/// One verification, on a thread of the pool.
fn fly(
    memory: &Memory,
    index: Index,
    key: &PlainKey,
    candidates: Vec<Credential>,
    read_at: DateTime<Utc>,
    sender: &watch::Sender<Option<Outcome>>,
) {
    /// Ends the flight also when it panics.
    struct Landing<'a>(&'a Memory, Index);
    impl Drop for Landing<'_> {
        fn drop(&mut self) {
            self.0.flights.remove(&self.1);
        }
    }
    let landing = Landing(memory, index);
    let outcome = candidates
        .into_iter()
        .find(|candidate| matches(key, &candidate.key))
        .map(|found| Verified::of(found, read_at));
    match &outcome {
        Some(verified) => memory.verified.insert(index, verified.clone()),
        None => memory.refused.insert(index, read_at + REFUSED_FOR),
    }
    drop(landing);
    sender.send_replace(Some(outcome));
}

fn matches(key: &PlainKey, row: &ApiKey) -> bool {
    bcrypt::non_truncating_verify(key.expose(), &row.hash).unwrap_or_else(|error| {
        tracing::error!(key = %row.id, %error, "the stored hash of an API key cannot be read");
        false
    })
}
