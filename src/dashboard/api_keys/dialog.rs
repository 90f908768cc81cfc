//! The dialogs of the page, and the form of the one that asks for something.

use std::net::IpAddr;

use actors::api_key::{ApiKey, KeyStatus, Preset};
use actors::id::AccountId;
use actors::ports::KeyRefusal;
use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::Deserialize;

use crate::dashboard::form::sentence;
use crate::error::page::PageError;
use crate::identity::{IdentityError, NewKey};

/// For how long a rotated key may go on, in hours (`spec/dashboard.md` 2.7); the fourth is chosen.
pub(super) const GRACE_HOURS: [(u32, &str); 7] = [
    (1, "1 hour"),
    (6, "6 hours"),
    (12, "12 hours"),
    (24, "24 hours"),
    (48, "48 hours (2 days)"),
    (72, "72 hours (3 days)"),
    (168, "168 hours (7 days)"),
];

/// What is open.
pub(super) enum Dialog {
    Add(AddForm),
    /// A new key, in the clear.
    Created {
        key: String,
    },
    Rotate(Subject),
    /// A new key, in the clear, and until when the old one works.
    Rotated {
        key: String,
        old: String,
        until: Option<DateTime<Utc>>,
    },
    Revoke(Subject),
    Delete(Subject),
}

/// The key that a dialog is about.
pub(super) struct Subject {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) prefix: String,
}

impl Dialog {
    /// The dialog that an address asks for; `None` when the key is not there, or no longer in a
    /// state for it.
    pub(super) fn asked(name: &str, id: &str, keys: &[ApiKey], now: DateTime<Utc>) -> Option<Self> {
        if name == "add" {
            return Some(Self::Add(AddForm::empty(now)));
        }
        let key = keys.iter().find(|key| key.id.to_string() == id)?;
        let status = key.status(now);
        let subject =
            Subject { id: id.to_owned(), name: key.name.clone(), prefix: key.prefix.clone() };
        match name {
            "rotate" if status == KeyStatus::Active => Some(Self::Rotate(subject)),
            "revoke" if status.authenticates() => Some(Self::Revoke(subject)),
            "delete" => Some(Self::Delete(subject)),
            _ => None,
        }
    }
}

/// What was typed.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::dashboard) struct AddIn {
    pub(super) name: String,
    pub(super) preset: String,
    #[serde(default)]
    pub(super) allowed_ips: String,
    #[serde(default)]
    pub(super) expires_on: String,
}

/// The form as it is shown: what was typed, and what is wrong with it.
pub(super) struct AddForm {
    pub(super) typed: AddIn,
    pub(super) errors: Errors,
    /// The first day on which a key may end.
    pub(super) tomorrow: NaiveDate,
}

/// By field; what is about none of them is general.
#[derive(Default)]
pub(super) struct Errors {
    pub(super) name: String,
    pub(super) allowed_ips: String,
    pub(super) expires_on: String,
    pub(super) general: String,
}

impl Errors {
    /// Why a key was not made, at the field that it is about.
    ///
    /// # Errors
    /// When it is not the form's fault.
    pub(super) fn of(error: IdentityError) -> Result<Self, PageError> {
        let mut errors = Self::default();
        match error {
            IdentityError::Invalid { field, problem } => {
                let problem = sentence(&problem);
                match field {
                    "the name" => errors.name = problem,
                    "the expiry date" => errors.expires_on = problem,
                    "the IP allowlist" => errors.allowed_ips = problem,
                    _ => errors.general = problem,
                }
            }
            IdentityError::Key(KeyRefusal::TooMany(max)) => {
                errors.general = format!(
                    "This account has {max} keys that work, which is as many as it may have. \
                     Revoke or delete one first."
                );
            }
            other => return Err(PageError::internal(other)),
        }
        Ok(errors)
    }
}

impl AddForm {
    pub(super) fn new(typed: AddIn, errors: Errors, now: DateTime<Utc>) -> Self {
        Self { typed, errors, tomorrow: tomorrow(now) }
    }

    fn empty(now: DateTime<Utc>) -> Self {
        let typed = AddIn {
            name: String::new(),
            preset: Preset::FullAccess.as_str().to_owned(),
            allowed_ips: String::new(),
            expires_on: String::new(),
        };
        Self::new(typed, Errors::default(), now)
    }

    pub(super) fn presets(&self) -> [PresetChoice; 4] {
        Preset::ALL.map(|preset| PresetChoice {
            value: preset.as_str(),
            title: title(preset),
            text: text(preset),
            is_chosen: self.typed.preset == preset.as_str(),
        })
    }
}

/// A preset as a choice.
pub(super) struct PresetChoice {
    pub(super) value: &'static str,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    pub(super) is_chosen: bool,
}

