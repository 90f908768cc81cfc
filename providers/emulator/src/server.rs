//! HTTP: which provider a request is for, what goes wrong with it, and the answer.

use std::any::Any;
use std::convert::Infallible;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::dev::{Extensions, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;
use url::form_urlencoded;

use crate::call::{Answer, Call};
use crate::dice::Dice;
use crate::faults::{CallFault, Faults, Target};
use crate::house::House;
use crate::jobs::without_pictures;
use crate::journal::{self, Entry};
use crate::settings::Provider;
use crate::wire::{self, Refusal};
use crate::{admin, latency, media};

/// Films and pictures come as base64 or as forms; the providers take up to about this much.
const BODY_MAX: usize = 64 << 20;
/// Between the bytes of an answer that drips.
const DRIP: Duration = Duration::from_millis(500);
/// Between the half of an answer and its breaking off.
const BREAK: Duration = Duration::from_millis(100);
/// Of an answer without end, at once.
const FLOOD: &[u8] = &[b' '; 16 * 1024];
/// Between the pieces of an answer without end.
const FLOOD_WAIT: Duration = Duration::from_millis(5);

/// A second handle of a request's connection, to cut it without an answer.
struct Wire(TcpStream);

/// Serves in the background of the current actix system.
pub(crate) fn serve(house: &Arc<House>, listener: TcpListener) -> std::io::Result<ServerHandle> {
    let (workers, house) = (house.settings.workers, Arc::clone(house));
    let app = move || {
        App::new()
            .app_data(web::Data::from(Arc::clone(&house)))
            .app_data(web::PayloadConfig::new(BODY_MAX))
            .default_service(web::to(answer))
    };
    let server = HttpServer::new(app)
        .workers(workers)
        .on_connect(keep_handle)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(handle)
}

fn keep_handle(connection: &dyn Any, data: &mut Extensions) {
    let connection = connection.downcast_ref::<actix_web::rt::net::TcpStream>();
    let copy = connection.and_then(|stream| stream.as_fd().try_clone_to_owned().ok());
    if let Some(copy) = copy {
        data.insert(Wire(TcpStream::from(copy)));
    }
}

async fn answer(request: HttpRequest, body: Bytes, house: web::Data<House>) -> HttpResponse {
    let house = house.into_inner();
    let mut path: Vec<String> = decoded(request.path());
    if path.is_empty() {
        return plain(Answer::json(200, serde_json::json!({ "emulates": Provider::ALL })));
    }
    let area = path.remove(0);
    // A file's provider follows the word `files`.
    let name = if area == "files" && !path.is_empty() { path.remove(0) } else { area.clone() };
    let call = Call {
        method: request.method().clone(),
        path,
        query: form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect(),
        headers: request.headers().clone(),
        body,
        base: format!("{}/{name}", origin(&house, &request)),
    };
    if area == "admin" {
        return plain(admin::answer(&house, &call));
    }
    match Provider::parse(&name) {
        Some(provider) => answer_provider(&house, provider, &request, &call, area == "files").await,
        None => plain(Answer::json(404, serde_json::json!({ "error": "no such provider" }))),
    }
}

/// Empty parts count for nothing: some clients double the slash after a base URL.
fn decoded(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty()).map(percent_decoded).collect()
}

fn percent_decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            Some(_) | None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn origin(house: &House, request: &HttpRequest) -> String {
    if house.settings.public_url.is_some() {
        return house.settings.origin();
    }
    let connection = request.connection_info();
    format!("{}://{}", connection.scheme(), connection.host())
}

