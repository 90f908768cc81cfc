//! People, the browsers in which they are signed in, and what can be done once.

use actors::account::{Account, AccountKind, Plan};
use actors::activity::{Actor, By};
use actors::id::{AccountId, ActivityId, MailId, SessionId, TokenId, UserId};
use actors::mail::{Mail, NewMail};
use actors::money::Credits;
use actors::ports::people::{
    NewPerson, PasswordChange, SessionStore, TokenStore, UserRefusal, UserStore,
};
use actors::ports::teams::{ActivityStore, MembershipStore};
use actors::ports::{AccountStore, Grant, IdSource};
use actors::user::{Email, OneTimeToken, Purpose, Session, User};
use babysea::identity::bootstrap;
use babysea::ids::SystemIds;
use futures_util::future::join_all;

use crate::support::{TestStore, at, by, credits};

on_both!(
    the_first_owner_takes_the_first_account_however_many_try,
    a_first_owner_does_not_take_what_is_somebodys_or_a_teams,
    a_person_has_an_account_and_one_welcome_credit,
    an_address_is_one_persons,
    sessions_are_found_by_token_and_end,
    a_changed_password_ends_sessions_and_links,
    an_address_changes_with_its_link_once,
    codes_can_be_tried_so_often,
    the_last_operator_stays,
    who_is_deleted_leaves_no_name_and_no_way_in,
);

/// What this person does then.
pub(crate) fn by_user(user_id: UserId, seconds: i64) -> By {
    By { actor: Actor::User(user_id), id: ActivityId(SystemIds.next()), at: at(seconds) }
}

/// A person with this address who is not in the database yet.
pub(crate) fn person(email: &str) -> NewPerson {
    let user = User {
        id: UserId(SystemIds.next()),
        email: Email::parse(email).unwrap(),
        name: email.split('@').next().unwrap().to_owned(),
        operator: false,
        created_at: at(0),
    };
    let account = Account {
        id: AccountId(SystemIds.next()),
        name: user.name.clone(),
        kind: AccountKind::Personal,
        plan: Plan::Free,
        email: Some(email.to_owned()),
        balance: Credits::ZERO,
        failover_on_moderation: false,
        suspended_at: None,
        created_at: at(0),
    };
    let grant = Grant {
        amount: credits("1"),
        key: format!("welcome:user:{}", user.id),
        description: "Welcome credits".to_owned(),
        at: at(0),
    };
    NewPerson { user, password_hash: Some("hash".to_owned()), account, grant }
}

/// A person with this address.
pub(crate) async fn made(test: &TestStore, email: &str) -> User {
    let person = person(email);
    let user = person.user.clone();
    test.store.create_user(person, by_user(user.id, 0)).await.unwrap().unwrap();
    user
}

/// A mail to this person.
pub(crate) fn mail(user: &User, seconds: i64) -> NewMail {
    NewMail {
        id: MailId(SystemIds.next()),
        account_id: None,
        to: user.email.clone(),
        mail: Mail::PasswordChanged,
        at: at(seconds),
    }
}

pub(crate) fn session(user: &User, seconds: i64) -> Session {
    Session {
        user_id: user.id,
        id: SessionId(SystemIds.next()),
        user_agent: Some("Firefox".to_owned()),
        created_at: at(seconds),
        last_seen_at: at(seconds),
        expires_at: at(seconds + 100),
    }
}

/// A token or code that can be used for a hundred seconds.
pub(crate) fn token(user: &User, purpose: Purpose, seconds: i64) -> OneTimeToken {
    OneTimeToken {
        user_id: user.id,
        id: TokenId(SystemIds.next()),
        purpose,
        created_at: at(seconds),
        expires_at: at(seconds + 100),
    }
}

fn hash(letter: char) -> String {
    letter.to_string().repeat(64)
}

