//! What every request passes on its way in and out: its id, CORS, the error envelope, the limits
//! of its account, the latency, the log, and the net below a panic.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError, web};
use futures_util::FutureExt;

use super::envelope::{REQUEST_ID, RequestId, failure};
use super::unread::Unread;
use super::{AppState, cors, rate_limit, request_log};
use crate::auth::{Auth, Identified};
use crate::error::{ApiError, ErrorCode};

/// The outermost middleware.
pub(super) async fn frame(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let frame = Frame::around(&request);
    let method = request.method().clone();
    let unread = Unread::hold(&mut request);
    let (route, response) = match cors::preflight(&request) {
        Some(preflight) => (None, Ok(request.into_response(preflight))),
        None => answer(&frame, request, next).await,
    };
    frame.note(route, &method, &response, began.elapsed());
    response.map(|response| response.map_into_boxed_body()).map(|mut response| {
        frame.finish(response.response_mut());
        match unread {
            None => response,
            Some(unread) => response.map_body(|_, body| unread.until_written(body)),
        }
    })
}

type Answer = Result<ServiceResponse<BoxBody>, Error>;

async fn answer(
    frame: &Frame,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> (Option<String>, Answer) {
    let method = request.method().clone();
    let path = request.path().to_owned();
    // Everything that a request shares with others is behind locks which survive a panic.
    let answered = AssertUnwindSafe(async move { next.call(request).await }).catch_unwind().await;
    match answered {
        Ok(Ok(response)) => {
            let route = response.request().match_pattern();
            (route, Ok(frame.explain(response.map_into_boxed_body())))
        }
        Ok(Err(error)) => (None, Err(frame.lost(&error.to_string(), &method, &path))),
        Err(panic) => (None, Err(frame.lost(text_of(&*panic), &method, &path))),
    }
}

/// What the answer to one request needs.
#[derive(Clone)]
struct Frame {
    id: RequestId,
    opens: bool,
    identified: Identified,
    state: Option<web::Data<AppState>>,
    auth: Option<web::Data<Auth>>,
}

impl Frame {
    /// Leaves in the request what the extractors look for there.
    fn around(request: &ServiceRequest) -> Self {
        let frame = Self {
            id: RequestId::fresh(),
            opens: cors::covers(request.path()),
            identified: Identified::default(),
            state: request.app_data::<web::Data<AppState>>().cloned(),
            auth: request.app_data::<web::Data<Auth>>().cloned(),
        };
        request.extensions_mut().insert(frame.id.clone());
        request.extensions_mut().insert(frame.identified.clone());
        frame
    }

    /// Takes an answered request into the metrics and, when somebody was recognized, the log.
    fn note(&self, route: Option<String>, method: &Method, answer: &Answer, took: Duration) {
        let Some(state) = &self.state else { return };
        let status = match answer {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        state.metrics.observe(route, method, status, took);
        if let Some(identified) = self.identified.get() {
            let response = answer.as_ref().ok();
            state.request_log.note(request_log::answered(identified, method, response, took));
        }
    }

    /// Puts the envelope around whatever went wrong inside.
    fn explain(&self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        let Some(error) = response.response().error() else { return response };
        let answer = match error.as_error::<ApiError>() {
            Some(error) => {
                if let Some(cause) = error.cause() {
                    let cause = chain(cause);
                    tracing::error!(request_id = self.id.0, %error, cause, "a request failed");
                }
                failure(error, &self.id)
            }
            // An error of the framework: about something that the client sent, or else ours.
            None if response.status().is_client_error() => {
                failure(&ApiError::new(ErrorCode::InvalidInput), &self.id)
            }
            None => {
                tracing::error!(request_id = self.id.0, %error, "a request failed");
                failure(&ApiError::new(ErrorCode::InternalError), &self.id)
            }
        };
        response.into_response(answer)
    }

    /// There is no request left to answer, so the error carries the whole answer.
    fn lost(&self, reason: &str, method: &Method, path: &str) -> Error {
        tracing::error!(request_id = self.id.0, %method, path, reason, "a handler panicked");
        Lost(self.clone()).into()
    }

    fn finish(&self, response: &mut HttpResponse) {
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, self.id.header());
        if self.opens {
            cors::open(headers);
        }
        if let (Some(state), Some(auth), Some((caller, route))) =
            (&self.state, &self.auth, self.identified.get())
        {
            let account_id = caller.key.account_id;
            let standings = auth.limits().standings(account_id, caller.plan, state.clock.now());
            rate_limit::put(headers, route, &standings);
        }
    }
}

/// A request whose handler is gone.
struct Lost(Frame);

impl std::fmt::Debug for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lost")
    }
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the handler panicked")
    }
}

impl ResponseError for Lost {
    fn error_response(&self) -> HttpResponse {
        let mut response = failure(&ApiError::new(ErrorCode::InternalError), &self.0.id);
        self.0.finish(&mut response);
        response
    }
}

/// An error with all its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
