use super::*;

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match rest.next().unwrap() {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            '0' => '\0',
            's' => ' ',
            '\\' => '\\',
            'u' => {
                let digits: String =
                    rest.by_ref().skip(1).take_while(|digit| *digit != '}').collect();
                char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
            }
            other => panic!("unknown escape {other}"),
        });
    }
    out
}

fn verdict(section: &str, input: &str) -> String {
    let url = |policy| match check_url(input, policy) {
        Ok(_) => "ok".to_owned(),
        Err(problem) => format!("{problem:?}"),
    };
    match section {
        "[address]" => refuse(input.parse().unwrap())
            .map_or_else(|| "ok".to_owned(), |reason| format!("{reason:?}")),
        "[webhook]" => url(Policy::WEBHOOK),
        "[file]" => url(Policy::FILE),
        "[development]" => url(Policy::WEBHOOK.or_private(true)),
        other => panic!("unknown section {other}"),
    }
}

#[test]
fn the_corpus_is_judged_as_written() {
    let mut section = "";
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in include_str!("corpus.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let (expected, input) = line.split_once(' ').unwrap();
        let found = verdict(section, &unescape(input.trim_start()));
        count += usize::from(expected != "ok");
        if found != expected {
            wrong.push(format!("{section} {input}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 300, "only {count} that must not pass");
}

#[test]
fn a_url_may_be_long_but_not_endless() {
    let url = |bytes: usize| format!("https://example.com/{:a<1$}", "", bytes - 20);
    assert!(check_url(&url(2048), Policy::WEBHOOK).is_ok());
    assert_eq!(check_url(&url(2049), Policy::WEBHOOK), Err(UrlProblem::TooLong));
}

/// The tables are checked against what the standard library knows of the same registries.
#[test]
fn no_address_that_the_standard_library_calls_special_is_let_through() {
    for _ in 0..200_000 {
        let ip = std::net::Ipv4Addr::from(rand::random::<u32>());
        let special = ip.is_private()
            || ip.is_loopback()
            || ip.is_link_local()
            || ip.is_broadcast()
            || ip.is_documentation()
            || ip.is_multicast()
            || ip.is_unspecified();
        assert!(!special || refuse(ip.into()).is_some(), "{ip}");
        for carried in [
            ip.to_ipv6_mapped(),
            ip.to_ipv6_compatible(),
            format!("64:ff9b::{ip}").parse().unwrap(),
        ] {
            assert!(refuse(carried.into()).is_some(), "{carried}");
        }
    }
}

#[test]
fn one_refused_address_refuses_the_name() {
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let good = addresses(&["8.8.8.8:443", "[2606:4700::1]:443"]);
    assert!(resolve::judge(good, Policy::WEBHOOK).is_ok());
    let mixed = addresses(&["8.8.8.8:443", "10.0.0.1:443"]);
    let problem = resolve::judge(mixed, Policy::WEBHOOK).unwrap_err();
    assert_eq!(problem.to_string(), "the name leads to 10.0.0.1, a private address");
    assert!(resolve::judge(Vec::new(), Policy::WEBHOOK).is_err());
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_leads_to() {
    let refused = resolve_checked("localhost", 443, Policy::WEBHOOK).await;
    assert!(matches!(refused, Err(ResolveProblem::Refused { reason: Reason::Loopback, .. })));
    let url = Url::parse("https://localhost/").unwrap();
    let loopback = Err(UrlProblem::Address(Reason::Loopback));
    assert_eq!(check_resolved(&url, Policy::WEBHOOK).await, loopback);
    for (host, policy) in
        [("localhost", Policy::WEBHOOK.or_private(true)), ("nowhere.invalid", Policy::WEBHOOK)]
    {
        let url = Url::parse(&format!("https://{host}/")).unwrap();
        assert_eq!(check_resolved(&url, policy).await, Ok(()));
    }
    let allowed = resolve_checked("localhost", 80, Policy::WEBHOOK.or_private(true)).await;
    assert!(allowed.unwrap().iter().all(|address| address.ip().is_loopback()));
    // What the system's resolver makes of an odd form is judged all the same.
    let refused = resolve_checked("127.1", 443, Policy::WEBHOOK).await;
    assert!(refused.is_err());
    let nowhere = resolve_checked("nowhere.invalid", 443, Policy::WEBHOOK).await;
    assert!(matches!(nowhere, Err(ResolveProblem::NotFound(_) | ResolveProblem::Timeout)));
}
