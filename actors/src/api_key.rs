//! An account's credential.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::account::Plan;
use crate::id::{AccountId, ApiKeyId};
use crate::spending::Spending;

/// What every key begins with.
pub const KEY_START: &str = "bye_";
/// How many leading characters are stored readable, for look-up and display.
pub const PREFIX_LENGTH: usize = 9;
/// `bye_`, 32 random characters, 6 of checksum. Below the 71 bytes that bcrypt takes whole.
pub const KEY_LENGTH: usize = 42;
const CHECKSUM_LENGTH: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key as it is stored: never the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose.
    pub account_id: AccountId,
    /// Its id.
    pub id: ApiKeyId,
    /// Display name.
    pub name: String,
    /// The first nine characters.
    pub prefix: String,
    /// bcrypt of the whole key.
    pub hash: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// From where it may be used; empty means from anywhere.
    pub allowed_ips: Vec<IpAddr>,
    /// Where it works; absent on keys from before there were regions, which work in any.
    pub region: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working; the end of the grace period on a rotated key.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was rotated.
    pub rotated_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
    /// What it may spend in a month, and what it has.
    pub spending: Spending,
}

/// A key with what its account may do: all that a request which presents it is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The key.
    pub key: ApiKey,
    /// The plan of its account.
    pub plan: Plan,
    /// Whether its account is suspended.
    pub suspended: bool,
}

/// The state that a key authenticates in: `active -> rotated -> expired`, or `revoked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// Works.
    Active,
    /// Replaced, and works until its grace period ends.
    Rotated,
    /// Its time is over.
    Expired,
    /// Disabled by hand.
    Revoked,
}

impl KeyStatus {
    /// The text on the command line and in the dashboard.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Rotated => "rotated",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Active, Self::Rotated, Self::Expired, Self::Revoked];
        all.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether a key in this state authenticates.
    pub fn authenticates(self) -> bool {
        match self {
            Self::Active | Self::Rotated => true,
            Self::Expired | Self::Revoked => false,
        }
    }
}

impl ApiKey {
    /// The state at a time.
    pub fn status(&self, now: DateTime<Utc>) -> KeyStatus {
        if self.revoked_at.is_some() {
            KeyStatus::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            KeyStatus::Expired
        } else if self.rotated_at.is_some() {
            KeyStatus::Rotated
        } else {
            KeyStatus::Active
        }
    }

    /// Replaces an active key: the new one inherits name, scopes, allowlist, region and expiry
    /// (`spec/contract.md` 4.5, B.3), the old one works until the grace period or its own
    /// time ends, whatever comes first.
    ///
    /// # Errors
    /// The status of a key that is not active.
    pub fn rotate(self, rotation: Rotation) -> Result<Rotated, KeyStatus> {
        let status = self.status(rotation.at);
        if status != KeyStatus::Active {
            return Err(status);
        }
        let new = Self {
            id: rotation.id,
            prefix: rotation.prefix,
            hash: rotation.hash,
            region: self.region.clone().or(Some(rotation.region)),
            created_at: rotation.at,
            last_used_at: None,
            ..self.clone()
        };
        let end = self.expires_at.map_or(rotation.grace_until, |end| end.min(rotation.grace_until));
        let old = Self { rotated_at: Some(rotation.at), expires_at: Some(end), ..self };
        Ok(Rotated { old, new })
    }

    /// Whether it authenticates in a region (`spec/contract.md` 4.2).
    pub fn works_in(&self, region: &str) -> bool {
        self.region.as_deref().is_none_or(|own| own == region)
    }

    /// Whether it may be used from this address (`spec/contract.md` 4.7).
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let allowed = self.allowed_ips.iter().any(|allowed| allowed.to_canonical() == address);
        self.allowed_ips.is_empty() || allowed
    }
}

/// What a new key brings that it does not inherit.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// Its id.
    pub id: ApiKeyId,
    /// Its first nine characters.
    pub prefix: String,
    /// bcrypt of the whole key.
    pub hash: String,
    /// Where it is made: the region of the new one, if the old one has none.
    pub region: String,
    /// When the old one is replaced.
    pub at: DateTime<Utc>,
    /// Until when both work.
    pub grace_until: DateTime<Utc>,
}

