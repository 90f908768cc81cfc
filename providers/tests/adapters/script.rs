//! A server that answers as a test wrote down.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// One answer.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Status, headers, body.
    Says(u16, Vec<(String, String)>, Vec<u8>),
    /// The connection is closed without an answer.
    Nothing,
    /// Half of what was announced.
    Truncated,
    /// A body that never ends.
    Endless,
    /// Never an answer, on an open connection.
    Hangs,
}

impl Answer {
    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Says(status, Vec::new(), body.into()).header("content-type", "application/json")
    }

    pub(crate) fn page(status: u16) -> Self {
        let body = b"<html><body>nginx</body></html>".to_vec();
        Self::Says(status, Vec::new(), body).header("content-type", "text/html")
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        let Self::Says(status, mut headers, body) = self else { panic!("only said answers") };
        headers.push((name.to_owned(), value.to_owned()));
        Self::Says(status, headers, body)
    }
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `POST /path?query`.
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

#[derive(Default)]
struct State {
    /// By the start of the request line; the longest that fits counts.
    answers: Mutex<HashMap<String, VecDeque<Answer>>>,
    asked: Mutex<Vec<Asked>>,
}

/// The server.
pub(crate) struct Script {
    pub(crate) url: Url,
    state: Arc<State>,
}

impl Script {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let url = format!("http://127.0.0.1:{port}").parse().unwrap();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, state }
    }

    /// Answers requests whose line begins so; the last answer is given again and again.
    pub(crate) fn on(&self, line: &str, answer: Answer) -> &Self {
        self.state.answers.lock().unwrap().entry(line.to_owned()).or_default().push_back(answer);
        self
    }

    /// Forgets all answers and requests.
    pub(crate) fn reset(&self) -> &Self {
        self.state.answers.lock().unwrap().clear();
        self.state.asked.lock().unwrap().clear();
        self
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Asked {
        self.asked().pop().expect("nothing was asked")
    }

    /// How many requests had a line that begins so.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.asked().iter().filter(|asked| asked.line.starts_with(line)).count()
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    let Some(asked) = receive(&mut stream).await else { return };
    let answer = {
        let mut answers = state.answers.lock().unwrap();
        let fitting = answers.iter_mut().filter(|(line, _)| asked.line.starts_with(*line));
        let queue = fitting.max_by_key(|(line, _)| line.len()).map(|(_, queue)| queue);
        match queue {
            Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
            Some(queue) => queue.front().unwrap().clone(),
            None => Answer::json(599, r#"{"unexpected":"request"}"#),
        }
    };
    state.asked.lock().unwrap().push(asked);
    // The client may have had enough.
    let _ = give(stream.get_mut(), answer).await;
}

async fn receive(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked { line, headers, body })
}

async fn give(stream: &mut TcpStream, answer: Answer) -> std::io::Result<()> {
    match answer {
        Answer::Says(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} -\r\nconnection: close\r\n");
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await
        }
        Answer::Nothing => Ok(()),
        Answer::Truncated => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"id\":\"x\",";
            stream.write_all(head).await
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"id\":\"").await?;
            let chunk = vec![b'x'; 1 << 20];
            loop {
                stream.write_all(&chunk).await?;
            }
        }
        Answer::Hangs => std::future::pending().await,
    }
}
