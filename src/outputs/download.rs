//! Fetching what providers name as the result, as carefully as what anybody else names
//! (`spec/faults.md` B5): a provider that is broken into, or echoes a customer's text, must not
//! lead us into our own network.

use std::collections::HashSet;
use std::time::Duration;

use actors::ports::TakeOverError;
use bytes::Bytes;
use reqwest::header::LOCATION;
use reqwest::{Response, redirect, retry};
use tokio::time::timeout;
use url::{Origin, Url};

use crate::address_guard::{Policy, check_url, client_builder};

/// How long a server may take to begin, and from piece to piece: less is a dead connection.
const PIECE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Stores redirect to where a file really is, once; each step is judged like the first.
const REDIRECTS_MAX: usize = 3;

/// Fetches outputs.
#[derive(Debug, Clone)]
pub struct Downloads {
    guarded: reqwest::Client,
    plain: reqwest::Client,
    policy: Policy,
    trusted: HashSet<Origin>,
    bytes_max: u64,
}

/// A file that is arriving.
#[derive(Debug)]
pub struct Download {
    response: Response,
    read: u64,
    bytes_max: u64,
}

impl Downloads {
    /// `trusted` are servers that an operator has named as a provider's: they may be anywhere,
    /// also in a private network. `bytes_max` is the largest file.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(
        policy: Policy,
        trusted: impl IntoIterator<Item = Url>,
        bytes_max: u64,
    ) -> Result<Self, reqwest::Error> {
        let guarded = client_builder(policy).connect_timeout(CONNECT_TIMEOUT).build()?;
        let plain = reqwest::Client::builder()
            .user_agent(concat!("babysea/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .retry(retry::never())
            .referer(false)
            .build()?;
        let trusted = trusted.into_iter().map(|url| url.origin()).collect();
        Ok(Self { guarded, plain, policy, trusted, bytes_max })
    }

    /// Asks for a file, without a credential.
    pub(crate) async fn begin(&self, url: &Url) -> Result<Download, TakeOverError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.ask(&url).await?;
            if response.status().is_redirection() {
                url = target(&url, &response)?;
                continue;
            }
            return self.accept(response);
        }
        Err(refused("The output's address leads from one to the next."))
    }

    async fn ask(&self, url: &Url) -> Result<Response, TakeOverError> {
        let client = if self.trusted.contains(&url.origin()) {
            &self.plain
        } else {
            // The resolver is not asked about hosts that are addresses already.
            check_url(url.as_str(), self.policy).map_err(|problem| {
                tracing::warn!(%problem, "a provider named an output that must not be fetched");
                refused("The output is at an address that must not be called.")
            })?;
            &self.guarded
        };
        match timeout(PIECE_TIMEOUT, client.get(url.clone()).send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                // The error holds the address, and the address is a credential for the file.
                let error = error.without_url();
                tracing::debug!(%error, "an output could not be fetched");
                Err(unavailable())
            }
            Err(_) => Err(unavailable()),
        }
    }

    fn accept(&self, response: Response) -> Result<Download, TakeOverError> {
        match response.status().as_u16() {
            200 => {}
            401 | 403 | 404 | 410 => {
                return Err(refused("The output is not at the provider any more."));
            }
            _ => return Err(unavailable()),
        }
        if response.content_length().is_some_and(|length| length > self.bytes_max) {
            return Err(too_large());
        }
        Ok(Download { response, read: 0, bytes_max: self.bytes_max })
    }
}

impl Download {
    /// The next piece; `None` at the end, which is where it was said to be.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, TakeOverError> {
        let piece = match timeout(PIECE_TIMEOUT, self.response.chunk()).await {
            Ok(Ok(piece)) => piece,
            Ok(Err(_)) | Err(_) => return Err(unavailable()),
        };
        self.read += piece.as_ref().map_or(0, Bytes::len) as u64;
        if self.read > self.bytes_max {
            return Err(too_large());
        }
        Ok(piece)
    }

    /// How many bytes have arrived.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }
}

fn target(from: &Url, response: &Response) -> Result<Url, TakeOverError> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok());
    target.ok_or_else(|| refused("The output's address leads nowhere."))
}

fn refused(reason: &str) -> TakeOverError {
    TakeOverError::Refused(reason.to_owned())
}

fn unavailable() -> TakeOverError {
    TakeOverError::Unavailable("The output could not be fetched from the provider.".to_owned())
}

fn too_large() -> TakeOverError {
    refused("The output is larger than this server accepts.")
}
