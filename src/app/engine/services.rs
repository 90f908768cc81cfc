//! The real providers that the settings have a credential for.

use anyhow::Context;

use crate::address_guard::Policy;
use crate::config::Config;
use crate::outputs::download::Downloads;

/// How outputs are fetched from providers.
pub(in crate::app) fn downloads(config: &Config) -> anyhow::Result<Downloads> {
    let policy = Policy::FILE.or_private(config.webhooks.allow_private_targets);
    let trusted = config.providers.addresses().cloned();
    Downloads::new(policy, trusted, config.generation.store_output_bytes_max)
        .context("cannot make an HTTP client")
}