async fn answer_provider(
    house: &Arc<House>,
    provider: Provider,
    request: &HttpRequest,
    call: &Call,
    is_file: bool,
) -> HttpResponse {
    let desk = house.desk(provider);
    let target = if is_file { Target::File } else { wire::of(provider).target(call) };
    let (faults, at) = (desk.faults(), house.clock.now());
    let mut dice = Dice::of(house.seed, &format!("{}/call", provider.as_str()), desk.count_call());
    let fault = faults.throw_call(target, &mut dice);
    let median = match target {
        Target::Submit => latency::SUBMIT_SECONDS,
        Target::All | Target::Read | Target::Cancel | Target::File => latency::READ_SECONDS,
    };
    let wait = dice.log_normal(median, latency::SIGMA_IMAGE) * faults.scale();
    tokio::time::sleep(Duration::from_secs_f64(wait)).await;
    let before = match fault {
        Some(fault) => refused(house, provider, call, fault),
        None => None,
    };
    let carried_out = before.is_none() && !is_before(fault);
    let answer = match before {
        Some(answer) => answer,
        None if !carried_out => Answer::empty(200),
        None if is_file => media::serve(house, provider, call).await,
        None => keyed(house, provider, call, target).await,
    };
    let is_cut = matches!(fault, Some(CallFault::Timeout | CallFault::LostReply));
    house.journal.note(Entry::Request {
        at,
        provider,
        method: call.method.to_string(),
        path: request.uri().to_string(),
        headers: shown_headers(call),
        body: shown_body(&call.body),
        status: (!is_cut).then_some(answer.status),
        fault,
    });
    spoil(answer, fault, &faults, request, &mut dice).await
}

/// Faults that come before the provider's own code is reached.
fn is_before(fault: Option<CallFault>) -> bool {
    match fault {
        Some(
            CallFault::Timeout
            | CallFault::Garbage
            | CallFault::Html
            | CallFault::Endless
            | CallFault::Redirect,
        ) => true,
        Some(
            CallFault::RateLimited
            | CallFault::ServerError
            | CallFault::Unauthorized
            | CallFault::OutOfCredit
            | CallFault::LostReply
            | CallFault::Truncated
            | CallFault::SlowDrip
            | CallFault::WrongType,
        )
        | None => false,
    }
}

/// The provider's own words for the faults that it has words for.
fn refused(house: &House, provider: Provider, call: &Call, fault: CallFault) -> Option<Answer> {
    let refusal = match fault {
        CallFault::RateLimited => Refusal::RateLimited { wait_seconds: 1.0 },
        CallFault::ServerError => Refusal::Broken,
        CallFault::Unauthorized => Refusal::Unauthorized,
        CallFault::OutOfCredit => Refusal::OutOfCredit,
        CallFault::Timeout
        | CallFault::LostReply
        | CallFault::Truncated
        | CallFault::Garbage
        | CallFault::Html
        | CallFault::SlowDrip
        | CallFault::Endless
        | CallFault::WrongType
        | CallFault::Redirect => return None,
    };
    Some(wire::of(provider).refuse(house, call, refusal))
}

/// Checks key and rate, then lets the wire answer.
pub(crate) async fn keyed(
    house: &Arc<House>,
    provider: Provider,
    call: &Call,
    target: Target,
) -> Answer {
    let (wire, desk) = (wire::of(provider), house.desk(provider));
    if wire.is_open(call) {
        return wire.answer(house, call, "").await;
    }
    let key = match wire.key(call) {
        Ok(key) => key,
        Err(answer) => return answer,
    };
    let known = &desk.settings.keys;
    if !known.is_empty() && !known.contains(&key) {
        return wire.refuse(house, call, Refusal::Unauthorized);
    }
    if target == Target::Submit {
        let allowance = desk.meter.take(&key, house.clock.now());
        if !allowance.granted {
            let wait_seconds = allowance.wait_seconds;
            return wire.refuse(house, call, Refusal::RateLimited { wait_seconds });
        }
    }
    wire.answer(house, call, &key).await
}

