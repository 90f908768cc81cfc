//! What people who sign in need.

use std::sync::Arc;
use std::time::Duration;

use actors::ports::IdSource;
use actors::ports::mails::Mailer;
use actors::ports::people::TokenStore;
use anyhow::Context as _;
use providers::clock::Clock;
use tokio::time::sleep;
use url::Url;

use crate::auth::Auth;
use crate::auth::session::Sessions;
use crate::auth::throttle::Throttle;
use crate::config::Config;
use crate::identity::Context;
use crate::mail::{LogMailer, Postman, SmtpMailer};
use crate::people::People;
use crate::secrets::{MasterKey, Purpose};
use crate::store::Store;

/// What everything here is made of.
pub(super) struct Parts<'a> {
    pub(super) config: &'a Config,
    pub(super) master_key: &'a MasterKey,
    /// How the outside world reaches this server.
    pub(super) url: &'a str,
    pub(super) store: &'a Arc<Store>,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) ids: &'a Arc<dyn IdSource>,
    pub(super) auth: &'a Arc<Auth>,
}

impl Parts<'_> {
    /// Knows signed-in browsers.
    pub(super) fn sessions(&self) -> Sessions {
        Sessions {
            sessions: Arc::clone(self.store) as _,
            memberships: Arc::clone(self.store) as _,
            notifications: Arc::clone(self.store) as _,
            clock: Arc::clone(self.clock),
            ids: Arc::clone(self.ids),
            form_key: self.master_key.derive(Purpose::FormTokens),
            idle: self.config.people.session_idle,
            max: self.config.people.session_max,
            secure: self.url.starts_with("https://"),
        }
    }

    /// Knows people and teams.
    ///
    /// # Errors
    /// No hash could be made.
    pub(super) async fn people(&self) -> anyhow::Result<People> {
        let (rules, cost) = (self.config.people.clone(), self.config.auth.bcrypt_cost);
        // Of a password that nobody knows.
        let nobody = rand::random::<u128>().to_string();
        let hash = move || bcrypt::non_truncating_hash(nobody, cost);
        Ok(People {
            context: Context::new(self.store.as_ref().clone(), self.config),
            throttle: Throttle::new(rules.failures_per_minute, rules.failures_per_minute_and_user),
            rules,
            url: self.url.to_owned(),
            auth: Arc::clone(self.auth),
            sign_up_key: self.master_key.derive(Purpose::SignUpLinks),
            first_key: self.master_key.derive(Purpose::FirstOwner),
            code_key: self.master_key.derive(Purpose::MailCodes),
            nobodys_hash: self.auth.hash(hash).await??,
            posted: Arc::default(),
        })
    }

    /// Carries away the mail of these people.
    ///
    /// # Errors
    /// The settings make no mail server.
    pub(super) fn postman(&self, people: &People) -> anyhow::Result<Postman> {
        let url = Url::parse(self.url)?;
        let host = url.host_str().context("the address of this server has no host")?;
        let mailer: Arc<dyn Mailer> = match SmtpMailer::new(&self.config.mail, host)? {
            Some(mailer) => Arc::new(mailer),
            None => Arc::new(LogMailer),
        };
        Ok(Postman {
            store: Arc::clone(self.store) as _,
            mailer,
            clock: Arc::clone(self.clock),
            posted: Arc::clone(&people.posted),
        })
    }
}

/// How often is looked for what can no longer be used.
const FORGET_EVERY: Duration = Duration::from_secs(10 * 60);

/// Removes sessions and one-time tokens that can no longer be used.
pub(super) async fn forget(sessions: Arc<Sessions>, store: Arc<Store>, clock: Arc<dyn Clock>) {
    loop {
        sleep(FORGET_EVERY).await;
        if let Err(error) = sessions.forget().await {
            tracing::warn!(%error, "old sessions were not removed");
        }
        if let Err(error) = store.forget_tokens_any_user(clock.now()).await {
            tracing::warn!(%error, "old tokens were not removed");
        }
    }
}
