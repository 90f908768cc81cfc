//! The log of requests that were made with a key.
//!
//! Labels and columns are those of `spec/dashboard.md` 5.2. A page is as long as can be looked at, not
//! the documented 500 rows: the next one is as near.

mod row;

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::api_key::ApiKey;
use actors::id::ApiKeyId;
use actors::logged_request::{RequestLine, StatusClass};
use actors::ports::KeyStore;
use actors::ports::logs::{LogStore, Page, RequestFilter, Window};
use askama::Template;
use serde::Deserialize;

use self::row::{FIELDS, Row, arranged, cells};
use super::export::{self, Format};
use super::layout::Layout;
use super::listing::{Column, Control, Empty, Filters, ListQuery, Listing, Span};
use super::nav::Area;
use super::{Dashboard, live, page};
use crate::auth::session::Workspace;
use crate::error::page::PageError;

/// Rows of a page.
const PAGE: u32 = 50;
/// Keys that can be chosen, the newest.
pub(super) const KEYS_MAX: usize = 100;
const COLUMNS: [Column; 9] = [
    Column::sorted("API", "name"),
    Column::sorted("Method", "method"),
    Column::sorted("Endpoint", "endpoint"),
    Column::of("Params"),
    Column::sorted("Status", "status"),
    Column::sorted("Error code", "code"),
    Column::of("IP hash"),
    Column::of("Replay"),
    Column::sorted("Timestamp", "time"),
];
const EMPTY: Empty = Empty {
    icon: "scroll-text",
    title: "No requests yet",
    text: "Requests that are made with an API key are listed here.",
};

#[derive(Template)]
#[template(path = "logs/page.html")]
struct LogsPage {
    layout: Layout,
    list: Listing,
    rows: Vec<Row>,
}

/// Which requests are listed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    key: String,
    status: String,
}

impl Chosen {
    fn filter(&self) -> RequestFilter {
        RequestFilter { key: ApiKeyId::parse(&self.key), class: StatusClass::parse(&self.status) }
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
    let keys = store.list_keys(account_id).await?;
    let window = span.window(&query);
    let found = store.search_requests(account_id, &window, &chosen.filter(), PAGE).await?;
    let now = dashboard.context.clock.now();
    let rows: Vec<Row> = found.rows.iter().map(|line| Row::of(line, &keys, now)).collect();
    let path = Area::Logs.path(&workspace.slug);
    let classes = StatusClass::ALL.map(|it| (it.as_str().to_owned(), it.as_str().to_owned()));
    let mut controls = vec![
        Control::choice("status", "Status", &chosen.status, classes),
        Control::choice("key", "API key", &chosen.key, key_choices(&keys)),
    ];
    controls.extend(Control::days(&span));
    let live = query.live(&path);
    page(&LogsPage {
        layout: Layout::workspace(&request, &workspace, Area::Logs).full(query.is_full()),
        rows: arranged(rows, &query),
        list: Listing {
            id: "logs",
            label: "API requests",
            query: query.into_inner(),
            filters: Vec::new(),
            chosen: Filters { controls, exports_all: true },
            columns: &COLUMNS,
            has_menu: false,
            export: Some("logs"),
            is_empty: found.rows.is_empty(),
            empty: EMPTY,
            next: found.next.map(|id| id.to_string()),
            version: version(&dashboard, &workspace).await?,
            live,
            path,
        },
    })
}

/// Tells when there is another request.
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
    let (filter, account_id) = (chosen.filter(), workspace.account.id);
    export::file(account_id, "logs", Format::parse(&path.1)?, FIELDS, move |after| {
        let store = dashboard.context.store.clone();
        let (window, filter) = (Window { after, ..window.clone() }, filter.clone());
        async move {
            let Page { rows, next } =
                store.search_requests(account_id, &window, &filter, export::PAGE).await?;
            Ok((rows.iter().map(|line| cells(line).to_vec()).collect(), next))
        }
    })
}

/// Keys by name, for a choice.
pub(super) fn key_choices(keys: &[ApiKey]) -> impl Iterator<Item = (String, String)> + '_ {
    let choice = |key: &ApiKey| (key.id.to_string(), format!("{} ({}...)", key.name, key.prefix));
    keys.iter().take(KEYS_MAX).map(choice)
}

/// What is another when there is another request.
async fn version(dashboard: &Dashboard, workspace: &Workspace) -> Result<String, PageError> {
    let (all, any) = (Window::default(), RequestFilter::default());
    let newest =
        dashboard.context.store.search_requests(workspace.account.id, &all, &any, 1).await?;
    Ok(live::version(newest.rows.first().map(|line: &RequestLine| line.id)))
}
