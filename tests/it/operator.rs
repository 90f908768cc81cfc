//! Running the server: its start, its settings, what it shows, and its end.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::metrics::Metrics;
use crate::support::program::{Printed, Server, babysea, run};
use crate::support::receiver::Receiver;
use crate::support::wait;
use crate::support::wire;

on_both!(
    the_metrics_tell_what_has_happened,
    an_idle_connection_does_not_hold_up_a_stop,
    what_is_under_way_is_answered_before_a_stop,
);

/// A data directory of one story.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program on this directory, with every listener on a port of its own.
    fn babysea(&self, settings: &[(&str, &str)]) -> Command {
        let mut command = babysea(&[("auth.bcrypt_cost", "4"), ("operator.listen", "127.0.0.1:0")]);
        for (key, value) in settings {
            command.env(format!("BABYSEA__{}", key.to_uppercase().replace('.', "__")), value);
        }
        command.args(["--data-dir", &self.path("data")]);
        command
    }

    /// A start that has to fail; gives what is said about it.
    fn refusal(&self, settings: &[(&str, &str)], more: &[&str]) -> String {
        let line = self.babysea(settings).args(["--listen", "127.0.0.1:0"]).args(more).output();
        let output = line.unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
        String::from_utf8(output.stderr).unwrap()
    }
}

#[tokio::test]
async fn the_key_of_the_first_account_is_printed_once() {
    let place = Place::new();
    let mut server = Server::start(place.babysea(&[]).args(["--listen", "127.0.0.1:0"]));
    let printed = server.read_until("generation_prompt");
    let key = printed.lines().map(str::trim).find(|line| line.starts_with("bye_")).unwrap();
    let url = printed.lines().next().unwrap().split(' ').next_back().unwrap();
    assert!(printed.contains("/metrics"), "{printed}");
    // What is printed can be pasted into a shell.
    let curl = &printed[printed.find("curl").unwrap()..];
    assert!(curl.contains(&format!("{url}/v1/generate/image/sandbox/inline")), "{curl}");
    assert!(curl.contains(&format!("Authorization: Bearer {key}")), "{curl}");
    let pasted = Command::new("sh").args(["-c", curl]).output();
    let pasted = pasted.unwrap();
    let answer: Value = serde_json::from_slice(&pasted.stdout).unwrap_or_else(|_| {
        panic!("{}", String::from_utf8_lossy(&pasted.stderr));
    });
    assert_eq!(answer["data"]["generation_initialized"], true, "{answer}");
    for path in ["/livez", "/readyz"] {
        let client = reqwest::Client::new();
        wait::until("the server is ready", async || {
            let answer = client.get(format!("{url}{path}")).send().await.unwrap();
            (answer.status() == 200).then_some(())
        })
        .await;
    }
    let stored = ["babysea.db", "master.key", "outputs"];
    assert!(
        stored.iter().all(|name| std::fs::exists(place.path(&format!("data/{name}"))).unwrap())
    );

    let key = key.to_owned();
    assert!(server.stop("-TERM").await.success());
    assert!(!server.rest().contains("bye_"), "not a second time");
    let mut server = Server::start(place.babysea(&[]).args(["--listen", "127.0.0.1:0", "serve"]));
    let printed = server.read_until("/metrics");
    let url = printed.lines().next().unwrap().split(' ').next_back().unwrap().to_owned();
    let asked = reqwest::Client::new().get(format!("{url}/v1/status")).bearer_auth(key);
    assert_eq!(asked.send().await.unwrap().status(), 200, "the key goes on");
    assert!(server.stop("-INT").await.success());
    let rest = server.rest();
    assert!(!printed.contains("bye_") && !rest.contains("bye_"), "{printed}{rest}");
    assert_eq!(run(place.babysea(&[]).arg("audit")).code, 0);
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let place = Place::new();
    let mut server = Server::start(place.babysea(&[]).args(["--listen", "127.0.0.1:0"]));
    server.read_until("listens on");
    let refusal = place.refusal(&[], &["serve"]);
    assert!(refusal.contains("another server runs on the data directory"), "{refusal}");
    assert!(refusal.contains(&place.path("data")), "{refusal}");
    assert_eq!(run(place.babysea(&[]).arg("audit")).code, 0, "commands are not refused");
    // Nor from another data directory on the same database.
    let database = format!("sqlite:{}/babysea.db", place.path("data"));
    let refusal = Place::new().refusal(&[("storage.database_url", &database)], &["serve"]);
    assert!(refusal.contains("another server runs on the database"), "{refusal}");
    // It is free again however the server ends.
    drop(server);
    let mut server = Server::start(place.babysea(&[]).args(["--listen", "127.0.0.1:0"]));
    server.read_until("listens on");
}

