//! How people come to a server, sign in, and look after what is theirs: by pages, as a browser
//! asks for them, and by mail.

use serde_json::Value;

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::database::Backend;
use crate::support::mail::MailServer;
use crate::support::program::Server;
use crate::support::wait;

on_both!(
    the_first_link_makes_one_owner,
    who_signs_in_wrongly_learns_nothing_and_has_to_wait,
    a_forgotten_password_is_replaced_by_a_link_once,
    people_look_after_what_is_theirs,
    people_sign_up_where_that_is_allowed,
    operators_make_people_from_the_command_line,
    who_is_deleted_is_gone,
);

pub const PASSWORD: &str = "correct horse battery";

/// Settings of a server whose mail goes there.
pub async fn start(backend: Backend, mail: &MailServer, more: &[(&str, &str)]) -> TestApp {
    let url = mail.url();
    let mut settings =
        vec![("mail.smtp_url", url.as_str()), ("mail.from", "BabySea <sea@example.com>")];
    settings.extend(more);
    TestApp::start_with(backend, &settings).await
}

/// The first owner of a server, signed in.
pub async fn owner(app: &TestApp) -> Browser {
    let mut browser = Browser::of(app);
    let path = app.first_link.as_deref().unwrap().strip_prefix(&app.url).unwrap().to_owned();
    let fields = [("email", "owner@example.com"), ("name", "First Owner"), ("password", PASSWORD)];
    browser.get(&path).await.is(200);
    browser.post(&path, &fields).await.is(303);
    browser.get("/home/settings").await.is(200);
    browser
}

/// Makes somebody who can sign in, and signs in.
pub async fn person(app: &TestApp, email: &str) -> Browser {
    let name = email.split('@').next().unwrap();
    let made = app.cli(&["user", "create", "--email", email, "--name", name]);
    let path = made["password_path"].as_str().unwrap();
    let mut browser = Browser::of(app);
    let fields = [("password", PASSWORD), ("repeat", PASSWORD)];
    browser.post(path, &fields).await.is(303);
    Browser::signed_in(app, email, PASSWORD).await
}

async fn the_first_link_makes_one_owner(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let link = app.first_link.clone().unwrap();
    let path = link.strip_prefix(&app.url).unwrap().to_owned();
    app.kill();
    app.start_again();
    let again = app.first_link.clone().unwrap();
    assert_eq!(again.strip_prefix(&app.url), Some(path.as_str()), "the same after a restart");

    let mut browser = Browser::of(&app);
    browser.get("/").await.is(303);
    browser.get("/first/guessed").await.is(404).shows("does not work");
    browser.get(&path).await.is(200).shows("Set up this server");
    let short = [("email", "owner@example.com"), ("name", "First Owner"), ("password", "short")];
    browser.post(&path, &short).await.is(422).shows("at least 10 characters");
    assert_eq!(app.count("SELECT COUNT(*) FROM users").await, 0);
    let fields = [("email", "Owner@Example.com "), ("name", "First Owner"), ("password", PASSWORD)];
    let welcome = browser.post(&path, &fields).await;
    assert_eq!(welcome.is(303).location(), "/");
    let cookie = welcome.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");

    // The owner of the account that the first start has made, with its credit and its key.
    let account = app.cli(&["account", "show", "--id", &app.account_id]);
    assert_eq!(account["account_email"], "owner@example.com");
    assert_eq!(account["credit_balance"], 1.0);
    assert_eq!(app.ledger(&app.account_id).len(), 1, "welcome is once");
    browser.get("/home/personal/api-keys").await.is(200).shows("Default");
    browser.get("/home/settings").await.is(200).shows("owner@example.com");

    let mut late = Browser::of(&app);
    late.get(&path).await.is(404);
    late.post(&path, &fields).await.is(404);
    assert_eq!(app.count("SELECT COUNT(*) FROM users WHERE operator").await, 1);
    app.kill();
    app.start_again();
    assert_eq!(app.first_link, None);
}

