//! `babysea routing …`: in which order providers are tried, and why. Both commands read what the
//! database has, so they work with and without a running server.

use std::collections::BTreeMap;

use actors::ports::routing::RoutingStore;
use actors::router::{Explanation, Router};
use actors::routing::breaker::State;
use actors::routing::choice::Way;
use actors::routing::formula::{self, ModelTally, PublishedRanking};
use actors::routing::ranking::Assessment;
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use providers::name::ProviderName;
use serde_json::{Map, Value, json};

use crate::app;
use crate::cli::account;
use crate::cli::output::{Answer, table, time};
use crate::config::Config;
use crate::identity::Context;
use crate::routing_memory;

/// Attempts read at a time.
const PAGE: u32 = 10_000;

#[derive(Debug, Subcommand)]
pub(crate) enum RoutingCommand {
    /// Show in which order the providers of a model are tried where that is left to us, and why
    ///
    /// A running server writes down what it knows every now and then; attempts that have ended
    /// since are taken in, so this is what it does now.
    #[command(after_help = "Example: babysea routing explain bfl/flux-schnell")]
    Explain {
        /// The model
        model: String,
    },
    /// Export rankings by the published formula, over the attempts of the last 24 hours
    ///
    /// For comparison and for other tools: `fastest` does not go by it.
    #[command(after_help = "Example: babysea routing export bfl/flux-schnell --json")]
    Export {
        /// The model; every one without it
        model: Option<String>,
    },
}

impl RoutingCommand {
    pub(crate) async fn run(self, context: &Context, config: &Config) -> anyhow::Result<Answer> {
        match self {
            Self::Explain { model } => explain(context, config, &model).await,
            Self::Export { model } => export(context, config, model.as_deref()).await,
        }
    }
}

async fn explain(context: &Context, config: &Config, model: &str) -> anyhow::Result<Answer> {
    let (catalogue, offering) = app::offered(config)?;
    let found = offering.models().find(|(found, _)| found.identifier == model);
    let (_, order) = found.context("this server does not offer such a model")?;
    let router = Router::new(&catalogue, config.routing.rules);
    let (region, now) = (&config.server.region, context.clock.now());
    routing_memory::recall(&router, &context.store, region, now).await?;
    let explanation = router.explain(model, order, now).context("no such model")?;
    Ok(Answer::new(document(model, region, &explanation), text(&explanation, config)))
}

fn usual(explanation: &Explanation) -> Option<&Way> {
    explanation.ways.last()
}

fn names(order: &[ProviderName]) -> Vec<&'static str> {
    order.iter().map(|name| name.as_str()).collect()
}

fn document(model: &str, region: &str, explanation: &Explanation) -> Value {
    let provider = |(known, state): &(Assessment, State)| {
        json!({
            "provider": known.provider.as_str(),
            "circuit": state.as_str(),
            "circuit_until": until(*state).map(time),
            "attempts": rounded(known.attempts),
            "successes": rounded(known.successes),
            "success_bound": rounded(known.success_bound),
            "unit_ms_p50": known.unit_ms.map(|(p50, _)| rounded(p50)),
            "unit_ms_p95": known.unit_ms.map(|(_, p95)| rounded(p95)),
            "latency": rounded(known.latency),
            "cost_share": known.cost_share.map(rounded),
            "score": known.score.map(rounded),
        })
    };
    let way = |way: &Way| {
        json!({
            "order": names(&way.order),
            "decided_by": way.source.as_str(),
            "probability": rounded(way.propensity),
        })
    };
    json!({
        "model_identifier": model,
        "region": region,
        "order": usual(explanation).map(|way| names(&way.order)),
        "decided_by": usual(explanation).map(|way| way.source.as_str()),
        "providers": explanation.providers.iter().map(provider).collect::<Value>(),
        "ways": explanation.ways.iter().map(way).collect::<Value>(),
    })
}

