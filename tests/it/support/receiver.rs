//! A customer's webhook endpoint: a real HTTP server that keeps what it gets.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::Value;
use tokio::sync::Notify;

use super::wait;

/// One delivery as it came in.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Byte for byte.
    pub body: String,
    /// What was answered.
    pub answered: u16,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(known, _)| known == name).unwrap().1
    }

    pub fn event(&self) -> String {
        self.json()["webhook_event"].as_str().unwrap().to_owned()
    }
}

/// What the receiver says next.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16),
    /// Answers with a status after a time.
    Slow(Duration, u16),
    Redirect(String),
    /// Answers 200 with this body.
    Says(String),
    /// Answers with a status and asks to be left alone for so many seconds.
    Later(u16, u64),
    /// Answers 200 and then sends a byte now and then, without an end.
    Drip,
}

#[derive(Default)]
struct Inner {
    received: Mutex<Vec<Received>>,
    replies: Mutex<VecDeque<Reply>>,
    /// What is said when nothing is scripted.
    always: Mutex<Option<Reply>>,
    came: Notify,
}

/// The receiver; stops when dropped.
#[derive(Clone)]
pub struct Receiver {
    inner: Arc<Inner>,
    pub url: String,
}

impl Receiver {
    /// Starts one on a free port that acknowledges everything.
    pub fn start() -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn listen(listener: TcpListener) -> Self {
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let inner = Arc::new(Inner::default());
        let data = web::Data::from(Arc::clone(&inner));
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(
                HttpServer::new(move || {
                    App::new().app_data(data.clone()).default_service(web::to(take))
                })
                .workers(1)
                .disable_signals()
                .listen(listener)
                .unwrap()
                .run(),
            )
        });
        Self { inner, url }
    }

    /// Says this once, in the order given.
    pub fn then(&self, reply: Reply) -> &Self {
        self.inner.replies.lock().unwrap().push_back(reply);
        self
    }

    /// Says this whenever nothing else was given.
    pub fn always(&self, reply: Reply) -> &Self {
        *self.inner.always.lock().unwrap() = Some(reply);
        self
    }

    /// How much so far.
    pub fn count(&self) -> usize {
        self.inner.received.lock().unwrap().len()
    }

    /// Everything so far.
    pub fn received(&self) -> Vec<Received> {
        self.inner.received.lock().unwrap().clone()
    }

    /// Waits until something that came in fits.
    pub async fn wait_for(&self, what: &str, fits: impl Fn(&Received) -> bool) -> Received {
        wait::until(what, async || self.received().into_iter().find(|one| fits(one))).await
    }

    /// Waits until so many have come in.
    pub async fn wait_for_count(&self, count: usize) -> Vec<Received> {
        wait::until(&format!("{count} deliveries came in"), async || {
            (self.count() >= count).then(|| self.received())
        })
        .await
    }
}

async fn take(request: HttpRequest, body: web::Bytes, inner: web::Data<Inner>) -> HttpResponse {
    let scripted = inner.replies.lock().unwrap().pop_front();
    let reply =
        scripted.or_else(|| inner.always.lock().unwrap().clone()).unwrap_or(Reply::Status(200));
    let header = |name: &'static str, value: String| Some((name, value));
    let (status, extra) = match reply.clone() {
        Reply::Drip => (200, None),
        Reply::Later(status, seconds) => (status, header("retry-after", seconds.to_string())),
        Reply::Status(status) => (status, None),
        Reply::Says(_) => (200, None),
        Reply::Slow(time, status) => {
            tokio::time::sleep(time).await;
            (status, None)
        }
        Reply::Redirect(to) => (302, header("location", to)),
    };
    let drips = matches!(reply, Reply::Drip);
    let headers = request.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()));
    let received = Received {
        path: request.path().to_owned(),
        headers: headers.collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
        answered: status,
    };
    inner.received.lock().unwrap().push(received);
    inner.came.notify_waiters();
    let mut answer = HttpResponse::build(status.try_into().unwrap());
    if let Some(extra) = extra {
        answer.insert_header(extra);
    }
    if drips {
        return answer.streaming(futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Some((Ok::<_, std::convert::Infallible>(web::Bytes::from_static(b".")), ()))
        }));
    }
    match reply {
        Reply::Says(body) => answer.body(body),
        _ => answer.finish(),
    }
}

/// A receiver that is down at first. Nobody else listens at its address, so that its port is free
/// when it comes up.
pub struct Down(SocketAddr);

impl Down {
    /// For an address of this machine that no other story uses.
    pub fn at(address: [u8; 4]) -> Self {
        Self(TcpListener::bind((Ipv4Addr::from(address), 0)).unwrap().local_addr().unwrap())
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.0)
    }

    pub fn start(self) -> Receiver {
        Receiver::listen(TcpListener::bind(self.0).unwrap())
    }
}
