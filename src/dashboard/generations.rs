//! The generations of a workspace.

mod row;

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::generation::Status;
use actors::id::ApiKeyId;
use actors::ports::KeyStore;
use actors::ports::logs::{GenerationFilter, LogStore, Page, Window};
use askama::Template;
use serde::Deserialize;

use self::row::{FIELDS, Row, arranged, cells};
pub(super) use self::row::{duration, status_label, status_tone};
use super::export::{self, Format};
use super::layout::Layout;
use super::listing::{Column, Control, Empty, Filters, ListQuery, Listing, Span};
use super::logs::key_choices;
use super::nav::Area;
use super::{Dashboard, live, page};
use crate::auth::session::Workspace;
use crate::error::page::PageError;

/// Rows of a page.
const PAGE: u32 = 50;
const COLUMNS: [Column; 9] = [
    Column::of("Generation"),
    Column::sorted("Status", "status"),
    Column::sorted("Model", "model"),
    Column::sorted("Provider used", "provider"),
    Column::of("Outputs").number(),
    Column::sorted("Cost", "cost").number(),
    Column::sorted("API key", "key"),
    Column::sorted("Created", "time"),
    Column::sorted("Duration", "duration").number(),
];
const EMPTY: Empty = Empty {
    icon: "images",
    title: "No generations yet",
    text: "What is made by the API or in the playground is listed here, for as long as the plan keeps it.",
};

#[derive(Template)]
#[template(path = "generations/list.html")]
struct GenerationsPage {
    layout: Layout,
    list: Listing,
    rows: Vec<Row>,
}

/// Which generations are listed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    status: String,
    model: String,
    key: String,
}

impl Chosen {
    fn filter(&self) -> GenerationFilter {
        GenerationFilter {
            status: Status::parse(&self.status),
            model: Some(self.model.clone()).filter(|it| !it.is_empty() && !it.contains('\0')),
            key: ApiKeyId::parse(&self.key),
        }
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
    let found = store.search_generations(account_id, &window, &chosen.filter(), PAGE).await?;
    let path = Area::Generations.path(&workspace.slug);
    let statuses = Status::ALL.map(|it| (it.as_str().to_owned(), status_label(it).to_owned()));
    let models = dashboard.offering.models().map(|(model, _)| model.identifier.clone());
    let mut controls = vec![
        Control::choice("status", "Status", &chosen.status, statuses),
        Control::choice("model", "Model", &chosen.model, models.map(|it| (it.clone(), it))),
        Control::choice("key", "API key", &chosen.key, key_choices(&keys)),
    ];
    controls.extend(Control::days(&span));
    let rows = found.rows.iter().map(|generation| Row::of(generation, &keys, &path)).collect();
    let live = query.live(&path);
    page(&GenerationsPage {
        layout: Layout::workspace(&request, &workspace, Area::Generations).full(query.is_full()),
        rows: arranged(rows, &query),
        list: Listing {
            id: "generations",
            label: "Generations",
            query: query.into_inner(),
            filters: Vec::new(),
            chosen: Filters { controls, exports_all: true },
            columns: &COLUMNS,
            has_menu: false,
            export: Some("generations"),
            is_empty: found.rows.is_empty(),
            empty: EMPTY,
            next: found.next.map(|id| id.to_string()),
            version: version(&dashboard, &workspace).await?,
            live,
            path,
        },
    })
}

/// Tells when there is another generation, or one of the newest stands elsewhere.
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
    export::file(account_id, "generations", Format::parse(&path.1)?, FIELDS, move |after| {
        let store = dashboard.context.store.clone();
        let (window, filter) = (Window { after, ..window.clone() }, filter.clone());
        async move {
            let Page { rows, next } =
                store.search_generations(account_id, &window, &filter, export::PAGE).await?;
            Ok((rows.iter().map(|generation| cells(generation).to_vec()).collect(), next))
        }
    })
}

async fn version(dashboard: &Dashboard, workspace: &Workspace) -> Result<String, PageError> {
    let store = &dashboard.context.store;
    Ok(live::version(store.newest_generations(workspace.account.id, PAGE).await?))
}
