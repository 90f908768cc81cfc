//! fal.

use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use providers::fal::Fal;
use providers::{
    CallbackError, CancelAnswer, DeliveryMode, Error, Expected, JobRef, LookUp, Progress, Provider,
    RawCallback, Request,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::conformance::Subject;
use crate::script::{Answer, Script};
use crate::support::{
    NOW, SECRET, addresses, at, called_back, clock, done, endpoint, failed, film, given, http,
    is_waiting, job, picture, result, said, text, told, with,
};

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("../wires/fal/", $name, ".json"))
    };
}

const SCHNELL: &str = "fal-ai/flux/schnell";
const SUBMIT: &str = "POST /fal-ai/flux/schnell";
const JOB: &str = "fal-ai/flux/requests/764cabcf-b745-4b3e-ae38-1200304cf45b";
const STATUS: &str = "GET /fal-ai/flux/requests/764cabcf-b745-4b3e-ae38-1200304cf45b/status";
const RESULT: &str = "GET /fal-ai/flux/requests/764cabcf-b745-4b3e-ae38-1200304cf45b";
const CANCEL: &str = "PUT /fal-ai/flux/requests/764cabcf-b745-4b3e-ae38-1200304cf45b/cancel";
const KEYS: &str = "GET /.well-known/jwks.json";

fn adapter(script: &Script) -> Fal {
    let at = |path| script.url.join(path).unwrap();
    let (run_url, keys_url) = (at("/run"), at("/.well-known/jwks.json"));
    Fal::new(&http(), endpoint(&script.url), run_url, keys_url, clock()).unwrap()
}

fn subject<'a>(provider: &'a Fal, script: &'a Script) -> Subject<'a> {
    Subject {
        provider,
        script,
        request: picture(SCHNELL),
        submit: SUBMIT,
        poll: Some((JOB, STATUS)),
        credential: ("authorization", format!("Key {SECRET}")),
    }
}

#[tokio::test]
async fn it_conforms() {
    let script = Script::start().await;
    subject(&adapter(&script), &script).conforms().await;
}

#[tokio::test]
async fn a_picture_is_queued_polled_and_fetched() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on(SUBMIT, Answer::json(200, wire!("queued")));
    let options = json!({ "generation_seed": 7, "generation_moderation": true });
    let job = job(&provider, &called_back(with(picture(SCHNELL), options))).await;
    assert_eq!(job, JobRef(JOB.to_owned()));
    let asked = script.last();
    let query = "?fal_webhook=https%3A%2F%2Fus.example.com%2Fcallbacks%2Ft0ken";
    assert_eq!(asked.line, format!("{SUBMIT}{query}"));
    let expected = json!({
        "prompt": "a red bus", "image_size": { "width": 1360, "height": 768 }, "num_images": 1,
        "seed": 7, "enable_safety_checker": true, "output_format": "png",
    });
    assert_eq!(asked.json(), expected);
    script
        .on(STATUS, Answer::json(202, wire!("queued")))
        .on(STATUS, Answer::json(202, wire!("running")))
        .on(STATUS, Answer::json(200, wire!("completed")))
        .on(RESULT, Answer::json(200, wire!("result")));
    assert!(is_waiting(&provider.poll(&job).await.unwrap()));
    assert!(is_waiting(&provider.poll(&job).await.unwrap()));
    let output = done(provider.poll(&job).await.unwrap());
    assert_eq!(addresses(&output), ["https://v3.fal.media/files/zebra/a.png"]);
    assert_eq!(output.predict_time, Some(Duration::from_millis(750)));
}

#[tokio::test]
async fn the_other_host_answers_with_the_picture() {
    let script = Script::start().await;
    let provider = adapter(&script);
    const RUN: &str = "POST /run/fal-ai/flux/schnell";
    let request = Request { delivery: DeliveryMode::Inline, ..picture(SCHNELL) };
    let mut inline = subject(&provider, &script);
    (inline.request, inline.submit, inline.poll) = (request.clone(), RUN, None);
    inline.conforms().await;
    inline
        .refuses(&[
            (422, wire!("invalid"), Error::Rejected("Input should be a valid size".to_owned())),
            (429, &said("Too many requests"), Error::RateLimited { retry_after: None }),
            (
                200,
                wire!("result_nsfw"),
                Error::Moderated("The provider blacked the output out.".to_owned()),
            ),
        ])
        .await;
    script.reset().on(RUN, Answer::json(200, wire!("result")));
    let output = result(&provider, &request).await;
    assert_eq!(addresses(&output), ["https://v3.fal.media/files/zebra/a.png"]);
    assert!(script.last().header("x-fal-object-lifecycle-preference").contains("86400"));
}

