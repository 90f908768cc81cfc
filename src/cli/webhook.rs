//! `babysea webhook …`

mod deliveries;

use actors::id::{AccountId, DeliveryId, EndpointId};
use actors::ports::EndpointStore;
use actors::ports::deliveries::DeliveryLog;
use actors::webhook::endpoint::EndpointState;
use actors::webhook::{EventName, WebhookEndpoint};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::cli::account;
use crate::cli::output::{Answer, fields, table, time, time_or};
use crate::cli::parse;
use crate::cli::webhook::deliveries::{LogArgs, ReplayArgs};
use crate::config::Config;
use crate::endpoint_admin::{self, OVERLAP_HOURS_MAX};
use crate::identity::{Context, NewEndpoint, create_endpoint};

/// Printed with a secret.
const ONCE: &str = "\nKeep the secret now: it is not shown again.\n";

/// What waits for an endpoint is counted so far.
const WAITING_MAX: u32 = 10_000;

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Make an endpoint, and print its signing secret this once
    #[command(
        after_help = "Example: babysea webhook create --account ID --url https://example.com/hook --event generation.completed"
    )]
    Create(CreateArgs),
    /// List the endpoints of an account, newest first, or of all accounts
    #[command(after_help = "Example: babysea webhook list --account ID")]
    List {
        /// The account; all of them when it is not given
        #[arg(long, value_name = "ID", value_parser = parse::account_id)]
        account: Option<AccountId>,
    },
    /// Send to an endpoint again
    ///
    /// What was kept for it is sent with `deliver-queued`. An endpoint that was disabled for its
    /// failures is sent one event at first, and is disabled again for longer if that fails.
    #[command(after_help = "Example: babysea webhook enable --id ID")]
    Enable {
        /// The endpoint
        #[arg(long, value_parser = parse::endpoint_id)]
        id: EndpointId,
        /// Before the time that it has to stay disabled is over
        #[arg(long)]
        force: bool,
    },
    /// Stop sending to an endpoint; its events are kept for a while
    #[command(after_help = "Example: babysea webhook disable --id ID")]
    Disable {
        /// The endpoint
        #[arg(long, value_parser = parse::endpoint_id)]
        id: EndpointId,
    },
    /// Change which events an endpoint is sent from now on
    #[command(after_help = "Example: babysea webhook edit --id ID --event generation.completed")]
    Edit {
        /// The endpoint
        #[arg(long, value_parser = parse::endpoint_id)]
        id: EndpointId,
        /// An event to send
        #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', required = true)]
        #[arg(value_parser = parse::event())]
        event: Vec<EventName>,
    },
    /// Replace the signing secret, and print the new one this once
    #[command(after_help = "Example: babysea webhook rotate-secret --id ID --overlap-hours 24")]
    RotateSecret {
        /// The endpoint
        #[arg(long, value_parser = parse::endpoint_id)]
        id: EndpointId,
        /// For how long the old secret signs too, 0 to 168; a receiver that looks only at the
        /// first signature needs the new one at once
        #[arg(long, value_name = "HOURS", default_value_t = 0)]
        #[arg(value_parser = clap::value_parser!(u32).range(0..=i64::from(OVERLAP_HOURS_MAX)))]
        overlap_hours: u32,
    },
    /// Send a test event and wait for what comes of it
    #[command(after_help = "Example: babysea webhook test --id ID")]
    Test {
        /// The endpoint, which may be disabled
        #[arg(long, value_parser = parse::endpoint_id)]
        id: EndpointId,
    },
    /// Send what was kept while the endpoint was disabled, one after another
    #[command(after_help = "Example: babysea webhook deliver-queued --id ID")]
    DeliverQueued {
        /// The endpoint
        #[arg(long, value_parser = parse::endpoint_id)]
        id: EndpointId,
    },
    /// Send again, as new deliveries: one, or all of a time
    #[command(
        after_help = "Example: babysea webhook replay --id ID --from 2027-01-31T00:00:00Z --until 2027-02-01T00:00:00Z"
    )]
    Replay(ReplayArgs),
    /// List the deliveries of an endpoint, newest first
    #[command(after_help = "Example: babysea webhook log --id ID --limit 20")]
    Log(LogArgs),
    /// Show a delivery with every try
    #[command(after_help = "Example: babysea webhook delivery --id ID")]
    Delivery {
        /// The delivery
        #[arg(long, value_parser = parse::delivery_id)]
        id: DeliveryId,
    },
    /// Remove an endpoint with its deliveries
    #[command(after_help = "Example: babysea webhook delete --id ID")]
    Delete {
        /// The endpoint
        #[arg(long, value_parser = parse::endpoint_id)]
        id: EndpointId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The account whose events it receives
    #[arg(long, value_name = "ID", value_parser = parse::account_id)]
    account: AccountId,
    /// Where to send: https, and a public address
    #[arg(long)]
    url: String,
    /// An event to send; without any, the four about generations
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    #[arg(value_parser = parse::event())]
    event: Vec<EventName>,
}

