//! Where outputs are kept: any object store, a local directory by default.

use std::path::Path;
use std::sync::Arc;

use actors::id::{AccountId, GenerationId};
use actors::ports::{OutputStore, StoreError};
use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
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
        Ok(Self { objects: Arc::new(files), folder_key })
    }

    /// The object store, for serving what is in it.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }
}

#[async_trait]
impl OutputStore for Outputs {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Database(error);
        let path = object_store::path::Path::parse(key).map_err(|error| failed(error.into()))?;
        let stored = self.objects.put(&path, PutPayload::from_bytes(bytes)).await;
        stored.map(drop).map_err(|error| failed(error.into()))
    }

    fn folder(&self, account_id: AccountId, id: GenerationId) -> String {
        let secret = self.folder_key.mac(id.0.as_bytes());
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{account_id}/{id}-{}", &secret[..SECRET_DIGITS])
    }
}
