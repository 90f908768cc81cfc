//! The operator's console: who is let in, what is done there, and that it is written down.

use reqwest::StatusCode;
use serde_json::json;

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::page::Page;
use crate::support::people::Person;
use crate::support::wait;

on_both!(
    only_operators_find_the_console,
    the_overview_shows_what_the_metrics_know,
    plan_credit_and_suspension_are_changed_and_written_down,
    operators_are_made_and_sessions_end,
    the_command_line_writes_into_the_same_log,
);

const ACCOUNTS: &str = "/operator/accounts";
const USERS: &str = "/operator/users";
const AUDIT: &str = "/operator/audit";
const BEN: &str = "0198c0de-0000-7000-8000-0000000000b1";
const ADA: &str = "0198c0de-0000-7000-8000-0000000000a1";

async fn only_operators_find_the_console(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (team, _) = app.account("5");
    let (ada, ben) = Person::ada_and_ben(&app).await;
    let account = format!("{ACCOUNTS}/{team}");
    for path in ["/operator", "/operator/live", ACCOUNTS, &account, USERS, AUDIT] {
        assert_eq!(ben.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/operator", ACCOUNTS, &account, USERS, AUDIT] {
        let shown = ada.get(path).await;
        assert_eq!(shown.status, StatusCode::OK, "{path}");
        assert!(shown.text.len() < 100_000, "{path} weighs {}", shown.text.len());
    }
    let acts = ["plan", "credit", "suspend", "resume"].map(|act| format!("{account}/{act}"));
    let people = ["operator", "sessions"].map(|act| format!("{USERS}/{BEN}/{act}"));
    let fields = [
        ("plan", "free"),
        ("amount", "5"),
        ("description", "x"),
        ("key", "k"),
        ("reason", "because"),
        ("is", "true"),
    ];
    for path in acts.iter().chain(&people) {
        let refused = ben.post("/home/paper-lab/api-keys", path, &fields).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{path}");
        let forged = ada.post_as_it_is(path, &fields).await;
        assert_eq!(forged.status, StatusCode::FORBIDDEN, "{path} without what our pages know");
    }
    assert!(ada.get("/home/personal/api-keys").await.has("href=\"/operator\""));
    assert!(!ben.get("/home/paper-lab/api-keys").await.has("href=\"/operator\""));
    assert!(ada.get(&format!("{ACCOUNTS}/{BEN}")).await.status == StatusCode::NOT_FOUND);
    let log = ada.get(AUDIT).await;
    assert_eq!(log.text.matches("data-field=\"action\"").count(), 1, "{}", log.text);
    assert!(log.has("account.created"), "by the command line, and nothing since");
}

async fn the_overview_shows_what_the_metrics_know(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ada, _) = Person::ada_and_ben(&app).await;
    assert!(ada.get("/operator").await.has("Nothing is in flight."));
    let slow = json!({ "generation_sandbox_latency_ms": 600_000 });
    let id = app.generate("sandbox/polling", slow).await.generation_id();
    let shown = wait::until("it is in flight", async || {
        Some(ada.get("/operator").await).filter(|page| page.has(">processing</th>"))
    })
    .await;
    for text in [
        "Generation actors",
        "Webhook endpoint actors",
        "Units of work in a commit",
        "sandbox_polling",
        "held by this node",
        match backend {
            Backend::Sqlite => "SQLite",
            Backend::Postgres => "PostgreSQL",
        },
    ] {
        assert!(shown.has(text), "{text} is not in {}", shown.text);
    }
    let alive = "<dt>alive</dt><dd>1</dd>";
    assert!(shown.has(alive), "{}", shown.text);
    let version = |page: &Page| {
        page.text.split("data-version=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    app.ask(app.post(&format!("/v1/content/generation/cancel/{id}"))).await.data();
    wait::until("the page is another", async || {
        let now = ada.get("/operator").await;
        (version(&now) != version(&shown) && now.has("Nothing is in flight.")).then_some(())
    })
    .await;
}

async fn plan_credit_and_suspension_are_changed_and_written_down(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (team, key) = app.account("5");
    let (ada, ben) = Person::ada_and_ben(&app).await;
    let page = format!("{ACCOUNTS}/{team}");
    let found = ada.get(&format!("{ACCOUNTS}?q=PAPER")).await;
    assert!(found.has(&page) && !found.has(&app.account_id), "{}", found.text);
    assert!(ada.get(&format!("{ACCOUNTS}?q={team}")).await.has(&page));
    assert!(ada.get(&format!("{ACCOUNTS}?q=rocket")).await.has("No results found"));

    let plan = format!("{page}/plan");
    let unexplained = [("plan", "free"), ("reason", " ")];
    let refused = ada.post(&page, &plan, &unexplained).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.has("id=\"reason-error\""), "{}", refused.text);
    let bad = ada.post(&page, &plan, &[("plan", "gold"), ("reason", "x")]).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let changed = ada.post(&page, &plan, &[("plan", "scale"), ("reason", "A sale")]).await;
    assert!(changed.flash().contains("Plan changed"), "{changed:?}");
    assert_eq!(app.cli(&["account", "show", "--id", &team])["account_plan"], "scale");

    let dialog = format!("{page}?dialog=credit");
    let once = ada.get(&dialog).await.value("key").to_owned();
    let credit = format!("{page}/credit");
    let grant = |amount: &'static str| {
        [("amount", amount), ("description", "Courtesy"), ("reason", "An outage")]
    };
    for (amount, problem) in [("1.0001", "at most three decimals"), ("0", "Must be more than 0.")] {
        let fields = [&grant(amount)[..], &[("key", "x")]].concat();
        let refused = ada.post(&page, &credit, &fields).await;
        assert!(refused.has(problem) && refused.value("description") == "Courtesy", "{refused:?}");
    }
    for _ in 0..2 {
        let fields = [&grant("2.500")[..], &[("key", once.as_str())]].concat();
        assert!(ada.post(&page, &credit, &fields).await.flash().contains("2.500 granted"));
    }
    let ledger = app.ledger(&team);
    assert_eq!(ledger.len(), 2, "however often the form is sent");
    assert_eq!(
        (&ledger[1]["balance_after"], &ledger[1]["description"]),
        (&json!(7.5), &json!("Courtesy"))
    );

    let ask = async || app.client.get(format!("{}/v1/status", app.url)).bearer_auth(&key).send();
    assert_eq!(ask().await.await.unwrap().status(), 200);
    let suspend = format!("{page}/suspend");
    let done = ada.post(&page, &suspend, &[("reason", "A chargeback")]).await;
    assert!(done.flash().contains("Account suspended"), "{done:?}");
    let refused = wait::until("its keys are refused", async || {
        let answer = app.ask(app.get_as(&key, "/v1/status")).await;
        (answer.status == 403).then_some(answer)
    })
    .await;
    assert_eq!(refused.code(), "BSE1003");
    assert_eq!(refused.body["error"]["details"]["reason"], "The account is suspended.");
    assert_eq!(app.get("/v1/status").send().await.unwrap().status(), 200, "nobody else's");
    assert!(ben.get("/home/paper-lab/billing").await.has("Suspended"));
    assert!(ada.get(&page).await.has("End suspension"));
    ada.post(&page, &format!("{page}/resume"), &[("reason", "Settled")]).await;
    wait::until("its keys work again", async || {
        let answer = app.get_as(&key, "/v1/status").send().await.unwrap();
        (answer.status() == 200).then_some(())
    })
    .await;

    let log = ada.get(&format!("{AUDIT}?account={team}")).await;
    for (action, reason) in [
        ("account.plan_changed", "A sale"),
        ("credit.granted", "An outage"),
        ("account.suspended", "A chargeback"),
        ("account.resumed", "Settled"),
    ] {
        assert_eq!(log.text.matches(&format!("<code>{action}</code>")).count(), 1, "{action}");
        assert!(log.has(reason) && log.has("ada@example.com"), "{}", log.text);
    }
    let found = ada.get(&format!("{AUDIT}?q=chargeback")).await;
    assert!(found.has("account.suspended") && !found.has("credit.granted"));
    assert!(!ada.get(&format!("{AUDIT}?account={}", app.account_id)).await.has("An outage"));
    // Members are told what happened, not why.
    assert!(!ben.get("/home/paper-lab/billing").await.has("chargeback"));
}

