//! Accounts, grants and the first start.

use actors::account::{AccountKind, Plan};
use actors::api_key::{KeyStatus, Scope};
use actors::id::AccountId;
use actors::ledger::EntryKind;
use actors::money::Credits;
use actors::ports::{AccountStore, Grant, GrantRefusal, IdSource, KeyStore};
use babysea::identity::{
    IdentityError, NewAccount, NewGrant, add_credit, bootstrap, create_account,
};
use babysea::ids::SystemIds;
use futures_util::future::join_all;

use crate::support::{TestStore, at, credits};

on_both!(
    a_new_account_starts_with_the_welcome_credit_or_what_is_given,
    accounts_are_listed_in_pages,
    a_grant_happens_once,
    concurrent_grants_under_one_key_happen_once,
    a_grant_is_refused_for_good_reasons,
    grants_and_reserves_at_the_same_time_all_count,
    a_ledger_is_read_in_pages,
    the_first_start_makes_one_account_however_many_start,
);

fn studio(credits: Option<Credits>) -> NewAccount {
    let email = Some("ops@example.com".to_owned());
    let (kind, plan) = (AccountKind::Team, Plan::Scale);
    NewAccount { name: " Studio ".to_owned(), kind, plan, email, credits }
}

async fn a_new_account_starts_with_the_welcome_credit_or_what_is_given(test: TestStore) {
    let cases = [
        (None, "1.000", &["add 1.000 1.000"][..]),
        (Some("25.500"), "25.500", &["add 25.500 25.500"][..]),
        (Some("0"), "0.000", &[][..]),
    ];
    for (given, balance, entries) in cases {
        let account = create_account(&test.context, studio(given.map(credits))).await.unwrap();
        assert_eq!(account.balance.to_string(), balance);
        assert_eq!(account.name, "Studio");
        assert_eq!(test.store.find_account(account.id).await.unwrap().unwrap(), account);
        assert_eq!(test.ledger(account.id).await, entries);
    }
    let mut unnamed = studio(None);
    unnamed.name = " ".to_owned();
    let refused = create_account(&test.context, unnamed).await.unwrap_err();
    assert!(matches!(refused, IdentityError::Invalid { field: "the name", .. }), "{refused}");
    test.finish().await;
}

async fn accounts_are_listed_in_pages(test: TestStore) {
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(test.account("1").await);
    }
    let mut listed: Vec<AccountId> = Vec::new();
    loop {
        let page = test.store.list_accounts(listed.last().copied(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page.iter().map(|account| account.id));
    }
    assert_eq!(listed, made, "oldest first");
    test.finish().await;
}

fn grant(amount: &str, key: &str) -> Grant {
    let description = "An order".to_owned();
    Grant { amount: credits(amount), key: key.to_owned(), description, at: at(5) }
}

async fn a_grant_happens_once(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    let first =
        test.store.grant(account, grant("2.5", "order:1"), test.act()).await.unwrap().unwrap();
    assert_eq!((first.kind, first.seq), (EntryKind::Add, 2));
    assert_eq!(first.balance_after.to_string(), "3.500");
    let again =
        test.store.grant(account, grant("2.5", "order:1"), test.act()).await.unwrap().unwrap();
    assert_eq!(again, first);
    for (account, amount) in [(account, "2.501"), (other, "2.5")] {
        let refused =
            test.store.grant(account, grant(amount, "order:1"), test.act()).await.unwrap();
        assert_eq!(refused, Err(GrantRefusal::KeyConflict));
    }
    assert_eq!(test.balance(account).await.to_string(), "3.500");
    assert_eq!(test.balance(other).await.to_string(), "1.000");
    test.finish().await;
}

async fn concurrent_grants_under_one_key_happen_once(test: TestStore) {
    let (account, other) = (test.account("1").await, test.account("1").await);
    let racers = (0..20).map(|racer| {
        let account = if racer % 2 == 0 { account } else { other };
        test.store.grant(account, grant("1", "order:2"), test.act())
    });
    let answers: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    let granted: Vec<_> = answers.iter().flatten().collect();
    assert_eq!(granted.len(), 10, "one account has it, each time the same entry");
    assert!(granted.iter().all(|entry| *entry == granted[0]));
    let both = [test.balance(account).await, test.balance(other).await];
    assert_eq!(both.iter().map(|balance| balance.thousandths()).sum::<i64>(), 3000);
    test.finish().await;
}

async fn a_grant_is_refused_for_good_reasons(test: TestStore) {
    let nobody = AccountId(SystemIds.next());
    let refused = test.store.grant(nobody, grant("1", "order:3"), test.act()).await.unwrap();
    assert_eq!(refused, Err(GrantRefusal::UnknownAccount));
    let account = test.account("9999999.999").await;
    let refused = test.store.grant(account, grant("0.001", "order:4"), test.act()).await.unwrap();
    assert_eq!(refused, Err(GrantRefusal::TooLarge));
    let nothing = NewGrant {
        account_id: account,
        amount: Credits::ZERO,
        key: "order:5".to_owned(),
        description: "x".to_owned(),
        reason: String::new(),
    };
    let nothing = add_credit(&test.context, nothing).await;
    assert!(matches!(nothing, Err(IdentityError::Invalid { field: "the amount", .. })));
    assert_eq!(test.ledger(account).await.len(), 1);
    test.finish().await;
}

async fn grants_and_reserves_at_the_same_time_all_count(test: TestStore) {
    let account = test.account("10").await;
    let grants = join_all((0..20).map(|number| {
        let grant = grant("0.5", &format!("order:{number}"));
        test.store.grant(account, grant, test.act())
    }));
    let accepts = join_all((0..20).map(|_| test.accepted(account)));
    let (grants, _) = tokio::join!(grants, accepts);
    assert!(grants.into_iter().all(|grant| grant.unwrap().is_ok()));
    assert_eq!(test.balance(account).await.to_string(), "18.000");
    test.finish().await;
}

async fn a_ledger_is_read_in_pages(test: TestStore) {
    let account = test.account("1").await;
    for number in 0..4 {
        test.store
            .grant(account, grant("1", &format!("page:{number}")), test.act())
            .await
            .unwrap()
            .unwrap();
    }
    let mut seqs = Vec::new();
    loop {
        let after = seqs.last().copied().unwrap_or_default();
        let page = test.store.list_entries(account, after, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        seqs.extend(page.iter().map(|entry| entry.seq));
    }
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    test.finish().await;
}

async fn the_first_start_makes_one_account_however_many_start(test: TestStore) {
    let starts = join_all((0..8).map(|_| bootstrap(&test.context))).await;
    let made: Vec<_> = starts.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(made.len(), 1, "one process prints the key");
    let accounts = test.store.list_accounts(None, 10).await.unwrap();
    assert_eq!(accounts.len(), 1);
    let account = &accounts[0];
    assert_eq!((account.kind, account.plan), (AccountKind::Personal, Plan::Enterprise));
    assert_eq!((account.name.as_str(), account.balance), ("Personal", credits("1")));
    let keys = test.store.list_keys(account.id).await.unwrap();
    assert_eq!(keys, [made[0].key.clone()]);
    assert_eq!(
        (keys[0].status(at(0)), keys[0].scopes.as_slice()),
        (KeyStatus::Active, &Scope::ALL[..])
    );
    assert!(bootstrap(&test.context).await.unwrap().is_none());
    test.finish().await;
}
