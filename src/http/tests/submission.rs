//! POST generate.

use actors::batch::AcceptRefusal;
use actors::engine::SubmitError;
use actors::failure::FailureCode;
use actors::money::Credits;
use actors::ports::StoreError;
use providers::name::ProviderName;
use serde_json::{Value, json};

use super::server::Server;
use super::{IMAGE, check_error, prompt};
use crate::http::samples;

#[actix_web::test]
async fn a_generation_is_submitted_as_it_was_asked_for() {
    let server = Server::start().await;
    server.engine.submits(|new| {
        assert_eq!((new.account_id, new.model.as_str()), (samples::ACCOUNT, "sandbox/inline"));
        assert_eq!(new.amount, Credits::parse("0.002").unwrap());
        assert_eq!(new.input.prompt, "a lighthouse");
        Ok(samples::processing())
    });
    let body = json!({ "generation_prompt": " a lighthouse ", "generation_output_number": 2 });
    for path in [IMAGE, "/v1/generate/image/sandbox%2Finline"] {
        let reply = server.post(path, &body).await;
        assert_eq!((reply.status, &reply.json["message"]), (200, &json!("Generation initialized")));
        assert_eq!(reply.json["data"]["generation_initialized"], true);
    }
}

#[actix_web::test]
async fn a_model_is_found_on_its_own_route_only() {
    let server = Server::start().await;
    for path in [
        "/v1/generate/image/sandbox/none",
        "/v1/generate/image/",
        "/v1/generate/image/sandbox",
        "/v1/generate/image/sandbox/inline/",
        "/v1/generate/image/%00",
        "/v1/generate/image/%ff%fe",
        "/v1/generate/image/sandbox/video",
        "/v1/generate/video/sandbox/inline",
    ] {
        check_error(&server.post(path, &prompt()).await, 404, "BSE2011");
    }
}

#[actix_web::test]
async fn every_problem_of_a_body_is_told_at_once() {
    let server = Server::start().await;
    let body = json!({ "generation_ratio": "7:5", "cost": 0, "generation_seed": -1 });
    let reply = server.post(IMAGE, &body).await;
    check_error(&reply, 400, "BSE2001");
    let details = &reply.json["error"]["details"];
    assert_eq!(details["field"], "generation_prompt");
    let fields: Vec<_> =
        details["issues"].as_array().unwrap().iter().map(|issue| &issue["field"]).collect();
    assert_eq!(fields, ["generation_prompt", "generation_ratio", "generation_seed", "cost"]);
    assert_eq!(details["issues"][2]["pointer"], "/generation_seed");
    assert_eq!(
        (&details["issues"][2]["min"], &details["issues"][0]["min"]),
        (&json!(0), &Value::Null)
    );

    let body = json!({ "generation_prompt": "x", "generation_seed": -1 });
    let reply = server.post(IMAGE, &body).await;
    check_error(&reply, 422, "BSE2008");
    let details = &reply.json["error"]["details"];
    assert_eq!((&details["field"], &details["min"]), (&json!("generation_seed"), &json!(0)));
}

#[actix_web::test]
async fn what_is_no_json_object_is_refused() {
    let server = Server::start().await;
    let twice = br#"{"generation_prompt":"a","generation_prompt":"b"}"#;
    let deep = "[".repeat(50_000);
    for body in [
        &b""[..],
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b"{\"a\":NaN}",
        b"\x1f\x8b\x08",
        twice,
        deep.as_bytes(),
    ] {
        let reply = server.send("POST", IMAGE, Some(&server.bearer), body).await;
        check_error(&reply, 400, "BSE2001");
        assert!(reply.json["error"]["details"]["field"].is_string());
    }
}

