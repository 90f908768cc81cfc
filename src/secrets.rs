//! Secrets at rest: one master key outside of the database, and keys derived from it by purpose.
//!
//! Whoever reads the database alone learns no secret; whoever holds a key of one purpose can
//! neither open nor forge what belongs to another.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox, SecretSlice};
use sha2::{Digest, Sha256};

use crate::config::Config;

/// Name of the key file in the data directory.
const FILE_NAME: &str = "master.key";

/// First byte of what [`PurposeKey::seal`] makes, so that another cipher can follow one day
/// without a guess at what is stored.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;

/// Nothing that is read as a key is longer; a mistaken path must not fill the memory.
const FILE_BYTES_MAX: u64 = 1024;

/// What a derived key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Sealing the secrets that customers check our signatures with.
    WebhookSecrets,
    /// The unguessable part of the addresses that providers call back.
    CallbackTokens,
    /// Indexing verified API keys in memory without keeping them.
    KeyCache,
    /// Client addresses in logs: the same address can be recognized, and not read.
    IpHash,
    /// Signing what the sandbox calls back with.
    SandboxCallbacks,
    /// What a form of a signed-in page has to bring along.
    FormTokens,
    /// The link that makes the first owner.
    FirstOwner,
    /// The links by which people sign up.
    SignUpLinks,
    /// Codes that are sent by mail and typed.
    MailCodes,
    /// Sealing mail that waits to be sent.
    Mails,
    /// Signing the addresses of outputs.
    OutputUrls,
    /// What the emulator signs and hands out.
    Emulator,
}

impl Purpose {
    /// Part of every derived key: a changed label makes what was sealed with it unreadable.
    fn label(self) -> &'static [u8] {
        match self {
            Self::WebhookSecrets => b"webhook-secrets",
            Self::CallbackTokens => b"callback-tokens",
            Self::KeyCache => b"key-cache",
            Self::IpHash => b"ip-hash",
            Self::SandboxCallbacks => b"sandbox-callbacks",
            Self::FormTokens => b"form-tokens",
            Self::FirstOwner => b"first-owner",
            Self::SignUpLinks => b"sign-up-links",
            Self::MailCodes => b"mail-codes",
            Self::Mails => b"mails",
            Self::OutputUrls => b"output-urls",
            Self::Emulator => b"emulator",
        }
    }
}

/// The one key that all others come from, and while it is being replaced the one before.
pub struct MasterKey {
    key: SecretBox<[u8; 32]>,
    previous: Option<SecretBox<[u8; 32]>>,
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyProblem {
    #[error("cannot read or create {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} can be read by others (mode {mode:03o}); \
         run `chmod 600 {path}`, and replace the key if somebody else may have seen it"
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error(
        "{from} is not 64 hexadecimal digits; restore it from a backup (a new key cannot open \
         the secrets that are stored), or remove it on a server that has none yet"
    )]
    Malformed { from: String },
}

impl MasterKey {
    /// The key from the settings, or else from the data directory, where it is created when
    /// there is none.
    ///
    /// Any number of processes may do this at once: they agree on one key.
    ///
    /// # Errors
    /// The file cannot be read or written, others may read it, or it holds no key.
    pub fn load(config: &Config) -> Result<Self, MasterKeyProblem> {
        match &config.secrets.master_key {
            Some(text) => {
                let previous = config.secrets.previous_master_key.as_ref();
                let previous = previous.map(|text| text.expose_secret()).unwrap_or_default();
                let both = format!("{}\n{previous}", text.expose_secret());
                Self::parse(&both, "`secrets.master_key`")
            }
            None => Self::load_or_create(&config.storage.data_dir),
        }
    }

    /// Whether what is stored may still be sealed with the key before.
    pub fn is_being_replaced(&self) -> bool {
        self.previous.is_some()
    }

    /// Puts a new key before the one in the data directory. From then on, whoever loads it seals
    /// with the new one and opens with both, so everything can be sealed anew at leisure; a
    /// replacement that was broken off goes on with the key that it had made.
    ///
    /// # Errors
    /// [`MasterKeyProblem`]; the file is as it was.
    pub fn begin_replacement(data_dir: &Path) -> Result<Self, MasterKeyProblem> {
        let before = Self::load_or_create(data_dir)?;
        if before.previous.is_some() {
            return Ok(before);
        }
        let key = SecretBox::new(Box::new(rand::random::<[u8; 32]>()));
        let replaced = Self { key, previous: Some(before.key) };
        replaced.write(data_dir)?;
        Ok(replaced)
    }

