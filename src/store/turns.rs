//! Whose turn it is to write to SQLite.
//!
//! It has one writer at a time, and whoever finds it busy asks again, after waits that grow to a
//! tenth of a second, while others that come later may be luckier. In this process nobody asks:
//! all wait in one line and are called in order. What is left of asking is between processes.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The line in front of one database file.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<()>>);

/// One's turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "held")] OwnedMutexGuard<()>);

impl Turns {
    /// Waits for one's turn, behind all who came before.
    pub(crate) async fn take(&self) -> Turn {
        Turn(Arc::clone(&self.0).lock_owned().await)
    }
}
