//! The operator's commands: what they print, what they end with, and what they change.

use std::process::Command;

use serde_json::{Value, json};
use sqlx::SqlitePool;
use tempfile::TempDir;

use crate::on_both;
use crate::support::app::{NewKey, TestApp};
use crate::support::database::Backend;
use crate::support::program::{Printed, babysea, run};
use crate::support::receiver::Receiver;

on_both!(
    every_command_prints_one_document_with_its_fields,
    a_refused_command_says_why_and_ends_with_1,
    a_line_that_makes_no_sense_ends_with_2,
    a_new_account_has_one_grant,
    a_key_is_listed_with_its_status,
    a_disabled_endpoint_is_told_nothing_and_a_deleted_one_is_gone,
    a_repeated_grant_is_the_first_one,
    a_long_ledger_is_listed_whole,
    text_is_for_people,
);

/// No id of anything.
const NOBODYS: &str = "0198c0de-7a10-7000-8000-00000000002a";

/// The members of a document, in its order.
fn members(document: &Value) -> Vec<&str> {
    document.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Sees to it that a document has at least these fields, and none of them null.
fn has(document: &Value, fields: &[&str]) {
    for field in fields {
        assert!(!document[field].is_null(), "{field} is missing: {document}");
    }
}

fn text<'a>(document: &'a Value, field: &str) -> &'a str {
    document[field].as_str().unwrap_or_else(|| panic!("{field}: {document}"))
}

/// Runs a line with `--json` before, within and after the command; all have to say the same.
/// For commands that change nothing.
fn everywhere(app: &TestApp, command: &[&str]) -> Value {
    let documents = (0..=command.len()).filter_map(|place| {
        // Between an option and its value is no place.
        let inside = place > 0 && command[place - 1].starts_with("--");
        let mut line = command.to_vec();
        line.insert(place, "--json");
        (!inside).then(|| app.type_line(&line))
    });
    let documents: Vec<Value> = documents
        .map(|printed| {
            assert_eq!((printed.code, printed.err.as_str()), (0, ""), "{command:?}");
            printed.json()
        })
        .collect();
    assert!(documents.windows(2).all(|pair| pair[0] == pair[1]), "{documents:#?}");
    documents[0].clone()
}

