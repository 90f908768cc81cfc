//! The metrics in groups that belong together: what `babysea actors` and the operator's console show.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// Every sample of the metrics, by name and labels as they are written.
pub type Samples = BTreeMap<String, f64>;

/// Reads them from the text of `/metrics`.
pub fn parse(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        })
        .collect()
}

/// A group of values that belong together.
#[derive(Debug)]
pub struct Section {
    /// Its name for programs.
    pub key: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What belongs to it, by name.
    pub values: Vec<(String, f64)>,
}

/// The groups, in the order in which they are shown.
pub fn sections(samples: &Samples) -> Vec<Section> {
    let counts = ["alive", "started", "finished", "restarted", "panicked"];
    let actors = |kind: &str| {
        let value = |what: &str| {
            let name = format!("babysea_{kind}_actors_{what}");
            samples.get(&name).or_else(|| samples.get(&format!("{name}_total"))).copied()
        };
        counts.iter().map(|what| ((*what).to_owned(), value(what).unwrap_or(0.0))).collect()
    };
    let labelled = |name: &str| {
        let start = format!("{name}{{");
        let found = samples.iter().filter(|(sample, _)| sample.starts_with(&start));
        found.map(|(sample, value)| (labels(&sample[start.len()..]), *value)).collect()
    };
    let mean = |name: &str| {
        let get = |what: &str| samples.get(&format!("{name}_{what}")).copied().unwrap_or(0.0);
        if get("count") > 0.0 { get("sum") / get("count") } else { 0.0 }
    };
    let commits = samples.get("babysea_commit_units_count").copied().unwrap_or(0.0);
    let section = |key, title, values| Section { key, title, values };
    vec![
        section("generation_actors", "Generation actors", actors("generation")),
        section("endpoint_actors", "Webhook endpoint actors", actors("endpoint")),
        section(
            "generations_in_flight",
            "Generations in flight",
            labelled("babysea_generations_in_flight"),
        ),
        section("generations", "Generations that became", labelled("babysea_generations_total")),
        section("attempts", "Attempts", labelled("babysea_attempts_total")),
        section("webhook_tries", "Webhook tries", labelled("babysea_webhook_tries_total")),
        section("oldest_due_seconds", "Oldest due work, s", labelled("babysea_oldest_due_seconds")),
        section(
            "commits",
            "Group commit",
            vec![
                ("commits".to_owned(), commits),
                ("mean_units".to_owned(), mean("babysea_commit_units")),
                ("mean_ms".to_owned(), mean("babysea_commit_seconds") * 1000.0),
            ],
        ),
    ]
}

/// `status="pending"}` and the like as `pending`; several as `fal used`.
fn labels(text: &str) -> String {
    let values: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
    values.join(" ")
}

/// A value for people.
pub fn shown(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// The samples of this process as they are now.
///
/// # Errors
/// None that happen: writing to memory does not fail.
pub fn read(registry: &Registry) -> Result<Samples, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(parse(&text))
}

/// How many observations of a histogram were at most each of its bounds, and more than the one
/// before.
pub fn histogram(samples: &Samples, name: &str) -> Vec<(f64, u64)> {
    let start = format!("{name}_bucket{{le=\"");
    let mut buckets: Vec<(f64, f64)> = samples
        .iter()
        .filter_map(|(sample, count)| {
            let bound = sample.strip_prefix(&start)?.split('"').next()?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, *count))
        })
        .collect();
    buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut before = 0.0;
    buckets
        .into_iter()
        .map(|(bound, count)| (bound, (count - std::mem::replace(&mut before, count)) as u64))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_read_without_what_its_buckets_share() {
        let text = "babysea_commit_units_bucket{le=\"1.0\"} 3\n\
            babysea_commit_units_bucket{le=\"2.0\"} 5\n\
            babysea_commit_units_bucket{le=\"16.0\"} 5\n\
            babysea_commit_units_bucket{le=\"+Inf\"} 6\n";
        let read = histogram(&parse(text), "babysea_commit_units");
        assert_eq!(read, [(1.0, 3), (2.0, 2), (16.0, 0), (f64::INFINITY, 1)]);
    }
}
