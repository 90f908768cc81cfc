//! What every page passes on its way out: the headers that tell a browser how little it may do
//! with it, a page in place of a bare error, and the end of a flash that was shown.

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    InvalidHeaderValue, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::flash::{self, Flash};
use super::{Dashboard, errors, layout::Head};

/// What browsers may do with a page.
#[derive(Debug, Clone)]
pub struct Policy(HeaderValue);

impl Policy {
    /// Scripts and styles are files of ours, nothing is inline, and nobody may frame a page. `blob:`
    /// and `data:` are pictures and films that a script of ours has in memory; `origin` is where
    /// links to outputs lead, which may not be the address that a person has typed.
    ///
    /// # Errors
    /// When the origin is none.
    pub fn with_media_from(origin: &str) -> Result<Self, InvalidHeaderValue> {
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; \
             img-src 'self' {origin} data: blob:; media-src 'self' {origin} blob:; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        );
        HeaderValue::from_str(&policy).map(Self)
    }
}

/// Without a dashboard there is nothing to allow.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'");
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()",
);
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");

pub(super) async fn frame(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let head = Head::of(request.request(), "");
    let response = next.call(request).await?.map_into_boxed_body();
    let mut response = errors::explain(response, &head);
    let dashboard = response.request().app_data::<Data<Dashboard>>();
    let policy = dashboard.map_or(NOTHING, |dashboard| dashboard.policy.0.clone());
    let headers = response.headers_mut();
    protect(headers, policy);
    if head.flash.is_some() && is_page(headers) && !sets_flash(headers) {
        // A cookie of ours is a valid header.
        if let Ok(removal) = HeaderValue::from_str(&flash::removal().to_string()) {
            headers.append(SET_COOKIE, removal);
        }
    }
    Ok(response)
}

fn protect(headers: &mut HeaderMap, policy: HeaderValue) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, SAME_ORIGIN),
        (PERMISSIONS_POLICY, PERMISSIONS),
        (OPENER_POLICY, SAME_ORIGIN),
        (RESOURCE_POLICY, SAME_ORIGIN),
    ] {
        headers.insert(name, value);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        // Pages are of one person, and some show what is shown once.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(b"text/html"))
}

fn sets_flash(headers: &HeaderMap) -> bool {
    headers.get_all(SET_COOKIE).any(|it| it.as_bytes().starts_with(Flash::COOKIE))
}
