//! Real adapters in the running server, against a provider that a test plays.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex};

use image::{DynamicImage, ImageFormat};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::database::Backend;

on_both!(
    an_output_is_taken_over_and_converted_before_success,
    a_page_in_place_of_a_picture_is_refunded,
    refused_content_is_not_taken_to_another_provider,
    a_provider_that_is_down_is_passed_over,
    a_credential_is_kept_nowhere,
);

const SECRET: &str = "key-id:s3cr3t-0f-the-0perat0r";
const MODEL: &str = "bfl/flux-schnell";

/// fal and Replicate at one address, answering by path.
struct Played {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Played {
    /// `says` gives status and body for a request line.
    async fn start(says: HashMap<&'static str, (u16, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (says, log, own) = (Arc::new(says), Arc::clone(&asked), url.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (says, log, own) = (Arc::clone(&says), Arc::clone(&log), own.clone());
                tokio::spawn(async move { serve(stream, &says, &log, &own).await });
            }
        });
        Self { url, asked }
    }

    fn asked(&self, line: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked.starts_with(line)).count()
    }

    async fn app(&self, backend: Backend) -> TestApp {
        let settings = [
            ("provider_fal.api_key", SECRET),
            ("provider_fal.base_url", self.url.as_str()),
            ("provider_fal.run_url", self.url.as_str()),
            ("provider_replicate.api_key", SECRET),
            ("provider_replicate.base_url", self.url.as_str()),
            // A provider that an operator names may be anywhere, whatever others may.
            ("webhooks.allow_private_targets", "false"),
        ];
        TestApp::start_with(backend, &settings).await
    }
}

async fn serve(
    stream: TcpStream,
    says: &HashMap<&'static str, (u16, Vec<u8>)>,
    log: &Mutex<Vec<String>>,
    own: &str,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    stream.read_line(&mut line).await.ok()?;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        }
    }
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let (status, body) = says.get(line.as_str()).cloned().unwrap_or((500, b"{}".to_vec()));
    log.lock().unwrap().push(line);
    let text = String::from_utf8(body.clone());
    let body = text.map_or(body, |text| text.replace("OWN", own).into_bytes());
    let head = format!(
        "HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(head.as_bytes()).await.ok()?;
    stream.get_mut().write_all(&body).await.ok()
}

fn text(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

const RUN: &str = "POST /fal-ai/flux/schnell";
const PREDICT: &str = "POST /models/black-forest-labs/flux-schnell/predictions";

/// A run at fal that ends with this result and this file.
fn fal(result: (u16, Value), file: Vec<u8>) -> HashMap<&'static str, (u16, Vec<u8>)> {
    HashMap::from([(RUN, (result.0, text(&result.1))), ("GET /out", (200, file))])
}

fn made() -> (u16, Value) {
    (200, json!({ "images": [{ "url": "OWN/out" }], "timings": { "inference": 0.5 } }))
}

fn jpeg() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(16, 9).write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// Runs a generation to its end.
async fn generate(app: &TestApp) -> Value {
    let made = app.generate(MODEL, json!({ "generation_provider_order": "fastest" })).await;
    if made.body["status"] == "success" {
        return app.wait_for_end(&made.generation_id()).await;
    }
    // It has ended before the request was answered.
    let list = app.ask(app.get("/v1/content/list")).await;
    app.record(list.data()["generations"][0]["generation_id"].as_str().unwrap()).await
}

async fn an_output_is_taken_over_and_converted_before_success(backend: Backend) {
    let mut says = fal(made(), jpeg());
    says.insert(PREDICT, (402, text(&json!({ "title": "Insufficient credit", "detail": "x" }))));
    let provider = Played::start(says).await;
    let app = provider.app(backend).await;
    let record = generate(&app).await;
    assert_eq!(record["generation_status"], "succeeded", "{record}");
    assert_eq!(record["generation_provider_used"], "fal");
    assert_eq!(record["generation_metrics_predict_time"], 0.5);
    let url = record["generation_output_file"][0].as_str().unwrap();
    assert!(url.starts_with(&app.url), "{url}");
    let file = app.client.get(url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(image::guess_format(&file).unwrap(), ImageFormat::Png);
    assert_eq!((provider.asked(RUN), provider.asked("GET /out")), (1, 1));
}

async fn a_page_in_place_of_a_picture_is_refunded(backend: Backend) {
    let mut says = fal(made(), b"<html>expired</html>".to_vec());
    says.insert(PREDICT, (401, text(&json!({ "title": "Unauthenticated", "detail": "x" }))));
    let provider = Played::start(says).await;
    let app = provider.app(backend).await;
    let record = generate(&app).await;
    assert_eq!(record["generation_status"], "failed", "{record}");
    assert_eq!(record["generation_error_code"], "BSE4010");
    let shown = app.show(record["generation_id"].as_str().unwrap());
    assert_eq!(shown["attempts"][1]["error_code"], "BSE5003", "{shown}");
}

async fn refused_content_is_not_taken_to_another_provider(backend: Backend) {
    let refusal = json!({ "detail": [{ "msg": "flagged", "type": "content_policy_violation" }] });
    let mut says = fal((422, refusal), Vec::new());
    says.insert(PREDICT, (422, text(&json!({ "title": "Invalid version", "detail": "x" }))));
    let provider = Played::start(says).await;
    let app = provider.app(backend).await;
    let record = generate(&app).await;
    assert_eq!(record["generation_error_code"], "BSE2006", "{record}");
    assert_eq!(provider.asked(RUN), 1);
}

async fn a_provider_that_is_down_is_passed_over(backend: Backend) {
    let mut says = fal(made(), jpeg());
    says.insert(PREDICT, (503, text(&json!({ "detail": "down for a while" }))));
    let provider = Played::start(says).await;
    let app = provider.app(backend).await;
    let record = generate(&app).await;
    assert_eq!(record["generation_provider_used"], "fal", "{record}");
    assert_eq!(provider.asked(PREDICT), 1, "a submit is not repeated");
}

async fn a_credential_is_kept_nowhere(backend: Backend) {
    let refusal =
        json!({ "detail": [{ "msg": format!("bad key {SECRET}"), "type": "value_error" }] });
    let mut says = fal((422, refusal), Vec::new());
    says.insert(PREDICT, (500, text(&json!({ "detail": format!("bad key {SECRET}") }))));
    let provider = Played::start(says).await;
    let mut app = provider.app(backend).await;
    let record = generate(&app).await;
    assert_eq!(record["generation_status"], "failed");
    assert!(!record.to_string().contains(SECRET), "{record}");
    app.stop().await;
    let mut folders = vec![app.directory.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
    app.start_again();
}
