//! What a workspace was told: the page behind the bell.
//!
//! Whether a notification was read is the same for everybody, so those mark it who may change
//! what the owner is told (`spec/dashboard.md` 1.3).

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::id::{EndpointId, NotificationId};
use actors::notification::{Notification, NotificationKind};
use actors::permission::Permission;
use actors::ports::EndpointStore;
use actors::ports::deliveries::NotificationStore;
use actors::webhook::WebhookEndpoint;
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::alerts::{AlertsCard, Fields};
use super::flash::Flash;
use super::form::Nothing;
use super::layout::Layout;
use super::nav::Area;
use super::{Dashboard, live, page_with, redirect};
use crate::auth::session::{CsrfForm, Workspace};
use crate::error::page::PageError;

/// Notifications of a page.
const PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "notifications/list.html")]
struct NotificationsPage {
    layout: Layout,
    rows: Vec<Row>,
    has_unread: bool,
    may_change: bool,
    path: String,
    /// Whether there was a page before.
    is_first: bool,
    /// The last one of this page, when there are more.
    next: Option<NotificationId>,
    version: String,
    alerts: String,
    csrf: String,
}

/// A notification, in words.
struct Row {
    id: NotificationId,
    icon: &'static str,
    title: &'static str,
    text: String,
    /// Where one can do something about it.
    link: Option<(String, &'static str)>,
    created_at: DateTime<Utc>,
    is_read: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PageQuery {
    /// The last one of the page before.
    after: String,
}

pub(super) async fn list(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    query: Query<PageQuery>,
) -> Result<HttpResponse, PageError> {
    let path = Area::Notifications.path(&workspace.slug);
    let alerts = AlertsCard::find(&dashboard, &workspace, &path).await?;
    draw(&workspace, &dashboard, &request, &query, alerts).await
}

pub(super) async fn save_alerts(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    form: CsrfForm<Fields>,
) -> Result<HttpResponse, PageError> {
    let path = Area::Notifications.path(&workspace.slug);
    match AlertsCard::save(&dashboard, &workspace, &path, form.0).await? {
        Ok(()) => Ok(redirect(&path, Flash::success("Alerts saved"))),
        Err(again) => draw(&workspace, &dashboard, &request, &PageQuery::default(), again).await,
    }
}

async fn draw(
    workspace: &Workspace,
    dashboard: &Dashboard,
    request: &HttpRequest,
    query: &PageQuery,
    alerts: AlertsCard,
) -> Result<HttpResponse, PageError> {
    let (store, account_id) = (&dashboard.context.store, workspace.account.id);
    let before = NotificationId::parse(&query.after);
    let mut found = store.list_notifications(account_id, before, PAGE + 1).await?;
    let more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let endpoints = store.list_endpoints(account_id).await?;
    let status = if alerts.is_wrong() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = NotificationsPage {
        layout: Layout::workspace(request, workspace, Area::Notifications),
        has_unread: workspace.unread > 0,
        may_change: workspace.may(Permission::ChangeAlerts),
        path: Area::Notifications.path(&workspace.slug),
        is_first: before.is_none(),
        next: found.last().filter(|_| more).map(|last| last.id),
        version: version(dashboard, workspace).await?,
        alerts: alerts.render()?,
        rows: found.iter().map(|one| Row::of(one, &endpoints, &workspace.slug)).collect(),
        csrf: workspace.csrf().to_owned(),
    };
    page_with(status, &page)
}

/// Tells when there is another one, or one was read or dismissed.
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

pub(super) async fn read_all(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    mark(&workspace, &dashboard, None).await
}

pub(super) async fn read(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    mark(&workspace, &dashboard, Some(notification_id(&path)?)).await
}

pub(super) async fn dismiss(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ChangeAlerts)?;
    let (store, id) = (&dashboard.context.store, notification_id(&path)?);
    if !store.dismiss_notification(workspace.account.id, id).await? {
        return Err(PageError::NotFound);
    }
    let path = Area::Notifications.path(&workspace.slug);
    Ok(redirect(&path, Flash::success("Notification dismissed")))
}

async fn mark(
    workspace: &Workspace,
    dashboard: &Dashboard,
    only: Option<NotificationId>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ChangeAlerts)?;
    let (context, account_id) = (&dashboard.context, workspace.account.id);
    context.store.read_notifications(account_id, only, context.clock.now()).await?;
    Ok(redirect(&Area::Notifications.path(&workspace.slug), Flash::success("Marked as read")))
}

fn notification_id(path: &(String, String)) -> Result<NotificationId, PageError> {
    NotificationId::parse(&path.1).ok_or(PageError::NotFound)
}

async fn version(dashboard: &Dashboard, workspace: &Workspace) -> Result<String, PageError> {
    let store = &dashboard.context.store;
    let newest = store.list_notifications(workspace.account.id, None, PAGE).await?;
    let shown = newest.iter().map(|one| (one.id, one.read_at.is_some()));
    Ok(live::version(shown.collect::<Vec<_>>()))
}

impl Row {
    fn of(notification: &Notification, endpoints: &[WebhookEndpoint], slug: &str) -> Self {
        let data = &notification.data;
        let (icon, title, text, link) = match notification.kind {
            NotificationKind::WebhookDisabled => {
                let id = data["webhook_endpoint_id"].as_str().and_then(EndpointId::parse);
                let endpoint = endpoints.iter().find(|it| Some(it.state.id) == id);
                let link = endpoint.map(|it| {
                    (format!("{}/{}", Area::Webhooks.path(slug), it.state.id), "View endpoint")
                });
                let url = endpoint.map_or("An endpoint that is gone", |it| it.url.as_str());
                let text = format!("{url} has failed too often. Its events are kept for a while.");
                ("webhook", "Webhook endpoint disabled", text, link)
            }
            NotificationKind::CreditsLowBalance => {
                let link = (Area::Credits.path(slug), "View credits");
                ("coins", "Low balance", low_balance(data), Some(link))
            }
        };
        Self {
            id: notification.id,
            icon,
            title,
            text,
            link,
            created_at: notification.created_at,
            is_read: notification.read_at.is_some(),
        }
    }
}

/// As in the event of that name (`spec/contract.md` 8.2).
fn low_balance(data: &Value) -> String {
    let dollars = |amount: &Value| format!("${:.3}", amount.as_f64().unwrap_or_default());
    let crossed = data["thresholds_crossed"].as_array().into_iter().flatten();
    let thresholds: Vec<String> = crossed.map(|one| dollars(&one["threshold"])).collect();
    let balance = dollars(&data["current_balance"]);
    format!("The balance is {balance}, below {}.", thresholds.join(" and "))
}

#[cfg(test)]
mod tests {
    use actors::alert::low_balance_data;
    use actors::id::AccountId;
    use actors::money::Credits;

    use super::*;

    #[test]
    fn a_low_balance_is_told_in_dollars() {
        let credits = |thousandths| Credits::from_thousandths(thousandths).unwrap();
        let account_id = AccountId(uuid::Uuid::nil());
        let data = low_balance_data(account_id, credits(412), &[credits(5_000), credits(500)]);
        assert_eq!(low_balance(&data), "The balance is $0.412, below $5.000 and $0.500.");
    }
}