async fn who_signs_in_wrongly_learns_nothing_and_has_to_wait(backend: Backend) {
    let limits = [("people.failures_per_minute_and_user", "3")];
    let app = TestApp::start_with(backend, &limits).await;
    let mut browser = owner(&app).await;

    let mut stranger = Browser::of(&app);
    let asked = stranger.get("/home/personal/api-keys?q=a").await;
    assert_eq!(asked.is(303).location(), "/sign-in?next=%2Fhome%2Fpersonal%2Fapi-keys%3Fq%3Da");
    let wrong = stranger.sign_in("owner@example.com", "wrong password").await;
    let unknown = stranger.sign_in("nobody@example.com", "wrong password").await;
    let no_address = stranger.sign_in("nobody", "wrong password").await;
    for page in [&wrong, &unknown, &no_address] {
        page.is(422).shows("The address or the password is wrong.");
    }
    let plain = |text: &str| text.replace("owner@", "").replace("nobody@", "");
    assert_eq!(plain(&wrong.text), plain(&unknown.text), "nothing tells them apart");
    assert!(wrong.headers["content-security-policy"].to_str().unwrap().contains("'none'"));

    let next = [("email", "owner@example.com"), ("password", PASSWORD), ("next", "//evil.example")];
    assert_eq!(stranger.post("/sign-in", &next).await.is(303).location(), "/");
    let token = stranger.cookies.clone();
    stranger.get("/home/settings").await.is(200);
    let stolen = Browser::of(&app).post("/sign-out", &[]).await;
    stolen.is(303);
    let csrf = std::mem::take(&mut stranger.csrf);
    stranger.post("/sign-out", &[]).await.is(403).shows("This form has expired");
    stranger.csrf = csrf;
    let out = stranger.post("/sign-out", &[]).await;
    assert_eq!(out.is(303).location(), "/sign-in");
    stranger.cookies = token;
    stranger.get("/home/settings").await.is(303);

    for _ in 0..2 {
        stranger.sign_in("owner@example.com", "wrong password").await.is(422);
        stranger.sign_in("nobody@example.com", "wrong password").await.is(422);
    }
    for email in ["owner@example.com", "nobody@example.com"] {
        let blocked = stranger.sign_in(email, PASSWORD).await;
        blocked.is(429).shows("Too many tries");
        assert!(blocked.headers.contains_key("retry-after"));
    }
    browser.get("/home/settings").await.is(200);
    assert_eq!(app.count("SELECT COUNT(*) FROM sessions WHERE length(token_hash) = 64").await, 1);
}

async fn a_forgotten_password_is_replaced_by_a_link_once(backend: Backend) {
    let Some(mail) = MailServer::start() else { return };
    let app = start(backend, &mail, &[]).await;
    let mut browser = owner(&app).await;
    let mut other = Browser::of(&app);
    for email in ["nobody@example.com", "owner@example.com", "owner@example.com"] {
        let sent = other.post("/password/reset", &[("email", email)]).await;
        sent.is(200).shows("If there is an account");
    }
    let sent = mail.take("owner@example.com", "Choose a new password").await;
    assert_eq!(sent.from, "BabySea <sea@example.com>");
    let path = sent.path();
    other.get(&path).await.is(200).shows("owner@example.com");
    let unlike = [("password", "another good one"), ("repeat", "another")];
    other.post(&path, &unlike).await.is(422).shows("Must be the same password.");
    let same = [("password", "another good one"), ("repeat", "another good one")];
    other.submit(&path, &same).await.is(200).shows("Your password was changed");
    mail.take("owner@example.com", "Your password was changed").await;
    other.get(&path).await.is(404);
    other.post(&path, &same).await.is(404);
    browser.get("/home/settings").await.is(303);
    other.sign_in("owner@example.com", PASSWORD).await.is(422);
    other.sign_in("owner@example.com", "another good one").await.is(303);
    assert_eq!(mail.left().len(), 0, "one link, though two were asked for");
    // What a mail said is forgotten once the server has heard that it was taken.
    let sealed = "SELECT COUNT(*) FROM mails WHERE sealed IS NOT NULL";
    wait::until("no mail is kept", async || (app.count(sealed).await == 0).then_some(())).await;
}

