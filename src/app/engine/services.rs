//! The real providers that the settings have a credential for.

use std::sync::Arc;

use actors::ports::TakeOverError;
use anyhow::Context;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use providers::alibabacloud::AlibabaCloud;
use providers::bfl::Bfl;
use providers::byteplus::Byteplus;
use providers::clock::Clock;
use providers::cloudflare::Cloudflare;
use providers::fal::Fal;
use providers::media::InputFiles;
use providers::openai::OpenAi;
use providers::replicate::Replicate;
use providers::runway::Runway;
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
    let files = input_files(config)?;
    let config = &config.providers;
    let http = client::http_client().context("cannot make an HTTP client")?;
    let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
    if let Some(endpoint) = config.alibabacloud.clone() {
        let adapter = AlibabaCloud::new(&http, endpoint);
        providers.push(Arc::new(adapter.context("`provider_alibabacloud.api_key`")?));
    }
    if let Some(endpoint) = config.bfl.clone() {
        let adapter = Bfl::new(&http, endpoint, Arc::clone(&files));
        providers.push(Arc::new(adapter.context("`provider_bfl.api_key`")?));
    }
    if let Some(endpoint) = config.byteplus.clone() {
        let adapter = Byteplus::new(&http, endpoint, Arc::clone(clock));
        providers.push(Arc::new(adapter.context("`provider_byteplus.api_key`")?));
    }
    if let Some(cloudflare) = config.cloudflare.clone() {
        let (endpoint, account) = (cloudflare.endpoint, cloudflare.account_id);
        let adapter = Cloudflare::new(&http, endpoint, account, Arc::clone(&files));
        providers.push(Arc::new(adapter.context("`provider_cloudflare.api_key`")?));
    }
    if let Some(fal) = config.fal.clone() {
        let adapter = Fal::new(&http, fal.endpoint, fal.keys_url, Arc::clone(clock));
        providers.push(Arc::new(adapter.context("`provider_fal.api_key`")?));
    }
    if let Some(endpoint) = config.openai.clone() {
        let adapter = OpenAi::new(&http, endpoint, files);
        providers.push(Arc::new(adapter.context("`provider_openai.api_key`")?));
    }
    if let Some(replicate) = config.replicate.clone() {
        let secret = replicate.webhook_secret.as_ref();
        let adapter = Replicate::new(&http, replicate.endpoint, secret, Arc::clone(clock));
        providers.push(Arc::new(adapter.context("the settings of `provider_replicate`")?));
    }
    if let Some(endpoint) = config.runway.clone() {
        let adapter = Runway::new(&http, endpoint);
        providers.push(Arc::new(adapter.context("`provider_runway.api_key`")?));
    }
    Ok(providers)
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
        TakeOverError::Unavailable(_) | TakeOverError::Store(_) => {
            Error::Failed("An input file could not be fetched.".to_owned())
        }
    }
}
