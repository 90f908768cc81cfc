//! The outbox of mail.

use actors::mail::{Mail, QueuedMail};
use actors::ports::mails::{MailOutcome, MailStore};
use actors::ports::people::PasswordChange;
use actors::ports::people::UserStore;
use actors::ports::teams::{ActivityStore, MembershipStore};
use futures_util::future::join_all;

use crate::people::{made, mail};
use crate::support::{TestStore, at};

on_both!(
    a_mail_is_taken_by_one_and_comes_back_when_he_dies,
    what_a_mail_says_is_not_in_the_database_in_the_clear,
    the_primary_owner_is_told_of_a_low_balance,
);

/// Puts a mail into the outbox.
async fn posted(test: &TestStore, email: &str) {
    let user = made(test, email).await;
    let change = PasswordChange {
        user_id: user.id,
        hash: "new".to_owned(),
        keep: None,
        token: None,
        mail: mail(&user, 0),
    };
    test.store.set_password(change).await.unwrap().unwrap();
}

async fn take(test: &TestStore, seconds: i64) -> Option<QueuedMail> {
    test.store.take_mail(at(seconds), at(seconds + 60)).await.unwrap()
}

async fn a_mail_is_taken_by_one_and_comes_back_when_he_dies(test: TestStore) {
    posted(&test, "ada@example.com").await;
    let takers = join_all((0..4).map(|_| take(&test, 1))).await;
    let taken: Vec<QueuedMail> = takers.into_iter().flatten().collect();
    let [first] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!(
        (first.to.as_str(), &first.mail, first.tries),
        ("ada@example.com", &Mail::PasswordChanged, 1)
    );
    assert_eq!(take(&test, 60).await, None);
    let again = take(&test, 61).await.unwrap();
    assert_eq!((again.id, again.tries), (first.id, 2), "the taker has died");
    let later = MailOutcome::Again { at: at(200), error: "away".to_owned() };
    test.store.finish_mail(first.id, &later, at(62)).await.unwrap();
    assert_eq!(take(&test, 199).await, None);
    assert_eq!(take(&test, 200).await.unwrap().tries, 3);
    test.store.finish_mail(first.id, &MailOutcome::Sent, at(201)).await.unwrap();
    assert_eq!(take(&test, 1000).await, None);
    // Whoever was slow changes nothing.
    test.store.finish_mail(first.id, &later, at(202)).await.unwrap();
    assert_eq!(take(&test, 1000).await, None);
    assert_eq!(test.store.forget_mails(at(200)).await.unwrap(), 0);
    assert_eq!(test.store.forget_mails(at(201)).await.unwrap(), 1);
    test.finish().await;
}

async fn what_a_mail_says_is_not_in_the_database_in_the_clear(test: TestStore) {
    posted(&test, "ada@example.com").await;
    let clear = "SELECT COUNT(*) FROM mails WHERE sealed LIKE '%password%'";
    assert_eq!(test.count(clear).await, 0);
    assert_eq!(test.store.reseal_mails().await.unwrap(), 1);
    let mail = take(&test, 1).await.unwrap();
    assert_eq!(mail.mail, Mail::PasswordChanged);
    let error = "no such mailbox".to_owned();
    test.store.finish_mail(mail.id, &MailOutcome::Failed { error }, at(2)).await.unwrap();
    assert_eq!(test.count("SELECT COUNT(*) FROM mails WHERE sealed IS NOT NULL").await, 0);
    test.finish().await;
}

async fn the_primary_owner_is_told_of_a_low_balance(test: TestStore) {
    let ada = made(&test, "ada@example.com").await;
    let account = test.store.list_memberships(ada.id).await.unwrap().remove(0).account.id;
    let nobodys = test.account("0.600").await;
    test.execute("UPDATE accounts SET plan = 'pro'").await;
    for (account, times) in [(account, 6), (nobodys, 2)] {
        for _ in 0..times {
            test.accepted(account).await;
        }
    }
    let mail = take(&test, 1000).await.unwrap();
    assert_eq!(mail.to, ada.email);
    assert_eq!(mail.account_name.as_deref(), Some("ada"));
    let Mail::LowBalance { balance, thresholds } = mail.mail else { panic!("{mail:?}") };
    assert_eq!((balance.as_str(), thresholds.as_slice()), ("0.400", &["0.500".to_owned()][..]));
    assert_eq!(take(&test, 1000).await, None, "nobody owns the other one");
    let told = test.store.list_activities(account, None, 1).await.unwrap();
    assert_eq!(
        (told[0].category.as_str(), told[0].action.as_str()),
        ("credit_alert", "alert_fired")
    );
    let told = test.store.list_activities(nobodys, None, 10).await.unwrap();
    assert_eq!(told.len(), 1);
    test.finish().await;
}
