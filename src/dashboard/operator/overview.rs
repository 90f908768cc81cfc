//! How this server does: its actors, queues, providers and commits, as the metrics and the tables
//! know them. Nothing is counted for this page alone.

use std::collections::BTreeSet;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use actors::offering::Service;
use actors::ports::operator::{OperatorStore, Waiting};
use actors::ports::{Backlog, BacklogStore};
use actors::provider_health::HealthStatus;
use actors::routing::breaker::State;
use askama::Template;
use chrono::{DateTime, Utc};
use providers::name::ProviderName;

use crate::auth::session::Operator;
use crate::dashboard::chart::{Chart, Series, Shape, Tone};
use crate::dashboard::layout::Layout;
use crate::dashboard::nav::Room;
use crate::dashboard::{Dashboard, live, page};
use crate::error::page::PageError;
use crate::metrics::overview::{Samples, histogram, read, sections, shown};

/// Rows of each kind that are counted; beyond that nobody wants the number.
const COUNTED_MAX: u32 = 10_000;
/// What the metrics are asked for, by the keys of their groups; the rest has places of its own.
const GROUPS: [&str; 4] = ["generation_actors", "endpoint_actors", "webhook_tries", "commits"];

#[derive(Template)]
#[template(path = "operator/overview.html")]
struct OverviewPage {
    layout: Layout,
    overview: Overview,
    commits: String,
    version: String,
}

/// Everything that is shown.
struct Overview {
    groups: Vec<Group>,
    queues: Vec<Queue>,
    waiting: Waiting,
    providers: Vec<ProviderRow>,
    circuits: Vec<CircuitRow>,
    /// Commits by how many units of work they had.
    commits: Vec<(f64, u64)>,
    process: Vec<(&'static str, String)>,
    started_at: DateTime<Utc>,
}

/// A group of the metrics.
#[derive(Hash)]
struct Group {
    title: &'static str,
    values: Vec<(String, String)>,
}

/// Something in which work waits.
#[derive(Hash)]
struct Queue {
    name: &'static str,
    /// How many wait.
    length: String,
    /// When the first was due, if that is over.
    overdue_since: Option<DateTime<Utc>>,
    /// What is said when it is not.
    note: &'static str,
}

#[derive(Hash)]
struct ProviderRow {
    name: &'static str,
    service: &'static str,
    status: &'static str,
    tone: &'static str,
    served: u64,
    failed: u64,
}

/// A circuit that is not closed.
#[derive(Hash)]
struct CircuitRow {
    model: String,
    provider: &'static str,
    state: &'static str,
    tone: &'static str,
    until: Option<DateTime<Utc>>,
}

pub(in crate::dashboard) async fn show(
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let overview = Overview::read(&dashboard).await?;
    page(&OverviewPage {
        layout: Layout::console(&request, &operator, Room::Overview),
        commits: overview.chart().to_html()?,
        version: overview.version(),
        overview,
    })
}

/// Tells when anything is different.
pub(in crate::dashboard) async fn watch(
    _operator: Operator,
    dashboard: Data<Dashboard>,
) -> Result<HttpResponse, PageError> {
    let live = dashboard.live.clone();
    live.tell(move || {
        let dashboard = dashboard.clone();
        async move { Ok(Overview::read(&dashboard).await?.version()) }
    })
}

impl Overview {
    async fn read(dashboard: &Dashboard) -> Result<Self, PageError> {
        let (store, now) = (&dashboard.context.store, dashboard.context.clock.now());
        let samples = read(&dashboard.metrics).map_err(PageError::internal)?;
        let waiting = store.waiting_any_account(now, COUNTED_MAX).await?;
        let backlog = store.backlog(now).await?;
        Ok(Self {
            groups: groups(&samples),
            queues: queues(dashboard, &waiting, backlog, &samples, now),
            waiting,
            providers: providers(dashboard, now),
            circuits: circuits(dashboard, now),
            commits: histogram(&samples, "babysea_commit_units"),
            process: vec![
                ("Node", dashboard.process.node.to_string()),
                ("Database", store.database().to_owned()),
                ("Lock", "held by this node: one server for each database".to_owned()),
                ("Version", env!("CARGO_PKG_VERSION").to_owned()),
                ("Region", dashboard.context.rules.region.clone()),
            ],
            started_at: dashboard.process.started_at,
        })
    }

