//! When an endpoint is given up, and how it comes back.

use super::*;
use crate::webhook::tests::{endpoint, failed};

const SECRET: &str = "whsec_0123456789abcdef0123456789abcdef";

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000 + seconds, 0).unwrap()
}

fn policy() -> DeliveryPolicy {
    DeliveryPolicy { disable_after: 2, ..DeliveryPolicy::default() }
}

fn state() -> EndpointState {
    endpoint(SECRET).state
}

/// A delivery that has used up its fast tries.
fn used_up() -> WebhookDelivery {
    WebhookDelivery { tries: 5, ..WebhookDelivery::blank(at(0)) }
}

fn success() -> TryResult {
    TryResult { status: Some(200), ..TryResult::default() }
}

/// Fails deliveries until the endpoint is disabled, and answers why it was.
fn fail(state: &mut EndpointState, status: u16, seconds: i64) -> Option<DisableReason> {
    state.record(&used_up(), &failed(status, at(seconds)), &policy())
}

#[test]
fn deliveries_in_a_row_that_used_up_their_fast_tries_disable_it() {
    let mut state = state();
    assert_eq!(fail(&mut state, 500, 0), None);
    assert_eq!(state.record(&used_up(), &success(), &policy()), None);
    assert_eq!(fail(&mut state, 500, 1), None, "a success began the count again");
    let tail = WebhookDelivery { tries: 6, ..used_up() };
    assert_eq!(state.record(&tail, &failed(500, at(2)), &policy()), None, "counted before");
    assert_eq!(fail(&mut state, 500, 3), Some(DisableReason::Failing));
    assert!(!state.enabled);
}

#[test]
fn nothing_but_failures_for_too_long_disables_it() {
    let mut state = state();
    let policy =
        DeliveryPolicy { failing_max: Duration::from_secs(100), disable_after: 9, ..policy() };
    let first = WebhookDelivery { tries: 1, ..used_up() };
    assert_eq!(state.record(&first, &failed(500, at(0)), &policy), None);
    assert_eq!(state.record(&used_up(), &failed(500, at(99)), &policy), None);
    let mended = state.record(&first, &failed(500, at(100)), &policy);
    assert_eq!(mended, None, "nobody knows how it was meanwhile");
    let reason = state.record(&used_up(), &failed(500, at(100)), &policy);
    assert_eq!(reason, Some(DisableReason::FailingTooLong));
}

#[test]
fn an_endpoint_that_is_gone_is_disabled_at_once() {
    let mut state = state();
    let first = WebhookDelivery { tries: 1, ..used_up() };
    let reason = state.record(&first, &failed(410, at(0)), &policy());
    assert_eq!(reason, Some(DisableReason::Gone));
}

#[test]
fn each_probe_that_fails_doubles_the_cooldown_up_to_its_bound() {
    let mut state = state();
    state.disable(DisableReason::Failing, at(0), &policy());
    let mut lengths = Vec::new();
    for _ in 0..9 {
        let cooldown = state.cooldown.unwrap();
        lengths.push(cooldown.length.as_secs() / 60);
        let early = cooldown.until - TimeDelta::seconds(1);
        assert_eq!(state.enable(early), Err(EnableRefusal::CoolingDown { until: cooldown.until }));
        state.enable(cooldown.until).unwrap();
        assert!(state.enabled && state.probing);
        let result = failed(500, cooldown.until);
        assert_eq!(state.record(&used_up(), &result, &policy()), Some(DisableReason::ProbeFailed));
    }
    assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn a_probe_that_arrives_opens_it_up_and_forgets_the_cooldown() {
    let mut state = state();
    state.disable(DisableReason::Gone, at(0), &policy());
    state.enable(at(60)).unwrap();
    let first = WebhookDelivery { tries: 1, ..used_up() };
    assert_eq!(state.record(&first, &failed(500, at(61)), &policy()), None, "it has more tries");
    state.record(&first, &success(), &policy());
    assert!(state.enabled && !state.probing);
    assert_eq!(state.cooldown, None);
}

#[test]
fn its_owner_may_enable_at_once_what_its_owner_disabled() {
    let mut state = state();
    state.disable(DisableReason::Owner, at(0), &policy());
    state.enable(at(0)).unwrap();
    assert!(state.enabled && !state.probing);
}

#[test]
fn disabling_by_hand_does_not_shorten_the_cooldown() {
    let mut state = state();
    state.disable(DisableReason::Failing, at(0), &policy());
    state.disable(DisableReason::Owner, at(1), &policy());
    assert!(state.enable(at(2)).is_err());
    state.lift_cooldown(at(2));
    state.enable(at(2)).unwrap();
    assert!(state.probing);
}

#[test]
fn enabling_what_is_enabled_changes_nothing() {
    let mut state = state();
    fail(&mut state, 500, 0);
    let before = state.clone();
    state.enable(at(1)).unwrap();
    assert_eq!(state, before);
}

#[test]
fn an_answer_that_came_after_it_was_disabled_does_not_open_it() {
    let mut state = state();
    state.disable(DisableReason::Failing, at(0), &policy());
    state.record(&used_up(), &success(), &policy());
    assert!(!state.enabled && state.cooldown.is_some());
}

#[test]
fn a_success_does_not_end_a_pause_that_was_asked_for_after_it() {
    let mut state = state();
    let wait = Some(Duration::from_secs(60));
    let busy = TryResult { retry_after: wait, ..failed(429, at(0)) };
    state.record(&WebhookDelivery { tries: 1, ..used_up() }, &busy, &policy());
    state.record(&used_up(), &TryResult { at: at(1), ..success() }, &policy());
    assert_eq!(state.paused_until, Some(at(60)));
    state.record(&used_up(), &TryResult { at: at(61), ..success() }, &policy());
    assert_eq!(state.paused_until, None);
}
