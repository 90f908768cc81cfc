//! Files that no generation has: a process that dies exactly while it stores a result of what is
//! being deleted leaves some behind, and a record can be gone before its files.

use std::collections::HashSet;
use std::time::Duration;

use actors::id::{AccountId, GenerationId};
use actors::ports::StoreError;
use actors::ports::retention::{GenerationKey, RetentionStore};
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use tokio::time::sleep;

use crate::outputs::{Outputs, failed};

/// Files in a page: as many as S3 lists at once.
const PAGE: usize = 1000;
/// Between two pages others come to their turn.
const PAUSE: Duration = Duration::from_millis(200);

impl Outputs {
    /// Looks through everything that is stored, page by page, and removes what is from before that
    /// time and of no generation that may have files. What is not ours is left alone. Answers how
    /// many files it has removed.
    ///
    /// # Errors
    /// A store could not; what was removed stays removed.
    pub async fn remove_orphans(
        &self,
        generations: &dyn RetentionStore,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut files: BoxStream<'static, _> = self.objects.list(None);
        let mut removed = 0;
        loop {
            let page: Vec<ObjectMeta> =
                files.by_ref().take(PAGE).try_collect().await.map_err(failed)?;
            let is_last = page.len() < PAGE;
            removed += self.remove_orphans_of(page, generations, before).await?;
            if is_last {
                return Ok(removed);
            }
            sleep(PAUSE).await;
        }
    }

    async fn remove_orphans_of(
        &self,
        page: Vec<ObjectMeta>,
        generations: &dyn RetentionStore,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let old = page.into_iter().filter(|file| file.last_modified < before);
        let ours = old.filter_map(|file| Some((owner(&file.location)?, file.location)));
        let files: Vec<(GenerationKey, Path)> = ours.collect();
        let mut owners: Vec<GenerationKey> = files.iter().map(|(owner, _)| *owner).collect();
        owners.sort_unstable();
        owners.dedup();
        if owners.is_empty() {
            return Ok(0);
        }
        let keepers = generations.list_keepers_any_account(&owners).await?;
        let keepers: HashSet<GenerationKey> = keepers.into_iter().collect();
        let mut removed = 0;
        for (owner, location) in files {
            if keepers.contains(&owner) {
                continue;
            }
            match self.objects.delete(&location).await {
                Ok(()) => removed += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(removed)
    }
}

/// Whose file it is; `None` for what is not an output.
fn owner(location: &Path) -> Option<GenerationKey> {
    let mut parts = location.parts();
    let (account_id, id, _file) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none();
    let account_id = AccountId::parse(account_id.as_ref()).filter(|_| whole)?;
    Some((account_id, GenerationId::parse(id.as_ref())?))
}
