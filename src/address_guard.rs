//! Which outside addresses this server may be made to call.
//!
//! Customers name webhook endpoints and input files, and providers name outputs; none of them
//! may reach the inside of the network this server stands in. The text of a URL is judged by
//! [`check_url`] when it comes in. That is a courtesy to the caller: what protects is
//! [`GuardedResolver`] with [`check_parsed`], which judge the addresses of each connection when
//! it is made, since a name can mean another address by then.
//!
//! Everything is refused that is not known to be a public unicast address.

mod client;
mod ranges;
mod resolve;

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

pub use self::client::{CallFailure, client_builder};
pub use self::ranges::refuse;
pub use self::resolve::{GuardedResolver, ResolveProblem, resolve_checked};

/// Longest URL we keep and send; browsers and proxies begin to cut around here.
const URL_BYTES_MAX: usize = 2048;

/// Names that mean this machine, this network or a cloud's metadata service, with all names
/// below them. They are refused before anything asks the resolver for them, since a resolver
/// inside a cloud may answer with an address that looks harmless.
const LOCAL_NAMES: [&str; 14] = [
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "home.arpa",
    "metadata.goog",
    "metadata.azure.com",
    "metadata.packet.net",
    "metadata.tencentyun.com",
];

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// This machine.
    Loopback,
    /// A private network.
    Private,
    /// Only meaningful on one link.
    LinkLocal,
    /// A cloud's metadata service.
    Metadata,
    /// Many receivers.
    Multicast,
    /// Set aside for examples and measurements.
    Documentation,
    /// An IPv6 form that carries an IPv4 address past rules written for the latter.
    Translated,
    /// Not a public unicast address for another reason.
    Reserved,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a metadata service",
            Self::Multicast => "a multicast address",
            Self::Documentation => "an address for examples or tests",
            Self::Translated => "an IPv6 address that carries an IPv4 address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// What is acceptable in a given place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    allow_http: bool,
    allow_private: bool,
}

impl Policy {
    /// Where customers receive events: HTTPS on its own port.
    pub const WEBHOOK: Self = Self { allow_http: false, allow_private: false };
    /// What customers and providers let us fetch: HTTP too, each on its own port.
    pub const FILE: Self = Self { allow_http: true, allow_private: false };

    /// For development: also this machine and private networks, any port, and no TLS.
    pub fn or_private(self, allow: bool) -> Self {
        if allow { Self { allow_http: true, allow_private: true } } else { self }
    }

    /// Why this policy refuses an address, if it does.
    pub fn refuse(self, ip: IpAddr) -> Option<Reason> {
        refuse(ip).filter(|reason| {
            !(self.allow_private && matches!(reason, Reason::Loopback | Reason::Private))
        })
    }
}

/// Why a URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error("the URL contains a space, a control character or a backslash")]
    Characters,
    #[error("the URL cannot be read")]
    Malformed,
    #[error("the URL must start with https://")]
    Scheme,
    #[error("the URL must not contain a user name or a password")]
    UserInfo,
    #[error("the URL must not name a port other than the usual one")]
    Port,
    #[error("the URL must not contain a fragment")]
    Fragment,
    #[error("the host must be written in its usual form")]
    UnusualHost,
    #[error("the host is not a public name")]
    LocalName,
    #[error("the host is {0}")]
    Address(Reason),
}

/// Reads a URL that somebody else gave us, and refuses what we must not call.
///
/// Names are not resolved here; see [`resolve_checked`].
///
/// # Errors
/// The first [`UrlProblem`] found.
pub fn check_url(text: &str, policy: Policy) -> Result<Url, UrlProblem> {
    if text.len() > URL_BYTES_MAX {
        return Err(UrlProblem::TooLong);
    }
    // The parser drops tabs and newlines, trims spaces and reads a backslash as a slash: each is
    // a way to make two readers of one URL see two hosts.
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(UrlProblem::Characters);
    }
    let (scheme, rest) = text.split_once("://").ok_or(UrlProblem::Malformed)?;
    let scheme = scheme.to_ascii_lowercase();
    if !(scheme == "https" || scheme == "http") {
        return Err(UrlProblem::Scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(UrlProblem::UserInfo);
    }
    let url = Url::parse(text).map_err(|_| UrlProblem::Malformed)?;
    check_spelling(authority, &url)?;
    if url.fragment().is_some() {
        return Err(UrlProblem::Fragment);
    }
    check_parsed(&url, policy)?;
    Ok(url)
}

/// Refuses a URL whose name leads to what we must not call now, for whoever gives it to us to be
/// told (`spec/contract.md` 8.7). One that leads nowhere yet may be about to be set up; where it
/// leads is judged again with every connection.
///
/// # Errors
/// [`UrlProblem::Address`].
pub async fn check_resolved(url: &Url, policy: Policy) -> Result<(), UrlProblem> {
    let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
    match resolve_checked(name, 0, policy).await {
        Err(ResolveProblem::Refused { reason, .. }) => Err(UrlProblem::Address(reason)),
        Ok(_) | Err(ResolveProblem::Timeout | ResolveProblem::NotFound(_)) => Ok(()),
    }
}

/// Whether host and port mean what they look like.
///
/// The parser turns `0x7f.1`, `2130706433`, `127.1`, full-width digits and percent signs into
/// plain addresses and names, so the host as written must equal the host as read.
fn check_spelling(authority: &str, url: &Url) -> Result<(), UrlProblem> {
    let host = url.host_str().ok_or(UrlProblem::Malformed)?;
    let written = authority.to_ascii_lowercase();
    let port = written.strip_prefix(host).ok_or(UrlProblem::UnusualHost)?;
    if port.is_empty() {
        return Ok(());
    }
    let port = port.strip_prefix(':').ok_or(UrlProblem::UnusualHost)?;
    let canonical = url.port_or_known_default().map(|port| port.to_string());
    if canonical.as_deref() == Some(port) { Ok(()) } else { Err(UrlProblem::Port) }
}

/// Judges a URL that has been read already, before each use of it.
///
/// # Errors
/// The first [`UrlProblem`] found.
pub fn check_parsed(url: &Url, policy: Policy) -> Result<(), UrlProblem> {
    match url.scheme() {
        "https" => {}
        "http" if policy.allow_http => {}
        _ => return Err(UrlProblem::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlProblem::UserInfo);
    }
    // `port` is absent when the scheme's own is meant, written or not.
    let port_fits = if policy.allow_private { url.port() != Some(0) } else { url.port().is_none() };
    if !port_fits {
        return Err(UrlProblem::Port);
    }
    match url.host() {
        Some(Host::Domain(name)) => check_name(name, policy),
        Some(Host::Ipv4(ip)) => check_address(ip.into(), policy),
        Some(Host::Ipv6(ip)) => check_address(ip.into(), policy),
        None => Err(UrlProblem::Malformed),
    }
}

fn check_address(ip: IpAddr, policy: Policy) -> Result<(), UrlProblem> {
    policy.refuse(ip).map_or(Ok(()), |reason| Err(UrlProblem::Address(reason)))
}

fn check_name(name: &str, policy: Policy) -> Result<(), UrlProblem> {
    let well_formed = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // An empty last label is a trailing dot, which slips past lists of names.
    if name.len() > 253 || !name.split('.').all(well_formed) {
        return Err(UrlProblem::UnusualHost);
    }
    if policy.allow_private {
        return Ok(());
    }
    let below = |local: &str| {
        name.strip_suffix(local).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if !name.contains('.') || LOCAL_NAMES.into_iter().any(below) {
        return Err(UrlProblem::LocalName);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
