//! The real providers that the settings have a credential for.

use std::sync::Arc;

use actors::ports::TakeOverError;
use anyhow::Context;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use providers::adapter::{ADAPTERS, Shared};
use providers::clock::Clock;
use providers::media::InputFiles;
use providers::{Error, Provider, client};
use url::Url;

use crate::address_guard::Policy;
use crate::config::Config;
use crate::outputs::download::Downloads;

/// The largest input file (`spec/contract.md` B.4).
const INPUT_BYTES_MAX: u64 = 20 << 20;

/// An adapter for each of them, all over one HTTP client.
pub(super) fn configured(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Vec<Arc<dyn Provider>>> {
    let shared = Shared {
        http: client::http_client().context("cannot make an HTTP client")?,
        clock: Arc::clone(clock),
        files: input_files(config)?,
    };
    let asked = ADAPTERS.iter().filter_map(|adapter| {
        let settings = config.providers.asked.get(&adapter.name)?;
        let provider = adapter.provider(&shared, settings);
        Some(provider.with_context(|| format!("the settings of `provider_{}`", adapter.name)))
    });
    asked.collect()
}

/// How outputs are fetched from providers.
pub(in crate::app) fn downloads(config: &Config) -> anyhow::Result<Downloads> {
    let policy = Policy::FILE.or_private(config.webhooks.allow_private_targets);
    let trusted = config.providers.addresses().cloned();
    Downloads::new(policy, trusted, config.generation.store_output_bytes_max)
        .context("cannot make an HTTP client")
}

fn input_files(config: &Config) -> anyhow::Result<Arc<dyn InputFiles>> {
    let policy = Policy::FILE.or_private(config.webhooks.allow_private_targets);
    let downloads = Downloads::new(policy, [], INPUT_BYTES_MAX);
    Ok(Arc::new(GuardedFiles(downloads.context("cannot make an HTTP client")?)))
}

/// Fetches input files under the address guard.
struct GuardedFiles(Downloads);

#[async_trait]
impl InputFiles for GuardedFiles {
    async fn fetch(&self, url: &Url) -> Result<Bytes, Error> {
        let mut file = self.0.begin(url).await.map_err(unfetched)?;
        let mut bytes = BytesMut::new();
        while let Some(piece) = file.next().await.map_err(unfetched)? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }
}

fn unfetched(error: TakeOverError) -> Error {
    match error {
        TakeOverError::Refused(_) => Error::Rejected("An input file cannot be fetched.".to_owned()),
        TakeOverError::Unavailable(_) | TakeOverError::Unstorable(_) | TakeOverError::Store(_) => {
            Error::Failed("An input file could not be fetched.".to_owned())
        }
    }
}
