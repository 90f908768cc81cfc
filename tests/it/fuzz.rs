//! Whether the server is as its document says, tried with what nobody would think of.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::database::Backend;

/// How much may be asked is told in other stories.
const NO_LIMITS: [(&str, &str); 3] = [
    ("auth.failures_per_minute", "1000000"),
    ("plan_enterprise.images_in_flight_max", "1000000000"),
    ("plan_enterprise.videos_in_flight_max", "1000000000"),
];

/// On one database only: what differs between the two is behind the store, and this takes long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fuzzer_finds_nothing_that_the_document_does_not_say() {
    let Some(fuzzer) = fuzzer() else { return };
    let app = TestApp::start_with(Backend::Sqlite, &NO_LIMITS).await;
    // Its own account, so that it cannot delete the picture that it is given.
    let (_, key) = app.account("100000");
    let made = app.generate("sandbox/inline", json!({})).await;
    let picture =
        app.wait_for_end(&made.generation_id()).await["generation_output_file"][0].clone();
    let output = Command::new(fuzzer)
        .arg("--config-file")
        .arg(directory().join("schemathesis.toml"))
        .args(["run", "--no-color"])
        .arg(format!("{}/openapi.json", app.url))
        // It keeps what it has learned, and would try something else the next time.
        .current_dir(app.directory.path())
        .env("PYTHONPATH", directory())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("BABYSEA_KEY", key)
        .env("BABYSEA_PICTURE", picture.as_str().unwrap())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("No issues found"), "{told}");
}

/// The fuzzer, where `tests/run` puts it; where CI says that it is CI, it must be there.
fn fuzzer() -> Option<PathBuf> {
    let fuzzer = directory().join(".venv/bin/schemathesis");
    let missing = "a Python environment in tests/fuzz/.venv with requirements.txt is needed";
    assert!(fuzzer.exists() || std::env::var_os("CI").is_none(), "{missing}");
    if !fuzzer.exists() {
        eprintln!("not tested: {missing}");
        return None;
    }
    Some(fuzzer)
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}
