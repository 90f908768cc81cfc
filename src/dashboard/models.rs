//! The models that this server runs: the list, and what each accepts and costs.

mod row;
mod schema;

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::catalogue::PriceSource;
use askama::Template;
use providers::MediaKind;
use serde::Deserialize;

use self::row::Row;
use self::schema::Field;
use super::layout::Layout;
use super::listing::{Column, Empty, Filters, ListQuery, Listing, cut};
use super::nav::Area;
use super::{Dashboard, page};
use crate::auth::session::Workspace;
use crate::error::page::PageError;
use crate::model_fields;

/// Rows of a page.
const PAGE: usize = 100;
const COLUMNS: [Column; 5] = [
    Column::sorted("Model", "model"),
    Column::sorted("Type", "type"),
    Column::of("Capabilities"),
    Column::of("Providers"),
    Column::sorted("Price", "price").number(),
];
const EMPTY: Empty = Empty {
    icon: "boxes",
    title: "No models",
    text: "A model is listed when one of its providers is configured on this server.",
};

#[derive(Template)]
#[template(path = "models/list.html")]
struct ModelsPage {
    layout: Layout,
    list: Listing,
    rows: Vec<Row>,
    tabs: Vec<Tab>,
    path: String,
}

/// A choice of what is listed.
struct Tab {
    label: &'static str,
    href: String,
    count: usize,
    is_here: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    /// `image` or `video`; anything else is both.
    kind: String,
}

impl Filter {
    fn kind(&self) -> Option<MediaKind> {
        [MediaKind::Image, MediaKind::Video].into_iter().find(|kind| kind.as_str() == self.kind)
    }
}

pub(super) async fn list(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    query: Query<ListQuery>,
    filter: Query<Filter>,
) -> Result<HttpResponse, PageError> {
    let (path, query, kind) =
        (Area::Models.path(&workspace.slug), query.into_inner(), filter.kind());
    let models = dashboard.offering.models();
    let all: Vec<Row> = models.map(|(model, providers)| Row::of(model, providers)).collect();
    let tabs = tabs(&all, kind, &path);
    let rows = row::arranged(all, &query, kind);
    let (rows, next) = cut(rows, &query.after, PAGE, |row| row.identifier.clone());
    page(&ModelsPage {
        layout: Layout::workspace(&request, &workspace, Area::Models).full(query.is_full()),
        list: Listing {
            id: "models",
            label: "Models",
            path: path.clone(),
            query,
            chosen: Filters::default(),
            filters: kind.map(|kind| ("kind", kind.as_str().to_owned())).into_iter().collect(),
            columns: &COLUMNS,
            has_menu: false,
            export: None,
            is_empty: rows.is_empty(),
            empty: EMPTY,
            next,
            version: String::new(),
            live: String::new(),
        },
        rows,
        tabs,
        path,
    })
}

fn tabs(rows: &[Row], here: Option<MediaKind>, path: &str) -> Vec<Tab> {
    let tab = |(label, kind): (&'static str, Option<MediaKind>)| Tab {
        label,
        href: kind.map_or(path.to_owned(), |kind| format!("{path}?kind={}", kind.as_str())),
        count: rows.iter().filter(|row| kind.is_none_or(|kind| row.kind == kind)).count(),
        is_here: kind == here,
    };
    let kinds =
        [("All", None), ("Image", Some(MediaKind::Image)), ("Video", Some(MediaKind::Video))];
    kinds.map(tab).into()
}

#[derive(Template)]
#[template(path = "models/model.html")]
struct ModelPage {
    layout: Layout,
    row: Row,
    /// What each choice costs; one line without a name when there is none.
    tiers: Vec<(String, String)>,
    is_placeholder: bool,
    fields: Vec<Field>,
    rules: Vec<String>,
    /// The fields as the API describes them.
    schema: String,
    /// A request that can be sent as it stands.
    example: String,
    path: String,
}

pub(super) async fn show(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let identifier = &path.1;
    let found = dashboard.offering.models().find(|(model, _)| model.identifier == *identifier);
    let (model, providers) = found.ok_or(PageError::NotFound)?;
    let fields = model_fields::describe(model);
    let layout = Layout::workspace(&request, &workspace, Area::Models);
    page(&ModelPage {
        layout: layout.titled(&model.identifier),
        row: Row::of(model, providers),
        tiers: row::tiers(model),
        is_placeholder: model.price_source == PriceSource::Placeholder,
        rules: model_fields::rules(model),
        example: schema::example(model, &fields, &dashboard.url),
        schema: serde_json::to_string_pretty(&fields).map_err(PageError::internal)?,
        fields: fields.into_iter().map(|(name, it)| Field::of(name, &it)).collect(),
        path: Area::Models.path(&workspace.slug),
    })
}
