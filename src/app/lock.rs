//! One server for each data directory and each SQLite file.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;

use crate::config::Database;

/// Held as long as the server runs; the operating system lets go of it however it ends.
#[derive(Debug)]
pub(super) struct ServerLock {
    _files: Vec<File>,
}

impl ServerLock {
    /// Takes the data directory, which is made if it is not there, and the SQLite file, which
    /// need not be in it. PostgreSQL has a lock of its own, see `Db::lock_server`.
    pub(super) fn take(directory: &Path, database: &Database) -> anyhow::Result<Self> {
        // Nobody else's: prompts and hashes are in there.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("cannot make the data directory {}", directory.display()))?;
        let what = format!("the data directory {}", directory.display());
        let mut files = vec![lock(&directory.join("server.lock"), &what)?];
        if let Database::Sqlite(path) = database {
            let beside = format!("{}-server", path.display());
            files.push(lock(Path::new(&beside), &format!("the database {}", path.display()))?);
        }
        Ok(Self { _files: files })
    }
}

fn lock(path: &Path, what: &str) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => anyhow::bail!(
            "another server runs on {what}; stop it, or give this one another --data-dir and \
             --database-url"
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}
