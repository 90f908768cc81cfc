//! OpenAI.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use providers::openai::OpenAi;
use providers::{
    Acceptance, DeliveryMode, Error, JobRef, MediaKind, OutputFormat, Provider, Request,
};
use serde_json::json;

use crate::conformance::Subject;
use crate::script::{Answer, Script};
use crate::support::{
    SECRET, SamePicture, contents, drawn, endpoint, film, given, http, picture, result, with,
};

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("../wires/openai/", $name, ".json"))
    };
}

const SUBMIT: &str = "POST /images/generations";

fn adapter(script: &Script) -> OpenAi {
    OpenAi::new(&http(), endpoint(&script.url), Arc::new(SamePicture)).unwrap()
}

fn subject<'a>(provider: &'a OpenAi, script: &'a Script) -> Subject<'a> {
    Subject {
        provider,
        script,
        request: picture("gpt-image-2"),
        submit: SUBMIT,
        poll: None,
        credential: ("authorization", format!("Bearer {SECRET}")),
    }
}

/// The recorded answer with a real picture in it.
fn made(format: ImageFormat) -> Answer {
    let body = wire!("made").replace("PICTURE", &STANDARD.encode(drawn(format, 4)));
    Answer::json(200, body).header("openai-processing-ms", "21500")
}

#[tokio::test]
async fn it_conforms() {
    let script = Script::start().await;
    subject(&adapter(&script), &script).conforms().await;
}

#[tokio::test]
async fn pictures_are_in_the_answer() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let capabilities = provider.capabilities("gpt-image-2", MediaKind::Image);
    assert_eq!(capabilities.deliveries, [DeliveryMode::Inline]);
    script.on(SUBMIT, made(ImageFormat::Jpeg));
    let options = json!({
        "generation_moderation": false, "generation_background": "opaque",
        "generation_output_quality": 80,
    });
    let request =
        Request { count: 2, format: OutputFormat::Jpg, ..with(picture("gpt-image-2"), options) };
    let output = result(&provider, &request).await;
    let expected = json!({
        "model": "gpt-image-2", "prompt": "a red bus", "n": 2, "size": "1360x768",
        "output_format": "jpeg", "moderation": "low", "output_compression": 80,
        "background": "opaque",
    });
    assert_eq!(script.last().json(), expected);
    let files = contents(&output);
    assert_eq!(files, [(OutputFormat::Jpg, drawn(ImageFormat::Jpeg, 4).into())]);
    assert_eq!(output.predict_time, Some(Duration::from_millis(21_500)));
}

#[tokio::test]
async fn pictures_to_be_edited_go_in_a_form() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on("POST /images/edits", made(ImageFormat::Png));
    let files = ["https://files.example/a.jpg", "https://files.example/b.jpg"];
    result(&provider, &given(picture("gpt-image-2"), &files)).await;
    let asked = script.last();
    assert!(asked.header("content-type").starts_with("multipart/form-data; boundary="));
    let body = String::from_utf8_lossy(&asked.body).into_owned();
    assert_eq!(body.matches("name=\"image[]\"; filename=\"image[].jpg\"").count(), 2);
    assert!(body.contains("name=\"prompt\"\r\n\r\na red bus\r\n"), "{body}");
    assert!(body.contains("name=\"n\"\r\n\r\n1\r\n"), "{body}");
}

#[tokio::test]
async fn refusals_have_their_meanings() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let seconds = |seconds| Error::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
    let unsafe_text = "Your request was rejected by the safety system.";
    subject(&provider, &script)
        .refuses(&[
            (401, wire!("invalid_key"), Error::Unauthorized),
            (400, wire!("moderation"), Error::Moderated(unsafe_text.to_owned())),
            (429, wire!("quota"), Error::OutOfCredit),
            (429, wire!("rate_limit"), seconds(12)),
            (400, wire!("invalid_value"), Error::Rejected("Invalid size.".to_owned())),
            (
                404,
                wire!("no_model"),
                Error::Failed("The provider does not have this model.".to_owned()),
            ),
            (500, wire!("server_error"), Error::Unavailable),
        ])
        .await;
}

#[tokio::test]
async fn what_is_no_picture_is_no_result() {
    let script = Script::start().await;
    let provider = adapter(&script);
    for picture_text in ["***", "PGh0bWw+", ""] {
        let body = wire!("made").replace("PICTURE", picture_text);
        script.reset().on(SUBMIT, Answer::json(200, body));
        let failed = provider.submit(&picture("gpt-image-2")).await.unwrap_err();
        assert!(matches!(failed.error, Error::Protocol(_)), "{failed:?}");
        assert_eq!(failed.acceptance, Acceptance::Unknown);
    }
}

#[tokio::test]
async fn there_are_no_jobs_and_no_films() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let job = JobRef("x".to_owned());
    assert_eq!(provider.poll(&job).await.unwrap_err(), Error::Unsupported);
    assert_eq!(provider.cancel(&job).await.unwrap_err(), Error::Unsupported);
    let failed = provider.submit(&film("sora-2")).await.unwrap_err();
    assert_eq!(failed.acceptance, Acceptance::Refused);
    assert_eq!(script.asked().len(), 0);
}
