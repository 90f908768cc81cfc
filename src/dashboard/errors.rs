//! Errors as pages, in the look of all others.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ContentType};
use askama::Template;

use super::layout::Head;
use crate::error::page::PageError;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    layout: Bare<'a>,
    status: u16,
    title: &'a str,
    text: &'a str,
}

/// What the template's layout looks for.
struct Bare<'a> {
    head: &'a Head,
}

impl From<askama::Error> for PageError {
    fn from(error: askama::Error) -> Self {
        Self::internal(error)
    }
}

/// What is said of a path that no page has.
pub(super) async fn not_found() -> Result<HttpResponse, PageError> {
    Err(PageError::NotFound)
}

/// Makes a page of an answer that is an error and has none.
pub(super) fn explain(response: ServiceResponse<BoxBody>, head: &Head) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let error = response.response().error();
    if error.is_none() && (!is_error || response.headers().contains_key(CONTENT_TYPE)) {
        return response;
    }
    if let (true, Some(error)) = (status.is_server_error(), error) {
        let (path, cause) = (response.request().path(), chain(error));
        tracing::error!(path, cause, "a page failed");
    }
    // What is none of ours, the framework has refused.
    let other = match status.is_client_error() {
        true => PageError::BadForm,
        false => PageError::internal("the framework failed"),
    };
    let refusal = error.and_then(actix_web::Error::as_error::<PageError>);
    // The way to the sign-in is an error of an extractor and needs no page.
    let body = is_error.then(|| draw(refusal.unwrap_or(&other), status, head));
    let (request, old) = response.into_parts();
    let mut answer = HttpResponse::build(status);
    let mut new = match body {
        Some(body) => answer.content_type(ContentType::html()).body(body),
        None => answer.finish(),
    };
    for (name, value) in old.headers() {
        if ![CONTENT_TYPE, CONTENT_LENGTH].contains(name) {
            new.headers_mut().append(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, new)
}

fn draw(refusal: &PageError, status: StatusCode, head: &Head) -> String {
    let (title, text) = (refusal.title(), refusal.advice());
    let head = Head { title: title.to_owned(), flash: None, ..head.clone() };
    let layout = Bare { head: &head };
    let page = ErrorPage { layout, status: status.as_u16(), title, text: &text };
    // If not even this can be drawn, its title says enough.
    page.render().unwrap_or_else(|_| title.to_owned())
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