async fn people_look_after_what_is_theirs(backend: Backend) {
    let Some(mail) = MailServer::start() else { return };
    let app = start(backend, &mail, &[]).await;
    let mut browser = owner(&app).await;
    let named = browser.submit("/home/settings/name", &[("name", "Ada <b>Lovelace")]).await;
    named.shows("Ada &#60;b&#62;Lovelace").shows("Name updated");
    browser.post("/home/settings/name", &[("name", "A")]).await.is(422).shows("2 to 100");

    let mut other = Browser::signed_in(&app, "owner@example.com", PASSWORD).await;
    let change = |current: &'static str, new: &'static str| {
        [("current", current), ("password", new), ("repeat", new)]
    };
    let wrong = browser.post("/home/settings/password", &change("wrong", "another good one")).await;
    wrong.is(422).shows("Is not your password.");
    let changed =
        browser.submit("/home/settings/password", &change(PASSWORD, "another good one")).await;
    changed.shows("Password updated");
    mail.take("owner@example.com", "Your password was changed").await;
    other.get("/home/settings").await.is(303);

    let mut third = Browser::signed_in(&app, "owner@example.com", "another good one").await;
    let shown = browser.get("/home/settings").await;
    shown.shows("Firefox on Linux").shows("This browser");
    let end = shown.text.split("action=\"/home/settings/sessions/").nth(1).unwrap();
    let id = end.split('/').next().unwrap();
    browser.submit(&format!("/home/settings/sessions/{id}/end"), &[]).await.is(200);
    third.get("/home/settings").await.is(303);

    let to = |repeat: &'static str| {
        [("email", "new@example.com"), ("repeat", repeat), ("current", "another good one")]
    };
    browser.post("/home/settings/email", &to("else@example.com")).await.is(422);
    let asked = browser.submit("/home/settings/email", &to("new@example.com")).await;
    asked.shows("We have sent a link").shows("owner@example.com");
    let link = mail.take("new@example.com", "Confirm your new address").await.path();
    // Programs that check mail follow links too.
    Browser::of(&app).get(&link).await.is(200).shows("Confirm");
    browser.get("/home/settings").await.hides("<strong>new@example.com</strong>");
    browser.submit(&link, &[]).await.is(200).shows("<strong>new@example.com</strong>");
    let told = mail.take("owner@example.com", "Your address was changed").await;
    assert!(told.body.contains("new@example.com"));
    browser.get(&link).await.is(404);

    app.generate("sandbox/inline", serde_json::json!({})).await;
    // A request is in the log a moment after it was answered.
    let exported = wait::until("the request is in the log", async || {
        let exported = browser.post("/home/settings/export", &[]).await;
        exported.text.contains("\"api_key\"").then_some(exported)
    })
    .await;
    let named = exported.is(200).headers["content-disposition"].to_str().unwrap();
    assert!(named.starts_with("attachment; filename=\"babysea-data-export-20"), "{named}");
    let document: Value = serde_json::from_str(&exported.text).unwrap();
    assert_eq!(document["profile"]["email"], "new@example.com");
    assert_eq!(document["generations"].as_array().unwrap().len(), 1);
    assert_eq!(document["api_keys"][0]["name"], "Default");
    assert_eq!(document["api_requests"][0]["api_key"], "Default");
    assert!(!exported.text.contains(&app.key[9..]), "no secret is in it");
    assert!(!exported.text.contains("hash"));
}

