//! Submitting, polling, looking up and canceling.

use std::sync::Arc;
use std::time::Duration;

use providers::name::ProviderName;
use providers::registry::Registry;
use providers::sandbox::{Sandbox, SandboxSettings};
use providers::{
    Acceptance, CancelAnswer, DeliveryMode, Error, JobRef, LookUp, MediaKind, OutputFormat,
    Progress, Provider,
};
use serde_json::json;

use crate::support::{ManualClock, Sandboxes, bytes, done, settings, submit_inline, submit_job};

#[tokio::test]
async fn each_provider_says_what_it_can_do() {
    let sandboxes = Sandboxes::start();
    let expected = [
        (ProviderName::SandboxInline, DeliveryMode::Inline, false),
        (ProviderName::SandboxPolling, DeliveryMode::Polling, true),
        (ProviderName::SandboxWebhook, DeliveryMode::Callback, true),
    ];
    for (provider, (name, delivery, cancel)) in sandboxes.all().into_iter().zip(expected) {
        let capabilities = provider.capabilities("sandbox/test", MediaKind::Image);
        assert_eq!(provider.name(), name);
        assert_eq!(capabilities.deliveries[0], delivery);
        assert_eq!(capabilities.cancel, cancel);
        assert!(capabilities.look_up);
    }
}

#[tokio::test]
async fn a_registry_finds_them_by_name() {
    let Sandboxes { inline, polling, webhook, .. } = Sandboxes::start();
    let registry: Registry = [webhook, inline, polling]
        .into_iter()
        .map(|it| Arc::new(it) as Arc<dyn Provider>)
        .collect();
    let names: Vec<ProviderName> = registry.names().collect();
    let expected =
        [ProviderName::SandboxInline, ProviderName::SandboxPolling, ProviderName::SandboxWebhook];
    assert_eq!(names, expected);
    for name in names {
        assert_eq!(registry.get(name).unwrap().name(), name);
    }
    assert!(registry.get(ProviderName::Fal).is_none());
}

#[tokio::test]
async fn inline_answers_the_submit_with_the_result() {
    let sandboxes = Sandboxes::start();
    let request = sandboxes.request(json!({"generation_sandbox_latency_ms": 5}));
    let output = submit_inline(&sandboxes.inline, &request).await;
    assert_eq!(output.files.len(), 1);
    assert_eq!(output.predict_time, Some(Duration::from_millis(5)));
}

#[tokio::test]
async fn a_job_is_done_when_its_latency_is_over() {
    let sandboxes = Sandboxes::start();
    for provider in [&sandboxes.polling, &sandboxes.webhook] {
        let request = sandboxes.request(json!({"generation_sandbox_latency_ms": 3000}));
        let job = submit_job(provider, &request).await;
        let waiting = provider.poll(&job).await.unwrap();
        let Progress::Waiting { retry_after } = waiting else { panic!("{waiting:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(3)));
        sandboxes.clock.advance(Duration::from_secs(3));
        assert_eq!(done(provider.poll(&job).await.unwrap()).files.len(), 1);
    }
}

#[tokio::test]
async fn a_new_process_answers_for_old_jobs_with_the_same_bytes() {
    let before = Sandboxes::start();
    let mut request = before.request(json!({"generation_sandbox_latency_ms": 60_000}));
    request.prompt = "a very long prompt, ".repeat(40);
    request.count = 2;
    let job = submit_job(&before.polling, &request).await;
    assert!(job.0.len() < 512);

    let after = Sandboxes::start_with(Arc::clone(&before.clock), settings());
    let waiting = after.polling.poll(&job).await.unwrap();
    assert!(matches!(waiting, Progress::Waiting { .. }), "{waiting:?}");
    before.clock.advance(Duration::from_secs(60));
    let old = done(before.polling.poll(&job).await.unwrap());
    let new = done(after.polling.poll(&job).await.unwrap());
    assert_eq!(bytes(&old), bytes(&new));
    assert_ne!(bytes(&old)[0], bytes(&old)[1]);
}

#[tokio::test]
async fn a_refusal_at_submit_leaves_no_job() {
    let sandboxes = Sandboxes::start();
    let second = Some(Duration::from_secs(1));
    for provider in sandboxes.all() {
        for (outcome, expected) in [
            ("moderate", Error::Moderated(String::new())),
            ("rate_limit", Error::RateLimited { retry_after: second }),
            ("out_of_credit", Error::OutOfCredit),
        ] {
            let request = sandboxes.request_for(outcome);
            let error = provider.submit(&request).await.unwrap_err();
            assert_eq!(error.acceptance, Acceptance::Refused);
            match (error.error, expected) {
                (Error::Moderated(_), Error::Moderated(_)) => {}
                (error, expected) => assert_eq!(error, expected),
            }
            assert_eq!(provider.look_up(&request).await, Ok(LookUp::Absent));
        }
    }
}

#[tokio::test]
async fn the_listed_providers_refuse_and_the_others_do_not() {
    let sandboxes = Sandboxes::start();
    let listed = ["sandbox_polling", "sandbox_webhook"];
    let request = sandboxes.request(json!({"generation_sandbox_fail_providers": listed}));
    for provider in [&sandboxes.polling, &sandboxes.webhook] {
        let error = provider.submit(&request).await.unwrap_err();
        assert_eq!((error.error, error.acceptance), (Error::Unavailable, Acceptance::Refused));
        assert_eq!(provider.look_up(&request).await, Ok(LookUp::Absent));
    }
    submit_inline(&sandboxes.inline, &request).await;
}

#[tokio::test]
async fn a_failing_job_is_accepted_and_fails_when_due() {
    let sandboxes = Sandboxes::start();
    for provider in [&sandboxes.polling, &sandboxes.webhook] {
        let job = submit_job(provider, &sandboxes.request_for("fail")).await;
        let progress = provider.poll(&job).await.unwrap();
        assert!(matches!(progress, Progress::Failed(Error::Failed(_))), "{progress:?}");
        assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::TooLate));
    }
    let error = sandboxes.inline.submit(&sandboxes.request_for("fail")).await.unwrap_err();
    assert!(matches!(error.error, Error::Failed(_)));
    assert_eq!(error.acceptance, Acceptance::Refused);
}

