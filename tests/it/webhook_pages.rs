//! Webhook endpoints and notifications in the dashboard: what a person does there, and what comes
//! of it at the endpoint.

use reqwest::StatusCode;
use serde_json::json;

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::people::Person;
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait;

on_both!(
    an_endpoint_is_added_tested_changed_and_deleted,
    queued_events_are_delivered_and_one_is_replayed,
    members_look_on_and_strangers_see_nothing,
    notifications_are_counted_read_and_dismissed,
);

const WEBHOOKS: &str = "/home/personal/webhooks";

/// Adds an endpoint for all events of generations; gives the path of its page and its secret.
async fn add(app: &TestApp, ada: &Person, url: &str) -> (String, String) {
    let fields = [
        ("url", url),
        ("event", "generation.started"),
        ("event", "generation.completed"),
        ("event", "generation.failed"),
        ("event", "generation.canceled"),
    ];
    let added = ada.post(&format!("{WEBHOOKS}?dialog=add"), WEBHOOKS, &fields).await;
    assert_eq!(added.status, StatusCode::OK, "{}", added.text);
    let listed = app.cli(&["webhook", "list", "--account", &app.account_id]);
    let id = listed["webhook_endpoints"][0]["webhook_endpoint_id"].as_str().unwrap();
    (format!("{WEBHOOKS}/{id}"), added.value("webhook-secret").to_owned())
}

async fn an_endpoint_is_added_tested_changed_and_deleted(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ada, _) = Person::ada_and_ben(&app).await;
    let receiver = Receiver::start();
    assert!(ada.get(WEBHOOKS).await.has("No endpoints yet"));
    let form = ada.get(&format!("{WEBHOOKS}?dialog=add")).await;
    assert_eq!(form.text.matches(" checked>").count(), 4, "{}", form.text);
    let bad = [("url", "ftp://example.com/"), ("event", "generation.failed")];
    let refused = ada.post(&format!("{WEBHOOKS}?dialog=add"), WEBHOOKS, &bad).await;
    assert!(refused.has("id=\"url-error\"") && refused.has("ftp://example.com/"));

    let (page, secret) = add(&app, &ada, &receiver.url).await;
    assert!(secret.starts_with("whsec_") && secret.len() == 38, "{secret}");
    assert!(!ada.get(WEBHOOKS).await.has(&secret) && !ada.get(&page).await.has(&secret));

    receiver.then(Reply::Status(204)).then(Reply::Status(500));
    let tested = ada.post(&page, &format!("{page}/test"), &[]).await;
    assert_eq!(tested.status, StatusCode::SEE_OTHER);
    assert!(ada.get(tested.location()).await.has("The endpoint has taken the test event"));
    assert_eq!(receiver.received()[0].event(), "webhook.test");
    let tested = ada.post(&page, &format!("{page}/test"), &[]).await;
    let shown = ada.get(tested.location()).await;
    assert!(shown.has("The endpoint has not taken the test event") && shown.has(">500<"));

    let events = [("event", "generation.failed"), ("event", "credits.low_balance")];
    let saved = ada.post(&page, &format!("{page}/events"), &events).await;
    assert!(saved.flash().contains("success"), "{saved:?}");
    let shown = ada.get(&page).await;
    assert!(shown.has("credits.low_balance") && !shown.has(">generation.started</code>"));
    let none = ada.post(&page, &format!("{page}/events"), &[]).await;
    assert!(none.has("Choose one at least."));

    let rotated = ada.post(&page, &format!("{page}/rotate"), &[("overlap_hours", "24")]).await;
    assert!(rotated.value("webhook-secret") != secret && rotated.has("signs too until"));
    let odd = ada.post(&page, &format!("{page}/rotate"), &[("overlap_hours", "5")]).await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);

    let deleted = ada.post(&page, &format!("{page}/delete"), &[]).await;
    assert_eq!((deleted.status, deleted.location()), (StatusCode::SEE_OTHER, WEBHOOKS));
    assert_eq!(ada.get(&page).await.status, StatusCode::NOT_FOUND);
}

