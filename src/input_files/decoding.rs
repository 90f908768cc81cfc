//! Looking at pictures beside the threads that serve requests, within a bound of memory.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::Fault;
use super::picture::{self, Sides};
use super::room::Place;
use crate::config::InputFilesConfig;

/// Memory is given out in these: a semaphore counts to less than there are bytes.
const PORTION: u64 = 64 * 1024;
const OPEN: &str = "the semaphore is never closed";

pub(super) struct Decoding {
    pool: Pool,
    /// One per picture that is being looked at, so that nothing queues up in the pool.
    threads: Arc<Semaphore>,
    /// In portions.
    memory: Arc<Semaphore>,
    memory_max: u64,
    sides: Sides,
}

impl Decoding {
    pub(super) fn new(config: &InputFilesConfig) -> io::Result<Self> {
        let portions = usize::try_from(config.decode_memory_bytes_max / PORTION);
        Ok(Self {
            pool: Pool::new(config.decode_threads)?,
            threads: Arc::new(Semaphore::new(config.decode_threads)),
            memory: Arc::new(Semaphore::new(portions.unwrap_or(Semaphore::MAX_PERMITS))),
            memory_max: config.decode_memory_bytes_max,
            sides: Sides { min: config.side_min, max: config.side_max },
        })
    }

    /// Looks at a picture, and decodes all of it. What the picture takes stays counted until it
    /// is decoded, even when nobody waits for it any more.
    pub(super) async fn look(&self, bytes: Bytes, place: Place) -> Result<(), Fault> {
        let thread = Arc::clone(&self.threads).acquire_owned().await.expect(OPEN);
        let held = Arc::new((place, thread));
        let sides = self.sides;
        let (header, hold) = (bytes.clone(), Arc::clone(&held));
        let needed = self.pool.run(move || {
            let _hold = hold;
            picture::read_header(&header, sides)
        });
        let needed = needed.await?;
        if needed > self.memory_max {
            return Err(Fault::Memory);
        }
        let portions = u32::try_from(needed / PORTION).map_err(|_| Fault::Memory)?;
        let memory = Arc::clone(&self.memory).acquire_many_owned(portions).await.expect(OPEN);
        let decoded = self.pool.run(move || {
            let _held = (held, memory);
            picture::decode(&bytes)
        });
        decoded.await
    }
}

/// A few threads of their own. The allocator keeps for each thread some of what was freed on it,
/// which after large pictures is tens of megabytes: on the threads that everybody blocks, of
/// which there are hundreds, that would add up.
struct Pool(Option<Runtime>);

impl Pool {
    fn new(threads: usize) -> io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        Ok(Self(Some(builder.thread_name("picture").max_blocking_threads(threads).build()?)))
    }

    /// A decoder that panics has met a picture that it cannot decode.
    async fn run<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let Some(runtime) = &self.0 else { return Err(Fault::Undecodable) };
        runtime.spawn_blocking(look).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the decoding of an input file did not end");
            Err(Fault::Undecodable)
        })
    }
}

impl Drop for Pool {
    /// Nobody waits for pictures any more, and a runtime must not be waited for in another one.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
