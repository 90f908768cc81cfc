//! The ways in: pages of somebody who is not signed in, or not yet.

pub(super) mod email;
pub(super) mod first;
pub(super) mod invitation;
pub(super) mod password;
pub(super) mod sign_in;
pub(super) mod sign_up;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse};
use actors::id::UserId;
use askama::Template;

use super::flash::Flash;
use super::layout::Head;
use super::page_with;
use super::problem::Problem;
use crate::auth::session::Sessions;
use crate::error::page::PageError;
use crate::people::PeopleError;

/// What is around a page here.
struct Bare {
    head: Head,
}

impl Bare {
    fn of(request: &HttpRequest, title: &str) -> Self {
        Self { head: Head::of(request, title) }
    }
}

/// A page that says something, and leads on.
#[derive(Template)]
#[template(path = "entry/message.html")]
struct MessagePage<'a> {
    layout: Bare,
    title: &'a str,
    text: &'a str,
    /// Where to go on, and what that is called.
    next: (&'a str, &'a str),
}

fn message(
    request: &HttpRequest,
    status: StatusCode,
    (title, text): (&str, &str),
    next: (&str, &str),
) -> Result<HttpResponse, PageError> {
    let layout = Bare::of(request, title);
    page_with(status, &MessagePage { layout, title, text, next })
}

/// A link that does not work, or not any more; everything else is as it is.
fn spent(
    request: &HttpRequest,
    error: PeopleError,
    next: (&str, &str),
) -> Result<HttpResponse, PageError> {
    let gone = matches!(error, PeopleError::LinkSpent | PeopleError::Team(_));
    if !gone {
        Problem::with(error)?;
        return Err(PageError::NotFound);
    }
    let said = ("This link does not work", "It has expired, or was used. Ask for another one.");
    message(request, StatusCode::NOT_FOUND, said, next)
}

/// The status of a form that is shown again.
fn status(problem: &Problem) -> StatusCode {
    if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
}

/// Signs somebody in and goes on.
async fn enter(
    request: &HttpRequest,
    sessions: &Sessions,
    user_id: UserId,
    to: &str,
    flash: Option<Flash>,
) -> Result<HttpResponse, PageError> {
    let mut answer = HttpResponse::SeeOther();
    answer.insert_header((LOCATION, to));
    answer.cookie(sessions.begin(user_id, request).await?);
    if let Some(flash) = flash {
        answer.cookie(flash.cookie());
    }
    Ok(answer.finish())
}
