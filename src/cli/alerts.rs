//! `babysea account alerts`

use actors::alert::{AlertSettings, Alerts};
use actors::id::AccountId;
use actors::money::Credits;
use actors::ports::deliveries::NotificationStore;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::account;
use crate::cli::output::{Answer, fields, number};
use crate::cli::parse;
use crate::endpoint_admin::set_alerts;
use crate::identity::Context;

#[derive(Debug, Args)]
pub(crate) struct AlertsArgs {
    /// The account
    #[arg(long, value_parser = parse::account_id)]
    id: AccountId,
    /// Whether the owner is told at all
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    /// Tell below this balance; up to 10, instead of those before
    #[arg(long, value_name = "AMOUNT", num_args = 1.., value_delimiter = ',')]
    #[arg(value_parser = parse::credits)]
    threshold: Vec<Credits>,
    /// Whether the dashboard shows it
    #[arg(long, value_name = "BOOL")]
    in_app: Option<bool>,
    /// Whether endpoints that subscribe to credits.low_balance are told
    #[arg(long, value_name = "BOOL")]
    webhook: Option<bool>,
    /// Whether the primary owner is told by mail
    #[arg(long, value_name = "BOOL")]
    email: Option<bool>,
}

impl AlertsArgs {
    /// Changes what is named, and shows all of it.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        let account = account::find(context, self.id).await?;
        let mut alerts = context.store.find_alerts(account.id).await?;
        let before = &alerts.settings;
        let settings = AlertSettings {
            enabled: self.enabled.unwrap_or(before.enabled),
            thresholds: match self.threshold.is_empty() {
                true => before.thresholds.clone(),
                false => self.threshold,
            },
            in_app: self.in_app.unwrap_or(before.in_app),
            webhook: self.webhook.unwrap_or(before.webhook),
            email: self.email.unwrap_or(before.email),
        };
        if settings != *before {
            set_alerts(context, account.id, settings).await?;
            alerts = context.store.find_alerts(account.id).await?;
        }
        Ok(shown(account.id, &alerts))
    }
}

fn shown(id: AccountId, alerts: &Alerts) -> Answer {
    let settings = &alerts.settings;
    let listed = |all: &[Credits]| {
        let all: Vec<String> = all.iter().map(Credits::to_string).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(" ") }
    };
    let numbers = |all: &[Credits]| all.iter().map(|one| number(*one)).collect::<Vec<Value>>();
    let text = fields(&[
        ("Account", id.to_string()),
        ("Enabled", settings.enabled.to_string()),
        ("Thresholds", listed(&settings.thresholds)),
        ("Fired", listed(&alerts.fired)),
        ("Dashboard", settings.in_app.to_string()),
        ("Webhooks", settings.webhook.to_string()),
        ("Mail", settings.email.to_string()),
    ]);
    let document = json!({
        "account_id": id,
        "enabled": settings.enabled,
        "thresholds": numbers(&settings.thresholds),
        "fired": numbers(&alerts.fired),
        "in_app": settings.in_app,
        "webhook": settings.webhook,
        "email": settings.email,
    });
    Answer::new(document, text)
}