#[tokio::test]
async fn files_decide_which_endpoint_is_asked() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on("POST /", Answer::json(200, wire!("queued")));
    let file = ["https://files.example/a.png"];
    let mut both = given(film("fal-ai/veo3.1"), &file);
    both.last_frame = Some("https://files.example/b.png".parse().unwrap());
    for (request, line) in [
        (
            film("fal-ai/bytedance/seedance/v1/pro"),
            "POST /fal-ai/bytedance/seedance/v1/pro/text-to-video",
        ),
        (
            given(film("fal-ai/bytedance/seedance/v1/pro"), &file),
            "POST /fal-ai/bytedance/seedance/v1/pro/image-to-video",
        ),
        (given(picture("fal-ai/nano-banana"), &file), "POST /fal-ai/nano-banana/edit"),
        (film("fal-ai/veo3.1"), "POST /fal-ai/veo3.1"),
        (both, "POST /fal-ai/veo3.1/first-last-frame-to-video"),
    ] {
        job(&provider, &request).await;
        assert_eq!(script.last().line, line);
    }
    let expected = json!({
        "prompt": "a red bus", "aspect_ratio": "16:9", "first_frame_url": file[0],
        "last_frame_url": "https://files.example/b.png", "resolution": "720p", "duration": "5s",
    });
    assert_eq!(script.last().json(), expected);
}

#[tokio::test]
async fn a_film_is_one_file() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script
        .on(STATUS, Answer::json(200, wire!("completed")))
        .on(RESULT, Answer::json(200, wire!("result_film")));
    let output = done(provider.poll(&JobRef(JOB.to_owned())).await.unwrap());
    assert_eq!(addresses(&output), ["https://v3.fal.media/files/zebra/a.mp4"]);
}

#[tokio::test]
async fn a_failed_run_is_told_by_its_result() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef(JOB.to_owned());
    let flagged = "The content could not be processed because it contained material flagged by a content checker.";
    let failures = [
        (
            200,
            wire!("result_nsfw"),
            Error::Moderated("The provider blacked the output out.".to_owned()),
        ),
        (422, wire!("refused_content"), Error::Moderated(flagged.to_owned())),
        (422, wire!("invalid"), Error::Rejected("Input should be a valid size".to_owned())),
        (
            500,
            r#"{"detail":"Internal error","error_type":"internal_server_error"}"#,
            Error::Failed("Internal error".to_owned()),
        ),
        (504, r#"{"detail":"Request timed out","error_type":"request_timeout"}"#, Error::TimedOut),
        (
            404,
            r#"{"detail":"Request not found"}"#,
            Error::Failed("The provider no longer has the job.".to_owned()),
        ),
    ];
    for (status, body, expected) in failures {
        let answer = Answer::json(status, body).header("x-fal-request-id", "764c");
        script.reset().on(STATUS, Answer::json(200, wire!("completed"))).on(RESULT, answer);
        assert_eq!(failed(provider.poll(&job).await.unwrap()), expected, "{body}");
    }
    for (status, body) in [(400, wire!("in_progress")), (503, "<html>nginx</html>")] {
        script
            .reset()
            .on(STATUS, Answer::json(200, wire!("completed")))
            .on(RESULT, Answer::json(status, body));
        assert!(is_waiting(&provider.poll(&job).await.unwrap()), "{body}");
    }
}

#[tokio::test]
async fn refusals_have_their_meanings() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let balance = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.";
    subject(&provider, &script)
        .refuses(&[
            (401, &said("No user found for Key ID and Secret"), Error::Unauthorized),
            (403, &said(balance), Error::OutOfCredit),
            (403, &said("Forbidden"), Error::Unauthorized),
            (
                404,
                &said("Application 'x' not found"),
                Error::Failed("The provider does not have this model or job.".to_owned()),
            ),
            (422, wire!("invalid"), Error::Rejected("Input should be a valid size".to_owned())),
            (429, &said("Too many requests"), Error::RateLimited { retry_after: None }),
            (503, &said("Runner unavailable"), Error::Unavailable),
        ])
        .await;
}