async fn every_command_prints_one_document_with_its_fields(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app.generate("sandbox/inline", json!({})).await.generation_id();
    let made = app.cli(&[
        "account",
        "create",
        "--name",
        "A b",
        "--kind",
        "personal",
        "--plan",
        "free",
        "--email",
        "a@b.example",
    ]);
    let account = text(&made, "account_id").to_owned();
    assert_eq!(made["account_email"], "a@b.example");
    let fields = ["account_id", "account_name", "account_kind", "account_plan", "credit_balance"];
    has(&made, &fields);
    let listed = everywhere(&app, &["account", "list"]);
    assert_eq!(listed["accounts"].as_array().unwrap().len(), 2);
    assert_eq!(everywhere(&app, &["account", "show", "--id", &account]), made);

    let printed = app.cli(&[
        "key",
        "create",
        "--account",
        &account,
        "--name",
        "k",
        "--preset",
        "generate_only",
        "--allow-ip",
        "192.0.2.1,192.0.2.2",
        "--expires-at",
        "2099-01-31T00:00:00Z",
    ]);
    has(&printed, &["apikey_id", "apikey", "apikey_prefix"]);
    assert_eq!(printed["allowed_ips"], json!(["192.0.2.1", "192.0.2.2"]));
    assert_eq!(printed["expires_at"], "2099-01-31T00:00:00.000Z");
    assert_eq!(text(&printed, "apikey")[..9], *text(&printed, "apikey_prefix"));
    let key = NewKey::of(&printed);
    has(&app.cli(&["key", "rotate", "--id", &key.id]), &["apikey_id", "apikey", "apikey_prefix"]);
    assert_eq!(app.cli(&["key", "revoke", "--id", &key.id])["apikey_id"], key.id);
    let listed = everywhere(&app, &["key", "list", "--account", &account]);
    assert_eq!(listed["apikeys"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&key.text[9..]), "the key is shown once");
    assert_eq!(app.cli(&["key", "delete", "--id", &key.id])["apikey_id"], key.id);

    let url = "https://8.8.8.8/hook";
    let printed = app.cli(&[
        "webhook",
        "create",
        "--account",
        &account,
        "--url",
        url,
        "--event",
        "generation.failed",
        "--event",
        "generation.started",
    ]);
    has(&printed, &["webhook_endpoint_id", "secret"]);
    assert_eq!(printed["events"], json!(["generation.started", "generation.failed"]));
    let listed = everywhere(&app, &["webhook", "list", "--account", &account]);
    let row = &listed["webhook_endpoints"][0];
    assert_eq!(row["webhook_endpoint_id"], printed["webhook_endpoint_id"]);
    assert_eq!((&row["url"], &row["status"]), (&json!(url), &json!("enabled")));
    assert!(!listed.to_string().contains(text(&printed, "secret")), "the secret is shown once");
    assert_eq!(app.cli(&["webhook", "list"]), listed, "without an account: those of all");

    let added = app.cli(&[
        "credit",
        "add",
        "--account",
        &account,
        "--amount",
        "2.5",
        "--key",
        "order:1",
        "--description",
        "Order 1",
    ]);
    assert_eq!((&added["amount"], &added["credit_balance"]), (&json!(2.5), &json!(3.5)));
    let ledger = everywhere(&app, &["ledger", "list", "--account", &app.account_id]);
    let reserve = &ledger["entries"][1];
    let of_entry =
        ["seq", "type", "amount", "delta", "balance_after", "generation_id", "model", "created_at"];
    has(reserve, &of_entry);
    assert_eq!((&reserve["type"], &reserve["delta"]), (&json!("reserve"), &json!(-0.001)));

    let shown = everywhere(&app, &["generation", "show", "--id", &id]);
    has(
        &shown,
        &[
            "generation_id",
            "account_id",
            "model_identifier",
            "generation_status",
            "amount",
            "created_at",
            "completed_at",
            "outputs",
            "attempts",
        ],
    );
    assert_eq!(shown["files_removed_at"], Value::Null);
    assert_eq!(shown["generation_status"], "succeeded");
    assert_eq!(shown["attempts"][0]["outcome"], "used");
    assert_eq!(members(&everywhere(&app, &["audit"])), ["ok", "findings", "checked"]);
    assert_eq!(everywhere(&app, &["migrate"])["migrated"], true);
    // The data directory and the database are taken anywhere, too.
    let directory = app.directory.path().to_str().unwrap();
    for line in [
        ["--data-dir", directory, "--database-url", &app.database_url, "account", "list"],
        ["account", "--data-dir", directory, "list", "--database-url", &app.database_url],
        ["account", "list", "--database-url", &app.database_url, "--data-dir", directory],
    ] {
        let printed = run(babysea(&[]).args(line).arg("--json"));
        assert_eq!(printed.json()["accounts"].as_array().unwrap().len(), 2, "{printed:?}");
    }
}

async fn a_refused_command_says_why_and_ends_with_1(backend: Backend) {
    let app = TestApp::start(backend).await;
    let account = app.account_id.as_str();
    let revoked = app.new_key("full_access", &[]).id;
    app.cli(&["key", "revoke", "--id", &revoked]);
    for line in [
        &["account", "show", "--id", NOBODYS][..],
        &["key", "create", "--account", NOBODYS, "--name", "a", "--preset", "full_access"],
        &["key", "create", "--account", account, "--name", "", "--preset", "full_access"],
        &[
            "key",
            "create",
            "--account",
            account,
            "--name",
            "a",
            "--preset",
            "full_access",
            "--expires-at",
            "2001-01-31T00:00:00Z",
        ],
        &["key", "rotate", "--id", NOBODYS],
        &["key", "rotate", "--id", &revoked],
        &["key", "revoke", "--id", NOBODYS],
        &["key", "delete", "--id", NOBODYS],
        &["key", "list", "--account", NOBODYS],
        &[
            "webhook",
            "create",
            "--account",
            NOBODYS,
            "--url",
            "https://8.8.8.8/",
            "--event",
            "generation.failed",
        ],
        &["webhook", "create", "--account", account, "--url", "http://169.254.169.254/"],
        &["webhook", "enable", "--id", NOBODYS],
        &["webhook", "disable", "--id", NOBODYS],
        &["webhook", "delete", "--id", NOBODYS],
        &["webhook", "list", "--account", NOBODYS],
        &[
            "credit",
            "add",
            "--account",
            NOBODYS,
            "--amount",
            "1",
            "--key",
            "a",
            "--description",
            "a",
        ],
        &[
            "credit",
            "add",
            "--account",
            account,
            "--amount",
            "0",
            "--key",
            "a",
            "--description",
            "a",
        ],
        &["ledger", "list", "--account", NOBODYS],
        &["generation", "show", "--id", NOBODYS],
    ] {
        let printed = app.type_line(line);
        assert_eq!((printed.code, printed.out.as_str()), (1, ""), "{line:?}: {printed:?}");
        assert!(printed.err.starts_with("error: ") && printed.err.lines().count() == 1);
        let as_json = app.type_line(&[&["--json"], line].concat());
        assert_eq!((as_json.code, as_json.err.as_str()), (1, ""), "{line:?}");
        let message = text(&as_json.json()["error"], "message").to_owned();
        assert_eq!(format!("error: {message}\n"), printed.err);
    }
    assert_eq!(app.ledger(account).len(), 1);
}

