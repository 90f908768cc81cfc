//! `babysea webhook …`

use actors::id::{AccountId, EndpointId};
use actors::ports::EndpointStore;
use actors::webhook::{EventName, WebhookEndpoint};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::cli::account;
use crate::cli::output::{Answer, fields, table, time};
use crate::cli::parse;
use crate::identity::{Context, NewEndpoint, create_endpoint};

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
    /// Send to an endpoint again, also what has waited for it
    #[command(after_help = "Example: babysea webhook enable --id ID")]
    Enable {
        /// The endpoint
        #[arg(long, value_parser = parse::endpoint_id)]
        id: EndpointId,
    },
    /// Stop sending to an endpoint; its events wait
    #[command(after_help = "Example: babysea webhook disable --id ID")]
    Disable {
        /// The endpoint
        #[arg(long, value_parser = parse::endpoint_id)]
        id: EndpointId,
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
    /// An event to send; without any, all of them
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    #[arg(value_parser = parse::event())]
    event: Vec<EventName>,
}

impl WebhookCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        match self {
            Self::Create(new) => create(context, new).await,
            Self::List { account } => list(context, account).await,
            Self::Enable { id } => switch(context, id, true).await,
            Self::Disable { id } => switch(context, id, false).await,
            Self::Delete { id } => {
                let owner = owner(context, id).await?;
                let existed = context.store.delete_endpoint(owner, id).await?;
                anyhow::ensure!(existed, NO_SUCH_ENDPOINT);
                let document = json!({ "webhook_endpoint_id": id, "deleted": true });
                Ok(Answer::new(document, "The endpoint is deleted."))
            }
        }
    }
}

const NO_SUCH_ENDPOINT: &str = "no such webhook endpoint";

async fn owner(context: &Context, id: EndpointId) -> anyhow::Result<AccountId> {
    context.store.find_endpoint_owner_any_account(id).await?.context(NO_SUCH_ENDPOINT)
}

async fn create(context: &Context, new: CreateArgs) -> anyhow::Result<Answer> {
    let events = if new.event.is_empty() { EventName::ALL.to_vec() } else { new.event };
    let new = NewEndpoint { account_id: new.account, url: new.url, events };
    let endpoint = create_endpoint(context, new).await?;
    let secret = endpoint.secret.expose_secret();
    let text = fields(&[
        ("Endpoint", endpoint.state.id.to_string()),
        ("URL", endpoint.url.to_string()),
        ("Events", events_of(&endpoint).join(" ")),
        ("Secret", secret.to_owned()),
    ]);
    let text = text + "\nKeep the secret now: it is not shown again.\n";
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
    let rows: Vec<_> = endpoints
        .iter()
        .map(|endpoint| {
            [
                endpoint.state.id.to_string(),
                endpoint.url.to_string(),
                status(endpoint.state.enabled).to_owned(),
                endpoint.state.exhausted_in_a_row.to_string(),
                events_of(endpoint).join(" "),
            ]
        })
        .collect();
    let documents: Vec<Value> = endpoints
        .iter()
        .map(|endpoint| {
            json!({
                "webhook_endpoint_id": endpoint.state.id,
                "account_id": endpoint.state.account_id,
                "url": endpoint.url.as_str(),
                "events": events_of(endpoint),
                "status": status(endpoint.state.enabled),
                "exhausted_in_a_row": endpoint.state.exhausted_in_a_row,
                "created_at": time(endpoint.created_at),
            })
        })
        .collect();
    let titles = ["ID", "URL", "STATUS", "FAILED IN A ROW", "EVENTS"];
    let text = table(titles, &rows, "There is no webhook endpoint.");
    Ok(Answer::new(json!({ "webhook_endpoints": documents }), text))
}

async fn switch(context: &Context, id: EndpointId, enabled: bool) -> anyhow::Result<Answer> {
    let owner = owner(context, id).await?;
    let existed = context.store.set_endpoint_enabled(owner, id, enabled).await?;
    anyhow::ensure!(existed, NO_SUCH_ENDPOINT);
    let status = status(enabled);
    let document = json!({ "webhook_endpoint_id": id, "status": status });
    Ok(Answer::new(document, format!("The endpoint is {status}.")))
}

fn events_of(endpoint: &WebhookEndpoint) -> Vec<&'static str> {
    endpoint.state.events.iter().map(|event| event.as_str()).collect()
}

fn status(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}
