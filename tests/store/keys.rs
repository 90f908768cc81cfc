//! API keys.

use std::net::IpAddr;

use actors::api_key::{ApiKey, KeyStatus, Preset, Rotation};
use actors::id::{AccountId, ApiKeyId};
use actors::ports::{IdSource, KeyRefusal, KeyStore};
use actors::spending::Spending;
use babysea::identity::{CreatedKey, IdentityError, NewKey, create_key, rotate_key};
use babysea::ids::SystemIds;
use futures_util::future::join_all;

use crate::support::{TestStore, at, by};

on_both!(
    a_key_is_stored_as_it_was_made,
    keys_that_share_a_prefix_are_all_found,
    a_key_of_nobody_is_refused,
    the_number_of_usable_keys_is_bounded,
    racing_new_keys_stay_within_the_bound,
    a_rotated_key_goes_on_for_its_grace_period,
    a_rotated_key_stays_in_its_region,
    of_two_rotations_at_once_one_wins,
    only_active_keys_are_rotated,
    a_revocation_counts_once,
    a_deleted_key_is_gone,
    the_latest_use_is_kept,
);

async fn key(test: &TestStore, account_id: AccountId) -> CreatedKey {
    create_key(&test.context, NewKey::full_access(account_id, "ci")).await.unwrap()
}

async fn find(test: &TestStore, id: ApiKeyId) -> Option<ApiKey> {
    test.store.find_key_any_account(id).await.unwrap().map(|found| found.key)
}

fn with_prefix(account_id: AccountId, prefix: &str) -> ApiKey {
    ApiKey {
        account_id,
        id: ApiKeyId(SystemIds.next()),
        name: "shared".to_owned(),
        prefix: prefix.to_owned(),
        hash: "hash".to_owned(),
        scopes: Preset::MonitorOnly.scopes().to_vec(),
        allowed_ips: Vec::new(),
        region: None,
        created_at: at(0),
        expires_at: None,
        rotated_at: None,
        revoked_at: None,
        last_used_at: None,
        spending: Spending::default(),
    }
}

async fn a_key_is_stored_as_it_was_made(test: TestStore) {
    let account_id = test.account("1").await;
    let ips: Vec<IpAddr> =
        ["2001:db8::1", "::ffff:192.0.2.1", "192.0.2.1"].map(|text| text.parse().unwrap()).to_vec();
    let new = NewKey {
        account_id,
        name: "ci".to_owned(),
        scopes: Preset::GenerateOnly.scopes().to_vec(),
        allowed_ips: ips,
        expires_at: Some(at(500)),
        monthly_limit: None,
    };
    let created = create_key(&test.context, new.clone()).await.unwrap();
    let stored = find(&test, created.key.id).await.unwrap();
    assert_eq!(stored, created.key);
    let shown: Vec<String> = stored.allowed_ips.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["192.0.2.1", "2001:db8::1"], "canonical, each once");
    assert!(bcrypt::non_truncating_verify(created.plain.expose(), &stored.hash).unwrap());
    assert_eq!(stored.prefix, &created.plain.expose()[..9]);
    let late = NewKey { expires_at: Some(at(0)), ..new.clone() };
    let refused = create_key(&test.context, late).await.unwrap_err();
    assert!(matches!(refused, IdentityError::Invalid { field: "the expiry date", .. }));
    let many = (0..51).map(|last| IpAddr::from([192, 0, 2, last])).collect();
    let refused = create_key(&test.context, NewKey { allowed_ips: many, ..new }).await.unwrap_err();
    assert!(matches!(refused, IdentityError::Invalid { field: "the IP allowlist", .. }));
    test.finish().await;
}

async fn keys_that_share_a_prefix_are_all_found(test: TestStore) {
    let (one, other) = (test.account("1").await, test.account("1").await);
    for account in [one, other, one] {
        let key = with_prefix(account, "bye_aaaaa");
        test.store.create_key(key, 10, by(0)).await.unwrap().unwrap();
    }
    test.store.create_key(with_prefix(one, "bye_aaaab"), 10, by(0)).await.unwrap().unwrap();
    let found = test.store.list_keys_by_prefix_any_account("bye_aaaaa").await.unwrap();
    let owners: Vec<AccountId> = found.iter().map(|found| found.key.account_id).collect();
    assert_eq!(owners, [one, other, one]);
    assert!(test.store.list_keys_by_prefix_any_account("bye_zzzzz").await.unwrap().is_empty());
    test.finish().await;
}

async fn a_key_of_nobody_is_refused(test: TestStore) {
    let key = with_prefix(AccountId(SystemIds.next()), "bye_aaaaa");
    let refused = test.store.create_key(key, 10, by(0)).await.unwrap();
    assert_eq!(refused, Err(KeyRefusal::UnknownAccount));
    test.finish().await;
}

async fn the_number_of_usable_keys_is_bounded(test: TestStore) {
    let account = test.account("1").await;
    let make = async |expires_at| {
        let key = ApiKey { expires_at, ..with_prefix(account, "bye_aaaaa") };
        let id = key.id;
        test.store.create_key(key, 2, by(0)).await.unwrap().map(|()| id)
    };
    let first = make(None).await.unwrap();
    make(Some(at(0))).await.unwrap();
    make(Some(at(1))).await.unwrap();
    assert_eq!(make(None).await, Err(KeyRefusal::TooMany(2)), "an expired key does not count");
    test.store.revoke_key(account, first, by(0)).await.unwrap();
    make(None).await.expect("nor does a revoked one");
    test.finish().await;
}

