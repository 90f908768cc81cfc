//! The pages that show what happened: logs, activity, generations.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::page::Page;
use crate::support::people::Person;
use crate::support::wait;

on_both!(
    requests_are_listed_filtered_and_exported,
    activity_names_who_did_it_and_is_exported,
    a_generation_is_listed_with_all_that_is_known_of_it,
    a_generation_is_canceled_and_deleted_by_who_may,
    metrics_show_what_was_counted_and_keep_it,
    strangers_see_nothing_of_what_happened,
);

const LOGS: &str = "/home/personal/logs";
const ACTIVITY: &str = "/home/personal/activity";
const GENERATIONS: &str = "/home/personal/generations";

fn json_of(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

async fn requests_are_listed_filtered_and_exported(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ada, _) = Person::ada_and_ben(&app).await;
    assert!(ada.get(LOGS).await.has("No requests yet"));
    app.ask(app.get("/v1/status?days=7&secret=x")).await;
    app.ask(app.get("/v1/content/nothing")).await;
    let shown = wait::until("both are in the log", async || {
        Some(ada.get(LOGS).await).filter(|page| page.text.matches("data-select value").count() == 2)
    })
    .await;
    for text in ["Monitor API logs", "/v1/status", "Active key", "BSE", "All as CSV", "days=7"] {
        assert!(shown.has(text), "{text} is missing in {}", shown.text);
    }
    assert!(!shown.has("secret") && !shown.has(&app.key) && !shown.has("127.0.0.1"));
    for (query, status) in [("status=2xx", true), ("status=4xx", false), ("q=content", false)] {
        let found = ada.get(&format!("{LOGS}?{query}")).await;
        assert_eq!(found.text.matches("data-select value").count(), 1, "{query}");
        assert_eq!(found.has(">/v1/status<"), status, "{query}");
    }
    assert!(ada.get(&format!("{LOGS}?status=5xx")).await.has("No results found"));
    assert!(ada.get(&format!("{LOGS}?until=2026-01-01")).await.has("No results found"));
    assert!(ada.get(&format!("{LOGS}?q=%25&sort=-status&view=full")).await.has("No results"));

    let csv = ada.get(&format!("{LOGS}.csv?status=2xx")).await;
    let lines: Vec<&str> = csv.text.trim_end().split("\r\n").collect();
    assert!(
        lines[0].starts_with("apikey_name,apikey_prefix,method,endpoint,status_code,error_code")
    );
    assert!(lines.len() == 2 && lines[1].contains("GET,/v1/status,200,,"), "{}", csv.text);
    let all = json_of(&ada.get(&format!("{LOGS}.json")).await.text);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["ip_hash"].as_str().unwrap().len(), 64, "{all:#?}");
    assert_eq!(ada.get(&format!("{LOGS}.xml")).await.status, StatusCode::NOT_FOUND);
}

async fn activity_names_who_did_it_and_is_exported(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ada, _) = Person::ada_and_ben(&app).await;
    let webhooks = "/home/personal/webhooks";
    let fields = [("url", "http://127.0.0.1:9/"), ("event", "generation.failed")];
    ada.post(&format!("{webhooks}?dialog=add"), webhooks, &fields).await;
    let listed = app.cli(&["webhook", "list", "--account", &app.account_id]);
    let id = listed["webhook_endpoints"][0]["webhook_endpoint_id"].as_str().unwrap();
    let page = format!("{webhooks}/{id}");
    for act in ["disable", "enable", "delete"] {
        ada.post(&page, &format!("{page}/{act}"), &[]).await;
    }
    let found =
        json_of(&ada.get(&format!("{ACTIVITY}.json?category=webhook&sort=time")).await.text);
    let deeds: Vec<_> = found.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(deeds, ["created", "disabled", "enabled", "deleted"]);
    for line in &found {
        assert_eq!(line["actor"], "Ada", "{line}");
        let fields: Vec<_> = line.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields.len(), 6, "{fields:?}");
    }
    let shown = ada.get(ACTIVITY).await;
    assert!(shown.has("Audit account activity") && shown.has(">deleted</span>"));
    let csv = ada.get(&format!("{ACTIVITY}.csv?q=webhook.disabled")).await;
    assert!(csv.text.starts_with("event_id,actor,category,action,description,timestamp\r\n"));
    assert_eq!(csv.text.trim_end().split("\r\n").count(), 2, "{}", csv.text);
    assert!(ada.get(&format!("{ACTIVITY}?q=rocket")).await.has("No results found"));
    assert!(ada.get(&format!("{ACTIVITY}?until=2020-01-01")).await.has("No results found"));
}

