//! The closed list of providers that this server can speak to.

use std::fmt;

/// A provider, spelled on the wire as in `spec/contract.md` 7.3; the three sandbox
/// providers are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProviderName {
    /// Alibaba Cloud Model Studio (DashScope).
    AlibabaCloud,
    /// Black Forest Labs.
    Bfl,
    /// BytePlus ModelArk.
    Byteplus,
    /// Cloudflare Workers AI.
    Cloudflare,
    /// fal.
    Fal,
    /// OpenAI.
    OpenAi,
    /// Replicate.
    Replicate,
    /// Runway.
    Runway,
    /// The embedded provider that answers with the result.
    SandboxInline,
    /// The embedded provider that is polled.
    SandboxPolling,
    /// The embedded provider that calls back.
    SandboxWebhook,
}

impl ProviderName {
    /// Every provider.
    pub const ALL: [Self; 11] = [
        Self::AlibabaCloud,
        Self::Bfl,
        Self::Byteplus,
        Self::Cloudflare,
        Self::Fal,
        Self::OpenAi,
        Self::Replicate,
        Self::Runway,
        Self::SandboxInline,
        Self::SandboxPolling,
        Self::SandboxWebhook,
    ];

    /// The text of the contract and of the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlibabaCloud => "alibabacloud",
            Self::Bfl => "bfl",
            Self::Byteplus => "byteplus",
            Self::Cloudflare => "cloudflare",
            Self::Fal => "fal",
            Self::OpenAi => "openai",
            Self::Replicate => "replicate",
            Self::Runway => "runway",
            Self::SandboxInline => "sandbox_inline",
            Self::SandboxPolling => "sandbox_polling",
            Self::SandboxWebhook => "sandbox_webhook",
        }
    }

    /// Reads the contract's text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    /// Whether this is one of the embedded providers, which cost nothing and need no network.
    pub fn is_sandbox(self) -> bool {
        matches!(self, Self::SandboxInline | Self::SandboxPolling | Self::SandboxWebhook)
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
