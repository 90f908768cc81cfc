//! The dashboard in a browser: `tests/browser` against the real program.
//!
//! One server and one browser for all stories, since both take longer to start than a story does.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::people::{self, Person};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_use_the_dashboard_in_a_browser() {
    if !browser_is_here() {
        return;
    }
    let app = TestApp::start(Backend::Sqlite).await;
    let [ada, ben, cleo, dan, olga] = people(&app).await;
    let output = Command::new("node")
        .arg("run.mjs")
        .current_dir(directory())
        .env("BABYSEA_URL", &app.url)
        .env("BABYSEA_KEY", &app.key)
        .env("BABYSEA_FAILURES", failures())
        .env(
            "BABYSEA_PEOPLE",
            json!({
                "ada": ada.cookie(),
                "ben": ben.cookie(),
                "cleo": cleo.cookie(),
                "dan": dan.cookie(),
                "olga": olga.cookie(),
            })
            .to_string(),
        )
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    // A run that finds no stories succeeds too.
    let passed = told.lines().find_map(|line| line.strip_prefix("# pass ")).unwrap();
    assert!(passed.parse::<u32>().unwrap() >= 20, "{told}");
}

/// Ada owns the personal account and two teams, in one of which Ben is an owner and Cleo a member.
/// Dan is in none of them, nor is Olga, who runs the server.
async fn people(app: &TestApp) -> [Person; 5] {
    let ada = Person::new(app, "Ada Lovelace").await;
    let ben = Person::new(app, "Ben Nevis").await;
    let cleo = Person::new(app, "Cleo Patra").await;
    let dan = Person::new(app, "Dan Abroad").await;
    let olga = Person::new(app, "Olga Operator").await;
    app.cli(&["user", "operator", "--email", "olga.operator@example.com", "--is", "true"]);
    ada.own(app, &app.account_id).await;
    for (name, slug) in [("Paper Lab", "paper-lab"), ("Empty Lab", "empty-lab")] {
        let printed = app.cli(&[
            "account",
            "create",
            "--name",
            name,
            "--kind",
            "team",
            "--plan",
            "pro",
            "--credits",
            "5",
        ]);
        let account = printed["account_id"].as_str().unwrap();
        people::name(app, account, name, slug).await;
        ada.own(app, account).await;
        if slug == "paper-lab" {
            ben.join(app, account, "owner").await;
            cleo.join(app, account, "member").await;
        }
    }
    [ada, ben, cleo, dan, olga]
}

/// Whether the stories can be told. `tests/run` installs what they need; where CI says that it is
/// CI, it must be there.
fn browser_is_here() -> bool {
    let driver = directory().join("node_modules/playwright-core").exists();
    let browser = Command::new("chromium").arg("--version").output();
    let here = driver && browser.is_ok_and(|browser| browser.status.success());
    let missing = "Chromium is needed, and `npm ci --ignore-scripts` in tests/browser";
    assert!(here || std::env::var_os("CI").is_none(), "{missing}");
    if !here {
        eprintln!("not tested: {missing}");
    }
    here
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// Where a story that fails leaves a picture.
fn failures() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser")
}
