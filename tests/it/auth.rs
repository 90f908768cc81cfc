//! Who may come in: the seed's checks in the seed's order, with its exact messages.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::on_both;
use crate::support::app::{Answer, NewKey, TestApp};
use crate::support::database::Backend;
use crate::support::metrics::Metrics;
use crate::support::wait;

on_both!(
    without_a_key_the_answer_says_what_is_missing,
    every_key_that_is_not_good_gets_the_same_answer,
    each_preset_opens_its_own_routes,
    the_allowlist_comes_before_the_scope,
    an_address_can_be_claimed_only_by_a_configured_proxy,
    a_revoked_key_stops_within_a_second_though_it_is_cached,
    a_deleted_key_stops_within_a_second_though_it_is_cached,
    a_key_stops_when_its_time_is_over_though_it_is_cached,
    both_keys_of_a_rotation_work_until_the_grace_period_ends,
    who_fails_too_often_has_to_wait_with_a_good_key_too,
    bcrypt_is_paid_once,
    a_key_works_in_its_own_region_only,
);

const MISSING: (u16, &str, &str, &str) = (
    401,
    "BSE1001",
    "authentication_required",
    "Missing API key. Provide a valid key via the Authorization header.",
);
const FAILED: (u16, &str, &str, &str) =
    (401, "BSE1002", "authentication_failed", "Invalid or expired API key.");
const NO_SCOPE: (u16, &str, &str, &str) = (
    403,
    "BSE1003",
    "insufficient_permissions",
    "API key does not have permission for this resource.",
);
const NOT_ALLOWED: (u16, &str, &str, &str) =
    (403, "BSE1007", "ip_not_allowed", "This IP address is not in the allowlist for this API key.");

/// What an effect on a cached key may take, until the request that has to see it is sent.
const PROMISED: Duration = Duration::from_secs(1);

fn expect(answer: &Answer, refusal: (u16, &str, &str, &str)) {
    let (status, code, kind, message) = refusal;
    assert_eq!(answer.status, status, "{}", answer.body);
    let error = json!({ "code": code, "type": kind, "message": message, "retryable": false });
    assert_eq!(answer.body["error"], error);
    assert_eq!(answer.body["status"], "error");
    assert_eq!(answer.body["request_id"], answer.headers["x-request-id"].to_str().unwrap());
}

async fn status(app: &TestApp, key: &str) -> Answer {
    app.ask(app.get_as(key, "/v1/status")).await
}

async fn without_a_key_the_answer_says_what_is_missing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let url = format!("{}/v1/status", app.url);
    expect(&app.ask(app.client.get(&url)).await, MISSING);
    let key = &app.key;
    for header in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        key.clone(),
        format!("bearer {key}"),
        format!("Bearer  {key}"),
        format!("Basic {key}"),
        format!("Bearer sk_{key}"),
        format!("Bearer BYE_{}", &key[4..]),
    ] {
        let answer = app.ask(app.client.get(&url).header("authorization", &header)).await;
        expect(&answer, MISSING);
    }
    // Keys are taken from nowhere else.
    let elsewhere = app.client.get(format!("{url}?api_key={key}")).header("x-api-key", key);
    expect(&app.ask(elsewhere).await, MISSING);
}

