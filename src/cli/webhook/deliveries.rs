//! `babysea webhook log`, `delivery`, `replay` and `test`: what was sent, and sending it again.

use actors::batch::Try;
use actors::id::{DeliveryId, EndpointId};
use actors::ports::deliveries::{DeliveryLog, LogFilter, LogQuery, LoggedDelivery};
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::output::{Answer, fields, table, time, time_or};
use crate::cli::parse;
use crate::cli::webhook::owner;
use crate::config::Config;
use crate::endpoint_admin;
use crate::identity::Context;
use crate::webhook_sender::WebhookClient;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["delivery", "id"]))]
pub(crate) struct ReplayArgs {
    /// One delivery
    #[arg(long, value_name = "ID", value_parser = parse::delivery_id)]
    delivery: Option<DeliveryId>,
    /// The endpoint whose deliveries of a time are sent again
    #[arg(long, value_parser = parse::endpoint_id, requires_all = ["from", "until"])]
    id: Option<EndpointId>,
    /// The beginning of that time
    #[arg(long, value_name = "TIME", value_parser = parse::time, requires = "id")]
    from: Option<DateTime<Utc>>,
    /// Its end, which is not part of it
    #[arg(long, value_name = "TIME", value_parser = parse::time, requires = "id")]
    until: Option<DateTime<Utc>>,
}

impl ReplayArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        let count = match (self.delivery, self.id, self.from.zip(self.until)) {
            (Some(delivery), _, _) => {
                let owner = context.store.find_delivery_owner_any_account(delivery).await?;
                let owner = owner.context(NO_SUCH_DELIVERY)?;
                endpoint_admin::replay(context, owner, delivery).await?
            }
            (None, Some(id), Some((from, until))) => {
                let owner = owner(context, id).await?;
                endpoint_admin::replay_between(context, owner, id, from, until).await?
            }
            (None, _, _) => anyhow::bail!("say which delivery, or which endpoint and time"),
        };
        Ok(resent(count))
    }
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// The endpoint
    #[arg(long, value_parser = parse::endpoint_id)]
    id: EndpointId,
    /// The most to list
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only what is older than this delivery
    #[arg(long, value_name = "ID", value_parser = parse::delivery_id)]
    before: Option<DeliveryId>,
    /// Only those that stand like this
    #[arg(long, value_name = "STATUS", value_parser = parse::log_filter())]
    status: Option<LogFilter>,
    /// Only those with this in their event, status code or error, or of this generation
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

impl LogArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        let owner = owner(context, self.id).await?;
        let query = LogQuery { before: self.before, filter: self.status, text: self.search };
        let page = context.store.list_deliveries(owner, self.id, &query, self.limit).await?;
        let found = page.deliveries;
        let rows: Vec<_> = found
            .iter()
            .map(|logged| {
                let delivery = &logged.delivery;
                [
                    delivery.id.to_string(),
                    delivery.event.as_str().to_owned(),
                    delivery.generation_id.map_or_else(String::new, |id| id.to_string()),
                    state(logged).to_owned(),
                    logged.last_status.map_or_else(String::new, |status| status.to_string()),
                    delivery.tries.to_string(),
                    time(delivery.created_at),
                    logged.last_error.clone().unwrap_or_default(),
                ]
            })
            .collect();
        let titles = ["ID", "EVENT", "GENERATION", "STATE", "STATUS", "TRIES", "WHEN", "ERROR"];
        let documents: Vec<Value> = found.iter().map(document).collect();
        let text = table(titles, &rows, "There is no delivery.");
        Ok(Answer::new(json!({ "webhook_deliveries": documents, "next_before": page.next }), text))
    }
}

const NO_SUCH_DELIVERY: &str = "no such delivery";

