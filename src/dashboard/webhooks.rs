//! Webhook endpoints of a workspace: the list with how each has done lately, and the dialog that
//! adds one.
//!
//! Labels, columns and texts are those of `spec/dashboard.md` 3. A signing secret in the clear is
//! in the answer to the form that made it and nowhere else.

pub(super) mod form;
pub(super) mod row;

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::permission::Permission;
use actors::ports::EndpointStore;
use actors::ports::deliveries::DeliveryLog;
use askama::Template;
use secrecy::ExposeSecret;
use serde::Deserialize;

use self::form::{EndpointForm, Fields};
use self::row::Row;
use super::layout::Layout;
use super::listing::{Column, Empty, Filters, ListQuery, Listing, cut};
use super::nav::Area;
use super::{Dashboard, live, page};
use crate::auth::session::{CsrfForm, Workspace};
use crate::error::page::PageError;
use crate::identity::{NewEndpoint, create_endpoint};

/// Rows of a page.
const PAGE: usize = 50;
/// Deliveries that tell how an endpoint has done.
pub(super) const RECENT: u32 = 20;
/// So many waiting deliveries are counted, not more.
pub(super) const COUNTED_MAX: u32 = 1000;
const COLUMNS: [Column; 5] = [
    Column::sorted("Endpoint", "url"),
    Column::sorted("Status", "status"),
    Column::sorted("Created", "created"),
    Column::of("Last deliveries"),
    Column::sorted("Waiting", "waiting").number(),
];
const EMPTY: Empty = Empty {
    icon: "webhook",
    title: "No endpoints yet",
    text: "Add an endpoint to be told when a generation starts, completes, fails or is canceled, instead of asking for it.",
};

#[derive(Template)]
#[template(path = "webhooks/list.html")]
struct WebhooksPage {
    layout: Layout,
    list: Listing,
    rows: Vec<Row>,
    may_manage: bool,
    dialog: Option<Dialog>,
    /// Where the form is sent to.
    path: String,
    csrf: String,
}

/// What is open.
enum Dialog {
    Add(EndpointForm),
    /// A new endpoint, with its secret in the clear.
    Created {
        secret: String,
    },
}

/// Which dialog is open.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    dialog: String,
}

pub(super) async fn list(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    query: Query<ListQuery>,
    asked: Query<Asked>,
) -> Result<HttpResponse, PageError> {
    let may_add = asked.dialog == "add" && workspace.may(Permission::ManageWebhooks);
    let dialog = may_add.then(|| Dialog::Add(EndpointForm::empty()));
    show(&dashboard, &workspace, &request, query.into_inner(), dialog).await
}

/// Tells when the list has changed.
pub(super) async fn watch(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
) -> Result<HttpResponse, PageError> {
    let live = dashboard.live.clone();
    live.tell(move || {
        let (dashboard, workspace) = (dashboard.clone(), workspace.clone());
        async move { Ok(live::version(rows(&dashboard, &workspace).await?)) }
    })
}

pub(super) async fn create(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    form: CsrfForm<Fields>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ManageWebhooks)?;
    let form = EndpointForm::read(form.0)?;
    let new = NewEndpoint {
        account_id: workspace.account.id,
        url: form.url.trim().to_owned(),
        events: form.events.clone(),
    };
    let context = dashboard.context.of(workspace.person.user.id);
    let dialog = match create_endpoint(&context, new).await {
        Ok(endpoint) => Dialog::Created { secret: endpoint.secret.expose_secret().to_owned() },
        Err(error) => Dialog::Add(form.refused(error)?),
    };
    show(&dashboard, &workspace, &request, ListQuery::default(), Some(dialog)).await
}

async fn rows(dashboard: &Dashboard, workspace: &Workspace) -> Result<Vec<Row>, PageError> {
    let (store, account_id) = (&dashboard.context.store, workspace.account.id);
    let mut rows = Vec::new();
    for endpoint in store.list_endpoints(account_id).await? {
        let id = endpoint.state.id;
        let health = store.endpoint_health(account_id, id, RECENT, COUNTED_MAX).await?;
        rows.push(Row::of(&endpoint, &health));
    }
    Ok(rows)
}

async fn show(
    dashboard: &Dashboard,
    workspace: &Workspace,
    request: &HttpRequest,
    query: ListQuery,
    dialog: Option<Dialog>,
) -> Result<HttpResponse, PageError> {
    let path = Area::Webhooks.path(&workspace.slug);
    let all = rows(dashboard, workspace).await?;
    let version = live::version(&all);
    let (rows, next) =
        cut(row::arranged(all, &query), &query.after, PAGE, |row| row.id.to_string());
    page(&WebhooksPage {
        layout: Layout::workspace(request, workspace, Area::Webhooks).full(query.is_full()),
        list: Listing {
            id: "endpoints",
            label: "Webhook endpoints",
            path: path.clone(),
            query,
            chosen: Filters::default(),
            filters: Vec::new(),
            columns: &COLUMNS,
            has_menu: false,
            export: None,
            is_empty: rows.is_empty(),
            empty: EMPTY,
            next,
            version,
            live: format!("{path}/live"),
        },
        rows,
        may_manage: workspace.may(Permission::ManageWebhooks),
        dialog,
        path,
        csrf: workspace.csrf().to_owned(),
    })
}
