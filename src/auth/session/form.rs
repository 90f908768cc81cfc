//! Forms: of people who are signed in, and of those who are not yet.

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::origin::is_from_here;
use super::sessions;
use crate::error::page::PageError;

/// What a script shows instead of the field.
const HEADER: &str = "x-csrf-token";
const FIELD: &str = "csrf";

/// A form of a signed-in person whose hidden field `csrf`, or the header `X-CSRF-Token`, shows
/// that one of our pages sent it. `T` is read from all its fields, that one included; fields that
/// repeat need a `Vec<(String, String)>`.
#[derive(Debug)]
pub struct CsrfForm<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for CsrfForm<T> {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = body(request, payload);
        let request = request.clone();
        async move {
            let body = body.await?;
            let header = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
            let field =
                || url::form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == FIELD);
            let shown = match header {
                Some(header) => header.to_owned(),
                None => field().ok_or(PageError::Forged)?.1.into_owned(),
            };
            if !is_from_here(&request) || !sessions(&request)?.is_ours(&request, &shown) {
                return Err(PageError::Forged);
            }
            read(&body).map(Self)
        }
        .boxed_local()
    }
}

/// A form of somebody who need not be signed in, sent by a page of this server.
#[derive(Debug)]
pub struct OpenForm<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for OpenForm<T> {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = body(request, payload);
        let request = request.clone();
        async move {
            if !is_from_here(&request) {
                return Err(PageError::Forged);
            }
            read(&body.await?).map(Self)
        }
        .boxed_local()
    }
}

/// The body as text, up to the limit of all forms of this server.
fn body(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<String, PageError>> + use<> {
    let body = String::from_request(request, payload);
    async move { body.await.map_err(|_| PageError::BadForm) }
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T, PageError> {
    // The same format as in a query.
    let form = web::Query::<T>::from_query(body).map_err(|_| PageError::BadForm)?;
    Ok(form.into_inner())
}