/// A delivery with its tries.
pub(super) async fn show(context: &Context, id: DeliveryId) -> anyhow::Result<Answer> {
    let owner = context.store.find_delivery_owner_any_account(id).await?;
    let owner = owner.context(NO_SUCH_DELIVERY)?;
    let logged = context.store.find_delivery(owner, id).await?.context(NO_SUCH_DELIVERY)?;
    let tries = context.store.list_tries(owner, id).await?;
    let rows: Vec<_> = tries
        .iter()
        .map(|one| {
            [
                one.number.to_string(),
                time(one.result.at),
                one.result.status.map_or_else(String::new, |status| status.to_string()),
                format!("{} ms", one.result.took.as_millis()),
                one.result.error.clone().unwrap_or_default(),
                one.result.excerpt.clone().unwrap_or_default().escape_debug().to_string(),
            ]
        })
        .collect();
    let mut document = document(&logged);
    document["tries"] = json!(tries.iter().map(tried).collect::<Vec<_>>());
    let head = fields(&[
        ("Delivery", id.to_string()),
        ("Event", logged.delivery.event.as_str().to_owned()),
        ("State", state(&logged).to_owned()),
        ("Finished", time_or(logged.finished_at, "not yet")),
        ("Payload", logged.delivery.body()),
    ]);
    let titles = ["TRY", "WHEN", "STATUS", "TOOK", "ERROR", "ANSWER"];
    Ok(Answer::new(document, head + "\n" + &table(titles, &rows, "It was not tried yet.")))
}

/// Sends a test event from here.
pub(super) async fn test(
    context: &Context,
    config: &Config,
    id: EndpointId,
) -> anyhow::Result<Answer> {
    let sender = WebhookClient::new(&config.webhooks).context("cannot make an HTTP client")?;
    let owner = owner(context, id).await?;
    let (delivery_id, result) = endpoint_admin::test(context, &sender, owner, id).await?;
    let document = json!({
        "webhook_delivery_id": delivery_id,
        "delivered": result.is_success(),
        "status_code": result.status,
        "error": result.error,
        "took_ms": took_ms(&result),
        "response_excerpt": result.excerpt,
    });
    match &result.error {
        None => Ok(Answer::new(document, "The endpoint has taken it.")),
        Some(error) => Ok(Answer::new(document, format!("It was not taken: {error}.")).failed()),
    }
}

/// How many deliveries are sent again.
pub(super) fn resent(count: u64) -> Answer {
    Answer::new(json!({ "resent": count }), format!("{count} deliveries are sent again."))
}

/// As `spec/contract.md` 8.6 names it: what is queued is pending, what was resent stands as its
/// successor.
fn state(logged: &LoggedDelivery) -> &'static str {
    use actors::webhook::DeliveryStatus::{Delivered, Exhausted, Expired, Pending, Queued, Resent};
    match logged.status() {
        Pending | Queued | Resent => Pending.as_str(),
        status @ (Delivered | Exhausted | Expired) => status.as_str(),
    }
}

fn document(logged: &LoggedDelivery) -> Value {
    let delivery = &logged.delivery;
    json!({
        "webhook_delivery_id": delivery.id,
        "webhook_endpoint_id": delivery.endpoint_id,
        "event": delivery.event.as_str(),
        "generation_id": delivery.generation_id,
        "payload": delivery.data,
        "state": state(logged),
        "queued_at": delivery.queued_at.map(time),
        "replay_of": delivery.replay_of,
        "status_code": logged.last_status,
        "error": logged.last_error,
        "attempts": delivery.tries,
        "created_at": time(delivery.created_at),
        "finished_at": logged.finished_at.map(time),
    })
}

fn tried(one: &Try) -> Value {
    json!({
        "number": one.number,
        "at": time(one.result.at),
        "status_code": one.result.status,
        "error": one.result.error,
        "took_ms": took_ms(&one.result),
        "response_excerpt": one.result.excerpt,
    })
}

fn took_ms(result: &actors::webhook::TryResult) -> u64 {
    u64::try_from(result.took.as_millis()).unwrap_or(u64::MAX)
}
