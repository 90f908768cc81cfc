//! Reads typed values out of the merged sources and remembers what was read and what was wrong.
//!
//! A value that is wrong is replaced by a placeholder, so that reading goes on and finds the
//! other problems too; [`Reader::finish`] then refuses the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use ::config::{File, FileFormat, Source, Value, ValueKind};
use secrecy::SecretString;

use super::{ConfigProblems, DEFAULTS, Overrides};

/// What the names of our environment variables start with.
const PREFIX: &str = "BABYSEA__";

pub(super) struct Reader {
    /// Every value by its full name, `section.key`.
    values: BTreeMap<String, Value>,
    read: BTreeSet<String>,
    /// At most one problem for each key: the first is the cause of the others.
    problems: BTreeMap<String, String>,
}

impl Reader {
    pub(super) fn new(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        overrides: &Overrides,
    ) -> Result<Self, ConfigProblems> {
        let mut reader =
            Self { values: BTreeMap::new(), read: BTreeSet::new(), problems: BTreeMap::new() };
        reader.add_file(DEFAULTS, None)?;
        if let Some(path) = file {
            let origin = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| ConfigProblems(vec![format!("cannot read {origin}: {error}")]))?;
            reader.add_file(&text, Some(&origin))?;
        }
        reader.add_environment(environment);
        reader.add_overrides(overrides);
        Ok(reader)
    }

    /// The `config` crate could read the file too, but would name it by a path relative to the
    /// working directory, which is not how the operator wrote it.
    fn add_file(&mut self, text: &str, origin: Option<&String>) -> Result<(), ConfigProblems> {
        let tables = File::from_str(text, FileFormat::Toml).collect().map_err(|error| {
            let origin = origin.map_or("config/default.toml", |origin| origin.as_str());
            ConfigProblems(vec![format!("cannot read {origin}: {error}")])
        })?;
        for (section, value) in tables {
            let ValueKind::Table(table) = value.kind else {
                self.values.insert(section, Value::new(origin, value.kind));
                continue;
            };
            for (key, value) in table {
                self.values.insert(format!("{section}.{key}"), Value::new(origin, value.kind));
            }
        }
        Ok(())
    }

    /// The environment is translated here and not by the `config` crate, because there a value
    /// has either no type or is guessed at: a master key such as `12e45` would become a number.
    fn add_environment(&mut self, environment: impl IntoIterator<Item = (OsString, OsString)>) {
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
            let origin = format!("the environment ({name})");
            match value.into_string() {
                Ok(text) => {
                    self.values.insert(key, Value::new(Some(&origin), text));
                }
                Err(_) => {
                    self.problems.insert(key, format!("{origin} is not UTF-8"));
                }
            }
        }
    }

    fn add_overrides(&mut self, overrides: &Overrides) {
        for (key, option, value) in [
            ("server.listen", "--listen", &overrides.listen),
            ("storage.data_dir", "--data-dir", &overrides.data_dir),
            ("storage.database_url", "--database-url", &overrides.database_url),
        ] {
            if let Some(text) = value {
                let origin = format!("the command line ({option})");
                self.values.insert(key.to_owned(), Value::new(Some(&origin), text.as_str()));
            }
        }
    }

    /// Refuses what was wrong or is not a setting at all.
    pub(super) fn finish(mut self) -> Result<(), ConfigProblems> {
        let unknown: Vec<String> =
            self.values.keys().filter(|key| !self.read.contains(*key)).cloned().collect();
        for key in unknown {
            let problem = if self.read.iter().any(|read| read.starts_with(&format!("{key}."))) {
                "is a section, not a setting"
            } else {
                "is not a setting"
            };
            self.problem(&key, problem);
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(ConfigProblems(self.problems.into_values().collect()))
    }

    /// Notes that a setting cannot be used, and where it was set.
    pub(super) fn problem(&mut self, key: &str, what: &str) {
        let origin = self
            .values
            .get(key)
            .map(|value| value.origin().unwrap_or("the built-in defaults"))
            .map(|origin| format!(" (set in {origin})"))
            .unwrap_or_default();
        self.problems.entry(key.to_owned()).or_insert_with(|| format!("`{key}` {what}{origin}"));
    }

    fn take(&mut self, key: &str) -> Option<ValueKind> {
        self.read.insert(key.to_owned());
        let kind = self.values.get(key).map(|value| value.kind.clone());
        if kind.is_none() {
            self.problem(key, "is missing");
        }
        kind
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        match self.take(key) {
            Some(ValueKind::Boolean(flag)) => return flag,
            Some(ValueKind::String(text)) if text == "true" => return true,
            Some(ValueKind::String(text)) if text == "false" => return false,
            _ => self.problem(key, "must be true or false"),
        }
        false
    }

    pub(super) fn integer<T>(&mut self, key: &str, range: RangeInclusive<T>) -> T
    where
        T: Copy + Display + PartialOrd + TryFrom<i64>,
    {
        let number = self.take(key).as_ref().and_then(number);
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = (range.start(), range.end());
                self.problem(key, &format!("must be a whole number from {low} to {high}"));
                *low
            }
        }
    }

    pub(super) fn millis(&mut self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.integer(key, range))
    }

    /// A number of threads, where 0 means one for each core.
    pub(super) fn threads(&mut self, key: &str) -> usize {
        match self.integer(key, 0..=1024) {
            0 => available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// A text; absent when it is empty.
    fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key) {
            Some(ValueKind::String(text)) => Some(text).filter(|text| !text.is_empty()),
            _ => {
                self.problem(key, "must be a text in quotes");
                None
            }
        }
    }

    /// A text that is not repeated in problems.
    pub(super) fn secret(&mut self, key: &str) -> Option<SecretString> {
        self.text(key).map(SecretString::from)
    }

    /// An absolute path, so that messages about it can be understood.
    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.parsed(key, |text| std::path::absolute(text).ok(), "a path")
    }

    /// A text with a meaning; absent when it is empty or cannot be understood.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        let text = self.text(key)?;
        let value = parse(&text);
        if value.is_none() {
            // An address with a user in it may hold a password, which is for nobody's log.
            let shown =
                if text.contains('@') { String::new() } else { format!(", and not {text:?}") };
            self.problem(key, &format!("must be {expected}{shown}"));
        }
        value
    }

    /// A list of texts with a meaning.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Vec<T> {
        let items = self.take(key).and_then(items).unwrap_or_else(|| vec![ValueKind::Nil]);
        let parsed: Option<Vec<T>> = items
            .iter()
            .map(|item| match item {
                ValueKind::String(text) => parse(text),
                _ => None,
            })
            .collect();
        if parsed.is_none() {
            self.problem(key, &format!("must be a list of {expected}"));
        }
        parsed.unwrap_or_default()
    }

    /// A list of so many waiting times in milliseconds, none of them longer than `max`.
    pub(super) fn waits(
        &mut self,
        key: &str,
        count: RangeInclusive<usize>,
        max: u64,
    ) -> Vec<Duration> {
        let items = self.take(key).and_then(items).unwrap_or_default();
        let waits: Option<Vec<Duration>> = items
            .iter()
            .map(|item| {
                let wait = u64::try_from(number(item)?).ok().filter(|wait| *wait <= max)?;
                Some(Duration::from_millis(wait))
            })
            .collect();
        match waits {
            Some(waits) if count.contains(&waits.len()) => waits,
            _ => {
                let (low, high) = (count.start(), count.end());
                self.problem(
                    key,
                    &format!("must be {low} to {high} whole numbers from 0 to {max}"),
                );
                Vec::new()
            }
        }
    }

    /// Notes a problem when the first number is larger than the second.
    pub(super) fn not_above(&mut self, smaller: &str, larger: &str) {
        let value = |key| {
            let value = self.values.get(key).filter(|_| !self.problems.contains_key(key));
            value.and_then(|value| number(&value.kind))
        };
        if let (Some(one), Some(other)) = (value(smaller), value(larger))
            && one > other
        {
            self.problem(smaller, &format!("is {one} and must not exceed `{larger}`, {other}"));
        }
    }
}

/// Environment and command line know only text, so a number may be written as one.
fn number(kind: &ValueKind) -> Option<i64> {
    match kind {
        ValueKind::I64(number) => Some(*number),
        ValueKind::U64(number) => i64::try_from(*number).ok(),
        ValueKind::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A list, or a text with commas, which is how the environment writes one.
fn items(kind: ValueKind) -> Option<Vec<ValueKind>> {
    match kind {
        ValueKind::Array(values) => Some(values.into_iter().map(|value| value.kind).collect()),
        ValueKind::String(text) => {
            let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            Some(texts.map(ValueKind::from).collect())
        }
        _ => None,
    }
}
