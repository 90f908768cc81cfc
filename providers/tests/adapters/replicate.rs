//! Replicate.

use std::time::Duration;

use providers::callback::CallbackKey;
use providers::name::ProviderName;
use providers::replicate::Replicate;
use providers::{
    Acceptance, CallbackError, CancelAnswer, DeliveryMode, Error, Expected, JobRef, LookUp,
    MediaKind, Progress, Provider, RawCallback, Request, Submitted,
};
use serde_json::{Value, json};

use crate::conformance::Subject;
use crate::script::{Answer, Script};
use crate::support::{
    NOW, SECRET, addresses, at, called_back, clock, done, endpoint, failed, film, given, http,
    is_waiting, job, picture, text, told, with,
};

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("../wires/replicate/", $name, ".json"))
    };
}

const SCHNELL: &str = "black-forest-labs/flux-schnell";
const SUBMIT: &str = "POST /models/black-forest-labs/flux-schnell/predictions";
const ID: &str = "ufawqhfynnddngldkgtslldrkq";
const POLL: &str = "GET /predictions/ufawqhfynnddngldkgtslldrkq";
const SIGNING: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

fn adapter(script: &Script) -> Replicate {
    Replicate::new(&http(), endpoint(&script.url), None, clock()).unwrap()
}

fn subject<'a>(provider: &'a Replicate, script: &'a Script) -> Subject<'a> {
    Subject {
        provider,
        script,
        request: picture(SCHNELL),
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
    assert_eq!(provider.name(), ProviderName::Replicate);
    let capabilities = provider.capabilities(SCHNELL, MediaKind::Image);
    assert_eq!(capabilities.deliveries[0], DeliveryMode::Callback);
    script.on(SUBMIT, Answer::json(201, wire!("starting")));
    let mut request = called_back(with(
        picture(SCHNELL),
        json!({ "generation_seed": 7, "generation_moderation": false }),
    ));
    request.count = 2;
    let job = job(&provider, &request).await;
    assert_eq!(job, JobRef(ID.to_owned()));
    let expected = json!({
        "input": {
            "prompt": "a red bus", "aspect_ratio": "16:9", "num_outputs": 2, "seed": 7,
            "output_format": "png", "disable_safety_checker": true,
        },
        "webhook": "https://us.example.com/callbacks/t0ken",
        "webhook_events_filter": ["completed"],
    });
    assert_eq!(script.last().json(), expected);
    script
        .on(POLL, Answer::json(200, wire!("starting")))
        .on(POLL, Answer::json(200, wire!("processing")))
        .on(POLL, Answer::json(200, wire!("succeeded")));
    assert!(is_waiting(&provider.poll(&job).await.unwrap()));
    assert!(is_waiting(&provider.poll(&job).await.unwrap()));
    let output = done(provider.poll(&job).await.unwrap());
    let files = [
        "https://replicate.delivery/xezq/a/out-0.png",
        "https://replicate.delivery/xezq/a/out-1.png",
    ];
    assert_eq!(addresses(&output), files);
    assert_eq!(output.predict_time, Some(Duration::from_millis(1250)));
}

#[tokio::test]
async fn a_film_has_its_own_inputs_and_one_file() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let line = "POST /models/bytedance/seedance-1-pro/predictions";
    script.on(line, Answer::json(202, wire!("starting")));
    let options = json!({ "generation_camera_fixed": true, "generation_seed": null });
    let mut request = with(film("bytedance/seedance-1-pro"), options);
    request = given(request, &["https://files.example/first.png"]);
    request.last_frame = Some("https://files.example/last.png".parse().unwrap());
    let job = job(&provider, &request).await;
    let expected = json!({ "input": {
        "prompt": "a red bus", "aspect_ratio": "16:9", "image": "https://files.example/first.png",
        "last_frame_image": "https://files.example/last.png", "duration": 5, "resolution": "720p",
        "camera_fixed": true,
        // The submission's own.
        "seed": 21,
    }});
    assert_eq!(script.last().json(), expected);
    script.on(POLL, Answer::json(200, wire!("succeeded_film")));
    let output = done(provider.poll(&job).await.unwrap());
    assert_eq!(addresses(&output), ["https://replicate.delivery/xezq/a/tmp.mp4"]);
}

