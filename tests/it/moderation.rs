//! Somebody is asked about each request before anything is reserved.

use std::io::Cursor;
use std::time::Duration;

use actors::webhook::signing::{signature, standard_signature};
use futures_util::future::join_all;
use image::{DynamicImage, ImageFormat};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::app::{Answer, TestApp};
use crate::support::database::Backend;
use crate::support::host::{Host, Sent};
use crate::support::receiver::{Receiver, Reply};

on_both!(
    what_is_denied_costs_nothing_and_is_asked_about_again,
    without_an_answer_a_request_is_refused_or_goes_on_as_configured,
);

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn start(backend: Backend, url: &str, more: &[(&str, &str)]) -> TestApp {
    let mut settings = vec![
        ("moderation.url", url),
        ("moderation.secret", SECRET),
        ("moderation.timeout_ms", "10000"),
    ];
    settings.extend(more);
    TestApp::start_with(backend, &settings).await
}

fn picture() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(64, 64).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

async fn ask(app: &TestApp, key: &str, body: &Value) -> Answer {
    let request = app.post("/v1/generate/image/sandbox/inline").json(body);
    app.ask(request.header("Idempotency-Key", key)).await
}

async fn what_is_denied_costs_nothing_and_is_asked_about_again(backend: Backend) {
    let judge = Receiver::start();
    let app = start(backend, &judge.url, &[]).await;
    let host = Host::start(|_| Sent::file(&picture())).await;
    let body = json!({ "generation_prompt": "a boat", "generation_input_file": [host.at("/a")] });
    judge.then(Reply::Says(r#"{"decision":"deny","reason":"No\u0000 boats."}"#.to_owned()));
    judge.then(Reply::Says(r#"{"decision":"deny"}"#.to_owned()));
    judge.then(Reply::Says(r#"{"decision":"allow","score":0.1}"#.to_owned()));
    let denied = ask(&app, "order:1", &body).await;
    assert_eq!((denied.status.as_u16(), denied.code()), (422, "BSE2006"));
    assert_eq!(denied.body["error"]["details"]["reason"], "No boats.");
    assert_eq!(denied.body["error"]["retryable"], false);
    let again = ask(&app, "order:1", &body).await;
    assert_eq!((again.code(), again.headers.get("idempotency-replayed")), ("BSE2006", None));
    assert_eq!(app.ledger(&app.account_id).len(), 1, "only the welcome credit");
    assert_eq!(app.ask(app.get("/v1/content/list")).await.body["total"], 0);
    let made = ask(&app, "order:1", &body).await;
    assert_eq!(app.wait_for_end(&made.generation_id()).await["generation_status"], "succeeded");
    let replayed = ask(&app, "order:1", &body).await;
    assert_eq!(replayed.generation_id(), made.generation_id());

    let asked = judge.received();
    assert_eq!(asked.len(), 3, "a repetition is answered from the record");
    for question in &asked {
        let body = question.json();
        assert_eq!(body["account_id"], app.account_id);
        assert_eq!(body["model_identifier"], "sandbox/inline");
        assert_eq!(body["generation_prompt"], "a boat");
        assert_eq!(body["generation_input_file"], json!([host.at("/a")]));
        assert_eq!(body["moderation_id"], question.header("webhook-id"));
        let (secret, text) = (SecretString::from(SECRET), question.body.as_bytes());
        let seconds = question.header("webhook-timestamp").parse().unwrap();
        assert_eq!(question.header("x-babysea-signature"), signature(&secret, seconds, text));
        let standard = standard_signature(&secret, question.header("webhook-id"), seconds, text);
        assert_eq!(Some(question.header("webhook-signature")), standard.as_deref());
    }
}

async fn without_an_answer_a_request_is_refused_or_goes_on_as_configured(backend: Backend) {
    let judge = Receiver::start();
    let closed = start(backend, &judge.url, &[("moderation.timeout_ms", "2000")]).await;
    let body = json!({ "generation_prompt": "a boat" });
    for reply in [
        Reply::Status(500),
        Reply::Redirect(judge.url.clone()),
        Reply::Says("yes".to_owned()),
        Reply::Says(r#"{"decision":"perhaps"}"#.to_owned()),
        Reply::Says(format!(r#"{{"decision":"allow","x":"{}"}}"#, "x".repeat(70_000))),
    ] {
        judge.then(reply.clone());
        let refused = ask(&closed, "order:1", &body).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "BSE3002"), "{reply:?}");
    }
    // These two last as long as they may, so they are waited for at once.
    judge.then(Reply::Slow(Duration::from_secs(20), 200)).then(Reply::Drip);
    for refused in join_all(["order:1", "order:2"].map(|key| ask(&closed, key, &body))).await {
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "BSE3002"));
    }
    assert_eq!(closed.ledger(&closed.account_id).len(), 1);
    judge.then(Reply::Says(r#"{"decision":"allow"}"#.to_owned()));
    ask(&closed, "order:1", &body).await.data();

    let nobody = "http://127.0.0.1:9/";
    let open = start(backend, nobody, &[("moderation.on_failure", "fail_open")]).await;
    ask(&open, "order:1", &body).await.data();
}
