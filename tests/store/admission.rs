//! Who is let in: caps, monthly limits of keys, and requests that happen once.

use std::collections::BTreeSet;

use actors::account::{Account, AccountKind, Plan};
use actors::batch::{AcceptRefusal, Advance};
use actors::generation::{AskedBy, Event, Generation, NewAttempt, NewGeneration};
use actors::id::{AccountId, ApiKeyId, GenerationId};
use actors::idempotency::{Answer, Claim, Conclusion, RecordKey};
use actors::money::Credits;
use actors::ports::{AccountStore, GenerationStore, Grant, IdSource, IdempotencyStore, KeyStore};
use actors::spending::Month;
use babysea::identity::{NewKey, create_key};
use babysea::ids::SystemIds;
use chrono::TimeDelta;
use futures_util::future::join_all;
use providers::MediaKind;

use crate::support::{TestStore, at, attempt, by, completed, credits, new, taken};

on_both!(
    racers_stay_within_the_cap_of_their_plan,
    an_end_makes_room,
    a_thousand_claims_of_one_key_make_one_generation,
    what_was_answered_is_remembered_and_can_be_forgotten,
    an_expired_key_can_be_claimed_anew_and_is_cleaned_up,
    a_conclusion_about_another_generation_changes_nothing,
    racers_stay_within_the_monthly_limit_of_their_key,
    a_refund_gives_back_to_the_key,
    a_limit_counts_what_the_month_has_seen,
    a_rotated_key_inherits_limit_and_spending,
);

async fn account_on(test: &TestStore, plan: Plan) -> AccountId {
    let account = Account {
        id: AccountId(SystemIds.next()),
        name: "capped".to_owned(),
        kind: AccountKind::Team,
        plan,
        email: None,
        failover_on_moderation: false,
        suspended_at: None,
        balance: Credits::ZERO,
        created_at: at(0),
    };
    let id = account.id;
    let grant = Grant {
        amount: credits("100"),
        key: format!("start:{id}"),
        description: "start".to_owned(),
        at: at(0),
    };
    test.store.create_account(account, Some(grant), test.act()).await.unwrap();
    id
}

fn fresh(account_id: AccountId) -> NewGeneration {
    new(account_id, GenerationId(SystemIds.next_at(at(1))))
}

async fn accept(test: &TestStore, new: NewGeneration) -> Result<Generation, AcceptRefusal> {
    test.store.accept(new, attempt()).await.unwrap()
}

async fn cancel(test: &TestStore, generation: &Generation) {
    let events = vec![Event::Canceled { at: at(3) }];
    let (account_id, id) = (generation.account_id, generation.id);
    test.store.advance(Advance { account_id, id, epoch: None, events }).await.unwrap().unwrap();
}

async fn racers_stay_within_the_cap_of_their_plan(test: TestStore) {
    let account = account_on(&test, Plan::Free).await;
    let racers = (0..100).map(|number| {
        let media = if number % 2 == 0 { MediaKind::Image } else { MediaKind::Video };
        accept(&test, NewGeneration { media, ..fresh(account) })
    });
    let answers = join_all(racers).await;
    let in_flight = |media| {
        answers
            .iter()
            .flatten()
            .filter(|generation: &&Generation| generation.media == media)
            .count()
    };
    assert_eq!((in_flight(MediaKind::Image), in_flight(MediaKind::Video)), (2, 1));
    let refused: BTreeSet<String> =
        answers.iter().filter_map(|answer| Some(answer.as_ref().err()?.to_string())).collect();
    let texts: Vec<&str> = refused.iter().map(String::as_str).collect();
    let expected =
        ["1 video generations are in flight already", "2 image generations are in flight already"];
    assert_eq!(texts, expected);
    test.finish().await;
}

async fn an_end_makes_room(test: TestStore) {
    let account = account_on(&test, Plan::Free).await;
    let first = accept(&test, fresh(account)).await.unwrap();
    let second = accept(&test, fresh(account)).await.unwrap();
    assert!(accept(&test, fresh(account)).await.is_err());
    cancel(&test, &first).await;
    accept(&test, fresh(account)).await.unwrap();
    assert!(accept(&test, fresh(account)).await.is_err());
    test.advance(&second, vec![taken(1), completed(1)]).await.unwrap();
    accept(&test, fresh(account)).await.unwrap();
    test.finish().await;
}