async fn every_key_that_is_not_good_gets_the_same_answer(backend: Backend) {
    let app = TestApp::start(backend).await;
    let key = &app.key;
    let last = if key.ends_with('0') { "1" } else { "0" };
    let sixth = if &key[15..16] == "0" { "1" } else { "0" };
    let malformed = ["bye_", "bye_x", "bye_../../etc/passwd"].map(str::to_owned);
    let other_length = [format!("{key}0"), key[..41].to_owned(), format!("{key}{key}")];
    // The checksum of a key does not fit when one of its characters is another.
    let wrong = [
        format!("{}{last}", &key[..41]),
        format!("{}{sixth}{}", &key[..15], &key[16..]),
        key.to_uppercase().replacen("BYE_", "bye_", 1),
    ];
    let revoked = app.new_key("full_access", &[]);
    app.cli(&["key", "revoke", "--id", &revoked.id]);
    let unknown = app.new_key("full_access", &[]);
    app.cli(&["key", "delete", "--id", &unknown.id]);
    let gone = [revoked.text, unknown.text];
    let mut bodies = Vec::new();
    for key in malformed.iter().chain(&other_length).chain(&wrong).chain(&gone) {
        let answer = status(&app, key).await;
        expect(&answer, FAILED);
        bodies.push(answer.body["error"].to_string());
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    status(&app, key).await.data();
}

async fn each_preset_opens_its_own_routes(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app.generate("sandbox/inline", json!({})).await.generation_id();
    let cancel = format!("/v1/content/generation/cancel/{id}");
    let content = format!("/v1/content/{id}");
    let prompt = json!({ "generation_prompt": "scopes" });
    // status, generate, content, cancel
    for (preset, opens) in [
        ("full_access", [true, true, true, true]),
        ("generate_only", [false, true, true, false]),
        ("read_only", [true, false, true, false]),
        ("monitor_only", [false, false, false, false]),
    ] {
        let NewKey { text: key, .. } = app.new_key(preset, &[]);
        let requests = [
            app.get_as(&key, "/v1/status"),
            app.post_as(&key, "/v1/generate/image/sandbox/inline").json(&prompt),
            app.get_as(&key, &content),
            app.post_as(&key, &cancel),
        ];
        for (request, opens) in requests.into_iter().zip(opens) {
            let answer = app.ask(request).await;
            match opens {
                // The cancel comes too late, which is said to those who may.
                true => assert_ne!(answer.status, 403, "{preset}: {}", answer.body),
                false => expect(&answer, NO_SCOPE),
            }
        }
    }
    let ledger = app.ledger(&app.account_id);
    let reserves = ledger.iter().filter(|entry| entry["type"] == "reserve").count();
    assert_eq!(reserves, 3, "the first, and those of two presets");
}

async fn the_allowlist_comes_before_the_scope(backend: Backend) {
    let app = TestApp::start(backend).await;
    let elsewhere = app.new_key("monitor_only", &["--allow-ip", "192.0.2.7"]);
    expect(&status(&app, &elsewhere.text).await, NOT_ALLOWED);
    let here = app.new_key("monitor_only", &["--allow-ip", "192.0.2.7", "--allow-ip", "127.0.0.1"]);
    expect(&status(&app, &here.text).await, NO_SCOPE);
    let mapped = app.new_key("read_only", &["--allow-ip", "::ffff:127.0.0.1"]);
    status(&app, &mapped.text).await.data();
    // The lifecycle comes before both.
    app.cli(&["key", "revoke", "--id", &elsewhere.id]);
    stops(&app, &elsewhere.text, NOT_ALLOWED.1).await;
}

async fn an_address_can_be_claimed_only_by_a_configured_proxy(backend: Backend) {
    let from = |app: &TestApp, key: &str, addresses: &str| {
        app.get_as(key, "/v1/status").header("x-forwarded-for", addresses)
    };
    let app = TestApp::start(backend).await;
    let key = app.new_key("full_access", &["--allow-ip", "192.0.2.7"]).text;
    expect(&app.ask(from(&app, &key, "192.0.2.7")).await, NOT_ALLOWED);
    expect(
        &app.ask(from(&app, &key, "127.0.0.1").header("forwarded", "for=192.0.2.7")).await,
        NOT_ALLOWED,
    );
    drop(app);

    let app = TestApp::start_with(backend, &[("server.trusted_proxies", "127.0.0.1")]).await;
    let key = app.new_key("full_access", &["--allow-ip", "192.0.2.7"]).text;
    expect(&status(&app, &key).await, NOT_ALLOWED);
    app.ask(from(&app, &key, "192.0.2.7")).await.data();
    // What stands before the last address was written by the client.
    app.ask(from(&app, &key, "198.51.100.1, 192.0.2.7")).await.data();
    expect(&app.ask(from(&app, &key, "192.0.2.7, 198.51.100.1")).await, NOT_ALLOWED);
    expect(&app.ask(from(&app, &key, "192.0.2.7, nonsense")).await, NOT_ALLOWED);
}

/// Sees to it that a key which has just been used fails within the time promised. Until then
/// the answer may only be the one before. How long an answer takes is up to the machine, so it
/// counts when it was asked for.
async fn stops(app: &TestApp, key: &str, before: &str) {
    let began = Instant::now();
    wait::until("the key has stopped", async || {
        let asked = began.elapsed();
        let answer = status(app, key).await;
        if answer.status == 200 || answer.body["error"]["code"] == before {
            assert!(asked < PROMISED, "it works after {asked:?}");
            return None;
        }
        expect(&answer, FAILED);
        Some(())
    })
    .await;
    expect(&status(app, key).await, FAILED);
}

async fn a_revoked_key_stops_within_a_second_though_it_is_cached(backend: Backend) {
    let app = TestApp::start(backend).await;
    let key = app.new_key("full_access", &[]);
    status(&app, &key.text).await.data();
    app.cli(&["key", "revoke", "--id", &key.id]);
    stops(&app, &key.text, "").await;
    status(&app, &app.key).await.data();
}

async fn a_deleted_key_stops_within_a_second_though_it_is_cached(backend: Backend) {
    let app = TestApp::start(backend).await;
    let key = app.new_key("full_access", &[]);
    status(&app, &key.text).await.data();
    app.cli(&["key", "delete", "--id", &key.id]);
    stops(&app, &key.text, "").await;
}

#[expect(clippy::disallowed_methods, reason = "the other process goes by the real clock")]
fn in_seconds(seconds: i64) -> DateTime<Utc> {
    Utc::now() + chrono::TimeDelta::seconds(seconds)
}

async fn a_key_stops_when_its_time_is_over_though_it_is_cached(backend: Backend) {
    let app = TestApp::start(backend).await;
    // In whole milliseconds, as the server is told it.
    let text = in_seconds(6).to_rfc3339_opts(SecondsFormat::Millis, true);
    let end: DateTime<Utc> = text.parse().unwrap();
    let key = app.new_key("full_access", &["--expires-at", &text]);
    let shown = status(&app, &key.text).await;
    assert_eq!(shown.data()["apikey_expires_at"], text);
    wait::until("the key has expired", async || {
        let a_second_ago = in_seconds(-1);
        let answer = status(&app, &key.text).await;
        if answer.status == 200 {
            assert!(a_second_ago < end, "it works a second after its end");
            return None;
        }
        assert!(in_seconds(0) >= end, "it stopped before its end");
        expect(&answer, FAILED);
        Some(())
    })
    .await;
}

async fn both_keys_of_a_rotation_work_until_the_grace_period_ends(backend: Backend) {
    let app = TestApp::start(backend).await;
    let lists = ["--allow-ip", "127.0.0.1"];
    let old = app.new_key("read_only", &lists);
    status(&app, &old.text).await.data();
    let printed = app.cli(&["key", "rotate", "--id", &old.id, "--grace-hours", "1"]);
    let new = NewKey::of(&printed);
    assert_ne!(new.text, old.text);
    assert_eq!(printed["apikey_prefix"], new.text[..9]);
    let shown = status(&app, &new.text).await;
    assert_eq!(shown.data()["apikey_id"], new.id);
    assert_eq!(shown.data()["apikey_name"], "story");
    let end = wait::until("the old key knows its end", async || {
        let shown = status(&app, &old.text).await;
        let end = shown.data()["apikey_expires_at"].clone();
        (end != Value::Null).then_some(end)
    })
    .await;
    assert_eq!(end, printed["replaced_expires_at"]);
    let end: DateTime<Utc> = end.as_str().unwrap().parse().unwrap();
    assert!(end > in_seconds(3500) && end <= in_seconds(3600));
    // The new key has inherited what it may do.
    let generate = app.post_as(&new.text, "/v1/generate/image/sandbox/inline");
    expect(&app.ask(generate).await, NO_SCOPE);
    let again = app.type_line(&["key", "rotate", "--id", &old.id, "--json"]);
    assert_eq!(again.code, 1, "{again:?}");
    // The end of the grace period is an expiry like any other: it is brought forward.
    end_grace(&app, &old.id).await;
    stops(&app, &old.text, "").await;
    status(&app, &new.text).await.data();
}

/// Makes the end of a key's grace period now: an hour is the shortest there is.
async fn end_grace(app: &TestApp, id: &str) {
    let id: uuid::Uuid = id.parse().unwrap();
    let now = in_seconds(0);
    if app.database_url.starts_with("sqlite:") {
        let pool = sqlx::SqlitePool::connect(&app.database_url).await.unwrap();
        let text = now.to_rfc3339_opts(SecondsFormat::Micros, true);
        let change = "UPDATE api_keys SET expires_at = ?1 WHERE id = ?2";
        let changed = sqlx::query(change).bind(text).bind(id).execute(&pool).await.unwrap();
        assert_eq!(changed.rows_affected(), 1);
    } else {
        let pool = sqlx::PgPool::connect(&app.database_url).await.unwrap();
        let change = "UPDATE api_keys SET expires_at = $1 WHERE id = $2";
        let changed = sqlx::query(change).bind(now).bind(id).execute(&pool).await.unwrap();
        assert_eq!(changed.rows_affected(), 1);
    }
}

async fn a_key_works_in_its_own_region_only(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let american = app.new_key("full_access", &[]);
    status(&app, &american.text).await.data();
    assert_eq!(region_of(&app, &american.id), "us");
    // Keys that were made before there were regions have none.
    let old = app.new_key("full_access", &[]);
    forget_region(&app, &old.id).await;
    assert_eq!(region_of(&app, &old.id), Value::Null);

    app.stop().await;
    app.set("server.region", "eu");
    app.start_again();
    expect(&status(&app, &american.text).await, FAILED);
    status(&app, &old.text).await.data();
    let printed = app.cli(&["key", "rotate", "--id", &american.id, "--grace-hours", "1"]);
    assert_eq!(printed["region"], "us", "a rotation moves nothing");
    expect(&status(&app, printed["apikey"].as_str().unwrap()).await, FAILED);
    let european = app.new_key("full_access", &[]);
    assert_eq!(region_of(&app, &european.id), "eu");
    status(&app, &european.text).await.data();
    let line = ["account", "create", "--name", "x", "--kind", "team", "--plan", "free"];
    assert_eq!(app.cli(&line)["region"], "eu");
    // It counts as a failure like any other wrong key.
    for _ in 0..60 {
        status(&app, &american.text).await;
    }
    let answer = status(&app, &american.text).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (429, "BSE1006"));
    // A key that is known to be good is not locked out by others from its address.
    status(&app, &european.text).await.data();
}

