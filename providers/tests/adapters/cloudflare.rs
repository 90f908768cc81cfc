//! Cloudflare.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use providers::cloudflare::Cloudflare;
use providers::{Acceptance, Error, JobRef, OutputFormat, Provider, Request};
use serde_json::json;

use crate::conformance::Subject;
use crate::script::{Answer, Script};
use crate::support::{
    SECRET, SamePicture, contents, drawn, endpoint, given, http, picture, result, text, with,
};

const SCHNELL: &str = "@cf/black-forest-labs/flux-1-schnell";
const SUBMIT: &str = "POST /accounts/0a1b/ai/run/@cf/black-forest-labs/flux-1-schnell";

fn adapter(script: &Script) -> Cloudflare {
    let files = Arc::new(SamePicture);
    Cloudflare::new(&http(), endpoint(&script.url), "0a1b".to_owned(), files).unwrap()
}

fn subject<'a>(provider: &'a Cloudflare, script: &'a Script) -> Subject<'a> {
    Subject {
        provider,
        script,
        request: picture(SCHNELL),
        submit: SUBMIT,
        poll: None,
        credential: ("authorization", format!("Bearer {SECRET}")),
    }
}

fn made(format: ImageFormat, side: u32) -> Answer {
    let image = STANDARD.encode(drawn(format, side));
    let body = include_str!("../wires/cloudflare/made.json").replace("PICTURE", &image);
    Answer::json(200, body)
}

#[tokio::test]
async fn it_conforms() {
    let script = Script::start().await;
    subject(&adapter(&script), &script).conforms().await;
}

#[tokio::test]
async fn a_square_is_cropped_to_the_ratio_and_made_what_was_asked_for() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on(SUBMIT, made(ImageFormat::Jpeg, 64));
    let options = json!({ "generation_seed": 7 });
    let output = result(&provider, &with(picture(SCHNELL), options)).await;
    // Its schema forbids everything else.
    assert_eq!(script.last().json(), json!({ "prompt": "a red bus" }));
    let files = contents(&output);
    assert_eq!(files[0].0, OutputFormat::Png);
    let cropped = image::load_from_memory(&files[0].1).unwrap();
    assert_eq!((cropped.width(), cropped.height()), (64, 36));

    let square = Request { ratio: "1:1".to_owned(), ..picture(SCHNELL) };
    let output = result(&provider, &square).await;
    assert_eq!(contents(&output), [(OutputFormat::Jpg, drawn(ImageFormat::Jpeg, 64).into())]);
}

#[tokio::test]
async fn raw_bytes_are_what_they_are_whatever_their_content_type_says() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let jpeg = drawn(ImageFormat::Jpeg, 8);
    let answer =
        Answer::Says(200, vec![("content-type".to_owned(), "image/png".to_owned())], jpeg.clone());
    script.on("POST /accounts/0a1b/ai/run/@cf/bytedance/stable-diffusion-xl-lightning", answer);
    let options = json!({ "generation_seed": 7, "generation_negative_prompt": "rain" });
    let request = with(picture("@cf/bytedance/stable-diffusion-xl-lightning"), options);
    let output = result(&provider, &request).await;
    assert_eq!(contents(&output), [(OutputFormat::Jpg, jpeg.into())]);
    let expected = json!({
        "prompt": "a red bus", "width": 1360, "height": 768, "seed": 7, "negative_prompt": "rain",
    });
    assert_eq!(script.last().json(), expected);
}

#[tokio::test]
async fn the_newest_models_take_a_form() {
    let script = Script::start().await;
    let provider = adapter(&script);
    script.on(
        "POST /accounts/0a1b/ai/run/@cf/black-forest-labs/flux-2-klein-4b",
        made(ImageFormat::Png, 8),
    );
    let request = picture("@cf/black-forest-labs/flux-2-klein-4b");
    result(&provider, &given(request, &["https://files.example/a.jpg"])).await;
    let body = String::from_utf8_lossy(&script.last().body).into_owned();
    for part in [
        "name=\"prompt\"\r\n\r\na red bus",
        "name=\"width\"\r\n\r\n1360",
        "name=\"input_image_0\"; filename",
    ] {
        assert!(body.contains(part), "{part}");
    }
}

fn errors(code: u32, message: &str) -> String {
    text(json!({
        "result": {}, "success": false, "errors": [{ "code": code, "message": message }],
        "messages": [],
    }))
}

#[tokio::test]
async fn refusals_have_their_meanings() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let nsfw = "AiError: Input prompt contains NSFW content";
    let invalid = "AiError: Model input is not valid: prompt";
    let refusals = [
        (401, errors(10_000, "Authentication error"), Error::Unauthorized),
        (400, errors(3030, nsfw), Error::Moderated(nsfw.to_owned())),
        (400, errors(3030, invalid), Error::Rejected(invalid.to_owned())),
        (400, errors(3030, "AiError: it broke"), Error::Failed("AiError: it broke".to_owned())),
        (429, errors(4006, "you have used up your daily free allocation"), Error::OutOfCredit),
        (429, errors(3040, "Capacity temporarily exceeded"), Error::Unavailable),
        (429, errors(971, "Too many requests"), Error::RateLimited { retry_after: None }),
        (
            400,
            errors(5007, "No such model"),
            Error::Failed("The provider does not have this model.".to_owned()),
        ),
        (
            413,
            errors(3006, "Request is too large"),
            Error::Rejected("Request is too large".to_owned()),
        ),
        (500, errors(3043, "Internal"), Error::Unavailable),
    ];
    let refusals: Vec<(u16, &str, Error)> = refusals
        .iter()
        .map(|(status, body, error)| (*status, body.as_str(), error.clone()))
        .collect();
    subject(&provider, &script).refuses(&refusals).await;
    // The envelope counts, whatever the status.
    script.reset().on(SUBMIT, Answer::json(200, errors(3030, nsfw)));
    let failed = provider.submit(&picture(SCHNELL)).await.unwrap_err();
    assert_eq!(failed.error, Error::Moderated(nsfw.to_owned()));
}

#[tokio::test]
async fn what_a_model_cannot_take_is_not_sent() {
    let script = Script::start().await;
    let provider = adapter(&script);
    let long = Request { prompt: "x".repeat(2049), ..picture(SCHNELL) };
    let several = Request { count: 2, ..picture(SCHNELL) };
    let file = given(picture(SCHNELL), &["https://files.example/a.jpg"]);
    for request in [long, several, file, picture("@cf/../../accounts")] {
        let failed = provider.submit(&request).await.unwrap_err();
        assert_eq!(failed.acceptance, Acceptance::Refused);
    }
    assert_eq!(script.asked().len(), 0);
    let job = JobRef("x".to_owned());
    assert_eq!(provider.cancel(&job).await.unwrap_err(), Error::Unsupported);
}
