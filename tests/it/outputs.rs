//! Output files: how they are linked, and that they can be kept in a bucket.

use actors::ports::{OutputStore, TakeOverError};
use babysea::address_guard::Policy;
use babysea::config::{BucketConfig, OutputsConfig};
use babysea::outputs::Outputs;
use babysea::outputs::download::Downloads;
use providers::{OutputFile, OutputFormat};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::on_both;
use crate::support::app::TestApp;
use crate::support::bucket::Bucket;
use crate::support::database::Backend;
use crate::support::host::{Host, Sent};
use crate::support::wait;

on_both!(a_link_is_stable_and_good_for_as_long_as_the_file_is_kept);

fn link(record: &Value) -> &str {
    record["generation_output_file"][0].as_str().unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

async fn status(app: &TestApp, url: &str) -> StatusCode {
    app.client.get(url).send().await.unwrap().status()
}

async fn a_link_is_stable_and_good_for_as_long_as_the_file_is_kept(backend: Backend) {
    // The files themselves stay, so that it is the link that ends.
    let settings = [("retention.files_max_ms", "7000"), ("retention.interval_ms", "86400000")];
    let app = TestApp::start_with(backend, &settings).await;
    let first = app.generate("sandbox/inline", json!({})).await.generation_id();
    let second = app.generate("sandbox/inline", json!({})).await.generation_id();
    let (record, other) = (app.record(&first).await, app.record(&second).await);
    assert_eq!(record, app.record(&first).await);
    let url = link(&record);
    let whole = app.client.get(url).send().await.unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(header(&whole, "content-type"), "image/png");
    assert_eq!(header(&whole, "x-content-type-options"), "nosniff");
    assert_eq!(header(&whole, "content-disposition"), "inline");
    let caching = header(&whole, "cache-control").to_owned();
    let rest = caching.strip_prefix("private, max-age=").unwrap();
    let seconds = rest.strip_suffix(", immutable").unwrap();
    assert!((1..=7).contains(&seconds.parse::<u32>().unwrap()), "{caching}");
    let bytes = whole.bytes().await.unwrap();
    let part = app.client.get(url).header("range", "bytes=1-3").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&part, "content-range"), format!("bytes 1-3/{}", bytes.len()));
    assert_eq!(&part.bytes().await.unwrap()[..], b"PNG");

    let (path, query) = url.split_once('?').unwrap();
    let foreign = link(&other).split_once('?').unwrap().1;
    let mut altered = url.to_owned();
    let last = altered.pop().unwrap();
    altered.push(if last == '0' { '1' } else { '0' });
    for refused in [
        path.to_owned(),
        altered,
        format!("{path}?{foreign}&x={query}"),
        format!("{path}?{}", query.replace("expires=", "expires=9")),
        format!("{path}?expires=soon&signature=none"),
        url.replace("0.png", "1.png"),
    ] {
        assert_eq!(status(&app, &refused).await, StatusCode::FORBIDDEN, "{refused}");
    }
    let expired = wait::until("the link has expired", async || {
        let answer = app.client.get(url).send().await.unwrap();
        (answer.status() == StatusCode::GONE).then_some(answer)
    })
    .await;
    assert!(expired.text().await.unwrap().contains("expired"));
    assert_eq!(app.record(&first).await, record, "the file is there, so the record says so");
}

async fn start_with(bucket: &Bucket, more: &[(&str, &str)]) -> TestApp {
    let settings = bucket.settings();
    let mut settings: Vec<(&str, &str)> =
        settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    settings.extend(more);
    TestApp::start_with(Backend::Sqlite, &settings).await
}

