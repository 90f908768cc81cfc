//! The life of a generation as server-sent events, as it happens.
//!
//! A life only moves forward, so its events follow from the record, and their ids with them:
//! 1 it was accepted, 2 a provider took it, 3 it ended. Nothing is kept for those who come late
//! or come back: they are told what they have not heard. Attempts, for who asks for them, have no
//! ids: whoever comes back hears what each has come to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use actors::account::Plan;
use actors::attempt::Attempt;
use actors::generation::Generation;
use actors::id::{AccountId, GenerationId};
use actors::watchers::{Wake, Watcher};
use actors::webhook::EventName;
use chrono::{DateTime, Utc};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::form_urlencoded;

use super::AppState;
use super::envelope::timestamp;
use super::generations::{read_id, show};
use super::openapi::parameters::{EventsQuery, GenerationPath, LastEventId};
use super::openapi::schemas::generation::EventSchema;
use crate::auth::{Authorized, GenerationRead};
use crate::error::{ApiError, ErrorCode, ProviderError};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// nginx would else keep events until it has a page of them.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// How long a client that was cut off waits before it comes back: soon, and not all at once
/// with every other when a server starts again.
const RETRY_LINE: &str = "retry: 2000\n\n";
const HEARTBEAT: &str = ": still here\n\n";
/// Told to a client that has as many streams as it may: one of its own has to end.
const RETRY_SECONDS: u32 = 5;
/// The id of the event after which there is none.
const END: u8 = 3;

/// How many streams may be open, and how often each shows that it lives.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    pub streams_max: usize,
    pub streams_max_per_account: usize,
    pub heartbeat: Duration,
}

/// The open streams of this process.
#[derive(Clone)]
pub struct Streams {
    limits: StreamLimits,
    open: Arc<Mutex<HashMap<AccountId, usize>>>,
}

impl Streams {
    pub fn new(limits: StreamLimits) -> Self {
        Self { limits, open: Arc::default() }
    }

    /// Room for one more, until it is dropped.
    ///
    /// # Errors
    /// BSE1009 when the account has as many as it may, BSE3002 when the process has.
    fn open(&self, account_id: AccountId) -> Result<Room, ApiError> {
        let limits = self.limits;
        let mut open = self.accounts();
        let own = open.get(&account_id).copied().unwrap_or(0);
        if own >= limits.streams_max_per_account {
            return Err(ApiError::new(ErrorCode::ConcurrencyLimitExceeded)
                .details(json!({ "event_streams_max": limits.streams_max_per_account }))
                .retry_after(RETRY_SECONDS));
        }
        if open.values().sum::<usize>() >= limits.streams_max {
            return Err(ApiError::busy());
        }
        open.insert(account_id, own + 1);
        Ok(Room { streams: self.clone(), account_id })
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one open stream.
struct Room {
    streams: Streams,
    account_id: AccountId,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut open = self.streams.accounts();
        if let Entry::Occupied(mut own) = open.entry(self.account_id) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

#[utoipa::path(
    get,
    path = "/v1/content/{generation_id}/events",
    tag = "generations",
    summary = "Watch a generation",
    description = "Events are numbered within a life, so a stream can be resumed.",
    params(GenerationPath, EventsQuery, LastEventId),
    responses(
        (
            status = 200,
            description = "Server-sent events, until it has ended.",
            body = EventSchema,
            content_type = "text/event-stream"
        ),
        (status = 204, description = "The client has heard the last one."),
    ),
    security(("api_key" = ["generation:read"]))
)]
pub(super) async fn watch_generation(
    caller: Authorized<GenerationRead>,
    state: Data<AppState>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (account_id, id) = (caller.key.account_id, read_id(&state, &id));
    let with_attempts = attempts(request.query_string())?;
    // Before the look, so that no change falls between the two.
    let watcher = state.watchers.watch(account_id, id);
    let found = state.generations.find(account_id, id).await?;
    let generation = found.ok_or_else(|| ApiError::new(ErrorCode::GenerationNotFound))?;
    let sent = last_event_id(&request);
    if sent == END {
        // Nothing will follow; browsers come back after every other answer.
        return Ok(HttpResponse::NoContent().finish());
    }
    let room = state.streams.open(account_id)?;
    let events = Events {
        watcher,
        account_id,
        plan: caller.plan,
        id,
        sent,
        attempts: with_attempts.then(Vec::new),
        first: Some(generation),
        over: false,
        beat_at: Instant::now() + state.streams.limits.heartbeat,
        state,
        _room: room,
    };
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((ACCEL_BUFFERING, "no"))
        .streaming(stream::unfold(events, Events::next)))
}

