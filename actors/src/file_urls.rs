//! The URLs of outputs: derived from their keys, signed, and good for as long as the files are
//! kept.
//!
//! `{base}/files/{key}?expires={unix seconds}&signature={32 hexadecimal digits}`. The time
//! follows from the end of the generation and the plan, so a record shows the same URLs at every
//! reading. Whoever has one can read the file, so it can be put into a page
//! (`spec/contract.md` 7.4).

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::account::Plan;
use crate::generation::Generation;
use crate::retention::Retention;

/// Bytes of a signature: 128 bits cannot be guessed.
const SIGNATURE_BYTES: usize = 16;

/// Makes URLs of outputs, and checks those that come back.
#[derive(Clone)]
pub struct FileUrls {
    /// `server.public_url` without a trailing slash.
    base: String,
    /// Keyed once; signing begins with a copy.
    mac: Hmac<Sha256>,
    retention: Retention,
}

/// Why a URL is not served. The texts are shown to whoever asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkRefusal {
    /// It was not made here, or not like this.
    #[error("This link is not valid. Take it as it is from the record of its generation.")]
    Forged,
    /// Its time is over.
    #[error("This link has expired: the file was kept for as long as the account's plan says.")]
    Expired,
}

impl FileUrls {
    /// `base` is `server.public_url` without a trailing slash, `key` is for this purpose alone.
    pub fn new(base: String, key: &[u8; 32], retention: Retention) -> Self {
        let mac = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        Self { base, mac, retention }
    }

    /// The URLs of a generation's outputs, in order; none when it has none that are kept.
    pub fn of(&self, generation: &Generation, plan: Plan) -> Vec<String> {
        let Some(expires_at) = self.expires_at(generation, plan) else { return Vec::new() };
        generation.kept_files().iter().map(|file| self.url(&file.key, expires_at)).collect()
    }

    /// Until when its outputs are kept, of one that has ended.
    pub fn expires_at(&self, generation: &Generation, plan: Plan) -> Option<DateTime<Utc>> {
        generation.completed_at().map(|completed_at| completed_at + self.retention.files(plan))
    }

    /// The URL of a stored file, good until then.
    pub fn url(&self, key: &str, expires_at: DateTime<Utc>) -> String {
        let (base, expires) = (&self.base, expires_at.timestamp());
        let signature = self.sign(key, expires).finalize().into_bytes();
        let mut url = format!("{base}/files/{key}?expires={expires}&signature=");
        for byte in &signature[..SIGNATURE_BYTES] {
            for digit in [byte >> 4, byte & 15] {
                url.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        url
    }

    /// Whether a URL that came back may be served, and for how long it still may.
    ///
    /// # Errors
    /// [`LinkRefusal`].
    pub fn check(
        &self,
        key: &str,
        expires: i64,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<Duration, LinkRefusal> {
        let signature = read_hex(signature).ok_or(LinkRefusal::Forged)?;
        let verified = self.sign(key, expires).verify_truncated_left(&signature);
        verified.map_err(|_| LinkRefusal::Forged)?;
        let left = u64::try_from(expires.saturating_sub(now.timestamp())).unwrap_or(0);
        if left == 0 {
            return Err(LinkRefusal::Expired);
        }
        Ok(Duration::from_secs(left))
    }

    fn sign(&self, key: &str, expires: i64) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(key.as_bytes());
        // Neither key nor number can hold it.
        mac.update(b"\n");
        mac.update(expires.to_string().as_bytes());
        mac
    }
}

/// Exactly a signature's digits, in the one spelling that we write.
fn read_hex(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; SIGNATURE_BYTES];
    if pairs.len() != SIGNATURE_BYTES || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

impl fmt::Debug for FileUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileUrls").field("base", &self.base).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    const KEY: &str = "account/generation/0.png";

    fn urls(key: u8) -> FileUrls {
        let retention = Retention::LONGEST;
        FileUrls::new("https://media.example.net".to_owned(), &[key; 32], retention)
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000 + second, 0).unwrap()
    }

    /// What stands in a URL after its path.
    fn signed(url: &str) -> (i64, String) {
        let (_, query) = url.split_once("?expires=").unwrap();
        let (expires, signature) = query.split_once("&signature=").unwrap();
        (expires.parse().unwrap(), signature.to_owned())
    }

    #[test]
    fn a_url_is_always_the_same_and_good_until_its_time() {
        let url = urls(1).url(KEY, at(60));
        assert_eq!(url, urls(1).url(KEY, at(60)));
        assert!(url.starts_with("https://media.example.net/files/account/generation/0.png?"));
        let (expires, signature) = signed(&url);
        let check = |second| urls(1).check(KEY, expires, &signature, at(second));
        assert_eq!(check(0), Ok(Duration::from_secs(60)));
        assert_eq!(check(59), Ok(Duration::from_secs(1)));
        assert_eq!(check(60), Err(LinkRefusal::Expired));
        assert_eq!(check(6000), Err(LinkRefusal::Expired));
    }

    #[test]
    fn whatever_is_altered_is_refused() {
        let (expires, signature) = signed(&urls(1).url(KEY, at(60)));
        let refused = |urls: FileUrls, key: &str, expires, signature: &str| {
            assert_eq!(urls.check(key, expires, signature, at(0)), Err(LinkRefusal::Forged));
        };
        refused(urls(2), KEY, expires, &signature);
        refused(urls(1), "account/generation/1.png", expires, &signature);
        refused(urls(1), KEY, expires + 1, &signature);
        refused(urls(1), KEY, i64::MAX, &signature);
        refused(urls(1), KEY, i64::MIN, &signature);
        for altered in [
            "",
            &signature[1..],
            &format!("{signature}0"),
            &format!("{signature}00"),
            &signature.to_uppercase(),
            &"0".repeat(32),
            &"\u{e4}".repeat(16),
        ] {
            refused(urls(1), KEY, expires, altered);
        }
    }
}
