use providers::name::ProviderName::{Bfl, Fal, Replicate};

use super::*;
use crate::attempt::AttemptOutcome;
use crate::failure::{Failure, FailureCode};
use crate::fakes::{catalogue, router_rules};

const MODEL: &str = "lab/image";
const STATIC: [ProviderName; 3] = [Fal, Bfl, Replicate];
/// A number that chance leads nowhere out of turn with.
const USUAL: f64 = 0.999_999;

fn at(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::milliseconds(milliseconds)
}

fn rules() -> RouterRules {
    let rules = router_rules();
    RouterRules { ranking: RankingRules { enabled: true, ..rules.ranking }, ..rules }
}

fn router() -> Router {
    Router::new(&catalogue(), rules())
}

fn attempt(provider: ProviderName, sent: i64, took: i64, served: bool) -> EndedAttempt {
    let ended = at(sent + took);
    let failure = Failure::new(FailureCode::ProviderUnavailable, "It is down.");
    EndedAttempt {
        model: MODEL.to_owned(),
        provider,
        outcome: match served {
            true => AttemptOutcome::Used { at: ended },
            false => AttemptOutcome::Failed { at: ended, failure },
        },
        submitted_at: at(sent),
        work_milli: 1000,
        cost_share: None,
    }
}

fn order(router: &Router, now: i64) -> Vec<ProviderName> {
    router.route(MODEL, &STATIC, false, USUAL, at(now)).0
}

#[test]
fn without_knowledge_the_order_is_the_static_one() {
    let router = router();
    let routed = router.route(MODEL, &STATIC, false, USUAL, at(0));
    let decision = Decision { source: Source::Static, propensity_ppm: Some(950_000) };
    assert_eq!(routed, (STATIC.to_vec(), decision));
    let unknown = router.route("lab/other", &[Bfl], true, 0.0, at(0));
    let decision = Decision { source: Source::Pinned, propensity_ppm: None };
    assert_eq!(unknown, (vec![Bfl], decision));
    router.note(&EndedAttempt { model: "lab/other".to_owned(), ..attempt(Fal, 0, 1, true) });
    assert_eq!(router.health(Fal, at(1)).attempts(), 0);
}

#[test]
fn the_best_comes_first_and_the_switch_turns_that_off() {
    let off = Router::new(&catalogue(), router_rules());
    for router in [router(), off] {
        for second in 0..30 {
            router.note(&attempt(Fal, second * 1000, 4_000, second % 3 != 0));
            router.note(&attempt(Replicate, second * 1000, 900, true));
        }
        let (order, decision) = router.route(MODEL, &STATIC, false, USUAL, at(40_000));
        match router.rules().ranking.enabled {
            true => {
                assert_eq!(order, [Replicate, Fal, Bfl]);
                let propensity_ppm = Some(950_000);
                assert_eq!(decision, Decision { source: Source::Ranking, propensity_ppm });
                let explored = router.route(MODEL, &STATIC, false, 0.0, at(40_000));
                assert_eq!(explored.0, [Bfl, Replicate, Fal]);
                let decision = explored.1;
                let propensity_ppm = Some(50_000);
                assert_eq!(decision, Decision { source: Source::Exploration, propensity_ppm });
            }
            false => assert_eq!((order, decision.source), (STATIC.to_vec(), Source::Static)),
        }
        let pinned = router.route(MODEL, &STATIC, true, 0.0, at(40_000));
        assert_eq!((pinned.0, pinned.1.source), (STATIC.to_vec(), Source::Pinned));
    }
}

#[test]
fn who_limits_us_is_left_alone_for_as_long_as_it_wishes() {
    let router = router();
    router.limit(MODEL, Fal, Some(Duration::from_secs(9)), at(0));
    let (moved, decision) = router.route(MODEL, &STATIC, true, USUAL, at(8_999));
    assert_eq!((moved, decision.source), (vec![Bfl, Replicate, Fal], Source::Breaker));
    assert!(!router.is_available(MODEL, Fal, at(0)) && router.is_available(MODEL, Bfl, at(0)));
    assert_eq!(order(&router, 9_000), STATIC);
}