impl WebhookCommand {
    pub(crate) async fn run(self, context: &Context, config: &Config) -> anyhow::Result<Answer> {
        match self {
            Self::Create(new) => create(context, new).await,
            Self::List { account } => list(context, account).await,
            Self::Enable { id, force } => {
                endpoint_admin::enable(context, owner(context, id).await?, id, force).await?;
                Ok(switched(id, true))
            }
            Self::Disable { id } => {
                endpoint_admin::disable(context, owner(context, id).await?, id).await?;
                Ok(switched(id, false))
            }
            Self::Edit { id, event } => edit(context, id, &event).await,
            Self::RotateSecret { id, overlap_hours } => rotate(context, id, overlap_hours).await,
            Self::Test { id } => deliveries::test(context, config, id).await,
            Self::DeliverQueued { id } => {
                let owner = owner(context, id).await?;
                let count = endpoint_admin::deliver_queued(context, owner, id).await?;
                Ok(deliveries::resent(count))
            }
            Self::Replay(arguments) => arguments.run(context).await,
            Self::Log(arguments) => arguments.run(context).await,
            Self::Delivery { id } => deliveries::show(context, id).await,
            Self::Delete { id } => {
                endpoint_admin::delete(context, owner(context, id).await?, id).await?;
                let document = json!({ "webhook_endpoint_id": id, "deleted": true });
                Ok(Answer::new(document, "The endpoint is deleted."))
            }
        }
    }
}

async fn edit(context: &Context, id: EndpointId, events: &[EventName]) -> anyhow::Result<Answer> {
    let owner = owner(context, id).await?;
    let events = endpoint_admin::edit(context, owner, id, events).await?;
    let events: Vec<&str> = events.iter().map(|event| event.as_str()).collect();
    let text = format!("The endpoint is sent {}.", events.join(", "));
    Ok(Answer::new(json!({ "webhook_endpoint_id": id, "events": events }), text))
}

async fn rotate(context: &Context, id: EndpointId, hours: u32) -> anyhow::Result<Answer> {
    let owner = owner(context, id).await?;
    let rotated = endpoint_admin::rotate_secret(context, owner, id, hours).await?;
    let secret = rotated.secret.expose_secret();
    let text = fields(&[
        ("Endpoint", id.to_string()),
        ("Secret", secret.to_owned()),
        ("Old secret signs until", time_or(rotated.previous_until, "now")),
    ]);
    let document = json!({
        "webhook_endpoint_id": id,
        "secret": secret,
        "previous_secret_until": rotated.previous_until.map(time),
    });
    Ok(Answer::new(document, text + ONCE))
}

const NO_SUCH_ENDPOINT: &str = "no such webhook endpoint";

async fn owner(context: &Context, id: EndpointId) -> anyhow::Result<AccountId> {
    context.store.find_endpoint_owner_any_account(id).await?.context(NO_SUCH_ENDPOINT)
}

