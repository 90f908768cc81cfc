//! `babysea key …`

use std::net::IpAddr;

use actors::api_key::{ApiKey, PlainKey, Preset};
use actors::id::{AccountId, ApiKeyId};
use actors::money::Credits;
use actors::ports::KeyStore;
use actors::spending::{Month, Spending};
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::account;
use crate::cli::output::{Answer, fields, table, time, time_or};
use crate::cli::parse::{self, Limit};
use crate::identity::{Context, GRACE_HOURS_MAX, NewKey, create_key, rotate_key};

/// Printed with a key in the clear.
const ONCE: &str = "\nKeep the key now: it is not shown again.\n";

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key, and print it this once
    #[command(
        after_help = "Example: babysea key create --account ID --name ci --preset generate_only --allow-ip 203.0.113.7"
    )]
    Create(CreateArgs),
    /// Replace an active key; both work until the grace period ends
    ///
    /// The new key inherits name, scopes, allowlist and expiry date, and is printed this once.
    #[command(after_help = "Example: babysea key rotate --id ID --grace-hours 48")]
    Rotate {
        /// The key to be replaced
        #[arg(long, value_parser = parse::key_id)]
        id: ApiKeyId,
        /// For how long the old key goes on, 1 to 168
        #[arg(long, value_name = "HOURS", default_value_t = 24)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(GRACE_HOURS_MAX)))]
        grace_hours: u32,
    },
    /// Disable a key for good; it stays in the list
    #[command(after_help = "Example: babysea key revoke --id ID")]
    Revoke {
        /// The key
        #[arg(long, value_parser = parse::key_id)]
        id: ApiKeyId,
    },
    /// Set what a key may spend in a calendar month (UTC)
    ///
    /// What it was charged this month counts already. Beyond the limit generations are refused
    /// with BSE1004 until the next month begins.
    #[command(after_help = "Example: babysea key limit --id ID --monthly 25.000")]
    Limit {
        /// The key
        #[arg(long, value_parser = parse::key_id)]
        id: ApiKeyId,
        /// The most in a month, or `none` to lift the limit
        #[arg(long, value_name = "AMOUNT", value_parser = parse::limit)]
        monthly: Limit,
    },
    /// Remove a key, which also stops working
    #[command(after_help = "Example: babysea key delete --id ID")]
    Delete {
        /// The key
        #[arg(long, value_parser = parse::key_id)]
        id: ApiKeyId,
    },
    /// List the keys of an account, newest first
    #[command(after_help = "Example: babysea key list --account ID")]
    List {
        /// The account
        #[arg(long, value_name = "ID", value_parser = parse::account_id)]
        account: AccountId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The account it belongs to
    #[arg(long, value_name = "ID", value_parser = parse::account_id)]
    account: AccountId,
    /// Display name, up to 100 characters
    #[arg(long)]
    name: String,
    /// What it may do
    #[arg(long, value_parser = parse::preset())]
    preset: Preset,
    /// An address from which it may be used, up to 50 of them; without any, from anywhere
    #[arg(long, value_name = "IP", num_args = 1.., value_delimiter = ',')]
    #[arg(value_parser = parse::ip)]
    allow_ip: Vec<IpAddr>,
    /// When it stops working, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    expires_at: Option<DateTime<Utc>>,
    /// What it may spend in a calendar month (UTC); without it, all that the account has
    #[arg(long, value_name = "AMOUNT", value_parser = parse::credits)]
    monthly_limit: Option<Credits>,
}

impl KeyCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        let now = context.clock.now();
        match self {
            Self::Create(new) => {
                let new = NewKey {
                    account_id: new.account,
                    name: new.name,
                    scopes: new.preset.scopes().to_vec(),
                    allowed_ips: new.allow_ip,
                    expires_at: new.expires_at,
                    monthly_limit: new.monthly_limit,
                };
                let created = create_key(context, new).await?;
                let text = shown(&created.key, &created.plain) + ONCE;
                Ok(Answer::new(Value::Object(document(&created.key, &created.plain)), text))
            }
            Self::Rotate { id, grace_hours } => rotate(context, id, grace_hours).await,
            Self::Revoke { id } => {
                let key = find(context, id).await?;
                let existed = context.store.revoke_key(key.account_id, id, context.by()).await?;
                anyhow::ensure!(existed, NO_SUCH_KEY);
                let text = format!("{} is revoked.", key.prefix);
                Ok(Answer::new(json!({ "apikey_id": id, "status": "revoked" }), text))
            }
            Self::Limit { id, monthly: Limit(limit) } => {
                let key = find(context, id).await?;
                let existed = context.store.limit_key(key.account_id, id, limit).await?;
                anyhow::ensure!(existed, NO_SUCH_KEY);
                let spending = find(context, id).await?.spending;
                let text = format!("{} may spend {} a month.", key.prefix, or_no_limit(spending));
                Ok(Answer::new(json!({ "apikey_id": id, "spending": spent(spending, now) }), text))
            }
            Self::Delete { id } => {
                let key = find(context, id).await?;
                let existed = context.store.delete_key(key.account_id, id, context.by()).await?;
                anyhow::ensure!(existed, NO_SUCH_KEY);
                let text = format!("{} is deleted.", key.prefix);
                Ok(Answer::new(json!({ "apikey_id": id, "deleted": true }), text))
            }
            Self::List { account } => list(context, account, now).await,
        }
    }
}

