//! Signatures against vectors of others.

use std::time::Duration;

use super::*;
use crate::webhook::tests::endpoint;

#[test]
fn the_signature_vector_of_the_contract_holds() {
    let secret = SecretString::from("whsec_0123456789abcdef0123456789abcdef");
    let body = concat!(
        r#"{"webhook_event":"generation.completed","webhook_timestamp":"2026-06-02T08:15:14.002Z","#,
        r#""webhook_delivery_id":"5a1e93c8-0f47-4b2d-a6d8-73c9e0b1f264","webhook_data":{"#,
        r#""account_id":"3f6c1d0e-8b1a-4d57-9c7e-51d0a6b2e904","model_identifier":"bfl/flux-schnell","#,
        r#""generation_provider_used":"fal","generation_status":"succeeded","#,
        r#""generation_prediction_id":"pj-5520ce1b","generation_id":"b7d2f0a4-6e35-4c1f-8a90-2f4be1c6d713","#,
        r#""generation_output_file":["https://files.example.net/us/b7d2f0a4/0.webp"]}}"#
    );
    assert_eq!(
        signature(&secret, 1_780_388_114, body.as_bytes()),
        "t=1780388114,v1=235a6d4b6f2d2ed8e67fdf44d635cbb405a17432ed8d972070c48764cd802d98"
    );
}

/// Made with the reference library of Standard Webhooks.
#[test]
fn the_example_of_standard_webhooks_is_signed_alike() {
    let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let body = br#"{"test": 2432232314}"#;
    let signed = standard_signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
    assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn a_secret_that_is_no_base64_leaves_standard_webhooks_out() {
    let now = DateTime::from_timestamp(1_780_388_114, 0).unwrap();
    let delivery = WebhookDelivery::blank(now);
    let names = |secret: &str| {
        let headers = delivery.headers("{}", &endpoint(secret), now);
        headers.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    };
    assert!(names("whsec_0123456789abcdef0123456789abcdef").contains(&"webhook-signature"));
    assert_eq!(names("whsec_not-base-64!").len(), 5);
}

#[test]
fn both_secrets_sign_while_they_overlap_the_new_one_first() {
    let now = DateTime::from_timestamp(1_780_388_114, 0).unwrap();
    let (new, old) =
        ("whsec_0123456789abcdef0123456789abcdef", "whsec_ABCDEFGHIJKLMNOPQRSTUVWXYZ012345");
    let mut endpoint = endpoint(new);
    endpoint.previous = Some((SecretString::from(old), now + Duration::from_secs(1)));
    let delivery = WebhookDelivery::blank(now);
    let header = |name: &str, now| {
        let headers = delivery.headers("{}", &endpoint, now);
        headers.into_iter().find(|(known, _)| *known == name).unwrap().1
    };
    let alone = |secret: &str| signature(&SecretString::from(secret), now.timestamp(), b"{}");
    let (new, old) = (alone(new), alone(old));
    let old = old.split_once(',').unwrap().1;
    assert_eq!(header("x-babysea-signature", now), format!("{new},{old}"));
    assert_eq!(header("webhook-signature", now).split(' ').count(), 2);
    let later = now + Duration::from_secs(1);
    assert_eq!(header("webhook-signature", later).split(' ').count(), 1);
    assert_eq!(header("x-babysea-signature", later).matches("v1=").count(), 1);
}
