//! The signatures on fal's callbacks: Ed25519 over four lines.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::callback::{TOLERANCE, header};
use crate::{CallbackError, RawCallback};

/// More than any provider has in use at once.
const KEYS_MAX: usize = 32;
const KEY_BYTES: usize = 32;

/// The public keys that callbacks may be signed with.
pub(super) struct Keys(Vec<[u8; KEY_BYTES]>);

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(default)]
    crv: String,
    #[serde(default)]
    x: String,
}

impl Keys {
    /// Reads a key set (RFC 7517); `None` when there is no key of the right kind in it.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        let set: KeySet = serde_json::from_slice(json).ok()?;
        let ed25519 = set.keys.iter().filter(|key| key.crv == "Ed25519").take(KEYS_MAX);
        // Sometimes padded, which is not in the standard.
        let decode = |key: &Key| {
            let bytes = URL_SAFE_NO_PAD.decode(key.x.trim_end_matches('=')).ok()?;
            bytes.try_into().ok()
        };
        let keys: Vec<[u8; KEY_BYTES]> = ed25519.filter_map(decode).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// Checks that a callback was signed with one of the keys, at about the time it came in.
    pub(super) fn verify(&self, callback: &RawCallback<'_>) -> Result<(), CallbackError> {
        let refused = CallbackError::Signature;
        let request = header(callback, "x-fal-webhook-request-id")?;
        let user = header(callback, "x-fal-webhook-user-id")?;
        let timestamp = header(callback, "x-fal-webhook-timestamp")?;
        let signature = header(callback, "x-fal-webhook-signature")?;
        let signature = from_hex(signature).ok_or(refused)?;
        let digest = hex(&Sha256::digest(callback.body));
        let message = [request, user, timestamp, &digest].join("\n");
        let signed_with = |key: &[u8; KEY_BYTES]| {
            let key = UnparsedPublicKey::new(&ED25519, key);
            key.verify(message.as_bytes(), &signature).is_ok()
        };
        if !self.0.iter().any(signed_with) {
            return Err(refused);
        }
        let signed_at = timestamp.parse().ok();
        let signed_at =
            signed_at.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).ok_or(refused)?;
        match callback.received_at.signed_duration_since(signed_at).abs() > TOLERANCE {
            true => Err(CallbackError::Stale),
            false => Ok(()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() != 128 {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The vector of `spec/providers.md`, section 11.
    const KEYS: &str = r#"{"keys":[{"kty":"RSA","n":"x"},{"kty":"OKP","crv":"Ed25519","x":"AAAA"},
        {"kty":"OKP","crv":"Ed25519","x":"A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="}]}"#;
    const BODY: &[u8] =
        br#"{"request_id":"123e4567-e89b-12d3-a456-426614174000","status":"OK","payload":{"seed":1}}"#;
    const SIGNATURE: &str = "324532f3aab05b31f8444139e1f99bb7a32e488e60604471d0b0855b42ec39a3\
                             cb187c836755e1824a584fe8174670ae73c795e91cec74c90c69ac2e3e4d4003";

    fn verify(signature: &str, user: &str, body: &[u8], at: i64) -> Result<(), CallbackError> {
        let headers = [
            ("x-fal-webhook-request-id", "123e4567-e89b-12d3-a456-426614174000"),
            ("x-fal-webhook-user-id", user),
            ("x-fal-webhook-timestamp", "1700000000"),
            ("x-fal-webhook-signature", signature),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let received_at = DateTime::from_timestamp(at, 0).unwrap();
        let callback = RawCallback { headers: &headers, body, received_at };
        Keys::read(KEYS.as_bytes()).unwrap().verify(&callback)
    }

    #[test]
    fn the_vector_of_the_spec_is_accepted() {
        assert_eq!(hex(&Sha256::digest(BODY))[..8], *"daf94a13");
        assert_eq!(verify(SIGNATURE, "user_abc", BODY, 1_700_000_000), Ok(()));
    }

    #[test]
    fn anything_that_was_changed_is_refused() {
        let refused = Err(CallbackError::Signature);
        let now = 1_700_000_000;
        assert_eq!(verify(SIGNATURE, "user_abd", BODY, now), refused);
        assert_eq!(verify(SIGNATURE, "user_abc", &BODY[1..], now), refused);
        assert_eq!(verify(&SIGNATURE.replace("32", "33"), "user_abc", BODY, now), refused);
        for bad in ["", "00", &"é".repeat(64), &"g".repeat(128)] {
            assert_eq!(verify(bad, "user_abc", BODY, now), refused, "{bad}");
        }
    }

    #[test]
    fn five_minutes_either_way_are_accepted_and_no_more() {
        let at = |age: i64| verify(SIGNATURE, "user_abc", BODY, 1_700_000_000 + age);
        assert_eq!((at(-300), at(300)), (Ok(()), Ok(())));
        assert_eq!((at(-301), at(301)), (Err(CallbackError::Stale), Err(CallbackError::Stale)));
    }

    #[test]
    fn a_key_set_without_a_usable_key_is_none() {
        for json in ["", "<html>", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"RSA"}]}"#] {
            assert!(Keys::read(json.as_bytes()).is_none(), "{json}");
        }
    }
}
