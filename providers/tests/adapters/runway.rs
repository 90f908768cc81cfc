//! Runway.

use std::time::Duration;

use providers::runway::Runway;
use providers::{CancelAnswer, Cost, Error, JobRef, Progress, Provider, Request};
use serde_json::json;

use crate::conformance::Subject;
use crate::script::{Answer, Script};
use crate::support::{
    SECRET, addresses, done, endpoint, failed, film, given, http, job, picture, text, with,
};

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("../wires/runway/", $name, ".json"))
    };
}

const SUBMIT: &str = "POST /v1/text_to_image";
const ID: &str = "17f20503-6c24-4c16-946b-35dbbce2af2f";
const POLL: &str = "GET /v1/tasks/17f20503-6c24-4c16-946b-35dbbce2af2f";
const DELETE: &str = "DELETE /v1/tasks/17f20503-6c24-4c16-946b-35dbbce2af2f";

fn adapter(script: &Script) -> Runway {
    Runway::new(&http(), endpoint(&script.url)).unwrap()
}

fn subject<'a>(provider: &'a Runway, script: &'a Script) -> Subject<'a> {
    Subject {
        provider,
        script,
        request: picture("gen4_image"),
        submit: SUBMIT,
        poll: Some((ID, POLL)),
        credential: ("authorization", format!("Bearer {SECRET}")),
    }
}

#[tokio::test]
async fn it_conforms() {
    let script = Script::start().await;
    subject(&adapter(&script), &script).conforms().await;
}

#[tokio::test]
async fn a_picture_is_submitted_polled_and_done() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on(SUBMIT, Answer::json(200, wire!("created")));
    let options = json!({ "generation_seed": 7, "generation_moderation": false });
    let request = with(picture("gen4_image"), options);
    let request = Request { resolution: Some("720p".to_owned()), ..request };
    let job = job(&provider, &given(request, &["https://files.example/a.png"])).await;
    let expected = json!({
        "model": "gen4_image", "promptText": "a red bus", "ratio": "1280:720",
        "referenceImages": [{ "uri": "https://files.example/a.png" }],
        "seed": 7, "contentModeration": { "publicFigureThreshold": "low" },
    });
    assert_eq!(script.last().json(), expected);
    assert_eq!(script.last().header("x-runway-version"), "2024-11-06");
    script
        .on(POLL, Answer::json(200, wire!("throttled")))
        .on(POLL, Answer::json(200, wire!("running")))
        .on(POLL, Answer::json(200, wire!("succeeded")));
    for _ in 0..2 {
        let progress = provider.poll(&job).await.unwrap();
        let wish = Some(Duration::from_secs(5));
        assert!(matches!(progress, Progress::Waiting { retry_after } if retry_after == wish));
    }
    let output = done(provider.poll(&job).await.unwrap());
    assert_eq!(addresses(&output), ["https://dnznrvs05pmza.cloudfront.net/a.png?_jwt=x"]);
    assert_eq!(output.cost, Some(Cost(50_000)));
}

#[tokio::test]
async fn films_go_where_their_pictures_say() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on("POST /v1/", Answer::json(200, wire!("created")));
    let first = ["https://files.example/a.png"];
    let turbo = Request { ratio: "21:9".to_owned(), ..given(film("gen4_turbo"), &first) };
    job(&provider, &turbo).await;
    assert_eq!(script.last().line, "POST /v1/image_to_video");
    let expected = json!({
        "model": "gen4_turbo", "promptText": "a red bus", "ratio": "1584:672",
        "promptImage": [{ "uri": first[0], "position": "first" }], "duration": 5,
    });
    assert_eq!(script.last().json(), expected);
    job(&provider, &film("gen4.5")).await;
    assert_eq!(script.last().line, "POST /v1/text_to_video");
    let veo = Request {
        resolution: Some("1080p".to_owned()),
        audio: Some(true),
        last_frame: Some("https://files.example/b.png".parse().unwrap()),
        ..given(film("veo3.1_fast"), &first)
    };
    job(&provider, &veo).await;
    let body = script.last().json();
    assert_eq!((&body["ratio"], &body["audio"]), (&json!("1920:1080"), &json!(true)));
    assert_eq!(body["promptImage"][1]["position"], json!("last"));
}

#[tokio::test]
async fn a_job_ends_in_other_ways_too() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef(ID.to_owned());
    let fails = |code: &str| {
        text(json!({ "id": ID, "status": "FAILED", "failure": "It failed.", "failureCode": code }))
    };
    let said = || "It failed.".to_owned();
    for (body, expected) in [
        (fails("SAFETY.INPUT.TEXT"), Error::Moderated(said())),
        (fails("SAFETY.OUTPUT.IMAGE"), Error::Moderated(said())),
        (fails("ASSET.INVALID"), Error::Rejected(said())),
        (fails("INTERNAL.BAD_OUTPUT.CODE01"), Error::Failed(said())),
    ] {
        script.reset().on(POLL, Answer::json(200, body));
        assert_eq!(failed(provider.poll(&job).await.unwrap()), expected);
    }
    script.reset().on(POLL, Answer::json(200, wire!("cancelled")));
    assert!(matches!(provider.poll(&job).await.unwrap(), Progress::Canceled));
    script.reset().on(POLL, Answer::json(404, r#"{"error":"Task not found"}"#));
    failed(provider.poll(&job).await.unwrap());
}

#[tokio::test]
async fn refusals_have_their_meanings() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let rejected = "Validation of body failed: Invalid enum value";
    subject(&provider, &script)
        .refuses(&[
            (401, r#"{"error":"Bad key"}"#, Error::Unauthorized),
            (400, wire!("invalid"), Error::Rejected(rejected.to_owned())),
            (
                400,
                r#"{"error":"You do not have enough credits to run this task.","docUrl":"x"}"#,
                Error::OutOfCredit,
            ),
            (429, r#"{"error":"You have reached your daily task limit."}"#, Error::OutOfCredit),
            (429, r#"{"error":"Too many requests"}"#, Error::RateLimited { retry_after: None }),
            (502, r#"{"error":"Shedding load"}"#, Error::Unavailable),
        ])
        .await;
}

#[tokio::test]
async fn a_job_that_has_ended_is_not_deleted() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef(ID.to_owned());
    let deleted = || Answer::Says(204, Vec::new(), Vec::new());
    let unknown = Answer::json(404, r#"{"error":"Task not found"}"#);
    script.on(POLL, Answer::json(200, wire!("running"))).on(POLL, unknown).on(DELETE, deleted());
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::Canceled));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::Canceled), "a second time");
    assert_eq!(script.count(DELETE), 1);
    script.reset().on(POLL, Answer::json(200, wire!("succeeded"))).on(DELETE, deleted());
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::TooLate));
    assert_eq!(script.count(DELETE), 0);
}

#[tokio::test]
async fn what_a_model_cannot_make_is_not_sent() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let long = Request { prompt: "🦊".repeat(501), ..picture("gen4_image") };
    let wide = Request { ratio: "21:9".to_owned(), ..film("gen4.5") };
    let several = Request { count: 2, ..picture("gen4_image") };
    for request in [long, wide, several] {
        provider.submit(&request).await.unwrap_err();
    }
    assert_eq!(script.asked().len(), 0);
}
