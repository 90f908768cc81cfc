//! Alibaba Cloud.

use providers::alibabacloud::AlibabaCloud;
use providers::{
    Acceptance, CancelAnswer, DeliveryMode, Error, JobRef, MediaKind, Progress, Provider, Request,
};
use serde_json::json;

use crate::conformance::Subject;
use crate::script::{Answer, Script};
use crate::support::{
    SECRET, addresses, done, endpoint, failed, film, given, http, is_waiting, job, picture, result,
    text, with,
};

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("../wires/alibabacloud/", $name, ".json"))
    };
}

const INLINE: &str = "POST /services/aigc/multimodal-generation/generation";
const SUBMIT: &str = "POST /services/aigc/video-generation/video-synthesis";
const ID: &str = "9e2b6ef6-285d-4efa-8651-4dbda7d571fa";
const POLL: &str = "GET /tasks/9e2b6ef6-285d-4efa-8651-4dbda7d571fa";
const CANCEL: &str = "POST /tasks/9e2b6ef6-285d-4efa-8651-4dbda7d571fa/cancel";

fn adapter(script: &Script) -> AlibabaCloud {
    AlibabaCloud::new(&http(), endpoint(&script.url)).unwrap()
}

fn films<'a>(provider: &'a AlibabaCloud, script: &'a Script) -> Subject<'a> {
    Subject {
        provider,
        script,
        request: film("wan2.7-t2v"),
        submit: SUBMIT,
        poll: Some((ID, POLL)),
        credential: ("authorization", format!("Bearer {SECRET}")),
    }
}

fn pictures<'a>(provider: &'a AlibabaCloud, script: &'a Script) -> Subject<'a> {
    let request = picture("qwen-image-max");
    Subject { request, submit: INLINE, poll: None, ..films(provider, script) }
}

#[tokio::test]
async fn it_conforms() {
    let script = Script::start().await;
    let provider = adapter(&script);
    films(&provider, &script).conforms().await;
    pictures(&provider, &script).conforms().await;
}

#[tokio::test]
async fn qwen_answers_with_the_picture() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let delivery = |model, media| provider.capabilities(model, media).deliveries[0];
    assert_eq!(delivery("qwen-image-max", MediaKind::Image), DeliveryMode::Inline);
    assert_eq!(delivery("wan2.5-i2i-preview", MediaKind::Image), DeliveryMode::Polling);
    assert_eq!(delivery("wan2.7-t2v", MediaKind::Video), DeliveryMode::Polling);
    script.on(INLINE, Answer::json(200, wire!("made")));
    let options = json!({
        "generation_enhance_prompt": "standard", "generation_negative_prompt": "rain",
        "generation_seed": 233, "generation_watermark": false,
    });
    let output = result(&provider, &with(picture("qwen-image-max"), options)).await;
    let expected = json!({
        "model": "qwen-image-max",
        "input": { "messages": [{ "role": "user", "content": [{ "text": "a red bus" }] }] },
        "parameters": {
            "size": "1664*928", "negative_prompt": "rain", "prompt_extend": true, "seed": 233,
            "watermark": false, "n": 1,
        },
    });
    assert_eq!(script.last().json(), expected);
    assert_eq!(script.last().header("x-dashscope-async"), "");
    assert_eq!(addresses(&output), ["https://dashscope-a.oss.example/a.png?Expires=1"]);
}

#[tokio::test]
async fn pictures_to_be_edited_come_first() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on(INLINE, Answer::json(200, wire!("made")));
    let request = given(picture("qwen-image-edit-plus"), &["https://files.example/a.png"]);
    result(&provider, &request).await;
    let content = script.last().json()["input"]["messages"][0]["content"].clone();
    assert_eq!(
        content,
        json!([{ "image": "https://files.example/a.png" }, { "text": "a red bus" }])
    );

    script
        .on("POST /services/aigc/image2image/image-synthesis", Answer::json(200, wire!("pending")));
    let request = given(picture("wan2.5-i2i-preview"), &["https://files.example/a.png"]);
    job(&provider, &request).await;
    let input = script.last().json()["input"].clone();
    assert_eq!(input, json!({ "prompt": "a red bus", "images": ["https://files.example/a.png"] }));
    assert_eq!(script.last().header("x-dashscope-async"), "enable");
}

#[tokio::test]
async fn a_film_is_submitted_polled_and_done() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on(SUBMIT, Answer::json(200, wire!("pending")));
    let job = job(&provider, &film("wan2.7-t2v")).await;
    assert_eq!(job, JobRef(ID.to_owned()));
    let expected = json!({
        "model": "wan2.7-t2v", "input": { "prompt": "a red bus" },
        "parameters": { "resolution": "720P", "ratio": "16:9", "watermark": false, "duration": 5 },
    });
    assert_eq!(script.last().json(), expected);
    assert_eq!(script.last().header("x-dashscope-async"), "enable");
    script
        .on(POLL, Answer::json(200, wire!("running")))
        .on(POLL, Answer::json(200, wire!("succeeded_film")));
    assert!(is_waiting(&provider.poll(&job).await.unwrap()));
    let output = done(provider.poll(&job).await.unwrap());
    assert_eq!(addresses(&output), ["https://dashscope-a.oss.example/a.mp4?Expires=1"]);
}

