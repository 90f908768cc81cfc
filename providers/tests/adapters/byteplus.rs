//! BytePlus.

use providers::byteplus::Byteplus;
use providers::{
    Acceptance, CallbackNews, CancelAnswer, DeliveryMode, Error, Expected, JobRef, LookUp,
    MediaKind, Progress, Provider, RawCallback, Request,
};
use serde_json::{Value, json};

use crate::conformance::Subject;
use crate::script::{Answer, Script};
use crate::support::{
    NOW, SECRET, addresses, at, called_back, clock, done, endpoint, failed, film, given, http,
    is_waiting, job, picture, result, text, with,
};

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("../wires/byteplus/", $name, ".json"))
    };
}

const IMAGES: &str = "POST /images/generations";
const SUBMIT: &str = "POST /contents/generations/tasks";
const ID: &str = "cgt-20261122180000-abcde";
const POLL: &str = "GET /contents/generations/tasks/cgt-20261122180000-abcde";
const DELETE: &str = "DELETE /contents/generations/tasks/cgt-20261122180000-abcde";
const SEEDREAM: &str = "seedream-4-0-250828";
const SEEDANCE: &str = "seedance-1-0-pro-250528";

fn adapter(script: &Script) -> Byteplus {
    Byteplus::new(&http(), endpoint(&script.url), clock()).unwrap()
}

fn films<'a>(provider: &'a Byteplus, script: &'a Script) -> Subject<'a> {
    Subject {
        provider,
        script,
        request: film(SEEDANCE),
        submit: SUBMIT,
        poll: Some((ID, POLL)),
        credential: ("authorization", format!("Bearer {SECRET}")),
    }
}

fn pictures<'a>(provider: &'a Byteplus, script: &'a Script) -> Subject<'a> {
    let request = picture(SEEDREAM);
    Subject { request, submit: IMAGES, poll: None, ..films(provider, script) }
}

#[tokio::test]
async fn it_conforms() {
    let script = Script::start().await;
    let provider = adapter(&script);
    films(&provider, &script).conforms().await;
    pictures(&provider, &script).conforms().await;
}

#[tokio::test]
async fn a_picture_is_in_the_answer() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let capabilities = provider.capabilities(SEEDREAM, MediaKind::Image);
    assert_eq!(capabilities.deliveries, [DeliveryMode::Inline]);
    script.on(IMAGES, Answer::json(200, wire!("made")));
    let request = with(picture(SEEDREAM), json!({ "generation_enhance_prompt": "fast" }));
    let request = Request { resolution: Some("2K".to_owned()), ..request };
    let request = given(request, &["https://files.example/a.png"]);
    let output = result(&provider, &request).await;
    let expected = json!({
        "model": SEEDREAM, "prompt": "a red bus", "size": "2736x1536", "response_format": "url",
        "watermark": false, "sequential_image_generation": "disabled",
        "optimize_prompt_options": { "mode": "fast" }, "image": "https://files.example/a.png",
    });
    assert_eq!(script.last().json(), expected);
    assert_eq!(
        addresses(&output),
        [
            "https://ark-content-generation-v2-ap-southeast-1.tos-ap-southeast-1.volces.com/a.jpeg?X-Tos-Expires=86400"
        ]
    );
}

#[tokio::test]
async fn a_picture_that_was_refused_in_a_good_answer_is_refused() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on(IMAGES, Answer::json(200, wire!("made_refused")));
    let refused = provider.submit(&picture(SEEDREAM)).await.unwrap_err();
    assert_eq!(refused.error, Error::Moderated("The output image may be sensitive.".to_owned()));
    assert_eq!(refused.acceptance, Acceptance::Refused);
}

#[tokio::test]
async fn a_film_is_submitted_polled_and_done() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on(SUBMIT, Answer::json(200, wire!("created")));
    let mut request = called_back(with(film(SEEDANCE), json!({ "generation_camera_fixed": true })));
    request = given(request, &["https://files.example/first.png"]);
    request.last_frame = Some("https://files.example/last.png".parse().unwrap());
    let job = job(&provider, &request).await;
    let expected = json!({
        "model": SEEDANCE,
        "content": [
            { "type": "text", "text": "a red bus" },
            { "type": "image_url", "image_url": { "url": "https://files.example/first.png" }, "role": "first_frame" },
            { "type": "image_url", "image_url": { "url": "https://files.example/last.png" }, "role": "last_frame" },
        ],
        "ratio": "16:9", "seed": 21, "resolution": "720p", "duration": 5, "camera_fixed": true,
        "watermark": false, "callback_url": "https://us.example.com/callbacks/t0ken",
    });
    assert_eq!(script.last().json(), expected);
    let running = wire!("succeeded").replace("\"succeeded\"", "\"running\"");
    script.on(POLL, Answer::json(200, running)).on(POLL, Answer::json(200, wire!("succeeded")));
    assert!(is_waiting(&provider.poll(&job).await.unwrap()));
    let output = done(provider.poll(&job).await.unwrap());
    assert_eq!(addresses(&output), ["https://ark.example/a.mp4?X-Tos-Expires=86400"]);
}

