//! Real providers: each has an address and a credential, and is absent without the latter.

use std::collections::BTreeMap;

use providers::adapter::{ADAPTERS, Adapter, SettingKind, Settings};
use providers::client::Endpoint;
use providers::name::ProviderName;
use secrecy::SecretString;
use url::Url;

use super::reader::Reader;

/// The providers that this server may ask.
#[derive(Debug, Clone)]
pub struct ProvidersConfig {
    /// Those with a credential.
    pub asked: BTreeMap<ProviderName, Settings>,
    /// Most questions about jobs that each answers in a second.
    pub polls_per_second: BTreeMap<ProviderName, u32>,
}

impl ProvidersConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let (mut asked, mut polls_per_second) = (BTreeMap::new(), BTreeMap::new());
        for adapter in &ADAPTERS {
            if adapter.polls {
                let key = format!("provider_{}.polls_per_second", adapter.name);
                polls_per_second.insert(adapter.name, reader.integer(&key, 1..=1000));
            }
            asked.extend(settings(reader, adapter).map(|settings| (adapter.name, settings)));
        }
        Self { asked, polls_per_second }
    }

    /// The addresses that an operator has named for the providers that are asked.
    pub fn addresses(&self) -> impl Iterator<Item = &Url> {
        self.asked.values().map(|settings| &settings.endpoint.base_url)
    }
}

fn settings(reader: &mut Reader, adapter: &Adapter) -> Option<Settings> {
    let key = |name: &str| format!("provider_{}.{name}", adapter.name);
    let base_url = reader.parsed(&key("base_url"), address, ADDRESS);
    let secret = reader.secret(&key("api_key"));
    let mut more = BTreeMap::new();
    for (name, kind) in adapter.settings {
        let value = match kind {
            SettingKind::Address => {
                let url = reader.parsed(&key(name), address, ADDRESS);
                url.map(|url| SecretString::from(url.as_str()))
            }
            SettingKind::Account => reader.parsed(&key(name), account, "letters and digits"),
            SettingKind::Secret => reader.secret(&key(name)),
        };
        if value.is_none() && secret.is_some() && *kind != SettingKind::Secret {
            reader.problem(&key(name), "is needed beside the API key");
        }
        more.extend(value.map(|value| (*name, value)));
    }
    Some(Settings { endpoint: Endpoint { base_url: base_url?, secret: secret? }, more })
}

const ADDRESS: &str = "a URL without a query";

/// An address that paths are appended to.
fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    (bare && matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn account(text: &str) -> Option<SecretString> {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| SecretString::from(text))
}
