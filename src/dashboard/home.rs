//! Where somebody begins.

use actix_web::http::header::LOCATION;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use actors::member::PERSONAL;

use super::nav;
use crate::auth::session::Sessions;
use crate::error::page::PageError;

/// The address of the server itself: where one signs in, or the own account.
pub(super) async fn start(
    request: HttpRequest,
    sessions: Data<Sessions>,
) -> Result<HttpResponse, PageError> {
    let to = match sessions.find(&request).await? {
        Some(_) => nav::home(&request, PERSONAL, false),
        None => "/sign-in".to_owned(),
    };
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, to)).finish())
}
