//! The yardstick: a bare handler that appends one row, with group commit and full durability.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use chrono::{DateTime, Utc};
use providers::clock::Clock;
use serde::Serialize;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::{mpsc, oneshot};

use actors::ports::IdSource;

use crate::clock::SystemClock;
use crate::ids::SystemIds;

/// As many rows in a commit as the product takes units.
const BATCH_MAX: usize = 256;
const INSERT: &str = "INSERT INTO rows (id, body, created_at)
     SELECT unhex(value ->> 'id'), value ->> 'body', value ->> 'created_at' FROM json_each($1)";

#[derive(Serialize)]
struct Row {
    id: String,
    body: String,
    created_at: DateTime<Utc>,
}

type Append = (Row, oneshot::Sender<()>);

/// The bare server, listening.
pub struct Bare {
    /// Where.
    pub address: SocketAddr,
    server: ServerHandle,
}

impl Bare {
    /// Starts one that writes into `directory`.
    ///
    /// # Errors
    /// When it cannot listen or write there.
    pub async fn start(directory: &Path, workers: usize) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(directory.join("bare.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        let table = "CREATE TABLE rows (id BLOB PRIMARY KEY, body TEXT, created_at TEXT) STRICT";
        sqlx::query(table).execute(&pool).await?;
        let (queue, appended) = mpsc::channel(4096);
        actix_rt::Arbiter::new().spawn(append_all(pool, appended));
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        let address = listener.local_addr()?;
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::new(queue.clone())).default_service(web::to(append))
        })
        .workers(workers)
        .disable_signals()
        .listen(listener)?
        .run();
        let handle = server.handle();
        actix_rt::spawn(server);
        Ok(Self { address, server: handle })
    }

    /// Stops it.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn append(queue: web::Data<mpsc::Sender<Append>>, body: web::Bytes) -> HttpResponse {
    let id = SystemIds.next().simple().to_string();
    let body = String::from_utf8_lossy(&body).into_owned();
    let (done, committed) = oneshot::channel();
    let row = Row { id, body, created_at: SystemClock.now() };
    if queue.send((row, done)).await.is_err() || committed.await.is_err() {
        return HttpResponse::InternalServerError().finish();
    }
    HttpResponse::Ok().json(true)
}

async fn append_all(pool: SqlitePool, mut queue: mpsc::Receiver<Append>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (rows, waiting): (Vec<Row>, Vec<_>) = batch.drain(..).unzip();
        let rows = serde_json::to_string(&rows).unwrap_or_default();
        if sqlx::query(INSERT).bind(rows).execute(&pool).await.is_err() {
            continue;
        }
        for done in waiting {
            // A client that has gone away does not need its answer.
            let _ = done.send(());
        }
    }
}