async fn operators_are_made_and_sessions_end(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.account("5");
    let (ada, ben) = Person::ada_and_ben(&app).await;
    let found = ada.get(&format!("{USERS}?q=ben@")).await;
    assert!(found.has("ben@example.com") && !found.has("title=\"ada@example.com\""));
    let dialog = ada.get(&format!("{USERS}?dialog=operator&id={ADA}")).await;
    assert!(dialog.has("Revoke operator?"));
    let demote = format!("{USERS}/{ADA}/operator");
    let last = ada.post(USERS, &demote, &[("is", "false"), ("reason", "Off")]).await;
    assert_eq!(last.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(last.has("This is the last operator of the server."), "{}", last.text);
    let promote = format!("{USERS}/{BEN}/operator");
    let silent = ada.post(USERS, &promote, &[("is", "true"), ("reason", "")]).await;
    assert!(silent.has("id=\"reason-error\""));
    assert_eq!(ben.get("/operator").await.status, StatusCode::NOT_FOUND);
    ada.post(USERS, &promote, &[("is", "true"), ("reason", "A holiday")]).await;
    assert_eq!(ben.get("/operator").await.status, StatusCode::OK);
    let end = format!("{USERS}/{BEN}/sessions");
    let ended = ada.post(USERS, &end, &[("reason", "A lost laptop")]).await;
    assert!(ended.flash().contains("1 browser was signed out"), "{ended:?}");
    assert_eq!(ben.get("/operator").await.status, StatusCode::SEE_OTHER);
    let log = ada.get(AUDIT).await;
    for text in ["user.operator_granted", "user.sessions_ended", "A lost laptop"] {
        assert!(log.has(text), "{text}");
    }
}

async fn the_command_line_writes_into_the_same_log(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (team, _) = app.account("5");
    let (ada, _) = Person::ada_and_ben(&app).await;
    let id = ["--id", team.as_str()];
    let line = |words: &[&str]| app.cli(&[&["account"], words].concat());
    line(&[&["update"], &id[..], &["--plan", "free", "--reason", "A downgrade"]].concat());
    line(&[&["suspend"], &id[..], &["--reason", "A chargeback"]].concat());
    assert!(line(&[&["show"], &id[..]].concat())["account_suspended_at"].is_string());
    line(&[&["resume"], &id[..]].concat());
    line(&[&["alerts"], &id[..], &["--threshold", "2"]].concat());
    assert_ne!(app.type_line(&["account", "update", "--id", &team]).code, 0, "nothing to change");
    let (ok, _) = app.try_cli(&["account", "suspend", "--id", BEN]);
    assert!(!ok, "nobody's");
    let log = ada.get(&format!("{AUDIT}?account={team}")).await;
    for text in [
        "account.created",
        "account.plan_changed",
        "A downgrade",
        "account.suspended",
        "account.resumed",
        "account.alerts_changed",
        "title=\"cli\"",
    ] {
        assert!(log.has(text), "{text} is not in {}", log.text);
    }
}