    /// Forgets the key before: nothing may be sealed with it any more.
    ///
    /// # Errors
    /// [`MasterKeyProblem`]; both are still there.
    pub fn end_replacement(self, data_dir: &Path) -> Result<(), MasterKeyProblem> {
        Self { key: self.key, previous: None }.write(data_dir)
    }

    /// Replaces the file: it holds the keys before or these, and nothing between.
    fn write(&self, data_dir: &Path) -> Result<(), MasterKeyProblem> {
        let path = data_dir.join(FILE_NAME);
        let draft = draft_of(data_dir);
        let keys = [Some(&self.key), self.previous.as_ref()];
        let replaced = write_keys(&draft, keys.into_iter().flatten())
            .and_then(|()| std::fs::rename(&draft, &path))
            .and_then(|()| File::open(data_dir)?.sync_all());
        replaced.map_err(|source| {
            // A draft that stays behind holds a key that nobody uses.
            let _ = std::fs::remove_file(&draft);
            MasterKeyProblem::Io { path, source }
        })
    }

    fn load_or_create(data_dir: &Path) -> Result<Self, MasterKeyProblem> {
        let path = data_dir.join(FILE_NAME);
        let problem = |source| MasterKeyProblem::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                create(data_dir, &path).map_err(problem)?;
                File::open(&path)
            }
            opened => opened,
        }
        .map_err(problem)?;
        // Asked of the open file: the name may come to mean another one.
        let mode = file.metadata().map_err(problem)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(MasterKeyProblem::Exposed { path, mode });
        }
        let mut text = String::new();
        match file.take(FILE_BYTES_MAX).read_to_string(&mut text) {
            Ok(_) => {}
            // Not even text.
            Err(error) if error.kind() == ErrorKind::InvalidData => text.clear(),
            Err(error) => return Err(problem(error)),
        }
        Self::parse(&text, &path.display().to_string())
    }

    /// One key, or two in a line each.
    fn parse(text: &str, from: &str) -> Result<Self, MasterKeyProblem> {
        let malformed = || MasterKeyProblem::Malformed { from: from.to_owned() };
        let mut keys = text.trim().lines().map(|line| parse_key(line).ok_or_else(malformed));
        let key = keys.next().ok_or_else(malformed)??;
        let previous = keys.next().transpose()?;
        if keys.next().is_some() {
            return Err(malformed());
        }
        Ok(Self { key, previous })
    }

    /// The key for one purpose.
    pub fn derive(&self, purpose: Purpose) -> PurposeKey {
        let of = |key: &SecretBox<[u8; 32]>| {
            SecretBox::new(Box::new(mac(key.expose_secret(), purpose.label())))
        };
        PurposeKey { key: of(&self.key), previous: self.previous.as_ref().map(of) }
    }

    /// Tells one master key from another and reveals nothing of it. Kept beside the sealed
    /// secrets, it lets a start with the wrong key be refused instead of failing much later.
    pub fn fingerprint(&self) -> String {
        hex(&mac(self.key.expose_secret(), b"fingerprint")[..8])
    }
}

/// Writes a new key under another name and then links it to the real one, which fails when
/// somebody else was faster: so the file is either absent or whole, and never replaced.
fn create(data_dir: &Path, path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let draft = draft_of(data_dir);
    let key = SecretBox::new(Box::new(rand::random::<[u8; 32]>()));
    let linked = write_keys(&draft, [&key]).and_then(|()| std::fs::hard_link(&draft, path));
    // A draft that stays behind holds a key that nobody uses.
    let _ = std::fs::remove_file(&draft);
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Secrets will be sealed with this key at once, so its name must survive a power cut too.
    File::open(data_dir)?.sync_all()
}

fn draft_of(data_dir: &Path) -> PathBuf {
    data_dir.join(format!(".{FILE_NAME}.{:016x}", rand::random::<u64>()))
}

