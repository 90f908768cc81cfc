//! From names to addresses that may be called.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use dashmap::DashSet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::{Policy, Reason};

/// Long enough for a resolver that asks upstream once more, short against every time limit
/// that it is a part of.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// A look-up occupies a thread until the system's resolver gives up, which may be long after
/// we have. Names that customers choose must not take the threads that files are written with,
/// of which tokio has 512.
static LOOK_UPS: Semaphore = Semaphore::const_new(128);

/// Names whose last look-up took longer than that. They wait for each other, so that a few whose
/// servers are gone do not keep all others from being looked up.
static SLOW_NAMES: LazyLock<DashSet<String>> = LazyLock::new(DashSet::new);
static SLOW_LOOK_UPS: Semaphore = Semaphore::const_new(32);
/// More than this, and the others are taken for quick.
const SLOW_NAMES_MAX: usize = 10_000;

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum ResolveProblem {
    #[error("the name did not resolve in time")]
    Timeout,
    #[error("the name has no address")]
    NotFound(#[source] Option<io::Error>),
    #[error("the name leads to {address}, {reason}")]
    Refused { address: IpAddr, reason: Reason },
}

/// Looks a name up and judges what it means now.
///
/// One refused address refuses the name: a mixture is what an attack looks like, and nobody
/// can say which of the addresses would be taken.
///
/// # Errors
/// See [`ResolveProblem`].
pub async fn resolve_checked(
    host: &str,
    port: u16,
    policy: Policy,
) -> Result<Vec<SocketAddr>, ResolveProblem> {
    let end = Instant::now() + LOOK_UP_TIMEOUT;
    let look_ups = if SLOW_NAMES.contains(host) { &SLOW_LOOK_UPS } else { &LOOK_UPS };
    let permit = timeout_at(end, look_ups.acquire()).await.map_err(|_| ResolveProblem::Timeout)?;
    let permit = permit.expect("the semaphore is never closed");
    let name = host.to_owned();
    let look_up = spawn_blocking(move || {
        let _permit = permit;
        (name.as_str(), port).to_socket_addrs().map(Vec::from_iter)
    });
    let Ok(resolved) = timeout_at(end, look_up).await else {
        if SLOW_NAMES.len() < SLOW_NAMES_MAX {
            SLOW_NAMES.insert(host.to_owned());
        }
        return Err(ResolveProblem::Timeout);
    };
    SLOW_NAMES.remove(host);
    let addresses = resolved.unwrap_or_else(|error| Err(io::Error::other(error)));
    judge(addresses.map_err(|error| ResolveProblem::NotFound(Some(error)))?, policy)
}

pub(super) fn judge(
    addresses: Vec<SocketAddr>,
    policy: Policy,
) -> Result<Vec<SocketAddr>, ResolveProblem> {
    if addresses.is_empty() {
        return Err(ResolveProblem::NotFound(None));
    }
    for address in addresses.iter().map(SocketAddr::ip) {
        if let Some(reason) = policy.refuse(address) {
            return Err(ResolveProblem::Refused { address, reason });
        }
    }
    Ok(addresses)
}

/// The guard as a resolver for HTTP clients: what it answers is what they connect to, so there
/// is no time between check and use for a name to change its meaning.
///
/// A client asks it for names only. Hosts that are addresses have to be judged by
/// [`check_parsed`](super::check_parsed) before each request, and redirects must be off.
#[derive(Debug, Clone)]
pub struct GuardedResolver {
    policy: Policy,
}

impl GuardedResolver {
    pub fn new(policy: Policy) -> Arc<Self> {
        Arc::new(Self { policy })
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy;
        Box::pin(async move {
            // Port 0 lets the client put the URL's port in its place.
            let addresses = resolve_checked(name.as_str(), 0, policy).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