/// Whether attempts are asked for.
///
/// # Errors
/// BSE2001 for what is neither true nor false, or given twice.
fn attempts(query: &str) -> Result<bool, ApiError> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let mut given = parameters.by_ref().filter(|(name, _)| name == "attempts");
    let refused = || ApiError::field(ErrorCode::InvalidInput, "attempts", "Must be true or false.");
    match (given.next(), given.next()) {
        (None, _) => Ok(false),
        (Some((_, text)), None) => text.parse().map_err(|_| refused()),
        (Some(_), Some(_)) => Err(refused()),
    }
}

/// What a client that comes back has heard last; nothing, when it is no id of ours.
fn last_event_id(request: &HttpRequest) -> u8 {
    let header = request.headers().get(LAST_EVENT_ID).and_then(|it| it.to_str().ok());
    let id = header.and_then(|text| text.trim().parse().ok());
    id.filter(|id| (1..=END).contains(id)).unwrap_or(0)
}

/// One stream.
struct Events {
    state: Data<AppState>,
    watcher: Watcher,
    account_id: AccountId,
    /// That of the account when the stream was opened.
    plan: Plan,
    id: GenerationId,
    /// The id of the last event that the client has heard.
    sent: u8,
    /// What each attempt had come to when it was told; `None` for a client that does not ask.
    attempts: Option<Vec<Value>>,
    /// What the first look saw, until it has been told.
    first: Option<Generation>,
    /// Whether everything has been told.
    over: bool,
    /// When the client has to see that the stream lives.
    beat_at: Instant,
    _room: Room,
}

impl Events {
    /// The next bytes; none after the end, when the generation is gone, or when the process
    /// stops.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if let Some(generation) = self.first.take() {
            let text = format!("{RETRY_LINE}{}", self.tell(&generation));
            return Some((Ok(text.into()), self));
        }
        while !self.over {
            let text = match self.watcher.wake(self.beat_at).await {
                Wake::Closed => return None,
                Wake::TimeIsUp => HEARTBEAT.to_owned(),
                Wake::Look => match self.state.generations.find(self.account_id, self.id).await {
                    Ok(Some(generation)) => self.tell(&generation),
                    Ok(None) => return None,
                    Err(error) => {
                        tracing::warn!(generation = %self.id, %error, "cannot look for events");
                        String::new()
                    }
                },
            };
            if !text.is_empty() {
                self.beat_at = Instant::now() + self.state.streams.limits.heartbeat;
                return Some((Ok(text.into()), self));
            }
        }
        None
    }

    /// What the client has not heard yet.
    fn tell(&mut self, generation: &Generation) -> String {
        let mut text = String::new();
        let mut attempts = self.tell_attempts(generation);
        for (id, name, at) in life(generation).filter(|(id, ..)| *id > self.sent) {
            if id > 1 {
                text.push_str(&std::mem::take(&mut attempts));
            }
            let status = match id {
                1 => "pending",
                2 => "processing",
                _ => generation.status().as_str(),
            };
            let mut data = json!({
                "generation_id": generation.id,
                "generation_status": status,
                "timestamp": timestamp(at),
            });
            if id == END {
                data["generation"] = show(&self.state, self.plan, generation);
            }
            text.push_str(&format!("id: {id}\nevent: {name}\ndata: {data}\n\n"));
        }
        text.push_str(&attempts);
        self.over = generation.status().is_terminal();
        self.sent = life(generation).map(|(id, ..)| id).max().unwrap_or(0).max(self.sent);
        text
    }

    /// The attempts that have come to something else than the client has heard.
    fn tell_attempts(&mut self, generation: &Generation) -> String {
        let Some(told) = &mut self.attempts else { return String::new() };
        let id = generation.id;
        let now: Vec<Value> = generation.attempts().iter().map(|it| attempt(id, it)).collect();
        let news = now.iter().enumerate().filter(|(index, data)| told.get(*index) != Some(*data));
        let event =
            |(_, data): (usize, &Value)| format!("event: generation.attempt\ndata: {data}\n\n");
        let text = news.map(event).collect();
        *told = now;
        text
    }
}

/// An attempt as its event tells it, named as in `spec/contract.md` 7.3.
fn attempt(id: GenerationId, attempt: &Attempt) -> Value {
    let mut data = json!({
        "generation_id": id,
        "attempt_order": attempt.number,
        "provider": attempt.provider.as_str(),
        "outcome": attempt.outcome.wire_str(),
        "submitted_at": timestamp(attempt.submitted_at),
        "resolved_at": attempt.outcome.resolved_at().map(timestamp),
    });
    if let Some(error) = ProviderError::of(attempt) {
        data["error"] = error.to_json();
    }
    data
}

/// The events of a life so far: id, name, time.
fn life(generation: &Generation) -> impl Iterator<Item = (u8, &'static str, DateTime<Utc>)> {
    let started = generation.started_at().map(|at| (2, EventName::GenerationStarted.as_str(), at));
    let name = EventName::of(generation.status()).map(EventName::as_str);
    let ended = generation.completed_at().zip(name).map(|(at, name)| (END, name, at));
    [Some((1, "generation.pending", generation.created_at)), started, ended].into_iter().flatten()
}
