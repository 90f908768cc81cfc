//! Mail: takes it out of the outbox and hands it to a mail server, or prints it where none is
//! set.
//!
//! A mail gets into the outbox in the transaction of its reason, so none is lost. One that was
//! taken from us is never sent again; where a server did not answer whether it took it, the next
//! try has the same Message-ID, by which receivers tell a repetition.

mod smtp;

use std::sync::Arc;
use std::time::Duration;

use actors::mail::{QueuedMail, wait_after};
use actors::ports::StoreError;
use actors::ports::mails::{MailError, MailOutcome, MailStore, Mailer};
use async_trait::async_trait;
use chrono::TimeDelta;
use providers::clock::Clock;
use tokio::sync::Notify;
use tokio::time::timeout;

pub use self::smtp::SmtpMailer;

/// How often is looked for mail that nobody has told of, such as that of a command or of the
/// writer.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// For how long a mail that was taken is nobody else's: longer than a try may take.
const TAKEN_FOR: TimeDelta = TimeDelta::minutes(3);
/// How long it is known what became of a mail.
const KEPT: TimeDelta = TimeDelta::days(7);
/// Mails sent between two looks at what can be forgotten.
const SENT_AT_ONCE: usize = 1000;

/// Carries mail from the outbox to a [`Mailer`].
pub struct Postman {
    pub store: Arc<dyn MailStore>,
    pub mailer: Arc<dyn Mailer>,
    pub clock: Arc<dyn Clock>,
    /// Told when there is mail.
    pub posted: Arc<Notify>,
}

impl Postman {
    /// Goes on until it is dropped.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "mail was not looked for");
            }
            // Either way it is time to look.
            let _ = timeout(LOOK_EVERY, self.posted.notified()).await;
        }
    }

    async fn round(&self) -> Result<(), StoreError> {
        for _ in 0..SENT_AT_ONCE {
            let now = self.clock.now();
            let Some(mail) = self.store.take_mail(now, now + TAKEN_FOR).await? else { break };
            let outcome = self.outcome(&mail, self.mailer.send(&mail).await);
            self.store.finish_mail(mail.id, &outcome, self.clock.now()).await?;
        }
        self.store.forget_mails(self.clock.now() - KEPT).await.map(|_| ())
    }

    fn outcome(&self, mail: &QueuedMail, sent: Result<(), MailError>) -> MailOutcome {
        let error = match sent {
            Ok(()) => return MailOutcome::Sent,
            Err(error) => error,
        };
        let (id, kind) = (mail.id, mail.mail.kind());
        tracing::warn!(%id, kind, tries = mail.tries, %error, "a mail was not sent");
        let wait = match &error {
            MailError::Refused(_) => None,
            MailError::Unavailable(_) => wait_after(mail.tries),
        };
        let error = error.to_string();
        match wait {
            Some(wait) => MailOutcome::Again { at: self.clock.now() + wait, error },
            None => MailOutcome::Failed { error },
        }
    }
}

/// Prints mail to the log, for servers without a mail server: whoever runs one can pass links
/// and codes on.
#[derive(Debug)]
pub struct LogMailer;

#[async_trait]
impl Mailer for LogMailer {
    async fn send(&self, mail: &QueuedMail) -> Result<(), MailError> {
        let text = mail.mail.text(mail.account_name.as_deref());
        let (to, subject, body) = (&mail.to, &text.subject, &text.body);
        tracing::warn!(
            "no mail server is set (mail.smtp_url), so here is a mail to {to}: {subject}\n\n{body}"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
