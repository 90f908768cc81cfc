//! `babysea notification …`

use actors::id::{AccountId, NotificationId};
use actors::ports::deliveries::NotificationStore;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::account;
use crate::cli::output::{Answer, table, time};
use crate::cli::parse;
use crate::identity::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum NotificationCommand {
    /// List what an account's owner was told, newest first
    #[command(after_help = "Example: babysea notification list --account ID")]
    List(ListArgs),
    /// Mark one as read, or all of an account
    #[command(after_help = "Example: babysea notification read --account ID")]
    Read {
        /// The account
        #[arg(long, value_name = "ID", value_parser = parse::account_id)]
        account: AccountId,
        /// The notification; all of them when it is not given
        #[arg(long, value_parser = parse::notification_id)]
        id: Option<NotificationId>,
    },
    /// Remove one
    #[command(after_help = "Example: babysea notification dismiss --account ID --id ID")]
    Dismiss {
        /// The account
        #[arg(long, value_name = "ID", value_parser = parse::account_id)]
        account: AccountId,
        /// The notification
        #[arg(long, value_parser = parse::notification_id)]
        id: NotificationId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The account
    #[arg(long, value_name = "ID", value_parser = parse::account_id)]
    account: AccountId,
    /// The most to list
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only what is older than this notification
    #[arg(long, value_name = "ID", value_parser = parse::notification_id)]
    before: Option<NotificationId>,
}

impl NotificationCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        match self {
            Self::List(arguments) => arguments.run(context).await,
            Self::Read { account, id } => {
                let (account, now) = (account::find(context, account).await?, context.clock.now());
                let count = context.store.read_notifications(account.id, id, now).await?;
                let text = format!("{count} notifications are marked as read.");
                Ok(Answer::new(json!({ "read": count }), text))
            }
            Self::Dismiss { account, id } => {
                let account = account::find(context, account).await?;
                let existed = context.store.dismiss_notification(account.id, id).await?;
                anyhow::ensure!(existed, "no such notification");
                let document = json!({ "notification_id": id, "dismissed": true });
                Ok(Answer::new(document, "The notification is removed."))
            }
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        let account = account::find(context, self.account).await?;
        let store = &context.store;
        let found = store.list_notifications(account.id, self.before, self.limit).await?;
        let rows: Vec<_> = found
            .iter()
            .map(|one| {
                [
                    one.id.to_string(),
                    time(one.created_at),
                    one.read_at.map_or("unread", |_| "read").to_owned(),
                    one.kind.as_str().to_owned(),
                    one.data.to_string(),
                ]
            })
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
        let titles = ["ID", "WHEN", "READ", "ABOUT", "PARTICULARS"];
        let text = table(titles, &rows, "There is no notification.");
        Ok(Answer::new(json!({ "notifications": documents }), text))
    }
}