async fn a_generation_is_listed_with_all_that_is_known_of_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ada, _) = Person::ada_and_ben(&app).await;
    assert!(ada.get(GENERATIONS).await.has("No generations yet"));
    let fails = json!({
        "generation_prompt": "a <b>lighthouse</b> of paper",
        "generation_sandbox_fail_providers": ["sandbox_polling"],
    });
    let rescued = app.generate("sandbox/failover", fails).await.generation_id();
    app.wait_for_end(&rescued).await;
    let plain = app.generate("sandbox/inline", json!({})).await.generation_id();
    app.wait_for_end(&plain).await;
    let list = ada.get(GENERATIONS).await;
    assert!(list.has(&rescued) && list.has(&plain) && list.has("sandbox_inline"));
    let found = ada.get(&format!("{GENERATIONS}?q={rescued}")).await;
    assert!(found.has(&rescued) && !found.has(&plain));
    let found = ada.get(&format!("{GENERATIONS}?model=sandbox/inline&status=succeeded")).await;
    assert!(found.has(&plain) && !found.has(&rescued));
    assert!(ada.get(&format!("{GENERATIONS}?status=failed")).await.has("No results found"));
    let exported = json_of(&ada.get(&format!("{GENERATIONS}.json")).await.text);
    assert_eq!((exported.len(), exported[0]["generation_id"].as_str()), (2, Some(plain.as_str())));

    let page = ada.get(&format!("{GENERATIONS}/{rescued}")).await;
    assert_eq!(page.status, StatusCode::OK);
    for text in [
        "a &#60;b&#62;lighthouse&#60;/b&#62; of paper",
        "1. sandbox_polling",
        "2. sandbox_",
        "Failover",
        "The result is asked for.",
        "Reserved",
        "Charged",
        "/files/",
        "Kept until",
        "No endpoint was told of it",
        "href=\"/home/personal/generations\"",
    ] {
        assert!(page.has(text), "{text} is missing in {}", page.text);
    }
    let record = app.record(&rescued).await;
    let url = record["generation_output_file"][0].as_str().unwrap().replace('&', "&#38;");
    assert!(page.has(&url), "{url} as in the API, in {}", page.text);
}