#[tokio::test]
async fn a_job_ends_in_other_ways_too() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef(ID.to_owned());
    let nsfw = "NSFW content detected. Try running it again, or try a different prompt.";
    for (wire, expected) in [
        (wire!("failed_nsfw"), Error::Moderated(nsfw.to_owned())),
        (wire!("failed"), Error::Failed("Prediction failed: E1001 out of memory".to_owned())),
        (wire!("aborted"), Error::Failed("The job did not start in time.".to_owned())),
        (wire!("removed"), Error::Failed("The provider no longer has the job.".to_owned())),
    ] {
        script.reset().on(POLL, Answer::json(200, wire));
        assert_eq!(failed(provider.poll(&job).await.unwrap()), expected);
    }
    script.reset().on(POLL, Answer::json(200, wire!("canceled")));
    assert!(matches!(provider.poll(&job).await.unwrap(), Progress::Canceled));
    script.reset().on(POLL, Answer::json(404, r#"{"title":"Not found","detail":"Not found."}"#));
    failed(provider.poll(&job).await.unwrap());
}

#[tokio::test]
async fn refusals_have_their_meanings() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let limited = |seconds| Error::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
    subject(&provider, &script)
        .refuses(&[
            (401, r#"{"title":"Unauthenticated","detail":"You did not pass a valid authentication token","status":401}"#, Error::Unauthorized),
            (402, r#"{"title":"Insufficient credit","detail":"You have insufficient credit to run this model.","status":402}"#, Error::OutOfCredit),
            (422, "{\"title\":\"Input validation failed\",\"detail\":\"- input.num_outputs: Must be less than or equal to 4\\n\",\"status\":422}", Error::Rejected("- input.num_outputs: Must be less than or equal to 4".to_owned())),
            (422, r#"{"title":"Invalid version or not permitted","detail":"The specified version does not exist"}"#, Error::Failed("The provider does not have this version of the model.".to_owned())),
            (404, r#"{"title":"Not found","detail":"Not found.","status":404}"#, Error::Failed("The provider does not have this model.".to_owned())),
            (429, r#"{"detail":"Request was throttled. Your rate limit resets in ~30s."}"#, limited(30)),
            (429, r#"{"detail":"Request was throttled.","status":429,"retry_after":10}"#, limited(10)),
            (500, r#"{"detail":"Internal server error"}"#, Error::Unavailable),
        ])
        .await;
}

#[tokio::test]
async fn what_a_model_has_no_place_for_is_rejected_before_anything_is_sent() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let file = "https://files.example/a.png";
    let several = Request { count: 2, ..picture("google/nano-banana") };
    for request in [
        given(picture(SCHNELL), &[file]),
        several,
        with(picture(SCHNELL), json!({"generation_style": 1})),
    ] {
        let error = provider.submit(&request).await.unwrap_err().error;
        assert!(matches!(error, Error::Rejected(_)), "{error:?}");
    }
    assert_eq!(script.asked().len(), 0);
}

#[tokio::test]
async fn a_second_cancel_changes_nothing() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef(ID.to_owned());
    let line = "POST /predictions/ufawqhfynnddngldkgtslldrkq/cancel";
    script
        .on(line, Answer::json(200, wire!("processing")))
        .on(line, Answer::json(200, wire!("canceled")));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::Canceled));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::Canceled));
    script.reset().on(line, Answer::json(200, wire!("succeeded")));
    assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::TooLate));
}

fn page(results: &[Value], next: Option<String>) -> Answer {
    Answer::json(200, text(json!({ "previous": null, "next": next, "results": results })))
}

#[tokio::test]
async fn a_lost_submit_is_found_by_its_seed_on_any_page() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let mine: Value = serde_json::from_str(wire!("starting")).unwrap();
    let mut other = mine.clone();
    (other["id"], other["input"]["seed"]) = (json!("other"), json!(22));
    let next = format!("{}predictions?cursor=abc", script.url);
    script
        .on("GET /predictions?created_after=2023-11-14T21", page(&[other.clone()], Some(next)))
        .on("GET /predictions?cursor=abc", page(&[other.clone(), mine], None));
    let found = provider.look_up(&picture(SCHNELL)).await;
    assert_eq!(found, Ok(LookUp::Found(JobRef(ID.to_owned()))));

    script.reset().on("GET /predictions?", page(&[other], None));
    assert_eq!(provider.look_up(&picture(SCHNELL)).await, Ok(LookUp::Absent));
    let fresh = Request { submitted_at: at(NOW - 5), ..picture(SCHNELL) };
    assert_eq!(provider.look_up(&fresh).await, Err(Error::Unavailable), "too early to say");
}

