//! `babysea account …`

use actors::account::{Account, AccountKind, Plan};
use actors::id::AccountId;
use actors::money::Credits;
use actors::ports::AccountStore;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::alerts::AlertsArgs;
use crate::cli::output::{Answer, fields, number, table, time};
use crate::cli::parse;
use crate::identity::{Context, NewAccount, create_account};

/// Accounts read at a time.
const PAGE: u32 = 1000;

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account
    #[command(
        after_help = "Example: babysea account create --name Studio --kind team --plan pro --credits 25"
    )]
    Create(CreateArgs),
    /// List all accounts, oldest first
    #[command(after_help = "Example: babysea account list")]
    List,
    /// Show an account
    #[command(
        after_help = "Example: babysea account show --id 0198c0de-7a10-7000-8000-00000000002a"
    )]
    Show {
        /// The account
        #[arg(long, value_parser = parse::account_id)]
        id: AccountId,
    },
    /// Change what is done for an account
    #[command(after_help = "Example: babysea account update --id ID --failover-on-moderation true")]
    Update {
        /// The account
        #[arg(long, value_parser = parse::account_id)]
        id: AccountId,
        /// Whether content that one provider refuses is offered to the next
        #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
        failover_on_moderation: bool,
    },
    /// Show or change when an account's owner is told of a low balance
    #[command(
        after_help = "Example: babysea account alerts --id ID --threshold 5 --threshold 1 --webhook true"
    )]
    Alerts(AlertsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Display name, up to 100 characters
    #[arg(long)]
    name: String,
    /// Whose account it is
    #[arg(long, value_parser = parse::account_kind())]
    kind: AccountKind,
    /// Which limits apply
    #[arg(long, value_parser = parse::plan())]
    plan: Plan,
    /// Credit to start with, instead of the welcome credit of 1.000; 0 for none
    #[arg(long, value_name = "AMOUNT", value_parser = parse::credits)]
    credits: Option<Credits>,
    /// Contact address
    #[arg(long)]
    email: Option<String>,
}

impl AccountCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        match self {
            Self::Create(new) => {
                let CreateArgs { name, kind, plan, credits, email } = new;
                let new = NewAccount { name, kind, plan, email, credits };
                Ok(one(&create_account(context, new).await?, context))
            }
            Self::List => list(context).await,
            Self::Show { id } => Ok(one(&find(context, id).await?, context)),
            Self::Update { id, failover_on_moderation } => {
                let store = &context.store;
                let found = store.set_failover_on_moderation(id, failover_on_moderation).await?;
                anyhow::ensure!(found, "no such account");
                Ok(one(&find(context, id).await?, context))
            }
            Self::Alerts(arguments) => arguments.run(context).await,
        }
    }
}

/// The account, or the error that there is none.
pub(crate) async fn find(context: &Context, id: AccountId) -> anyhow::Result<Account> {
    context.store.find_account(id).await?.context("no such account")
}

/// Every account, oldest first.
pub(crate) async fn all(context: &Context) -> anyhow::Result<Vec<Account>> {
    let mut accounts = Vec::new();
    loop {
        let after = accounts.last().map(|account: &Account| account.id);
        let page = context.store.list_accounts(after, PAGE).await?;
        let last = page.len() < PAGE as usize;
        accounts.extend(page);
        if last {
            return Ok(accounts);
        }
    }
}

async fn list(context: &Context) -> anyhow::Result<Answer> {
    let accounts = all(context).await?;
    let rows: Vec<_> = accounts
        .iter()
        .map(|account| {
            [
                account.id.to_string(),
                account.name.clone(),
                account.kind.as_str().to_owned(),
                account.plan.as_str().to_owned(),
                account.balance.to_string(),
                time(account.created_at),
            ]
        })
        .collect();
    let titles = ["ID", "NAME", "KIND", "PLAN", "CREDIT", "CREATED"];
    let documents: Vec<Value> = accounts.iter().map(document).collect();
    let text = table(titles, &rows, "There is no account.");
    Ok(Answer::new(json!({ "accounts": documents }), text))
}

/// An account, and the region of this server, which its keys will have.
fn one(account: &Account, context: &Context) -> Answer {
    let region = &context.rules.region;
    let text = fields(&[
        ("Account", account.id.to_string()),
        ("Name", account.name.clone()),
        ("Kind", account.kind.as_str().to_owned()),
        ("Plan", account.plan.as_str().to_owned()),
        ("Email", account.email.clone().unwrap_or_else(|| "none".to_owned())),
        ("Failover on moderation", account.failover_on_moderation.to_string()),
        ("Credit", account.balance.to_string()),
        ("Region", region.clone()),
        ("Created", time(account.created_at)),
    ]);
    let mut document = document(account);
    document["region"] = json!(region);
    Answer::new(document, text)
}

fn document(account: &Account) -> Value {
    json!({
        "account_id": account.id,
        "account_name": account.name,
        "account_kind": account.kind.as_str(),
        "account_plan": account.plan.as_str(),
        "account_email": account.email,
        "account_failover_on_moderation": account.failover_on_moderation,
        "credit_balance": number(account.balance),
        "account_created_at": time(account.created_at),
    })
}
