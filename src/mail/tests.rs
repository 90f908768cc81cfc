//! What becomes of mail, by what the mail server says.

use std::sync::Mutex;

use actors::id::MailId;
use actors::mail::Mail;
use actors::user::Email;
use chrono::{DateTime, Utc};

use super::*;
use crate::auth::fakes::ManualClock;

/// An outbox with one mail.
struct OneMail {
    mail: Mutex<Option<QueuedMail>>,
    outcomes: Mutex<Vec<MailOutcome>>,
}

#[async_trait]
impl MailStore for OneMail {
    async fn post_mail(&self, _: actors::mail::NewMail) -> Result<(), StoreError> {
        unreachable!("it is there already")
    }

    async fn take_mail(
        &self,
        _: DateTime<Utc>,
        _: DateTime<Utc>,
    ) -> Result<Option<QueuedMail>, StoreError> {
        Ok(self.mail.lock().unwrap().take())
    }

    async fn finish_mail(
        &self,
        _: MailId,
        outcome: &MailOutcome,
        _: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.outcomes.lock().unwrap().push(outcome.clone());
        Ok(())
    }

    async fn forget_mails(&self, _: DateTime<Utc>) -> Result<u64, StoreError> {
        Ok(0)
    }
}

struct Says(Result<(), MailError>);

#[async_trait]
impl Mailer for Says {
    async fn send(&self, _: &QueuedMail) -> Result<(), MailError> {
        self.0.clone()
    }
}

/// What is noted of a mail at its `tries`th try.
async fn outcome(said: Result<(), MailError>, tries: u32) -> MailOutcome {
    let clock = ManualClock::new();
    let mail = QueuedMail {
        id: MailId(uuid::Uuid::nil()),
        to: Email::parse("ada@example.com").unwrap(),
        account_name: None,
        mail: Mail::PasswordChanged,
        tries,
        created_at: clock.now(),
    };
    let store = Arc::new(OneMail { mail: Mutex::new(Some(mail)), outcomes: Mutex::default() });
    let postman = Postman {
        store: Arc::clone(&store) as _,
        mailer: Arc::new(Says(said)),
        clock,
        posted: Arc::default(),
    };
    postman.round().await.unwrap();
    let outcome = store.outcomes.lock().unwrap().pop();
    outcome.unwrap()
}

#[tokio::test]
async fn what_is_refused_is_given_up_and_what_is_not_taken_is_tried_again() {
    assert_eq!(outcome(Ok(()), 1).await, MailOutcome::Sent);
    let refused = Err(MailError::Refused("no such mailbox".to_owned()));
    let failed = outcome(refused, 1).await;
    assert_eq!(failed, MailOutcome::Failed { error: "refused: no such mailbox".to_owned() });
    let away = || Err(MailError::Unavailable("away".to_owned()));
    let at = ManualClock::new().now() + Duration::from_secs(30);
    assert_eq!(outcome(away(), 1).await, MailOutcome::Again { at, error: "away".to_owned() });
    assert_eq!(outcome(away(), 8).await, MailOutcome::Failed { error: "away".to_owned() });
}

#[test]
fn a_mail_server_is_named_by_its_url() {
    let config = |url: &str, from: &str| crate::config::MailConfig {
        smtp_url: (!url.is_empty()).then(|| url.into()),
        from: from.to_owned(),
    };
    let made = |url, from| SmtpMailer::new(&config(url, from), "sea.example");
    assert!(made("", "").unwrap().is_none());
    assert!(
        made("smtps://user:pass@mail.example:465", "BabySea <sea@example.com>").unwrap().is_some()
    );
    let error = made("http://user:secret@mail.example", "sea@example.com").err().unwrap();
    assert!(!format!("{error:#}").contains("secret"));
    assert!(made("smtp://mail.example", "nobody").is_err());
}
