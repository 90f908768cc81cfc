//! What every story needs.

pub mod app;
pub mod browser;
pub mod bucket;
pub mod database;
pub mod described;
pub mod host;
pub mod mail;
pub mod metrics;
pub mod node;
pub mod page;
pub mod people;
pub mod program;
pub mod receiver;
pub mod relay;
pub mod untrusted;
pub mod wait;
pub mod wire;

/// Makes a test of an async function that takes the database it runs on, once for each.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::support::database::Backend::Sqlite).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if $crate::support::database::postgres_is_here() {
                    super::$name($crate::support::database::Backend::Postgres).await;
                }
            })+
        }
    };
}