fn title(preset: Preset) -> &'static str {
    match preset {
        Preset::FullAccess => "Full Access",
        Preset::GenerateOnly => "Generate Only",
        Preset::ReadOnly => "Read Only",
        Preset::MonitorOnly => "Monitor Only",
    }
}

fn text(preset: Preset) -> &'static str {
    match preset {
        Preset::FullAccess => "All permissions - read, write, delete",
        Preset::GenerateOnly => "Create & read generations + browse models",
        Preset::ReadOnly => "Read generations, account info, health - no spending",
        Preset::MonitorOnly => "Health checks & model catalog - no account data",
    }
}

impl AddIn {
    /// What is to be made.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub(super) fn read(&self, account_id: AccountId) -> Result<NewKey, Errors> {
        let mut errors = Errors::default();
        let preset = Preset::parse(&self.preset);
        if preset.is_none() {
            errors.general = "Choose one of the permissions.".to_owned();
        }
        let allowed_ips = addresses(&self.allowed_ips).map_err(|error| errors.allowed_ips = error);
        let expires_at = end_of(&self.expires_on).map_err(|error| errors.expires_on = error);
        match (preset, allowed_ips, expires_at) {
            (Some(preset), Ok(allowed_ips), Ok(expires_at)) => Ok(NewKey {
                account_id,
                name: self.name.clone(),
                scopes: preset.scopes().to_vec(),
                allowed_ips,
                expires_at,
                monthly_limit: None,
            }),
            _ => Err(errors),
        }
    }
}

/// Addresses between commas.
fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let entries = text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    let read = |entry: &str| {
        let refused = || {
            let shown: String = entry.chars().take(60).collect();
            format!("“{shown}” is no IP address. Ranges and names cannot be used here.")
        };
        entry.parse().map_err(|_| refused())
    };
    entries.map(read).collect()
}

/// The end of a day, in UTC.
fn end_of(text: &str) -> Result<Option<DateTime<Utc>>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let end = day.and_then(|day| day.checked_add_days(Days::new(1)));
    let end = end.and_then(|next| next.and_hms_opt(0, 0, 0));
    end.map(|end| Some(end.and_utc())).ok_or_else(|| "This is no date.".to_owned())
}

fn tomorrow(now: DateTime<Utc>) -> NaiveDate {
    now.date_naive().succ_opt().unwrap_or(NaiveDate::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(allowed_ips: &str, expires_on: &str) -> AddIn {
        AddIn {
            name: "ci".to_owned(),
            preset: "read_only".to_owned(),
            allowed_ips: allowed_ips.to_owned(),
            expires_on: expires_on.to_owned(),
        }
    }

    fn read(typed: &AddIn) -> Result<NewKey, Errors> {
        typed.read(AccountId(uuid::Uuid::nil()))
    }

    #[test]
    fn addresses_stand_between_commas() {
        let new = read(&typed(" 203.0.113.7, 2001:db8::1,\n198.51.100.2 ,", "")).ok().unwrap();
        let ips: Vec<String> = new.allowed_ips.iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["203.0.113.7", "2001:db8::1", "198.51.100.2"]);
        assert!(read(&typed("", "")).ok().unwrap().allowed_ips.is_empty());
        for bad in ["10.0.0.0/8", "example.com", "1.2.3.4 5.6.7.8"] {
            let errors = read(&typed(bad, "")).err().unwrap();
            assert!(errors.allowed_ips.contains(bad), "{}", errors.allowed_ips);
        }
    }

    #[test]
    fn a_key_works_until_the_end_of_its_last_day() {
        let new = read(&typed("", "2026-12-31")).ok().unwrap();
        assert_eq!(new.expires_at.unwrap().to_rfc3339(), "2027-01-01T00:00:00+00:00");
        for bad in ["tomorrow", "2026-02-30", "2026-12-31T00:00"] {
            assert!(!read(&typed("", bad)).err().unwrap().expires_on.is_empty(), "{bad}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let typed = AddIn { preset: "root".to_owned(), ..typed("x", "y") };
        let errors = read(&typed).err().unwrap();
        assert!(!errors.general.is_empty() && !errors.allowed_ips.is_empty());
        assert!(!errors.expires_on.is_empty());
    }

    #[test]
    fn presets_are_called_as_documented() {
        let form = AddForm::new(typed("", ""), Errors::default(), DateTime::UNIX_EPOCH);
        let titles = form.presets().map(|preset| (preset.title, preset.is_chosen));
        assert_eq!(titles[2], ("Read Only", true));
        assert_eq!(titles.iter().filter(|(_, chosen)| *chosen).count(), 1);
        assert_eq!(form.tomorrow.to_string(), "1970-01-02");
    }
}