#[test]
fn a_restart_knows_what_was_known() {
    let before = router();
    let sent: Vec<EndedAttempt> = (0_i64..60)
        .map(|second| match second % 2 {
            0 => attempt(Fal, second * 1000, 100, second < 20),
            _ => attempt(Bfl, second * 1000, 700, true),
        })
        .collect();
    sent[..30].iter().for_each(|attempt| before.note(attempt));
    let snapshot = before.snapshot(at(30_000));
    sent[30..].iter().for_each(|attempt| before.note(attempt));
    let latest_first: Vec<EndedAttempt> = sent.iter().rev().cloned().collect();
    let kept = serde_json::to_string(&snapshot).unwrap();
    let snapshot = serde_json::from_str(&kept).unwrap();
    // From a copy and what came after it, and from the attempts alone.
    for snapshot in [Some(snapshot), None] {
        let after = router();
        after.restore(snapshot, &latest_first);
        // Numbers that were text once differ in their last digit.
        let told = |router: &Router| {
            let (known, now) = (router.snapshot(at(60_000)), at(61_000));
            format!("{known:.9?} {:.9?}", router.explain(MODEL, &STATIC, now))
        };
        assert_eq!(told(&after), told(&before));
        let now = at(61_000);
        for provider in STATIC {
            assert_eq!(after.health(provider, now), before.health(provider, now));
        }
    }
}

/// How each of three providers would answer: how long it takes, and how many in a hundred fail.
type World = [(ProviderName, i64, u64); 3];

/// Sends so many requests, two every second, each going on to the next provider on a failure, and
/// answers where each was served.
fn send(router: &Router, world: &World, now: &mut i64, requests: u64) -> Vec<ProviderName> {
    let dice = |salt: u64, now: i64| {
        let mut number = (now as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt << 32);
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (number ^ (number >> 31)) % 100
    };
    let mut served = Vec::new();
    for _ in 0..requests {
        *now += 500;
        let random = (dice(9, *now) as f64 + 0.5) / 100.0;
        let (order, _) = router.route(MODEL, &STATIC, false, random, at(*now));
        for provider in order {
            let index = world.iter().position(|(name, ..)| *name == provider).unwrap();
            let (_, took, failing) = world[index];
            let fails = dice(index as u64, *now) < failing;
            router.note(&attempt(provider, *now - took, took, !fails));
            if !fails {
                served.push(provider);
                break;
            }
        }
    }
    served
}

fn share(served: &[ProviderName], provider: ProviderName) -> f64 {
    served.iter().filter(|name| **name == provider).count() as f64 / served.len() as f64
}

#[test]
fn traffic_leaves_the_best_when_it_degrades_and_comes_back() {
    let (router, mut now) = (router(), 0);
    // The static order is the worst one here.
    let healthy = [(Fal, 6_000, 2), (Bfl, 3_000, 2), (Replicate, 1_000, 2)];
    send(&router, &healthy, &mut now, 300);
    assert!(share(&send(&router, &healthy, &mut now, 100), Replicate) > 0.85);
    let sick = [(Fal, 6_000, 2), (Bfl, 3_000, 2), (Replicate, 1_000, 95)];
    send(&router, &sick, &mut now, 20);
    let (after, _) = router.route(MODEL, &STATIC, false, USUAL, at(now));
    assert_ne!(after[0], Replicate, "within twenty requests");
    let moved = send(&router, &sick, &mut now, 200);
    assert!(share(&moved, Replicate) < 0.1, "{}", share(&moved, Replicate));
    assert!(share(&moved, Bfl) > 0.7, "the next best: {}", share(&moved, Bfl));
    assert!(moved.len() >= 198, "nearly every request was served by somebody: {}", moved.len());
    // Ten minutes is the longest that it is left alone; a share of a tenth then probes it.
    send(&router, &healthy, &mut now, 1_300);
    assert!(share(&send(&router, &healthy, &mut now, 100), Replicate) > 0.85);
}

#[test]
fn a_provider_that_fails_too_little_for_its_circuit_comes_back_too() {
    let (router, mut now) = (router(), 0);
    let healthy = [(Fal, 6_000, 2), (Bfl, 3_000, 2), (Replicate, 1_000, 2)];
    send(&router, &healthy, &mut now, 400);
    let ailing = [(Fal, 6_000, 2), (Bfl, 3_000, 2), (Replicate, 1_000, 40)];
    send(&router, &ailing, &mut now, 100);
    assert!(share(&send(&router, &ailing, &mut now, 100), Replicate) < 0.15);
    send(&router, &healthy, &mut now, 900);
    assert!(share(&send(&router, &healthy, &mut now, 100), Replicate) > 0.85);
}

#[test]
fn exploration_is_bounded_and_finds_a_better_one() {
    let (router, mut now) = (router(), 0);
    let world = [(Fal, 6_000, 5), (Bfl, 6_000, 5), (Replicate, 500, 0)];
    let early = send(&router, &world, &mut now, 100);
    assert!(share(&early, Fal) > 0.75, "the share of exploration is small");
    send(&router, &world, &mut now, 900);
    assert!(share(&send(&router, &world, &mut now, 100), Replicate) > 0.9);
}