fn write_keys<'a>(
    draft: &Path,
    keys: impl IntoIterator<Item = &'a SecretBox<[u8; 32]>>,
) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    for key in keys {
        file.write_all(hex(key.expose_secret()).as_bytes())?;
        file.write_all(b"\n")?;
    }
    file.sync_all()
}

/// 64 hexadecimal digits.
fn parse_key(text: &str) -> Option<SecretBox<[u8; 32]>> {
    let digits = text.trim().as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut key = SecretBox::new(Box::new([0; 32]));
    let bytes: &mut [u8; 32] = key.expose_secret_mut();
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high << 4 | low) as u8;
    }
    Some(key)
}

fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key)
        .expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// What is stored of a token that was drawn at random: a fast hash is enough, since it cannot be
/// guessed.
pub fn token_hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key for one purpose, and while the master key is being replaced the one before.
pub struct PurposeKey {
    key: SecretBox<[u8; 32]>,
    previous: Option<SecretBox<[u8; 32]>>,
}

/// What is stored cannot be opened: another key, another owner, or not what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed text cannot be opened with this key and owner")]
pub struct OpenProblem;

impl PurposeKey {
    /// Encrypts for storage with AES-256-GCM. `aad` names the owner of the secret, such as the
    /// id of its row: only with the same one can it be opened, so rows cannot be swapped.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> String {
        // Drawn at random: a repetition is unlikely below some billions of secrets per key.
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let sealed = cipher(&self.key)
            .encrypt(&nonce.into(), Payload { msg: plaintext, aad })
            .expect("only texts of many gigabytes are too long for this cipher");
        URL_SAFE_NO_PAD.encode([&[VERSION], &nonce[..], &sealed].concat())
    }

    /// Decrypts what [`PurposeKey::seal`] made for the same owner.
    ///
    /// # Errors
    /// [`OpenProblem`], which does not say more: the reasons cannot be told apart.
    pub fn open(&self, aad: &[u8], sealed: &str) -> Result<SecretSlice<u8>, OpenProblem> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| OpenProblem)?;
        let body = bytes.strip_prefix(&[VERSION]).ok_or(OpenProblem)?;
        let (nonce, msg) = body.split_first_chunk::<NONCE_BYTES>().ok_or(OpenProblem)?;
        let keys = std::iter::once(&self.key).chain(&self.previous);
        let mut opened =
            keys.map(|key| cipher(key).decrypt(nonce.into(), Payload { msg, aad }).ok());
        opened.find_map(|opened| opened).map(SecretSlice::from).ok_or(OpenProblem)
    }

    /// HMAC-SHA256 of a message: tokens, cache indexes and pseudonyms.
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        mac(self.key.expose_secret(), message)
    }
}

fn cipher(key: &SecretBox<[u8; 32]>) -> Aes256Gcm {
    Aes256Gcm::new(key.expose_secret().into())
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}

