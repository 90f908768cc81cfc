//! The log of authenticated requests: a bounded queue, and a task that writes what is in it.
//!
//! Nobody waits for the log. A request that finds the queue full is answered all the same; it is
//! missing in the log and in the usage, and a counter says how many are.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::account::Plan;
use actors::logged_request::LoggedRequest;
use actors::ports::{IdSource, RequestLogStore, StoreError};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::auth::Caller;
use crate::metrics::RequestLogMetrics;
use crate::secrets::PurposeKey;

/// Rows in a transaction: many enough to share its flush, few enough that the writer of
/// generations, who waits for it on SQLite, does so for some milliseconds.
const BATCH_MAX: usize = 500;
/// A log that is not busy is written five times a second.
const INTERVAL: Duration = Duration::from_millis(200);
/// A batch that the database refuses is tried so often, and then lost.
const TRIES_MAX: u32 = 3;
/// How long a stop waits for what is queued.
const FINISH_MAX: Duration = Duration::from_secs(10);
/// Old rows that are removed in one transaction, for the same reason as above.
const FORGET_MAX: u32 = 500;

/// A request that has been answered.
#[derive(Debug)]
pub struct Answered {
    pub caller: Caller,
    pub method: String,
    pub endpoint: String,
    pub query: Option<String>,
    pub status: u16,
    pub code: Option<&'static str>,
    pub replayed: bool,
    pub user_agent: Option<String>,
    pub took: Duration,
}

enum Message {
    Answered(Box<Answered>),
    /// Everything before this is to be written; then it is dropped.
    Finish(oneshot::Sender<()>),
}

/// Where answered requests go.
#[derive(Clone)]
pub struct RequestLog {
    queue: mpsc::Sender<Message>,
    /// Ends the pause of the task.
    hurry: Arc<Notify>,
    metrics: RequestLogMetrics,
}

/// What the task works with.
pub struct RequestLogParts {
    pub store: Arc<dyn RequestLogStore>,
    pub ids: Arc<dyn IdSource>,
    /// `Purpose::IpHash`.
    pub ip_key: PurposeKey,
    /// Requests that may wait to be written.
    pub queue_max: usize,
    pub metrics: RequestLogMetrics,
}

impl RequestLog {
    /// The log, and its task, which ends after [`RequestLog::finish`] or when every clone of the
    /// log is gone.
    pub fn new(parts: RequestLogParts) -> (Self, impl Future<Output = ()> + use<>) {
        let (queue, messages) = mpsc::channel(parts.queue_max);
        let hurry = Arc::new(Notify::new());
        let log = Self { queue, hurry: Arc::clone(&hurry), metrics: parts.metrics.clone() };
        (log, run(parts, messages, hurry))
    }

    /// Notes a request, unless there are too many already.
    pub fn note(&self, answered: Answered) {
        if self.queue.try_send(Message::Answered(Box::new(answered))).is_err() {
            self.metrics.dropped.inc();
        }
    }

    /// Writes what has been noted. Nothing is written afterwards.
    pub async fn finish(&self) {
        let (done, written) = oneshot::channel();
        let finish = async {
            self.hurry.notify_one();
            // Fails when the task has ended: then nothing is left.
            if self.queue.send(Message::Finish(done)).await.is_ok() {
                let _ = written.await;
            }
        };
        if timeout(FINISH_MAX, finish).await.is_err() {
            tracing::warn!("not all requests were written to the log");
        }
    }
}

async fn run(parts: RequestLogParts, mut queue: mpsc::Receiver<Message>, hurry: Arc<Notify>) {
    let mut messages = Vec::with_capacity(BATCH_MAX);
    while queue.recv_many(&mut messages, BATCH_MAX).await > 0 {
        let is_full = messages.len() == BATCH_MAX;
        let (mut batch, mut finished) = (Vec::with_capacity(messages.len()), None);
        for message in messages.drain(..) {
            match message {
                Message::Answered(answered) => batch.push(parts.row(*answered)),
                Message::Finish(done) => finished = Some(done),
            }
        }
        parts.write(batch).await;
        if finished.is_some() {
            // Dropped here, which is what is waited for.
            return;
        }
        if !is_full {
            tokio::select! {
                () = sleep(INTERVAL) => {}
                () = hurry.notified() => {}
            }
        }
    }
}

impl RequestLogParts {
    async fn write(&self, batch: Vec<LoggedRequest>) {
        if batch.is_empty() {
            return;
        }
        let rows = batch.len() as u64;
        for attempt in 1..=TRIES_MAX {
            match self.store.log_requests(batch.clone()).await {
                Ok(()) => {
                    self.metrics.written.inc_by(rows);
                    return;
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error);
                    tracing::warn!(%error, ?cause, rows, attempt, "requests were not written to the log");
                    sleep(INTERVAL).await;
                }
            }
        }
        self.metrics.dropped.inc_by(rows);
    }

    fn row(&self, answered: Answered) -> LoggedRequest {
        let Answered { caller, method, endpoint, query, status, code, .. } = answered;
        LoggedRequest {
            id: self.ids.next_at(caller.at),
            key: caller.key,
            key_status: caller.status,
            method,
            endpoint,
            query,
            status,
            code,
            replayed: answered.replayed,
            ip_hash: hash(&self.ip_key, caller.client),
            user_agent: answered.user_agent,
            at: caller.at,
            took: answered.took,
        }
    }
}

/// The same for an IPv4 address however it is written.
fn hash(key: &PurposeKey, address: IpAddr) -> String {
    let mac = match address.to_canonical() {
        IpAddr::V4(address) => key.mac(&address.octets()),
        IpAddr::V6(address) => key.mac(&address.octets()),
    };
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes what is older than the plans keep it, and than `keep_max`, and answers how many.
///
/// # Errors
/// The store could not; what was removed before stays removed.
pub async fn forget_old(
    store: &dyn RequestLogStore,
    keep_max: Duration,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    for plan in Plan::ALL {
        let keep_max = TimeDelta::from_std(keep_max).unwrap_or(TimeDelta::MAX);
        let before = now - plan.records_kept().min(keep_max);
        loop {
            let removed = store.forget_requests_any_account(plan, before, FORGET_MAX).await?;
            forgotten += removed;
            if removed < u64::from(FORGET_MAX) {
                break;
            }
        }
    }
    Ok(forgotten)
}

#[cfg(test)]
mod tests;
