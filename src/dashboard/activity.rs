//! What people did in a workspace: its audit log.
//!
//! Labels, columns and files are those of `spec/dashboard.md` 5.3.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::activity::{Activity, CATEGORIES};
use actors::ports::logs::{LogStore, Page, Window};
use askama::Template;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;

use super::export::{self, Format};
use super::layout::Layout;
use super::listing::{Column, Control, Empty, Filters, ListQuery, Listing, Order, Span};
use super::nav::Area;
use super::{Dashboard, live, page};
use crate::auth::session::Workspace;
use crate::error::page::PageError;

/// Rows of a page.
const PAGE: u32 = 100;
const COLUMNS: [Column; 4] = [
    Column::sorted("Member", "member"),
    Column::sorted("Action", "action"),
    Column::sorted("Description", "description"),
    Column::sorted("Timestamp", "time"),
];
const EMPTY: Empty = Empty {
    icon: "history",
    title: "No activity yet",
    text: "What members do in this account is listed here, and what happens to it.",
};
/// What a file has of each line.
const FIELDS: &[&str] = &["event_id", "actor", "category", "action", "description", "timestamp"];

#[derive(Template)]
#[template(path = "activity/page.html")]
struct ActivityPage {
    layout: Layout,
    list: Listing,
    rows: Vec<Activity>,
}

impl ActivityPage {
    fn timestamp(&self, row: &Activity) -> String {
        timestamp(row.at)
    }
}

/// Which lines are listed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    category: String,
}

impl Chosen {
    fn category(&self) -> Option<&str> {
        CATEGORIES.into_iter().find(|category| *category == self.category)
    }
}

pub(super) async fn list(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    query: Query<ListQuery>,
    (span, chosen): (Query<Span>, Query<Chosen>),
) -> Result<HttpResponse, PageError> {
    let (store, account_id) = (&dashboard.context.store, workspace.account.id);
    let window = span.window(&query);
    let found = store.search_activities(account_id, &window, chosen.category(), PAGE).await?;
    let path = Area::Activity.path(&workspace.slug);
    let categories = CATEGORIES.map(|it| (it.to_owned(), it.to_owned()));
    let mut controls = vec![Control::choice("category", "Category", &chosen.category, categories)];
    controls.extend(Control::days(&span));
    let live = query.live(&path);
    page(&ActivityPage {
        layout: Layout::workspace(&request, &workspace, Area::Activity).full(query.is_full()),
        list: Listing {
            id: "activity",
            label: "Activity",
            filters: Vec::new(),
            chosen: Filters { controls, exports_all: true },
            columns: &COLUMNS,
            has_menu: false,
            export: Some("activity"),
            is_empty: found.rows.is_empty(),
            empty: EMPTY,
            next: found.next.map(|id| id.to_string()),
            version: version(&dashboard, &workspace).await?,
            live,
            path,
            query: query.0.clone(),
        },
        rows: arranged(found.rows, &query),
    })
}

/// Tells when there is another line.
pub(super) async fn watch(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
) -> Result<HttpResponse, PageError> {
    let live = dashboard.live.clone();
    live.tell(move || {
        let (dashboard, workspace) = (dashboard.clone(), workspace.clone());
        async move { version(&dashboard, &workspace).await }
    })
}

/// Everything that the filters let through, as a file.
pub(super) async fn download(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    query: Query<ListQuery>,
    (span, chosen): (Query<Span>, Query<Chosen>),
) -> Result<HttpResponse, PageError> {
    let window = Window { after: None, ..span.window(&query) };
    let (category, account_id) = (chosen.category().map(str::to_owned), workspace.account.id);
    export::file(account_id, "activity", Format::parse(&path.1)?, FIELDS, move |after| {
        let store = dashboard.context.store.clone();
        let (window, category) = (Window { after, ..window.clone() }, category.clone());
        async move {
            let category = category.as_deref();
            let Page { rows, next } =
                store.search_activities(account_id, &window, category, export::PAGE).await?;
            Ok((rows.into_iter().map(cells).collect(), next))
        }
    })
}

/// What is another when there is another line.
async fn version(dashboard: &Dashboard, workspace: &Workspace) -> Result<String, PageError> {
    let (store, all) = (&dashboard.context.store, Window::default());
    let newest = store.search_activities(workspace.account.id, &all, None, 1).await?;
    Ok(live::version(newest.rows.first().map(|line| line.id)))
}

/// The rows of a page in the order that is asked for, as the log of requests is.
fn arranged(mut rows: Vec<Activity>, query: &ListQuery) -> Vec<Activity> {
    let Some((column, order)) = query.order() else { return rows };
    match column {
        "member" => rows.sort_by_cached_key(|row| row.actor.to_lowercase()),
        "action" => rows.sort_by_cached_key(|row| (row.category.clone(), row.action.clone())),
        "description" => rows.sort_by_cached_key(|row| row.description.to_lowercase()),
        _ => return rows,
    }
    if order == Order::Descending {
        rows.reverse();
    }
    rows
}

/// The cells of a file, as [`FIELDS`] names them.
fn cells(line: Activity) -> Vec<String> {
    let (id, at) = (line.id.to_string(), timestamp(line.at));
    vec![id, line.actor, line.category, line.action, line.description, at]
}

fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
