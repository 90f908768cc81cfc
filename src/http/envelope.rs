//! The two shapes of every answer (`spec/contract.md` 2.1, 2.2); nowhere else builds them.

use actix_web::body::{BoxBody, EitherBody};
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, Responder, web};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::AppState;
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

/// A successful answer of `/v1`: a message and data.
#[derive(Debug)]
pub(super) struct Success<T> {
    message: &'static str,
    data: T,
}

impl<T> Success<T> {
    pub(super) fn new(message: &'static str, data: T) -> Self {
        Self { message, data }
    }
}

#[derive(Serialize)]
struct SuccessOut<T> {
    status: &'static str,
    request_id: String,
    message: &'static str,
    timestamp: String,
    data: T,
}

#[derive(Serialize)]
struct ErrorOut<'a> {
    status: &'static str,
    request_id: &'a str,
    error: serde_json::Value,
}

impl<T: Serialize> Responder for Success<T> {
    type Body = EitherBody<BoxBody>;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse<Self::Body> {
        let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
        let clock = request.app_data::<web::Data<AppState>>().map(|state| state.clock.now());
        let (Some(request_id), Some(now)) = (request_id, clock) else {
            let error = ApiError::internal("the server was wired without its frame");
            return HttpResponse::from_error(error).map_into_right_body();
        };
        let body = SuccessOut {
            status: "success",
            request_id,
            message: self.message,
            timestamp: timestamp(now),
            data: self.data,
        };
        private(&mut HttpResponse::Ok()).json(body).map_into_left_body()
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