/// A key and the one that takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Rotated, with the end of its grace period.
    pub old: ApiKey,
    /// Active.
    pub new: ApiKey,
}

/// A permission a key carries (`spec/contract.md` 4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Submit generations.
    GenerationWrite,
    /// Read them.
    GenerationRead,
    /// Cancel and delete them.
    GenerationDelete,
    /// Status, usage, account and billing.
    AccountRead,
    /// Health.
    HealthRead,
    /// Catalogue and estimate.
    LibraryRead,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] = [
        Self::GenerationWrite,
        Self::GenerationRead,
        Self::GenerationDelete,
        Self::AccountRead,
        Self::HealthRead,
        Self::LibraryRead,
    ];

    /// The text of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GenerationWrite => "generation:write",
            Self::GenerationRead => "generation:read",
            Self::GenerationDelete => "generation:delete",
            Self::AccountRead => "account:read",
            Self::HealthRead => "health:read",
            Self::LibraryRead => "library:read",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A named set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// All six.
    FullAccess,
    /// Create and read generations, browse models.
    GenerateOnly,
    /// Read everything, spend nothing.
    ReadOnly,
    /// Health and catalogue.
    MonitorOnly,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 4] =
        [Self::FullAccess, Self::GenerateOnly, Self::ReadOnly, Self::MonitorOnly];

    /// The text on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullAccess => "full_access",
            Self::GenerateOnly => "generate_only",
            Self::ReadOnly => "read_only",
            Self::MonitorOnly => "monitor_only",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == text)
    }

    /// What it stands for.
    pub fn scopes(self) -> &'static [Scope] {
        use Scope::{AccountRead, GenerationRead, GenerationWrite, HealthRead, LibraryRead};
        match self {
            Self::FullAccess => &Scope::ALL,
            Self::GenerateOnly => &[GenerationWrite, GenerationRead, LibraryRead],
            Self::ReadOnly => &[GenerationRead, AccountRead, HealthRead, LibraryRead],
            Self::MonitorOnly => &[HealthRead, LibraryRead],
        }
    }
}

/// A key in the clear: shown once, then forgotten. Prints as `[REDACTED]`.
#[derive(Debug, Clone)]
pub struct PlainKey(SecretString);

impl PlainKey {
    /// A new key from 32 uniform draws out of `0..62`.
    pub fn from_draws(draws: [u8; 32]) -> Self {
        let random = draws.iter().map(|draw| char::from(ALPHABET[usize::from(draw % 62)]));
        let body: String = KEY_START.chars().chain(random).collect();
        let checksum = checksum(&body);
        Self(SecretString::from(body + &checksum))
    }

    /// Reads a presented key; wrong length, alphabet or checksum is refused before any
    /// database or bcrypt work (`spec/faults.md` B9).
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(KEY_START)?;
        if text.len() != KEY_LENGTH || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let (body, given) = text.split_at(KEY_LENGTH - CHECKSUM_LENGTH);
        (checksum(body) == given).then(|| Self(SecretString::from(text)))
    }

    /// The first nine characters.
    pub fn prefix(&self) -> &str {
        &self.0.expose_secret()[..PREFIX_LENGTH]
    }

    /// The key itself, for hashing it and for the one time it is shown.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Six base-62 digits of the CRC-32 of the body: tells a mistyped key from a wrong one
