//! Whether the output store works, found out by using it.

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// A store that takes longer does not work: somebody is waiting for an output.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For so long an answer counts for everybody who asks: each probe waits for the disk, and
/// dashboards of many customers ask at once.
const FRESH: Duration = Duration::from_secs(1);

/// Writes, reads and deletes a small file of its own.
pub struct StorageProbe {
    objects: Arc<dyn ObjectStore>,
    /// Of this process alone, so that two do not read what the other has written.
    path: Path,
    last: Mutex<Last>,
}

/// The last answer, and how many there were before.
#[derive(Default)]
struct Last {
    number: u64,
    answer: Option<(Instant, Probed)>,
}

/// How a probe went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probed {
    pub took: Duration,
    /// What did not work. Says nothing about where the store is.
    pub error: Option<&'static str>,
}

impl StorageProbe {
    /// `process` names this process.
    pub fn new(objects: Arc<dyn ObjectStore>, process: Uuid) -> Self {
        let path = Path::from_iter(["health".to_owned(), process.to_string()]);
        Self { objects, path, last: Mutex::default() }
    }

    /// Tries the store, or answers what was found a moment ago.
    pub async fn probe(&self) -> Probed {
        // Held over the probe: who comes meanwhile waits for its answer.
        let mut last = self.last.lock().await;
        if let Some((at, probed)) = last.answer
            && at.elapsed() < FRESH
        {
            return probed;
        }
        last.number += 1;
        let content = format!("{} {}", self.path, last.number);
        let began = Instant::now();
        let used = timeout(TIMEOUT, self.use_store(content)).await;
        let error = used.unwrap_or(Err("the storage did not answer in time")).err();
        let probed = Probed { took: began.elapsed(), error };
        last.answer = Some((Instant::now(), probed));
        probed
    }

    async fn use_store(&self, content: String) -> Result<(), &'static str> {
        let payload = PutPayload::from(content.clone().into_bytes());
        let said = |what| move |error| unusable(what, &error);
        let path = &self.path;
        self.objects.put(path, payload).await.map_err(said("the storage cannot be written"))?;
        let found = self.objects.get(path).await.map_err(said("the storage cannot be read"))?;
        let read = found.bytes().await.map_err(said("the storage cannot be read"))?;
        if read != content.as_bytes() {
            return Err("the storage has answered something else than was written");
        }
        self.objects.delete(path).await.map_err(said("the storage cannot be deleted from"))
    }
}

/// The cause is for the operator: it names paths.
fn unusable(what: &'static str, error: &object_store::Error) -> &'static str {
    tracing::warn!(%error, "{what}");
    what
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use object_store::local::LocalFileSystem;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_store_that_works_is_left_as_it_was() {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let probe = StorageProbe::new(Arc::clone(&objects), Uuid::nil());
        for _ in 0..2 {
            assert_eq!(probe.probe().await.error, None);
            // As if a second had passed.
            probe.last.lock().await.answer = None;
        }
        assert_eq!(probe.last.lock().await.number, 2);
        assert!(objects.list(None).next().await.is_none());
    }

    #[tokio::test]
    async fn many_who_ask_at_once_share_an_answer() {
        let probe = StorageProbe::new(Arc::new(InMemory::new()), Uuid::nil());
        let asked = futures_util::future::join_all((0..50).map(|_| probe.probe())).await;
        assert!(asked.iter().all(|probed| *probed == asked[0]));
        assert_eq!(probe.last.lock().await.number, 1);
    }

    #[tokio::test]
    async fn a_store_that_is_gone_is_told_without_its_place() {
        let directory = std::env::temp_dir().join(format!("babysea-{:x}", rand::random::<u64>()));
        std::fs::create_dir(&directory).unwrap();
        let objects = LocalFileSystem::new_with_prefix(&directory).unwrap();
        std::fs::remove_dir(&directory).unwrap();
        std::fs::write(&directory, "no directory any more").unwrap();
        let probed = StorageProbe::new(Arc::new(objects), Uuid::nil()).probe().await;
        assert_eq!(probed.error, Some("the storage cannot be written"));
        std::fs::remove_file(&directory).unwrap();
    }
}