async fn racing_new_keys_stay_within_the_bound(test: TestStore) {
    let account = test.account("1").await;
    let racers =
        (0..12).map(|_| test.store.create_key(with_prefix(account, "bye_aaaaa"), 3, by(0)));
    let made = join_all(racers).await.into_iter().filter(|made| made.as_ref().unwrap().is_ok());
    assert_eq!(made.count(), 3);
    test.finish().await;
}

async fn a_rotated_key_goes_on_for_its_grace_period(test: TestStore) {
    let account = test.account("1").await;
    let old = key(&test, account).await;
    test.clock.set(at(10));
    let rotated = rotate_key(&test.context, account, old.key.id, 24).await.unwrap();
    let stored = find(&test, old.key.id).await.unwrap();
    assert_eq!(stored, rotated.keys.old);
    let end = at(10 + 24 * 3600);
    assert_eq!((stored.rotated_at, stored.expires_at), (Some(at(10)), Some(end)));
    assert_eq!(stored.status(at(11)), KeyStatus::Rotated);
    let new = find(&test, rotated.keys.new.id).await.unwrap();
    assert_eq!(new, rotated.keys.new);
    assert_eq!((new.expires_at, new.scopes), (None, old.key.scopes));
    assert!(bcrypt::non_truncating_verify(rotated.plain.expose(), &new.hash).unwrap());
    for hours in [0, 169] {
        let refused = rotate_key(&test.context, account, new.id, hours).await.unwrap_err();
        assert!(matches!(refused, IdentityError::Invalid { field: "the grace period", .. }));
    }
    test.finish().await;
}

async fn of_two_rotations_at_once_one_wins(test: TestStore) {
    let account = test.account("1").await;
    let old = key(&test, account).await;
    let racers = (0..8).map(|_| rotate_key(&test.context, account, old.key.id, 1));
    let won = join_all(racers).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
    assert_eq!(test.store.list_keys(account).await.unwrap().len(), 2);
    test.finish().await;
}

async fn a_rotated_key_stays_in_its_region(mut test: TestStore) {
    let account = test.account("1").await;
    let new = key(&test, account).await.key;
    assert_eq!(new.region.as_deref(), Some("us"));
    let old = with_prefix(account, "bye_aaaaa");
    test.store.create_key(old.clone(), 10, by(0)).await.unwrap().unwrap();
    assert_eq!(find(&test, old.id).await.unwrap().region, None);
    test.context.rules.region = "eu".to_owned();
    for (id, region) in [(new.id, "us"), (old.id, "eu")] {
        let rotated = rotate_key(&test.context, account, id, 1).await.unwrap().keys;
        let stored = find(&test, rotated.new.id).await.unwrap();
        assert_eq!(stored.region.as_deref(), Some(region));
        assert_eq!(find(&test, id).await.unwrap().region, rotated.old.region, "it is left alone");
    }
    test.finish().await;
}

async fn only_active_keys_are_rotated(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    let key = key(&test, account).await.key;
    let rotation = || Rotation {
        id: ApiKeyId(SystemIds.next()),
        prefix: "bye_bbbbb".to_owned(),
        hash: "hash".to_owned(),
        region: "eu".to_owned(),
        at: at(20),
        grace_until: at(30),
    };
    let rotate =
        async |account, id| test.store.rotate_key(account, id, rotation(), by(0)).await.unwrap();
    assert_eq!(rotate(other, key.id).await, Err(KeyRefusal::UnknownKey), "it is not theirs");
    rotate(account, key.id).await.unwrap();
    assert_eq!(rotate(account, key.id).await, Err(KeyRefusal::NotActive(KeyStatus::Rotated)));
    test.store.revoke_key(account, key.id, by(21)).await.unwrap();
    assert_eq!(rotate(account, key.id).await, Err(KeyRefusal::NotActive(KeyStatus::Revoked)));
    test.finish().await;
}

async fn a_revocation_counts_once(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    let id = key(&test, account).await.key.id;
    assert!(!test.store.revoke_key(other, id, by(5)).await.unwrap(), "it is not theirs");
    assert!(test.store.revoke_key(account, id, by(5)).await.unwrap());
    assert!(test.store.revoke_key(account, id, by(9)).await.unwrap());
    assert_eq!(find(&test, id).await.unwrap().revoked_at, Some(at(5)));
    let nothing = ApiKeyId(SystemIds.next());
    assert!(!test.store.revoke_key(account, nothing, by(5)).await.unwrap());
    test.finish().await;
}

async fn a_deleted_key_is_gone(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    let id = key(&test, account).await.key.id;
    assert!(!test.store.delete_key(other, id, by(0)).await.unwrap(), "it is not theirs");
    assert!(test.store.delete_key(account, id, by(0)).await.unwrap());
    assert!(find(&test, id).await.is_none());
    assert!(!test.store.delete_key(account, id, by(0)).await.unwrap());
    test.finish().await;
}

async fn the_latest_use_is_kept(test: TestStore) {
    let account = test.account("1").await;
    let (one, other) = (key(&test, account).await.key.id, key(&test, account).await.key.id);
    let gone = ApiKeyId(SystemIds.next());
    let used = vec![(other, at(7)), (gone, at(8)), (one, at(9))];
    test.store.touch_keys(used).await.unwrap();
    test.store.touch_keys(vec![(one, at(8)), (other, at(8))]).await.unwrap();
    test.store.touch_keys(Vec::new()).await.unwrap();
    let last = async |id| find(&test, id).await.unwrap().last_used_at;
    assert_eq!((last(one).await, last(other).await), (Some(at(9)), Some(at(8))));
    test.finish().await;
}
