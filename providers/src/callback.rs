//! Checking the signatures on what providers call us with, and making them for the sandbox.
//!
//! The scheme is Standard Webhooks, as Replicate and OpenAI use it: `webhook-id`,
//! `webhook-timestamp` and the raw body, joined with dots, under HMAC-SHA256. Several
//! signatures may be sent at once while a secret is being changed; one good one is enough.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use crate::{CallbackError, RawCallback};

/// How far a signature's time may lie from the time of arrival, either way: long enough for
/// clocks that disagree, short enough that a recorded call soon becomes worthless.
pub const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// Header with the id of the message, the same again when it is sent again.
pub const ID_HEADER: &str = "webhook-id";
/// Header with the time of signing, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the signatures, separated by spaces.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

const SECRET_PREFIX: &str = "whsec_";
/// The version of the scheme that is HMAC-SHA256; signatures of other versions are skipped.
const SIGNATURE_PREFIX: &str = "v1,";

/// The secret is not `whsec_` and standard base64 of at least one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the callback secret is not `whsec_` followed by base64")]
pub struct InvalidSecret;

/// The key that a provider and we share. Cloning is cheap; it prints as `[redacted]`.
#[derive(Clone)]
pub struct CallbackKey(Hmac<Sha256>);

impl CallbackKey {
    /// Reads a secret of the form `whsec_…`.
    ///
    /// # Errors
    /// [`InvalidSecret`] when it has another form.
    pub fn parse(secret: &SecretString) -> Result<Self, InvalidSecret> {
        let encoded = secret.expose_secret().strip_prefix(SECRET_PREFIX).ok_or(InvalidSecret)?;
        let key = STANDARD.decode(encoded).map_err(|_| InvalidSecret)?;
        if key.is_empty() {
            return Err(InvalidSecret);
        }
        Hmac::new_from_slice(&key).map(Self).map_err(|_| InvalidSecret)
    }

    /// Signs a message: the value of `webhook-signature`.
    pub fn sign(&self, id: &str, at: DateTime<Utc>, body: &[u8]) -> String {
        let timestamp = at.timestamp().to_string();
        let tag = self.mac(id, &timestamp, body).finalize().into_bytes();
        format!("{SIGNATURE_PREFIX}{}", STANDARD.encode(tag))
    }

    /// Checks that a callback was signed with this key, at about the time it came in.
    ///
    /// # Errors
    /// [`CallbackError::Signature`] when a header is missing or no signature matches,
    /// [`CallbackError::Stale`] when one matches but is older or newer than [`TOLERANCE`].
    pub fn verify(&self, callback: &RawCallback<'_>) -> Result<(), CallbackError> {
        let id = header(callback, ID_HEADER)?;
        let timestamp = header(callback, TIMESTAMP_HEADER)?;
        let mac = self.mac(id, timestamp, callback.body);
        let matches = header(callback, SIGNATURE_HEADER)?
            .split(' ')
            .filter_map(|entry| STANDARD.decode(entry.strip_prefix(SIGNATURE_PREFIX)?).ok())
            .any(|tag| mac.clone().verify_slice(&tag).is_ok());
        if !matches {
            return Err(CallbackError::Signature);
        }
        let signed_at = timestamp
            .parse()
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .ok_or(CallbackError::Signature)?;
        if callback.received_at.signed_duration_since(signed_at).abs() > TOLERANCE {
            return Err(CallbackError::Stale);
        }
        Ok(())
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl std::fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallbackKey([redacted])")
    }
}

pub(crate) fn header<'a>(callback: &RawCallback<'a>, name: &str) -> Result<&'a str, CallbackError> {
    let headers: &'a [(String, String)] = callback.headers;
    headers
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
        .ok_or(CallbackError::Signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    const BODY: &[u8] = br#"{"id":"ufawqhfynnddngldkgtslldrkq","status":"succeeded"}"#;
    const SIGNATURE: &str = "v1,fQV35r8uizv4LD/OBcu8/LRv/Em2/Qex0bF4lT1f+i0=";

    fn key() -> CallbackKey {
        CallbackKey::parse(&SecretString::from(SECRET)).unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn verify(signature: &str, body: &[u8], received_at: i64) -> Result<(), CallbackError> {
        let headers = [
            (ID_HEADER, "msg_2nSxD0vhPqY8kTz1"),
            (TIMESTAMP_HEADER, "1700000000"),
            (SIGNATURE_HEADER, signature),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        key().verify(&RawCallback { headers: &headers, body, received_at: at(received_at) })
    }

    #[test]
    fn both_vectors_of_the_spec_are_reproduced() {
        assert_eq!(key().sign("msg_2nSxD0vhPqY8kTz1", at(1_700_000_000), BODY), SIGNATURE);
        let second = br#"{"id":"evt_abc123","object":"event","created_at":1758941485,"type":"video.completed","data":{"id":"video_abc123"}}"#;
        assert_eq!(second.len(), 114);
        assert_eq!(
            key().sign("wh_evt_1", at(1_758_941_486), second),
            "v1,AA9MWzxnmRgRUbMqnocbERs2YcKoSBawCbdYFXyKwv4="
        );
    }

    #[test]
    fn a_good_signature_among_others_is_enough() {
        let several = format!("v2,AAAA v1,AAAA {SIGNATURE}");
        assert_eq!(verify(&several, BODY, 1_700_000_000), Ok(()));
    }

    #[test]
    fn a_changed_body_or_signature_is_refused() {
        let refused = Err(CallbackError::Signature);
        assert_eq!(verify(SIGNATURE, b"{}", 1_700_000_000), refused);
        assert_eq!(verify("v1,AAAA", BODY, 1_700_000_000), refused);
        assert_eq!(verify("", BODY, 1_700_000_000), refused);
        assert_eq!(verify(&SIGNATURE.replace("v1,", "v2,"), BODY, 1_700_000_000), refused);
    }

    #[test]
    fn a_missing_header_is_refused() {
        let raw = RawCallback { headers: &[], body: BODY, received_at: at(0) };
        assert_eq!(key().verify(&raw), Err(CallbackError::Signature));
    }

    #[test]
    fn five_minutes_either_way_are_accepted_and_no_more() {
        for age in [-300, 0, 300] {
            assert_eq!(verify(SIGNATURE, BODY, 1_700_000_000 + age), Ok(()), "{age}");
        }
        for age in [-301, 301] {
            let result = verify(SIGNATURE, BODY, 1_700_000_000 + age);
            assert_eq!(result, Err(CallbackError::Stale), "{age}");
        }
    }

    #[test]
    fn secrets_of_another_form_are_refused_and_none_is_printed() {
        for secret in ["", "AAEC", "whsec_", "whsec_*"] {
            assert!(CallbackKey::parse(&SecretString::from(secret)).is_err(), "{secret}");
        }
        assert_eq!(format!("{:?}", key()), "CallbackKey([redacted])");
    }
}