async fn a_line_that_makes_no_sense_ends_with_2(backend: Backend) {
    let app = TestApp::start(backend).await;
    for line in [
        &["acount", "list"][..],
        &["account"],
        &["account", "create", "--name", "a"],
        &["account", "create", "--name", "a", "--kind", "group", "--plan", "pro"],
        &["account", "create", "--name", "a", "--kind", "team", "--plan", "pro", "--credits", "x"],
        &["account", "show", "--id", "1"],
        &["key", "create", "--account", NOBODYS, "--name", "a", "--preset", "all"],
        &[
            "key",
            "create",
            "--account",
            NOBODYS,
            "--name",
            "a",
            "--preset",
            "read_only",
            "--allow-ip",
            "10.0.0.0/8",
        ],
        &["key", "rotate", "--id", NOBODYS, "--grace-hours", "0"],
        &["webhook", "create", "--account", NOBODYS, "--url", "https://a.b", "--event", "all"],
        &["credit", "add", "--account", NOBODYS, "--amount", "-1", "--key", "a"],
        &["audit", "--listen", "127.0.0.1:0"],
        &["--listen", "127.0.0.1:0", "audit"],
        &["audit", "--colour"],
    ] {
        let printed = app.type_line(line);
        assert_eq!((printed.code, printed.out.as_str()), (2, ""), "{line:?}: {printed:?}");
        assert!(printed.err.contains("--help") || printed.err.contains("Usage"), "{printed:?}");
        let as_json = app.type_line(&[line, &["--json"]].concat());
        assert_eq!(as_json.code, 2, "{line:?}");
        assert!(!text(&as_json.json()["error"], "message").is_empty());
    }
    for line in [&["--help"][..], &["--version"], &["key", "rotate", "--help"]] {
        let printed = app.type_line(line);
        assert_eq!((printed.code, printed.err.as_str()), (0, ""));
        assert!(!printed.out.is_empty());
    }
}

async fn a_new_account_has_one_grant(backend: Backend) {
    let app = TestApp::start(backend).await;
    let create = |more: &[&str]| {
        let line = ["account", "create", "--name", "A", "--kind", "team", "--plan", "starter"];
        let made = app.cli(&[&line, more].concat());
        let ledger = app.ledger(text(&made, "account_id"));
        let rows = ledger.iter().map(|entry| {
            assert_eq!((&entry["delta"], &entry["seq"]), (&entry["amount"], &json!(1)));
            (text(entry, "type").to_owned(), entry["amount"].as_f64().unwrap())
        });
        (made["credit_balance"].as_f64().unwrap(), rows.collect::<Vec<_>>())
    };
    assert_eq!(create(&[]), (1.0, vec![("add".to_owned(), 1.0)]));
    assert_eq!(create(&["--credits", "10.000"]), (10.0, vec![("add".to_owned(), 10.0)]));
    assert_eq!(create(&["--credits", "0.001"]), (0.001, vec![("add".to_owned(), 0.001)]));
    assert_eq!(create(&["--credits", "0"]), (0.0, vec![]));
}

