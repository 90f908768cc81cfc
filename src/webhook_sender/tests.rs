use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actors::webhook::DeliveryPolicy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::address_guard::{GuardedResolver, Reason, UrlProblem};

/// What a listener does with each connection, once it has read a whole request.
#[derive(Clone)]
enum Behaviour {
    Say(&'static str),
    /// The same, without waiting for a request, and then the end.
    SayAtOnce(&'static str),
    /// The request itself as the body of the answer.
    Echo,
    Hang,
    /// A byte now and then, forever.
    Drip,
    Endless,
    /// The end, without waiting for a request.
    CloseAtOnce,
    CutTheBody,
}

struct Listener {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Listener {
    async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, behaviour.clone()));
            }
        });
        Self { address, connections }
    }

    fn url(&self) -> Url {
        Url::parse(&format!("http://{}/hook", self.address)).unwrap()
    }
}

/// Errors are the client's hanging up, which several tests are about.
async fn serve(mut stream: TcpStream, behaviour: Behaviour) -> io::Result<()> {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    match &behaviour {
        Behaviour::SayAtOnce(answer) => {
            stream.read_u8().await?;
            return stream.write_all(answer.as_bytes()).await;
        }
        Behaviour::CloseAtOnce => return Ok(()),
        _ => {}
    }
    while let Some(request) = read_request(&mut stream).await? {
        match &behaviour {
            Behaviour::Say(answer) => stream.write_all(answer.as_bytes()).await?,
            Behaviour::Echo => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.len());
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(request.as_bytes()).await?;
            }
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Drip => {
                stream.write_all(HEAD.as_bytes()).await?;
                loop {
                    stream.write_all(b".").await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Behaviour::Endless => {
                stream.write_all(HEAD.as_bytes()).await?;
                loop {
                    stream.write_all(&[b'x'; 8192]).await?;
                }
            }
            Behaviour::SayAtOnce(_) | Behaviour::CloseAtOnce => return Ok(()),
            Behaviour::CutTheBody => {
                stream.write_all(HEAD.as_bytes()).await?;
                return stream.write_all(b"half").await;
            }
        }
    }
    Ok(())
}

/// One request, or nothing when the client has closed the connection.
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(None);
        }
        request.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return Ok(Some(request));
        }
    }
}

fn client(allow_private_targets: bool, timeout_ms: u64) -> WebhookClient {
    WebhookClient::new(&config(allow_private_targets, timeout_ms, None)).unwrap()
}

fn config(allow_private_targets: bool, timeout_ms: u64, proxy_url: Option<Url>) -> WebhooksConfig {
    WebhooksConfig {
        allow_private_targets,
        timeout: Duration::from_millis(timeout_ms),
        policy: DeliveryPolicy::default(),
        proxy_url,
        in_flight_max_per_endpoint: 8,
        response_bytes_max: 65_536,
        endpoints_max: 10,
    }
}

async fn post(client: &WebhookClient, url: &str) -> Reply {
    client.post(&Url::parse(url).unwrap(), Vec::new(), Bytes::from_static(b"{}")).await
}

/// What a listener with this behaviour is seen to do.
async fn reply_of(behaviour: Behaviour, timeout_ms: u64) -> Reply {
    let listener = Listener::start(behaviour).await;
    post(&client(true, timeout_ms), listener.url().as_str()).await
}

#[track_caller]
fn failure(reply: &Reply) -> Failure {
    match &reply.outcome {
        Outcome::Failed(failure) => *failure,
        Outcome::Answered { status, .. } => panic!("answered {status}"),
    }
}

#[track_caller]
fn answer(reply: &Reply) -> (u16, &str) {
    match &reply.outcome {
        Outcome::Answered { status, excerpt, .. } => (*status, excerpt),
        Outcome::Failed(failure) => panic!("failed: {failure}"),
    }
}