/// without asking anybody. It is no secret and protects nothing.
fn checksum(body: &str) -> String {
    let mut crc = !0u32;
    for byte in body.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let mask = 0u32.wrapping_sub(crc & 1);
            crc = (crc >> 1) ^ (0xEDB8_8320 & mask);
        }
    }
    let mut rest = !crc;
    let mut digits = [0u8; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_has_the_documented_form_and_reads_back() {
        let key = PlainKey::from_draws(std::array::from_fn(|index| index as u8 * 7 % 62));
        assert_eq!(key.expose().len(), KEY_LENGTH);
        assert_eq!(key.prefix().len(), PREFIX_LENGTH);
        assert_eq!(PlainKey::parse(key.expose()).unwrap().expose(), key.expose());
        assert!(!format!("{key:?}").contains(key.expose()));
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn key(expires_at: Option<DateTime<Utc>>) -> ApiKey {
        ApiKey {
            account_id: AccountId(uuid::Uuid::from_u128(1)),
            id: ApiKeyId(uuid::Uuid::from_u128(2)),
            name: "ci".to_owned(),
            prefix: "bye_aaaaa".to_owned(),
            hash: "old".to_owned(),
            scopes: Preset::GenerateOnly.scopes().to_vec(),
            allowed_ips: vec![IpAddr::from([192, 0, 2, 1])],
            region: None,
            created_at: at(0),
            expires_at,
            rotated_at: None,
            revoked_at: None,
            last_used_at: Some(at(5)),
            spending: Spending::default(),
        }
    }

    fn rotation() -> Rotation {
        Rotation {
            id: ApiKeyId(uuid::Uuid::from_u128(3)),
            prefix: "bye_bbbbb".to_owned(),
            hash: "new".to_owned(),
            region: "us".to_owned(),
            at: at(10),
            grace_until: at(20),
        }
    }

    #[test]
    fn a_rotated_key_works_until_grace_or_its_own_time_ends() {
        let ends = [(None, 20), (Some(at(15)), 15), (Some(at(30)), 20)];
        for (expires_at, end) in ends {
            let rotated = key(expires_at).rotate(rotation()).unwrap();
            assert_eq!(rotated.old.expires_at, Some(at(end)));
            assert_eq!(rotated.old.status(at(end - 1)), KeyStatus::Rotated);
            assert_eq!(rotated.old.status(at(end)), KeyStatus::Expired);
            assert_eq!(rotated.new.expires_at, expires_at, "the old date is kept");
            let inherits = (&rotated.new.name, &rotated.new.scopes, &rotated.new.allowed_ips);
            assert_eq!(
                inherits,
                (&rotated.old.name, &rotated.old.scopes, &rotated.old.allowed_ips)
            );
            assert_eq!((rotated.new.last_used_at, rotated.new.created_at), (None, at(10)));
        }
    }

    #[test]
    fn a_key_works_in_its_region_and_keeps_it_when_it_is_rotated() {
        let old = key(None);
        assert!(old.works_in("us") && old.works_in("eu"));
        let new = old.rotate(rotation()).unwrap().new;
        assert_eq!(new.region.as_deref(), Some("us"), "new keys have one");
        assert!(new.works_in("us") && !new.works_in("eu"));
        let european = ApiKey { region: Some("eu".to_owned()), ..key(None) };
        let rotated = european.rotate(rotation()).unwrap();
        assert_eq!(rotated.new.region, rotated.old.region);
    }

    #[test]
    fn only_an_active_key_is_rotated() {
        let rotated = key(None).rotate(rotation()).unwrap().old;
        assert_eq!(rotated.rotate(rotation()), Err(KeyStatus::Rotated));
        assert_eq!(key(Some(at(10))).rotate(rotation()), Err(KeyStatus::Expired));
        let revoked = ApiKey { revoked_at: Some(at(1)), ..key(None) };
        assert_eq!(revoked.rotate(rotation()), Err(KeyStatus::Revoked));
    }

    #[test]
    fn a_changed_character_is_refused_by_the_checksum() {
        let key = PlainKey::from_draws([5; 32]);
        for position in 4..KEY_LENGTH {
            let mut text = key.expose().to_owned().into_bytes();
            text[position] = if text[position] == b'x' { b'y' } else { b'x' };
            let text = String::from_utf8(text).unwrap();
            assert!(PlainKey::parse(&text).is_none(), "{text}");
        }
        for bad in ["", "bye_", "bye_short", "sk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(PlainKey::parse(bad).is_none(), "{bad}");
        }
    }
}