async fn a_key_is_listed_with_its_status(backend: Backend) {
    let app = TestApp::start(backend).await;
    let active = app.new_key("full_access", &[]).id;
    let rotated = app.new_key("read_only", &[]).id;
    app.cli(&["key", "rotate", "--id", &rotated, "--grace-hours", "168"]);
    let revoked = app.new_key("full_access", &[]).id;
    app.cli(&["key", "revoke", "--id", &revoked]);
    let deleted = app.new_key("full_access", &[]).id;
    app.cli(&["key", "delete", "--id", &deleted]);
    let expired = app.new_key("full_access", &["--expires-at", &soon()]).id;
    let rows = || {
        let listed = app.cli(&["key", "list", "--account", &app.account_id]);
        listed["apikeys"].as_array().unwrap().clone()
    };
    let status = |id: &str| {
        let row = rows().into_iter().find(|row| row["apikey_id"] == id);
        row.map(|row| text(&row, "status").to_owned())
    };
    let expected = [(&active, "active"), (&rotated, "rotated"), (&revoked, "revoked")];
    for (id, expected) in expected {
        assert_eq!(status(id).as_deref(), Some(expected));
    }
    assert_eq!(status(&deleted), None);
    crate::support::wait::until("the key has expired", async || {
        (status(&expired).as_deref() == Some("expired")).then_some(())
    })
    .await;
    // Those of before, what replaced the rotated one, and the one of the first start.
    assert_eq!(rows().len(), 6);
    assert!(rows().iter().all(|row| text(row, "apikey_prefix").len() == 9));
}

#[expect(clippy::disallowed_methods, reason = "the other process goes by the real clock")]
fn soon() -> String {
    (chrono::Utc::now() + chrono::TimeDelta::seconds(5)).to_rfc3339()
}

async fn a_disabled_endpoint_is_told_nothing_and_a_deleted_one_is_gone(backend: Backend) {
    let app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    let made = app.cli(&[
        "webhook",
        "create",
        "--account",
        &app.account_id,
        "--url",
        &receiver.url,
        "--event",
        "generation.completed",
    ]);
    let id = text(&made, "webhook_endpoint_id");
    let rows = || {
        let listed = app.cli(&["webhook", "list", "--account", &app.account_id]);
        listed["webhook_endpoints"].as_array().unwrap().clone()
    };
    assert_eq!(app.cli(&["webhook", "disable", "--id", id])["status"], "disabled");
    assert_eq!(rows()[0]["status"], "disabled");
    app.generate("sandbox/inline", json!({})).await;
    assert!(receiver.received().is_empty());
    assert_eq!(app.cli(&["webhook", "enable", "--id", id])["status"], "enabled");
    assert_eq!(rows()[0]["status"], "enabled");
    let made = app.generate("sandbox/inline", json!({})).await.generation_id();
    receiver
        .wait_for("what came after is delivered", |one| {
            one.json()["webhook_data"]["generation_id"] == made
        })
        .await;
    app.cli(&["webhook", "delete", "--id", id]);
    assert!(rows().is_empty());
    assert_eq!(app.type_line(&["webhook", "enable", "--id", id]).code, 1);
}

async fn a_repeated_grant_is_the_first_one(backend: Backend) {
    let app = TestApp::start(backend).await;
    let add = |description: &str| {
        app.cli(&[
            "credit",
            "add",
            "--account",
            &app.account_id,
            "--amount",
            "10.000",
            "--key",
            "order:1",
            "--description",
            description,
        ])
    };
    let (first, again) = (add("Pack"), add("Pack"));
    assert_eq!((&first["credit_balance"], &first), (&json!(11.0), &again));
    assert_eq!(app.ledger(&app.account_id).len(), 2);
    // Credit counts at once, for the server that runs.
    let four = json!({ "generation_output_number": 4 });
    app.generate("sandbox/inline", four).await.data();
}

async fn a_long_ledger_is_listed_whole(backend: Backend) {
    let app = TestApp::start(backend).await;
    let made = (0..40).map(|_| app.generate("sandbox/inline", json!({})));
    let made = futures_util::future::join_all(made).await;
    assert!(made.iter().all(|answer| answer.status == 200));
    let ledger = app.ledger(&app.account_id);
    let numbers: Vec<u64> = ledger.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=81).collect::<Vec<u64>>());
    let printed = app.type_line(&["ledger", "list", "--account", &app.account_id]);
    assert_eq!(printed.out.lines().count(), 82);
}