const NO_SUCH_KEY: &str = "no such key";

async fn find(context: &Context, id: ApiKeyId) -> anyhow::Result<ApiKey> {
    let found = context.store.find_key_any_account(id).await?.context(NO_SUCH_KEY)?;
    Ok(found.key)
}

async fn rotate(context: &Context, id: ApiKeyId, grace_hours: u32) -> anyhow::Result<Answer> {
    let account_id = find(context, id).await?.account_id;
    let rotated = rotate_key(context, account_id, id, grace_hours).await?;
    let (old, new) = (&rotated.keys.old, &rotated.keys.new);
    let mut document = document(new, &rotated.plain);
    document.insert("replaced_apikey_id".to_owned(), json!(old.id));
    document.insert("replaced_expires_at".to_owned(), json!(old.expires_at.map(time)));
    let until = time_or(old.expires_at, "for ever");
    let text = shown(new, &rotated.plain);
    let text = format!("{text}\nThe old key {} works until {until}.{ONCE}", old.prefix);
    Ok(Answer::new(Value::Object(document), text))
}

async fn list(
    context: &Context,
    account_id: AccountId,
    now: DateTime<Utc>,
) -> anyhow::Result<Answer> {
    account::find(context, account_id).await?;
    let keys = context.store.list_keys(account_id).await?;
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            [
                key.id.to_string(),
                key.name.clone(),
                format!("{}...", key.prefix),
                key.status(now).as_str().to_owned(),
                scopes(key).join(" "),
                or_any(&addresses(key)),
                region(key).to_owned(),
                time_or(key.expires_at, "never"),
                time_or(key.last_used_at, "never"),
                or_no_limit(key.spending),
            ]
        })
        .collect();
    let documents: Vec<Value> = keys
        .iter()
        .map(|key| {
            json!({
                "apikey_id": key.id,
                "apikey_name": key.name,
                "apikey_prefix": key.prefix,
                "status": key.status(now).as_str(),
                "scopes": scopes(key),
                "allowed_ips": addresses(key),
                "region": key.region,
                "created_at": time(key.created_at),
                "expires_at": key.expires_at.map(time),
                "last_used_at": key.last_used_at.map(time),
                "spending": spent(key.spending, now),
            })
        })
        .collect();
    let titles = [
        "ID",
        "NAME",
        "KEY",
        "STATUS",
        "SCOPES",
        "FROM",
        "REGION",
        "EXPIRES",
        "LAST USED",
        "A MONTH",
    ];
    let text = table(titles, &rows, "This account has no key.");
    Ok(Answer::new(json!({ "apikeys": documents }), text))
}

fn document(key: &ApiKey, plain: &PlainKey) -> serde_json::Map<String, Value> {
    let fields = [
        ("apikey_id", json!(key.id)),
        ("apikey", json!(plain.expose())),
        ("apikey_prefix", json!(key.prefix)),
        ("apikey_name", json!(key.name)),
        ("account_id", json!(key.account_id)),
        ("scopes", json!(scopes(key))),
        ("allowed_ips", json!(addresses(key))),
        ("region", json!(key.region)),
        ("created_at", json!(time(key.created_at))),
        ("expires_at", json!(key.expires_at.map(time))),
        ("monthly_limit", json!(key.spending.limit.map(|limit| limit.to_string()))),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn shown(key: &ApiKey, plain: &PlainKey) -> String {
    fields(&[
        ("Key", plain.expose().to_owned()),
        ("Id", key.id.to_string()),
        ("Name", key.name.clone()),
        ("Scopes", scopes(key).join(" ")),
        ("From", or_any(&addresses(key))),
        ("Region", region(key).to_owned()),
        ("Expires", time_or(key.expires_at, "never")),
    ])
}

/// What a key has spent of its limit this month; null without a limit, when nothing is counted.
fn spent(spending: Spending, now: DateTime<Utc>) -> Value {
    let month = Month::of(now);
    spending.limit.map_or(Value::Null, |limit| {
        json!({
            "monthly_limit": limit.to_string(),
            "spent": spending.spent_in(month).to_string(),
            "resets_at": month.next().start().map(time),
        })
    })
}

fn or_no_limit(spending: Spending) -> String {
    spending.limit.map_or_else(|| "any amount".to_owned(), |limit| limit.to_string())
}

fn scopes(key: &ApiKey) -> Vec<&'static str> {
    key.scopes.iter().map(|scope| scope.as_str()).collect()
}

fn addresses(key: &ApiKey) -> Vec<String> {
    key.allowed_ips.iter().map(ToString::to_string).collect()
}

fn region(key: &ApiKey) -> &str {
    key.region.as_deref().unwrap_or("any")
}

fn or_any(addresses: &[String]) -> String {
    if addresses.is_empty() { "anywhere".to_owned() } else { addresses.join(" ") }
}