async fn people_sign_up_where_that_is_allowed(backend: Backend) {
    let Some(mail) = MailServer::start() else { return };
    let mut app = start(backend, &mail, &[]).await;
    owner(&app).await;
    let mut browser = Browser::of(&app);
    browser.get("/sign-in").await.hides("/sign-up");
    browser.get("/sign-up").await.is(404);
    browser.post("/sign-up", &[("email", "ada@example.com")]).await.is(403);
    app.stop().await;
    app.set("people.sign_up", "true");
    app.start_again();

    let mut browser = Browser::of(&app);
    browser.get("/sign-in").await.shows("/sign-up");
    for email in ["ada@example.com", "owner@example.com"] {
        browser.post("/sign-up", &[("email", email)]).await.is(200).shows("Check your mail");
    }
    mail.take("owner@example.com", "You already have an account").await;
    let path = mail.take("ada@example.com", "Finish signing up").await.path();
    browser.get(&path).await.is(200).shows("ada@example.com");
    browser.get("/sign-up/forged").await.is(404);
    let fields = [("name", "Ada"), ("password", PASSWORD)];
    browser.post(&path, &fields).await.is(303);
    browser.get("/home/settings").await.is(200).shows("ada@example.com");
    browser.get("/operator").await.is(404);
    Browser::of(&app).post(&path, &fields).await.is(422).shows("already has an account");

    let accounts = app.cli(&["account", "list"]);
    let accounts = accounts["accounts"].as_array().unwrap();
    let own = accounts.iter().find(|it| it["account_email"] == "ada@example.com").unwrap();
    assert_eq!((own["credit_balance"].as_f64(), &own["account_plan"]), (Some(1.0), &"free".into()));
    let ledger = app.ledger(own["account_id"].as_str().unwrap());
    assert_eq!((ledger.len(), &ledger[0]["description"]), (1, &"Welcome credits".into()));
    // A team gets no welcome of its own.
    browser.submit("/home/teams", &[("name", "Paper Lab")]).await.is(200);
    let total = "SELECT CAST(SUM(amount_millicredits) AS BIGINT) FROM ledger_entries";
    assert_eq!(app.count(total).await, 2000);
}

async fn operators_make_people_from_the_command_line(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = person(&app, "ada@example.com").await;
    browser.get("/home/settings").await.is(200).shows("ada@example.com");
    let (made, refused) =
        app.try_cli(&["user", "create", "--email", "ADA@example.com", "--name", "Ada"]);
    assert!(!made, "{refused}");
    let listed = app.cli(&["user", "list"]);
    assert_eq!(listed["users"][0]["user_email"], "ada@example.com");
    assert_eq!(listed["users"][0]["user_is_operator"], false);
    browser.get("/operator").await.is(404);
    let runs = ["user", "operator", "--email", "ada@example.com", "--is"];
    assert_eq!(app.cli(&[&runs[..], &["true"]].concat())["user_is_operator"], true);
    let (done, refused) = app.try_cli(&[&runs[..], &["false"]].concat());
    assert!(!done, "the last operator stays: {refused}");

    let first = app.cli(&["user", "reset-link", "--email", "ada@example.com"]);
    let second = app.cli(&["user", "reset-link", "--email", "ada@example.com"]);
    let path = |made: &Value| made["password_path"].as_str().unwrap().to_owned();
    let mut other = Browser::of(&app);
    other.get(&path(&first)).await.is(404);
    other.get(&path(&second)).await.is(200);
    let (_, unknown) = app.try_cli(&["user", "reset-link", "--email", "bob@example.com"]);
    assert_eq!(unknown["error"]["message"], "no such user");
}