#[tokio::test]
async fn a_taken_metrics_port_does_not_keep_a_server_from_serving() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let start = [("operator.listen", at.as_str())];
    let mut server = Server::start(place.babysea(&start).args(["--listen", "127.0.0.1:0"]));
    let printed = server.read_until("generation_prompt");
    assert!(printed.contains("listens on") && !printed.contains("/metrics"), "{printed}");
}

#[test]
fn settings_that_cannot_be_used_are_refused_all_at_once() {
    let place = Place::new();
    let file = place.write("bad.toml", "[server]\nport = 1\nworkers = \"many\"\n[colour]\nx = 1\n");
    let refusal = place
        .refusal(&[("auth.bcrypt_cost", "99"), ("server.listening", "x")], &["--config", &file]);
    for problem in [
        &format!("`server.port` is not a setting (set in {file})"),
        &format!("`server.workers` must be a whole number from 0 to 1024 (set in {file})"),
        &format!("`colour.x` is not a setting (set in {file})"),
        "`auth.bcrypt_cost` must be a whole number from 4 to 15",
        "BABYSEA__AUTH__BCRYPT_COST",
        "BABYSEA__SERVER__LISTENING",
    ] {
        assert!(refusal.contains(problem), "{problem} is not in\n{refusal}");
    }
    let refusal = place.refusal(&[], &["--config", "/nowhere/babysea.toml"]);
    assert!(refusal.contains("/nowhere/babysea.toml"), "{refusal}");
    let broken = place.write("broken.toml", "[server\n");
    let refusal = place.refusal(&[], &["--config", &broken]);
    assert!(refusal.contains(&broken), "{refusal}");
    let refusal = place.refusal(&[], &["--database-url", "mysql://a/b"]);
    assert!(refusal.contains("storage.database_url") && refusal.contains("--database-url"));
    assert!(!std::fs::exists(place.path("data")).unwrap(), "nothing was made");
}

