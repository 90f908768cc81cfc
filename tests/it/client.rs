//! An application with BabySea's TypeScript SDK: `tests/client` against the real program.

use serde_json::json;

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::node;

on_both!(an_application_of_the_official_sdk_lives_unchanged);

async fn an_application_of_the_official_sdk_lives_unchanged(backend: Backend) {
    if !node::is_here() {
        return;
    }
    // So that the story about a job that never ends is not itself one.
    let settings = [("generation.answer_timeout_ms", "3000")];
    let app = TestApp::start_with(backend, &settings).await;
    let mut tests = node::tests();
    app.configure(&mut tests);
    let tests = tests
        .env("BABYSEA_URL", &app.url)
        .env("BABYSEA_KEY", &app.key)
        .env("BABYSEA_ACCOUNT", &app.account_id)
        .env("BABYSEA_COMMAND", json!(app.line()).to_string());
    let output = tests.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    // A run that finds no tests succeeds too.
    let passed = told.lines().find_map(|line| line.split_once("pass ")).unwrap().1;
    assert!(passed.trim().parse::<u32>().unwrap() >= 20, "{told}");
}