async fn the_first_owner_takes_the_first_account_however_many_try(test: TestStore) {
    let key = bootstrap(&test.context).await.unwrap().unwrap();
    let first = key.key.account_id;
    assert!(!test.store.has_users().await.unwrap());
    let people: Vec<NewPerson> =
        (0..6).map(|number| person(&format!("owner{number}@example.com"))).collect();
    let tries = people
        .iter()
        .map(|person| test.store.create_first_owner(person.clone(), by_user(person.user.id, 1)));
    let done: Vec<bool> = join_all(tries).await.into_iter().map(|it| it.unwrap().is_ok()).collect();
    assert_eq!(done.iter().filter(|done| **done).count(), 1);
    let owner = &people[done.iter().position(|done| *done).unwrap()].user;
    assert!(test.store.has_users().await.unwrap());
    let [own] = &test.store.list_memberships(owner.id).await.unwrap()[..] else { panic!() };
    assert_eq!((own.account.id, own.slug.as_str()), (first, "personal"));
    assert_eq!(own.role.as_str(), "primary-owner");
    assert_eq!(
        (own.account.name.as_str(), own.account.plan),
        (owner.name.as_str(), Plan::Enterprise)
    );
    assert_eq!(test.ledger(first).await, ["add 1.000 1.000"], "no second welcome");
    assert_eq!(test.store.list_accounts(None, 10).await.unwrap().len(), 1);
    test.finish().await;
}

async fn a_first_owner_does_not_take_what_is_somebodys_or_a_teams(test: TestStore) {
    let customer = test.account("5").await;
    test.execute("UPDATE accounts SET kind = 'team'").await;
    let owner = person("owner@example.com");
    let (id, account_id) = (owner.user.id, owner.account.id);
    test.store.create_first_owner(owner, by_user(id, 1)).await.unwrap().unwrap();
    let [own] = &test.store.list_memberships(id).await.unwrap()[..] else { panic!() };
    assert_eq!(own.account.id, account_id);
    assert_eq!(own.account.balance, credits("1"));
    assert_eq!(test.balance(customer).await, credits("5"));
    test.finish().await;
}

async fn a_person_has_an_account_and_one_welcome_credit(test: TestStore) {
    let ada = made(&test, "ada@example.com").await;
    assert_eq!(test.store.find_user(ada.id).await.unwrap(), Some(ada.clone()));
    let [own] = &test.store.list_memberships(ada.id).await.unwrap()[..] else { panic!() };
    assert_eq!(test.ledger(own.account.id).await, ["add 1.000 1.000"]);
    let [signed_up] = &test.store.list_activities(own.account.id, None, 10).await.unwrap()[..]
    else {
        panic!()
    };
    assert_eq!(signed_up.actor, "ada");
    assert_eq!((signed_up.category.as_str(), signed_up.action.as_str()), ("auth", "signup"));
    assert!(test.store.rename_user(ada.id, "Ada L.", by_user(ada.id, 2)).await.unwrap());
    let renamed = test.store.list_memberships(ada.id).await.unwrap();
    assert_eq!(renamed[0].account.name, "Ada L.");
    let told = test.store.list_activities(own.account.id, None, 10).await.unwrap();
    assert_eq!((told.len(), told[0].actor.as_str()), (2, "Ada L."));
    let nobody = UserId(SystemIds.next());
    assert!(!test.store.rename_user(nobody, "Nobody", by(0)).await.unwrap());
    test.finish().await;
}

async fn an_address_is_one_persons(test: TestStore) {
    let ada = made(&test, "ada@example.com").await;
    let again = person("ada@example.com");
    let refused = test.store.create_user(again, by(1)).await.unwrap();
    assert_eq!(refused, Err(UserRefusal::EmailTaken));
    assert_eq!(test.store.list_users(None, 10).await.unwrap(), std::slice::from_ref(&ada));
    assert_eq!(test.store.list_users(Some(ada.id), 10).await.unwrap(), []);
    assert_eq!(test.store.list_accounts(None, 10).await.unwrap().len(), 1, "nothing is half made");
    let login = test.store.find_login(&ada.email).await.unwrap().unwrap();
    assert_eq!((login.user, login.password_hash.as_deref()), (ada, Some("hash")));
    let nobody = Email::parse("bob@example.com").unwrap();
    assert!(test.store.find_login(&nobody).await.unwrap().is_none());
    test.finish().await;
}

