use actors::failure::FailureCode;
use providers::name::ProviderName;

use super::super::samples;
use super::*;

fn refused(generation: &Generation) -> Value {
    created(generation).unwrap_err().to_json()
}

#[test]
fn the_answer_names_the_job_or_else_our_own_submission() {
    let data = created(&samples::processing()).unwrap();
    assert_eq!(
        data.to_string(),
        r#"{"model_identifier":"bfl/flux-schnell","generation_provider_order":["fal","replicate","cloudflare"],"generation_prediction_id":"pj-5520ce1b","generation_id":"b7d2f0a4-6e35-4c1f-8a90-2f4be1c6d713","generation_initialized":true}"#
    );
    let data = created(&samples::pending()).unwrap();
    assert_eq!(data["generation_prediction_id"], samples::CORRELATION.to_string());
}

#[test]
fn a_generation_that_was_canceled_meanwhile_says_so() {
    let data = created(&samples::canceled()).unwrap();
    assert_eq!(
        data.to_string(),
        r#"{"generation_id":"b7d2f0a4-6e35-4c1f-8a90-2f4be1c6d713","generation_status":"canceled"}"#
    );
}

#[test]
fn several_failures_are_all_told_and_one_that_may_pass_makes_it_retryable() {
    let attempts = [
        (ProviderName::Fal, FailureCode::ProviderUnavailable),
        (ProviderName::Replicate, FailureCode::ProviderCreditsExhausted),
    ];
    let error = refused(&samples::failed(&attempts, FailureCode::AllProvidersFailed));
    assert_eq!((&error["code"], &error["retryable"]), (&json!("BSE4010"), &json!(true)));
    assert_eq!(
        error["provider_errors"].to_string(),
        r#"[{"provider":"fal","code":"BSE4002","type":"provider_unavailable","message":"As it was told.","retryable":true},{"provider":"replicate","code":"BSE4008","type":"provider_credits_exhausted","message":"As it was told.","retryable":false}]"#
    );
}

#[test]
fn what_will_not_pass_is_not_to_be_repeated() {
    let attempts = [(ProviderName::Fal, FailureCode::ProviderCreditsExhausted)];
    let error = refused(&samples::failed(&attempts, FailureCode::ProviderCreditsExhausted));
    assert_eq!((&error["code"], &error["retryable"]), (&json!("BSE4010"), &json!(false)));
}

#[test]
fn a_fault_of_the_input_is_told_as_such() {
    for (reason, code) in [
        (FailureCode::ContentPolicyViolation, "BSE2006"),
        (FailureCode::ProviderRejectedRequest, "BSE4004"),
    ] {
        let error = refused(&samples::failed(&[(ProviderName::Fal, reason)], reason));
        assert_eq!((&error["code"], &error["retryable"]), (&json!(code), &json!(false)));
        assert_eq!(error["provider_errors"][0]["code"], code);
    }
}
