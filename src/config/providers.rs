//! Real providers: each has an address and a credential, and is absent without the latter.

use providers::client::Endpoint;
use secrecy::SecretString;
use url::Url;

use super::reader::Reader;

/// The providers that this server may ask.
#[derive(Debug, Clone)]
pub struct ProvidersConfig {
    pub alibabacloud: Option<Endpoint>,
    pub bfl: Option<Endpoint>,
    pub byteplus: Option<Endpoint>,
    pub cloudflare: Option<CloudflareConfig>,
    pub fal: Option<FalConfig>,
    pub openai: Option<Endpoint>,
    pub replicate: Option<ReplicateConfig>,
    pub runway: Option<Endpoint>,
}

#[derive(Debug, Clone)]
pub struct CloudflareConfig {
    pub endpoint: Endpoint,
    pub account_id: String,
}

#[derive(Debug, Clone)]
pub struct FalConfig {
    pub endpoint: Endpoint,
    /// Where the public keys are that callbacks are signed with.
    pub keys_url: Url,
}

#[derive(Debug, Clone)]
pub struct ReplicateConfig {
    pub endpoint: Endpoint,
    /// Absent: asked for when it is needed.
    pub webhook_secret: Option<SecretString>,
}

impl ProvidersConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            alibabacloud: endpoint(reader, "provider_alibabacloud"),
            bfl: endpoint(reader, "provider_bfl"),
            byteplus: endpoint(reader, "provider_byteplus"),
            cloudflare: cloudflare(reader),
            fal: fal(reader),
            openai: endpoint(reader, "provider_openai"),
            replicate: replicate(reader),
            runway: endpoint(reader, "provider_runway"),
        }
    }

    /// The addresses that an operator has named for the providers that are asked.
    pub fn addresses(&self) -> impl Iterator<Item = &Url> {
        let plain = [&self.alibabacloud, &self.bfl, &self.byteplus, &self.openai, &self.runway];
        let others = [
            self.cloudflare.as_ref().map(|config| &config.endpoint),
            self.fal.as_ref().map(|config| &config.endpoint),
            self.replicate.as_ref().map(|config| &config.endpoint),
        ];
        let plain = plain.into_iter().filter_map(|endpoint| endpoint.as_ref());
        plain.chain(others.into_iter().flatten()).map(|endpoint| &endpoint.base_url)
    }
}

fn endpoint(reader: &mut Reader, section: &str) -> Option<Endpoint> {
    let base_url = address(reader, &format!("{section}.base_url"));
    let secret = reader.secret(&format!("{section}.api_key"));
    Some(Endpoint { base_url: base_url?, secret: secret? })
}

fn cloudflare(reader: &mut Reader) -> Option<CloudflareConfig> {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let parse = |text: &str| plain(text).then(|| text.to_owned());
    let key = "provider_cloudflare.account_id";
    let account_id = reader.parsed(key, parse, "letters and digits");
    let endpoint = endpoint(reader, "provider_cloudflare")?;
    if account_id.is_none() {
        reader.problem(key, "is needed beside the API key");
    }
    Some(CloudflareConfig { endpoint, account_id: account_id? })
}

fn fal(reader: &mut Reader) -> Option<FalConfig> {
    let keys_url = address(reader, "provider_fal.keys_url");
    let endpoint = endpoint(reader, "provider_fal");
    Some(FalConfig { endpoint: endpoint?, keys_url: keys_url? })
}

fn replicate(reader: &mut Reader) -> Option<ReplicateConfig> {
    let webhook_secret = reader.secret("provider_replicate.webhook_secret");
    let endpoint = endpoint(reader, "provider_replicate")?;
    Some(ReplicateConfig { endpoint, webhook_secret })
}

/// An address that paths are appended to.
fn address(reader: &mut Reader, key: &str) -> Option<Url> {
    let parse = |text: &str| {
        let url = Url::parse(text).ok()?;
        let bare = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        (bare && matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
    };
    reader.parsed(key, parse, "a URL without a query")
}
