//! The two shapes of every answer (`spec/contract.md` 2.1, 2.2); nowhere else builds them.

use actix_web::body::BoxBody;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, Responder, web};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::AppState;
use super::idempotency::REPLAYED;
use super::page::Page;
use crate::error::ApiError;

/// Repeats `request_id` of the body, so that proxies can log it.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of a request, put into its extensions by `frame`.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

impl RequestId {
    pub(super) fn fresh() -> Self {
        Self(crate::telemetry::request_id())
    }

    pub(super) fn header(&self) -> HeaderValue {
        // Letters, digits and an underscore, made by us.
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("req_unreadable"))
    }
}

/// A successful answer of `/v1`: a message and data, and of a list its page.
#[derive(Debug)]
pub(super) struct Success<T> {
    message: &'static str,
    data: T,
    page: Option<PageOut>,
}

impl<T> Success<T> {
    pub(super) fn new(message: &'static str, data: T) -> Self {
        Self { message, data, page: None }
    }

    /// Says which page of how many rows it is.
    pub(super) fn page(mut self, page: Page, total: u64) -> Self {
        self.page = Some(PageOut { total, limit: page.limit, offset: page.offset });
        self
    }
}

#[derive(Serialize)]
struct SuccessOut<T> {
    status: &'static str,
    request_id: String,
    message: &'static str,
    timestamp: String,
    data: T,
    #[serde(flatten)]
    page: Option<PageOut>,
}

/// Beside the data, at the top level (`spec/contract.md` 1.8).
#[derive(Debug, Serialize)]
struct PageOut {
    total: u64,
    limit: u32,
    offset: u64,
}

#[derive(Serialize)]
struct ErrorOut<'a> {
    status: &'static str,
    request_id: &'a str,
    error: serde_json::Value,
}

impl<T: Serialize> Success<T> {
    /// The body, as it answers this request.
    ///
    /// # Errors
    /// Our own: the wiring, or data that JSON cannot say.
    pub(super) fn prepare(self, request: &HttpRequest) -> Result<Prepared, ApiError> {
        let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
        let clock = request.app_data::<web::Data<AppState>>().map(|state| state.clock.now());
        let (Some(request_id), Some(now)) = (request_id, clock) else {
            return Err(ApiError::internal("the server was wired without its frame"));
        };
        let body = SuccessOut {
            status: "success",
            request_id,
            message: self.message,
            timestamp: timestamp(now),
            data: self.data,
            page: self.page,
        };
        serde_json::to_string(&body).map(Prepared::new).map_err(ApiError::internal)
    }
}

impl<T: Serialize> Responder for Success<T> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        match self.prepare(request) {
            Ok(prepared) => prepared.respond_to(request),
            Err(error) => HttpResponse::from_error(error),
        }
    }
}

/// A success whose body is known byte for byte, so that it can be remembered and given again.
#[derive(Debug)]
pub(super) struct Prepared {
    body: String,
    replayed: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Prepared {
    pub(super) fn new(body: String) -> Self {
        Self { body, replayed: false, headers: Vec::new() }
    }

    /// Marks it as given again.
    pub(super) fn replayed(self) -> Self {
        Self { replayed: true, ..self }
    }

    /// With a header on the answer.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn body(&self) -> &str {
        &self.body
    }
}

impl Responder for Prepared {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if self.replayed {
            response.insert_header((REPLAYED, "true"));
        }
        for header in self.headers {
            response.insert_header(header);
        }
        private(&mut response).content_type("application/json").body(self.body)
    }
}

/// The answer to a request that went wrong.
pub(super) fn failure(error: &ApiError, request_id: &RequestId) -> HttpResponse {
    let mut response = HttpResponse::build(error.code().status());
    if error.closes() {
        response.force_close();
    }
    let body = ErrorOut { status: "error", request_id: &request_id.0, error: error.to_json() };
    let mut response = private(&mut response).json(body);
    error.put_headers(response.headers_mut());
    // For the log.
    response.extensions_mut().insert(error.code());
    response
}

/// What depends on the key in the request must not be kept between us and the client.
fn private(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    response.insert_header((CACHE_CONTROL, "no-store"))
}

/// RFC 3339, UTC, milliseconds.
pub(super) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