impl fmt::Debug for PurposeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PurposeKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            let name = format!("babysea-secrets-{:016x}", rand::random::<u64>());
            Self(std::env::temp_dir().join(name))
        }
        fn key_file(&self, text: &str, mode: u32) -> PathBuf {
            std::fs::create_dir_all(&self.0).unwrap();
            let path = self.0.join(FILE_NAME);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn key() -> MasterKey {
        MasterKey::parse(&"0b".repeat(32), "test").unwrap()
    }

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let directory = Directory::new();
        let nested = directory.0.join("a/b");
        let first = MasterKey::load_or_create(&nested).unwrap().fingerprint();
        assert_eq!(MasterKey::load_or_create(&nested).unwrap().fingerprint(), first);
        let mode = std::fs::metadata(nested.join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&nested).unwrap().count(), 1, "no drafts stay behind");
    }

    #[test]
    fn processes_that_start_together_agree() {
        let directory = Directory::new();
        let fingerprints: Vec<String> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| MasterKey::load_or_create(&directory.0).unwrap()))
                .collect();
            starts.into_iter().map(|start| start.join().unwrap().fingerprint()).collect()
        });
        assert!(fingerprints.iter().all(|fingerprint| *fingerprint == fingerprints[0]));
    }

    #[test]
    fn while_a_key_is_replaced_what_was_sealed_before_can_be_opened() {
        let directory = Directory::new();
        let purpose = Purpose::WebhookSecrets;
        let before = MasterKey::load_or_create(&directory.0).unwrap();
        let sealed = before.derive(purpose).seal(b"", b"secret");
        let begun = MasterKey::begin_replacement(&directory.0).unwrap();
        assert_ne!(begun.fingerprint(), before.fingerprint());
        // As after a crash: whoever loads it has both, and going on makes no third one.
        let both = MasterKey::load_or_create(&directory.0).unwrap();
        assert!(both.derive(purpose).open(b"", &sealed).is_ok());
        let again = MasterKey::begin_replacement(&directory.0).unwrap();
        assert_eq!(again.fingerprint(), begun.fingerprint());
        let resealed = again.derive(purpose).seal(b"", b"secret");
        again.end_replacement(&directory.0).unwrap();
        let after = MasterKey::load_or_create(&directory.0).unwrap();
        assert_eq!(after.fingerprint(), begun.fingerprint());
        assert!(after.derive(purpose).open(b"", &resealed).is_ok());
        assert!(after.derive(purpose).open(b"", &sealed).is_err());
        assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 1, "no drafts stay behind");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let directory = Directory::new();
            directory.key_file(&"0b".repeat(32), mode);
            let problem = MasterKey::load_or_create(&directory.0).unwrap_err().to_string();
            assert!(problem.contains("chmod 600"), "{problem}");
        }
    }

    #[test]
    fn a_damaged_key_is_refused_and_kept() {
        for text in ["", "0b", &"0g".repeat(32), &"0b".repeat(33), "\u{e9}".repeat(32).as_str()] {
            let directory = Directory::new();
            let path = directory.key_file(text, 0o600);
            let problem = MasterKey::load_or_create(&directory.0).unwrap_err();
            assert!(matches!(problem, MasterKeyProblem::Malformed { .. }), "{problem}");
            assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        }
    }

    #[test]
    fn what_is_sealed_opens_only_for_its_owner_and_purpose() {
        let webhooks = key().derive(Purpose::WebhookSecrets);
        let sealed = webhooks.seal(b"endpoint 1", b"whsec_abc");
        assert_eq!(webhooks.open(b"endpoint 1", &sealed).unwrap().expose_secret(), b"whsec_abc");
        assert_eq!(webhooks.open(b"endpoint 2", &sealed).unwrap_err(), OpenProblem);
        let other = key().derive(Purpose::KeyCache);
        assert_eq!(other.open(b"endpoint 1", &sealed).unwrap_err(), OpenProblem);
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is() {
        let key = key().derive(Purpose::WebhookSecrets);
        let sealed = URL_SAFE_NO_PAD.decode(key.seal(b"", b"secret")).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(b"", &URL_SAFE_NO_PAD.encode(changed)).is_err(), "byte {at}");
            assert!(key.open(b"", &URL_SAFE_NO_PAD.encode(&sealed[..at])).is_err());
        }
        assert!(key.open(b"", "not base64!").is_err());
    }

    #[test]
    fn the_same_text_is_never_sealed_alike() {
        let key = key().derive(Purpose::WebhookSecrets);
        assert_ne!(key.seal(b"", b"secret"), key.seal(b"", b"secret"));
    }

    /// Stored data depends on these: they may never change.
    #[test]
    fn derived_keys_stay_what_they_are() {
        let first = |purpose| hex(&key().derive(purpose).key.expose_secret()[..4]);
        let found = [
            first(Purpose::WebhookSecrets),
            first(Purpose::CallbackTokens),
            first(Purpose::KeyCache),
            first(Purpose::IpHash),
            first(Purpose::SandboxCallbacks),
        ];
        assert_eq!(found, ["45f12348", "1c859d39", "81e0d688", "169ff3a3", "4e87cbd0"]);
        // Made by another implementation of the cipher.
        let sealed = "AQABAgMEBQYHCAkKCy685CwX_XxRz-r2RyG93l40lulN7i24z-hKozYK";
        let opened = key().derive(Purpose::WebhookSecrets).open(b"owner", sealed).unwrap();
        assert_eq!(opened.expose_secret(), b"whsec_example");
    }

    #[test]
    fn keys_are_not_printed() {
        let printed = format!("{:?} {:?}", key(), key().derive(Purpose::IpHash));
        assert_eq!(printed, "MasterKey([redacted]) PurposeKey([redacted])");
    }
}
