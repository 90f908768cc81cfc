//! Every model at every provider of its stack: our adapters against the emulator, which was
//! written without them. Two readings of the providers' documents that agree.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::emulator::Emulator;
use crate::support::app::TestApp;
use crate::support::database::Backend;

/// A key of the form that each provider hands out, and the paths below which it is spoken to.
const PROVIDERS: [(&str, &str, &str); 8] = [
    ("alibabacloud", "sk-0123456789abcdef0123456789abcdef", "/alibabacloud/api/v1"),
    ("bfl", "key", "/bfl"),
    ("byteplus", "key", "/byteplus/api/v3"),
    ("cloudflare", "key", "/cloudflare/client/v4"),
    ("fal", "id:secret", "/fal/queue"),
    ("openai", "sk-0123456789abcdef0123456789abcdef", "/openai/v1"),
    ("replicate", "r8_key", "/replicate/v1"),
    ("runway", "key_0123456789abcdef", "/runway"),
];

pub async fn app_behind(emulator: &Emulator, more: &[(&str, &str)]) -> TestApp {
    let mut settings = vec![
        ("catalogue.allow_placeholder_prices".to_owned(), "true".to_owned()),
        ("plan_enterprise.images_in_flight_max".to_owned(), "1000".to_owned()),
        ("plan_enterprise.videos_in_flight_max".to_owned(), "1000".to_owned()),
        (
            "provider_cloudflare.account_id".to_owned(),
            "0123456789abcdef0123456789abcdef".to_owned(),
        ),
        (
            "provider_fal.keys_url".to_owned(),
            format!("{}/fal/rest/.well-known/jwks.json", emulator.url),
        ),
    ];
    for (name, key, path) in PROVIDERS {
        settings.push((format!("provider_{name}.api_key"), key.to_owned()));
        settings.push((format!("provider_{name}.base_url"), format!("{}{path}", emulator.url)));
    }
    let settings = settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let settings: Vec<(&str, &str)> = settings.chain(more.iter().copied()).collect();
    TestApp::start_with(Backend::Sqlite, &settings).await
}

/// On one database only: what is tried lies in front of the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_model_lives_at_every_provider_of_its_stack() {
    let emulator = Emulator::instant("");
    let app = app_behind(&emulator, &[]).await;
    let (_, key) = app.account("100000");
    let made = app.generate("sandbox/inline", json!({})).await.generation_id();
    let picture = app.wait_for_end(&made).await["generation_output_file"][0].clone();
    let library = app.ask(app.get_as(&key, "/v1/library/models")).await;
    let models = library.data()["models"].as_array().unwrap();
    let mut lives = Vec::new();
    for model in models.iter().filter(|model| !is_sandbox(model)) {
        for provider in model["model_supported_provider"].as_array().unwrap() {
            lives.push(live(&app, &key, model, provider, &picture));
        }
    }
    assert!(lives.len() > 80, "{}", lives.len());
    // A few at a time: each ends with a real file that this machine draws.
    let mut failed = Vec::new();
    while !lives.is_empty() {
        let some = lives.drain(..lives.len().min(8));
        failed.extend(join_all(some).await.into_iter().filter_map(Result::err));
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

fn is_sandbox(model: &Value) -> bool {
    model["model_identifier"].as_str().unwrap().starts_with("sandbox/")
}

/// One generation with defaults, and with a picture where the model cannot do without.
async fn live(
    app: &TestApp,
    key: &str,
    model: &Value,
    provider: &Value,
    picture: &Value,
) -> Result<(), String> {
    let name = model["model_identifier"].as_str().unwrap();
    let kind = model["model_type"].as_str().unwrap();
    let mut body = json!({ "generation_prompt": "a boat", "generation_provider_order": provider });
    if let Some(durations) = model["schema"]["generation_duration"].as_array() {
        body["generation_duration"] = durations[0].clone();
    }
    let path = format!("/v1/generate/{kind}/{name}");
    let mut answer = app.ask(app.post_as(key, &path).json(&body)).await;
    if answer.body["error"]["details"]["field"] == "generation_input_file" {
        body["generation_input_file"] = json!([picture]);
        answer = app.ask(app.post_as(key, &path).json(&body)).await;
    }
    let Some(id) = answer.body["data"]["generation_id"].as_str() else {
        return Err(format!("{name} at {provider}: {}", answer.body["error"]));
    };
    let record = crate::support::wait::until("the generation has ended", async || {
        let record = app.ask(app.get_as(key, &format!("/v1/content/{id}"))).await.data().clone();
        let status = record["generation_status"].as_str().unwrap();
        (!["pending", "processing"].contains(&status)).then_some(record)
    })
    .await;
    match record["generation_status"] == "succeeded"
        && record["generation_provider_used"] == *provider
    {
        true => Ok(()),
        false => Err(format!("{name} at {provider}: {record}")),
    }
}