fn text(explanation: &Explanation, config: &Config) -> String {
    let order = usual(explanation).map(|way| way.order.clone()).unwrap_or_default();
    let known = |name: &ProviderName| {
        explanation.providers.iter().find(|(known, _)| known.provider == *name)
    };
    let row = |(known, state): &(Assessment, State)| {
        let seconds = |ms: f64| format!("{:.2} s", ms / 1000.0);
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            known.provider.to_string(),
            match until(*state) {
                Some(at) => format!("{} until {}", state.as_str(), time(at)),
                None => state.as_str().to_owned(),
            },
            format!("{:.1}", known.attempts),
            format!("{:.1}", known.successes),
            format!("{:.3}", known.success_bound),
            or_dash(known.unit_ms.map(|(p50, _)| seconds(p50))),
            or_dash(known.unit_ms.map(|(_, p95)| seconds(p95))),
            or_dash(known.cost_share.map(|share| format!("{share:.2}"))),
            known.score.map_or_else(|| "too little known".to_owned(), |it| format!("{it:.3}")),
        ]
    };
    let rows: Vec<_> = order.iter().filter_map(known).map(row).collect();
    let titles =
        ["PROVIDER", "CIRCUIT", "ATTEMPTS", "SERVED", "BOUND", "P50", "P95", "COST", "SCORE"];
    let way = |way: &Way| {
        [
            format!("{:.1} %", way.propensity * 100.0),
            way.source.as_str().to_owned(),
            names(&way.order).join(", "),
        ]
    };
    let ways: Vec<_> = explanation.ways.iter().rev().map(way).collect();
    let rules = config.routing.rules.ranking;
    let switched_off = if rules.enabled { "" } else { "routing.enabled is false.\n" };
    format!(
        "{}\n{}\nScore: bound - {} x p95 / slowest p95 - {} x cost / price. Times are for a picture \
         of a megapixel or a\nsecond of video; attempts fade by half in {:.1} h.\n{switched_off}",
        table(titles, &rows, "Nobody here runs this model."),
        table(["REQUESTS", "DECIDED BY", "ORDER"], &ways, ""),
        rules.latency_weight,
        rules.cost_weight,
        rules.memory.half_life.as_secs_f64() / 3600.0,
    )
}

fn until(state: State) -> Option<DateTime<Utc>> {
    match state {
        State::Paused { until } | State::Open { until, .. } => Some(until),
        State::Closed | State::HalfOpen { .. } => None,
    }
}

/// Six decimals: more would only be noise.
fn rounded(number: f64) -> f64 {
    (number * 1_000_000.0).round() / 1_000_000.0
}

async fn export(context: &Context, config: &Config, model: Option<&str>) -> anyhow::Result<Answer> {
    let computed_at = context.clock.now();
    let tallies = tallies(context, model, computed_at).await?;
    let region = &config.server.region;
    let (mut documents, mut rows) = (Map::new(), Vec::new());
    for (model, tally) in &tallies {
        let Some(ranking) = tally.ranking() else { continue };
        let places = ranking.ranked.iter().enumerate();
        rows.extend(places.map(|(place, (name, score))| {
            [model.clone(), (place + 1).to_string(), name.to_string(), format!("{score}")]
        }));
        documents.insert(formula::document_key(region, model), value(&ranking, computed_at));
    }
    let document = json!({ "schema": "ranking.v1", "region": region, "rankings": documents });
    let titles = ["MODEL", "PLACE", "PROVIDER", "SCORE"];
    Ok(Answer::new(document, table(titles, &rows, "Nothing was tried in the last 24 hours.")))
}

async fn tallies(
    context: &Context,
    model: Option<&str>,
    computed_at: DateTime<Utc>,
) -> anyhow::Result<BTreeMap<String, ModelTally>> {
    let since = formula::window_start(computed_at);
    let mut tallies: BTreeMap<String, ModelTally> = BTreeMap::new();
    for account in account::all(context).await? {
        let mut after = None;
        loop {
            let page = context.store.list_ended(account.id, since, after, PAGE).await?;
            after = page.last().map(|(place, _)| *place);
            let last = page.len() < PAGE as usize;
            for (_, attempt) in page {
                // Those of before attempts knew their model.
                let known = !attempt.model.is_empty();
                if known && model.is_none_or(|model| *model == attempt.model) {
                    tallies.entry(attempt.model.clone()).or_default().add(&attempt);
                }
            }
            if last {
                break;
            }
        }
    }
    Ok(tallies)
}

/// `spec/domain.md` B.4.
fn value(ranking: &PublishedRanking, computed_at: DateTime<Utc>) -> Value {
    let ranked: Vec<&str> = ranking.ranked.iter().map(|(name, _)| name.as_str()).collect();
    let scores: Map<String, Value> =
        ranking.ranked.iter().map(|(name, score)| (name.to_string(), json!(score))).collect();
    json!({
        "providers_ranked": ranked,
        "scores": scores,
        "attempts_total": ranking.attempts_total,
        "window_hours": formula::WINDOW.num_hours(),
        "computed_at": time(computed_at),
    })
}