async fn sessions_are_found_by_token_and_end(test: TestStore) {
    let store = &test.store;
    let (ada, bob) = (made(&test, "ada@example.com").await, made(&test, "bob@example.com").await);
    let [one, two, three] = [0, 1, 2].map(|seconds| session(&ada, seconds));
    for (session, letter) in [(&one, 'a'), (&two, 'b'), (&three, 'c')] {
        let by = by_user(ada.id, 0);
        store.create_session(session.clone(), &hash(letter), None, by).await.unwrap();
    }
    let found = store.find_session(&hash('a'), at(99)).await.unwrap();
    assert_eq!(found, Some((one.clone(), ada.clone())));
    assert_eq!(store.find_session(&hash('a'), at(100)).await.unwrap(), None, "its time is over");
    assert_eq!(store.find_session(&hash('x'), at(1)).await.unwrap(), None);
    store.touch_session(ada.id, one.id, at(50)).await.unwrap();
    store.touch_session(ada.id, one.id, at(40)).await.unwrap();
    let listed = store.list_sessions(ada.id, at(60)).await.unwrap();
    let ids: Vec<SessionId> = listed.iter().map(|session| session.id).collect();
    assert_eq!((ids, listed[0].last_seen_at), (vec![one.id, three.id, two.id], at(50)));

    let four = session(&ada, 3);
    let by = by_user(ada.id, 3);
    store.create_session(four.clone(), &hash('d'), Some(&hash('b')), by).await.unwrap();
    assert_eq!(store.find_session(&hash('b'), at(4)).await.unwrap(), None, "replaced");
    let stranger = session(&bob, 4);
    let by = by_user(bob.id, 4);
    store.create_session(stranger, &hash('e'), Some(&hash('a')), by).await.unwrap();
    assert!(store.find_session(&hash('a'), at(4)).await.unwrap().is_some(), "it is not his");
    assert!(!store.end_session(bob.id, one.id).await.unwrap(), "it is not his");
    assert!(store.end_session(ada.id, one.id).await.unwrap());
    assert_eq!(store.end_other_sessions(ada.id, Some(four.id)).await.unwrap(), 1);
    assert_eq!(store.list_sessions(ada.id, at(5)).await.unwrap().len(), 1);
    assert_eq!(store.forget_sessions_any_user(at(103), at(3)).await.unwrap(), 1);
    assert_eq!(store.forget_sessions_any_user(at(0), at(4)).await.unwrap(), 1, "unused");
    test.finish().await;
}

async fn a_changed_password_ends_sessions_and_links(test: TestStore) {
    let store = &test.store;
    let ada = made(&test, "ada@example.com").await;
    let [one, two] = [0, 1].map(|seconds| session(&ada, seconds));
    for (session, letter) in [(&one, 'a'), (&two, 'b')] {
        let by = by_user(ada.id, 0);
        store.create_session(session.clone(), &hash(letter), None, by).await.unwrap();
    }
    let link = token(&ada, Purpose::PasswordReset, 0);
    let written = store.create_token(link.clone(), &hash('t'), 1, None, at(-60)).await.unwrap();
    assert!(written);
    let soon = token(&ada, Purpose::PasswordReset, 30);
    let second = store.create_token(soon, &hash('u'), 1, None, at(-30)).await.unwrap();
    assert!(!second, "a link was sent a moment ago");
    let found = store.find_token(&hash('t'), at(99)).await.unwrap();
    assert_eq!(found, Some(link.clone()));
    let change = |hash: &str, keep, token| PasswordChange {
        user_id: ada.id,
        hash: hash.to_owned(),
        keep,
        token,
        mail: mail(&ada, 2),
    };
    store.set_password(change("new", Some(two.id), None)).await.unwrap().unwrap();
    assert_eq!(store.list_sessions(ada.id, at(3)).await.unwrap().len(), 1);
    assert_eq!(store.find_token(&hash('t'), at(3)).await.unwrap(), None, "used up");
    let login = store.find_login(&ada.email).await.unwrap().unwrap();
    assert_eq!(login.password_hash.as_deref(), Some("new"));
    let refused = store.set_password(change("newer", None, Some(link.id))).await.unwrap();
    assert_eq!(refused, Err(UserRefusal::TokenSpent));
    let login = store.find_login(&ada.email).await.unwrap().unwrap();
    assert_eq!(login.password_hash.as_deref(), Some("new"), "nothing was changed");
    test.finish().await;
}