fn key(account_id: AccountId, text: &str) -> RecordKey {
    RecordKey { account_id, route: "image/lab/image".to_owned(), key: text.to_owned() }
}

fn claimed(account_id: AccountId, text: &str) -> NewGeneration {
    let claim = Claim { key: key(account_id, text), body_sha256: "a".repeat(64) };
    NewGeneration { claim: Some(claim), ..fresh(account_id) }
}

async fn a_thousand_claims_of_one_key_make_one_generation(test: TestStore) {
    let account = test.account("100").await;
    let racers = (0..1000).map(|_| accept(&test, claimed(account, "once")));
    let answers = join_all(racers).await;
    let made: Vec<_> = answers.iter().flatten().map(|generation| generation.id).collect();
    assert_eq!(made.len(), 1);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        let AcceptRefusal::Claimed(record) = refused else { panic!("{refused}") };
        assert_eq!(record.generation_id, made[0]);
    }
    let record = test.store.find_record(&key(account, "once")).await.unwrap().unwrap();
    assert_eq!((record.generation_id, record.answer), (made[0], None));
    let stranger = test.account("1").await;
    accept(&test, claimed(stranger, "once")).await.unwrap();
    test.finish().await;
}

async fn what_was_answered_is_remembered_and_can_be_forgotten(test: TestStore) {
    let account = test.account("1").await;
    let generation = accept(&test, claimed(account, "k")).await.unwrap();
    let conclude = |answer| {
        let conclusion =
            Conclusion { key: key(account, "k"), generation_id: generation.id, answer };
        test.store.conclude(conclusion)
    };
    for answer in [Answer::Success("{\"a\": \"\u{e4}\"}".to_owned()), Answer::Failure] {
        conclude(Some(answer.clone())).await.unwrap();
        let found = test.store.find_record(&key(account, "k")).await.unwrap().unwrap();
        assert_eq!(found.answer, Some(answer));
    }
    conclude(None).await.unwrap();
    conclude(None).await.unwrap();
    assert_eq!(test.store.find_record(&key(account, "k")).await.unwrap(), None);
    accept(&test, claimed(account, "k")).await.unwrap();
    test.finish().await;
}

async fn an_expired_key_can_be_claimed_anew_and_is_cleaned_up(test: TestStore) {
    let account = test.account("1").await;
    let first = accept(&test, claimed(account, "k")).await.unwrap();
    let day = TimeDelta::hours(24);
    let late = NewGeneration { created_at: first.created_at + day, ..claimed(account, "k") };
    let first_attempt = NewAttempt { at: late.created_at, ..attempt() };
    let second = test.store.accept(late, first_attempt).await.unwrap().unwrap();
    let found = test.store.find_record(&key(account, "k")).await.unwrap().unwrap();
    assert_eq!(found.generation_id, second.id);
    let expires_at = found.expires_at();
    let just_before = expires_at - TimeDelta::microseconds(1);
    let forget = |now| test.store.forget_expired_any_account(now, 10);
    assert_eq!(forget(just_before).await.unwrap(), 0);
    assert_eq!(forget(expires_at).await.unwrap(), 1);
    assert_eq!(test.store.find_record(&key(account, "k")).await.unwrap(), None);
    test.finish().await;
}

async fn a_conclusion_about_another_generation_changes_nothing(test: TestStore) {
    let account = test.account("1").await;
    let generation = accept(&test, claimed(account, "k")).await.unwrap();
    let other = GenerationId(SystemIds.next());
    let conclusion = Conclusion { key: key(account, "k"), generation_id: other, answer: None };
    test.store.conclude(conclusion).await.unwrap();
    let found = test.store.find_record(&key(account, "k")).await.unwrap().unwrap();
    assert_eq!(found.generation_id, generation.id);
    test.finish().await;
}

