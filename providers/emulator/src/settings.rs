//! What an emulator is set up with: a TOML file, of which every part may be left out.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::faults::Faults;

/// One of the providers whose wires are spoken; its text is the first part of its paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "these are names of companies")]
pub enum Provider {
    Replicate,
    Fal,
    Bfl,
    OpenAi,
    Cloudflare,
    BytePlus,
    AlibabaCloud,
    Runway,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Replicate,
        Self::Fal,
        Self::Bfl,
        Self::OpenAi,
        Self::Cloudflare,
        Self::BytePlus,
        Self::AlibabaCloud,
        Self::Runway,
    ];

    /// The name in paths, files and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replicate => "replicate",
            Self::Fal => "fal",
            Self::Bfl => "bfl",
            Self::OpenAi => "openai",
            Self::Cloudflare => "cloudflare",
            Self::BytePlus => "byteplus",
            Self::AlibabaCloud => "alibabacloud",
            Self::Runway => "runway",
        }
    }

    /// Where its API begins, below the emulator's address.
    pub fn base_path(self) -> &'static str {
        match self {
            Self::Replicate => "/replicate/v1",
            Self::Fal => "/fal/queue",
            Self::Bfl => "/bfl",
            Self::OpenAi => "/openai/v1",
            Self::Cloudflare => "/cloudflare/client/v4",
            Self::BytePlus => "/byteplus/api/v3",
            Self::AlibabaCloud => "/alibabacloud/api/v1",
            Self::Runway => "/runway",
        }
    }

    /// A key of the form that it hands out.
    pub fn sample_key(self) -> &'static str {
        match self {
            Self::Replicate => "r8_emulated",
            Self::Fal => "emulated:emulated",
            Self::OpenAi | Self::AlibabaCloud => "sk-emulated",
            Self::Runway => "key_emulated",
            Self::Bfl | Self::Cloudflare | Self::BytePlus => "emulated",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == text)
    }
}

/// The whole emulator.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// Threads that answer requests.
    pub workers: usize,
    /// How it is reached from outside, for the URLs that it hands out. Otherwise they follow the
    /// `Host` of each request.
    pub public_url: Option<Url>,
    /// Repeats a run: ids, times and faults. Otherwise they follow the time of the start, so
    /// that ids of different runs differ.
    pub seed: Option<u64>,
    /// What keys and the addresses of files are made of; otherwise the seed. With one of its own
    /// they stay good when it is started again.
    #[serde(skip)]
    pub secret: Option<String>,
    /// A folder for jobs, so that they outlive the process; otherwise they are in memory only.
    pub jobs_dir: Option<PathBuf>,
    /// How far the clock of the providers is wrong, in seconds.
    pub clock_offset_seconds: i32,
    /// The secret of Standard Webhooks, `whsec_…`; Replicate and OpenAI sign with it.
    pub webhook_secret: String,
    /// Multiplies the waits between tries of a webhook.
    pub webhook_wait_scale: f64,
    /// How many jobs each provider remembers; beyond that the oldest are forgotten.
    pub jobs_max: usize,
    /// How many requests `GET /admin/log` tells of.
    pub log_max: usize,
    /// A prompt with one of these words is refused as unsafe.
    pub refused_words: Vec<String>,
    /// What the providers are not known to do in one way or another.
    pub quirks: Quirks,
    /// By provider; what is not named has the usual limits and no faults.
    pub providers: BTreeMap<Provider, ProviderSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8787)),
            workers: 2,
            public_url: None,
            seed: None,
            secret: None,
            jobs_dir: None,
            clock_offset_seconds: 0,
            // 24 bytes 00 to 17, which nobody takes for a real secret.
            webhook_secret: "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX".to_owned(),
            webhook_wait_scale: 1.0,
            jobs_max: 50_000,
            log_max: 2_000,
            refused_words: vec!["nsfw".to_owned()],
            quirks: Quirks::default(),
            providers: BTreeMap::new(),
        }
    }
}

/// Where the sources disagree or are silent (`spec/providers.md`, section 13).
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Replicate's 429 carries `Retry-After`.
    pub replicate_retry_after: bool,
    /// The status with which fal answers a cancel in the queue.
    pub fal_cancel_status: u16,
    /// BFL signs its webhooks.
    pub bfl_signs: bool,
    /// The status with which BFL says `Task not found`.
    pub bfl_not_found_status: u16,
    /// ModelArk's 429 carries `Retry-After`.
    pub byteplus_retry_after: bool,
    /// The status with which Runway answers a deletion.
    pub runway_delete_status: u16,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            replicate_retry_after: true,
            fal_cancel_status: 200,
            bfl_signs: true,
            bfl_not_found_status: 200,
            byteplus_retry_after: false,
            runway_delete_status: 204,
        }
    }
}

