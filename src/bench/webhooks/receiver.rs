//! Endpoints that take what comes and note when. On a thread of its own, and no more of HTTP than
//! our own client speaks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actors::id::GenerationId;
use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const LAST_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// What stands before the id in a body.
const ID_MARK: &[u8] = b"\"generation_id\":\"";

/// Listens for many endpoints, each under an address of its own, so that each has its own
/// connections.
pub struct Receiver {
    seen: Arc<Mutex<Seen>>,
    living: u16,
    dead: u16,
}

#[derive(Default)]
struct Seen {
    expected: HashMap<Vec<u8>, Instant>,
    took: Vec<Duration>,
    arrived: usize,
    /// The first arrival and the last.
    span: Option<(Instant, Instant)>,
}

impl Receiver {
    /// Starts it. What does not keep connections open needs open files for those in use only.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(keep_alive: bool) -> anyhow::Result<Self> {
        let bind = || -> anyhow::Result<_> {
            let listener = std::net::TcpListener::bind("0.0.0.0:0").context("cannot listen")?;
            listener.set_nonblocking(true)?;
            let port = listener.local_addr()?.port();
            Ok((listener, port))
        };
        let ((listener, living), (silent, dead)) = (bind()?, bind()?);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // It ends with the process.
        std::thread::spawn(move || runtime.block_on(listen(listener, silent, shared, keep_alive)));
        Ok(Self { seen, living, dead })
    }

    /// The URL of an endpoint; a dead one takes the connection and says nothing.
    pub fn url(&self, number: usize, dead: bool) -> String {
        let port = if dead { self.dead } else { self.living };
        let (high, low) = (number / 250, number % 250 + 1);
        format!("http://127.0.{high}.{low}:{port}/")
    }

    /// Forgets what was.
    pub fn begin(&self) {
        *self.seen() = Seen::default();
    }

    /// An event is about to be written.
    pub fn expect(&self, id: GenerationId) {
        self.seen().expected.insert(id.to_string().into_bytes(), Instant::now());
    }

    /// How many deliveries have come.
    pub fn arrived(&self) -> usize {
        self.seen().arrived
    }

    /// When the first came, and when the last.
    pub fn span(&self) -> Option<(Instant, Instant)> {
        self.seen().span
    }

    /// How long each took, ascending.
    pub fn end(&self) -> Vec<Duration> {
        let mut took = std::mem::take(&mut *self.seen()).took;
        took.sort_unstable();
        took
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen(
    listener: std::net::TcpListener,
    silent: std::net::TcpListener,
    seen: Arc<Mutex<Seen>>,
    keep_alive: bool,
) {
    let (Ok(listener), Ok(silent)) =
        (TcpListener::from_std(listener), TcpListener::from_std(silent))
    else {
        return;
    };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = silent.accept().await {
            tokio::spawn(async move {
                // Until the client gives up.
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            });
        }
    });
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&seen), keep_alive));
    }
}

/// Takes one request after another until the client goes away.
async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Seen>>, keep_alive: bool) {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let Some(end) = end_of_request(&buffer) else { continue };
        let now = Instant::now();
        note(&buffer[..end], now, &seen);
        buffer.drain(..end);
        let answer = if keep_alive { ANSWER } else { LAST_ANSWER };
        if stream.write_all(answer).await.is_err() || !keep_alive {
            return;
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn end_of_request(buffer: &[u8]) -> Option<usize> {
    let head = find(buffer, b"\r\n\r\n")?;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let end = head + 4 + length.trim().parse::<usize>().ok()?;
    (buffer.len() >= end).then_some(end)
}

fn note(request: &[u8], now: Instant, seen: &Mutex<Seen>) {
    let Some(id) = find(request, ID_MARK)
        .and_then(|start| request.get(start + ID_MARK.len()..start + ID_MARK.len() + 36))
    else {
        return;
    };
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.arrived += 1;
    seen.span = Some((seen.span.map_or(now, |(first, _)| first), now));
    if let Some(expected) = seen.expected.get(id).copied() {
        seen.took.push(now.saturating_duration_since(expected));
    }
}
