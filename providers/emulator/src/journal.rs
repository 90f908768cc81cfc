//! What was asked and what was called, for tests and for the curious. Keys are not written down.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::faults::CallFault;
use crate::settings::Provider;

/// The last things that happened.
pub(crate) struct Journal {
    max: usize,
    entries: Mutex<VecDeque<Entry>>,
}

/// One of them.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Entry {
    Request {
        at: DateTime<Utc>,
        provider: Provider,
        method: String,
        path: String,
        headers: Vec<(String, String)>,
        /// Parsed if it was JSON, without pictures.
        body: Value,
        /// What was answered; absent when the connection was cut.
        status: Option<u16>,
        fault: Option<CallFault>,
    },
    Callback {
        at: DateTime<Utc>,
        provider: Provider,
        job: String,
        /// What the receiver said; absent when it could not be reached.
        status: Option<u16>,
    },
}

/// What carries a credential.
const SECRET_HEADERS: [&str; 3] = ["authorization", "x-key", "x-auth-key"];

impl Journal {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, entries: Mutex::default() }
    }

    pub(crate) fn note(&self, entry: Entry) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push_back(entry);
        while entries.len() > self.max {
            entries.pop_front();
        }
    }

    pub(crate) fn note_callback(
        &self,
        at: DateTime<Utc>,
        provider: Provider,
        job: &str,
        status: Option<u16>,
    ) {
        self.note(Entry::Callback { at, provider, job: job.to_owned(), status });
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A header as it is written down.
pub(crate) fn shown(name: &str, value: &str) -> (String, String) {
    let secret = SECRET_HEADERS.contains(&name);
    (name.to_owned(), if secret { "[redacted]".to_owned() } else { value.to_owned() })
}