/// One provider.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderSettings {
    /// The keys that are let in; without any, every key of the right form is.
    pub keys: Vec<String>,
    /// Submits per minute and key, instead of the usual.
    pub per_minute: Option<u32>,
    /// How many jobs of a key run at once, instead of the usual. What the provider does with
    /// more is its own affair.
    pub concurrency: Option<usize>,
    /// The median time that a job runs, in milliseconds, instead of what its model takes.
    pub run_ms: Option<u64>,
    /// The median time that it waits before, in milliseconds, instead of a moment.
    pub queue_ms: Option<u64>,
    /// Where events go, for a provider that is told so once and not with each request (OpenAI).
    pub webhook_url: Option<Url>,
    /// How often it fails, from the start.
    pub faults: Faults,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is not there.
    #[error("{path} cannot be read")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no TOML, or not ours.
    #[error("{path} makes no sense: {source}")]
    Parse {
        /// Which file.
        path: String,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value is out of its range.
    #[error("{0}")]
    Value(String),
}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// [`SettingsError`] says what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Read { path: shown.clone(), source })?;
        let settings: Self = toml::from_str(&text)
            .map_err(|source| SettingsError::Parse { path: shown, source: Box::new(source) })?;
        settings.check()?;
        Ok(settings)
    }

    /// The start of its addresses, for what nobody has asked for just now.
    pub(crate) fn origin(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }

    /// What serde cannot check.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let refuse = |text: String| Err(SettingsError::Value(text));
        if self.workers == 0 || self.jobs_max == 0 {
            return refuse("workers and jobs_max have to be at least 1".to_owned());
        }
        if self.clock_offset_seconds.abs() > 366 * 24 * 3600 {
            return refuse("clock_offset_seconds has to be within a year".to_owned());
        }
        if !(0.0..=1000.0).contains(&self.webhook_wait_scale) {
            return refuse("webhook_wait_scale has to be between 0 and 1000".to_owned());
        }
        for (provider, settings) in &self.providers {
            let name = provider.as_str();
            if settings.concurrency == Some(0) || settings.per_minute == Some(0) {
                return refuse(format!("the limits of {name} have to be at least 1"));
            }
            settings
                .faults
                .check()
                .or_else(|why| refuse(format!("the faults of {name}: {why}")))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let settings: Settings = toml::from_str(text).map_err(|error| error.to_string())?;
        settings.check().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    /// The file that shows every setting.
    const SHOWN: &str = include_str!("../../../config/emulator.toml");

    #[test]
    fn the_file_that_shows_every_setting_shows_the_defaults() {
        let (shown, usual) = (read(SHOWN).unwrap(), Settings::default());
        assert_eq!(format!("{shown:?}"), format!("{usual:?}"));
    }

    #[test]
    fn what_the_file_shows_in_comments_can_be_set() {
        let start = SHOWN.find("# [providers.fal]").unwrap();
        let lines = SHOWN[start..].lines().map(|line| line.trim_start_matches("# "));
        let is_setting = |line: &&str| line.contains(" = ") || line.starts_with('[');
        let text: Vec<&str> = lines.filter(is_setting).filter(|line| !line.contains('…')).collect();
        let settings = read(&text.join("\n")).unwrap();
        let fal = &settings.providers[&Provider::Fal];
        assert_eq!((fal.concurrency, fal.faults.hang_ms), (Some(2), Some(120_000)));
        let known = serde_json::to_value(&fal.faults).unwrap();
        for name in known.as_object().unwrap().keys() {
            assert!(SHOWN.contains(&format!("# {name} = ")), "{name} is not shown");
        }
    }

    #[test]
    fn every_part_of_the_file_may_be_left_out() {
        assert_eq!(read("").unwrap().providers.len(), 0);
        let some = "[providers.fal]\nrun_ms = 5\n[providers.fal.faults]\nserver_error = 0.5\n";
        let settings = read(some).unwrap();
        let fal = &settings.providers[&Provider::Fal];
        assert_eq!((fal.run_ms, fal.faults.server_error), (Some(5), 0.5));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "sped = 1",
            "workers = 0",
            "[providers.midjourney]\n",
            "[providers.fal]\nconcurrency = 0",
            "[providers.fal.faults]\nserver_error = 1.5",
            "[providers.fal.faults]\nserver_error = 0.6\ngarbage = 0.6",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_spelled_as_in_files() {
        for provider in Provider::ALL {
            let json = serde_json::to_value(provider).unwrap();
            assert_eq!(json, provider.as_str());
            assert_eq!(Provider::parse(provider.as_str()), Some(provider));
        }
    }
}