#[tokio::test]
async fn older_films_have_sizes_and_one_picture() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on(SUBMIT, Answer::json(200, wire!("pending")));
    job(&provider, &film("wan2.5-t2v-preview")).await;
    assert_eq!(script.last().json()["parameters"]["size"], json!("1280*720"));
    job(&provider, &given(film("wan2.5-i2v-preview"), &["https://files.example/a.png"])).await;
    let body = script.last().json();
    assert_eq!(body["input"]["img_url"], json!("https://files.example/a.png"));
    assert_eq!(body["parameters"]["resolution"], json!("720P"));
}

#[tokio::test]
async fn a_job_ends_in_other_ways_too() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef(ID.to_owned());
    for (wire, expected) in [
        (wire!("failed"), Error::Failed("Timed out inside.".to_owned())),
        (
            wire!("failed_inspection"),
            Error::Moderated("Output data may contain inappropriate content.".to_owned()),
        ),
        (wire!("succeeded_in_part"), Error::Moderated("Unsafe.".to_owned())),
        (wire!("unknown"), Error::Failed("The provider no longer has the job.".to_owned())),
    ] {
        script.reset().on(POLL, Answer::json(200, wire));
        assert_eq!(failed(provider.poll(&job).await.unwrap()), expected);
    }
    script.reset().on(POLL, Answer::json(200, wire!("running").replace("RUNNING", "CANCELED")));
    assert!(matches!(provider.poll(&job).await.unwrap(), Progress::Canceled));
}

fn error(code: &str, message: &str) -> String {
    text(json!({ "code": code, "message": message, "request_id": "r" }))
}

#[tokio::test]
async fn refusals_have_their_meanings_even_with_a_good_status() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let no_model = || Error::Failed("The provider does not have this model.".to_owned());
    let refusals = [
        (401, error("InvalidApiKey", "Invalid API-key provided."), Error::Unauthorized),
        (400, error("Arrearage", "Overdue."), Error::OutOfCredit),
        (403, error("AllocationQuota.FreeTierOnly", "Used up."), Error::OutOfCredit),
        (403, error("AccessDenied.Unpurchased", "No."), Error::Unauthorized),
        (
            400,
            error("InvalidParameter", "size must be in ..."),
            Error::Rejected("size must be in ...".to_owned()),
        ),
        (400, error("InvalidParameter", "Model not exist."), no_model()),
        (404, error("ModelNotFound", "No."), no_model()),
        (
            400,
            error("DataInspectionFailed", "Input data may contain inappropriate content."),
            Error::Moderated("Input data may contain inappropriate content.".to_owned()),
        ),
        (
            429,
            error("Throttling.RateQuota", "Requests rate limit exceeded."),
            Error::RateLimited { retry_after: None },
        ),
        (500, error("InternalError.Algo", "Inside."), Error::Failed("Inside.".to_owned())),
        (503, error("ModelUnavailable", "Busy."), Error::Unavailable),
        (200, error("DataInspectionFailed", "Unsafe."), Error::Moderated("Unsafe.".to_owned())),
    ];
    let refusals: Vec<(u16, &str, Error)> = refusals
        .iter()
        .map(|(status, body, error)| (*status, body.as_str(), error.clone()))
        .collect();
    films(&provider, &script).refuses(&refusals).await;
    pictures(&provider, &script).refuses(&refusals).await;
}

#[tokio::test]
async fn a_job_that_runs_is_not_canceled() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef(ID.to_owned());
    let runs = error(
        "UnsupportedOperation",
        "Failed to cancel the task, please confirm if the task is in PENDING status.",
    );
    script
        .on(CANCEL, Answer::json(200, r#"{"request_id":"r"}"#))
        .on(CANCEL, Answer::json(400, runs));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::Canceled));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::TooLate));
}

#[tokio::test]
async fn what_a_model_cannot_make_is_rejected_before_anything_is_sent() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let wide = Request { ratio: "21:9".to_owned(), ..picture("qwen-image") };
    let several = Request { count: 2, ..film("wan2.7-t2v") };
    for request in [wide, several] {
        let refused = provider.submit(&request).await.unwrap_err();
        assert!(matches!(refused.error, Error::Rejected(_)), "{refused:?}");
        assert_eq!(refused.acceptance, Acceptance::Refused);
    }
    assert_eq!(script.asked().len(), 0);
}
