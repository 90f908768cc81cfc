//! The library: what a fresh server lists, it runs.

use serde_json::{Value, json};

use crate::emulation::Quick;
use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::program::babysea;

on_both!(
    the_library_is_not_sent_twice,
    without_emulator_and_credentials_only_the_sandbox_is_on_offer,
    the_operator_sets_prices,
);

fn find<'a>(models: &'a Value, identifier: &str) -> Option<&'a Value> {
    models["models"].as_array().unwrap().iter().find(|it| it["model_identifier"] == identifier)
}

async fn the_library_is_not_sent_twice(backend: Backend) {
    let quick = Quick::new();
    let app = TestApp::start_with(backend, &[quick.setting()]).await;
    let first = app.ask(app.get("/v1/library/models")).await;
    let tag = first.headers["etag"].to_str().unwrap();
    let again = app.get("/v1/library/models").header("If-None-Match", tag);
    let again = app.ask(again).await;
    assert_eq!((again.status.as_u16(), &again.body), (304, &Value::Null));
    assert_eq!(again.headers["etag"], first.headers["etag"]);
    let version = &first.headers["x-babysea-catalogue-version"];
    assert_eq!(*version, first.data()["catalogue_version"].as_str().unwrap());
    let id = app.generate("bfl/flux-schnell", json!({})).await.generation_id();
    assert_eq!(app.show(&id)["catalogue_version"], first.data()["catalogue_version"]);
}

async fn without_emulator_and_credentials_only_the_sandbox_is_on_offer(backend: Backend) {
    let app = TestApp::start_with(backend, &[("emulator.enabled", "false")]).await;
    let library = app.ask(app.get("/v1/library/models")).await;
    let all_sandbox = library.data()["models"]
        .as_array()
        .unwrap()
        .iter()
        .all(|model| model["model_identifier"].as_str().unwrap().starts_with("sandbox/"));
    assert!(all_sandbox && library.data()["models_total"] == 5);
    assert_eq!(app.generate("bfl/flux-schnell", json!({})).await.code(), "BSE2011");
    let estimate = app.ask(app.get("/v1/estimate/bfl/flux-schnell")).await;
    assert_eq!(estimate.code(), "BSE2011");
    let providers = app.ask(app.get("/v1/library/providers")).await;
    let inactive = |provider: &Value| provider["provider_status"] == "inactive";
    assert!(providers.data()["providers"].as_array().unwrap().iter().all(inactive));
}

async fn the_operator_sets_prices(backend: Backend) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("prices.toml");
    std::fs::write(&path, "\"bfl/flux-schnell\" = 0.011\n").unwrap();
    let prices = path.to_str().unwrap().to_owned();
    let quick = Quick::new();
    let settings = [("catalogue.prices", prices.as_str()), quick.setting()];
    let app = TestApp::start_with(backend, &settings).await;
    let models = app.ask(app.get("/v1/library/models")).await;
    let schnell = find(models.data(), "bfl/flux-schnell").unwrap();
    assert_eq!(
        (&schnell["model_pricing"], &schnell["model_price_source"]),
        (&json!(0.011), &json!("operator"))
    );
    let id = app.generate("bfl/flux-schnell", json!({})).await.generation_id();
    let entries = app.ledger(&app.account_id);
    let reserve = entries.iter().find(|entry| entry["generation_id"] == id.as_str()).unwrap();
    assert_eq!(reserve["amount"], 0.011);
    app.wait_for_end(&id).await;
}

#[test]
fn a_price_of_nothing_refuses_the_start_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("prices.toml");
    std::fs::write(&path, "# mine\n\"bfl/flux-9\" = 0.011\n").unwrap();
    let data_dir = directory.path().join("data");
    let settings = [
        ("catalogue.prices", path.to_str().unwrap()),
        ("storage.data_dir", data_dir.to_str().unwrap()),
    ];
    let printed =
        crate::support::program::run(babysea(&settings).args(["serve", "--listen", "127.0.0.1:0"]));
    assert_ne!(printed.code, 0);
    let expected = format!("{}:2: bfl/flux-9: there is no such model", path.display());
    assert!(printed.err.contains(&expected), "{}", printed.err);
}
