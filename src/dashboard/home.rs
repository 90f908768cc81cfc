//! Where somebody begins.

use actix_web::http::header::LOCATION;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use actors::account::AccountKind;
use actors::member::PERSONAL;

use super::nav;
use crate::auth::session::{Sessions, Workspace};
use crate::error::page::PageError;

/// The address of the server itself: where one signs in, or the own account.
pub(super) async fn start(
    request: HttpRequest,
    sessions: Data<Sessions>,
) -> Result<HttpResponse, PageError> {
    let to = match sessions.find(&request).await? {
        Some(_) => first(&request, PERSONAL, AccountKind::Personal),
        None => "/sign-in".to_owned(),
    };
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, to)).finish())
}

/// A workspace without a page.
pub(super) async fn workspace(request: HttpRequest, workspace: Workspace) -> HttpResponse {
    let to = first(&request, &workspace.slug, workspace.account.kind);
    HttpResponse::SeeOther().insert_header((LOCATION, to)).finish()
}

/// The first page of a workspace that this server has.
fn first(request: &HttpRequest, slug: &str, kind: AccountKind) -> String {
    let groups = nav::workspace(request, slug, kind == AccountKind::Team, None);
    let mut links = groups.into_iter().flat_map(|group| group.links).map(|link| link.href);
    links.next().unwrap_or_else(|| "/home/settings".to_owned())
}