    fn version(&self) -> String {
        let Self { groups, queues, waiting, providers, circuits, .. } = self;
        // Numbers that are shown elsewhere change with the groups, the commits among them.
        live::version((groups, queues, format!("{waiting:?}"), providers, circuits))
    }

    fn chart(&self) -> Chart {
        let label = |(bound, _): &(f64, u64)| match bound.is_finite() {
            true => format!("≤ {}", shown(*bound)),
            false => "more".to_owned(),
        };
        Chart {
            title: "Units of work in a commit",
            unit: "",
            shape: Shape::Bars,
            point: "Units",
            points: self.commits.iter().map(label).collect(),
            series: vec![Series {
                name: "Commits".to_owned(),
                tone: Tone::Nth(0),
                values: self.commits.iter().map(|(_, count)| Some(*count as f64)).collect(),
            }],
        }
    }
}

fn groups(samples: &Samples) -> Vec<Group> {
    let all = sections(samples).into_iter();
    let wanted = all.filter(|section| GROUPS.contains(&section.key));
    wanted
        .map(|section| Group {
            title: section.title,
            values: section
                .values
                .into_iter()
                .map(|(name, value)| (name.replace('_', " "), shown(value)))
                .collect(),
        })
        .collect()
}

fn queues(
    dashboard: &Dashboard,
    waiting: &Waiting,
    backlog: Backlog,
    samples: &Samples,
    now: DateTime<Utc>,
) -> Vec<Queue> {
    let overdue = |due: Option<DateTime<Utc>>| due.filter(|due| *due <= now);
    let counted = |count: u64| match count >= u64::from(COUNTED_MAX) {
        true => format!("{COUNTED_MAX} or more"),
        false => count.to_string(),
    };
    let deliveries = waiting.endpoints.iter().map(|endpoint| endpoint.pending).sum();
    let (writes, writes_max) = dashboard.context.store.queue();
    let hashes = samples.get("babysea_bcrypt_queue_depth").copied().unwrap_or_default();
    let due = |name, length, since| Queue {
        name,
        length,
        overdue_since: overdue(since),
        note: "nothing is overdue",
    };
    let undated = |name, length, note| Queue { name, length, overdue_since: None, note };
    vec![
        due(
            "Generations in flight",
            (backlog.pending + backlog.processing).to_string(),
            backlog.generation_due_at,
        ),
        due("Webhook deliveries", counted(deliveries), backlog.delivery_due_at),
        due("Mails", counted(waiting.mails), waiting.mail_due_at),
        undated("Writes", format!("{writes} of {writes_max}"), "wait for the next commit"),
        undated("API keys", shown(hashes), "wait for bcrypt"),
    ]
}

fn providers(dashboard: &Dashboard, now: DateTime<Utc>) -> Vec<ProviderRow> {
    let offered = dashboard.offering.models().flat_map(|(_, names)| names.iter().copied());
    let row = |name: ProviderName| {
        let report = dashboard.router.health(name, now);
        ProviderRow {
            name: name.as_str(),
            service: match dashboard.offering.service(name) {
                Some(Service::Real) => "real",
                Some(Service::Simulated) => "simulated",
                None => "not here",
            },
            status: report.status.as_str(),
            tone: match report.status {
                HealthStatus::Healthy => "good",
                HealthStatus::Recovering => "warning",
                HealthStatus::Degraded => "bad",
                HealthStatus::Unknown => "quiet",
            },
            served: report.successes,
            failed: report.failures,
        }
    };
    offered.collect::<BTreeSet<_>>().into_iter().map(row).collect()
}

fn circuits(dashboard: &Dashboard, now: DateTime<Utc>) -> Vec<CircuitRow> {
    let row = |(model, provider, state): (&str, ProviderName, State)| {
        let (tone, until) = match state {
            State::Closed => ("good", None),
            State::Paused { until } => ("warning", Some(until)),
            State::Open { until, .. } => ("bad", Some(until)),
            State::HalfOpen { .. } => ("info", None),
        };
        CircuitRow {
            model: model.to_owned(),
            provider: provider.as_str(),
            state: state.as_str(),
            tone,
            until,
        }
    };
    dashboard.router.troubled(now).into_iter().map(row).collect()
}
