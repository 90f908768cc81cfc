//! What browsers are told about using this API from other sites (`spec/contract.md` B.3).
//!
//! Any site may: identity comes from a header that a site has to know, never from cookies.

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderValue, ORIGIN,
};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE, OPTIONS");
/// What official clients send (0.3 rule 11), and what waits and event streams need. The first is
/// named although `*` would do for the others: browsers do not take `*` for it.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Accept, Content-Type, Idempotency-Key, If-None-Match, Prefer, Last-Event-ID, \
     X-BabySea-SDK-Name, X-BabySea-SDK-Version, X-BabySea-SDK-Runtime, \
     X-BabySea-SDK-Runtime-Version",
);
/// What official clients read (0.3 rule 12), the same as the IETF drafts it, and what is ours: the
/// request id, the library's tag, and whether a wait was honoured.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, \
     RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-Id, Preference-Applied, ETag, \
     X-BabySea-Catalogue-Version",
);
/// Seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// Whether a path is meant for browsers of other sites: the API and its outputs.
pub(super) fn covers(path: &str) -> bool {
    path.starts_with("/v1/") || path.starts_with("/files/")
}

/// The answer to a browser's question whether it may ask.
pub(super) fn preflight(request: &ServiceRequest) -> Option<HttpResponse> {
    let headers = request.headers();
    let asks = request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && covers(request.path());
    asks.then(|| {
        HttpResponse::NoContent()
            .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, ANY))
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
            .insert_header((ACCESS_CONTROL_MAX_AGE, MAX_AGE))
            .finish()
    })
}

/// Opens an answer to other sites. The same for every origin, so no `Vary` is needed.
pub(super) fn open(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}
