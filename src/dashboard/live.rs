//! Pages that change while one looks at them.
//!
//! A page says which version of something it shows; a stream of server-sent events tells when
//! there is another, and `static/live.js` then fetches that part of the page again. So there is one
//! way to draw a page, and a stream shows nothing that its page would not.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Bytes;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};

use crate::error::page::PageError;

/// Streams of one process.
const STREAMS_MAX: usize = 500;
/// How often a stream looks, and so how late a page may be.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After so many looks at the same it shows that it lives, and finds out whether anybody is there.
const SILENT_MAX: u32 = 7;
/// A stream ends after this, so that whoever may no longer see the page is found out when the
/// browser comes back.
const LIFE: Duration = Duration::from_secs(5 * 60);
const HEARTBEAT: &str = ": still here\n\n";

/// The open streams of a process. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    room: Arc<Semaphore>,
    closing: Arc<watch::Sender<bool>>,
}

impl Default for Live {
    fn default() -> Self {
        let (closing, _) = watch::channel(false);
        Self { room: Arc::new(Semaphore::new(STREAMS_MAX)), closing: Arc::new(closing) }
    }
}

impl Live {
    /// Ends all streams: the process stops.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// A stream that tells the version of something, and each version after it. When looking
    /// fails it ends, and the browser comes back.
    ///
    /// # Errors
    /// [`PageError::Busy`] when there are too many.
    pub(super) fn tell<Look, Version>(&self, look: Look) -> Result<HttpResponse, PageError>
    where
        Look: FnMut() -> Version + 'static,
        Version: Future<Output = Result<String, PageError>> + 'static,
    {
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| PageError::Busy)?;
        let telling = Telling {
            look,
            told: None,
            ends_at: Instant::now() + LIFE,
            closing: self.closing.subscribe(),
            _room: room,
        };
        let events = stream::unfold(telling, async |mut telling| {
            let event = telling.next().await?;
            Some((Ok::<_, Infallible>(Bytes::from(event)), telling))
        });
        Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/event-stream"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header(("x-accel-buffering", "no"))
            .streaming(events))
    }
}

/// One open stream.
struct Telling<Look> {
    look: Look,
    told: Option<String>,
    ends_at: Instant,
    closing: watch::Receiver<bool>,
    _room: OwnedSemaphorePermit,
}

impl<Look, Version> Telling<Look>
where
    Look: FnMut() -> Version,
    Version: Future<Output = Result<String, PageError>>,
{
    /// What to send next; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        for _ in 0..SILENT_MAX {
            if self.told.is_some() && !self.pause().await {
                return None;
            }
            let version = (self.look)().await.ok()?;
            if self.told.as_ref() != Some(&version) {
                let event = format!("data: {version}\n\n");
                self.told = Some(version);
                return Some(event);
            }
        }
        Some(HEARTBEAT.to_owned())
    }

    /// Waits for the next look; false when there is none.
    async fn pause(&mut self) -> bool {
        if Instant::now() >= self.ends_at {
            return false;
        }
        let closed = timeout(LOOK_EVERY, self.closing.wait_for(|closing| *closing)).await;
        closed.is_err()
    }
}

/// A short text that differs when something does.
pub(super) fn version(of: impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use actix_web::body::{BodySize, MessageBody};

    use super::*;

    /// What the next look finds: a number that a test may change.
    fn telling(
        live: &Live,
        found: &Arc<AtomicU32>,
    ) -> Telling<impl FnMut() -> std::future::Ready<Result<String, PageError>>> {
        let found = Arc::clone(found);
        Telling {
            look: move || std::future::ready(Ok(found.load(Ordering::SeqCst).to_string())),
            told: None,
            ends_at: Instant::now() + LIFE,
            closing: live.closing.subscribe(),
            _room: Arc::clone(&live.room).try_acquire_owned().unwrap(),
        }
    }

    #[actix_web::test]
    async fn a_version_is_told_at_once_and_again_when_it_is_another() {
        let (live, found) = (Live::default(), Arc::new(AtomicU32::new(1)));
        let mut telling = telling(&live, &found);
        assert_eq!(telling.next().await.as_deref(), Some("data: 1\n\n"));
        found.store(2, Ordering::SeqCst);
        assert_eq!(telling.next().await.as_deref(), Some("data: 2\n\n"));
    }

    #[actix_web::test]
    async fn a_stream_ends_when_the_process_stops_and_when_its_time_is_up() {
        let (live, found) = (Live::default(), Arc::new(AtomicU32::new(1)));
        let mut first = telling(&live, &found);
        let mut old = telling(&live, &found);
        old.ends_at = Instant::now();
        assert!(old.next().await.is_some(), "even so the version is told");
        assert_eq!(old.next().await, None);
        first.next().await;
        live.close();
        assert_eq!(first.next().await, None);
    }

    #[actix_web::test]
    async fn there_is_room_for_so_many_streams_and_it_comes_back() {
        let live = Live { room: Arc::new(Semaphore::new(1)), ..Live::default() };
        let look = || std::future::ready(Ok(String::new()));
        let first = live.tell(look).unwrap();
        assert!(matches!(first.body().size(), BodySize::Stream));
        assert!(matches!(live.tell(look), Err(PageError::Busy)));
        drop(first);
        assert!(live.tell(look).is_ok());
    }

    #[test]
    fn versions_differ_when_what_they_are_of_does() {
        assert_eq!(version([1, 2]), version([1, 2]));
        assert_ne!(version([1, 2]), version([2, 1]));
    }
}
