//! Speaks the wires of eight providers over HTTP, for machines that cannot or should not reach
//! the real ones.
//!
//! Written from the providers' documents and not from our adapters, so that one checks the
//! other; the providers' own client libraries work against it. Each provider has a base path:
//!
//! | provider | base URL of its client |
//! |---|---|
//! | Replicate | `/replicate/v1` |
//! | fal | `/fal/queue` for queue.fal.run, `/fal/run` for fal.run, `/fal/rest` for rest.fal.ai |
//! | Black Forest Labs | `/bfl` |
//! | OpenAI | `/openai/v1` |
//! | Cloudflare | `/cloudflare/client/v4` |
//! | BytePlus ModelArk | `/byteplus/api/v3` |
//! | Alibaba Model Studio | `/alibabacloud/api/v1` |
//! | Runway | `/runway` |
//!
//! `PUT /admin/faults/{provider}` changes how often it fails and how slow it is ([`faults`]),
//! `GET /admin/log` tells what it was asked, `POST /admin/reset` forgets everything. State is
//! bounded; it is in memory, and jobs are on disk too where that is wanted. Pictures and films are drawn when somebody fetches them.

#![warn(missing_docs)]

pub mod faults;
pub mod settings;

mod admin;
mod alibabacloud;
mod bfl;
mod byteplus;
mod call;
mod callbacks;
mod cloudflare;
mod dice;
mod fal;
mod house;
mod input;
mod jobs;
mod jobs_file;
mod journal;
mod latency;
mod limits;
mod media;
mod multipart;
mod openai;
mod replicate;
mod runway;
mod server;
mod signatures;
#[cfg(test)]
mod tests;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use providers::clock::Clock;

use crate::house::House;
use crate::settings::{Settings, SettingsError};

/// Why an emulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings make no sense.
    #[error("the settings of the emulator make no sense")]
    Settings(#[from] SettingsError),
    /// The webhook secret has another form.
    #[error("the webhook secret is not `whsec_` followed by base64")]
    Secret,
    /// No signing key could be made.
    #[error("no signing key could be made")]
    Key,
    /// The HTTP client for webhooks could not be made.
    #[error("the HTTP client for webhooks could not be made")]
    Client(#[source] reqwest::Error),
    /// The jobs on disk cannot be read or written.
    #[error("the jobs in {} cannot be read or written", path.display())]
    Jobs {
        /// Where they are.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// An emulator that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    server: ServerHandle,
}

/// Starts one in the background of the current actix system.
///
/// # Errors
/// [`StartError`] says what is wrong.
pub fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
    settings.check()?;
    let mut settings = settings;
    let asked = settings.listen;
    let listen = |source| StartError::Listen { address: asked, source };
    let listener = TcpListener::bind(asked).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    settings.listen = address;
    let house = Arc::new(House::new(settings, clock)?);
    callbacks::resume(&house);
    let server = server::serve(&house, listener).map_err(listen)?;
    Ok(Running { address, server })
}

impl Running {
    /// Stops it; webhooks that are due never come.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}
