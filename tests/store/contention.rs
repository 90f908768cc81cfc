//! Transactions in each other's way.

use std::time::Duration;

use actors::generation::{Event, Status};
use actors::webhook::EventName;
use babysea::store::Db;
use sqlx::postgres::PgPool;
use tokio::time::{sleep, timeout};

use crate::support::{TestStore, at};

/// Longer than PostgreSQL waits before it looks for deadlocks, however slow the machine is.
const DEADLOCK_MAX: Duration = Duration::from_secs(30);

const LOCK_FIRST: &str = "SELECT id FROM webhook_endpoints ORDER BY id LIMIT 1 FOR UPDATE";
const LOCK_LAST: &str = "SELECT id FROM webhook_endpoints ORDER BY id DESC LIMIT 1 FOR UPDATE";
const LOCK_ACCOUNTS: &str = "SELECT id FROM accounts FOR UPDATE";
const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'";

async fn wait_for_waiting(pool: &PgPool, count: i64) {
    let waiting = async {
        loop {
            let waiting: i64 = sqlx::query_scalar(WAITING).fetch_one(pool).await.unwrap();
            if waiting >= count {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLOCK_MAX, waiting).await.expect("the writer waits");
}

const END_OTHERS: &str = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// As when the database was started again between two batches.
#[tokio::test]
async fn a_unit_whose_connection_is_gone_is_done_on_another() {
    let Some(test) = TestStore::postgres().await else { return };
    let account_id = test.account("1").await;
    let generation = test.accepted(account_id).await;
    let Db::Postgres(pool) = test.connect().await else { unreachable!() };
    sqlx::query(END_OTHERS).execute(&pool).await.unwrap();
    let canceled = test.advance(&generation, vec![Event::Canceled { at: at(3) }]).await;
    assert_eq!(canceled.unwrap().status(), Status::Canceled);
    assert_eq!(test.ledger(account_id).await.len(), 3, "refunded once");
    pool.close().await;
    test.finish().await;
}

/// The writer locks the account and waits for the last endpoint; somebody else has that and waits
/// for the account. PostgreSQL undoes who finds it out, and only the writer looks: the other one
/// takes longer to begin. The first endpoint holds the writer up until the other one waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_that_was_undone_by_a_deadlock_is_done_again() {
    let Some(test) = TestStore::postgres().await else { return };
    let account_id = test.account("1").await;
    test.endpoint(account_id, &EventName::DEFAULT).await;
    test.endpoint(account_id, &EventName::DEFAULT).await;
    let generation = test.accepted(account_id).await;
    let connect = async || match test.connect().await {
        Db::Postgres(pool) => pool,
        Db::Sqlite(..) => unreachable!(),
    };
    let (first, last, watch) = (connect().await, connect().await, connect().await);
    let (mut gate, mut other) = (first.begin().await.unwrap(), last.begin().await.unwrap());
    sqlx::query(LOCK_FIRST).execute(&mut *gate).await.unwrap();
    sqlx::query("SET LOCAL deadlock_timeout = '60s'").execute(&mut *other).await.unwrap();
    sqlx::query(LOCK_LAST).execute(&mut *other).await.unwrap();
    let canceled = vec![Event::Canceled { at: at(3) }];
    let (advanced, ()) = tokio::join!(test.advance(&generation, canceled), async {
        wait_for_waiting(&watch, 1).await;
        let locking = timeout(DEADLOCK_MAX, sqlx::query(LOCK_ACCOUNTS).execute(&mut *other));
        let (locked, ()) = tokio::join!(locking, async {
            wait_for_waiting(&watch, 2).await;
            gate.commit().await.unwrap();
        });
        // The writer is out of the way, and waits for the account now.
        locked.expect("the deadlock is found").expect("the writer is the one that is undone");
        wait_for_waiting(&watch, 1).await;
        other.commit().await.unwrap();
    });
    assert_eq!(advanced.unwrap().status(), Status::Canceled);
    assert_eq!(test.ledger(account_id).await.len(), 3, "refunded once");
    for pool in [first, last, watch] {
        pool.close().await;
    }
    test.finish().await;
}
