//! One webhook endpoint: how it stands, what is done to it, and the log of what it was sent.
//!
//! What it does is what the commands `babysea webhook …` do, by the same functions.

mod actions;
mod dialog;
mod row;
mod standing;

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::id::{DeliveryId, EndpointId};
use actors::permission::Permission;
use actors::ports::DeliveryStore;
use actors::ports::deliveries::{DeliveryLog, EndpointHealth, LogFilter, LogPage, LogQuery};
use actors::webhook::WebhookEndpoint;
use askama::Template;
use serde::Deserialize;

pub(super) use self::actions::{
    delete, deliver_queued, disable, edit, enable, replay, replay_between, rotate, test,
};
use self::dialog::{Asked, Dialog};
pub(super) use self::row::DeliveryState;
use self::row::Row;
use self::standing::Standing;
use super::layout::Layout;
use super::listing::{Column, Empty, Filters, ListQuery, Listing};
use super::nav::Area;
use super::webhooks::{COUNTED_MAX, RECENT};
use super::{Dashboard, live, page};
use crate::auth::session::Workspace;
use crate::error::page::PageError;

/// Rows of a page.
const PAGE: u32 = 50;
const COLUMNS: [Column; 7] = [
    Column::of("Event"),
    Column::of("Generation ID"),
    Column::of("Payload"),
    Column::of("Status code"),
    Column::of("Error"),
    Column::of("Attempts").number(),
    Column::of("Timestamp"),
];
const EMPTY: Empty = Empty {
    icon: "inbox",
    title: "No events yet",
    text: "What is sent to this endpoint is listed here, with every try.",
};

#[derive(Template)]
#[template(path = "webhooks/endpoint.html")]
struct EndpointPage {
    layout: Layout,
    standing: Standing,
    list: Listing,
    tabs: Vec<Tab>,
    rows: Vec<Row>,
    may_manage: bool,
    dialog: Option<Dialog>,
    /// The list of endpoints.
    endpoints: String,
    csrf: String,
}

/// A choice of what is listed.
struct Tab {
    label: &'static str,
    href: String,
    is_here: bool,
}

/// Which deliveries are listed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    /// A [`LogFilter`]; anything else is all of them.
    status: String,
}

pub(super) async fn show(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<(String, String)>,
    (query, filter): (Query<ListQuery>, Query<Filter>),
    asked: Query<Asked>,
) -> Result<HttpResponse, PageError> {
    let place = Place::find(&dashboard, workspace, endpoint_id(&path.1)?).await?;
    let dialog = place.asked(&dashboard, &asked).await?;
    place.show(&dashboard, &request, query.into_inner(), &filter, dialog).await
}

/// Tells when the endpoint or its log has changed.
pub(super) async fn watch(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let (id, live) = (endpoint_id(&path.1)?, dashboard.live.clone());
    live.tell(move || {
        let (dashboard, workspace) = (dashboard.clone(), workspace.clone());
        async move { Place::find(&dashboard, workspace, id).await?.version(&dashboard).await }
    })
}

fn endpoint_id(text: &str) -> Result<EndpointId, PageError> {
    EndpointId::parse(text).ok_or(PageError::NotFound)
}

/// An endpoint in a workspace.
struct Place {
    workspace: Workspace,
    endpoint: WebhookEndpoint,
    health: EndpointHealth,
    /// Where its page is.
    path: String,
}

impl Place {
    async fn find(
        dashboard: &Dashboard,
        workspace: Workspace,
        id: EndpointId,
    ) -> Result<Self, PageError> {
        let (store, account_id) = (&dashboard.context.store, workspace.account.id);
        let endpoint = store.find_endpoint(account_id, id).await?.ok_or(PageError::NotFound)?;
        let health = store.endpoint_health(account_id, id, RECENT, COUNTED_MAX).await?;
        let path = format!("{}/{id}", Area::Webhooks.path(&workspace.slug));
        Ok(Self { workspace, endpoint, health, path })
    }

    async fn log(
        &self,
        dashboard: &Dashboard,
        query: &ListQuery,
        filter: &Filter,
    ) -> Result<LogPage, PageError> {
        let query = LogQuery {
            before: DeliveryId::parse(&query.after),
            filter: LogFilter::parse(&filter.status),
            text: query.search(),
        };
        let (account_id, id) = (self.workspace.account.id, self.endpoint.state.id);
        Ok(dashboard.context.store.list_deliveries(account_id, id, &query, PAGE).await?)
    }

    /// What is another when anything on the page is, on whichever page of the log.
    async fn version(&self, dashboard: &Dashboard) -> Result<String, PageError> {
        let newest = self.log(dashboard, &ListQuery::default(), &Filter::default()).await?;
        let rows: Vec<Row> = newest.deliveries.iter().map(Row::of).collect();
        Ok(live::version((self.standing(), rows)))
    }

    fn standing(&self) -> Standing {
        Standing::of(&self.endpoint, &self.health)
    }

    async fn show(
        self,
        dashboard: &Dashboard,
        request: &HttpRequest,
        query: ListQuery,
        filter: &Filter,
        dialog: Option<Dialog>,
    ) -> Result<HttpResponse, PageError> {
        let log = self.log(dashboard, &query, filter).await?;
        let version = self.version(dashboard).await?;
        let standing = self.standing().at(dashboard.context.clock.now());
        let Self { workspace, path, .. } = self;
        let chosen = LogFilter::parse(&filter.status);
        let layout = Layout::workspace(request, &workspace, Area::Webhooks);
        page(&EndpointPage {
            layout: layout.titled(standing.url.clone()).full(query.is_full()),
            standing,
            tabs: tabs(&path, chosen),
            list: Listing {
                id: "events",
                label: "Webhook events",
                path: path.clone(),
                query,
                chosen: Filters::default(),
                filters: chosen.map(|it| ("status", it.as_str().to_owned())).into_iter().collect(),
                columns: &COLUMNS,
                has_menu: true,
                export: None,
                is_empty: log.deliveries.is_empty(),
                empty: empty(chosen),
                next: log.next.map(|id| id.to_string()),
                version,
                live: format!("{path}/live"),
            },
            rows: log.deliveries.iter().map(Row::of).collect(),
            may_manage: workspace.may(Permission::ManageWebhooks),
            dialog,
            endpoints: Area::Webhooks.path(&workspace.slug),
            csrf: workspace.csrf().to_owned(),
        })
    }
}

fn tabs(path: &str, chosen: Option<LogFilter>) -> Vec<Tab> {
    let all = Tab { label: "All", href: path.to_owned(), is_here: chosen.is_none() };
    let of = |filter: LogFilter| Tab {
        label: match filter {
            LogFilter::Delivered => "Delivered",
            LogFilter::Failed => "Failed",
            LogFilter::Pending => "Pending",
            LogFilter::Queued => "Queued",
        },
        href: format!("{path}?status={}", filter.as_str()),
        is_here: chosen == Some(filter),
    };
    [all].into_iter().chain(LogFilter::ALL.map(of)).collect()
}

fn empty(chosen: Option<LogFilter>) -> Empty {
    let (title, text) = match chosen {
        None => return EMPTY,
        Some(LogFilter::Delivered) => {
            ("Nothing delivered yet", "Events that the endpoint has taken.")
        }
        Some(LogFilter::Failed) => ("Nothing has failed", "Events that the endpoint never took."),
        Some(LogFilter::Pending) => ("Nothing is waiting", "Events that are about to be sent."),
        Some(LogFilter::Queued) => {
            ("Nothing is queued", "Events that are kept while the endpoint is disabled.")
        }
    };
    Empty { icon: "inbox", title, text }
}
