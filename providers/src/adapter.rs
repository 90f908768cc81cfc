//! Every provider there is an adapter for, with what it takes to make one.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::Provider;
use crate::callback::InvalidSecret;
use crate::client::{Endpoint, InvalidCredential};
use crate::clock::Clock;
use crate::media::InputFiles;
use crate::name::ProviderName;

/// All of them, in the order of [`ProviderName`].
pub static ADAPTERS: [Adapter; 8] = [
    crate::alibabacloud::ADAPTER,
    crate::bfl::ADAPTER,
    crate::byteplus::ADAPTER,
    crate::cloudflare::ADAPTER,
    crate::fal::ADAPTER,
    crate::openai::ADAPTER,
    crate::replicate::ADAPTER,
    crate::runway::ADAPTER,
];

/// What a provider needs to be asked.
#[derive(Debug, Clone, Copy)]
pub struct Adapter {
    /// Its name; its settings are in the section `provider_<name>`.
    pub name: ProviderName,
    /// Its settings beside address and credential.
    pub settings: &'static [(&'static str, SettingKind)],
    /// Whether it has jobs that are asked for.
    pub polls: bool,
    pub(crate) make: Make,
}

/// Makes the adapter from what all share and from its own settings.
type Make = fn(&Shared, &Settings) -> Result<Arc<dyn Provider>, InvalidSettings>;

/// What a setting of a provider holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// An address, with a default.
    Address,
    /// Letters and digits, needed.
    Account,
    /// A text that is not printed; may be absent.
    Secret,
}

/// What all adapters share.
#[derive(Clone)]
pub struct Shared {
    /// See [`crate::client::http_client`].
    pub http: reqwest::Client,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// For providers that want input files and not their addresses.
    pub files: Arc<dyn InputFiles>,
}

/// The settings of one provider.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is, and the credential.
    pub endpoint: Endpoint,
    /// By the names in [`Adapter::settings`].
    pub more: BTreeMap<&'static str, SecretString>,
}

/// Why an adapter cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    /// The credential has characters that no header can carry.
    #[error(transparent)]
    Credential(#[from] InvalidCredential),
    /// The secret of callbacks has another form.
    #[error(transparent)]
    Secret(#[from] InvalidSecret),
    /// A setting is needed and absent, or not what it should be.
    #[error("`{0}` is missing or not readable")]
    Missing(&'static str),
}

impl Adapter {
    /// The provider, ready to be asked.
    ///
    /// # Errors
    /// [`InvalidSettings`].
    pub fn provider(
        &self,
        shared: &Shared,
        settings: &Settings,
    ) -> Result<Arc<dyn Provider>, InvalidSettings> {
        (self.make)(shared, settings)
    }
}

impl Settings {
    pub(crate) fn address(&self, key: &'static str) -> Result<Url, InvalidSettings> {
        Url::parse(&self.text(key)?).map_err(|_| InvalidSettings::Missing(key))
    }

    pub(crate) fn text(&self, key: &'static str) -> Result<String, InvalidSettings> {
        let text = self.more.get(key).map(|text| text.expose_secret().to_owned());
        text.ok_or(InvalidSettings::Missing(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_but_the_embedded_ones_has_an_adapter() {
        let listed: Vec<ProviderName> = ADAPTERS.iter().map(|adapter| adapter.name).collect();
        let named: Vec<_> = ProviderName::ALL.into_iter().filter(|it| !it.is_sandbox()).collect();
        assert_eq!(listed, named);
    }
}
