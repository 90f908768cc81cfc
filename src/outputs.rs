//! Where outputs are kept: any object store, a local directory by default.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actors::id::{AccountId, GenerationId};
use actors::ports::{OutputStore, StoreError};
use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::secrets::PurposeKey;

/// Hexadecimal digits of a folder's secret part: 128 bits.
const SECRET_DIGITS: usize = 32;

/// What the store of outputs is called towards clients.
pub const BUCKET: &str = "outputs";

/// Outputs in an object store.
pub struct Outputs {
    objects: Arc<dyn ObjectStore>,
    /// Where the objects are files.
    directory: Option<PathBuf>,
    folder_key: PurposeKey,
}

impl Outputs {
    /// Outputs in a local directory, which is made if it is not there. Every file is on disk
    /// before it counts as stored: a generation must not succeed with an output that a power
    /// cut takes away.
    pub fn local(directory: &Path, folder_key: PurposeKey) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let files = LocalFileSystem::new_with_prefix(directory)
            .with_context(|| format!("cannot use {}", directory.display()))?
            .with_fsync(true);
        let directory = Some(directory.to_owned());
        Ok(Self { objects: Arc::new(files), directory, folder_key })
    }

    /// The object store, for serving what is in it.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }
}

#[async_trait]
impl OutputStore for Outputs {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let path = object_store::path::Path::parse(key).map_err(failed)?;
        let stored = self.objects.put(&path, PutPayload::from_bytes(bytes)).await;
        stored.map(drop).map_err(failed)
    }

    fn folder(&self, account_id: AccountId, id: GenerationId) -> String {
        let secret = self.folder_key.mac(id.0.as_bytes());
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{account_id}/{id}-{}", &secret[..SECRET_DIGITS])
    }

    async fn remove(&self, folder: &str) -> Result<u64, StoreError> {
        let path = object_store::path::Path::parse(folder).map_err(failed)?;
        let found: Vec<_> = self.objects.list(Some(&path)).try_collect().await.map_err(failed)?;
        let mut removed = 0;
        for object in found {
            match self.objects.delete(&object.location).await {
                Ok(()) => removed += 1,
                // Somebody else was faster, and counts it.
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        if let Some(directory) = &self.directory {
            // What a process that died has begun to write is no object yet.
            match tokio::fs::remove_dir_all(directory.join(folder)).await {
                Ok(()) => {}
                Err(error) if gone_or_in_use(error.kind()) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(removed)
    }
}

/// Nothing was stored, or somebody is storing right now, and sees to it.
fn gone_or_in_use(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty)
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Database(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fakes::purpose_key;
    use crate::secrets::Purpose;

    #[tokio::test]
    async fn a_folder_is_removed_with_what_was_never_finished_and_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let key = purpose_key(Purpose::OutputFolders);
        let outputs = Outputs::local(directory.path(), key).unwrap();
        let account = AccountId(uuid::Uuid::from_u128(1));
        let folder = |id| outputs.folder(account, GenerationId(uuid::Uuid::from_u128(id)));
        for key in ["0.png", "1.png"].map(|name| format!("{}/{name}", folder(1))) {
            outputs.put(&key, Bytes::from_static(b"a picture")).await.unwrap();
        }
        let kept = format!("{}/0.png", folder(2));
        outputs.put(&kept, Bytes::from_static(b"a picture")).await.unwrap();
        std::fs::write(directory.path().join(folder(1)).join("2.png#1"), b"half a p").unwrap();
        assert_eq!(outputs.remove(&folder(1)).await.unwrap(), 2);
        assert!(!directory.path().join(folder(1)).exists());
        assert_eq!(outputs.remove(&folder(1)).await.unwrap(), 0, "repeating it is harmless");
        assert_eq!(outputs.remove(&folder(3)).await.unwrap(), 0, "and so is what never was");
        assert!(directory.path().join(kept).exists());
    }
}
