//! The emulator as a process of its own: the providers' official client libraries against it,
//! and plain HTTP where there are none. What is checked with a client is in its program below
//! `tests/emulator`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::program::{Server, babysea};
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait;

/// Long enough that a client sees a job wait, run and end: about half a second, and a second.
/// Always the same times, by the seed. Checks that have to meet a job on its way make the times
/// longer for it.
const WATCHABLE: &str = "
seed = 7
webhook_wait_scale = 0.01
";
/// No program takes longer; it gives up waiting before.
const PROGRAM_LIMIT: Duration = Duration::from_secs(240);
/// A key of the form that each provider hands out, and the paths below which it is spoken to.
const DOORS: [(&str, &str, &str); 8] = [
    ("alibabacloud", "sk-0123456789abcdef0123456789abcdef", "/alibabacloud/api/v1"),
    ("bfl", "key", "/bfl"),
    ("byteplus", "key", "/byteplus/api/v3"),
    ("cloudflare", "key", "/cloudflare/client/v4"),
    ("fal", "id:secret", "/fal/queue"),
    ("openai", "sk-0123456789abcdef0123456789abcdef", "/openai/v1"),
    ("replicate", "r8_key", "/replicate/v1"),
    ("runway", "key_0123456789abcdef", "/runway"),
];
pub const PROVIDERS: [&str; 8] =
    ["replicate", "fal", "bfl", "openai", "cloudflare", "byteplus", "alibabacloud", "runway"];

/// A running emulator; gone when dropped.
pub struct Emulator {
    pub url: String,
    client: Client,
    _server: Server,
    _folder: TempDir,
}

impl Emulator {
    /// One whose jobs can be watched.
    fn watchable(more: &str) -> Self {
        let each = PROVIDERS.map(|name| {
            let times = "queue_ms = 5000\nrun_ms = 10000\nfaults = { latency_scale = 0.1 }";
            let more = if name == "openai" { more } else { "" };
            format!("[providers.{name}]\n{times}\n{more}\n")
        });
        Self::start(&format!("{WATCHABLE}{}", each.concat()))
    }

    /// One that does everything at once.
    pub fn instant(settings: &str) -> Self {
        let each = PROVIDERS.map(|name| format!("[providers.{name}.faults]\nlatency_scale = 0\n"));
        Self::start(&format!("{WATCHABLE}{settings}\n{}", each.concat()))
    }

    /// One that takes its time, a little of it: no submit is answered with the end.
    pub fn quick(settings: &str) -> Self {
        let times = "queue_ms = 10000\nrun_ms = 5000\nfaults = { latency_scale = 0.01 }";
        let each = PROVIDERS.map(|name| format!("[providers.{name}]\n{times}\n"));
        Self::start(&format!("{WATCHABLE}{settings}\n{}", each.concat()))
    }

    fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("emulator.toml");
        std::fs::write(&file, settings).unwrap();
        let mut command = babysea(&[]);
        command.args(["emulate", "--listen", "127.0.0.1:0", "--json", "--config"]).arg(&file);
        let mut server = Server::start(&mut command);
        let line: Value = serde_json::from_str(&server.read_until("url")).unwrap();
        let url = line["url"].as_str().unwrap().to_owned();
        let no_redirects = reqwest::redirect::Policy::none();
        let client = Client::builder().no_proxy().redirect(no_redirects).build().unwrap();
        Self { url, client, _server: server, _folder: folder }
    }

    /// A server that has credentials for all providers, and finds them here.
    pub async fn app(&self, more: &[(&str, &str)]) -> TestApp {
        Self::app_at(&self.url, more).await
    }

    /// The same at any address.
    pub async fn app_at(url: &str, more: &[(&str, &str)]) -> TestApp {
        let mut settings: Vec<(String, String)> = [
            ("catalogue.allow_placeholder_prices", "true"),
            ("plan_enterprise.images_in_flight_max", "1000"),
            ("plan_enterprise.videos_in_flight_max", "1000"),
            ("provider_cloudflare.account_id", "0123456789abcdef0123456789abcdef"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        for (key, path) in
            [("run_url", "/fal/run"), ("keys_url", "/fal/rest/.well-known/jwks.json")]
        {
            settings.push((format!("provider_fal.{key}"), format!("{url}{path}")));
        }
        for (name, key, path) in DOORS {
            settings.push((format!("provider_{name}.api_key"), key.to_owned()));
            settings.push((format!("provider_{name}.base_url"), format!("{url}{path}")));
        }
        settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let app = TestApp::start_with(Backend::Sqlite, &settings).await;
        // Films cost more than the first account is given.
        let line =
            ["credit", "add", "--account", &app.account_id, "--amount", "100", "--key", "films"];
        app.cli(&[&line[..], &["--description", "For films"]].concat());
        app
    }

    /// What it was asked: method and path of each request to a provider.
    pub async fn asked(&self, provider: &str) -> Vec<String> {
        let log = body(self.get("/admin/log").await).await;
        let requests = log["requests"].as_array().unwrap();
        let of = |it: &&Value| it["kind"] == "request" && it["provider"] == provider;
        let line = |it: &Value| {
            format!("{} {}", it["method"].as_str().unwrap(), it["path"].as_str().unwrap())
        };
        requests.iter().filter(of).map(line).collect()
    }

    /// What its callbacks were answered with, in order; 0 for no answer.
    pub async fn called(&self, provider: &str) -> Vec<u64> {
        let log = body(self.get("/admin/log").await).await;
        let entries = log["requests"].as_array().unwrap();
        let of = |it: &&Value| it["kind"] == "callback" && it["provider"] == provider;
        entries.iter().filter(of).map(|it| it["status"].as_u64().unwrap_or_default()).collect()
    }

    pub async fn reset(&self) {
        let answer = self.post("/admin/reset", &json!({})).send().await.unwrap();
        assert_eq!(answer.status(), 204);
    }

    fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).json(body)
    }

    pub async fn set_faults(&self, provider: &str, faults: Value) {
        let url = format!("{}/admin/faults/{provider}", self.url);
        let answer = self.client.put(url).json(&faults).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    async fn get(&self, path_or_url: &str) -> reqwest::Response {
        let url = if path_or_url.starts_with("http") {
            path_or_url.to_owned()
        } else {
            format!("{}{path_or_url}", self.url)
        };
        self.client.get(url).header("authorization", "Bearer r8_any").send().await.unwrap()
    }

    /// Makes a prediction on the wire of Replicate.
    async fn predict(&self, more: Value) -> Result<reqwest::Response, reqwest::Error> {
        let mut body = json!({ "input": { "prompt": "a fox", "output_format": "png" } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let path = "/replicate/v1/models/black-forest-labs/flux-schnell/predictions";
        self.post(path, &body).bearer_auth("r8_any").send().await
    }
}

async fn body(answer: reqwest::Response) -> Value {
    answer.json().await.unwrap()
}

/// Where the client libraries are, once `tests/run` has installed them; where CI says that it is
/// CI, they have to be.
fn installed(place: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulator").join(place);
    let here = path.exists();
    assert!(here || std::env::var_os("CI").is_none(), "CI must install {}", path.display());
    if !here {
        eprintln!("not tested: {} is missing, tests/run installs it", path.display());
    }
    here.then_some(path)
}

/// Runs a program against an emulator of its own.
async fn check(mut command: Command, more: &str, variables: &[(&str, String)]) {
    let emulator = Emulator::watchable(more);
    command
        .env("EMULATOR_URL", &emulator.url)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(PROGRAM_LIMIT, output).await;
    let output = output.expect("the program ends in time").unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
}

async fn check_python(program: &str, more: &str, variables: &[(&str, String)]) {
    let Some(python) = installed("python/.venv/bin/python") else { return };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulator/python").join(program);
    let mut command = Command::new(python);
    command.args(["-B"]).arg(program);
    check(command, more, variables).await;
}

async fn check_node(program: &str) {
    if installed("node/node_modules").is_none() {
        return;
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulator/node").join(program);
    let mut command = Command::new("node");
    command.arg(program);
    check(command, "", &[]).await;
}

#[tokio::test]
async fn the_python_client_of_replicate_works() {
    check_python("check_replicate.py", "", &[]).await;
}

#[tokio::test]
async fn the_python_client_of_fal_works() {
    check_python("check_fal.py", "", &[]).await;
}

#[tokio::test]
async fn the_python_client_of_openai_works() {
    // Its webhook is a setting, so a port has to be known before.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let setting = format!("webhook_url = \"http://127.0.0.1:{port}/hook\"");
    check_python("check_openai.py", &setting, &[("WEBHOOK_PORT", port.to_string())]).await;
}

#[tokio::test]
async fn the_python_client_of_runway_works() {
    check_python("check_runway.py", "", &[]).await;
}

#[tokio::test]
async fn the_python_client_of_dashscope_works() {
    check_python("check_dashscope.py", "", &[]).await;
}

#[tokio::test]
async fn the_python_client_of_modelark_works() {
    check_python("check_byteplus.py", "", &[]).await;
}

#[tokio::test]
async fn the_javascript_client_of_replicate_works() {
    check_node("check-replicate.mjs").await;
}

#[tokio::test]
async fn the_javascript_client_of_fal_works() {
    check_node("check-fal.mjs").await;
}

#[tokio::test]
async fn the_javascript_client_of_openai_works() {
    check_node("check-openai.mjs").await;
}

#[tokio::test]
async fn the_javascript_client_of_runway_works() {
    check_node("check-runway.mjs").await;
}

#[tokio::test]
async fn black_forest_labs_is_asked_until_its_picture_is_ready() {
    let emulator = Emulator::watchable("");
    let asked = json!({ "prompt": "a fox", "width": 512, "height": 256, "output_format": "png" });
    let submit = || emulator.post("/bfl/v1/flux-2-pro", &asked);
    let refused = submit().send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(body(refused).await, json!({ "detail": "Not authenticated" }));
    let wrong = json!({ "prompt": "a fox", "width": 511 });
    let wrong = emulator.post("/bfl/v1/flux-2-pro", &wrong).header("x-key", "k").send();
    let wrong = wrong.await.unwrap();
    assert_eq!(wrong.status(), 422);
    assert_eq!(body(wrong).await["detail"][0]["loc"], json!(["body", "width"]));

    let task = body(submit().header("x-key", "k").send().await.unwrap()).await;
    assert_eq!(task["cost"], 3.0);
    let url = task["polling_url"].as_str().unwrap();
    assert_eq!(body(emulator.get(url).await).await["status"], "Pending");
    let ready = wait::until("the picture is ready", async || {
        let state = body(emulator.get(url).await).await;
        (state["status"] == "Ready").then_some(state)
    });
    let ready = ready.await;
    let picture = emulator.get(ready["result"]["sample"].as_str().unwrap()).await;
    assert_eq!(picture.headers()["content-type"], "image/png");
    let picture = picture.bytes().await.unwrap();
    // Width and height of a PNG stand at fixed places.
    assert_eq!((&picture[16..20], &picture[20..24]), (&[0, 0, 2, 0][..], &[0, 0, 1, 0][..]));
    let unknown = body(emulator.get("/bfl/v1/get_result?id=nothing").await).await;
    assert_eq!(unknown["status"], "Task not found");
}

#[tokio::test]
async fn black_forest_labs_signs_what_it_calls_with() {
    let emulator = Emulator::instant("");
    let receiver = Receiver::start();
    receiver.then(Reply::Status(500));
    let asked = json!({
        "prompt": "a fox", "webhook_url": receiver.url, "webhook_secret": "topsecret",
    });
    let submit = emulator.post("/bfl/v1/flux-2-pro", &asked).header("x-key", "k").send();
    let task = body(submit.await.unwrap()).await;
    assert!(task.get("polling_url").is_none(), "{task}");
    // The first was refused, so it comes again.
    let calls = receiver.wait_for_count(2).await;
    let call = &calls[1];
    let told = call.json();
    assert_eq!((&told["id"], &told["status"]), (&task["id"], &json!("Ready")));
    assert_eq!(call.header("x-bfl-signature"), hmac_of("topsecret", &call.body));
}

fn hmac_of(secret: &str, body: &str) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let tag = mac.finalize().into_bytes();
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[tokio::test]
async fn cloudflare_answers_with_base64_or_with_bytes_as_the_model_has_it() {
    let emulator = Emulator::instant("");
    let account = "0123456789abcdef0123456789abcdef";
    let path = |model: &str| format!("/cloudflare/client/v4/accounts/{account}/ai/run/{model}");
    let run = async |model: &str, asked: Value| {
        emulator.post(&path(model), &asked).bearer_auth("t").send().await.unwrap()
    };
    let schnell = "@cf/black-forest-labs/flux-1-schnell";
    let answer = body(run(schnell, json!({ "prompt": "a fox" })).await).await;
    assert_eq!(answer["success"], true);
    let picture = STANDARD.decode(answer["result"]["image"].as_str().unwrap()).unwrap();
    assert_eq!(picture[..2], [0xff, 0xd8]);
    let raw = run("@cf/leonardo/phoenix-1.0", json!({ "prompt": "a", "width": 64 })).await;
    assert_eq!(raw.headers()["content-type"], "image/jpeg");
    assert_eq!(raw.bytes().await.unwrap()[..2], [0xff, 0xd8]);

    let part = |name: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let form = format!("{}{}--x--\r\n", part("prompt", "a fox"), part("width", "256"));
    let klein = format!("{}{}", emulator.url, path("@cf/black-forest-labs/flux-2-klein-4b"));
    let form = emulator.client.post(klein).bearer_auth("t").body(form);
    let form = form.header("content-type", "multipart/form-data; boundary=x");
    assert_eq!(body(form.send().await.unwrap()).await["success"], true);

    for (model, asked, status, code) in [
        (schnell, json!({ "prompt": "nsfw" }), 400, 3030),
        (schnell, json!({ "prompt": "a", "width": 9 }), 400, 5006),
        ("@cf/nobody/nothing", json!({ "prompt": "a" }), 400, 5007),
    ] {
        let answer = run(model, asked).await;
        assert_eq!(answer.status(), status, "{model}");
        let answer = body(answer).await;
        assert_eq!(
            (&answer["success"], &answer["errors"][0]["code"]),
            (&json!(false), &json!(code))
        );
    }
    let keyless = emulator.post(&path(schnell), &json!({ "prompt": "a" })).send().await.unwrap();
    assert_eq!(keyless.status(), 401);
    assert_eq!(body(keyless).await["errors"][0]["code"], 10_000);
}

/// The least that each provider wants to hear of a model: path, headers and body.
fn least(
    provider: &str,
    model: &str,
    is_film: bool,
) -> (String, Vec<(&'static str, &'static str)>, Value) {
    let prompt = "a fox";
    let bearer = |key| vec![("authorization", key)];
    match (provider, is_film) {
        ("replicate", _) => {
            let path = format!("/replicate/v1/models/{model}/predictions");
            (path, bearer("Bearer r8_any"), json!({ "input": { "prompt": prompt } }))
        }
        ("fal", _) => {
            (format!("/fal/queue/{model}"), bearer("Key a:b"), json!({ "prompt": prompt }))
        }
        ("bfl", _) => {
            (format!("/bfl/v1/{model}"), vec![("x-key", "k")], json!({ "prompt": prompt }))
        }
        ("openai", _) => {
            let body = json!({ "model": model, "prompt": prompt });
            ("/openai/v1/images/generations".to_owned(), bearer("Bearer sk-any"), body)
        }
        ("cloudflare", _) => {
            let account = "0123456789abcdef0123456789abcdef";
            let path = format!("/cloudflare/client/v4/accounts/{account}/ai/run/{model}");
            (path, bearer("Bearer t"), json!({ "prompt": prompt }))
        }
        ("byteplus", true) => {
            let body = json!({ "model": model, "content": [{ "type": "text", "text": prompt }] });
            let path = "/byteplus/api/v3/contents/generations/tasks".to_owned();
            (path, bearer("Bearer k"), body)
        }
        ("byteplus", false) => {
            let body = json!({ "model": model, "prompt": prompt });
            ("/byteplus/api/v3/images/generations".to_owned(), bearer("Bearer k"), body)
        }
        ("alibabacloud", _) => {
            let messages = json!([{ "role": "user", "content": [{ "text": prompt }] }]);
            let body =
                json!({ "model": model, "input": { "prompt": prompt, "messages": messages } });
            let is_inline = !is_film && !model.contains("i2i");
            let function = match (is_film, is_inline) {
                (true, _) => "video-generation/video-synthesis",
                (false, true) => "multimodal-generation/generation",
                (false, false) => "image2image/image-synthesis",
            };
            let mut headers = bearer("Bearer sk-any");
            if !is_inline {
                headers.push(("x-dashscope-async", "enable"));
            }
            (format!("/alibabacloud/api/v1/services/aigc/{function}"), headers, body)
        }
        ("runway", _) => {
            let body = json!({
                "model": model, "promptText": prompt, "promptImage": "https://a.example/b.png",
                "referenceImages": [{ "uri": "https://a.example/b.png", "tag": "fox" }],
                "ratio": "1280:720", "duration": 5,
            });
            let task = if is_film { "image_to_video" } else { "text_to_image" };
            let headers =
                vec![("authorization", "Bearer key_any"), ("x-runway-version", "2024-11-06")];
            (format!("/runway/v1/{task}"), headers, body)
        }
        (other, _) => panic!("{other} is not emulated"),
    }
}

#[tokio::test]
async fn every_model_of_the_catalogue_is_known_to_its_providers() {
    let emulator = Emulator::instant("");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let lab: toml::Table = toml::from_str(&text).unwrap();
        for model in lab["model"].as_array().unwrap() {
            let own = model.get("media").or_else(|| lab.get("defaults")?.get("media"));
            let is_film = own.is_some_and(|media| media.as_str() == Some("video"));
            for offer in model["stack"].as_array().unwrap() {
                let (provider, name) = (offer["provider"].as_str(), offer["model"].as_str());
                let (provider, name) = (provider.unwrap(), name.unwrap());
                if !PROVIDERS.contains(&provider) {
                    continue;
                }
                let (path, headers, asked) = least(provider, name, is_film);
                let mut request = emulator.post(&path, &asked);
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                let answer = request.send().await.unwrap();
                let (status, text) = (answer.status(), answer.text().await.unwrap());
                assert!(status.is_success(), "{provider} {name}: {status} {:.300}", text);
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count}");
}

#[tokio::test]
async fn every_fault_of_a_call_is_what_it_says() {
    let emulator = Emulator::instant("");
    for (fault, status) in [
        ("rate_limited", 429),
        ("server_error", 500),
        ("unauthorized", 401),
        ("out_of_credit", 402),
        ("html", 502),
        ("redirect", 302),
    ] {
        emulator.set_faults("replicate", json!({ fault: 1, "latency_scale": 0 })).await;
        let answer = emulator.predict(json!({})).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{fault}");
    }
    emulator.set_faults("replicate", json!({ "garbage": 1, "latency_scale": 0 })).await;
    assert!(emulator.predict(json!({})).await.unwrap().json::<Value>().await.is_err());
    emulator.set_faults("replicate", json!({ "truncated": 1, "latency_scale": 0 })).await;
    assert!(emulator.predict(json!({})).await.unwrap().bytes().await.is_err());
    emulator.set_faults("replicate", json!({ "wrong_type": 1, "latency_scale": 0 })).await;
    let answer = emulator.predict(json!({})).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html");
    let hang = json!({ "timeout": 1, "latency_scale": 0, "hang_ms": 1 });
    emulator.set_faults("replicate", hang).await;
    assert!(emulator.predict(json!({})).await.is_err());
    for fault in ["slow_drip", "endless"] {
        emulator.set_faults("replicate", json!({ fault: 1, "latency_scale": 0 })).await;
        let mut answer = emulator.predict(json!({})).await.unwrap();
        // It has begun, and nobody waits for its end.
        assert!(answer.chunk().await.unwrap().is_some(), "{fault}");
    }
}

#[tokio::test]
async fn a_lost_reply_leaves_a_job_behind() {
    let emulator = Emulator::instant("");
    let faults = json!({ "lost_reply": 1, "on": "submit", "latency_scale": 0 });
    emulator.set_faults("replicate", faults).await;
    assert!(emulator.predict(json!({})).await.is_err());
    let list = body(emulator.get("/replicate/v1/predictions").await).await;
    assert_eq!(list["results"].as_array().unwrap().len(), 1);
    let log = body(emulator.get("/admin/log").await).await;
    let lost = &log["requests"][0];
    assert_eq!((&lost["fault"], &lost["status"]), (&json!("lost_reply"), &Value::Null));
    let authorization = json!(["authorization", "[redacted]"]);
    assert!(lost["headers"].as_array().unwrap().contains(&authorization), "{lost}");
    let reset = emulator.post("/admin/reset", &json!({})).send().await.unwrap();
    assert_eq!(reset.status(), 204);
    let log = body(emulator.get("/admin/log").await).await;
    assert_eq!(log, json!({ "requests": [], "jobs": [] }));
}

#[tokio::test]
async fn callbacks_go_missing_come_twice_forged_or_early() {
    let emulator = Emulator::instant("");
    let receiver = Receiver::start();
    let hook = json!({ "webhook": receiver.url, "webhook_events_filter": ["completed"] });
    let submit = async |fault: &str| {
        emulator.set_faults("replicate", json!({ fault: 1, "latency_scale": 0 })).await;
        body(emulator.predict(hook.clone()).await.unwrap()).await["id"].clone()
    };
    submit("never_call_back").await;
    let twice = submit("duplicate_callback").await;
    let calls = receiver.wait_for_count(2).await;
    assert_eq!([&calls[0].json()["id"], &calls[1].json()["id"]], [&twice, &twice]);
    assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
    let forged = submit("forged_callback").await;
    let calls = receiver.wait_for_count(4).await;
    assert_eq!([&calls[2].json()["id"], &calls[3].json()["id"]], [&forged, &forged]);
    assert_ne!(calls[2].header("webhook-signature"), calls[3].header("webhook-signature"));
    let early = submit("early_callback").await;
    // It came before the answer to the submit.
    assert_eq!(receiver.received()[4].json()["id"], early);
    assert_eq!(receiver.received().len(), 5);
}

#[tokio::test]
async fn files_are_there_for_whoever_has_an_unchanged_url() {
    let emulator = Emulator::instant("");
    let made = body(emulator.predict(json!({})).await.unwrap()).await;
    let id = made["id"].as_str().unwrap();
    let made = body(emulator.get(&format!("/replicate/v1/predictions/{id}")).await).await;
    let url = made["output"][0].as_str().unwrap();
    assert_eq!(emulator.get(url).await.status(), 200);
    let later = url.replace("expires=1", "expires=2");
    assert_ne!(later, url);
    assert_eq!(emulator.get(&later).await.status(), 403);
    assert_eq!(emulator.get(url.split('?').next().unwrap()).await.status(), 403);
}

#[tokio::test]
async fn keys_and_rates_that_are_set_are_kept_to() {
    let replicate = "[providers.replicate]\nkeys = [\"r8_any\"]\nper_minute = 2\n\
                     [providers.replicate.faults]\nlatency_scale = 0\n";
    let emulator = Emulator::start(&format!("{WATCHABLE}{replicate}"));
    let wrong = emulator.post("/replicate/v1/predictions", &json!({})).bearer_auth("r8_other");
    assert_eq!(wrong.send().await.unwrap().status(), 401);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(emulator.predict(json!({})).await.unwrap());
    }
    let limited = statuses.pop().unwrap();
    assert!(statuses.iter().all(|answer| answer.status() == StatusCode::CREATED));
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (429, &"30".parse().unwrap())
    );
    assert_eq!(body(limited).await["retry_after"], 30);
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("emulator.toml");
    std::fs::write(&file, "[providers.fal.faults]\nserver_error = 2\n").unwrap();
    let mut command = babysea(&[]);
    command.args(["emulate", "--config"]).arg(&file);
    let printed = crate::support::program::run(&mut command);
    assert_eq!(printed.code, 1);
    assert!(printed.err.contains("rates are between 0 and 1"), "{printed:?}");
}
