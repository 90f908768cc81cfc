//! Credit: never more than there is, and every thousandth accounted for.

use serde_json::json;

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;

on_both!(
    two_hundred_at_once_against_credit_for_ten_are_ten,
    credit_is_added_once_for_each_key,
    the_ledger_sums_up_at_every_row,
    credit_that_comes_back_above_the_maximum_is_not_lost,
);

async fn two_hundred_at_once_against_credit_for_ten_are_ten(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (account, key) = app.account("0.010");
    let body = json!({ "generation_prompt": "ten", "generation_sandbox_latency_ms": 60000 });
    let submits = (0..200)
        .map(|_| app.ask(app.post_as(&key, "/v1/generate/image/sandbox/polling").json(&body)));
    let answers = futures_util::future::join_all(submits).await;
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    let refused =
        answers.iter().filter(|answer| answer.status == 402 && answer.code() == "BSE1004").count();
    assert_eq!((accepted, refused), (10, 190));
    let ledger = app.ledger(&account);
    assert_eq!(ledger.len(), 11);
    assert_eq!(ledger.last().unwrap()["balance_after"], 0.0);
}

async fn credit_is_added_once_for_each_key(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (account, _) = app.account("1.000");
    let add = |amount: &str, account: &str| {
        app.try_cli(&[
            "credit",
            "add",
            "--account",
            account,
            "--amount",
            amount,
            "--key",
            "order:1",
            "--description",
            "Pack",
        ])
    };
    assert!(add("10.000", &account).0);
    assert!(add("10.000", &account).0, "again is the same");
    assert!(!add("11.000", &account).0, "another amount is not");
    let (other, _) = app.account("1.000");
    assert!(!add("10.000", &other).0, "nor another account");
    let ledger = app.ledger(&account);
    let amounts: Vec<f64> = ledger.iter().map(|entry| entry["amount"].as_f64().unwrap()).collect();
    assert_eq!(amounts, [1.0, 10.0]);
}

async fn the_ledger_sums_up_at_every_row(backend: Backend) {
    let app = TestApp::start(backend).await;
    for outcome in ["succeed", "fail", "moderate", "rate_limit", "succeed"] {
        let fields = json!({ "generation_sandbox_outcome": outcome });
        app.generate("sandbox/inline", fields).await;
    }
    let (mut sum, mut seq) = (0, 0);
    for entry in app.ledger(&app.account_id) {
        let thousandths = |field: &str| (entry[field].as_f64().unwrap() * 1000.0).round() as i64;
        sum += thousandths("delta");
        seq += 1;
        assert_eq!(thousandths("balance_after"), sum);
        assert_eq!(entry["seq"], seq);
    }
    assert_eq!(sum, 998, "two of five were charged");
}

async fn credit_that_comes_back_above_the_maximum_is_not_lost(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (account, key) = app.account("9999999.999");
    // It fails after the command, which is a process to be started.
    let body = json!({ "generation_prompt": "back", "generation_sandbox_outcome": "fail",
        "generation_sandbox_latency_ms": 4500 });
    let failing = app.post_as(&key, "/v1/generate/image/sandbox/polling").json(&body);
    let id = app.ask(failing).await.generation_id();
    let (ok, _) = app.try_cli(&[
        "credit",
        "add",
        "--account",
        &account,
        "--amount",
        "0.001",
        "--key",
        "fill",
        "--description",
        "to the brim",
    ]);
    assert!(ok, "the reserved thousandth has made room");
    crate::support::wait::until("the refund is there", async || {
        (app.movements(&account, &id) == ["reserve", "refund"]).then_some(())
    })
    .await;
    assert_eq!(app.ledger(&account).last().unwrap()["balance_after"], 10_000_000.0);
    let body = json!({ "generation_prompt": "go on" });
    let next = app.post_as(&key, "/v1/generate/image/sandbox/inline").json(&body);
    assert_eq!(app.ask(next).await.status, 200);
}