async fn who_is_deleted_is_gone(backend: Backend) {
    let Some(mail) = MailServer::start() else { return };
    let app = start(backend, &mail, &[]).await;
    owner(&app).await;
    let mut browser = person(&app, "ada@example.com").await;
    let account = app.cli(&["account", "list"]);
    let own = account["accounts"][1]["account_id"].as_str().unwrap().to_owned();
    let key =
        app.cli(&["key", "create", "--account", &own, "--name", "k", "--preset", "full_access"]);
    browser.submit("/home/teams", &[("name", "Paper Lab")]).await.is(200);
    browser.get("/home/settings?dialog=delete").await.is(200).shows("We send you a code");
    browser.post("/home/settings/deletion-code", &[]).await.is(200).shows("Type it");
    let code = mail.take("ada@example.com", "Code to delete your account").await.code();
    let wrong = if code == "000000" { "111111" } else { "000000" };
    browser.post("/home/settings/delete", &[("code", wrong)]).await.is(422).shows("is wrong");
    let refused = browser.post("/home/settings/delete", &[("code", &code)]).await;
    refused.is(422).shows("Transfer or delete the teams");
    browser.post("/home/paper-lab/settings/deletion-code", &[]).await.is(200);
    let team = mail.take("ada@example.com", "Code to delete Paper Lab").await.code();
    browser.submit("/home/paper-lab/settings/delete", &[("code", &team)]).await.is(303);
    let gone = browser.post("/home/settings/delete", &[("code", &code)]).await;
    assert_eq!(gone.is(303).location(), "/sign-in");
    browser.sign_in("ada@example.com", PASSWORD).await.is(422);
    assert_eq!(app.count("SELECT COUNT(*) FROM users").await, 1);
    let answer = app.get_as(key["apikey"].as_str().unwrap(), "/v1/status");
    assert_eq!(answer.send().await.unwrap().status(), 401);
    assert_eq!(app.cli(&["account", "list"])["accounts"].as_array().unwrap().len(), 1);
}

/// Without a mail server, whoever runs this one finds links in its log.
#[tokio::test]
async fn without_a_mail_server_mail_is_printed_to_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().display().to_string();
    let settings =
        [("auth.bcrypt_cost", "4"), ("operator.listen", "127.0.0.1:0"), ("people.sign_up", "true")];
    let mut command = crate::support::program::babysea(&settings);
    let command =
        command.args(["serve", "--listen", "127.0.0.1:0", "--json", "--data-dir", &data_dir]);
    let mut server = Server::start(command);
    let ready: Value = serde_json::from_str(&server.read_until("url")).unwrap();
    let url = ready["url"].as_str().unwrap();
    let client = reqwest::Client::new();
    let body = "email=ada%40example.com";
    let form = client.post(format!("{url}/sign-up")).body(body).send().await.unwrap();
    assert!(form.status().is_success());
    crate::support::wait::until("the mail was handled", async || {
        let database = format!("sqlite:{data_dir}/babysea.db");
        let sent = "SELECT COUNT(*) FROM mails WHERE status = 'sent'";
        (crate::support::database::count(&database, sent).await == 1).then_some(())
    })
    .await;
    server.stop("-TERM").await;
    let log = server.rest();
    assert!(log.contains("no mail server is set") && log.contains("/sign-up/"), "{log}");
}

/// A mail server that puts off gets the mail again, and one that refuses does not.
#[tokio::test]
async fn mail_that_is_put_off_is_tried_again_and_mail_that_is_refused_is_not() {
    let Some(mail) = MailServer::start() else { return };
    let app = start(Backend::Sqlite, &mail, &[("people.sign_up", "true")]).await;
    let mut browser = Browser::of(&app);
    for email in ["refused@example.com", "later@example.com", "now@example.com"] {
        browser.post("/sign-up", &[("email", email)]).await.is(200);
    }
    mail.take("now@example.com", "Finish").await;
    let failed = "SELECT COUNT(*) FROM mails WHERE status = 'failed' AND last_error LIKE '%550%' AND sealed IS NULL";
    assert_eq!(app.count(failed).await, 1);
    let put_off = "SELECT COUNT(*) FROM mails WHERE status = 'pending' AND tries = 1 AND last_error LIKE '%451%'";
    assert_eq!(app.count(put_off).await, 1);
    // Half a minute is longer than a story should take.
    app.execute("UPDATE mails SET next_try_at = created_at WHERE status = 'pending'").await;
    let taken = mail.take("later@example.com", "Finish").await;
    assert!(taken.id.contains('@'), "{}", taken.id);
    assert_eq!(mail.left().len(), 0);
}
