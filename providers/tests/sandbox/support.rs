//! A clock that stands still, a receiver of callbacks, and requests to submit.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use providers::clock::Clock;
use providers::sandbox::{Sandbox, SandboxSettings};
use providers::{
    CallbackNews, DeliveryMode, Expected, JobRef, MediaKind, Output, OutputFile, OutputFormat,
    Progress, Provider, RawCallback, Request, Submitted,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use url::Url;
use uuid::Uuid;

pub(crate) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// The sandbox needs to know nothing of an attempt: its ids say everything.
pub(crate) const ABOUT: Expected<'static> = Expected { model: "sandbox/test" };

/// Time passes only when a test says so.
pub(crate) struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    pub(crate) fn start() -> Arc<Self> {
        Arc::new(Self(Mutex::new(DateTime::from_timestamp(1_900_000_000, 0).unwrap())))
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// The three providers, as a process that has just started has them.
pub(crate) struct Sandboxes {
    pub(crate) inline: Sandbox,
    pub(crate) polling: Sandbox,
    pub(crate) webhook: Sandbox,
    pub(crate) clock: Arc<ManualClock>,
}

impl Sandboxes {
    pub(crate) fn start() -> Self {
        Self::start_with(ManualClock::start(), settings())
    }

    pub(crate) fn start_with(clock: Arc<ManualClock>, settings: SandboxSettings) -> Self {
        let port: Arc<dyn Clock> = clock.clone();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let [inline, polling, webhook] = Sandbox::all(settings, port, client).unwrap();
        Self { inline, polling, webhook, clock }
    }

    pub(crate) fn all(&self) -> [&Sandbox; 3] {
        [&self.inline, &self.polling, &self.webhook]
    }

    /// A request for one square PNG, steered by these options.
    pub(crate) fn request(&self, options: Value) -> Request {
        Request {
            correlation: Uuid::from_u128(rand_number()),
            submitted_at: self.clock.now(),
            model: "sandbox/test".to_owned(),
            media: MediaKind::Image,
            prompt: "A lighthouse made of folded paper".to_owned(),
            ratio: "1:1".to_owned(),
            format: OutputFormat::Png,
            count: 1,
            input_files: Vec::new(),
            last_frame: None,
            duration_ms: None,
            resolution: None,
            audio: None,
            options: options.as_object().unwrap().clone(),
            delivery: DeliveryMode::Polling,
            callback: None,
        }
    }

    pub(crate) fn request_for(&self, outcome: &str) -> Request {
        self.request(json!({ "generation_sandbox_outcome": outcome }))
    }
}

pub(crate) fn settings() -> SandboxSettings {
    SandboxSettings { callback_secret: SECRET.into(), submissions_log: None }
}

/// Different for every request of a test run.
fn rand_number() -> u128 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn submit_job(provider: &Sandbox, request: &Request) -> JobRef {
    match provider.submit(request).await.unwrap() {
        Submitted::Job { job, .. } => job,
        Submitted::Done { .. } => panic!("a job was expected, not a result"),
    }
}

pub(crate) async fn submit_inline(provider: &Sandbox, request: &Request) -> Output {
    match provider.submit(request).await.unwrap() {
        Submitted::Done { output, .. } => output,
        Submitted::Job { .. } => panic!("a result was expected, not a job"),
    }
}

pub(crate) fn done(progress: Progress) -> Output {
    match progress {
        Progress::Done(output) => output,
        other => panic!("the job should be done, but is {other:?}"),
    }
}

pub(crate) fn bytes(output: &Output) -> Vec<&[u8]> {
    output.files.iter().map(|file| file_in_memory(file).1).collect()
}

/// What a file is and what is in it.
pub(crate) fn file_in_memory(file: &OutputFile) -> (OutputFormat, &[u8]) {
    match file {
        OutputFile::Bytes { format, bytes } => (*format, bytes.as_ref()),
        OutputFile::Url(url) => panic!("the sandbox has its files in memory, not at {url}"),
    }
}

/// A call as it came in.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(key, _)| key == name).unwrap().1
    }

    pub(crate) fn correlation(&self) -> Uuid {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body["correlation"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn raw(&self, received_at: DateTime<Utc>) -> RawCallback<'_> {
        RawCallback { headers: &self.headers, body: &self.body, received_at }
    }
}

/// A server that keeps what it is told.
pub(crate) struct Receiver {
    pub(crate) url: Url,
    calls: mpsc::UnboundedReceiver<Call>,
}

impl Receiver {
    /// Answers the first calls with these statuses and all later ones with 204.
    pub(crate) async fn start(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, calls) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut statuses = statuses.iter().copied();
            while let Ok((stream, _)) = listener.accept().await {
                let status = statuses.next().unwrap_or(204);
                sender.send(serve(stream, status).await).unwrap();
            }
        });
        let url = format!("http://127.0.0.1:{port}/callbacks/token").parse().unwrap();
        Self { url, calls }
    }

    pub(crate) async fn next(&mut self) -> Call {
        let limit = Duration::from_secs(10);
        tokio::time::timeout(limit, self.calls.recv()).await.expect("nobody called").unwrap()
    }

    /// A call that has been answered already.
    pub(crate) fn earlier(&mut self) -> Option<Call> {
        self.calls.try_recv().ok()
    }
}

async fn serve(stream: TcpStream, status: u16) -> Call {
    let mut stream = BufReader::new(stream);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None if line.starts_with("POST ") => {}
            None => break,
        }
    }
    let mut call = Call { headers, body: Vec::new() };
    call.body = vec![0; call.header("content-length").parse().unwrap()];
    stream.read_exact(&mut call.body).await.unwrap();
    let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
    call
}

/// What a signed callback tells.
pub(crate) fn told(news: CallbackNews) -> (JobRef, Progress) {
    match news {
        CallbackNews::Told { job, progress } => (job, progress),
        CallbackNews::Hint => panic!("it should be signed"),
    }
}