fn region_of(app: &TestApp, id: &str) -> Value {
    let listed = app.cli(&["key", "list", "--account", &app.account_id]);
    let keys = listed["apikeys"].as_array().unwrap();
    keys.iter().find(|key| key["apikey_id"] == id).unwrap()["region"].clone()
}

async fn forget_region(app: &TestApp, id: &str) {
    let id: uuid::Uuid = id.parse().unwrap();
    let change = "UPDATE api_keys SET region = NULL WHERE id = $1";
    let changed = if app.database_url.starts_with("sqlite:") {
        let pool = sqlx::SqlitePool::connect(&app.database_url).await.unwrap();
        sqlx::query(change).bind(id).execute(&pool).await.unwrap().rows_affected()
    } else {
        let pool = sqlx::PgPool::connect(&app.database_url).await.unwrap();
        sqlx::query(change).bind(id).execute(&pool).await.unwrap().rows_affected()
    };
    assert_eq!(changed, 1);
}

fn number(headers: &HeaderMap, name: &str) -> i64 {
    headers[name].to_str().unwrap().parse().unwrap()
}

async fn who_fails_too_often_has_to_wait_with_a_good_key_too(backend: Backend) {
    let app = TestApp::start_with(backend, &[("server.trusted_proxies", "127.0.0.1")]).await;
    let from =
        |key: &str, address: &str| app.get_as(key, "/v1/status").header("x-forwarded-for", address);
    for _ in 0..60 {
        expect(&app.ask(from("bye_wrong", "192.0.2.7")).await, FAILED);
    }
    for key in ["bye_wrong", app.key.as_str()] {
        let answer = app.ask(from(key, "192.0.2.7")).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (429, "BSE1006"));
        let error = &answer.body["error"];
        assert_eq!(
            (&error["type"], &error["retryable"]),
            (&json!("auth_rate_limited"), &json!(true))
        );
        let wait = number(&answer.headers, "retry-after");
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(number(&answer.headers, "x-ratelimit-limit"), 60);
        assert_eq!(number(&answer.headers, "x-ratelimit-remaining"), 0);
        let reset = number(&answer.headers, "x-ratelimit-reset");
        assert!((reset - in_seconds(wait).timestamp()).abs() <= 2, "{reset}");
    }
    // Who sends no key is told so, and nobody else has to wait.
    let url = format!("{}/v1/status", app.url);
    let none = app.client.get(url).header("x-forwarded-for", "192.0.2.7");
    expect(&app.ask(none).await, MISSING);
    app.ask(from(&app.key, "192.0.2.8")).await.data();
}

async fn bcrypt_is_paid_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    // The server hashes for itself, too.
    let paid = "babysea_bcrypt_verifications_total";
    let before = Metrics::read(&app).await.get(paid);
    let key = app.new_key("read_only", &[]).text;
    for _ in 0..20 {
        status(&app, &key).await.data();
    }
    let wrong = "bye_wrong";
    expect(&status(&app, wrong).await, FAILED);
    let metrics = Metrics::read(&app).await;
    let outcome =
        |name: &str| metrics.get(&format!("babysea_auth_outcomes_total{{outcome=\"{name}\"}}"));
    assert_eq!((outcome("verified"), outcome("cached"), outcome("failed")), (1.0, 19.0, 1.0));
    assert_eq!(metrics.get(paid) - before, 1.0);
    assert_eq!(metrics.get("babysea_bcrypt_queue_depth"), 0.0);
}
