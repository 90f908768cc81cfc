//! Calling back over real HTTP.

use std::time::Duration;

use chrono::TimeDelta;
use providers::callback::{CallbackKey, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use providers::clock::Clock as _;
use providers::{CallbackError, CancelAnswer, Error, Progress, Provider, RawCallback, Request};
use serde_json::json;

use crate::support::{ABOUT, Receiver, SECRET, Sandboxes, bytes, done, submit_job, told};

fn calling(sandboxes: &Sandboxes, receiver: &Receiver, outcome: &str) -> Request {
    let callback = Some(receiver.url.clone());
    Request { callback, ..sandboxes.request_for(outcome) }
}

#[tokio::test]
async fn a_callback_says_what_a_poll_says() {
    let sandboxes = Sandboxes::start();
    let mut receiver = Receiver::start(&[]).await;
    let mut request = sandboxes.request(json!({"generation_sandbox_latency_ms": 20}));
    request.callback = Some(receiver.url.clone());
    let job = submit_job(&sandboxes.webhook, &request).await;
    assert!(receiver.earlier().is_none());
    sandboxes.clock.advance(Duration::from_millis(20));

    let call = receiver.next().await;
    assert_eq!(call.header("content-type"), "application/json");
    assert_eq!(call.correlation(), request.correlation);
    let raw = call.raw(sandboxes.clock.now());
    let news = told(sandboxes.webhook.parse_callback(&raw, &ABOUT).await.unwrap());
    assert_eq!(news.0, job);
    let polled = done(sandboxes.webhook.poll(&job).await.unwrap());
    assert_eq!(bytes(&done(news.1)), bytes(&polled));
}

#[tokio::test]
async fn a_callback_of_a_failed_job_says_so() {
    let sandboxes = Sandboxes::start();
    let mut receiver = Receiver::start(&[]).await;
    submit_job(&sandboxes.webhook, &calling(&sandboxes, &receiver, "fail")).await;
    let call = receiver.next().await;
    let raw = call.raw(sandboxes.clock.now());
    let news = told(sandboxes.webhook.parse_callback(&raw, &ABOUT).await.unwrap());
    assert!(matches!(news.1, Progress::Failed(Error::Failed(_))), "{news:?}");
}

#[tokio::test]
async fn a_callback_of_a_canceled_job_says_so() {
    let sandboxes = Sandboxes::start();
    let mut receiver = Receiver::start(&[]).await;
    let mut request = sandboxes.request(json!({"generation_sandbox_latency_ms": 20}));
    request.callback = Some(receiver.url.clone());
    let job = submit_job(&sandboxes.webhook, &request).await;
    assert_eq!(sandboxes.webhook.cancel(&job).await, Ok(CancelAnswer::Canceled));
    sandboxes.clock.advance(Duration::from_millis(20));
    let call = receiver.next().await;
    let raw = call.raw(sandboxes.clock.now());
    let news = told(sandboxes.webhook.parse_callback(&raw, &ABOUT).await.unwrap());
    assert!(matches!(news.1, Progress::Canceled), "{news:?}");
}

#[tokio::test]
async fn a_forged_callback_comes_before_the_true_one() {
    let sandboxes = Sandboxes::start();
    let mut receiver = Receiver::start(&[401]).await;
    submit_job(&sandboxes.webhook, &calling(&sandboxes, &receiver, "call_back_forged")).await;
    let now = sandboxes.clock.now();
    let forged = receiver.next().await;
    let refused = sandboxes.webhook.parse_callback(&forged.raw(now), &ABOUT).await;
    assert_eq!(refused.unwrap_err(), CallbackError::Signature);
    let call = receiver.next().await;
    let news = told(sandboxes.webhook.parse_callback(&call.raw(now), &ABOUT).await.unwrap());
    done(news.1);
}

#[tokio::test]
async fn the_same_callback_can_come_twice() {
    let sandboxes = Sandboxes::start();
    let mut receiver = Receiver::start(&[]).await;
    submit_job(&sandboxes.webhook, &calling(&sandboxes, &receiver, "call_back_twice")).await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert_eq!(first.header(ID_HEADER), second.header(ID_HEADER));
    assert_eq!(first.body, second.body);
}

#[tokio::test]
async fn a_callback_can_come_before_the_submit_is_answered() {
    let sandboxes = Sandboxes::start();
    // A receiver that does not know the job yet may well say so.
    let mut receiver = Receiver::start(&[404]).await;
    let outcome = "call_back_before_submit_returns";
    let mut request = calling(&sandboxes, &receiver, outcome);
    request.options.insert("generation_sandbox_latency_ms".to_owned(), json!(600_000));
    let job = submit_job(&sandboxes.webhook, &request).await;
    let call = receiver.earlier().expect("the call should have come before");
    let raw = call.raw(sandboxes.clock.now());
    let news = told(sandboxes.webhook.parse_callback(&raw, &ABOUT).await.unwrap());
    assert_eq!(news.0, job);
    done(news.1);
}

#[tokio::test]
async fn some_jobs_never_call_back() {
    let sandboxes = Sandboxes::start();
    let mut receiver = Receiver::start(&[]).await;
    for outcome in ["never_call_back", "hang"] {
        submit_job(&sandboxes.webhook, &calling(&sandboxes, &receiver, outcome)).await;
    }
    let request = calling(&sandboxes, &receiver, "succeed");
    submit_job(&sandboxes.webhook, &request).await;
    assert_eq!(receiver.next().await.correlation(), request.correlation);
    assert!(receiver.earlier().is_none());
}

#[tokio::test]
async fn a_job_whose_submit_was_not_answered_calls_back() {
    let sandboxes = Sandboxes::start();
    let mut receiver = Receiver::start(&[]).await;
    let request = calling(&sandboxes, &receiver, "lose_submit_response");
    sandboxes.webhook.submit(&request).await.unwrap_err();
    assert_eq!(receiver.next().await.correlation(), request.correlation);
}

#[tokio::test]
async fn a_receiver_that_fails_is_called_again_and_one_that_is_gone_is_not() {
    let sandboxes = Sandboxes::start();
    let mut receiver = Receiver::start(&[410, 503]).await;
    let gone = calling(&sandboxes, &receiver, "succeed");
    submit_job(&sandboxes.webhook, &gone).await;
    assert_eq!(receiver.next().await.correlation(), gone.correlation);
    // Were the first job called for again, it would be before the second is.
    let failing = calling(&sandboxes, &receiver, "succeed");
    submit_job(&sandboxes.webhook, &failing).await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert_eq!(first.correlation(), failing.correlation);
    assert_eq!(second.correlation(), failing.correlation);
    assert_eq!(first.header(ID_HEADER), second.header(ID_HEADER));
}

#[tokio::test]
async fn an_old_callback_is_stale() {
    let sandboxes = Sandboxes::start();
    let mut receiver = Receiver::start(&[]).await;
    submit_job(&sandboxes.webhook, &calling(&sandboxes, &receiver, "succeed")).await;
    let call = receiver.next().await;
    let late = sandboxes.clock.now() + TimeDelta::seconds(301);
    let refused = sandboxes.webhook.parse_callback(&call.raw(late), &ABOUT).await;
    assert_eq!(refused.unwrap_err(), CallbackError::Stale);
}

#[tokio::test]
async fn a_signed_body_about_no_job_is_malformed() {
    let sandboxes = Sandboxes::start();
    let now = sandboxes.clock.now();
    let key = CallbackKey::parse(&SECRET.into()).unwrap();
    let correlation = sandboxes.request_for("succeed").correlation;
    let stranger = json!({"id": "sbx_AAAA", "correlation": correlation, "status": "succeeded"});
    for body in ["", "{}", "null", &stranger.to_string()] {
        let headers = [
            (ID_HEADER.to_owned(), "msg_1".to_owned()),
            (TIMESTAMP_HEADER.to_owned(), now.timestamp().to_string()),
            (SIGNATURE_HEADER.to_owned(), key.sign("msg_1", now, body.as_bytes())),
        ];
        let raw = RawCallback { headers: &headers, body: body.as_bytes(), received_at: now };
        let refused = sandboxes.webhook.parse_callback(&raw, &ABOUT).await;
        assert_eq!(refused.unwrap_err(), CallbackError::Malformed, "{body}");
    }
}

#[tokio::test]
async fn the_other_providers_do_not_call_back() {
    let sandboxes = Sandboxes::start();
    let raw = RawCallback { headers: &[], body: b"", received_at: sandboxes.clock.now() };
    for provider in [&sandboxes.inline, &sandboxes.polling] {
        let refused = provider.parse_callback(&raw, &ABOUT).await;
        assert_eq!(refused.unwrap_err(), CallbackError::Unsupported);
    }
    let refused = sandboxes.webhook.parse_callback(&raw, &ABOUT).await;
    assert_eq!(refused.unwrap_err(), CallbackError::Signature);
}

#[tokio::test]
async fn outcomes_about_callbacks_mean_success_elsewhere() {
    let sandboxes = Sandboxes::start();
    for outcome in [
        "never_call_back",
        "call_back_twice",
        "call_back_forged",
        "call_back_before_submit_returns",
    ] {
        let request = sandboxes.request_for(outcome);
        let job = submit_job(&sandboxes.polling, &request).await;
        done(sandboxes.polling.poll(&job).await.unwrap());
        sandboxes.inline.submit(&request).await.unwrap();
    }
}