#[tokio::test]
async fn a_job_that_others_could_be_taken_for_is_not_looked_for() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let chosen = with(picture(SCHNELL), json!({ "generation_seed": 21 }));
    assert_eq!(provider.look_up(&chosen).await, Err(Error::Unsupported));
    assert_eq!(provider.look_up(&picture("google/nano-banana")).await, Err(Error::Unsupported));
    let elsewhere = page(&[], Some("https://elsewhere.example/v1/predictions?cursor=x".to_owned()));
    script.on("GET /predictions?", elsewhere);
    assert!(matches!(provider.look_up(&picture(SCHNELL)).await, Err(Error::Protocol(_))));
}

const ABOUT: Expected<'static> = Expected { model: SCHNELL };

fn headers(body: &str, secret: &str, signed_at: i64) -> Vec<(String, String)> {
    let key = CallbackKey::parse(&secret.into()).unwrap();
    let signature = key.sign("msg_1", at(signed_at), body.as_bytes());
    [
        ("webhook-id", "msg_1".to_owned()),
        ("webhook-timestamp", signed_at.to_string()),
        ("webhook-signature", signature),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

async fn parse(
    provider: &Replicate,
    headers: &[(String, String)],
    body: &str,
) -> Result<(JobRef, Progress), CallbackError> {
    let raw = RawCallback { headers, body: body.as_bytes(), received_at: at(NOW) };
    provider.parse_callback(&raw, &ABOUT).await.map(told)
}

#[tokio::test]
async fn a_submit_that_waits_comes_to_a_result_a_failure_or_a_job() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let request = Request { delivery: DeliveryMode::Inline, ..picture(SCHNELL) };
    script.on(SUBMIT, Answer::json(201, wire!("succeeded")));
    match provider.submit(&request).await.unwrap() {
        Submitted::Done { job, output } => {
            assert_eq!((job, output.files.len()), (Some(JobRef(ID.to_owned())), 2));
        }
        Submitted::Job { .. } => panic!("it was done"),
    }
    assert_eq!(script.last().header("prefer"), "wait=10");
    script.reset().on(SUBMIT, Answer::json(202, wire!("starting")));
    assert_eq!(job(&provider, &request).await, JobRef(ID.to_owned()));
    script.reset().on(SUBMIT, Answer::json(201, wire!("failed_nsfw")));
    let failed = provider.submit(&request).await.unwrap_err();
    assert!(matches!(failed.error, Error::Moderated(_)), "{failed:?}");
    assert_eq!(failed.acceptance, Acceptance::Refused);
    // Nobody waits where the result comes in another way.
    script.reset().on(SUBMIT, Answer::json(201, wire!("starting")));
    job(&provider, &picture(SCHNELL)).await;
    assert_eq!(script.last().header("prefer"), "");
}

#[tokio::test]
async fn callbacks_are_believed_when_they_are_signed_with_the_accounts_secret() {
    let script = Script::start().await;
    let secret = "GET /webhooks/default/secret";
    script.on(secret, Answer::json(200, text(json!({ "key": SIGNING }))));
    let provider = adapter(&script);
    let body = wire!("succeeded");
    let news = parse(&provider, &headers(body, SIGNING, NOW), body).await.unwrap();
    assert_eq!(news.0, JobRef(ID.to_owned()));
    assert_eq!(addresses(&done(news.1)).len(), 2);

    let other = "whsec_BBECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    let forged = parse(&provider, &headers(body, other, NOW), body).await;
    assert_eq!(forged.unwrap_err(), CallbackError::Signature);
    let changed = parse(&provider, &headers(wire!("failed"), SIGNING, NOW), body).await;
    assert_eq!(changed.unwrap_err(), CallbackError::Signature);
    let stale = parse(&provider, &headers(body, SIGNING, NOW - 301), body).await;
    assert_eq!(stale.unwrap_err(), CallbackError::Stale);
    let unreadable = parse(&provider, &headers("[]", SIGNING, NOW), "[]").await;
    assert_eq!(unreadable.unwrap_err(), CallbackError::Malformed);
    assert_eq!(script.count(secret), 1, "forged callbacks make us ask no more");
}

#[tokio::test]
async fn a_configured_secret_is_not_asked_for() {
    let script = Script::start().await;
    let provider =
        Replicate::new(&http(), endpoint(&script.url), Some(&SIGNING.into()), clock()).unwrap();
    let body = wire!("failed_nsfw");
    let news = parse(&provider, &headers(body, SIGNING, NOW), body).await.unwrap();
    assert!(matches!(failed(news.1), Error::Moderated(_)));
    assert_eq!(script.asked().len(), 0);
}