/// The answer as it goes out, with what goes wrong on the way.
async fn spoil(
    answer: Answer,
    fault: Option<CallFault>,
    faults: &Faults,
    request: &HttpRequest,
    dice: &mut Dice,
) -> HttpResponse {
    match fault {
        Some(CallFault::Timeout) => {
            tokio::time::sleep(faults.hang()).await;
            cut(request)
        }
        Some(CallFault::LostReply) => cut(request),
        Some(CallFault::Truncated) => truncated(answer),
        Some(CallFault::Garbage) => {
            let noise: Vec<u8> = (0..64).flat_map(|_| dice.number().to_le_bytes()).collect();
            plain(Answer::bytes(200, "application/json", Bytes::from(noise)))
        }
        Some(CallFault::Html) => {
            const PAGE: &str = "<html><head><title>502 Bad Gateway</title></head><body>\
                <center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>";
            plain(Answer::bytes(502, "text/html", Bytes::from_static(PAGE.as_bytes())))
        }
        Some(CallFault::SlowDrip) => dripping(answer),
        Some(CallFault::Endless) => endless(),
        Some(CallFault::WrongType) => plain(Answer { content_type: "text/html", ..answer }),
        Some(CallFault::Redirect) => {
            let to = "http://169.254.169.254/latest/meta-data/";
            plain(Answer::empty(302).with("location", to))
        }
        Some(
            CallFault::RateLimited
            | CallFault::ServerError
            | CallFault::Unauthorized
            | CallFault::OutOfCredit,
        )
        | None => plain(answer),
    }
}

/// Ends the connection without an answer; what is returned reaches nobody.
fn cut(request: &HttpRequest) -> HttpResponse {
    if let Some(Wire(connection)) = request.conn_data::<Wire>() {
        // It may be closed already.
        let _ = connection.shutdown(Shutdown::Both);
    }
    HttpResponse::InternalServerError().finish()
}

fn plain(answer: Answer) -> HttpResponse {
    let body = answer.body.clone();
    head(&answer).body(body)
}

fn head(answer: &Answer) -> actix_web::HttpResponseBuilder {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if !answer.body.is_empty() {
        response.content_type(answer.content_type);
    }
    for (name, value) in &answer.headers {
        response.insert_header((*name, value.as_str()));
    }
    response
}

/// Promises the whole length and breaks off in the middle.
fn truncated(answer: Answer) -> HttpResponse {
    let length = answer.body.len() as u64;
    let half = answer.body.slice(..answer.body.len() / 2);
    let broken = async {
        // The half has to leave before the connection does.
        tokio::time::sleep(BREAK).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    };
    let body = Box::pin(stream::iter([Ok(half)]).chain(stream::once(broken)));
    head(&answer).body(SizedStream::new(length, body))
}

fn dripping(answer: Answer) -> HttpResponse {
    let length = answer.body.len() as u64;
    let bytes: Vec<Bytes> = (0..answer.body.len()).map(|at| answer.body.slice(at..=at)).collect();
    let body = stream::iter(bytes).then(|byte| async move {
        tokio::time::sleep(DRIP).await;
        Ok::<_, Infallible>(byte)
    });
    head(&answer).body(SizedStream::new(length, Box::pin(body)))
}

fn endless() -> HttpResponse {
    let flood = stream::repeat(()).then(|()| async {
        tokio::time::sleep(FLOOD_WAIT).await;
        Ok::<_, Infallible>(Bytes::from_static(FLOOD))
    });
    HttpResponse::Ok().content_type("application/json").body(BodyStream::new(Box::pin(flood)))
}

fn shown_headers(call: &Call) -> Vec<(String, String)> {
    let headers = call.headers.iter();
    headers
        .map(|(name, value)| journal::shown(name.as_str(), value.to_str().unwrap_or("[not text]")))
        .collect()
}

fn shown_body(body: &Bytes) -> Value {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => without_pictures(&value),
        Err(_) if body.is_empty() => Value::Null,
        Err(_) => without_pictures(&Value::String(String::from_utf8_lossy(body).into_owned())),
    }
}
