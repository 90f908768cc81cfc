//! A server of files that keeps no promise it does not want to keep.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::interval;

/// What is sent for a path.
#[derive(Debug, Clone)]
pub enum Sent {
    /// A whole answer with this type and body.
    File(&'static str, Arc<[u8]>),
    /// These bytes, and then the end.
    Raw(Vec<u8>),
    /// A body without end, as fast as it is read.
    Endless,
    /// A body of which a byte comes now and then.
    Drip,
    /// Nothing, for ever.
    Silence,
}

impl Sent {
    pub fn file(bytes: &[u8]) -> Self {
        Self::File("image/png", bytes.into())
    }

    /// A whole answer without a body.
    pub fn head(status: u16, headers: &str) -> Self {
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n{headers}\r\n");
        Self::Raw(head.into_bytes())
    }
}

/// The server; stops when the test ends.
pub struct Host {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    asked: Arc<AtomicUsize>,
}

impl Host {
    /// Starts one; `sent` says what there is under a path.
    pub async fn start(sent: impl Fn(&str) -> Sent + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<AtomicUsize>::default();
        let host = Self { url, asked: Arc::clone(&asked) };
        let sent = Arc::new(sent);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sent, asked) = (Arc::clone(&sent), Arc::clone(&asked));
                tokio::spawn(async move {
                    // An error is a client that hangs up, which several stories are about.
                    let _ = serve(stream, sent.as_ref(), &asked).await;
                });
            }
        });
        host
    }

    /// How many requests there have been.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

async fn serve(
    mut stream: TcpStream,
    sent: &(impl Fn(&str) -> Sent + Send + Sync),
    asked: &AtomicUsize,
) -> std::io::Result<()> {
    const ENDLESS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n";
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let request = String::from_utf8(request).unwrap();
    match sent(request.split(' ').nth(1).unwrap()) {
        Sent::File(kind, bytes) => {
            let length = bytes.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&bytes).await?;
        }
        Sent::Raw(bytes) => stream.write_all(&bytes).await?,
        Sent::Endless => {
            stream.write_all(ENDLESS).await?;
            let bytes = vec![7; 1 << 16];
            loop {
                stream.write_all(&bytes).await?;
            }
        }
        Sent::Drip => {
            stream.write_all(ENDLESS).await?;
            let mut tick = interval(Duration::from_millis(50));
            loop {
                tick.tick().await;
                stream.write_all(b"x").await?;
            }
        }
        Sent::Silence => {
            // Ends when the client does.
            stream.read_u8().await?;
        }
    }
    stream.shutdown().await
}
