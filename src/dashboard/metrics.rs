//! The first page of a workspace: what happened in it, in numbers and over time.
//!
//! Drawn from what is counted with everything that happens ([`actors::tally`]), and not from rows: so
//! it costs the same for an account of any size, and shows what has long been let go of.

mod figures;
mod range;

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::ports::tallies::{Grain, TallyStore};
use actors::ports::{AccountStore, KeyStore};
use actors::tally::{What, hour};
use askama::Template;
use serde::Deserialize;

use self::figures::{Figures, Ranking, Stat};
use self::range::Range;
use super::chart::Chart;
use super::layout::Layout;
use super::nav::Area;
use super::{Dashboard, live, page};
use crate::auth::session::Workspace;
use crate::error::page::PageError;

/// What is drawn over time; of the rest the sum is enough.
const OVER_TIME: [What; 4] = [What::Outcome, What::Latency, What::Request, What::Delivery];

#[derive(Template)]
#[template(path = "metrics/page.html")]
struct MetricsPage {
    layout: Layout,
    path: String,
    version: String,
    range: Range,
    plan: PlanCard,
    sections: Vec<Section>,
}

/// The plan at a glance.
struct PlanCard {
    name: &'static str,
    balance: String,
    used: String,
    records_days: i64,
}

/// One part of the page.
pub(super) struct Section {
    title: &'static str,
    stats: Vec<Stat>,
    charts: Vec<Chart>,
    rankings: Vec<Ranking>,
}

/// Of which time the numbers are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    range: String,
}

pub(super) async fn show(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    asked: Query<Asked>,
) -> Result<HttpResponse, PageError> {
    let (store, account) = (&dashboard.context.store, &workspace.account);
    let now = dashboard.context.clock.now();
    let range = Range::parse(&asked.range);
    let span = range.span(now);
    let tallies = store.list_tallies(account.id, &span.since, span.grain, &OVER_TIME).await?;
    let keys = store.list_keys(account.id).await?;
    let figures = Figures::new(&tallies, &span, &keys);
    page(&MetricsPage {
        layout: Layout::workspace(&request, &workspace, Area::Metrics),
        path: Area::Metrics.path(&workspace.slug),
        version: version(&dashboard, &workspace).await?,
        range,
        plan: PlanCard {
            name: account.plan.label(),
            balance: account.balance.to_string(),
            used: figures.spent(),
            records_days: dashboard.kept.records(account.plan).num_days(),
        },
        sections: figures.sections(),
    })
}

/// Tells when something was counted.
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

/// Whatever is counted is counted into this hour, and what is reserved moves the balance.
async fn version(dashboard: &Dashboard, workspace: &Workspace) -> Result<String, PageError> {
    let (store, id) = (&dashboard.context.store, workspace.account.id);
    let hour = hour(dashboard.context.clock.now());
    let tallies = store.list_tallies(id, &hour, Grain::Hour, &[What::Outcome]).await?;
    let balance = store.find_account(id).await?.map(|account| account.balance.thousandths());
    let counted = tallies.iter().map(|it| (it.what.as_str(), it.name.as_str(), it.tally.times));
    Ok(live::version((hour, balance, counted.collect::<Vec<_>>())))
}
