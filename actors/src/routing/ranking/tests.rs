use providers::name::ProviderName::{Bfl, Fal, Replicate};

use super::*;
use crate::fakes::router_rules;
use crate::routing::breaker::Signal;
use crate::routing::evidence::Observation;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn rules() -> RankingRules {
    RankingRules { enabled: true, ..router_rules().ranking }
}

fn evidence(served: u32, ms: f64, failed: u32, cost_share: Option<f64>) -> Evidence {
    let mut evidence = Evidence::default();
    let memory = Memory { attempts_max: 100_000, ..rules().memory };
    for index in 0..served + failed {
        let signal = if index < served { Signal::Served } else { Signal::Failed };
        let unit_ms = (signal == Signal::Served).then_some(ms);
        evidence.add(Observation { signal, at: at(0), unit_ms, cost_share }, &memory);
    }
    evidence
}

fn ranked(known: &[(ProviderName, &Evidence)]) -> Vec<ProviderName> {
    rank(&assess(known, &rules(), at(0)))
}

#[test]
fn one_success_is_not_worth_as_much_as_many() {
    let (one, many) = (evidence(1, 1000.0, 0, None), evidence(990, 1000.0, 10, None));
    assert!(one.success_bound() < 0.3, "{}", one.success_bound());
    assert!(many.success_bound() > 0.98, "{}", many.success_bound());
    assert_eq!(Evidence::default().success_bound(), 0.0);
    assert_eq!(evidence(0, 0.0, 9, None).success_bound(), 0.0);
}

#[test]
fn the_bound_is_wilsons() {
    // 8 of 10 at z = 1.644854: (0.8 + 0.135277 - 0.248170) / 1.270554.
    assert!((evidence(8, 1.0, 2, None).success_bound() - 0.540_793).abs() < 0.000_01);
}

#[test]
fn success_comes_before_time_and_time_before_the_static_order() {
    let (good, slow) = (evidence(50, 2_000.0, 0, None), evidence(50, 4_000.0, 0, None));
    let bad = evidence(20, 1_000.0, 30, None);
    assert_eq!(ranked(&[(Bfl, &bad), (Fal, &slow), (Replicate, &good)]), [Replicate, Fal, Bfl]);
    assert_eq!(ranked(&[(Fal, &good), (Bfl, &good)]), [Fal, Bfl]);
}

#[test]
fn a_cheaper_one_wins_among_equals_and_an_unknown_price_is_neutral() {
    let costs = |share| evidence(50, 1_000.0, 0, share);
    let (dear, cheap, unknown) = (costs(Some(0.9)), costs(Some(0.3)), costs(None));
    let order = ranked(&[(Fal, &dear), (Bfl, &unknown), (Replicate, &cheap)]);
    assert_eq!(order, [Replicate, Bfl, Fal]);
}

#[test]
fn who_is_too_little_known_follows_in_the_static_order() {
    let (few, enough) = (evidence(4, 1.0, 0, None), evidence(5, 9_000.0, 3, None));
    let nothing = Evidence::default();
    let order = ranked(&[(Fal, &few), (Bfl, &nothing), (Replicate, &enough)]);
    assert_eq!(order, [Replicate, Fal, Bfl]);
}

#[test]
fn who_has_never_served_is_as_slow_as_the_slowest() {
    let (served, failed) = (evidence(9, 1.0, 0, None), evidence(0, 0.0, 9, None));
    let all = assess(&[(Fal, &failed), (Bfl, &served)], &rules(), at(0));
    assert_eq!((all[0].latency, all[0].unit_ms, all[1].latency), (1.0, None, 1.0));
}

#[test]
fn the_past_fades_by_half_in_its_time() {
    let known = evidence(40, 1_000.0, 20, Some(0.5));
    let later = known.at(at(10_800), &rules().memory);
    assert!((later.attempts() - 30.0).abs() < 1e-9 && (later.successes() - 20.0).abs() < 1e-9);
    // Fewer attempts say the same with less certainty.
    assert_eq!(later.unit_ms_p50().map(f64::round), Some(1_000.0));
    assert!((later.cost_share().unwrap() - 0.5).abs() < 1e-9);
    assert!(later.success_bound() < known.success_bound());
    // News that come late do not turn time back.
    assert_eq!(later.at(at(0), &rules().memory), later);
}

#[test]
fn the_past_fades_by_number_so_that_an_outage_shows() {
    let mut known = evidence(5_000, 1_000.0, 0, None);
    let failed = Observation { signal: Signal::Failed, at: at(0), unit_ms: None, cost_share: None };
    (0..20).for_each(|_| known.add(failed, &rules().memory));
    assert!((known.attempts() - 100.0).abs() < 1e-6);
    assert!(known.success_bound() < 0.8, "{}", known.success_bound());
}

#[test]
fn a_run_of_successes_that_is_no_chance_forgets_an_outage() {
    let note = |known: &mut Evidence, signal, times| {
        let observation = Observation { signal, at: at(0), unit_ms: None, cost_share: None };
        (0..times).for_each(|_| known.add(observation, &rules().memory));
    };
    let failures = |known: &Evidence| known.attempts() - known.successes();
    // Half failed: seven in a row have a chance of less than a hundredth.
    let mut known = evidence(10, 1.0, 10, None);
    note(&mut known, Signal::Served, 6);
    assert!(failures(&known) > 9.0);
    note(&mut known, Signal::Served, 1);
    assert_eq!(failures(&known), 0.0);
    // One that fails now and then goes on being known for it.
    let mut known = Evidence::default();
    for _ in 0..20 {
        note(&mut known, Signal::Served, 19);
        note(&mut known, Signal::Failed, 1);
    }
    assert!((4.0..6.0).contains(&failures(&known)), "{}", failures(&known));
}

#[test]
fn who_would_be_first_but_for_its_failures_is_promising() {
    let (slow, quick) = (evidence(50, 2_000.0, 0, None), evidence(30, 1_000.0, 20, None));
    let promising = |known: &[(ProviderName, &Evidence)]| -> Vec<bool> {
        assess(known, &rules(), at(0)).iter().map(|it| it.promising).collect()
    };
    assert_eq!(ranked(&[(Fal, &quick), (Bfl, &slow)]), [Bfl, Fal]);
    assert_eq!(promising(&[(Fal, &quick), (Bfl, &slow)]), [true, false]);
    let slower = evidence(30, 3_000.0, 20, None);
    assert_eq!(promising(&[(Fal, &slower), (Bfl, &slow)]), [false, false]);
    assert_eq!(promising(&[(Fal, &slow), (Bfl, &slow)]), [false, false]);
}

#[test]
fn percentiles_are_those_of_the_log_normal_times_that_were_seen() {
    let mut known = Evidence::default();
    for index in 0_u32..90 {
        let unit_ms = Some(if index % 2 == 0 { 500.0 } else { 2_000.0 });
        let observation =
            Observation { signal: Signal::Served, at: at(0), unit_ms, cost_share: None };
        known.add(observation, &rules().memory);
    }
    // The logarithms are ln 1000 give or take ln 2.
    assert!((known.unit_ms_p50().unwrap() - 1_000.0).abs() < 1.0);
    let p95 = known.unit_ms_p95().unwrap();
    assert!((p95 - 1_000.0 * 2.0_f64.powf(1.644_853_626)).abs() < 1.0, "{p95}");
}
