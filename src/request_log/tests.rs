use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use actors::id::AccountId;
use actors::usage::{Usage, UsageWindow};
use async_trait::async_trait;

use super::*;
use crate::auth::fakes::{FakeKeys, ManualClock, auth, bearer_of, config, plain, purpose_key, row};
use crate::ids::SystemIds;
use crate::secrets::Purpose;

/// Fails as often as it is told, then keeps each batch.
#[derive(Default)]
struct FakeLog {
    fails: AtomicU32,
    batches: Mutex<Vec<Vec<LoggedRequest>>>,
}

#[async_trait]
impl RequestLogStore for FakeLog {
    async fn log_requests(&self, requests: Vec<LoggedRequest>) -> Result<(), StoreError> {
        let failed = |left: u32| left.checked_sub(1);
        if self.fails.fetch_update(Ordering::Relaxed, Ordering::Relaxed, failed).is_ok() {
            return Err(StoreError::Overloaded);
        }
        self.batches.lock().unwrap().push(requests);
        Ok(())
    }

    async fn forget_requests_any_account(
        &self,
        _: Plan,
        _: DateTime<Utc>,
        _: u32,
    ) -> Result<u64, StoreError> {
        unreachable!("nothing is forgotten here")
    }

    async fn usage(&self, _: AccountId, _: UsageWindow) -> Result<Usage, StoreError> {
        unreachable!("nobody asks for usage here")
    }
}

fn parts(store: &Arc<FakeLog>, queue_max: usize) -> RequestLogParts {
    RequestLogParts {
        store: Arc::clone(store) as _,
        ids: Arc::new(SystemIds),
        ip_key: purpose_key(Purpose::IpHash),
        queue_max,
        metrics: RequestLogMetrics::default(),
    }
}

async fn caller(client: &str) -> Caller {
    let keys = Arc::<FakeKeys>::default();
    keys.rows.lock().unwrap().push(row(&plain(1)));
    let auth = auth(&keys, &ManualClock::new(), &config());
    auth.authenticate(Some(&bearer_of(&plain(1))), client.parse().unwrap()).await.unwrap()
}

fn answered(caller: &Caller) -> Answered {
    Answered {
        caller: caller.clone(),
        method: "GET".to_owned(),
        endpoint: "/v1/status".to_owned(),
        query: None,
        status: 200,
        code: None,
        replayed: false,
        user_agent: None,
        took: Duration::from_millis(1),
    }
}

#[actix_web::test]
async fn what_finds_no_room_is_counted_and_nobody_waits() {
    let (store, caller) = (Arc::<FakeLog>::default(), caller("192.0.2.1").await);
    let (log, task) = RequestLog::new(parts(&store, 2));
    for _ in 0..5 {
        log.note(answered(&caller));
    }
    assert_eq!(log.metrics.dropped.get(), 3);
    actix_web::rt::spawn(task);
    log.finish().await;
    assert_eq!(store.batches.lock().unwrap().concat().len(), 2);
    assert_eq!(log.metrics.written.get(), 2);
    // Whoever comes after the end finds no room either.
    log.note(answered(&caller));
    log.finish().await;
    assert_eq!(log.metrics.dropped.get(), 4);
}

#[actix_web::test]
async fn many_requests_are_written_in_bounded_batches_up_to_the_last() {
    let (store, caller) = (Arc::<FakeLog>::default(), caller("192.0.2.1").await);
    let (log, task) = RequestLog::new(parts(&store, 10_000));
    (0..1234).for_each(|_| log.note(answered(&caller)));
    actix_web::rt::spawn(task);
    log.finish().await;
    let batches: Vec<usize> = store.batches.lock().unwrap().iter().map(Vec::len).collect();
    assert_eq!(batches, [500, 500, 234]);
}

#[actix_web::test]
async fn a_batch_that_is_refused_is_tried_again_as_it_was_and_lost_in_the_end() {
    let (store, caller) = (Arc::<FakeLog>::default(), caller("192.0.2.1").await);
    for (fails, written, dropped) in [(2, 1, 0), (3, 0, 1)] {
        store.fails.store(fails, Ordering::Relaxed);
        let (log, task) = RequestLog::new(parts(&store, 10));
        log.note(answered(&caller));
        actix_web::rt::spawn(task);
        log.finish().await;
        let counted = (log.metrics.written.get(), log.metrics.dropped.get());
        assert_eq!(counted, (written, dropped), "{fails} failures");
    }
    assert_eq!(store.batches.lock().unwrap().len(), 1);
}

#[actix_web::test]
async fn an_address_is_recognized_and_cannot_be_read() {
    let parts = parts(&Arc::default(), 1);
    let mut hashes = Vec::new();
    for client in ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        hashes.push(parts.row(answered(&caller(client).await)).ip_hash);
    }
    assert_eq!(hashes[0], hashes[1]);
    hashes.dedup();
    assert_eq!(hashes.len(), 3);
    assert!(hashes.iter().all(|hash| hash.len() == 64));
}
