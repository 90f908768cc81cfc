//! When keys were last used, collected between two writes.

use std::sync::Arc;

use actors::id::ApiKeyId;
use actors::ports::{KeyStore, StoreError};
use chrono::{DateTime, Utc};

use super::bounded::Bounded;

/// Uses since the last write, one per key.
pub(super) struct LastUsed {
    keys: Arc<dyn KeyStore>,
    used: Bounded<ApiKeyId, DateTime<Utc>>,
}

impl LastUsed {
    pub(super) fn new(keys: Arc<dyn KeyStore>, keys_max: usize) -> Self {
        Self { keys, used: Bounded::new(keys_max) }
    }

    pub(super) fn note(&self, id: ApiKeyId, at: DateTime<Utc>) {
        self.used.change(id, |noted| *noted = at.max(*noted));
    }

    /// Writes what was collected. What cannot be written is kept for the next time.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let used = self.used.drain();
        if used.is_empty() {
            return Ok(());
        }
        let written = self.keys.touch_keys(used.clone()).await;
        if written.is_err() {
            for (id, at) in used {
                self.note(id, at);
            }
        }
        written
    }
}
