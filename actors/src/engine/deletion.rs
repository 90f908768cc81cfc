//! Deleting a generation with everything that is stored of it.

use tokio::sync::{Mutex, MutexGuard};

use crate::batch::DeleteRefusal;
use crate::engine::{CancelError, Engine, shard, stopped};
use crate::id::{AccountId, GenerationId};
use crate::ports::StoreError;

/// Deletions of different generations that may be under way at once.
const TURNS: usize = 64;

/// Why a generation was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// There is none.
    #[error("no such generation")]
    NotFound,
    /// Its files could not be removed; it is still there.
    #[error("its files could not be removed")]
    Outputs(#[source] StoreError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Of two deletions of one generation the second waits, so that each says truly what it has
/// removed.
pub(super) struct Turns([Mutex<()>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self([const { Mutex::const_new(()) }; TURNS])
    }
}

impl Turns {
    pub(super) async fn take(&self, id: GenerationId) -> MutexGuard<'_, ()> {
        self.0[shard(id.0.as_u128(), TURNS)].lock().await
    }
}

impl Engine {
    /// Deletes a generation with its files, and cancels it first when it is in flight. Answers
    /// how many files it has removed. Stopped at any line, repeating it does what is left: the
    /// row goes last, and as long as it is there its files can be found.
    ///
    /// # Errors
    /// [`DeleteError`].
    pub async fn delete(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<u64, DeleteError> {
        let engine = self.clone();
        // A task of its own: a caller that hangs up must not leave it half done.
        let deleted = actix_rt::spawn(async move {
            let found = engine.env().generations.find(account_id, id).await?;
            let generation = found.ok_or(DeleteError::NotFound)?;
            if !generation.status().is_terminal() {
                match engine.cancel(account_id, id).await {
                    // Whoever was faster has ended it too, or deleted it.
                    Ok(_) | Err(CancelError::Refused(_)) => {}
                    Err(CancelError::Store(error)) => return Err(error.into()),
                }
            }
            engine.delete_ended(account_id, id).await
        });
        deleted.await.unwrap_or_else(|_| Err(DeleteError::Store(stopped())))
    }

    async fn delete_ended(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<u64, DeleteError> {
        let _turn = self.inner.deletions.take(id).await;
        let env = self.env();
        let folder = env.outputs.folder(account_id, id);
        let removed = env.outputs.remove(&folder).await.map_err(DeleteError::Outputs)?;
        match env.generations.delete(account_id, id).await? {
            Ok(()) => {}
            Err(DeleteRefusal::NotFound) => return Err(DeleteError::NotFound),
            Err(DeleteRefusal::InFlight) => {
                let revived = format!("generation {id} had ended and is in flight");
                return Err(DeleteError::Store(StoreError::Corrupt(revived)));
            }
        }
        // What an actor has stored meanwhile. What it stores from now on it removes itself,
        // when it finds the row gone.
        let late = env.outputs.remove(&folder).await.unwrap_or_else(|error| {
            tracing::warn!(generation = %id, %error, "files that came late may be left");
            0
        });
        Ok(removed + late)
    }
}

#[cfg(test)]
mod tests;
