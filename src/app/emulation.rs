//! The emulator in this process, which stands in for the real providers as long as there is none.
//!
//! Nothing else knows of it: the adapters are given its address and credentials as if an operator
//! had configured them, and speak to it over HTTP. Its jobs are in the data directory, so
//! that they survive this process like those of a real provider.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emulator::Running;
use emulator::settings::{Provider, Settings};
use providers::adapter::{self, ADAPTERS, Adapter};
use providers::client::Endpoint;
use providers::clock::Clock;
use secrecy::SecretString;
use url::Url;

use crate::config::Config;
use crate::secrets::{MasterKey, Purpose};

/// Where its jobs are in the data directory.
const JOBS_DIR: &str = "emulator";
/// Where fal has its second host and its keys, below the emulator's address; and an account, which
/// may be any.
const MORE: [(&str, &str); 3] = [
    ("run_url", "/fal/run"),
    ("keys_url", "/fal/rest/.well-known/jwks.json"),
    ("account_id", "0123456789abcdef0123456789abcdef"),
];

/// Whether the operator wants it and has no real provider.
pub(super) fn is_needed(config: &Config) -> bool {
    config.emulator.enabled && config.providers.asked.is_empty()
}

/// Starts it, unless a real provider can be asked or the operator does not want it.
pub(super) fn start(
    config: &Config,
    key: &MasterKey,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Option<Running>> {
    if !is_needed(config) {
        return Ok(None);
    }
    let file = config.emulator.settings.as_deref();
    let mut settings = file
        .map(Settings::load)
        .transpose()
        .context("`emulator.settings`")?
        .unwrap_or_else(|| Settings { workers: 1, ..Settings::default() });
    // Any free port: it is found through this process and by nobody else.
    settings.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.public_url = None;
    let secret = STANDARD.encode(key.derive(Purpose::Emulator).mac(b"emulator"));
    // What it signs and hands out has to be good after a restart, too.
    settings.webhook_secret = format!("whsec_{secret}");
    settings.secret = Some(secret);
    settings.jobs_dir = Some(config.storage.data_dir.join(JOBS_DIR));
    let running = emulator::start(settings, Arc::clone(clock)).context("the emulator")?;
    tracing::info!(
        address = %running.address,
        "no provider has a credential: the emulator stands in for all of them, outputs are drawn, \
         nobody bills anything"
    );
    Ok(Some(running))
}

/// The settings, with the emulator as if it had been configured; unchanged when it does not run.
pub(super) fn configured(config: &Config, running: Option<&Running>) -> anyhow::Result<Config> {
    let mut config = config.clone();
    if let Some(running) = running {
        let known =
            |adapter: &'static Adapter| Some((adapter, Provider::parse(adapter.name.as_str())?));
        let each = ADAPTERS
            .iter()
            .filter_map(known)
            .map(|(adapter, emulated)| Ok((adapter.name, of(adapter, emulated, running.address)?)));
        config.providers.asked = each.collect::<anyhow::Result<_>>()?;
    }
    Ok(config)
}

fn of(
    adapter: &Adapter,
    emulated: Provider,
    address: SocketAddr,
) -> anyhow::Result<adapter::Settings> {
    let origin = format!("http://{address}");
    let base_url = Url::parse(&format!("{origin}{}", emulated.base_path()))?;
    let secret = SecretString::from(emulated.sample_key());
    let value = |key: &str| {
        let (_, value) = MORE.into_iter().find(|(known, _)| *known == key)?;
        let at = if value.starts_with('/') { origin.as_str() } else { "" };
        Some(SecretString::from(format!("{at}{value}")))
    };
    let more = adapter.settings.iter().filter_map(|(key, _)| Some((*key, value(key)?))).collect();
    Ok(adapter::Settings { endpoint: Endpoint { base_url, secret }, more })
}