#[actix_web::test]
async fn a_body_over_the_limit_is_refused_however_it_is_sent() {
    let server = Server::start().await;
    let large = vec![b' '; 102_401];
    let reply = server.send("POST", IMAGE, Some(&server.bearer), &large).await;
    check_error(&reply, 413, "BSE2010");
    let reply = server.send("POST", IMAGE, None, &large).await;
    check_error(&reply, 401, "BSE1001");

    let head = format!("POST {IMAGE} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n", server.bearer);
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, " ".repeat(60_000));
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    assert_eq!(server.raw(&chunked).await.0, 413);
    let announced = format!("{head}Content-Length: 99999999999\r\n\r\n{{}}");
    assert_eq!(server.raw(&announced).await.0, 413);
}

#[actix_web::test]
async fn a_body_that_never_comes_is_given_up() {
    let server = Server::start().await;
    let (status, text) = server
        .raw(&format!(
            "POST {IMAGE} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: 50\r\n\r\n{{",
            server.bearer
        ))
        .await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("BSE2001") && text.contains("did not arrive in time"), "{text}");
}

#[actix_web::test]
async fn input_files_inside_a_network_are_refused_before_credit_moves() {
    let server = Server::start().await;
    let body = |url: &str| json!({ "generation_prompt": "x", "generation_input_file": ["http://10.0.0.1/a.png", url] });
    for url in
        ["http://127.0.0.1/a", "https://169.254.169.254/a", "http://[::1]/", "https://a.internal/"]
    {
        let reply = server.post(IMAGE, &body(url)).await;
        check_error(&reply, 422, "BSE2009");
        let issues = reply.json["error"]["details"]["issues"].as_array().unwrap();
        let pointers: Vec<&Value> = issues.iter().map(|issue| &issue["pointer"]).collect();
        assert_eq!(pointers, ["/generation_input_file/0", "/generation_input_file/1"]);
        assert!(issues.iter().all(|issue| issue["code"] == "BSE2009"));
    }
    // However an address is wrong, the file cannot be had; another type is a mistake in the body.
    for url in ["https://example.com:8443/a", "https://example.com/#a", "ftp://example.com/a"] {
        let reply = server.post(IMAGE, &body(url)).await;
        check_error(&reply, 422, "BSE2009");
        let issues = reply.json["error"]["details"]["issues"].as_array().unwrap();
        assert_eq!(issues.last().unwrap()["pointer"], "/generation_input_file/1");
    }
    let mut mixed = body("ftp://example.com/a");
    mixed["generation_ratio"] = json!(7);
    check_error(&server.post(IMAGE, &mixed).await, 400, "BSE2001");
}

#[actix_web::test]
async fn refusals_of_a_submission_have_their_codes() {
    let server = Server::start().await;
    type Refusal = (fn() -> SubmitError, u16, &'static str);
    let refusals: [Refusal; 5] = [
        (|| AcceptRefusal::UnknownAccount.into(), 404, "BSE1008"),
        (
            || {
                let (balance, amount) = (Credits::ZERO, Credits::MAX);
                AcceptRefusal::InsufficientCredit { balance, amount }.into()
            },
            402,
            "BSE1004",
        ),
        (|| StoreError::Overloaded.into(), 503, "BSE3002"),
        (|| StoreError::Corrupt("a secret".to_owned()).into(), 500, "BSE3001"),
        (|| SubmitError::Stopping, 503, "BSE3002"),
    ];
    for (refusal, status, code) in refusals {
        server.engine.submits(move |_| Err(refusal()));
        let reply = server.post(IMAGE, &prompt()).await;
        check_error(&reply, status, code);
        assert!(!reply.json.to_string().contains("secret"));
    }
    server.engine.submits(|_| {
        let attempts = [(ProviderName::Fal, FailureCode::ProviderTimeout)];
        Ok(samples::failed(&attempts, FailureCode::ProviderTimeout))
    });
    let reply = server.post(IMAGE, &prompt()).await;
    check_error(&reply, 502, "BSE4010");
    assert_eq!(reply.json["error"]["provider_errors"][0]["code"], "BSE4001");
}