/// The generation has failed for want of storage, and the credit is back.
async fn is_refunded(app: &TestApp, id: &str) {
    let record = app.wait_for_end(id).await;
    assert_eq!(record["generation_status"], "failed", "{record}");
    assert_eq!(record["generation_error_code"], "BSE5003", "{record}");
    assert_eq!(app.movements(&app.account_id, id), ["reserve", "refund"]);
    let attempts = &app.show(id)["attempts"];
    assert_eq!(attempts.as_array().unwrap().len(), 1, "no other provider is paid for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_live_in_a_bucket_until_they_are_deleted() {
    let bucket = Bucket::start().await;
    let app = start_with(&bucket, &[]).await;
    let made = app.generate("sandbox/inline", json!({ "generation_output_number": 2 })).await;
    let id = made.generation_id();
    let record = app.record(&id).await;
    let folder = format!("sea/outputs/{}/{id}", app.account_id);
    let mut keys = bucket.keys();
    keys.sort();
    assert_eq!(keys, [format!("{folder}/0.png"), format!("{folder}/1.png")]);
    let picture = app.client.get(link(&record)).send().await.unwrap();
    assert_eq!(header(&picture, "content-type"), "image/png");
    let length = picture.content_length().unwrap();
    let bytes = picture.bytes().await.unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() as u64 == length);
    let part = app.client.get(link(&record)).header("range", "bytes=-4").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.unwrap(), bytes[bytes.len() - 4..]);
    let head = app.client.head(link(&record)).send().await.unwrap();
    assert_eq!(header(&head, "content-length"), length.to_string());
    let storage = app.ask(app.get("/v1/health/storage")).await;
    assert_eq!(storage.data()["healthy"], true, "{}", storage.body);

    let delete = app.client.delete(format!("{}/v1/content/{id}", app.url));
    let deleted = app.ask(delete.bearer_auth(&app.key)).await;
    assert_eq!(deleted.data()["files_deleted"], 2);
    assert!(bucket.keys().is_empty(), "{:?}", bucket.keys());
    assert_eq!(status(&app, link(&record)).await, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_gone_costs_nobody_anything() {
    let bucket = Bucket::start().await;
    let app = start_with(&bucket, &[]).await;
    let slow = json!({ "generation_sandbox_latency_ms": 1000 });
    let id = app.generate("sandbox/failover", slow).await.generation_id();
    bucket.remove();
    is_refunded(&app, &id).await;
    let storage = app.ask(app.get("/v1/health/storage")).await;
    assert_eq!(storage.data()["healthy"], false);
    let told = storage.data()["error"].as_str().unwrap();
    assert!(!told.contains("films") && !told.contains("127.0.0.1"), "{told}");
    bucket.make();
    let id = app.generate("sandbox/inline", json!({})).await.generation_id();
    assert_eq!(app.wait_for_end(&id).await["generation_status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_credential_is_told_and_refunded() {
    let bucket = Bucket::start().await;
    let app = start_with(&bucket, &[("outputs.secret_access_key", "wrong")]).await;
    let refused = app.generate("sandbox/inline", json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (500, "BSE5003"), "{}", refused.body);
    let list = app.ask(app.get("/v1/content/list")).await;
    let id = list.data()["generations"][0]["generation_id"].as_str().unwrap().to_owned();
    is_refunded(&app, &id).await;
    assert_eq!(app.ask(app.get("/v1/health/storage")).await.data()["healthy"], false);
    assert!(bucket.keys().is_empty());
}

/// Of 20 MiB, so that it goes in parts.
fn film() -> Vec<u8> {
    let mut film = b"\0\0\0\x20ftypisom".to_vec();
    film.extend((0..20 << 20).map(|index: u32| (index % 251) as u8));
    film
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_goes_into_a_bucket_in_parts_and_half_a_film_does_not() {
    let (bucket, film) = (Bucket::start().await, film());
    let (whole, half) = (film.clone(), film[..film.len() / 2].to_vec());
    let host = Host::start(move |path| match path {
        "/whole" => Sent::file(&whole),
        _ => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", whole.len());
            Sent::Raw([head.as_bytes(), &half].concat())
        }
    })
    .await;
    let url = |path: &str| -> Url { host.at(path).parse().unwrap() };
    let outputs = OutputsConfig::Bucket(BucketConfig {
        name: "films".to_owned(),
        prefix: String::new(),
        endpoint: Some(bucket.endpoint.parse().unwrap()),
        region: "us-east-1".to_owned(),
        access_key_id: "access".to_owned(),
        secret_access_key: "s3cret".into(),
        path_style: true,
    });
    let downloads = Downloads::new(Policy::FILE, [url("/")], 64 << 20).unwrap();
    let outputs = Outputs::open(&outputs, downloads).unwrap();
    let half = OutputFile::Url(url("/half"));
    let taken = outputs.take_over("a/b/0.mp4", &half, OutputFormat::Mp4).await;
    assert!(matches!(taken, Err(TakeOverError::Unavailable(_))), "{taken:?}");
    assert!(!bucket.keys().contains(&"a/b/0.mp4".to_owned()));
    let whole = OutputFile::Url(url("/whole"));
    let length = outputs.take_over("a/b/0.mp4", &whole, OutputFormat::Mp4).await.unwrap();
    assert_eq!(length, film.len() as u64);
    assert!(bucket.read("a/b/0.mp4") == film, "the film was changed on its way");
    assert_eq!(outputs.remove("a/b").await.unwrap(), 1);
}