async fn queued_events_are_delivered_and_one_is_replayed(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ada, _) = Person::ada_and_ben(&app).await;
    let receiver = Receiver::start();
    let (page, _) = add(&app, &ada, &receiver.url).await;
    ada.post(&page, &format!("{page}/disable"), &[]).await;
    let generation_id = app.generate("sandbox/inline", json!({})).await.generation_id();
    let shown = ada.get(&page).await;
    assert!(shown.has("2 events queued") && shown.has(&generation_id), "{}", shown.text);
    let refused = ada.post(&page, &format!("{page}/deliver"), &[]).await;
    assert!(refused.flash().contains("error"), "{refused:?}");
    ada.post(&page, &format!("{page}/enable"), &[]).await;
    let sent = ada.post(&page, &format!("{page}/deliver"), &[]).await;
    assert!(sent.flash().contains("2 events are sent again"), "{sent:?}");
    receiver.wait_for_count(2).await;
    let delivered = format!("{page}?status=delivered");
    let log = wait::until("both are in the log", async || {
        Some(ada.get(&delivered).await).filter(|page| page.text.matches(">200<").count() == 2)
    })
    .await;
    assert!(log.has("replay") && log.has("generation.completed") && !log.has("events queued"));
    assert!(ada.get(&format!("{page}?status=failed")).await.has("Nothing has failed"));
    let found = ada.get(&format!("{page}?q={generation_id}")).await;
    assert!(found.has("generation.started"));
    assert!(ada.get(&format!("{page}?q=rocket")).await.has("No results found"));

    let at = log.text.find(&format!("action=\"{page}/replay/")).unwrap();
    let replay = log.text[at..].split('"').nth(1).unwrap();
    let again = ada.post(&page, replay, &[]).await;
    assert!(again.flash().contains("1 event is sent again"), "{again:?}");
    let all = receiver.wait_for_count(3).await;
    assert_eq!(all[2].json()["webhook_data"], all[1].json()["webhook_data"]);
    assert_ne!(all[2].header("x-babysea-delivery-id"), all[1].header("x-babysea-delivery-id"));

    let day = [("from", "2026-01-01T00:00"), ("until", "2099-01-01T00:00")];
    let sent = ada.post(&page, &format!("{page}/replay"), &day).await;
    assert!(sent.flash().contains("2 events are sent again"), "not replays: {sent:?}");
    receiver.wait_for_count(5).await;
    let backwards = [("from", "2099-01-01T00:00"), ("until", "2026-01-01T00:00")];
    let refused = ada.post(&page, &format!("{page}/replay"), &backwards).await;
    assert!(refused.has("must end after it begins"), "{}", refused.text);
}

async fn members_look_on_and_strangers_see_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (team, _) = app.account("10");
    let (ada, ben) = Person::ada_and_ben(&app).await;
    let receiver = Receiver::start();
    let line = ["webhook", "create", "--account", &team, "--url", &receiver.url];
    let made = app.cli(&line);
    let id = made["webhook_endpoint_id"].as_str().unwrap();
    let (list, page) = ("/home/paper-lab/webhooks", format!("/home/paper-lab/webhooks/{id}"));
    for path in [list, &page, &format!("{page}?dialog=rotate"), &format!("{list}?dialog=add")] {
        let shown = ben.get(path).await;
        assert_eq!(shown.status, StatusCode::OK);
        assert!(shown.has(&receiver.url) && !shown.has("<dialog"), "{path}");
        let form = format!("method=\"post\" action=\"{list}");
        assert!(!shown.has(&form), "{path}: {}", shown.text);
    }
    let acts = ["test", "enable", "disable", "events", "deliver", "delete", "rotate", "replay"]
        .map(|act| format!("{page}/{act}"));
    let fields = [
        ("event", "generation.failed"),
        ("overlap_hours", "0"),
        ("from", "2026-01-01T00:00"),
        ("until", "2096-01-01T00:00"),
    ];
    for act in &acts {
        assert_eq!(ben.post(&page, act, &fields).await.status, StatusCode::FORBIDDEN, "{act}");
        let forged = ada.post_as_it_is(act, &fields).await;
        assert_eq!(forged.status, StatusCode::FORBIDDEN, "{act} without what our pages know");
    }
    let fields = [("url", "https://example.com/"), ("event", "generation.failed")];
    assert_eq!(ben.post(&page, list, &fields).await.status, StatusCode::FORBIDDEN);
    // It is the team's: under the address of another account of hers not even Ada finds it.
    let elsewhere = format!("{WEBHOOKS}/{id}");
    assert_eq!(ada.get(&elsewhere).await.status, StatusCode::NOT_FOUND);
    let act = ada.post(list, &format!("{elsewhere}/disable"), &[]).await;
    assert_eq!(act.status, StatusCode::NOT_FOUND);
    assert_eq!(ben.get(WEBHOOKS).await.status, StatusCode::NOT_FOUND);
    assert!(receiver.received().is_empty());
    assert!(ada.get(&page).await.has("aria-checked=\"true\""), "it is as it was");
}

async fn notifications_are_counted_read_and_dismissed(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (team, key) = app.account("0.130");
    let (ada, ben) = Person::ada_and_ben(&app).await;
    let news = "/home/paper-lab/notifications";
    assert!(ada.get(news).await.has("No notifications"));
    let body = json!({ "generation_prompt": "a lighthouse made of folded paper" });
    app.ask(app.post_as(&key, "/v1/generate/image/sandbox/inline").json(&body)).await.data();
    let told = app.cli(&["notification", "list", "--account", &team]);
    let id = told["notifications"][0]["notification_id"].as_str().unwrap().to_owned();
    let shown = ben.get("/home/paper-lab/webhooks").await;
    assert!(shown.has("Notifications, 1 unread"), "on every page: {}", shown.text);
    let shown = ben.get(news).await;
    assert!(shown.has("Low balance") && !shown.has(&format!("action=\"{news}")));
    let read = format!("{news}/read");
    assert_eq!(ben.post(news, &read, &[]).await.status, StatusCode::FORBIDDEN);
    let other = ada.post(news, &format!("/home/personal/notifications/{id}/dismiss"), &[]).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    assert!(ada.post(news, &read, &[]).await.flash().contains("success"));
    let shown = ada.get(news).await;
    assert!(shown.has("Low balance") && !shown.has("unread"), "{}", shown.text);
    ada.post(news, &format!("{news}/{id}/dismiss"), &[]).await;
    assert!(ada.get(news).await.has("No notifications"));
}
