//! Mail through an SMTP server.

use std::time::Duration;

use actors::mail::QueuedMail;
use actors::ports::mails::{MailError, Mailer};
use anyhow::Context;
use async_trait::async_trait;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::ExposeSecret;

use crate::config::MailConfig;

/// How long one mail may take. Mail servers may be slow on purpose, to find out spammers.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Hands mail to one server. A connection for each mail: there are few, and a connection that is
/// kept is one that can have been lost.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// What stands behind the `@` of a Message-ID, and in EHLO.
    host: String,
}

impl SmtpMailer {
    /// `None` when no server is set. `host` is that of this server.
    ///
    /// # Errors
    /// The settings make no mail server.
    pub fn new(config: &MailConfig, host: &str) -> anyhow::Result<Option<Self>> {
        let Some(url) = &config.smtp_url else { return Ok(None) };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret())
            // The URL may hold a password, so it is not said which it is.
            .ok()
            .context("`mail.smtp_url` is no smtp:// or smtps:// URL")?
            .hello_name(ClientId::Domain(host.to_owned()))
            .timeout(Some(TIMEOUT))
            .build();
        let from = config.from.parse().context("`mail.from` is no address")?;
        Ok(Some(Self { transport, from, host: host.to_owned() }))
    }

    fn message(&self, mail: &QueuedMail) -> Result<Message, MailError> {
        let refused = |error: &dyn std::fmt::Display| MailError::Refused(error.to_string());
        let to: Address = mail.to.as_str().parse().map_err(|error| refused(&error))?;
        let text = mail.mail.text(mail.account_name.as_deref());
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(text.subject)
            .date(mail.created_at.into())
            .message_id(Some(format!("<{}@{}>", mail.id, self.host)))
            .header(ContentType::TEXT_PLAIN)
            .body(text.body)
            .map_err(|error| refused(&error))
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &QueuedMail) -> Result<(), MailError> {
        let message = self.message(mail)?;
        self.transport.send(message).await.map(|_| ()).map_err(|error| explain(&error))
    }
}

fn explain(error: &SmtpError) -> MailError {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    if error.is_permanent() { MailError::Refused(text) } else { MailError::Unavailable(text) }
}
