use providers::name::ProviderName;

use super::*;
use crate::auth::fakes::purpose_key;
use crate::http::samples;
use crate::secrets::Purpose;

fn urls(public: Option<&str>) -> SignedCallbackUrls {
    let local = Url::parse("http://127.0.0.1:8080/").unwrap();
    let public = public.map(|url| Url::parse(url).unwrap());
    SignedCallbackUrls::new(local, public, purpose_key(Purpose::CallbackTokens))
}

fn target(provider: ProviderName) -> CallbackTarget {
    let generation = samples::processing();
    CallbackTarget {
        provider,
        account_id: generation.account_id,
        generation_id: generation.id,
        attempt: 1,
    }
}

#[test]
fn a_url_that_was_given_out_is_recognized_and_no_other() {
    let (urls, generation) = (urls(Some("https://media.example.net")), samples::processing());
    let url = urls.url(&generation, 1).unwrap().to_string();
    let (rest, token) = url.rsplit_once('/').unwrap();
    let subject = subject(&target(ProviderName::Fal));
    assert_eq!(rest, format!("https://media.example.net/callbacks/{subject}"));
    assert!(urls.is_genuine(&target(ProviderName::Fal), token));

    for (other, wrong) in [
        (CallbackTarget { attempt: 2, ..target(ProviderName::Fal) }, token),
        (target(ProviderName::Replicate), token),
        (target(ProviderName::Fal), &token[1..]),
        (target(ProviderName::Fal), &token.to_uppercase()),
        (target(ProviderName::Fal), ""),
    ] {
        assert!(!urls.is_genuine(&other, wrong), "{wrong}");
    }
}

#[test]
fn a_provider_outside_is_told_only_when_the_operator_has_said_how_it_reaches_us() {
    assert_eq!(urls(None).url(&samples::processing(), 1), None);
    assert_eq!(urls(None).url(&samples::processing(), 7), None, "no such attempt");
}

#[test]
fn the_sandbox_calls_this_process_directly() {
    let generation = samples::sandbox();
    for public in [None, Some("https://media.example.net")] {
        let url = urls(public).url(&generation, 1).unwrap().to_string();
        assert!(url.starts_with("http://127.0.0.1:8080/callbacks/sandbox_webhook/"), "{url}");
    }
}
