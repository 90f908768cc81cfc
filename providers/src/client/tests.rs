use super::*;

fn client(secret: &str) -> Client {
    let http = reqwest::Client::new();
    let base_url = "https://api.example.com/v1/".parse().unwrap();
    let endpoint = Endpoint { base_url, secret: secret.into() };
    Client::new(&http, endpoint, "Bearer", |_| None).unwrap()
}

fn reply(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
    let headers = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect();
    Reply { status, headers, body: body.to_owned().into() }
}

#[test]
fn credentials_and_addresses_are_taken_out_of_sentences() {
    let said = "key s3cret at https://us.example/callbacks/x?token=1 is  wrong\n(data:image/png)";
    let clean = client("s3cret").clean(Error::Rejected(said.to_owned()));
    assert_eq!(clean, Error::Rejected("key [redacted] at [url] is wrong [url]".to_owned()));
    let Error::Failed(long) = client("x").clean(Error::Failed("é".repeat(900))) else { panic!() };
    assert_eq!(long.chars().count(), REASON_MAX);
}

#[test]
fn paths_are_appended_to_the_whole_base() {
    let url = client("x").url("/predictions").unwrap();
    assert_eq!(url.as_str(), "https://api.example.com/v1/predictions");
}

#[test]
fn a_wait_is_read_from_headers_whatever_the_clocks_say() {
    let wait = |headers: &[(&'static str, &str)]| reply(429, headers, "").retry_after();
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(wait(&[("retry-after", "7")]), seconds(7));
    assert_eq!(wait(&[("retry-after-ms", "250")]), Some(Duration::from_millis(250)));
    let (date, later) = ("Sun, 22 Nov 2026 10:00:00 GMT", "Sun, 22 Nov 2026 10:00:30 GMT");
    assert_eq!(wait(&[("date", date), ("retry-after", later)]), seconds(30));
    assert_eq!(wait(&[("date", later), ("retry-after", date)]), None);
    assert_eq!(wait(&[("retry-after", "999999999")]), Some(Duration::from_secs(3600)));
    for bad in ["", "soon", "-1", "NaN", "inf"] {
        assert_eq!(wait(&[("retry-after", bad)]), None, "{bad}");
    }
}

#[test]
fn a_wait_is_read_from_a_sentence() {
    let wait = |text, before| wait_in_text(text, before);
    assert_eq!(wait("Your rate limit resets in ~30s.", "resets in"), Some(Duration::from_secs(30)));
    assert_eq!(wait("try again in 240ms.", "try again in"), Some(Duration::from_millis(240)));
    assert_eq!(wait("try again in 12s.", "try again in"), Some(Duration::from_secs(12)));
    assert_eq!(wait("try again in a while", "try again in"), None);
    assert_eq!(wait("nothing", "try again in"), None);
}

#[test]
fn what_is_not_in_the_providers_words_is_no_judgement_of_the_input() {
    let client = client("x");
    let meaning = |status| client.meaning(&reply(status, &[], "<html>"));
    assert!(matches!(meaning(400), (Error::Protocol(_), Acceptance::Refused)));
    assert!(matches!(meaning(302), (Error::Protocol(_), Acceptance::Refused)));
    assert_eq!(meaning(401), (Error::Unauthorized, Acceptance::Refused));
    assert_eq!(meaning(502), (Error::Unavailable, Acceptance::Unknown));
    assert_eq!(meaning(504), (Error::Unavailable, Acceptance::Unknown));
}

#[test]
fn an_answer_that_cannot_be_read_is_not_repeated() {
    for (body, what) in [
        ("", "it is empty"),
        ("<html>secret</html>", "it is a page, not JSON"),
        ("{\"a\":", "it breaks off"),
        ("[1]", "it is not the JSON that was expected"),
    ] {
        let read = reply(200, &[], body).json::<std::collections::HashMap<String, String>>();
        assert_eq!(read, Err(Error::Protocol(what.to_owned())));
    }
    let marked = reply(200, &[("content-type", "text/plain")], "\u{feff}{\"a\":\"b\"}");
    assert!(marked.json::<serde_json::Value>().is_ok());
}

#[test]
fn ids_that_would_change_a_path_are_not_believed() {
    for id in ["", "a/b", "..", "a?b", "a%2f", "a b", "é"] {
        assert!(plain_id(id).is_err(), "{id}");
    }
    assert_eq!(plain_id("cgt-2026_x"), Ok("cgt-2026_x"));
}

#[test]
fn nothing_is_printed_of_a_credential() {
    let secret: SecretString = "s3cret".into();
    let endpoint = Endpoint { base_url: "https://a.example".parse().unwrap(), secret };
    assert!(!format!("{endpoint:?}").contains("s3cret"));
    assert!(!format!("{:?}", client("s3cret").headers).contains("s3cret"));
}