#[tokio::test]
async fn a_hanging_job_never_finishes_but_can_be_canceled() {
    let sandboxes = Sandboxes::start();
    for provider in [&sandboxes.polling, &sandboxes.webhook] {
        let job = submit_job(provider, &sandboxes.request_for("hang")).await;
        sandboxes.clock.advance(Duration::from_secs(1_000_000));
        let progress = provider.poll(&job).await.unwrap();
        assert!(matches!(progress, Progress::Waiting { retry_after: None }), "{progress:?}");
        assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::Canceled));
    }
    let request = sandboxes.request_for("hang");
    let submit = sandboxes.inline.submit(&request);
    assert!(tokio::time::timeout(Duration::from_millis(50), submit).await.is_err());
}

#[tokio::test]
async fn a_job_whose_submit_was_not_answered_is_found() {
    let sandboxes = Sandboxes::start();
    for provider in sandboxes.all() {
        let request = sandboxes.request_for("lose_submit_response");
        let error = provider.submit(&request).await.unwrap_err();
        assert_eq!((error.error, error.acceptance), (Error::TimedOut, Acceptance::Unknown));
        let LookUp::Found(job) = provider.look_up(&request).await.unwrap() else {
            panic!("the job should be found");
        };
        done(provider.poll(&job).await.unwrap());
    }
}

#[tokio::test]
async fn looking_up_names_the_job_that_was_submitted() {
    let sandboxes = Sandboxes::start();
    let request = sandboxes.request(json!({"generation_sandbox_latency_ms": 9}));
    for provider in [&sandboxes.polling, &sandboxes.webhook] {
        let job = submit_job(provider, &request).await;
        sandboxes.clock.advance(Duration::from_secs(5));
        assert_eq!(provider.look_up(&request).await, Ok(LookUp::Found(job)));
    }
    let LookUp::Found(job) = sandboxes.inline.look_up(&request).await.unwrap() else {
        panic!("the job should be found");
    };
    let polled = done(sandboxes.inline.poll(&job).await.unwrap());
    let answered = submit_inline(&sandboxes.inline, &request).await;
    assert_eq!(bytes(&polled), bytes(&answered));
}

