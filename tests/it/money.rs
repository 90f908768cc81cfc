//! Credit, billing, alerts and domains in the dashboard.

use reqwest::StatusCode;
use serde_json::json;

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::page::Page;
use crate::support::people::Person;
use crate::support::wait;

on_both!(
    the_ledger_is_shown_searched_and_read_page_by_page,
    billing_tells_the_plan_and_what_is_used_of_it,
    alerts_are_changed_by_the_primary_owner_alone,
    strangers_see_no_money,
);

const CREDITS: &str = "/home/paper-lab/credits";
const BILLING: &str = "/home/paper-lab/billing";

async fn generate(app: &TestApp, key: &str, outcome: &str) -> String {
    let body = json!({
        "generation_prompt": "a lighthouse made of folded paper",
        "generation_sandbox_outcome": outcome,
    });
    let asked = app.post_as(key, "/v1/generate/image/sandbox/polling").json(&body);
    app.ask(asked).await.generation_id()
}

/// Waits until so many movements are in the ledger.
async fn settled(app: &TestApp, account: &str, movements: usize) {
    wait::until("everything is settled", async || {
        (app.ledger(account).len() == movements).then_some(())
    })
    .await;
}

async fn the_ledger_is_shown_searched_and_read_page_by_page(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (team, key) = app.account("5");
    let (ada, ben) = Person::ada_and_ben(&app).await;
    let charged = generate(&app, &key, "succeed").await;
    settled(&app, &team, 3).await;
    let refunded = generate(&app, &key, "fail").await;
    settled(&app, &team, 5).await;
    let shown = ben.get(CREDITS).await;
    assert!(shown.has("<h1>Credits : $4.999</h1>"), "{}", shown.text);
    for text in [
        ">Reserved</span>",
        ">Charged</span>",
        ">Refunded</span>",
        ">Added</span>",
        "data-field=\"amount\">0.001<",
        "data-field=\"amount\">-0.001<",
        "data-field=\"amount\">+0.001<",
        "data-field=\"amount\">+5.000<",
        "data-field=\"balance\">4.998<",
        "data-export=\"credits\"",
        "Opening credits",
    ] {
        assert!(shown.has(text), "{text} is not in {}", shown.text);
    }
    let rows = |page: &Page| page.text.matches("data-select ").count();
    assert_eq!(rows(&shown), 5);
    let of = async |text: &str| ada.get(&format!("{CREDITS}?q={text}")).await;
    for (text, found) in [
        (charged.as_str(), 2),
        (&refunded[9..23], 2),
        ("refund", 1),
        ("Charged", 1),
        ("sandbox/polling", 4),
        ("opening", 1),
        ("%2B5.000", 1),
        ("rocket", 0),
    ] {
        assert_eq!(rows(&of(text).await), found, "{text}");
    }
    for _ in 0..30 {
        generate(&app, &key, "succeed").await;
    }
    settled(&app, &team, 65).await;
    let first = ada.get(CREDITS).await;
    assert_eq!(rows(&first), 50);
    let next = first.text.split("href=\"/home/paper-lab/credits?after=").nth(1).unwrap();
    let second = ada.get(&format!("{CREDITS}?after={}", next.split('"').next().unwrap())).await;
    assert_eq!(rows(&second), 15);
    assert!(second.has(&charged) && second.text.len() < 100_000);
}

async fn billing_tells_the_plan_and_what_is_used_of_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (team, key) = app.account("5");
    let (ada, ben) = Person::ada_and_ben(&app).await;
    generate(&app, &key, "succeed").await;
    settled(&app, &team, 3).await;
    let shown = ben.get(BILLING).await;
    assert_eq!(shown.status, StatusCode::OK);
    for text in [
        "Your current plan",
        "Your current balance",
        "<p class=\"stat-value\">$4.999</p>",
        "<dd>$0.001</dd>",
        "aria-label=\"Generations in the last minute\">1 of ",
        "aria-label=\"Images in flight\">0 of ",
        "Those who run this server change plans.",
        ">Active</span>",
        ">Enterprise",
        "Low Balance Alerts",
    ] {
        assert!(shown.has(text), "{text} is not in {}", shown.text);
    }
    assert_eq!(shown.text.matches(">Current</span>").count(), 1);
    app.cli(&["account", "update", "--id", &team, "--plan", "free"]);
    let shown = ada.get(BILLING).await;
    assert!(shown.has("</svg>Free</p>") && shown.has("Output files kept for 1 hour"));
    let domains = ben.get("/home/paper-lab/domains").await;
    assert!(domains.has(&format!("<code>{}/v1</code>", app.url)), "{}", domains.text);
    assert!(domains.has("Default API endpoint") && domains.has("disabled title=\"Custom domains"));
}

async fn alerts_are_changed_by_the_primary_owner_alone(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (team, _) = app.account("5");
    let (ada, ben) = Person::ada_and_ben(&app).await;
    let stored = || app.cli(&["account", "alerts", "--id", &team]);
    for page in [BILLING, "/home/paper-lab/notifications"] {
        let save = format!("{page}/alerts");
        let shown = ben.get(page).await;
        assert!(shown.has("Only the primary owner can change this."), "{}", shown.text);
        assert!(shown.has("value=\"0.500\"") || shown.has("value=\"2.000\""), "{}", shown.text);
        let fields = [("enabled", "on"), ("threshold", "9")];
        assert_eq!(ben.post(page, &save, &fields).await.status, StatusCode::FORBIDDEN);
        let fields = [
            ("enabled", "on"),
            ("webhook", "on"),
            ("threshold", "2"),
            ("threshold", ""),
            ("threshold", "$0.25"),
        ];
        let saved = ada.post(page, &save, &fields).await;
        assert_eq!((saved.status, saved.location()), (StatusCode::SEE_OTHER, page));
        let now = stored();
        assert_eq!(now["thresholds"], json!([2.0, 0.25]));
        let channels = ["enabled", "in_app", "email", "webhook"].map(|name| now[name] == true);
        assert_eq!(channels, [true, false, false, true]);
        for (bad, problem) in [("1.0001", "at most three decimals"), ("0", "Must be more than 0.")]
        {
            let refused = ada.post(page, &save, &[("threshold", bad)]).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert!(refused.has(problem) && refused.has(&format!("value=\"{bad}\"")), "{problem}");
        }
        let many: Vec<(&str, &str)> = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]
            .map(|it| ("threshold", it))
            .into();
        assert!(ada.post(page, &save, &many).await.has("Must not name more than 10 thresholds."));
        assert_eq!(stored(), now, "what is refused changes nothing");
    }
}

async fn strangers_see_no_money(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.account("5");
    let (ada, ben) = Person::ada_and_ben(&app).await;
    for page in ["credits", "credits/live", "billing", "billing/live", "domains"] {
        let path = format!("/home/personal/{page}");
        assert_eq!(ben.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let save = "/home/personal/billing/alerts";
    let refused = ben.post("/home/paper-lab/api-keys", save, &[("enabled", "on")]).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.post_as_it_is(save, &[("enabled", "on")]).await.status, StatusCode::FORBIDDEN);
}
