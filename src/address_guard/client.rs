//! The HTTP client for addresses that somebody else has chosen.

use std::error::Error as _;
use std::io;

use reqwest::{ClientBuilder, redirect, retry};

use super::{GuardedResolver, Policy, Reason, ResolveProblem, UrlProblem};

/// Why there is no answer. The texts name no address: a name may have been made to lead into
/// our network to see what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    #[error("{0}")]
    Url(UrlProblem),
    #[error("the host leads to {0}")]
    Refused(Reason),
    #[error("the host could not be resolved")]
    Dns,
    #[error("the connection could not be made")]
    Connect,
    #[error("the TLS handshake failed")]
    Tls,
    #[error("there was no answer in time")]
    Timeout,
    #[error("the connection was closed, or the answer was not HTTP")]
    Broken,
}

/// A client that reaches what the policy allows and nothing else, and asks once.
///
/// Hosts that are addresses already have to be judged by
/// [`check_parsed`](super::check_parsed) before each request: the resolver is not asked about
/// them.
pub fn client_builder(policy: Policy) -> ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("babysea/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(GuardedResolver::new(policy))
        // A redirect or a proxy would connect to an address that was not judged.
        .redirect(redirect::Policy::none())
        .no_proxy()
        // Whether to ask again is the caller's business.
        .retry(retry::never())
        .referer(false)
}

impl CallFailure {
    /// Finds the meaning in a chain of causes, of which only some have a type to ask for.
    pub fn of(error: &reqwest::Error) -> Self {
        if !error.is_connect() {
            return Self::Broken;
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            match error.downcast_ref::<ResolveProblem>() {
                Some(ResolveProblem::Refused { reason, .. }) => return Self::Refused(*reason),
                Some(ResolveProblem::Timeout | ResolveProblem::NotFound(_)) => return Self::Dns,
                None => {}
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                // What the system says of a connection has a number; what comes without one was
                // made by the TLS layer, even where it wraps one that has.
                return if error.raw_os_error().is_some() { Self::Connect } else { Self::Tls };
            }
            cause = error.source();
        }
        Self::Connect
    }
}