/// A key with this limit, and what asks with it in the month of `at(1)`.
async fn limited(test: &TestStore, account: AccountId, limit: &str) -> (ApiKeyId, AskedBy) {
    let monthly_limit = Some(credits(limit));
    let new = NewKey { monthly_limit, ..NewKey::full_access(account, "limited") };
    let key = create_key(&test.context, new).await.unwrap().key.id;
    (key, AskedBy { key: Some(key), month: Some(Month::of(at(1))) })
}

async fn spent(test: &TestStore, key: ApiKeyId) -> String {
    let key = test.store.find_key_any_account(key).await.unwrap().unwrap();
    key.key.spending.spent_in(Month::of(at(1))).to_string()
}

async fn racers_stay_within_the_monthly_limit_of_their_key(test: TestStore) {
    let account = test.account("100").await;
    let (key, asked_by) = limited(&test, account, "1").await;
    let racers = (0..100).map(|_| accept(&test, NewGeneration { asked_by, ..fresh(account) }));
    let answers = join_all(racers).await;
    assert_eq!(answers.iter().flatten().count(), 10);
    let refused = answers.into_iter().filter_map(Result::err);
    assert!(refused.into_iter().all(|it| matches!(it, AcceptRefusal::SpendLimit(_))));
    assert_eq!(spent(&test, key).await, "1.000");
    accept(&test, fresh(account)).await.unwrap();
    test.finish().await;
}

async fn a_refund_gives_back_to_the_key(test: TestStore) {
    let account = test.account("100").await;
    let (key, asked_by) = limited(&test, account, "0.2").await;
    let ask = || accept(&test, NewGeneration { asked_by, ..fresh(account) });
    let (first, second) = (ask().await.unwrap(), ask().await.unwrap());
    assert!(ask().await.is_err());
    cancel(&test, &first).await;
    assert_eq!(spent(&test, key).await, "0.100");
    test.advance(&second, vec![taken(1), completed(1)]).await.unwrap();
    assert_eq!(spent(&test, key).await, "0.100");
    ask().await.unwrap();
    assert_eq!(spent(&test, key).await, "0.200");
    test.store.delete_key(account, key, by(0)).await.unwrap();
    // What a deleted key has in flight still ends.
    let third = accept(&test, NewGeneration { asked_by, ..fresh(account) }).await.unwrap();
    assert_eq!(third.asked_by.month, None);
    cancel(&test, &third).await;
    test.finish().await;
}

async fn a_limit_counts_what_the_month_has_seen(test: TestStore) {
    let account = test.account("100").await;
    let new = NewKey::full_access(account, "later");
    let key = create_key(&test.context, new).await.unwrap().key.id;
    let asked_by = AskedBy { key: Some(key), month: Some(Month::of(at(1))) };
    let ask = || accept(&test, NewGeneration { asked_by, ..fresh(account) });
    let charged = ask().await.unwrap();
    test.advance(&charged, vec![taken(1), completed(1)]).await.unwrap();
    cancel(&test, &ask().await.unwrap()).await;
    ask().await.unwrap();
    let limit = |limit| test.store.limit_key(account, key, limit);
    assert!(limit(Some(credits("1"))).await.unwrap());
    assert_eq!(spent(&test, key).await, "0.200", "what was charged, and what is in flight");
    test.store.delete(account, charged.id).await.unwrap().unwrap();
    assert!(limit(Some(credits("0.2"))).await.unwrap());
    assert!(ask().await.is_err(), "a deletion gives nothing back");
    assert!(limit(None).await.unwrap());
    let stored = test.store.find_key_any_account(key).await.unwrap().unwrap();
    assert_eq!(stored.key.spending.limit, None);
    let stranger = test.account("1").await;
    assert!(!test.store.limit_key(stranger, key, None).await.unwrap());
    test.finish().await;
}

async fn a_rotated_key_inherits_limit_and_spending(test: TestStore) {
    let account = test.account("100").await;
    let (key, asked_by) = limited(&test, account, "0.2").await;
    accept(&test, NewGeneration { asked_by, ..fresh(account) }).await.unwrap();
    let rotated = babysea::identity::rotate_key(&test.context, account, key, 24).await.unwrap();
    assert_eq!(spent(&test, rotated.keys.new.id).await, "0.100");
    assert_eq!(rotated.keys.new.spending.limit, Some(credits("0.2")));
    test.finish().await;
}
