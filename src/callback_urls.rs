//! The URLs that providers call us under, and which of them we gave out.
//!
//! ```text
//! /callbacks/{provider}/{account}/{generation}/{attempt}/{token}
//! ```
//!
//! The token is an HMAC of what stands before it, so that nothing has to be stored and nobody
//! can make the URL of another attempt out of the one they were given.

use actors::engine::CallbackTarget;
use actors::generation::Generation;
use actors::ports::CallbackUrls;
use subtle::ConstantTimeEq;
use url::Url;

use crate::secrets::PurposeKey;

/// Bytes of the HMAC that a token has: more than can be guessed over a network, in a URL that
/// stays short.
const TOKEN_BYTES: usize = 16;

/// Makes and recognizes them.
pub struct SignedCallbackUrls {
    local: Url,
    outside: Option<Url>,
    key: PurposeKey,
}

impl SignedCallbackUrls {
    /// `local` is where this server listens, `outside` how the providers reach it, if they do;
    /// `key` is derived for `Purpose::CallbackTokens`.
    pub fn new(local: Url, outside: Option<Url>, key: PurposeKey) -> Self {
        Self { local, outside, key }
    }

    /// Whether we gave this URL out. Takes the same time for every token.
    pub fn is_genuine(&self, target: &CallbackTarget, token: &str) -> bool {
        self.token(&subject(target)).as_bytes().ct_eq(token.as_bytes()).into()
    }

    fn token(&self, subject: &str) -> String {
        let mac = self.key.mac(subject.as_bytes());
        mac[..TOKEN_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl CallbackUrls for SignedCallbackUrls {
    /// The sandbox runs in this process and needs no way through proxies and certificates; the
    /// others cannot reach us unless an operator has said how.
    fn url(&self, generation: &Generation, attempt: u32) -> Option<Url> {
        let provider = generation.attempt(attempt)?.provider;
        let base = if provider.is_sandbox() { &self.local } else { self.outside.as_ref()? };
        let subject = subject(&CallbackTarget {
            provider,
            account_id: generation.account_id,
            generation_id: generation.id,
            attempt,
        });
        base.join(&format!("/callbacks/{subject}/{}", self.token(&subject))).ok()
    }
}

fn subject(target: &CallbackTarget) -> String {
    let CallbackTarget { provider, account_id, generation_id, attempt } = target;
    format!("{provider}/{account_id}/{generation_id}/{attempt}")
}

#[cfg(test)]
mod tests;