#[tokio::test]
async fn a_film_ends_in_other_ways_too() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef(ID.to_owned());
    let flagged = "The output video may be sensitive.";
    let status =
        |status: &str| wire!("succeeded").replace("\"succeeded\"", &format!("\"{status}\""));
    for (body, expected) in [
        (wire!("failed_sensitive").to_owned(), Error::Moderated(flagged.to_owned())),
        (status("failed"), Error::Failed("The provider failed.".to_owned())),
        (status("expired"), Error::Failed("The job did not end in time.".to_owned())),
    ] {
        script.reset().on(POLL, Answer::json(200, body));
        assert_eq!(failed(provider.poll(&job).await.unwrap()), expected);
    }
    script.reset().on(POLL, Answer::json(200, status("cancelled")));
    assert!(matches!(provider.poll(&job).await.unwrap(), Progress::Canceled));
}

fn error(code: &str, message: &str) -> String {
    let message = format!("{message} Request id: 02170000");
    text(
        json!({ "error": { "code": code, "message": message, "param": "", "type": "BadRequest" } }),
    )
}

#[tokio::test]
async fn refusals_have_their_meanings() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let limited = || Error::RateLimited { retry_after: None };
    let refusals = [
        (401, error("AuthenticationError", "The API key is wrong."), Error::Unauthorized),
        (403, error("AccountOverdueError", "Overdue."), Error::OutOfCredit),
        (429, error("SetLimitExceeded", "Limit."), Error::OutOfCredit),
        (429, error("QuotaExceeded", "The free trial is used up."), Error::OutOfCredit),
        (429, error("QuotaExceeded", "Too many tasks in the queue."), limited()),
        (429, error("ModelAccountIpmRateLimitExceeded", "Images per minute."), limited()),
        (429, error("ServerOverloaded", "Overloaded."), Error::Unavailable),
        (
            400,
            error("InvalidParameter.size", "The size is wrong."),
            Error::Rejected("The size is wrong.".to_owned()),
        ),
        (
            400,
            error("InputTextSensitiveContentDetected", "Sensitive."),
            Error::Moderated("Sensitive.".to_owned()),
        ),
        (
            404,
            error("ModelNotOpen", "Not activated."),
            Error::Failed("The provider does not have this model.".to_owned()),
        ),
        (500, error("InternalServiceError", "Internal."), Error::Unavailable),
    ];
    let refusals: Vec<(u16, &str, Error)> = refusals
        .iter()
        .map(|(status, body, error)| (*status, body.as_str(), error.clone()))
        .collect();
    films(&provider, &script).refuses(&refusals).await;
    pictures(&provider, &script).refuses(&refusals).await;
}

#[tokio::test]
async fn only_a_job_that_waits_is_deleted() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef(ID.to_owned());
    let status = |status: &str| {
        Answer::json(200, wire!("succeeded").replace("\"succeeded\"", &format!("\"{status}\"")))
    };
    script
        .on(POLL, status("queued"))
        .on(POLL, status("cancelled"))
        .on(DELETE, Answer::json(200, "{}"));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::Canceled));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::Canceled), "a second time");
    assert_eq!(script.count(DELETE), 1);
    for ended in ["running", "succeeded", "failed", "expired"] {
        script.reset().on(POLL, status(ended)).on(DELETE, Answer::json(200, "{}"));
        assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::TooLate), "{ended}");
        assert_eq!(script.count(DELETE), 0, "{ended}");
    }
    let running = error("InvalidAction.RunningTaskDeletion", "It is currently running.");
    script.reset().on(POLL, status("queued")).on(DELETE, Answer::json(409, running));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::TooLate), "it began meanwhile");
}

#[tokio::test]
async fn a_lost_film_is_found_by_its_seed() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let mut mine: Value = serde_json::from_str(wire!("succeeded")).unwrap();
    let other = mine.clone();
    mine["seed"] = json!(21);
    let page = |items: Vec<&Value>| Answer::json(200, text(json!({ "items": items, "total": 1 })));
    script.on("GET /contents/generations/tasks?page_num=1", page(vec![&other, &mine]));
    let found = provider.look_up(&film(SEEDANCE)).await;
    assert_eq!(found, Ok(LookUp::Found(JobRef(ID.to_owned()))));
    script.reset().on("GET /contents/generations/tasks?page_num=1", page(vec![&other]));
    assert_eq!(provider.look_up(&film(SEEDANCE)).await, Ok(LookUp::Absent));
    let fresh = Request { submitted_at: at(NOW - 5), ..film(SEEDANCE) };
    assert_eq!(provider.look_up(&fresh).await, Err(Error::Unavailable));
    let chosen = with(film(SEEDANCE), json!({ "generation_seed": 21 }));
    assert_eq!(provider.look_up(&chosen).await, Err(Error::Unsupported));
}

#[tokio::test]
async fn an_unsigned_callback_is_a_hint_whatever_it_says() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let about = Expected { model: SEEDANCE };
    for body in [wire!("succeeded"), "{}", ""] {
        let raw = RawCallback { headers: &[], body: body.as_bytes(), received_at: at(NOW) };
        let news = provider.parse_callback(&raw, &about).await.unwrap();
        assert!(matches!(news, CallbackNews::Hint), "{news:?}");
    }
    assert_eq!(script.asked().len(), 0);
}
