//! HTTP by hand, for what a client library would tidy up or refuse to send.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wait::LIMIT;

/// An answer as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// The value of a header, empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.next().map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The code of an error.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// Opens a connection to a server given as `http://HOST:PORT`.
pub async fn connect(url: &str) -> TcpStream {
    TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Sends bytes as they are, and reads until the server closes. So the request has to ask for
/// that, or be one that the server ends the connection over.
pub async fn exchange(url: &str, request: &[u8]) -> Reply {
    let mut stream = connect(url).await;
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    read(&mut stream).await
}

/// Reads until the server closes.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Reply {
    let mut answer = Vec::new();
    let read = timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    // A reset after the answer is how a server ends what it did not want to read.
    let _ = read.expect("the server did not close");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head[9..12].parse().unwrap();
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}