async fn text_is_for_people(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app
        .generate(
            "sandbox/failover",
            json!({
        "generation_sandbox_fail_providers": ["sandbox_polling"] }),
        )
        .await
        .generation_id();
    app.wait_for_end(&id).await;
    let account = app.account_id.as_str();
    let shows = |line: &[&str], texts: &[&str]| {
        let Printed { code, out, err } = app.type_line(line);
        assert_eq!((code, err.as_str()), (0, ""), "{line:?}");
        assert!(!out.contains('{') && !out.contains('\u{1b}'), "{out}");
        for text in texts {
            assert!(out.contains(text), "{text} is not in\n{out}");
        }
        assert!(out.lines().all(|line| line == line.trim_end()), "{out:?}");
    };
    shows(&["account", "list"], &["ID", "PLAN", "Personal", "enterprise", "0.999"]);
    shows(&["account", "show", "--id", account], &["Credit", "0.999", account]);
    shows(&["key", "list", "--account", account], &["STATUS", "active", "...", "anywhere"]);
    shows(&["webhook", "list", "--account", account], &["There is no webhook endpoint."]);
    shows(&["ledger", "list", "--account", account], &["reserve", "-0.001", "Welcome credits"]);
    let shown = ["Status", "succeeded", "sandbox_polling", "failed", "sandbox_webhook", "used"];
    shows(&["generation", "show", "--id", &id], &shown);
    shows(&["audit"], &["Every invariant holds", "1 generations"]);
    let line = ["key", "create", "--account", account, "--name", "n", "--preset", "read_only"];
    shows(&line, &["bye_", "not shown again"]);
}

/// A data directory that no server has seen.
fn on(directory: &TempDir) -> Command {
    let mut command = babysea(&[("auth.bcrypt_cost", "4")]);
    command.arg("--data-dir").arg(directory.path());
    command
}

#[test]
fn commands_work_before_the_first_start_of_the_server() {
    let type_line = |directory: &TempDir, line: &[&str]| {
        let printed = run(on(directory).args(line).arg("--json"));
        assert_eq!((printed.code, printed.err.as_str()), (0, ""), "{line:?}: {printed:?}");
        printed.json()
    };
    let directory = tempfile::tempdir().unwrap();
    type_line(&directory, &["migrate"]);
    assert_eq!(type_line(&directory, &["account", "list"])["accounts"], json!([]));
    let directory = tempfile::tempdir().unwrap();
    let made = type_line(
        &directory,
        &["account", "create", "--name", "First", "--kind", "team", "--plan", "pro"],
    );
    let account = text(&made, "account_id");
    type_line(
        &directory,
        &["key", "create", "--account", account, "--name", "a", "--preset", "full_access"],
    );
    type_line(
        &directory,
        &["webhook", "create", "--account", account, "--url", "https://8.8.8.8/"],
    );
    let ledger = type_line(&directory, &["ledger", "list", "--account", account]);
    assert_eq!(ledger["entries"].as_array().unwrap().len(), 1);
    assert_eq!(type_line(&directory, &["audit"])["ok"], true);
}

#[test]
fn a_mistyped_directory_does_not_become_an_empty_database() {
    let directory = tempfile::tempdir().unwrap();
    for line in [&["audit"][..], &["account", "list"], &["key", "list"], &["generation", "list"]] {
        let printed = run(on(&directory).args(line));
        assert_ne!(printed.code, 0, "{line:?}: {printed:?}");
    }
    let refused = run(on(&directory).arg("audit"));
    assert!(refused.err.contains("babysea migrate"), "{refused:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// Makes a database with an account, and does something to it that nobody may do.
async fn damaged(statements: &[&'static str]) -> Printed {
    let directory = tempfile::tempdir().unwrap();
    let line = ["account", "create", "--name", "A", "--kind", "team", "--plan", "pro"];
    assert_eq!(run(on(&directory).args(line)).code, 0);
    let path = directory.path().join("babysea.db");
    let pool = SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    for statement in statements {
        sqlx::query(*statement).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let as_text = run(on(&directory).arg("audit"));
    assert_eq!(as_text.code, 1, "{as_text:?}");
    assert!(as_text.out.contains("INVARIANT"), "{as_text:?}");
    run(on(&directory).args(["audit", "--json"]))
}

#[tokio::test]
async fn an_audit_of_a_damaged_database_says_what_is_wrong() {
    for statements in [
        &["UPDATE accounts SET balance_millicredits = 2000"][..],
        &["DROP TRIGGER ledger_entries_no_update"],
        &[
            "DROP TRIGGER ledger_entries_no_update",
            "UPDATE ledger_entries SET balance_after_millicredits = 5",
        ],
        &["DROP TRIGGER ledger_entries_no_delete", "DELETE FROM ledger_entries"],
    ] {
        let printed = damaged(statements).await;
        assert_eq!((printed.code, printed.err.as_str()), (1, ""), "{statements:?}");
        let document = printed.json();
        assert_eq!(document["ok"], false);
        let findings = document["findings"].as_array().unwrap();
        assert!(!findings.is_empty(), "{statements:?}");
        for finding in findings {
            has(finding, &["invariant", "subject", "detail"]);
        }
    }
}
