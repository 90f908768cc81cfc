//! The files that a request names: fetched and looked at before anything is reserved.
//!
//! What is wrong with them is told while it costs nothing (`spec/contract.md` 7.8). It binds
//! nobody: a provider fetches the same address again, and may be given another file.
//!
//! Strangers choose what is asked here, so everything has a bound: where a connection may lead,
//! its bytes, its time, how many files are in memory, how many of one account, and what
//! decoding may take.

mod decoding;
mod download;
mod picture;
mod room;

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use actors::id::AccountId;
use actors::input::Input;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::decoding::Decoding;
use self::download::Download;
pub use self::picture::Side;
use self::room::Room;
use crate::address_guard::{CallFailure, Policy, UrlProblem};
use crate::config::InputFilesConfig;

/// Checks input files. One per process: the bounds are over all requests.
pub struct InputFiles {
    download: Download,
    decoding: Decoding,
    room: Room,
    timeout: Duration,
}

/// Why the files of a request cannot be taken.
#[derive(Debug)]
pub enum Refusal {
    /// Something is wrong with these; never empty, in the order of the request.
    Unfit(Vec<Unfit>),
    /// Too many files were being checked. Says nothing about these.
    Busy,
}

/// A file that cannot be taken, with its place in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The public field name.
    pub field: &'static str,
    /// Which item, in a field that is a list.
    pub index: Option<usize>,
    pub fault: Fault,
}

/// What is wrong with a file. The texts go to whoever sent the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{0}")]
    Url(UrlProblem),
    /// Also when there is no such name: what a name means inside our network is nothing to tell.
    #[error("the host has no public address")]
    NotPublic,
    #[error("{0}")]
    Call(CallFailure),
    #[error("the server answered with a redirect, which is not followed")]
    Redirect,
    #[error("the server answered with status {0}")]
    Status(u16),
    #[error("the file is larger than {max} bytes")]
    Bytes { max: usize },
    #[error("the file is not a JPEG, PNG or WebP image")]
    Format,
    #[error("the image is damaged or not complete")]
    Undecodable,
    #[error("decoding the image takes more memory than there is for it")]
    Memory,
    #[error("the {side} is {pixels} pixels; the minimum is {min}")]
    TooSmall { side: Side, pixels: u32, min: u32 },
    #[error("the {side} is {pixels} pixels; the maximum is {max}")]
    TooLarge { side: Side, pixels: u32, max: u32 },
}

impl From<CallFailure> for Fault {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Url(problem) => Self::Url(problem),
            CallFailure::Refused(_) | CallFailure::Dns => Self::NotPublic,
            CallFailure::Connect
            | CallFailure::Tls
            | CallFailure::Timeout
            | CallFailure::Broken => Self::Call(failure),
        }
    }
}

/// How the check of one file ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Fault(Fault),
    Busy,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Why input files cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    #[error("cannot make an HTTP client")]
    Client(#[from] reqwest::Error),
    #[error("cannot start the threads that decode input files")]
    Threads(#[from] io::Error),
}

impl InputFiles {
    /// # Errors
    /// [`NotStarted`].
    pub fn new(config: &InputFilesConfig, policy: Policy) -> Result<Self, NotStarted> {
        Ok(Self {
            download: Download::new(policy, config.bytes_max)?,
            decoding: Decoding::new(config)?,
            room: Room::new(config.in_flight_max, config.in_flight_max_per_account),
            timeout: config.timeout,
        })
    }

    /// Fetches all files of a request at once, each address once, and looks at them.
    ///
    /// # Errors
    /// [`Refusal`]. When some files are unfit, that is said even if for others there was no room.
    pub async fn check(&self, account_id: AccountId, input: &Input) -> Result<(), Refusal> {
        let named = named(input);
        // One deadline for all: whoever sent the request is waiting for its answer.
        let deadline = Instant::now() + self.timeout;
        let mut urls: Vec<&Url> = named.iter().map(|(.., url)| *url).collect();
        urls.sort_unstable();
        urls.dedup();
        let checks = urls.iter().map(|url| self.check_one(account_id, url, deadline));
        let checked: HashMap<&Url, Result<(), Stop>> =
            urls.iter().copied().zip(join_all(checks).await).collect();
        let unfit: Vec<Unfit> = named
            .into_iter()
            .filter_map(|(field, index, url)| match checked.get(url) {
                Some(Err(Stop::Fault(fault))) => Some(Unfit { field, index, fault: *fault }),
                Some(Ok(()) | Err(Stop::Busy)) | None => None,
            })
            .collect();
        if !unfit.is_empty() {
            return Err(Refusal::Unfit(unfit));
        }
        match checked.values().any(Result::is_err) {
            true => Err(Refusal::Busy),
            false => Ok(()),
        }
    }

    async fn check_one(
        &self,
        account_id: AccountId,
        url: &Url,
        deadline: Instant,
    ) -> Result<(), Stop> {
        let url = self.download.judge(url)?;
        let place = timeout_at(deadline, self.room.take(account_id));
        let place = place.await.map_err(|_| Stop::Busy)?;
        // A file that has waited for room is not called slow for what it had left.
        let too_slow = if deadline - Instant::now() < self.timeout / 2 {
            Stop::Busy
        } else {
            Stop::Fault(Fault::Call(CallFailure::Timeout))
        };
        // Around everything: a limit for each read would let a server that sends a byte a second
        // keep us for hours.
        let bytes = timeout_at(deadline, self.download.fetch(url)).await;
        let bytes = bytes.map_err(|_| too_slow)??;
        let looked = timeout_at(deadline, self.decoding.look(bytes, place)).await;
        looked.map_err(|_| Stop::Busy)?.map_err(Stop::Fault)
    }
}

/// Every file that a request names, with its field and its index there.
fn named(input: &Input) -> Vec<(&'static str, Option<usize>, &Url)> {
    let files = input.input_files.iter().enumerate();
    let files = files.map(|(index, url)| ("generation_input_file", Some(index), url));
    let last = input.last_frame.iter();
    files.chain(last.map(|url| ("generation_input_file_last_content", None, url))).collect()
}

#[cfg(test)]
mod tests;
