//! Black Forest Labs.

use std::sync::Arc;
use std::time::Duration;

use providers::bfl::Bfl;
use providers::client::Endpoint;
use providers::{Error, JobRef, LookUp, Provider};
use serde_json::json;

use crate::conformance::Subject;
use crate::script::{Answer, Script};
use crate::support::{
    SECRET, SamePicture, addresses, called_back, done, endpoint, failed, given, http, is_waiting,
    job, picture, said, with,
};

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("../wires/bfl/", $name, ".json"))
    };
}

const SUBMIT: &str = "POST /v1/flux-2-pro";
const ID: &str = "0f5b1e0c-54cf-4a6e-9b7b-1f5a1c9f7c11";
const POLL: &str = "GET /v1/get_result?id=0f5b1e0c-54cf-4a6e-9b7b-1f5a1c9f7c11";

fn adapter(script: &Script) -> Bfl {
    Bfl::new(&http(), endpoint(&script.url), Arc::new(SamePicture)).unwrap()
}

fn subject<'a>(provider: &'a Bfl, script: &'a Script) -> Subject<'a> {
    Subject {
        provider,
        script,
        request: picture("flux-2-pro"),
        submit: SUBMIT,
        poll: Some((ID, POLL)),
        credential: ("x-key", SECRET.to_owned()),
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
    script.on(SUBMIT, Answer::json(200, wire!("accepted_with_webhook")));
    let options = json!({ "generation_seed": 7, "generation_moderation": false });
    let mut request = called_back(with(picture("flux-2-pro"), options));
    request.resolution = Some("2MP".to_owned());
    request = given(request, &["https://files.example/a.png", "https://files.example/b.png"]);
    let job = job(&provider, &request).await;
    assert_eq!(job, JobRef(ID.to_owned()));
    let expected = json!({
        "prompt": "a red bus", "width": 1936, "height": 1088, "output_format": "png",
        "input_image": "https://files.example/a.png", "input_image_2": "https://files.example/b.png",
        "seed": 7, "safety_tolerance": 5,
    });
    assert_eq!(script.last().json(), expected);
    script
        .on(POLL, Answer::json(200, wire!("pending")))
        .on(POLL, Answer::json(200, wire!("ready")));
    assert!(is_waiting(&provider.poll(&job).await.unwrap()));
    let output = done(provider.poll(&job).await.unwrap());
    assert_eq!(addresses(&output), ["https://delivery-us1.bfl.ai/results/a/sample.png?se=2026"]);
}

#[tokio::test]
async fn older_models_take_the_picture_itself() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on("POST /v1/", Answer::json(200, wire!("accepted")));
    let options = json!({ "generation_raw": true, "generation_image_prompt_strength": 0.25 });
    let request = with(picture("flux-pro-1.1-ultra"), options);
    job(&provider, &given(request, &["https://files.example/a.jpg"])).await;
    let body = script.last().json();
    assert_eq!((&body["aspect_ratio"], &body["raw"]), (&json!("16:9"), &json!(true)));
    assert_eq!(body["image_prompt_strength"], json!(0.25));
    assert!(body["image_prompt"].as_str().unwrap().starts_with("/9j/"), "a JPEG as base64");
    job(&provider, &picture("flux-pro-1.1")).await;
    let body = script.last().json();
    assert_eq!((&body["width"], &body["height"]), (&json!(1376), &json!(768)));
}

#[tokio::test]
async fn a_job_is_asked_for_in_its_region_and_nowhere_else() {
    let script = Script::start().await;
    let url: url::Url = "https://api.bfl.ai".parse().unwrap();
    let secret = SECRET.into();
    let provider =
        Bfl::new(&http(), Endpoint { base_url: url, secret }, Arc::new(SamePicture)).unwrap();
    // Nothing is sent for a host that is not one of the provider's.
    for host in
        ["evil.example", "127.0.0.1", "bfl.ai.evil.example", "xbfl.ai", "us1.bfl.ai:1", "a/.bfl.ai"]
    {
        let polled = provider.poll(&JobRef(format!("{ID}@{host}"))).await;
        assert!(matches!(polled, Err(Error::Protocol(_))), "{host}");
    }
    // A script has no regions, so the answer's foreign address is not taken over.
    let provider = adapter(&script);
    script.on(SUBMIT, Answer::json(200, wire!("accepted")));
    assert_eq!(job(&provider, &picture("flux-2-pro")).await, JobRef(ID.to_owned()));
}

#[tokio::test]
async fn a_job_ends_in_other_ways_too() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef(ID.to_owned());
    let moderated = "Request Moderated: Derivative Works Filter";
    for (wire, expected) in [
        (wire!("moderated"), Error::Moderated(moderated.to_owned())),
        (wire!("error"), Error::Failed("The provider failed.".to_owned())),
        (wire!("not_found"), Error::Failed("The provider no longer has the job.".to_owned())),
    ] {
        script.reset().on(POLL, Answer::json(200, wire));
        assert_eq!(failed(provider.poll(&job).await.unwrap()), expected);
    }
    assert_eq!(provider.cancel(&job).await, Err(Error::Unsupported));
    let look_up: Result<LookUp, Error> = provider.look_up(&picture("flux-2-pro")).await;
    assert_eq!(look_up, Err(Error::Unsupported));
}

#[tokio::test]
async fn refusals_have_their_meanings() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let width = r#"{"detail":[{"loc":["body","width"],"msg":"Input should be a multiple of 16","type":"multiple_of"}]}"#;
    let limited = r#"{"error":"rate_limit_exceeded","message":"Too many concurrent requests","retry_after":5}"#;
    let wait = Some(Duration::from_secs(5));
    subject(&provider, &script)
        .refuses(&[
            (403, &said("Not authenticated"), Error::Unauthorized),
            (402, &said("Insufficient credits"), Error::OutOfCredit),
            (422, width, Error::Rejected("Input should be a multiple of 16".to_owned())),
            (429, limited, Error::RateLimited { retry_after: wait }),
            (503, &said("Overloaded"), Error::Unavailable),
        ])
        .await;
}
