//! Every adapter in the running server, against an emulator that fails in every way it can: each
//! attempt ends, in its time, and with a class that says what went wrong.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::emulator::{Emulator, PROVIDERS};
use crate::support::app::TestApp;
use crate::support::untrusted;

/// Nobody waits longer for an attempt here.
const HASTY: [(&str, &str); 6] = [
    ("generation.submit_timeout_ms", "1000"),
    ("generation.image_attempt_timeout_ms", "3000"),
    ("generation.video_attempt_timeout_ms", "3000"),
    ("generation.poll_initial_ms", "100"),
    ("generation.poll_max_ms", "300"),
    ("generation.store_output_bytes_max", "8000000"),
];

const TIMED_OUT: &str = "BSE4001";
const UNAVAILABLE: &str = "BSE4002";
const PROVIDER_ERROR: &str = "BSE4003";
const RATE_LIMITED: &str = "BSE4005";
const OUT_OF_CREDIT: &str = "BSE4008";
const UNAUTHORIZED: &str = "BSE4009";
const NO_OUTPUT: &str = "BSE5003";

/// How attempts end.
#[derive(Debug, Clone, Copy)]
enum End {
    Success,
    /// With one of these, at every provider.
    Failure(&'static [&'static str]),
    /// As one that limits us; Cloudflare says that it has no room (code 3040).
    Limited,
    /// The answer to the submit is lost. Where it was to be the result, that is the end; where
    /// there may be a job, nobody but the deadline can tell.
    Lost,
    /// Where the result is asked for, nobody learns of it; elsewhere it is here.
    UnseenUnlessInline,
    /// The same of a file that has to be fetched.
    UnfetchedUnlessInline,
}

/// The faults of the emulator: what, of which requests, and what comes of it.
const FAULTS: [(&str, &str, End); 22] = [
    ("rate_limited", "all", End::Limited),
    ("server_error", "all", End::Failure(&[UNAVAILABLE, PROVIDER_ERROR])),
    ("unauthorized", "all", End::Failure(&[UNAUTHORIZED])),
    ("out_of_credit", "all", End::Failure(&[OUT_OF_CREDIT])),
    ("redirect", "all", End::Failure(&[PROVIDER_ERROR])),
    ("timeout", "all", End::Failure(&[TIMED_OUT])),
    ("slow_drip", "all", End::Failure(&[TIMED_OUT])),
    ("endless", "all", End::Failure(&[TIMED_OUT])),
    ("lost_reply", "all", End::Lost),
    ("truncated", "all", End::Lost),
    ("garbage", "all", End::Lost),
    ("html", "all", End::Lost),
    ("rate_limited", "read", End::UnseenUnlessInline),
    ("unauthorized", "read", End::UnseenUnlessInline),
    ("timeout", "read", End::UnseenUnlessInline),
    ("endless", "read", End::UnseenUnlessInline),
    ("garbage", "read", End::UnseenUnlessInline),
    ("html", "read", End::UnseenUnlessInline),
    ("redirect", "file", End::UnfetchedUnlessInline),
    ("garbage", "file", End::UnfetchedUnlessInline),
    ("wrong_type", "all", End::Success),
    ("wrong_type", "file", End::Success),
];

/// A model for each provider, a film where it makes jobs of films only.
fn work(provider: &str) -> (&'static str, bool) {
    match provider {
        "alibabacloud" => ("wan/2.7-t2v", true),
        "bfl" => ("bfl/flux-2-pro", false),
        "byteplus" => ("bytedance/seedance-1-pro", true),
        "openai" => ("gpt/image-2", false),
        "runway" => ("runway/gen-4.5", true),
        _ => ("bfl/flux-schnell", false),
    }
}

