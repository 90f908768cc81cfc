//! The bounds that no request from outside can show by itself. What real servers are answered
//! with is in `tests/it/input_files.rs`.

use actors::catalogue::Catalogue;
use actors::input::normalize;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::auth::fakes::config;
use crate::catalogue_file::{Sources, load};

const ACCOUNT: AccountId = AccountId(Uuid::from_u128(1));

fn input(urls: &[&str]) -> Input {
    let catalogue: Catalogue = load(Sources { sandbox: true, ..Sources::default() }).unwrap();
    let body = json!({ "generation_prompt": "x", "generation_input_file": urls });
    normalize(catalogue.find("sandbox/inline").unwrap(), &body).unwrap()
}

fn files(timeout_ms: u64, policy: Policy) -> InputFiles {
    let mut settings = config().input_files;
    settings.timeout = Duration::from_millis(timeout_ms);
    InputFiles::new(&settings, policy).unwrap()
}

#[tokio::test]
async fn without_room_in_time_nothing_is_said_about_a_file() {
    let files = files(50, Policy::FILE.or_private(true));
    let mut places = Vec::new();
    for _ in 0..config().input_files.in_flight_max_per_account {
        places.push(files.room.take(ACCOUNT).await);
    }
    let one = input(&["http://127.0.0.1:9/a.png"]);
    assert!(matches!(files.check(ACCOUNT, &one).await, Err(Refusal::Busy)));
    // What needs no room is still told.
    let two = input(&["http://127.0.0.1:9/a.png", "http://169.254.169.254/a.png"]);
    let Err(Refusal::Unfit(unfit)) = files.check(ACCOUNT, &two).await else { panic!("fit") };
    assert_eq!(unfit.iter().map(|unfit| unfit.index).collect::<Vec<_>>(), [Some(1)]);
    drop(places);
    // Port 9 has nobody listening.
    let refused = files.check(ACCOUNT, &one).await;
    assert!(matches!(refused, Err(Refusal::Unfit(_))), "{refused:?}");
}

/// A server that takes connections and says nothing.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a.png", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn a_file_that_had_to_wait_is_not_called_slow() {
    let files = files(1000, Policy::FILE.or_private(true));
    let (_listener, url) = silent();
    let slow = input(&[&url]);
    let refused = files.check(ACCOUNT, &slow).await;
    let Err(Refusal::Unfit(unfit)) = refused else { panic!("{refused:?}") };
    assert_eq!(unfit[0].fault, Fault::Call(CallFailure::Timeout));
    let mut places = Vec::new();
    for _ in 0..config().input_files.in_flight_max_per_account {
        places.push(files.room.take(ACCOUNT).await);
    }
    let room = async {
        tokio::time::sleep(files.timeout * 3 / 4).await;
        drop(places);
    };
    let (refused, ()) = tokio::join!(files.check(ACCOUNT, &slow), room);
    assert!(matches!(refused, Err(Refusal::Busy)), "{refused:?}");
}

#[tokio::test]
async fn names_that_lead_inside_are_refused_without_saying_where() {
    let files = files(5000, Policy::FILE);
    let named = input(&["https://nowhere.invalid/a.png", "http://[::1]/a.png"]);
    let Err(Refusal::Unfit(unfit)) = files.check(ACCOUNT, &named).await else { panic!("fit") };
    let faults: Vec<Fault> = unfit.iter().map(|unfit| unfit.fault).collect();
    let loopback = Fault::Url(UrlProblem::Address(crate::address_guard::Reason::Loopback));
    assert_eq!(faults, [Fault::NotPublic, loopback]);
    let inside = CallFailure::Refused(crate::address_guard::Reason::Private);
    assert_eq!(Fault::from(inside).to_string(), Fault::from(CallFailure::Dns).to_string());
}

#[tokio::test]
async fn a_request_without_files_needs_no_room() {
    let files = files(50, Policy::FILE);
    let mut places = Vec::new();
    for _ in 0..config().input_files.in_flight_max_per_account {
        places.push(files.room.take(ACCOUNT).await);
    }
    assert!(files.check(ACCOUNT, &input(&[])).await.is_ok());
}
