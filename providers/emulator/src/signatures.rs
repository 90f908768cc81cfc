//! The signatures on webhooks, as the providers make them.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The key of Standard Webhooks.
pub(crate) struct WebhookSecret {
    text: String,
    key: Vec<u8>,
}

impl WebhookSecret {
    /// Reads `whsec_` and standard base64.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let key = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        (!key.is_empty()).then(|| Self { text: text.to_owned(), key })
    }

    /// As the receiver configures it.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }

    /// The value of `webhook-signature`.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let start = format!("{id}.{timestamp}.");
        let tag = hmac_sha256(&self.key, &[start.as_bytes(), body]);
        format!("v1,{}", STANDARD.encode(tag))
    }
}

/// fal's key pair.
pub(crate) struct FalKey(Ed25519KeyPair);

impl FalKey {
    /// The pair that a seed gives. A seed of 32 bytes always gives one.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    /// What fal publishes.
    pub(crate) fn jwks(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "x": x }] })
    }

    /// The value of `X-Fal-Webhook-Signature`.
    pub(crate) fn sign(&self, request: &str, user: &str, timestamp: i64, body: &[u8]) -> String {
        let digest = hex(&Sha256::digest(body));
        let message = format!("{request}\n{user}\n{timestamp}\n{digest}");
        hex(self.0.sign(message.as_bytes()).as_ref())
    }
}

/// The value of `X-BFL-Signature`.
pub(crate) fn sign_bfl(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex(&hmac_sha256(secret.as_bytes(), &[body])))
}

/// A tag over the parts of a message.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Lower case, two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    #[test]
    fn both_vectors_of_standard_webhooks_come_out() {
        let secret = WebhookSecret::parse(SECRET).unwrap();
        let body = br#"{"id":"ufawqhfynnddngldkgtslldrkq","status":"succeeded"}"#;
        assert_eq!(
            secret.sign("msg_2nSxD0vhPqY8kTz1", 1_700_000_000, body),
            "v1,fQV35r8uizv4LD/OBcu8/LRv/Em2/Qex0bF4lT1f+i0="
        );
        let body = br#"{"id":"evt_abc123","object":"event","created_at":1758941485,"type":"video.completed","data":{"id":"video_abc123"}}"#;
        assert_eq!(
            secret.sign("wh_evt_1", 1_758_941_486, body),
            "v1,AA9MWzxnmRgRUbMqnocbERs2YcKoSBawCbdYFXyKwv4="
        );
    }

    #[test]
    fn the_vector_of_fal_comes_out() {
        let key = FalKey::from_seed(&std::array::from_fn(|i| i as u8)).unwrap();
        assert_eq!(key.jwks()["keys"][0]["x"], "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg");
        let request = "123e4567-e89b-12d3-a456-426614174000";
        let body = br#"{"request_id":"123e4567-e89b-12d3-a456-426614174000","status":"OK","payload":{"seed":1}}"#;
        assert_eq!(
            key.sign(request, "user_abc", 1_700_000_000, body),
            "324532f3aab05b31f8444139e1f99bb7a32e488e60604471d0b0855b42ec39a3\
             cb187c836755e1824a584fe8174670ae73c795e91cec74c90c69ac2e3e4d4003"
        );
    }

    #[test]
    fn the_vector_of_bfl_comes_out() {
        assert_eq!(
            sign_bfl("topsecret", br#"{"id":"t1","status":"Ready"}"#),
            "sha256=e0e73ac804ccd054fdd308d72b1b82d1ded182924c1738f7ecbc5d0e98cf3bfb"
        );
    }

    #[test]
    fn secrets_of_another_form_are_refused() {
        for text in ["", "AAEC", "whsec_", "whsec_*"] {
            assert!(WebhookSecret::parse(text).is_none(), "{text}");
        }
    }
}