impl End {
    /// The code of the error at a provider; none for a success.
    fn codes(self, provider: &str) -> &'static [&'static str] {
        let inline = ["cloudflare", "openai", "fal"].contains(&provider);
        // It answers with the job, its result, and where the file is.
        let waited_for = provider == "replicate";
        match self {
            Self::Success => &[],
            Self::Failure(codes) => codes,
            Self::Limited if provider == "cloudflare" => &[UNAVAILABLE],
            Self::Limited => &[RATE_LIMITED],
            Self::Lost if inline => &[UNAVAILABLE],
            Self::Lost => &[TIMED_OUT],
            Self::UnseenUnlessInline if inline || waited_for => &[],
            Self::UnseenUnlessInline => &[TIMED_OUT],
            Self::UnfetchedUnlessInline if inline && provider != "fal" => &[],
            Self::UnfetchedUnlessInline => &[NO_OUTPUT],
        }
    }
}

/// What an attempt at each provider, by the server chosen for it, comes to: the code of its error,
/// empty for none.
async fn attempts<'a>(
    server: impl Fn(&'static str) -> &'a TestApp,
) -> BTreeMap<&'static str, String> {
    let lives = PROVIDERS.map(|provider| (provider, server(provider)));
    let lives = lives.map(|(provider, app)| async move {
        let (model, is_film) = work(provider);
        let mut fields = json!({ "generation_provider_order": provider });
        if is_film {
            fields["generation_duration"] = json!(5);
        }
        let made = app.generate(model, fields).await;
        // Where the submit is answered with the end, so is the request.
        if let Some(code) = made.body["error"]["provider_errors"][0]["code"].as_str() {
            return (provider, code.to_owned());
        }
        let record: Value = app.wait_for_end(&made.generation_id()).await;
        let code = record["generation_error_code"].as_str().unwrap_or_default().to_owned();
        let ended = if code.is_empty() { "succeeded" } else { "failed" };
        assert_eq!(record["generation_status"], ended, "{provider}: {record}");
        (provider, code)
    });
    join_all(lives).await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_ends_the_attempt_with_its_class_at_every_provider() {
    // The clock of the providers is wrong all the while.
    let emulator = Emulator::instant("clock_offset_seconds = -3600\n");
    let hasty = emulator.app(&HASTY).await;
    let patient = emulator.app(&[]).await;
    let mut wrong = Vec::new();
    for (fault, target, end) in FAULTS {
        for provider in PROVIDERS {
            let faults = json!({ fault: 1, "on": target, "latency_scale": 0, "hang_ms": 5000 });
            emulator.set_faults(provider, faults).await;
        }
        // What somebody answers may take as long as this machine needs for it.
        let server = |provider: &str| {
            if end.codes(provider) == [TIMED_OUT] { &hasty } else { &patient }
        };
        for (provider, code) in attempts(server).await {
            let expected = end.codes(provider);
            let fits = if expected.is_empty() {
                code.is_empty()
            } else {
                expected.contains(&code.as_str())
            };
            if !fits {
                wrong
                    .push(format!("{fault} of {target} at {provider}: {code:?}, not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_nobody_vouches_for_is_not_believed() {
    let app = Emulator::app_at(&untrusted::start().await, &[]).await;
    for (provider, code) in attempts(|_| &app).await {
        assert_eq!(code, UNAVAILABLE, "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submit_whose_answer_was_lost_is_found_again_and_not_repeated() {
    let emulator = Emulator::instant("");
    let app = emulator.app(&[]).await;
    for (provider, model, is_film) in
        [("replicate", "bfl/flux-schnell", false), ("byteplus", "bytedance/seedance-1-pro", true)]
    {
        let faults = json!({ "lost_reply": 1, "on": "submit", "latency_scale": 0 });
        emulator.set_faults(provider, faults).await;
        let mut fields = json!({ "generation_provider_order": provider });
        if is_film {
            fields["generation_duration"] = json!(5);
        }
        let id = app.generate(model, fields).await.generation_id();
        let record = app.wait_for_end(&id).await;
        assert_eq!(record["generation_status"], "succeeded", "{provider}: {record}");
        assert_eq!(app.show(&id)["attempts"].as_array().unwrap().len(), 1);
        let asked = emulator.asked(provider).await;
        let submits = asked.iter().filter(|line| line.starts_with("POST")).count();
        assert_eq!(submits, 1, "{asked:?}");
    }
}
