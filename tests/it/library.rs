//! The library: what a fresh server lists, it runs.

use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::program::babysea;

on_both!(
    what_a_fresh_server_lists_can_be_tried,
    a_stand_in_that_fails_is_followed_by_the_next_of_the_stack,
    the_library_is_not_sent_twice,
    without_stand_ins_only_the_sandbox_is_on_offer,
    the_operator_sets_prices,
);

fn find<'a>(models: &'a Value, identifier: &str) -> Option<&'a Value> {
    models["models"].as_array().unwrap().iter().find(|it| it["model_identifier"] == identifier)
}

async fn what_a_fresh_server_lists_can_be_tried(backend: Backend) {
    let app = TestApp::start(backend).await;
    let library = app.ask(app.get("/v1/library/models")).await;
    let models = library.data();
    assert_eq!(models["models_total"], 54);
    let schnell = find(models, "bfl/flux-schnell").unwrap();
    assert_eq!(schnell["model_supported_provider"], json!(["replicate", "fal", "cloudflare"]));
    // The request of the contract, 13.4.
    let fields = json!({
        "generation_ratio": "16:9",
        "generation_output_format": "webp",
        "generation_output_number": 1,
        "generation_provider_order": "fastest",
    });
    let answer = app.generate("bfl/flux-schnell", fields).await;
    let order = &answer.data()["generation_provider_order"];
    assert_eq!(*order, json!(["replicate", "fal", "cloudflare"]));
    let record = app.wait_for_end(&answer.generation_id()).await;
    assert_eq!(record["generation_status"], "succeeded", "{record}");
    assert_eq!(record["generation_provider_used"], "replicate");

    let fields = json!({ "generation_duration": 5, "generation_resolution": "480p" });
    let answer = app.generate("bytedance/seedance-1-pro", fields).await;
    let record = app.wait_for_end(&answer.generation_id()).await;
    assert_eq!(record["generation_provider_used"], "byteplus", "{record}");
    assert_eq!(record["generation_camera_fixed"], false);

    let providers = app.ask(app.get("/v1/library/providers")).await;
    assert_eq!(providers.data()["providers_total"], 8);
    let stand_in = |provider: &Value| provider["provider_stand_in"] == true;
    assert!(providers.data()["providers"].as_array().unwrap().iter().all(stand_in));
    let health = app.ask(app.get("/v1/health/inference/models")).await;
    assert_eq!(
        (&health.data()["healthy"], &health.data()["models_total"]),
        (&json!(true), &json!(54))
    );
}

async fn a_stand_in_that_fails_is_followed_by_the_next_of_the_stack(backend: Backend) {
    let catalogue = tempfile::tempdir().unwrap();
    // The steering of the sandbox, on a model with real names in its stack.
    let text = r#"
        [[model]]
        identifier = "bfl/flux-schnell"
        media = "image"
        price = 0.005
        price_source = "published"
        ratios = ["1:1"]
        formats = ["png"]
        fields = ["generation_sandbox_fail_providers"]
        stack = [
          { provider = "bfl", model = "a" },
          { provider = "replicate", model = "b" },
          { provider = "openai", model = "c" },
        ]

        [fields.generation_sandbox_fail_providers]
        type = "enum_list"
        values = ["bfl", "replicate", "openai"]
    "#;
    std::fs::write(catalogue.path().join("own.toml"), text).unwrap();
    let directory = catalogue.path().to_str().unwrap();
    let app = TestApp::start_with(backend, &[("catalogue.directory", directory)]).await;
    for (failing, used) in
        [(vec!["bfl"], json!("replicate")), (vec!["bfl", "replicate"], json!("openai"))]
    {
        let fields = json!({ "generation_sandbox_fail_providers": failing });
        let answer = app.generate("bfl/flux-schnell", fields).await;
        let record = app.wait_for_end(&answer.generation_id()).await;
        assert_eq!(record["generation_provider_used"], used, "{record}");
        assert_eq!(record["generation_status"], "succeeded");
    }
}

async fn the_library_is_not_sent_twice(backend: Backend) {
    let app = TestApp::start(backend).await;
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

async fn without_stand_ins_only_the_sandbox_is_on_offer(backend: Backend) {
    let app = TestApp::start_with(backend, &[("sandbox.stand_in", "false")]).await;
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
    let app = TestApp::start_with(backend, &[("catalogue.prices", &prices)]).await;
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
