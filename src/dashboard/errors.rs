//! Errors as pages, in the look of all others.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, ContentType};
use askama::Template;

use super::layout::Head;
use crate::page_error::PageError;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    layout: Bare<'a>,
    status: u16,
    title: &'static str,
    text: &'static str,
}

/// What the template's layout looks for.
struct Bare<'a> {
    head: &'a Head,
}

/// What is said of a path that no page has.
pub(super) async fn not_found() -> Result<HttpResponse, PageError> {
    Err(PageError::NotFound)
}

/// Makes a page of an answer that is an error and has none.
pub(super) fn explain(response: ServiceResponse<BoxBody>, head: &Head) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let bare = response.response().error().is_some()
        || !response.headers().contains_key(CONTENT_TYPE);
    if !is_error || !bare {
        return response;
    }
    let error = response.response().error();
    if let (true, Some(error)) = (status.is_server_error(), error) {
        let (path, cause) = (response.request().path(), chain(error));
        tracing::error!(path, cause, "a page failed");
    }
    let stale = error.and_then(actix_web::Error::as_error::<PageError>);
    let [title, text] = words(status, matches!(stale, Some(PageError::Stale)));
    let head = Head { title: title.to_owned(), flash: None, ..head.clone() };
    let page = ErrorPage { layout: Bare { head: &head }, status: status.as_u16(), title, text };
    // If not even this can be written, its title says enough.
    let body = page.render().unwrap_or_else(|_| title.to_owned());
    response.into_response(HttpResponse::build(status).content_type(ContentType::html()).body(body))
}

fn words(status: StatusCode, stale: bool) -> [&'static str; 2] {
    match status {
        StatusCode::FORBIDDEN if stale => [
            "This page was too old",
            "You have signed in again since it was opened. Go back, reload it, and try once more.",
        ],
        StatusCode::FORBIDDEN => [
            "You may not do this",
            "Your role in this workspace does not allow it. An owner can change your role.",
        ],
        StatusCode::NOT_FOUND => [
            "Page not found",
            "It does not exist, or it belongs to a workspace that you are not a member of.",
        ],
        StatusCode::SERVICE_UNAVAILABLE => [
            "Too much is going on",
            "The server has more to do than it can take. Try again in a moment.",
        ],
        status if status.is_client_error() => [
            "This request cannot be read",
            "Go back, reload the page, and try again.",
        ],
        _ => [
            "Something went wrong",
            "It was written down, and it is not your fault. Try again in a moment.",
        ],
    }
}

/// An error with all its causes, on one line.
fn chain(error: &actix_web::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.as_error::<PageError>().and_then(std::error::Error::source);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
