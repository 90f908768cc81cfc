//! Answers that a client may keep and ask about again: `ETag`, `If-None-Match`, 304.

use actix_web::http::header::{
    CACHE_CONTROL, ETAG, EntityTag, HeaderMap, HeaderName, HeaderValue, IfNoneMatch,
};
use actix_web::http::header::{Header, VARY};
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;

use super::AppState;
use super::envelope::Success;

/// The version that is written on generations, so that a client can tell which prices it knows.
const CATALOGUE_VERSION: HeaderName = HeaderName::from_static("x-babysea-catalogue-version");

/// What the library says, unless the client has it already. The tag stands for the data: the
/// envelope around it has a request id and a time of its own.
pub(super) fn library_answer<T: Serialize>(
    request: &HttpRequest,
    state: &AppState,
    message: &'static str,
    data: impl FnOnce() -> T,
) -> HttpResponse {
    let tag = EntityTag::new_strong(state.offering.version().to_owned());
    let known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        // A header that cannot be read is none.
        Err(_) => false,
    };
    let mut response = match known {
        true => HttpResponse::NotModified().finish(),
        false => Success::new(message, data()).respond_to(request).map_into_boxed_body(),
    };
    put_headers(response.headers_mut(), &tag, state.offering.catalogue_version());
    response
}

fn put_headers(headers: &mut HeaderMap, tag: &EntityTag, version: &str) {
    // To be kept by the client alone, and asked about before each use: which models there are
    // is for holders of a key.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
    for (name, text) in [(ETAG, tag.to_string()), (CATALOGUE_VERSION, version.to_owned())] {
        // Hexadecimal digits, made by us.
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
}
