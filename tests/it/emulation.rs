//! A server without any credential, and the emulator in its process.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::emulator::PROVIDERS;
use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;

on_both!(
    what_a_fresh_server_lists_can_be_tried,
    jobs_of_the_emulator_survive_being_killed,
    the_first_credential_ends_the_emulation,
);

/// Settings of an emulator that takes no time.
pub struct Quick {
    path: String,
    _folder: TempDir,
}

impl Quick {
    pub fn new() -> Self {
        Self::scaled(0.0)
    }

    /// One for which a second takes so long.
    fn scaled(scale: f64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("emulator.toml");
        let each = PROVIDERS.map(|name| {
            let times = "queue_ms = 1000\nrun_ms = 1000";
            format!("[providers.{name}]\n{times}\nfaults = {{ latency_scale = {scale:.2} }}\n")
        });
        std::fs::write(&path, each.concat()).unwrap();
        Self { path: path.to_str().unwrap().to_owned(), _folder: folder }
    }

    pub fn setting(&self) -> (&str, &str) {
        ("emulator.settings", &self.path)
    }
}

fn find<'a>(models: &'a Value, identifier: &str) -> Option<&'a Value> {
    models["models"].as_array().unwrap().iter().find(|it| it["model_identifier"] == identifier)
}

async fn what_a_fresh_server_lists_can_be_tried(backend: Backend) {
    let quick = Quick::new();
    let app = TestApp::start_with(backend, &[quick.setting()]).await;
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
    let health = app.ask(app.get("/v1/health/inference/providers")).await;
    for provider in health.data()["providers"].as_array().unwrap() {
        let is_sandbox = provider["provider"].as_str().unwrap().starts_with("sandbox");
        assert_eq!(provider["emulated"], !is_sandbox, "{provider}");
        assert_eq!(provider["configured"], true, "{provider}");
    }
    let health = app.ask(app.get("/v1/health/inference/models")).await;
    assert_eq!(
        (&health.data()["healthy"], &health.data()["models_total"]),
        (&json!(true), &json!(54))
    );
}

/// A generation at each way of delivery.
const WAYS: [(&str, &str, Option<u32>); 4] = [
    ("bfl/flux-schnell", "replicate", None),
    ("bfl/flux-schnell", "fal", None),
    ("bfl/flux-2-pro", "bfl", None),
    ("bytedance/seedance-1-pro", "byteplus", Some(5)),
];

async fn jobs_of_the_emulator_survive_being_killed(backend: Backend) {
    let quick = Quick::scaled(1.0);
    // With an address to be called at they make jobs, and are polled, since nobody is there.
    let nowhere = ("server.public_url", "http://127.0.0.1:9");
    let settings = [quick.setting(), nowhere, ("generation.poll_max_ms", "500")];
    let mut app = TestApp::start_with(backend, &settings).await;
    let mut ids = Vec::new();
    for (model, provider, seconds) in WAYS {
        let mut fields = json!({ "generation_provider_order": provider });
        if let Some(seconds) = seconds {
            fields["generation_duration"] = json!(seconds);
        }
        let made = app.generate(model, fields).await;
        let id = made.generation_id();
        assert_eq!(app.record(&id).await["generation_status"], "processing");
        ids.push(id);
    }
    let before = app.emulator_url.clone();
    app.kill();
    app.start_again();
    assert_ne!(app.emulator_url, before, "it listens somewhere else now");
    for ((_, provider, _), id) in WAYS.iter().zip(&ids) {
        let record = app.wait_for_end(id).await;
        assert_eq!(record["generation_status"], "succeeded", "{record}");
        assert_eq!(record["generation_provider_used"], *provider);
        assert_eq!(app.show(id)["attempts"].as_array().unwrap().len(), 1);
    }
    // Each was submitted once.
    let log: Value = app
        .client
        .get(format!("{}/admin/log", app.emulator_url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(log["jobs"].as_array().unwrap().len(), WAYS.len(), "{log}");
}

async fn the_first_credential_ends_the_emulation(backend: Backend) {
    let key = "s3cr3t-0f-bfl";
    let app = TestApp::start_with(backend, &[("provider_bfl.api_key", key)]).await;
    assert_eq!(app.emulator_url, "");
    let health = app.ask(app.get("/v1/health/inference/providers")).await;
    for provider in health.data()["providers"].as_array().unwrap() {
        let name = provider["provider"].as_str().unwrap();
        let asked = name == "bfl" || name.starts_with("sandbox");
        assert_eq!(provider["configured"], asked, "{provider}");
        assert_eq!(
            (&provider["emulated"], &provider["status"]),
            (&json!(false), &json!("unknown"))
        );
    }
    // Published prices, at providers that are not here.
    assert_eq!(app.generate("bfl/flux-schnell", json!({})).await.code(), "BSE2011");
}

/// What people read at the start.
#[tokio::test]
async fn the_start_says_who_answers_for_the_providers() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let mut settings = vec![
        ("storage.data_dir", data_dir.to_str().unwrap()),
        ("auth.bcrypt_cost", "4"),
        ("operator.listen", ""),
        ("server.listen", "127.0.0.1:0"),
    ];
    let mut server = crate::support::program::Server::start(
        crate::support::program::babysea(&settings).arg("serve"),
    );
    let text = server.read_until("no provider has an API key");
    assert!(text.contains("the emulator at http://127.0.0.1:"), "{text}");
    assert!(server.stop("-TERM").await.success());
    settings.push(("provider_fal.api_key", "id:secret"));
    let mut server = crate::support::program::Server::start(
        crate::support::program::babysea(&settings).arg("serve"),
    );
    let text =
        server.read_until("providers: fal; not asked, without an API key: alibabacloud, bfl");
    assert!(!text.contains("secret"), "{text}");
    assert!(server.stop("-TERM").await.success());
}