#[tokio::test]
async fn a_second_cancel_changes_nothing() {
    let sandboxes = Sandboxes::start();
    for provider in [&sandboxes.polling, &sandboxes.webhook] {
        let request = sandboxes.request(json!({"generation_sandbox_latency_ms": 1000}));
        let job = submit_job(provider, &request).await;
        for _ in 0..2 {
            assert_eq!(provider.cancel(&job).await, Ok(CancelAnswer::Canceled));
            let progress = provider.poll(&job).await.unwrap();
            assert!(matches!(progress, Progress::Canceled), "{progress:?}");
            sandboxes.clock.advance(Duration::from_secs(2));
        }
    }
}

#[tokio::test]
async fn a_finished_job_cannot_be_canceled() {
    let sandboxes = Sandboxes::start();
    let job = submit_job(&sandboxes.polling, &sandboxes.request_for("succeed")).await;
    assert_eq!(sandboxes.polling.cancel(&job).await, Ok(CancelAnswer::TooLate));
    done(sandboxes.polling.poll(&job).await.unwrap());
    assert_eq!(sandboxes.inline.cancel(&job).await, Err(Error::Unsupported));
}

#[tokio::test]
async fn ids_of_others_are_not_answered_for() {
    let sandboxes = Sandboxes::start();
    let other = submit_job(&sandboxes.polling, &sandboxes.request_for("succeed")).await;
    let cut = JobRef(other.0[..other.0.len() / 2].to_owned());
    for job in [other, cut, JobRef(String::new()), JobRef("sbx_AAAA".to_owned())] {
        let polled = sandboxes.webhook.poll(&job).await;
        assert!(matches!(polled, Err(Error::Protocol(_))), "{job:?}");
        let canceled = sandboxes.webhook.cancel(&job).await;
        assert!(matches!(canceled, Err(Error::Protocol(_))), "{job:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_made_is_rejected() {
    let sandboxes = Sandboxes::start();
    let good = sandboxes.request(json!({}));
    let mut requests = vec![sandboxes.request(json!({"generation_sandbox_latency_ms": 600_001}))];
    for (ratio, format, count, duration_ms) in [
        ("9", OutputFormat::Png, 1, None),
        ("1:1", OutputFormat::Mp4, 1, None),
        ("1:1", OutputFormat::Png, 0, None),
        ("1:1", OutputFormat::Png, 17, None),
        ("1:1", OutputFormat::Png, 1, Some(15_001)),
    ] {
        let mut request = good.clone();
        request.ratio = ratio.to_owned();
        (request.format, request.count, request.duration_ms) = (format, count, duration_ms);
        requests.push(request);
    }
    for request in requests {
        for provider in sandboxes.all() {
            let error = provider.submit(&request).await.unwrap_err();
            assert!(matches!(error.error, Error::Rejected(_)), "{request:?}");
            assert_eq!(error.acceptance, Acceptance::Refused);
            assert_eq!(provider.look_up(&request).await, Ok(LookUp::Absent));
        }
    }
}

#[tokio::test]
async fn every_submit_is_logged_before_anything_else() {
    let path = std::env::temp_dir().join(format!("sandbox-submissions-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let settings = SandboxSettings { submissions_log: Some(path.clone()), ..settings() };
    let sandboxes = Sandboxes::start_with(ManualClock::start(), settings);
    let mut expected = String::new();
    for outcome in ["succeed", "moderate", "lose_submit_response"] {
        let request = sandboxes.request_for(outcome);
        let _ = sandboxes.polling.submit(&request).await;
        expected += &format!("sandbox_polling {}\n", request.correlation);
    }
    let hanging = sandboxes.request_for("hang");
    let limit = Duration::from_millis(50);
    let _ = tokio::time::timeout(limit, sandboxes.inline.submit(&hanging)).await;
    expected += &format!("sandbox_inline {}\n", hanging.correlation);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_submit_that_cannot_be_logged_is_refused() {
    let submissions_log = Some(std::env::temp_dir().join("no-such-folder/at-all/log"));
    let settings = SandboxSettings { submissions_log, ..settings() };
    let sandboxes = Sandboxes::start_with(ManualClock::start(), settings);
    let error = sandboxes.polling.submit(&sandboxes.request_for("succeed")).await.unwrap_err();
    assert_eq!((error.error, error.acceptance), (Error::Unavailable, Acceptance::Refused));
}

#[test]
fn a_secret_of_another_form_is_refused_at_start() {
    let settings = SandboxSettings { callback_secret: "secret".into(), ..settings() };
    let made = Sandbox::all(settings, ManualClock::start(), reqwest::Client::new());
    assert!(made.is_err());
}