#[tokio::test]
async fn an_answer_is_handed_on_whatever_its_status() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(answer(&reply_of(Behaviour::Say(ok), 5000).await), (200, "hello"));
    let error = "HTTP/1.1 500 Oops\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let reply = reply_of(Behaviour::Say(error), 5000).await;
    assert!(matches!(
        reply.outcome,
        Outcome::Answered { status: 500, retry_after: Some(wait), .. } if wait.as_secs() == 7
    ));
}

#[tokio::test]
async fn headers_and_body_arrive_as_given() {
    let listener = Listener::start(Behaviour::Echo).await;
    let headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("X-BabySea-Event", "generation.succeeded".to_owned()),
    ];
    let body = Bytes::from_static(b"{\"a\":1}");
    let reply = client(true, 5000).post(&listener.url(), headers, body).await;
    let (_, request) = answer(&reply);
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("x-babysea-event: generation.succeeded\r\n"), "{request}");
    assert_eq!(request.matches("content-type: application/json").count(), 1, "{request}");
    assert!(request.contains("user-agent: babysea/"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let target = Listener::start(Behaviour::Echo).await;
    let answer_text = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        target.address
    );
    let reply = reply_of(Behaviour::Say(Box::leak(answer_text.into_boxed_str())), 5000).await;
    assert_eq!(answer(&reply), (302, ""));
    assert_eq!(target.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_endpoint_that_says_nothing_is_left_in_time() {
    let reply = reply_of(Behaviour::Hang, 200).await;
    assert_eq!(failure(&reply), Failure::Call(CallFailure::Timeout));
    assert!((200..10_000).contains(&reply.took.as_millis()), "{:?}", reply.took);
}

#[tokio::test]
async fn a_dripping_body_counts_against_the_same_limit() {
    let reply = reply_of(Behaviour::Drip, 200).await;
    assert_eq!(failure(&reply), Failure::Call(CallFailure::Timeout));
    assert!(reply.took.as_millis() < 10_000, "{:?}", reply.took);
}

#[tokio::test]
async fn an_endless_body_is_cut_and_its_status_counts() {
    let reply = reply_of(Behaviour::Endless, 5000).await;
    let (status, excerpt) = answer(&reply);
    assert_eq!((status, excerpt.len()), (200, EXCERPT_BYTES));
}

#[tokio::test]
async fn a_broken_answer_is_no_answer() {
    assert_eq!(
        failure(&reply_of(Behaviour::CloseAtOnce, 5000).await),
        Failure::Call(CallFailure::Broken)
    );
    assert_eq!(
        failure(&reply_of(Behaviour::CutTheBody, 5000).await),
        Failure::Call(CallFailure::Broken)
    );
    assert_eq!(
        failure(&reply_of(Behaviour::Say("SSH-2.0-x\r\n\r\n"), 5000).await),
        Failure::Call(CallFailure::Broken)
    );
}

#[tokio::test]
async fn private_targets_are_refused_before_a_connection_is_made() {
    let listener = Listener::start(Behaviour::Echo).await;
    let client = client(false, 5000);
    let reply = post(&client, listener.url().as_str()).await;
    assert_eq!(failure(&reply), Failure::Call(CallFailure::Url(UrlProblem::Scheme)));
    let reply = post(&client, "https://127.0.0.1/").await;
    assert_eq!(
        failure(&reply),
        Failure::Call(CallFailure::Url(UrlProblem::Address(Reason::Loopback)))
    );
    let reply = post(&client, "https://[::1]/").await;
    assert_eq!(
        failure(&reply),
        Failure::Call(CallFailure::Url(UrlProblem::Address(Reason::Loopback)))
    );
    let reply = post(&client, "https://localhost/").await;
    assert_eq!(failure(&reply), Failure::Call(CallFailure::Url(UrlProblem::LocalName)));
    assert_eq!(listener.connections.load(Ordering::SeqCst), 0);
}

/// The text of the name says nothing: only the resolver in the connector can refuse this.
#[tokio::test]
async fn a_name_that_leads_inside_is_refused_when_connecting() {
    let listener = Listener::start(Behaviour::Echo).await;
    let http = reqwest::Client::builder()
        .dns_resolver(GuardedResolver::new(Policy::WEBHOOK))
        .build()
        .unwrap();
    let url = format!("http://localhost:{}/", listener.address.port());
    let error = http.post(url).send().await.unwrap_err();
    assert_eq!(CallFailure::of(&error), CallFailure::Refused(Reason::Loopback));
    assert_eq!(listener.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_keeps_a_connection_from_being_made_is_told_apart() {
    let client = client(true, 5000);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(
        failure(&post(&client, &format!("http://{closed}/")).await),
        Failure::Call(CallFailure::Connect)
    );
    // A server that speaks plain HTTP on this port, and one that hangs up.
    for behaviour in [Behaviour::SayAtOnce("HTTP/1.1 400 Bad\r\n\r\n"), Behaviour::CloseAtOnce] {
        let listener = Listener::start(behaviour).await;
        let reply = post(&client, &format!("https://{}/", listener.address)).await;
        assert_eq!(failure(&reply), Failure::Call(CallFailure::Tls));
    }
    assert_eq!(
        failure(&post(&client, "http://nowhere.invalid/").await),
        Failure::Call(CallFailure::Dns)
    );
}

#[tokio::test]
async fn a_header_cannot_carry_a_line_break() {
    let listener = Listener::start(Behaviour::Echo).await;
    for value in ["a\r\nX-Injected: 1", "a\nb", "a\0b"] {
        let headers = vec![("X-BabySea-Event", value.to_owned())];
        let reply = client(true, 5000).post(&listener.url(), headers, Bytes::new()).await;
        assert_eq!(failure(&reply), Failure::Header("X-BabySea-Event"));
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let listener = Listener::start(Behaviour::Echo).await;
    let client = client(true, 5000);
    for _ in 0..5 {
        post(&client, listener.url().as_str()).await;
    }
    assert_eq!(listener.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn an_excerpt_is_text_that_every_database_takes() {
    assert_eq!(as_text(b"a\0b\xff\xc3"), "a\u{fffd}b\u{fffd}\u{fffd}");
}

#[test]
fn a_wait_is_told_in_seconds_or_as_a_time_of_day() {
    let now: DateTime<Utc> = "2026-06-02T08:15:14Z".parse().unwrap();
    let wait = |text| wait_of(text, now);
    assert_eq!(wait("120"), Some(Duration::from_secs(120)));
    assert_eq!(wait("Tue, 02 Jun 2026 08:16:14 GMT"), Some(Duration::from_secs(60)));
    for past_or_nothing in ["Tue, 02 Jun 2026 08:15:13 GMT", "", "soon", "-1", "1.5"] {
        assert_eq!(wait(past_or_nothing), None, "{past_or_nothing}");
    }
}

/// The proxy is asked for the name, which is not resolved here; but names and addresses that no
/// webhook can mean do not reach it.
#[tokio::test]
async fn with_a_proxy_the_proxy_makes_the_connection() {
    let proxy =
        Listener::start(Behaviour::Say("HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n")).await;
    let url = Url::parse(&format!("http://{}", proxy.address)).unwrap();
    let client = WebhookClient::new(&config(false, 2000, Some(url))).unwrap();
    let count = || proxy.connections.load(Ordering::SeqCst);
    for refused in ["https://localhost/", "https://169.254.169.254/", "https://10.0.0.1/"] {
        let reply = post(&client, refused).await;
        assert!(matches!(reply.outcome, Outcome::Failed(Failure::Call(CallFailure::Url(_)))));
    }
    assert_eq!(count(), 0);
    let reply = post(&client, "https://hooks.nowhere.invalid/").await;
    assert!(matches!(reply.outcome, Outcome::Failed(_)), "{reply:?}");
    assert_eq!(count(), 1, "it was asked, though nobody can resolve that name");
}