#[tokio::test]
async fn a_second_cancel_changes_nothing() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef(JOB.to_owned());
    let status = |status| text(json!({ "status": status }));
    script
        .on(CANCEL, Answer::json(202, status("CANCELLATION_REQUESTED")))
        .on(CANCEL, Answer::json(200, status("OK")))
        .on(CANCEL, Answer::json(400, status("ALREADY_COMPLETED")));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::Canceled));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::Canceled));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::TooLate));
    let look_up: Result<LookUp, Error> = provider.look_up(&picture(SCHNELL)).await;
    assert_eq!(look_up, Err(Error::Unsupported));
}

const ABOUT: Expected<'static> = Expected { model: SCHNELL };

/// A key pair made of this byte.
fn pair(byte: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[byte; 32]).unwrap()
}

fn key_set(pairs: &[&Ed25519KeyPair]) -> Answer {
    let key = |pair: &&Ed25519KeyPair| {
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
    };
    let keys: Vec<_> = pairs.iter().map(key).collect();
    Answer::json(200, text(json!({ "keys": keys })))
}

fn headers(body: &str, pair: &Ed25519KeyPair, signed_at: i64) -> Vec<(String, String)> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let digest = hex(&Sha256::digest(body.as_bytes()));
    let message = format!("764c\nuser_1\n{signed_at}\n{digest}");
    [
        ("x-fal-webhook-request-id", "764c".to_owned()),
        ("x-fal-webhook-user-id", "user_1".to_owned()),
        ("x-fal-webhook-timestamp", signed_at.to_string()),
        ("x-fal-webhook-signature", hex(pair.sign(message.as_bytes()).as_ref())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

async fn parse(
    provider: &Fal,
    headers: &[(String, String)],
    body: &str,
) -> Result<(JobRef, Progress), CallbackError> {
    let raw = RawCallback { headers, body: body.as_bytes(), received_at: at(NOW) };
    provider.parse_callback(&raw, &ABOUT).await.map(told)
}

#[tokio::test]
async fn signed_callbacks_are_believed_and_no_others() {
    let script = Script::start().await;
    let (old, new) = (pair(1), pair(2));
    script.on(KEYS, key_set(&[&old, &new]));
    let provider = adapter(&script);
    let body = wire!("callback_ok");
    for pair in [&old, &new] {
        let news = parse(&provider, &headers(body, pair, NOW), body).await.unwrap();
        assert_eq!(news.0, JobRef(JOB.to_owned()));
        assert_eq!(addresses(&done(news.1)), ["https://v3.fal.media/files/zebra/a.png"]);
    }
    let forged = parse(&provider, &headers(body, &pair(3), NOW), body).await;
    assert_eq!(forged.unwrap_err(), CallbackError::Signature);
    let stale = parse(&provider, &headers(body, &old, NOW - 301), body).await;
    assert_eq!(stale.unwrap_err(), CallbackError::Stale);
    let changed = parse(&provider, &headers(body, &old, NOW), wire!("callback_error")).await;
    assert_eq!(changed.unwrap_err(), CallbackError::Signature);
    assert_eq!(script.count(KEYS), 1, "forged callbacks make us ask no more");
}

#[tokio::test]
async fn a_callback_tells_of_failures_and_of_results_that_have_to_be_fetched() {
    let script = Script::start().await;
    let pair = pair(1);
    script.on(KEYS, key_set(&[&pair]));
    let provider = adapter(&script);
    let error = wire!("callback_error");
    let news = parse(&provider, &headers(error, &pair, NOW), error).await.unwrap();
    assert_eq!(failed(news.1), Error::Moderated("flagged".to_owned()));
    let without = wire!("callback_without");
    let news = parse(&provider, &headers(without, &pair, NOW), without).await.unwrap();
    assert!(matches!(news.1, Progress::Waiting { .. }));
    let unreadable = parse(&provider, &headers("{}", &pair, NOW), "{}").await;
    assert_eq!(unreadable.unwrap_err(), CallbackError::Malformed);
}

#[tokio::test]
async fn without_keys_nothing_is_believed() {
    let script = Script::start().await;
    script.on(KEYS, Answer::page(503));
    let provider = adapter(&script);
    let body = wire!("callback_ok");
    let refused = parse(&provider, &headers(body, &pair(1), NOW), body).await;
    assert_eq!(refused.unwrap_err(), CallbackError::Signature);
}
