//! Where outputs are kept: any object store, a local directory by default.

pub mod bucket;
pub mod download;
pub mod orphans;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actors::id::{AccountId, GenerationId};
use actors::ports::{OutputStore, StoreError, TakeOverError};
use anyhow::Context;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use providers::media::{self, SNIFF_BYTES};
use providers::{OutputFile, OutputFormat};
use tokio::time::timeout;

use crate::config::OutputsConfig;
use crate::outputs::download::{Download, Downloads};

/// Files up to this size are stored in one go; longer ones in parts of it, so that a film takes
/// no more memory than a picture. S3 takes no parts below 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Parts on their way to the store at once.
const PARTS_IN_FLIGHT_MAX: usize = 2;
/// Pictures that have to be converted are held in memory: more than any model makes.
const CONVERTED_BYTES_MAX: usize = 64 << 20;

/// How long the store may take to remove the files of one generation.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the store of outputs is called towards clients.
pub const BUCKET: &str = "outputs";

/// Outputs in an object store.
pub struct Outputs {
    objects: Arc<dyn ObjectStore>,
    /// Where the objects are files.
    directory: Option<PathBuf>,
    downloads: Downloads,
}

impl Outputs {
    /// Outputs where the settings say.
    ///
    /// # Errors
    /// A directory that cannot be made, a bucket that cannot be named. Whether a bucket is there
    /// shows when it is used: a server must start while it is not.
    pub fn open(config: &OutputsConfig, downloads: Downloads) -> anyhow::Result<Self> {
        match config {
            OutputsConfig::Directory(directory) => Self::local(directory, downloads),
            OutputsConfig::Bucket(bucket) => Ok(Self::new(bucket::open(bucket)?, downloads)),
        }
    }

    /// Outputs in any object store.
    pub fn new(objects: Arc<dyn ObjectStore>, downloads: Downloads) -> Self {
        Self { objects, directory: None, downloads }
    }

    /// Outputs in a local directory, which is made if it is not there. Every file is on disk
    /// before it counts as stored: a generation must not succeed with an output that a power
    /// cut takes away.
    pub fn local(directory: &Path, downloads: Downloads) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let files = LocalFileSystem::new_with_prefix(directory)
            .with_context(|| format!("cannot use {}", directory.display()))?
            .with_fsync(true);
        let mut outputs = Self::new(Arc::new(files), downloads);
        outputs.directory = Some(directory.to_owned());
        Ok(outputs)
    }

    /// The object store, for serving what is in it.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Stores a file that arrives piece by piece, once it is known to be what was asked for.
    async fn receive(
        &self,
        key: &str,
        mut download: Download,
        format: OutputFormat,
    ) -> Result<u64, TakeOverError> {
        let mut start = BytesMut::new();
        let mut ended = !fill(&mut download, &mut start, SNIFF_BYTES).await?;
        let found = media::sniff(&start);
        if found != Some(format) {
            // A page or a film needs no further reading to be refused.
            let convertible = |format| format != OutputFormat::Mp4;
            if found.is_some_and(convertible) && convertible(format) {
                ended = !fill(&mut download, &mut start, CONVERTED_BYTES_MAX).await?;
                if !ended {
                    return Err(TakeOverError::Refused(
                        "The output is too large to be converted.".to_owned(),
                    ));
                }
            }
            return self.store_converted(key, start.freeze(), format).await;
        }
        if !ended {
            ended = !fill(&mut download, &mut start, PART_BYTES).await?;
        }
        if ended {
            let length = start.len() as u64;
            self.put(key, start.freeze()).await?;
            return Ok(length);
        }
        self.store_in_parts(key, start.freeze(), download).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), TakeOverError> {
        let stored = self.objects.put(&path(key)?, PutPayload::from_bytes(bytes)).await;
        stored.map(drop).map_err(unstorable)
    }

    async fn store_converted(
        &self,
        key: &str,
        bytes: Bytes,
        format: OutputFormat,
    ) -> Result<u64, TakeOverError> {
        let converted = media::in_format(bytes, format).await;
        let bytes = converted.map_err(|misfit| TakeOverError::Refused(sentence(&misfit)))?;
        let length = bytes.len() as u64;
        self.put(key, bytes).await?;
        Ok(length)
    }

    /// Nothing is seen under `key` before the last part is there.
    async fn store_in_parts(
        &self,
        key: &str,
        start: Bytes,
        mut download: Download,
    ) -> Result<u64, TakeOverError> {
        let upload = self.objects.put_multipart(&path(key)?).await.map_err(unstorable)?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        parts.put(start);
        loop {
            let more = match parts.wait_for_capacity(PARTS_IN_FLIGHT_MAX).await {
                Ok(()) => download.next().await,
                Err(error) => Err(unstorable(error)),
            };
            match more {
                Ok(Some(bytes)) => parts.put(bytes),
                Ok(None) => break,
                Err(error) => {
                    // What is left of it is a matter of the store's own cleaning.
                    let _ = parts.abort().await;
                    return Err(error);
                }
            }
        }
        parts.finish().await.map_err(unstorable)?;
        Ok(download.read())
    }
}

/// Reads on until there are at least so many bytes. Answers whether there may be more.
async fn fill(
    download: &mut Download,
    into: &mut BytesMut,
    bytes: usize,
) -> Result<bool, TakeOverError> {
    while into.len() < bytes {
        match download.next().await? {
            Some(more) => into.extend_from_slice(&more),
            None => return Ok(false),
        }
    }
    Ok(true)
}

fn path(key: &str) -> Result<Key, StoreError> {
    Key::parse(key).map_err(failed)
}

/// A problem as a sentence for the owner of a generation.
fn sentence(problem: &dyn std::fmt::Display) -> String {
    let text = problem.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

#[async_trait]
impl OutputStore for Outputs {
    async fn take_over(
        &self,
        key: &str,
        file: &OutputFile,
        format: OutputFormat,
    ) -> Result<u64, TakeOverError> {
        match file {
            OutputFile::Bytes { bytes, format: found } if *found == format => {
                self.put(key, bytes.clone()).await?;
                Ok(bytes.len() as u64)
            }
            OutputFile::Bytes { bytes, .. } => {
                self.store_converted(key, bytes.clone(), format).await
            }
            OutputFile::Url(url) => {
                let download = self.downloads.begin(url).await?;
                self.receive(key, download, format).await
            }
        }
    }

    fn folder(&self, account_id: AccountId, id: GenerationId) -> String {
        format!("{account_id}/{id}")
    }

    async fn remove(&self, folder: &str) -> Result<u64, StoreError> {
        let removed = timeout(REMOVE_TIMEOUT, self.remove_all(folder)).await;
        removed.unwrap_or_else(|_| Err(failed("the store did not answer in time")))
    }
}

impl Outputs {
    async fn remove_all(&self, folder: &str) -> Result<u64, StoreError> {
        let path = path(folder)?;
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

/// A bucket that is not there, or that we may not write to, takes nothing a moment later either.
fn unstorable(error: object_store::Error) -> TakeOverError {
    use object_store::Error;
    match error {
        Error::NotFound { .. } | Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            tracing::error!(%error, "the store of outputs refuses to take any");
            TakeOverError::Unstorable("The output could not be stored.".to_owned())
        }
        error => TakeOverError::Store(failed(error)),
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Database(error.into())
}

#[cfg(test)]
mod tests;
