//! The movements of a workspace's credit (`spec/dashboard.md` 6.1 and 6.2).

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::id::GenerationId;
use actors::ledger::{EntryKind, LedgerEntry};
use actors::money::Credits;
use actors::ports::credits::CreditStore;
use askama::Template;

use super::layout::Layout;
use super::listing::{Column, Empty, Filters, ListQuery, Listing, find_page};
use super::nav::Area;
use super::{Dashboard, live, page};
use crate::auth::session::Workspace;
use crate::error::page::PageError;

/// Rows of a page.
const PAGE: usize = 50;
const COLUMNS: [Column; 7] = [
    Column::of("Type"),
    Column::of("Amount").number(),
    Column::of("Balance").number(),
    Column::of("Model"),
    Column::of("Generation ID"),
    Column::of("Description"),
    Column::of("Timestamp"),
];
const EMPTY: Empty = Empty {
    icon: "coins",
    title: "No movements yet",
    text: "Credit that is added, put aside for a generation, charged or given back is listed here.",
};

#[derive(Template)]
#[template(path = "credits/list.html")]
struct CreditsPage {
    layout: Layout,
    balance: Credits,
    list: Listing,
    rows: Vec<Row>,
}

/// A movement as a row.
struct Row {
    entry: LedgerEntry,
    label: &'static str,
    tone: &'static str,
    amount: String,
}

impl Row {
    fn of(entry: LedgerEntry) -> Self {
        let (label, tone, sign) = match entry.kind {
            EntryKind::Reserve => ("Reserved", "info", ""),
            EntryKind::Charge => ("Charged", "good", "-"),
            EntryKind::Refund => ("Refunded", "bad", "+"),
            EntryKind::Add => ("Added", "accent", "+"),
        };
        Self { label, tone, amount: format!("{sign}{}", entry.amount), entry }
    }

    /// Whether a text that is searched for, in lower case, is in what the row shows.
    fn has(&self, text: &str) -> bool {
        let id = self.entry.generation_id.map(|id| id.to_string()).unwrap_or_default();
        let texts = [self.entry.model.as_deref(), self.entry.description.as_deref()];
        let texts = texts.into_iter().flatten().chain([self.label, &self.amount, &id]);
        texts.chain([self.entry.kind.as_str()]).any(|it| it.to_lowercase().contains(text))
    }
}

pub(super) async fn list(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    query: Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    let (path, query) = (Area::Credits.path(&workspace.slug), query.into_inner());
    let (rows, next) = rows(&dashboard, &workspace, &query).await?;
    let live = query.live(&path);
    page(&CreditsPage {
        layout: Layout::workspace(&request, &workspace, Area::Credits).full(query.is_full()),
        balance: workspace.account.balance,
        list: Listing {
            id: "ledger",
            label: "Credits history",
            path: path.clone(),
            query,
            filters: Vec::new(),
            chosen: Filters::default(),
            columns: &COLUMNS,
            has_menu: false,
            export: Some("credits"),
            is_empty: rows.is_empty(),
            empty: EMPTY,
            next: next.map(|seq| seq.to_string()),
            version: version(&dashboard, &workspace).await?,
            live,
        },
        rows,
    })
}

/// Tells when there is another movement.
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

async fn rows(
    dashboard: &Dashboard,
    workspace: &Workspace,
    query: &ListQuery,
) -> Result<(Vec<Row>, Option<i64>), PageError> {
    let (store, account_id, text) =
        (&dashboard.context.store, workspace.account.id, query.search());
    // A whole id has an index; a part of one is looked for like any other text.
    if let Some(id) = text.as_deref().and_then(GenerationId::parse) {
        let entries = store.list_entries_of(account_id, id).await?;
        return Ok((entries.into_iter().rev().map(Row::of).collect(), None));
    }
    let read = async |before, limit| {
        let entries = store.list_entries_before(account_id, before, limit).await?;
        Ok::<_, PageError>(entries.into_iter().map(Row::of).collect())
    };
    let matches = |row: &Row| text.as_deref().is_none_or(|text| row.has(text));
    find_page(query.after.parse().ok(), PAGE, matches, |row: &Row| row.entry.seq, read).await
}

/// Movements are only ever added, each with a number.
async fn version(dashboard: &Dashboard, workspace: &Workspace) -> Result<String, PageError> {
    let store = &dashboard.context.store;
    let last = store.list_entries_before(workspace.account.id, None, 1).await?;
    Ok(live::version(last.first().map(|entry| entry.seq)))
}
