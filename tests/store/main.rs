//! Every unit of work of the store, on both databases.
//!
//! SQLite is always tested, PostgreSQL when `TEST_POSTGRES_URL` names a server on which
//! databases may be created; in CI it must.

#![expect(clippy::unwrap_used, reason = "tests")]

/// Instantiates test functions over a [`support::TestStore`] for both databases.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::support::TestStore::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(test) = crate::support::TestStore::postgres().await {
                    super::$name(test).await;
                }
            })+
        }
    };
}

mod accounts;
mod admission;
mod alerts;

mod audit;
mod content;
mod contention;
mod credits;
mod delivery_log;
mod endpoints;
mod generations;
mod keys;
mod logs;
mod mails;
mod operator;
mod people;
mod request_log;
mod retention;
mod routing;
mod schema;
mod support;
mod tallies;
mod teams;
