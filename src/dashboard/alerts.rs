//! What the owner of a workspace is told of its balance: a card that two pages have
//! (`spec/dashboard.md` 6.5 and 7.1).

use actors::alert::{AlertSettings, THRESHOLDS_MAX};
use actors::money::Credits;
use actors::permission::Permission;
use actors::ports::deliveries::NotificationStore;
use askama::Template;

use super::Dashboard;
use super::problem::Problem;
use crate::auth::session::Workspace;
use crate::endpoint_admin::set_alerts;
use crate::error::page::PageError;
use crate::identity::IdentityError;

/// A form whose fields repeat.
pub(super) type Fields = Vec<(String, String)>;

/// The card: what was chosen or typed, and what is wrong with it.
#[derive(Template)]
#[template(path = "alerts/card.html")]
pub(super) struct AlertsCard {
    enabled: bool,
    in_app: bool,
    email: bool,
    webhook: bool,
    /// As many as there can be; those that are not used are empty.
    thresholds: Vec<String>,
    error: Problem,
    may_change: bool,
    /// Where the form is sent to.
    path: String,
    csrf: String,
}

/// Something to be turned on or off.
struct Choice {
    name: &'static str,
    label: &'static str,
    text: &'static str,
    is_chosen: bool,
}

impl AlertsCard {
    /// As the settings are. `page` is the one that it is on.
    pub(super) async fn find(
        dashboard: &Dashboard,
        workspace: &Workspace,
        page: &str,
    ) -> Result<Self, PageError> {
        let alerts = dashboard.context.store.find_alerts(workspace.account.id).await?;
        let AlertSettings { enabled, thresholds, in_app, webhook, email } = alerts.settings;
        let thresholds = thresholds.iter().map(Credits::to_string).collect();
        let chosen = Self { enabled, in_app, email, webhook, ..Self::blank(workspace, page) };
        Ok(chosen.with(thresholds, Problem::default()))
    }

    /// Takes what was sent; the card to show again when it cannot be taken.
    pub(super) async fn save(
        dashboard: &Dashboard,
        workspace: &Workspace,
        page: &str,
        fields: Fields,
    ) -> Result<Result<(), Self>, PageError> {
        workspace.require(Permission::ChangeAlerts)?;
        let has = |wanted: &str| fields.iter().any(|(name, _)| name == wanted);
        let typed = fields.iter().filter(|(name, _)| name == "threshold");
        let typed = typed.map(|(_, value)| value.trim().to_owned());
        let typed: Vec<String> = typed.filter(|it| !it.is_empty()).collect();
        let again = Self {
            enabled: has("enabled"),
            in_app: has("in_app"),
            email: has("email"),
            webhook: has("webhook"),
            ..Self::blank(workspace, page)
        };
        let thresholds = typed.iter().map(|it| Credits::parse(it.trim_start_matches('$')));
        let thresholds = match thresholds.collect::<Result<Vec<_>, _>>() {
            Ok(thresholds) => thresholds,
            Err(error) => return Ok(Err(again.with(typed, Problem::new("thresholds", &error)))),
        };
        let Self { enabled, in_app, email, webhook, .. } = again;
        let settings = AlertSettings { enabled, thresholds, in_app, webhook, email };
        let context = dashboard.context.of(workspace.person.user.id);
        match set_alerts(&context, workspace.account.id, settings).await {
            Ok(_) => Ok(Ok(())),
            Err(IdentityError::Endpoint(_)) => Err(PageError::NotFound),
            Err(error) => Ok(Err(again.with(typed, Problem::with_identity(error)?))),
        }
    }

    fn choices(&self) -> [Choice; 4] {
        let choice = |name, label, text, is_chosen| Choice { name, label, text, is_chosen };
        [
            choice("enabled", "Enabled", "Watch the balance of this account", self.enabled),
            choice("in_app", "In-app", "A notification in the dashboard", self.in_app),
            choice("email", "Email", "A mail to the account owner", self.email),
            choice("webhook", "Webhook", "The event credits.low_balance", self.webhook),
        ]
    }

    /// Whether it is shown because of what is wrong.
    pub(super) fn is_wrong(&self) -> bool {
        self.error.is_some()
    }

    fn blank(workspace: &Workspace, page: &str) -> Self {
        Self {
            enabled: false,
            in_app: false,
            email: false,
            webhook: false,
            thresholds: Vec::new(),
            error: Problem::default(),
            may_change: workspace.may(Permission::ChangeAlerts),
            path: format!("{page}/alerts"),
            csrf: workspace.csrf().to_owned(),
        }
    }

    fn with(mut self, mut thresholds: Vec<String>, error: Problem) -> Self {
        if self.may_change {
            thresholds.resize(THRESHOLDS_MAX, String::new());
        }
        (self.thresholds, self.error) = (thresholds, error);
        self
    }
}
