//! How what is sent is signed: as BabySea documents it, and as Standard Webhooks does.
//!
//! Both sign a time with the body, afresh at every try. They differ in the key: the first takes
//! the secret's text as it is, the second the bytes that its 32 characters stand for in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::webhook::{WebhookDelivery, WebhookEndpoint};

/// What every secret starts with.
pub const SECRET_PREFIX: &str = "whsec_";

impl WebhookEndpoint {
    /// The secrets that sign at `now`, the one that counts first: the official client looks only
    /// at the first signature.
    fn secrets(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SecretString> {
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until);
        std::iter::once(&self.secret).chain(previous.map(|(secret, _)| secret))
    }
}

impl WebhookDelivery {
    /// The headers of a try at `now`: the documented ones (`spec/contract.md` 8.3), and beside
    /// them those of Standard Webhooks, so that its libraries accept it too.
    pub fn headers(
        &self,
        body: &str,
        endpoint: &WebhookEndpoint,
        now: DateTime<Utc>,
    ) -> Vec<(&'static str, String)> {
        let (id, seconds) = (self.id.to_string(), now.timestamp());
        let documented: Vec<String> = endpoint
            .secrets(now)
            .map(|secret| format!("v1={}", hex(&documented(secret, seconds, body.as_bytes()))))
            .collect();
        let standard: Vec<String> = endpoint
            .secrets(now)
            .filter_map(|secret| standard_signature(secret, &id, seconds, body.as_bytes()))
            .collect();
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-babysea-signature", format!("t={seconds},{}", documented.join(","))),
            ("x-babysea-event", self.event.as_str().to_owned()),
            ("x-babysea-timestamp", self.timestamp()),
            ("x-babysea-delivery-id", id.clone()),
        ];
        if !standard.is_empty() {
            headers.extend([
                ("webhook-id", id),
                ("webhook-timestamp", seconds.to_string()),
                ("webhook-signature", standard.join(" ")),
            ]);
        }
        headers
    }
}

/// `t=<unix seconds>,v1=<lowercase hex>` over `<t>.<body>` (`spec/contract.md` 8.4).
pub fn signature(secret: &SecretString, unix_seconds: i64, body: &[u8]) -> String {
    format!("t={unix_seconds},v1={}", hex(&documented(secret, unix_seconds, body)))
}

/// `v1,<base64>` over `<id>.<unix seconds>.<body>`. `None` for a secret that is no base64.
pub fn standard_signature(
    secret: &SecretString,
    id: &str,
    unix_seconds: i64,
    body: &[u8],
) -> Option<String> {
    let key = secret.expose_secret().strip_prefix(SECRET_PREFIX)?;
    let key = STANDARD.decode(key).ok()?;
    let digest = mac(&key, &[id.as_bytes(), b".", unix_seconds.to_string().as_bytes(), b".", body]);
    Some(format!("v1,{}", STANDARD.encode(digest)))
}

fn documented(secret: &SecretString, unix_seconds: i64, body: &[u8]) -> [u8; 32] {
    let key = secret.expose_secret().as_bytes();
    mac(key, &[unix_seconds.to_string().as_bytes(), b".", body])
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests;
