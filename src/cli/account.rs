//! `babysea account …`

use actors::account::{Account, AccountKind, Plan};
use actors::id::AccountId;
use actors::money::Credits;
use actors::operator::AccountChange;
use actors::ports::AccountStore;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::alerts::AlertsArgs;
use crate::cli::output::{Answer, fields, number, table, time};
use crate::cli::parse;
use crate::identity::{Context, NewAccount, change_account, create_account};

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
    #[command(after_help = "Example: babysea account update --id ID --plan pro")]
    Update(UpdateArgs),
    /// Keep an account from using the API
    ///
    /// Its members can still sign in and look; what is in flight goes on.
    #[command(after_help = "Example: babysea account suspend --id ID --reason 'Chargeback'")]
    Suspend(SuspensionArgs),
    /// End the suspension of an account
    #[command(after_help = "Example: babysea account resume --id ID --reason 'Settled'")]
    Resume(SuspensionArgs),
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

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The account
    #[arg(long, value_parser = parse::account_id)]
    id: AccountId,
    /// Which limits apply
    #[arg(long, value_parser = parse::plan(), required_unless_present = "failover_on_moderation")]
    plan: Option<Plan>,
    /// Whether content that one provider refuses is offered to the next
    #[arg(long, value_name = "BOOL")]
    failover_on_moderation: Option<bool>,
    /// Why, for the log of those who run the server
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct SuspensionArgs {
    /// The account
    #[arg(long, value_parser = parse::account_id)]
    id: AccountId,
    /// Why, for the log of those who run the server
    #[arg(long, default_value = "")]
    reason: String,
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
            Self::Update(UpdateArgs { id, plan, failover_on_moderation, reason }) => {
                let plan = plan.map(AccountChange::Plan);
                let failover = failover_on_moderation.map(AccountChange::FailoverOnModeration);
                change(context, id, plan.into_iter().chain(failover), &reason).await
            }
            Self::Suspend(SuspensionArgs { id, reason }) => {
                change(context, id, [AccountChange::Suspension(true)], &reason).await
            }
            Self::Resume(SuspensionArgs { id, reason }) => {
                change(context, id, [AccountChange::Suspension(false)], &reason).await
            }
            Self::Alerts(arguments) => arguments.run(context).await,
        }
    }
}

async fn change(
    context: &Context,
    id: AccountId,
    changes: impl IntoIterator<Item = AccountChange>,
    reason: &str,
) -> anyhow::Result<Answer> {
    for change in changes {
        anyhow::ensure!(change_account(context, id, change, reason).await?, "no such account");
    }
    Ok(one(&find(context, id).await?, context))
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
        ("Suspended", account.suspended_at.map_or_else(|| "no".to_owned(), time)),
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
        "account_suspended_at": account.suspended_at.map(time),
        "credit_balance": number(account.balance),
        "account_created_at": time(account.created_at),
    })
}