async fn create(context: &Context, new: CreateArgs) -> anyhow::Result<Answer> {
    let events = if new.event.is_empty() { EventName::DEFAULT.to_vec() } else { new.event };
    let new = NewEndpoint { account_id: new.account, url: new.url, events };
    let endpoint = create_endpoint(context, new).await?;
    let secret = endpoint.secret.expose_secret();
    let text = fields(&[
        ("Endpoint", endpoint.state.id.to_string()),
        ("URL", endpoint.url.to_string()),
        ("Events", events_of(&endpoint).join(" ")),
        ("Secret", secret.to_owned()),
    ]);
    let text = text + ONCE;
    let document = json!({
        "webhook_endpoint_id": endpoint.state.id,
        "account_id": endpoint.state.account_id,
        "secret": secret,
        "url": endpoint.url.as_str(),
        "events": events_of(&endpoint),
        "status": status(endpoint.state.enabled),
        "created_at": time(endpoint.created_at),
    });
    Ok(Answer::new(document, text))
}

async fn list(context: &Context, account_id: Option<AccountId>) -> anyhow::Result<Answer> {
    let accounts = match account_id {
        Some(id) => vec![account::find(context, id).await?],
        None => account::all(context).await?,
    };
    let mut endpoints = Vec::new();
    for account in accounts {
        endpoints.extend(context.store.list_endpoints(account.id).await?);
    }
    let mut health = Vec::new();
    for EndpointState { account_id, id, .. } in endpoints.iter().map(|it| &it.state) {
        health.push(context.store.endpoint_health(*account_id, *id, 0, WAITING_MAX).await?);
    }
    let rows: Vec<_> = endpoints
        .iter()
        .zip(&health)
        .map(|(endpoint, health)| {
            [
                endpoint.state.id.to_string(),
                endpoint.url.to_string(),
                status(endpoint.state.enabled).to_owned(),
                endpoint.state.exhausted_in_a_row.to_string(),
                endpoint.state.disabled.map_or("", |it| it.reason.as_str()).to_owned(),
                health.pending.to_string(),
                health.queued.to_string(),
                events_of(endpoint).join(" "),
            ]
        })
        .collect();
    let documents: Vec<Value> = endpoints
        .iter()
        .zip(&health)
        .map(|(endpoint, health)| {
            json!({
                "webhook_endpoint_id": endpoint.state.id,
                "account_id": endpoint.state.account_id,
                "url": endpoint.url.as_str(),
                "events": events_of(endpoint),
                "status": status(endpoint.state.enabled),
                "exhausted_in_a_row": endpoint.state.exhausted_in_a_row,
                "probing": endpoint.state.probing,
                "failing_since": endpoint.state.failing_since.map(time),
                "disabled_reason": endpoint.state.disabled.map(|it| it.reason.as_str()),
                "disabled_at": endpoint.state.disabled.map(|it| time(it.at)),
                "enable_after": endpoint.state.cooldown.map(|it| time(it.until)),
                "paused_until": endpoint.state.paused_until.map(time),
                "previous_secret_until": endpoint.previous.as_ref().map(|(_, until)| time(*until)),
                "pending": health.pending,
                "queued": health.queued,
                "created_at": time(endpoint.created_at),
            })
        })
        .collect();
    let titles =
        ["ID", "URL", "STATUS", "FAILED IN A ROW", "DISABLED FOR", "PENDING", "QUEUED", "EVENTS"];
    let text = table(titles, &rows, "There is no webhook endpoint.");
    Ok(Answer::new(json!({ "webhook_endpoints": documents }), text))
}

fn switched(id: EndpointId, enabled: bool) -> Answer {
    let status = status(enabled);
    let document = json!({ "webhook_endpoint_id": id, "status": status });
    Answer::new(document, format!("The endpoint is {status}."))
}

fn events_of(endpoint: &WebhookEndpoint) -> Vec<&'static str> {
    endpoint.state.events.iter().map(|event| event.as_str()).collect()
}

fn status(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}
