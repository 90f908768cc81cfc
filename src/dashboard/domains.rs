//! Under which names the API is reached for a workspace (`spec/dashboard.md` 7.2).

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, Utc};

use super::layout::Layout;
use super::nav::Area;
use super::{Dashboard, page};
use crate::auth::session::Workspace;
use crate::error::page::PageError;

#[derive(Template)]
#[template(path = "domains/list.html")]
struct DomainsPage {
    layout: Layout,
    domain: String,
    api_url: String,
    created_at: DateTime<Utc>,
}

pub(super) async fn list(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let domain = dashboard.url.split_once("://").map_or("", |(_, domain)| domain);
    page(&DomainsPage {
        layout: Layout::workspace(&request, &workspace, Area::Domains),
        domain: domain.to_owned(),
        api_url: format!("{}/v1", dashboard.url),
        // Every account has it from its beginning.
        created_at: workspace.account.created_at,
    })
}
