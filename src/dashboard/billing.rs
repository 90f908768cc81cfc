//! The plan of a workspace, what it has used of it, and its credit (`spec/dashboard.md` 6.4).
//!
//! Nothing is sold here: those who run the server change plans and grant credit.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use actors::account::{Plan, PlanLimits};
use actors::ports::credits::CreditStore;
use askama::Template;
use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, Utc};

use super::alerts::{AlertsCard, Fields};
use super::flash::Flash;
use super::layout::Layout;
use super::nav::Area;
use super::{Dashboard, live, page_with, redirect};
use crate::auth::session::{CsrfForm, Workspace};
use crate::error::page::PageError;

#[derive(Template)]
#[template(path = "billing/page.html")]
struct BillingPage {
    layout: Layout,
    plan: Offer,
    plans: Vec<Offer>,
    standing: Standing,
    suspended_at: Option<DateTime<Utc>>,
    alerts: String,
    path: String,
    version: String,
}

/// A plan and what it allows.
struct Offer {
    name: &'static str,
    limits: PlanLimits,
    files: String,
    records: String,
    is_current: bool,
}

/// What is used now, of how much.
#[derive(Hash)]
struct Meter {
    label: &'static str,
    used: u32,
    max: u32,
}

/// What changes while one looks, and is quickly known.
#[derive(Hash)]
struct Meters {
    balance: String,
    meters: Vec<Meter>,
}

/// How the account stands.
struct Standing {
    now: Meters,
    /// When the period began: the calendar month, in UTC, as for the limits of keys.
    since: DateTime<Utc>,
    requests: u64,
    spent: String,
}

pub(super) async fn show(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let path = Area::Billing.path(&workspace.slug);
    let alerts = AlertsCard::find(&dashboard, &workspace, &path).await?;
    draw(&workspace, &dashboard, &request, alerts).await
}

/// Tells when something is used, or no longer.
pub(super) async fn watch(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
) -> Result<HttpResponse, PageError> {
    let live = dashboard.live.clone();
    live.tell(move || {
        let (dashboard, workspace) = (dashboard.clone(), workspace.clone());
        async move { Ok(live::version(Meters::read(&dashboard, &workspace).await?)) }
    })
}

pub(super) async fn save_alerts(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    form: CsrfForm<Fields>,
) -> Result<HttpResponse, PageError> {
    let path = Area::Billing.path(&workspace.slug);
    match AlertsCard::save(&dashboard, &workspace, &path, form.0).await? {
        Ok(()) => Ok(redirect(&path, Flash::success("Alerts saved"))),
        Err(again) => draw(&workspace, &dashboard, &request, again).await,
    }
}

async fn draw(
    workspace: &Workspace,
    dashboard: &Dashboard,
    request: &HttpRequest,
    alerts: AlertsCard,
) -> Result<HttpResponse, PageError> {
    let current = workspace.account.plan;
    let standing = Standing::read(dashboard, workspace).await?;
    let status = if alerts.is_wrong() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = BillingPage {
        layout: Layout::workspace(request, workspace, Area::Billing),
        plan: offer(dashboard, current, current),
        plans: Plan::ALL.map(|plan| offer(dashboard, plan, current)).into(),
        suspended_at: workspace.account.suspended_at,
        alerts: alerts.render()?,
        path: Area::Billing.path(&workspace.slug),
        version: live::version(&standing.now),
        standing,
    };
    page_with(status, &page)
}

fn offer(dashboard: &Dashboard, plan: Plan, current: Plan) -> Offer {
    Offer {
        name: plan.label(),
        limits: dashboard.plans.limits(plan),
        files: span(dashboard.kept.files(plan)),
        records: span(dashboard.kept.records(plan)),
        is_current: plan == current,
    }
}

/// A time for which something is kept, in words.
fn span(kept: TimeDelta) -> String {
    let (count, unit) = match (kept.num_days(), kept.num_hours()) {
        (days, hours) if days > 0 && hours == days * 24 => (days, "day"),
        (_, hours) if hours > 0 => (hours, "hour"),
        _ => (kept.num_minutes(), "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

impl Meters {
    async fn read(dashboard: &Dashboard, workspace: &Workspace) -> Result<Self, PageError> {
        let (store, now) = (&dashboard.context.store, dashboard.context.clock.now());
        let id = workspace.account.id;
        let account = store.find_standing(id).await?.ok_or(PageError::NotFound)?;
        let limits = dashboard.plans.limits(account.plan);
        let windows = dashboard.people.auth.limits().standings(id, account.plan, now);
        let meter = |label, used, max| Meter { label, used, max };
        Ok(Self {
            balance: account.balance.credits.to_string(),
            meters: vec![
                meter(
                    "Generations in the last minute",
                    windows.generations.limit - windows.generations.remaining,
                    windows.generations.limit,
                ),
                meter(
                    "API requests in the last minute",
                    windows.requests.limit - windows.requests.remaining,
                    windows.requests.limit,
                ),
                meter("Images in flight", account.images_in_flight, limits.images_in_flight_max),
                meter("Videos in flight", account.videos_in_flight, limits.videos_in_flight_max),
            ],
        })
    }
}

impl Standing {
    async fn read(dashboard: &Dashboard, workspace: &Workspace) -> Result<Self, PageError> {
        let (store, id) = (&dashboard.context.store, workspace.account.id);
        let since = month(dashboard.context.clock.now());
        let spent = store.spent_since(id, since).await?;
        Ok(Self {
            now: Meters::read(dashboard, workspace).await?,
            since,
            requests: store.requests_since(id, since.date_naive()).await?,
            spent: signed(spent),
        })
    }
}

/// The beginning of the month.
fn month(now: DateTime<Utc>) -> DateTime<Utc> {
    let first = now.date_naive().with_day(1).unwrap_or(now.date_naive());
    first.and_time(NaiveTime::MIN).and_utc()
}

/// Thousandths as an amount; below zero when more came back than was put aside.
fn signed(thousandths: i64) -> String {
    let (sign, size) = (if thousandths < 0 { "-" } else { "" }, thousandths.unsigned_abs());
    format!("{sign}${}.{:03}", size / 1000, size % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_largest_unit_that_is_exact() {
        for (kept, text) in [
            (TimeDelta::hours(1), "1 hour"),
            (TimeDelta::hours(12), "12 hours"),
            (TimeDelta::days(1), "1 day"),
            (TimeDelta::hours(36), "36 hours"),
            (TimeDelta::days(365), "365 days"),
            (TimeDelta::minutes(30), "30 minutes"),
        ] {
            assert_eq!(span(kept), text);
        }
    }

    #[test]
    fn a_period_is_a_month_and_what_came_back_is_told_with_a_sign() {
        let month = |text: &str| super::month(text.parse().unwrap()).to_rfc3339();
        assert_eq!(month("2026-11-28T23:10:00Z"), "2026-11-01T00:00:00+00:00");
        assert_eq!(month("2026-12-01T00:00:00Z"), "2026-12-01T00:00:00+00:00");
        assert_eq!((signed(1052), signed(-52)), ("$1.052".to_owned(), "-$0.052".to_owned()));
    }
}