async fn an_address_changes_with_its_link_once(test: TestStore) {
    let store = &test.store;
    let (ada, bob) = (made(&test, "ada@example.com").await, made(&test, "bob@example.com").await);
    let to = |email: &str| Purpose::EmailChange(Email::parse(email).unwrap());
    let taken = token(&ada, to("bob@example.com"), 0);
    store.create_token(taken.clone(), &hash('a'), 1, None, at(-60)).await.unwrap();
    let refused = store.change_email(&taken, mail(&ada, 1), by_user(ada.id, 1)).await.unwrap();
    assert_eq!(refused, Err(UserRefusal::EmailTaken));
    let link = token(&ada, to("countess@example.com"), 2);
    assert!(store.create_token(link.clone(), &hash('b'), 1, None, at(0)).await.unwrap());
    assert_eq!(store.find_token(&hash('a'), at(3)).await.unwrap(), None, "replaced");
    store.change_email(&link, mail(&ada, 3), by_user(ada.id, 3)).await.unwrap().unwrap();
    let again = store.change_email(&link, mail(&ada, 4), by_user(ada.id, 4)).await.unwrap();
    assert_eq!(again, Err(UserRefusal::TokenSpent));
    let found = store.find_user(ada.id).await.unwrap().unwrap();
    assert_eq!(found.email.as_str(), "countess@example.com");
    let own = store.list_memberships(ada.id).await.unwrap().remove(0);
    assert_eq!(own.account.email.as_deref(), Some("countess@example.com"));
    assert_eq!(store.find_user(bob.id).await.unwrap().unwrap().email, bob.email);
    test.finish().await;
}

async fn codes_can_be_tried_so_often(test: TestStore) {
    let store = &test.store;
    let ada = made(&test, "ada@example.com").await;
    let code = token(&ada, Purpose::UserDeletion, 0);
    store.create_token(code.clone(), &hash('a'), 2, None, at(-60)).await.unwrap();
    let attempt =
        async |seconds| store.try_code(ada.id, &Purpose::UserDeletion, at(seconds)).await.unwrap();
    assert_eq!(attempt(100).await, None, "its time is over");
    assert_eq!(attempt(1).await, Some((code.id, hash('a'))));
    assert_eq!(attempt(2).await, Some((code.id, hash('a'))));
    assert_eq!(attempt(3).await, None);
    let other = Purpose::Transfer(AccountId(SystemIds.next()));
    assert_eq!(store.try_code(ada.id, &other, at(1)).await.unwrap(), None);
    assert_eq!(store.forget_tokens_any_user(at(99)).await.unwrap(), 0);
    assert_eq!(store.forget_tokens_any_user(at(100)).await.unwrap(), 1);
    test.finish().await;
}

async fn the_last_operator_stays(test: TestStore) {
    let store = &test.store;
    let (ada, bob) = (made(&test, "ada@example.com").await, made(&test, "bob@example.com").await);
    store.set_operator(ada.id, true, test.act()).await.unwrap().unwrap();
    let refused = store.set_operator(ada.id, false, test.act()).await.unwrap();
    assert_eq!(refused, Err(UserRefusal::LastOperator));
    let code = token(&ada, Purpose::UserDeletion, 0);
    store.create_token(code.clone(), &hash('a'), 5, None, at(-60)).await.unwrap();
    let refused = store.delete_user(ada.id, code.id, at(1)).await.unwrap();
    assert_eq!(refused, Err(UserRefusal::LastOperator));
    store.set_operator(bob.id, true, test.act()).await.unwrap().unwrap();
    // Of two that step down at once, one stays.
    let both = [ada.id, bob.id].map(|id| store.set_operator(id, false, test.act()));
    let done = join_all(both).await.into_iter().filter(|it| it.as_ref().unwrap().is_ok()).count();
    assert_eq!(done, 1);
    test.finish().await;
}

async fn who_is_deleted_leaves_no_name_and_no_way_in(test: TestStore) {
    let store = &test.store;
    let ada = made(&test, "ada@example.com").await;
    let own = store.list_memberships(ada.id).await.unwrap().remove(0).account;
    let by = by_user(ada.id, 0);
    store.create_session(session(&ada, 0), &hash('s'), None, by).await.unwrap();
    let code = token(&ada, Purpose::UserDeletion, 0);
    store.create_token(code.clone(), &hash('a'), 5, None, at(-60)).await.unwrap();
    let late = store.delete_user(ada.id, code.id, at(100)).await.unwrap();
    assert_eq!(late, Err(UserRefusal::TokenSpent));
    store.delete_user(ada.id, code.id, at(1)).await.unwrap().unwrap();
    assert_eq!(store.find_session(&hash('s'), at(1)).await.unwrap(), None);
    assert_eq!(store.find_user(ada.id).await.unwrap(), None);
    assert_eq!(store.find_account(own.id).await.unwrap(), None);
    assert_eq!(test.ledger(own.id).await, ["add 1.000 1.000"], "the ledger stays");
    let again = made(&test, "ada@example.com").await;
    assert_ne!(again.id, ada.id, "the address is free");
    test.finish().await;
}
