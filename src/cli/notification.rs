//! `babysea notification …`

use actors::id::AccountId;
use actors::ports::deliveries::NotificationStore;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::account;
use crate::cli::output::{Answer, table, time};
use crate::cli::parse;
use crate::identity::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum NotificationCommand {
    /// List what an account's owner was told, newest first
    #[command(after_help = "Example: babysea notification list --account ID")]
    List {
        /// The account
        #[arg(long, value_name = "ID", value_parser = parse::account_id)]
        account: AccountId,
        /// The most to list
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
}

impl NotificationCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        let Self::List { account, limit } = self;
        let account = account::find(context, account).await?;
        let found = context.store.list_notifications(account.id, limit).await?;
        let rows: Vec<_> = found
            .iter()
            .map(|one| [time(one.created_at), one.kind.as_str().to_owned(), one.data.to_string()])
            .collect();
        let documents: Vec<Value> = found
            .iter()
            .map(|one| {
                json!({
                    "notification_id": one.id,
                    "kind": one.kind.as_str(),
                    "data": one.data,
                    "created_at": time(one.created_at),
                    "read_at": one.read_at.map(time),
                })
            })
            .collect();
        let text = table(["WHEN", "ABOUT", "PARTICULARS"], &rows, "There is no notification.");
        Ok(Answer::new(json!({ "notifications": documents }), text))
    }
}
