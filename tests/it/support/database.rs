//! A database of its own for every test.

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

/// Which database a story runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Whether PostgreSQL can be tested. `tests/run` starts one; where CI says that it is CI, it
/// must be there.
pub fn postgres_is_here() -> bool {
    let here = postgres_url().is_some();
    assert!(here || std::env::var_os("CI").is_none(), "CI must set TEST_POSTGRES_URL");
    here
}

#[expect(clippy::disallowed_methods, reason = "tests are told by the environment")]
fn postgres_url() -> Option<String> {
    std::env::var("TEST_POSTGRES_URL").ok()
}

/// The `--database-url` of a new, empty database.
pub async fn fresh(backend: Backend, directory: &TempDir) -> String {
    match backend {
        Backend::Sqlite => {
            format!("sqlite:{}", directory.path().join("babysea.db").display())
        }
        Backend::Postgres => {
            let mut url = Url::parse(&postgres_url().unwrap()).unwrap();
            let name = format!("it_{}", random().simple());
            let mut admin = PgConnection::connect(url.as_str()).await.unwrap();
            let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
            sqlx::query(create).execute(&mut admin).await.unwrap();
            url.set_path(&name);
            url.to_string()
        }
    }
}

/// Runs a statement on a database that may be in use.
pub async fn execute(url: &str, statement: &'static str) {
    if url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
}

/// Runs statements on a database that may be in use, with UUIDs of 32 digits between braces.
pub async fn script(url: &str, statements: &str) {
    if url.starts_with("sqlite:") {
        let statements = AssertSqlSafe(statements.replace('{', "x'").replace('}', "'"));
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    } else {
        let statements = AssertSqlSafe(statements.replace('{', "'").replace('}', "'::uuid"));
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    }
}

/// Asks a database that may be in use for a number.
pub async fn count(url: &str, question: &'static str) -> i64 {
    if url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap()
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "tests need names, not order")]
pub fn random() -> Uuid {
    Uuid::now_v7()
}