#[test]
fn a_bad_catalogue_is_refused_with_its_place() {
    let place = Place::new();
    let good = r#"
        [[model]]
        identifier = "own/model"
        media = "image"
        price = 0.05
        price_source = "operator"
        stack = [{ provider = "sandbox_inline", model = "sandbox-image" }]
        ratios = ["1:1"]
        formats = ["png"]
    "#;
    let directory = place.path("catalogue");
    let settings = [("catalogue.directory", directory.as_str())];
    for (text, problem) in [
        ("[[model]]\nidentifier = \"a/b\"\nprise = 1\n", "own.toml:3: unknown field `prise`"),
        ("x = \n", "own.toml:1: "),
        (&good.replace("price = 0.05", "price = -1.0"), "own.toml:2: own/model: price"),
        (&good.replace("sandbox_inline", "nobody"), "own.toml:2: own/model: stack"),
        (&format!("{good}{good}"), "own.toml:11: own/model"),
    ] {
        let file = place.write("catalogue/own.toml", text);
        let refusal = place.refusal(&settings, &[]);
        assert!(refusal.contains(problem) && refusal.contains(&file), "{problem}:\n{refusal}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(place.refusal(&settings, &[]).contains(&directory));
}

#[tokio::test]
async fn of_settings_given_twice_the_nearer_one_wins() {
    let place = Place::new();
    let file = place.write(
        "own.toml",
        "[server]\nlisten = \"192.0.2.1:1\"\npublic_url = \"https://file.example\"\n\
         region = \"file\"\n",
    );
    let announced = async |settings: &[(&str, &str)], more: &[&str]| {
        let mut command = place.babysea(settings);
        let mut server = Server::start(command.args(["--json", "--config", &file]).args(more));
        let line: Value = serde_json::from_str(&server.read_until("\n")).unwrap();
        assert!(server.stop("-TERM").await.success());
        assert_eq!(server.rest(), "", "one document and no warning");
        line["url"].as_str().unwrap().to_owned()
    };
    let loopback = ("server.listen", "127.0.0.1:0");
    assert_eq!(announced(&[loopback], &[]).await, "https://file.example");
    let environment = ("server.public_url", "https://environment.example");
    assert_eq!(announced(&[loopback, environment], &[]).await, "https://environment.example");
    // The file's address is none of this machine's, and the environment's is nonsense.
    let listens = ["--listen", "127.0.0.1:0"];
    let nonsense = ("server.listen", "nonsense");
    assert_eq!(announced(&[nonsense, environment], &listens).await, "https://environment.example");
    let nowhere = ("server.public_url", "");
    let url = announced(&[nowhere], &["serve", listens[0], listens[1]]).await;
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let Printed { err, .. } = run(place.babysea(&[]).args(["--config", &file, "serve"]));
    assert!(err.contains("192.0.2.1:1"), "the file is heard when nobody else speaks: {err}");
}

async fn the_metrics_tell_what_has_happened(backend: Backend) {
    let app = TestApp::start(backend).await;
    let receiver = Receiver::start();
    let line = ["webhook", "create", "--account", &app.account_id, "--url", &receiver.url];
    app.cli(&line);
    for _ in 0..2 {
        app.generate("sandbox/inline", json!({})).await.data();
    }
    let failing = json!({ "generation_sandbox_outcome": "fail" });
    app.generate("sandbox/polling", failing).await;
    let slow = json!({ "generation_sandbox_latency_ms": 60000 });
    let id = app.generate("sandbox/polling", slow).await.generation_id();
    wait::until("the one in flight is counted", async || {
        let metrics = Metrics::read(&app).await;
        let alive = metrics.get("babysea_generation_actors_alive");
        let processing = metrics.get("babysea_generations_in_flight{status=\"processing\"}");
        ((alive, processing) == (1.0, 1.0)).then_some(())
    })
    .await;
    app.ask(app.post(&format!("/v1/content/generation/cancel/{id}"))).await.data();
    let metrics = wait::until("everybody has ended", async || {
        let metrics = Metrics::read(&app).await;
        let alive = metrics.get("babysea_generation_actors_alive")
            + metrics.get("babysea_endpoint_actors_alive")
            + metrics.get("babysea_generations_in_flight{status=\"processing\"}");
        let told = metrics.get("babysea_webhook_tries_total{status=\"delivered\"}");
        (alive == 0.0 && told >= 7.0).then_some(metrics)
    })
    .await;
    let families = [
        ("generations", "counter"),
        ("generations_in_flight", "gauge"),
        ("oldest_due_seconds", "gauge"),
        ("attempts", "counter"),
        ("commit_units", "histogram"),
        ("commit_seconds", "histogram"),
        ("http_request_duration_seconds", "histogram"),
        ("bcrypt_queue_depth", "gauge"),
        ("auth_outcomes", "counter"),
        ("webhook_tries", "counter"),
    ];
    let actors = ["alive", "started", "finished", "restarted", "panicked"];
    let actors = actors.iter().flat_map(|what| {
        let kind = if *what == "alive" { "gauge" } else { "counter" };
        ["generation", "endpoint"].map(|of| (format!("{of}_actors_{what}"), kind))
    });
    let families = families.map(|(name, kind)| (name.to_owned(), kind));
    for (name, kind) in families.into_iter().chain(actors) {
        let line = format!("# TYPE babysea_{name} {kind}");
        assert!(metrics.text.lines().any(|found| found == line), "{line}\n{}", metrics.text);
    }
    for (sample, count) in [
        ("generation_actors_started_total", 4.0),
        ("generation_actors_finished_total", 4.0),
        ("generation_actors_restarted_total", 0.0),
        ("generation_actors_panicked_total", 0.0),
        ("endpoint_actors_panicked_total", 0.0),
        ("generations_total{status=\"succeeded\"}", 2.0),
        ("generations_total{status=\"failed\"}", 1.0),
        ("generations_total{status=\"canceled\"}", 1.0),
        ("generations_in_flight{status=\"pending\"}", 0.0),
        ("attempts_total{provider=\"sandbox_inline\",outcome=\"used\"}", 2.0),
        ("attempts_total{provider=\"sandbox_polling\",outcome=\"failed\"}", 1.0),
        ("attempts_total{provider=\"sandbox_polling\",outcome=\"canceled\"}", 1.0),
        ("oldest_due_seconds{work=\"generation\"}", 0.0),
        ("oldest_due_seconds{work=\"delivery\"}", 0.0),
        ("bcrypt_queue_depth", 0.0),
        (
            "http_request_duration_seconds_count{route=\"/v1/generate/image/{model:.*}\",\
             method=\"POST\",status=\"2xx\"}",
            4.0,
        ),
    ] {
        let found = metrics.get(&format!("babysea_{sample}"));
        assert_eq!(found, count, "{sample}\n{}", metrics.text);
    }
    assert!(metrics.get("babysea_commit_units_count") > 8.0);
    assert!(metrics.get("babysea_commit_seconds_sum") > 0.0);
    assert!(metrics.text.ends_with("# EOF\n"));

    // The same for people, and for programs.
    let at = app.operator_url.strip_prefix("http://").unwrap();
    let place = Place::new();
    let ask = |flag: &str| run(place.babysea(&[("operator.listen", at)]).args(["actors", flag]));
    let shown = ask("--json").json();
    assert_eq!(shown["generation_actors"]["started"], 4.0);
    assert_eq!(shown["generation_actors"]["alive"], 0.0);
    assert_eq!(shown["generations"]["succeeded"], 2.0);
    assert_eq!(shown["attempts"]["sandbox_inline used"], 2.0);
    for section in ["endpoint_actors", "oldest_due_seconds", "commits", "generations_in_flight"] {
        assert!(shown[section].is_object(), "{shown}");
    }
    let shown = ask("--once");
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    assert!(shown.out.contains("Generation actors\nalive"), "{}", shown.out);
    let nobody =
        run(place.babysea(&[("operator.listen", "127.0.0.1:9")]).args(["actors", "--once"]));
    assert!(nobody.code == 1 && nobody.err.contains("is it running?"), "{nobody:?}");
}

/// A stop that has nothing to wait for, and the time that a loaded machine takes for it. Far
/// below the limits of what it could wait for.
const AT_ONCE: Duration = Duration::from_secs(30);

async fn an_idle_connection_does_not_hold_up_a_stop(backend: Backend) {
    let settings = [("server.shutdown_timeout_ms", "60000")];
    let mut app = TestApp::start_with(backend, &settings).await;
    let get = async |url: &str, path: &str| {
        let mut stream = wire::connect(url).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        stream
    };
    let idle = [get(&app.url, "/livez").await, get(&app.operator_url, "/metrics").await];
    let silent = wire::connect(&app.url).await;
    let began = Instant::now();
    assert!(app.stop().await.success());
    assert!(began.elapsed() < AT_ONCE, "it took {:?}", began.elapsed());
    drop((idle, silent));
}

async fn what_is_under_way_is_answered_before_a_stop(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let body = json!({ "generation_prompt": "x", "generation_sandbox_latency_ms": 2000 });
    let request = app.post("/v1/generate/image/sandbox/inline").json(&body);
    let asked = tokio::spawn(request.send());
    wait::until("it is under way", async || {
        let metrics = Metrics::read(&app).await;
        (metrics.get("babysea_generation_actors_alive") == 1.0).then_some(())
    })
    .await;
    assert!(app.stop().await.success());
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["connection"]),
        (200, &"close".parse().unwrap())
    );
    let id = answer.json::<Value>().await.unwrap()["data"]["generation_id"].clone();
    assert_eq!(app.movements(&app.account_id, id.as_str().unwrap()), ["reserve", "charge"]);
}
