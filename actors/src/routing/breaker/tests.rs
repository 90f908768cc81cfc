use super::*;
use crate::failure::Failure;
use crate::fakes::router_rules;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn rules() -> BreakerRules {
    router_rules().breaker
}

/// News in the order of time: `second signal`, where the signal is one of `ok`, `fail`, `bar`,
/// `limit` (without a wish), `limit=N` (seconds), `probe`, and `old` (a failure of an attempt that
/// was sent before everything else).
fn after(news: &str) -> Circuit {
    let mut circuit = Circuit::default();
    for item in news.split(", ").filter(|item| !item.is_empty()) {
        let (second, what) = item.split_once(' ').unwrap();
        let now = at(second.parse().unwrap());
        match what {
            "ok" => circuit.note(Signal::Served, now, now, &rules()),
            "fail" => circuit.note(Signal::Failed, now, now, &rules()),
            "old" => circuit.note(Signal::Failed, at(-1_000), now, &rules()),
            "bar" => circuit.note(Signal::Barred, now, now, &rules()),
            "probe" => circuit.probe(&rules(), now),
            "limit" => circuit.limit(None, &rules(), now),
            _ => {
                let wish = what.strip_prefix("limit=").unwrap().parse().unwrap();
                circuit.limit(Some(Duration::from_secs(wish)), &rules(), now);
            }
        }
    }
    circuit
}

fn times(count: usize, item: &str) -> String {
    vec![item; count].join(", ")
}

/// Open for a minute from the first second on.
fn open() -> String {
    times(10, "0 fail")
}

#[test]
fn every_change_of_state_is_in_this_table() {
    let open = open();
    let reopened = format!("{open}, 61 fail");
    for (news, now, expected) in [
        (String::new(), 0, "closed"),
        // Evidence.
        (times(9, "0 fail"), 0, "closed"),
        (open.clone(), 0, "open"),
        (format!("{}, {}", times(9, "0 fail"), times(9, "0 ok")), 0, "closed"),
        (format!("{}, {}", times(9, "0 ok"), times(8, "0 fail")), 0, "closed"),
        (format!("{}, {}", times(9, "0 ok"), times(9, "0 fail")), 0, "open"),
        (format!("{}, {}", times(500, "0 ok"), times(10, "0 fail")), 0, "closed"),
        (format!("{}, {}", times(500, "0 ok"), times(11, "0 fail")), 0, "open"),
        // Time.
        (format!("{}, 600 fail", times(9, "0 fail")), 600, "closed"),
        (format!("{}, 20 fail", times(9, "0 fail")), 20, "open"),
        (open.clone(), 59, "open"),
        (open.clone(), 60, "half_open"),
        (open.clone(), 100_000, "half_open"),
        // Probes.
        (format!("{open}, 60 ok, 60 ok"), 60, "half_open"),
        (format!("{open}, 60 ok, 60 ok, 60 ok"), 60, "closed"),
        (format!("{open}, 60 ok, 60 fail"), 60, "open"),
        (reopened.clone(), 180, "open"),
        (reopened.clone(), 181, "half_open"),
        (format!("{reopened}, 181 ok, 181 ok, 181 ok"), 181, "closed"),
        (format!("{open}, 60 old"), 60, "half_open"),
        (format!("{open}, 60 bar"), 60, "open"),
        // What ended while it was open is no news.
        (format!("{open}, 30 ok, 30 ok, 30 ok"), 30, "open"),
        (format!("{open}, 59 fail"), 60, "half_open"),
        // Our account there.
        ("0 bar".to_owned(), 0, "open"),
        ("0 bar".to_owned(), 60, "half_open"),
        (format!("{}, 0 bar", times(500, "0 ok")), 0, "open"),
        // Limits.
        ("0 limit".to_owned(), 4, "paused"),
        ("0 limit".to_owned(), 5, "closed"),
        ("0 limit=30".to_owned(), 29, "paused"),
        ("0 limit=30, 1 limit=2".to_owned(), 29, "paused"),
        ("0 limit=30, 1 ok".to_owned(), 2, "paused"),
        ("0 limit=9999".to_owned(), 59, "paused"),
        ("0 limit=9999".to_owned(), 60, "closed"),
        ("0 limit=30, 0 bar".to_owned(), 31, "open"),
        (format!("0 limit=30, {open}"), 0, "open"),
        (format!("{open}, 1 limit=600"), 60, "half_open"),
        (format!("{open}, 60 limit=2"), 61, "open"),
        (format!("{open}, 60 limit=2, 60 fail"), 62, "half_open"),
    ] {
        assert_eq!(after(&news).state(at(now)).as_str(), expected, "at {now} after {news}");
    }
}

#[test]
fn it_stays_open_for_twice_as_long_after_each_failed_probe_up_to_a_limit() {
    let mut circuit = after(&open());
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..6 {
        let next = circuit.opens_at(at(now)).timestamp() - at(0).timestamp();
        waits.push(next - now);
        now = next;
        circuit.note(Signal::Failed, at(now), at(now), &rules());
    }
    assert_eq!(waits, [60, 120, 240, 480, 600, 600]);
}

#[test]
fn a_circuit_that_closed_again_has_forgotten_its_failures() {
    let closed = format!("{}, 60 ok, 60 ok, 60 ok", open());
    assert_eq!(after(&format!("{closed}, {}", times(6, "61 fail"))).state(at(61)), State::Closed);
}

#[test]
fn no_more_probes_are_under_way_than_close_it() {
    let room = |news: &str, now| after(news).has_room_for_probe(&rules(), at(now));
    let open = open();
    assert!(!room("", 0) && !room(&open, 59) && room(&open, 60));
    let full = format!("{open}, 60 probe, 60 probe, 60 probe");
    assert!(room(&format!("{open}, 60 probe, 60 probe"), 60) && !room(&full, 60));
    assert!(room(&format!("{full}, 61 ok"), 61));
    assert!(room(&full, 121), "one that never ends does not keep others away");
    assert!(!room(&format!("{full}, 121 probe, 121 probe, 121 probe"), 121));
}

#[test]
fn the_same_news_lead_to_the_same_state() {
    let news = format!("{}, 3 limit=2, {}, 90 probe, 91 ok", times(7, "1 ok"), times(12, "9 fail"));
    assert_eq!(after(&news), after(&news));
    let kept = serde_json::to_string(&after(&news)).unwrap();
    assert_eq!(serde_json::from_str::<Circuit>(&kept).unwrap(), after(&news));
}

#[test]
fn only_what_a_provider_answers_for_is_a_signal() {
    let signal = |code| {
        let failure = Failure::new(code, "It broke.");
        Signal::of(&AttemptOutcome::Failed { at: at(0), failure })
    };
    let of = |wanted| FailureCode::ALL.into_iter().filter(|code| signal(*code) == wanted).count();
    assert_eq!((of(Some(Signal::Failed)), of(Some(Signal::Barred)), of(None)), (5, 2, 6));
    for code in [FailureCode::ContentPolicyViolation, FailureCode::ProviderRejectedRequest] {
        assert_eq!(signal(code), None);
    }
    assert_eq!(Signal::of(&AttemptOutcome::Used { at: at(0) }), Some(Signal::Served));
    for outcome in [
        AttemptOutcome::Pending,
        AttemptOutcome::Canceled { at: at(0) },
        AttemptOutcome::Discarded { at: at(0) },
    ] {
        assert_eq!(Signal::of(&outcome), None);
    }
}
