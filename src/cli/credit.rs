//! `babysea credit …` and `babysea ledger …`

use actors::id::AccountId;
use actors::ledger::LedgerEntry;
use actors::money::Credits;
use actors::ports::AccountStore;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::cli::account;
use crate::cli::output::{Answer, fields, number, table, time};
use crate::cli::parse;
use crate::identity::{Context, NewGrant, add_credit};

/// Entries read at a time.
const PAGE: u32 = 5000;

#[derive(Debug, Subcommand)]
pub(crate) enum CreditCommand {
    /// Grant credit, once per key
    ///
    /// Repeating the command with the same key, account and amount answers the entry that
    /// exists, and grants nothing.
    #[command(
        after_help = "Example: babysea credit add --account ID --amount 25 --key order:1042 --description 'Order 1042'"
    )]
    Add(AddArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The account
    #[arg(long, value_name = "ID", value_parser = parse::account_id)]
    account: AccountId,
    /// How much, with up to three decimals
    #[arg(long, value_parser = parse::credits)]
    amount: Credits,
    /// Makes it happen once, over all accounts
    #[arg(long)]
    key: String,
    /// For people who read the ledger
    #[arg(long)]
    description: String,
    /// Why, for the log of those who run the server
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// List every movement of an account's credit, oldest first
    #[command(after_help = "Example: babysea ledger list --account ID")]
    List {
        /// The account
        #[arg(long, value_name = "ID", value_parser = parse::account_id)]
        account: AccountId,
    },
}

impl CreditCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        let Self::Add(new) = self;
        let AddArgs { account: account_id, amount, key, description, reason } = new;
        let grant = NewGrant { account_id, amount, key, description, reason };
        let entry = add_credit(context, grant).await?;
        // The balance now: for a repetition it is not the one of that entry.
        let balance = account::find(context, account_id).await?.balance;
        let text = fields(&[
            ("Account", account_id.to_string()),
            ("Entry", entry.seq.to_string()),
            ("Amount", entry.amount.to_string()),
            ("Granted", time(entry.created_at)),
            ("Credit", balance.to_string()),
        ]);
        let mut document = document(&entry);
        document.insert("account_id".to_owned(), json!(entry.account_id));
        document.insert("credit_balance".to_owned(), number(balance));
        Ok(Answer::new(Value::Object(document), text))
    }
}

impl LedgerCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        let Self::List { account: account_id } = self;
        account::find(context, account_id).await?;
        let mut entries: Vec<LedgerEntry> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry.seq);
            let page = context.store.list_entries(account_id, after, PAGE).await?;
            let last = page.len() < PAGE as usize;
            entries.extend(page);
            if last {
                break;
            }
        }
        // Of the rows that are shown, not of the account as it is by now: they agree.
        let balance = entries.last().map_or(Credits::ZERO, |entry| entry.balance_after);
        let rows: Vec<_> = entries.iter().map(row).collect();
        let titles = ["SEQ", "TYPE", "AMOUNT", "DELTA", "BALANCE", "FOR", "CREATED"];
        let text = table(titles, &rows, "Nothing has moved yet.");
        let entries: Vec<Value> =
            entries.iter().map(|entry| Value::Object(document(entry))).collect();
        let document = json!({
            "account_id": account_id,
            "credit_balance": number(balance),
            "entries": entries,
        });
        Ok(Answer::new(document, text))
    }
}

fn row(entry: &LedgerEntry) -> [String; 7] {
    let about = match (&entry.generation_id, &entry.model) {
        (Some(id), Some(model)) => format!("{model} {id}"),
        (Some(id), None) => id.to_string(),
        (None, _) => entry.description.clone().unwrap_or_default(),
    };
    let sign = if entry.delta < 0 { "-" } else { "" };
    let size = entry.delta.unsigned_abs();
    [
        entry.seq.to_string(),
        entry.kind.as_str().to_owned(),
        entry.amount.to_string(),
        format!("{sign}{}.{:03}", size / 1000, size % 1000),
        entry.balance_after.to_string(),
        about,
        time(entry.created_at),
    ]
}

fn document(entry: &LedgerEntry) -> Map<String, Value> {
    let fields = [
        ("seq", json!(entry.seq)),
        ("type", json!(entry.kind.as_str())),
        ("amount", number(entry.amount)),
        // Exact for the same reason as an amount: it is one, with a sign.
        ("delta", json!(entry.delta as f64 / 1000.0)),
        ("balance_after", number(entry.balance_after)),
        ("generation_id", json!(entry.generation_id)),
        ("model", json!(entry.model)),
        ("key", json!(entry.key)),
        ("description", json!(entry.description)),
        ("created_at", json!(time(entry.created_at))),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