async fn a_generation_is_canceled_and_deleted_by_who_may(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (team, key) = app.account("10");
    let (ada, ben) = Person::ada_and_ben(&app).await;
    let body = json!({
        "generation_prompt": "a slow one",
        "generation_sandbox_latency_ms": 60_000,
    });
    let request = app.post_as(&key, "/v1/generate/image/sandbox/polling").json(&body);
    let id = app.ask(request).await.generation_id();
    let list = "/home/paper-lab/generations";
    let page = format!("{list}/{id}");
    let shown = ben.get(&format!("{page}?dialog=delete")).await;
    assert!(shown.has("data-live") && shown.has("Being made"), "{}", shown.text);
    assert!(!shown.has("<dialog") && !shown.has("dialog=cancel"), "members look on");
    for act in ["cancel", "delete"] {
        let refused = ben.post(&page, &format!("{page}/{act}"), &[]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{act}");
        let forged = ada.post_as_it_is(&format!("{page}/{act}"), &[]).await;
        assert_eq!(forged.status, StatusCode::FORBIDDEN, "{act}");
        let elsewhere = format!("{GENERATIONS}/{id}/{act}");
        assert_eq!(ada.post(&page, &elsewhere, &[]).await.status, StatusCode::NOT_FOUND, "{act}");
    }
    assert_eq!(ada.get(&format!("{GENERATIONS}/{id}")).await.status, StatusCode::NOT_FOUND);
    assert!(ada.get(&format!("{page}?dialog=cancel")).await.has("Cancel generation?"));
    let canceled = ada.post(&page, &format!("{page}/cancel"), &[]).await;
    assert!(canceled.flash().contains("success"), "{canceled:?}");
    assert_eq!(app.movements(&team, &id), ["reserve", "refund"]);
    let late = ada.post(&page, &format!("{page}/cancel"), &[]).await;
    assert!(late.flash().contains("error"), "{late:?}");
    let shown = ada.get(&page).await;
    assert!(shown.has("Canceled") && shown.has("Refunded") && !shown.has("data-live"));
    let deleted = ada.post(&page, &format!("{page}/delete"), &[]).await;
    assert_eq!((deleted.status, deleted.location()), (StatusCode::SEE_OTHER, list));
    assert_eq!(ada.get(&page).await.status, StatusCode::NOT_FOUND);
}

/// The number that a statistic shows.
fn stat(page: &Page, label: &str) -> String {
    let at = page.text.find(&format!("<p class=\"stat-label\">{label}</p>"));
    let at = at.unwrap_or_else(|| panic!("no {label} in {}", page.text));
    page.text[at..].split("stat-value\">").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

async fn metrics_show_what_was_counted_and_keep_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ada, _) = Person::ada_and_ben(&app).await;
    let home = "/home/personal";
    let empty = ada.get(home).await;
    assert_eq!((stat(&empty, "Generations").as_str(), stat(&empty, "p50").as_str()), ("0", "–"));
    assert!(empty.has("Nothing in this time") && empty.has("Enterprise plan"), "{}", empty.text);
    let fails = json!({ "generation_sandbox_fail_providers": ["sandbox_polling"] });
    let mut ids = Vec::new();
    for (model, fields) in [("sandbox/inline", json!({})), ("sandbox/failover", fails)] {
        ids.push(app.generate(model, fields).await.generation_id());
    }
    app.generate("sandbox/inline", json!({ "generation_sandbox_outcome": "fail" })).await;
    for id in &ids {
        app.wait_for_end(id).await;
    }
    let page = wait::until("all of it is counted", async || {
        let page = ada.get(&format!("{home}?range=24h")).await;
        let requests: i64 = stat(&page, "Requests").parse().unwrap();
        (stat(&page, "Generations") == "3" && requests >= 3).then_some(page)
    })
    .await;
    for (label, value) in
        [("Succeeded", "2"), ("Failed", "1"), ("Failovers", "1"), ("Outputs", "2")]
    {
        assert_eq!(stat(&page, label), value, "{label}");
    }
    for text in [
        "sandbox/failover",
        "Generations by outcome",
        "Time to success",
        "Hour (UTC)",
        "/v1/generate/image",
    ] {
        assert!(page.has(text), "{text} is missing in {}", page.text);
    }
    assert!(!page.has("style=\""), "the policy forbids it");
    let spent = stat(&page, "Credits used");
    assert!(spent != "$0.000", "{spent}");
    // What is deleted stays counted, with its key as with its generation.
    let list = "/home/personal/generations";
    for id in &ids {
        ada.post(&format!("{list}/{id}"), &format!("{list}/{id}/delete"), &[]).await;
    }
    let keys = app.cli(&["key", "list", "--account", &app.account_id]);
    let key = keys["apikeys"][0]["apikey_id"].as_str().unwrap().to_owned();
    app.cli(&["key", "delete", "--id", &key]);
    for range in ["7d", "30d", "90d", "odd"] {
        let page = ada.get(&format!("{home}?range={range}")).await;
        assert_eq!(
            (stat(&page, "Generations").as_str(), stat(&page, "Credits used")),
            ("3", spent.clone()),
            "{range}"
        );
        assert!(page.has("Deleted key"), "{}", page.text);
        assert!(page.text.len() < 100_000, "{range}: {} bytes", page.text.len());
    }
}

async fn strangers_see_nothing_of_what_happened(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (_, ben) = Person::ada_and_ben(&app).await;
    assert_eq!(ben.get("/home/paper-lab").await.status, StatusCode::NOT_FOUND);
    for page in ["logs", "activity", "generations"] {
        for end in ["", ".csv", ".json", "/live"] {
            let path = format!("/home/paper-lab/{page}{end}");
            assert_eq!(ben.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
