use providers::name::ProviderName::{Bfl, Fal, Replicate};

use super::*;

/// `fal` closed, `fal!` open, `fal%` half open, `fal?` closed and too little known.
fn candidates(text: &str) -> Vec<Candidate> {
    let one = |word: &str| {
        let name = word.trim_end_matches(['!', '%', '?']);
        let open = word.ends_with('!');
        Candidate {
            provider: ProviderName::parse(name).unwrap(),
            flows: !open && !word.ends_with('%'),
            opens_at: DateTime::from_timestamp(if open { 60 } else { 0 }, 0).unwrap(),
            probe: word.ends_with('%'),
            unknown: word.ends_with('?'),
        }
    };
    text.split(' ').map(one).collect()
}

const SHARES: Shares = Shares { probe: 0.1, explore: 0.06 };

fn told(text: &str, base: Source) -> Vec<String> {
    let line = |way: &Way| {
        let names: Vec<&str> = way.order.iter().map(|name| name.as_str()).collect();
        format!("{} {} {:.2}", names.join(" "), way.source.as_str(), way.propensity)
    };
    ways(&candidates(text), base, SHARES).iter().map(line).collect()
}

#[test]
fn who_is_left_alone_goes_last_and_nobody_is_dropped() {
    use Source::{Pinned, Ranking};
    assert_eq!(told("fal bfl", Ranking), ["fal bfl ranking 1.00"]);
    assert_eq!(told("fal! bfl", Ranking), ["bfl fal breaker 1.00"]);
    assert_eq!(told("fal bfl!", Ranking), ["fal bfl ranking 1.00"]);
    assert_eq!(told("fal! bfl!", Ranking), ["fal bfl ranking 1.00"]);
    assert_eq!(told("fal!", Pinned), ["fal pinned 1.00"]);
    assert_eq!(told("fal! bfl replicate", Pinned), ["bfl replicate fal breaker 1.00"]);
    // When all are left alone, the one that will be tried soonest is.
    assert_eq!(told("fal! bfl%", Ranking), ["bfl fal breaker 1.00"]);
}

#[test]
fn a_share_probes_who_is_half_open() {
    use Source::{Pinned, Static};
    let probed = ["fal bfl replicate probe 0.10", "bfl replicate fal breaker 0.90"];
    assert_eq!(told("fal% bfl replicate", Static), probed);
    assert_eq!(told("fal% bfl replicate", Pinned), probed);
    let two = ["bfl fal replicate probe 0.05", "replicate fal bfl probe 0.05"];
    assert_eq!(told("fal bfl% replicate%", Static)[..2], two);
    // A pin says who comes first; nobody else is put there for our own sake.
    assert_eq!(told("fal bfl%", Pinned), ["fal bfl pinned 1.00"]);
}

#[test]
fn a_share_explores_who_is_too_little_known() {
    use Source::{Pinned, Ranking};
    assert_eq!(
        told("fal bfl? replicate?", Ranking),
        [
            "bfl fal replicate exploration 0.03",
            "replicate fal bfl exploration 0.03",
            "fal bfl replicate ranking 0.94"
        ]
    );
    assert_eq!(told("fal? bfl", Ranking), ["fal bfl ranking 1.00"]);
    assert_eq!(told("fal bfl?", Pinned), ["fal bfl pinned 1.00"]);
}

#[test]
fn chance_leads_to_each_way_as_often_as_it_says() {
    let candidates = candidates("fal% bfl replicate?");
    let count = |source| {
        let way = |number: u32| {
            let ways = ways(&candidates, Source::Ranking, SHARES);
            choose(ways, f64::from(number) / 1000.0).unwrap()
        };
        (0..1000).map(way).filter(|way| way.source == source).count()
    };
    assert_eq!((count(Source::Probe), count(Source::Exploration)), (100, 60));
    assert_eq!((count(Source::Breaker), count(Source::Ranking)), (840, 0));
    assert_eq!(choose(Vec::new(), 0.5), None);
    let decision = choose(ways(&candidates, Source::Ranking, SHARES), 0.0).unwrap().decision();
    assert_eq!(decision, Decision { source: Source::Probe, propensity_ppm: Some(100_000) });
}

#[test]
fn every_way_has_every_provider_once() {
    for text in ["fal% bfl? replicate!", "fal? bfl% replicate?", "fal! bfl! replicate%"] {
        let ways = ways(&candidates(text), Source::Ranking, SHARES);
        let sum: f64 = ways.iter().map(|way| way.propensity).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{text}");
        for mut way in ways {
            way.order.sort_unstable();
            assert_eq!(way.order, [Bfl, Fal, Replicate], "{text}");
        }
    }
}

#[test]
fn sources_are_read_as_they_are_written() {
    for source in Source::ALL {
        assert_eq!(Source::parse(source.as_str()), Some(source));
        assert_eq!(serde_json::to_value(source).unwrap(), source.as_str());
    }
}
