//! What was counted as numbers, charts and rankings.

use std::collections::BTreeMap;

use actors::api_key::ApiKey;
use actors::ports::tallies::CountedTally;
use actors::tally::{LATENCY_BUCKETS, Tally, What, percentile};
use chrono::TimeDelta;

use super::Section;
use super::range::Span;
use crate::dashboard::chart::{Chart, Series, Shape, Tone};
use crate::dashboard::generations::duration;

/// Lines of a ranking.
const RANKED_MAX: usize = 10;
const PERCENTILES: [(&str, f64); 3] = [("p50", 0.50), ("p95", 0.95), ("p99", 0.99)];

/// A number with what it is.
pub(super) struct Stat {
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) note: String,
}

/// Names by what they come to, the most first.
pub(super) struct Ranking {
    pub(super) title: &'static str,
    /// What a name is, and then what the cells are.
    pub(super) columns: &'static [&'static str],
    pub(super) rows: Vec<(String, Vec<String>)>,
}

/// What was counted, and how it is asked for.
pub(super) struct Figures<'a> {
    tallies: &'a [CountedTally],
    span: &'a Span,
    keys: &'a [ApiKey],
}

impl<'a> Figures<'a> {
    pub(super) fn new(tallies: &'a [CountedTally], span: &'a Span, keys: &'a [ApiKey]) -> Self {
        Self { tallies, span, keys }
    }

    /// What was charged, in credits.
    pub(super) fn spent(&self) -> String {
        thousandths(self.all(What::Model).total)
    }

    pub(super) fn sections(&self) -> Vec<Section> {
        vec![self.generations(), self.performance(), self.requests(), self.webhooks()]
    }

    fn generations(&self) -> Section {
        let outcome = |name| self.of(What::Outcome, name);
        let [succeeded, failed, canceled] = ["succeeded", "failed", "canceled"].map(outcome);
        let ended = succeeded.times + failed.times + canceled.times;
        let failover = self.all(What::Failover);
        Section {
            title: "Content generation",
            stats: vec![
                Stat::of("Generations", ended, ""),
                Stat::of("Succeeded", succeeded.times, share(succeeded.times, ended)),
                Stat::of("Failed", failed.times, share(failed.times, ended)),
                Stat::of("Canceled", canceled.times, share(canceled.times, ended)),
                Stat::of("Failovers", failover.times, share(failover.times, ended)),
                Stat::of("Outputs", succeeded.total, ""),
            ],
            charts: vec![self.bars(
                "Generations by outcome",
                What::Outcome,
                &[
                    ("Succeeded", "succeeded", Tone::Good),
                    ("Failed", "failed", Tone::Bad),
                    ("Canceled", "canceled", Tone::Quiet),
                ],
            )],
            rankings: vec![
                self.spend("Models", What::Model, &["Model", "Generations", "Spend"]),
                self.spend("API keys", What::Key, &["API key", "Generations", "Spend"]),
                self.providers(),
                self.counts(
                    "Reasons of failure",
                    What::Failure,
                    &["Reason", "Generations", "Share"],
                ),
            ],
        }
    }

    fn performance(&self) -> Section {
        let all = self.buckets(None);
        let latency = self.all(What::Latency);
        let inference = self.all(What::Inference);
        let mut stats: Vec<Stat> = PERCENTILES
            .into_iter()
            .map(|(label, share)| Stat {
                label,
                value: percentile(&all, share)
                    .map_or("–".to_owned(), |ms| milliseconds(ms as i64)),
                note: String::new(),
            })
            .collect();
        stats.push(Stat::average("Average", latency));
        stats.push(Stat::average("Inference", inference));
        let series = PERCENTILES.into_iter().enumerate().map(|(nth, (name, share))| Series {
            name: name.to_owned(),
            tone: Tone::Nth(nth),
            values: (0..self.span.labels.len())
                .map(|point| percentile(&self.buckets(Some(point)), share).map(|ms| ms / 1000.0))
                .collect(),
        });
        Section {
            title: "Performance",
            stats,
            charts: vec![Chart {
                title: "Time to success",
                unit: "s",
                shape: Shape::Lines,
                point: self.span.point,
                points: self.span.labels.clone(),
                series: series.collect(),
            }],
            rankings: Vec::new(),
        }
    }

    fn requests(&self) -> Section {
        let class = |name| self.of(What::Request, name).times;
        let all = self.all(What::Request);
        Section {
            title: "API usage",
            stats: vec![
                Stat::of("Requests", all.times, ""),
                Stat::of("Client errors", class("4xx"), share(class("4xx"), all.times)),
                Stat::of("Server errors", class("5xx"), share(class("5xx"), all.times)),
            ],
            charts: vec![self.bars(
                "Requests by status",
                What::Request,
                &[
                    ("2xx", "2xx", Tone::Good),
                    ("3xx", "3xx", Tone::Quiet),
                    ("4xx", "4xx", Tone::Warning),
                    ("5xx", "5xx", Tone::Bad),
                ],
            )],
            rankings: vec![
                self.failing("Endpoints", What::Endpoint, &["Endpoint", "Requests", "Errors"]),
                self.failing(
                    "Requests by API key",
                    What::Caller,
                    &["API key", "Requests", "Errors"],
                ),
                self.counts("Error codes", What::Code, &["Code", "Requests", "Share"]),
            ],
        }
    }

    fn webhooks(&self) -> Section {
        let [delivered, failed] = ["delivered", "failed"].map(|it| self.of(What::Delivery, it));
        let all = delivered.times + failed.times;
        Section {
            title: "Webhooks",
            stats: vec![
                Stat::of("Delivered", delivered.times, share(delivered.times, all)),
                Stat::of("Failed deliveries", failed.times, share(failed.times, all)),
                Stat::of("Tries", delivered.total + failed.total, ""),
            ],
            charts: vec![self.bars(
                "Webhook deliveries",
                What::Delivery,
                &[("Delivered", "delivered", Tone::Good), ("Failed", "failed", Tone::Bad)],
            )],
            rankings: Vec::new(),
        }
    }

    fn each(&self, what: What) -> impl Iterator<Item = &CountedTally> {
        self.tallies.iter().filter(move |it| it.what == what)
    }

    fn all(&self, what: What) -> Tally {
        self.each(what).fold(Tally::default(), |sum, it| plus(sum, it.tally))
    }

    fn of(&self, what: What, name: &str) -> Tally {
        let named = self.each(what).filter(|it| it.name == name);
        named.fold(Tally::default(), |sum, it| plus(sum, it.tally))
    }

    /// Names and what they come to in all, the most first.
    fn ranked(&self, what: What, by: impl Fn(&Tally) -> i64) -> Vec<(&str, Tally)> {
        let mut names: Vec<_> = self.each(what).map(|it| (it.name.as_str(), it.tally)).collect();
        names.sort_by_key(|(_, tally)| std::cmp::Reverse(by(tally)));
        names.truncate(RANKED_MAX);
        names
    }

    fn bars(
        &self,
        title: &'static str,
        what: What,
        series: &[(&'static str, &'static str, Tone)],
    ) -> Chart {
        let series = series.iter().map(|(label, name, tone)| {
            let mut values = vec![0.0; self.span.labels.len()];
            for it in self.each(what).filter(|it| it.name == *name) {
                if let Some(point) = self.span.point_of(&it.at) {
                    values[point] += it.tally.times as f64;
                }
            }
            let values = values.into_iter().map(Some).collect();
            Series { name: (*label).to_owned(), tone: *tone, values }
        });
        Chart {
            title,
            unit: "",
            shape: Shape::Bars,
            point: self.span.point,
            points: self.span.labels.clone(),
            series: series.collect(),
        }
    }

    /// How many are in which bucket of time, at one point or in all.
    fn buckets(&self, point: Option<usize>) -> Vec<(u64, i64)> {
        let mut buckets = BTreeMap::from(LATENCY_BUCKETS.map(|end| (end, 0)));
        for it in self.each(What::Latency) {
            let here = point.is_none() || self.span.point_of(&it.at) == point;
            let times = it.name.parse().ok().and_then(|end: u64| buckets.get_mut(&end));
            if let (true, Some(times)) = (here, times) {
                *times += it.tally.times;
            }
        }
        buckets.into_iter().collect()
    }

    fn key_name(&self, id: &str) -> String {
        if id.is_empty() {
            return "No key".to_owned();
        }
        let key = self.keys.iter().find(|key| key.id.to_string() == id);
        key.map_or("Deleted key".to_owned(), |key| format!("{} ({}...)", key.name, key.prefix))
    }

    fn name(&self, what: What, name: &str) -> String {
        match what {
            What::Key | What::Caller => self.key_name(name),
            What::Failure => name.replace('_', " "),
            _ => name.to_owned(),
        }
    }

    fn spend(&self, title: &'static str, what: What, columns: &'static [&'static str]) -> Ranking {
        let rows = self.ranked(what, |tally| tally.total).into_iter().map(|(name, tally)| {
            let spend = format!("${}", thousandths(tally.total));
            (self.name(what, name), vec![tally.times.to_string(), spend])
        });
        Ranking { title, columns, rows: rows.collect() }
    }

    fn counts(&self, title: &'static str, what: What, columns: &'static [&'static str]) -> Ranking {
        let all = self.all(what).times;
        let rows = self.ranked(what, |tally| tally.times).into_iter().map(|(name, tally)| {
            (self.name(what, name), vec![tally.times.to_string(), share(tally.times, all)])
        });
        Ranking { title, columns, rows: rows.collect() }
    }

    fn failing(
        &self,
        title: &'static str,
        what: What,
        columns: &'static [&'static str],
    ) -> Ranking {
        let rows = self.ranked(what, |tally| tally.times).into_iter().map(|(name, tally)| {
            (self.name(what, name), vec![tally.times.to_string(), tally.total.to_string()])
        });
        Ranking { title, columns, rows: rows.collect() }
    }

    /// Attempts by provider: how many, which share of the used ones, and what went wrong.
    fn providers(&self) -> Ranking {
        let mut providers = BTreeMap::<&str, [i64; 4]>::new();
        for it in self.each(What::Provider) {
            let Some((provider, outcome)) = it.name.split_once(' ') else { continue };
            let [attempts, used, failed, cost] = providers.entry(provider).or_default();
            *attempts += it.tally.times;
            *cost += it.tally.total;
            match outcome {
                "used" => *used += it.tally.times,
                "failed" => *failed += it.tally.times,
                _ => {}
            }
        }
        let all: i64 = providers.values().map(|[_, used, ..]| used).sum();
        let mut providers: Vec<_> = providers.into_iter().collect();
        providers.sort_by_key(|(_, [attempts, ..])| std::cmp::Reverse(*attempts));
        let row = |(name, [attempts, used, failed, cost]): (&str, [i64; 4])| {
            let cost = format!("${}", thousandths(cost / 1000));
            let cells = [attempts.to_string(), share(used, all), failed.to_string(), cost];
            (name.to_owned(), Vec::from(cells))
        };
        Ranking {
            title: "Providers",
            columns: &["Provider", "Attempts", "Share of results", "Failed", "Estimated cost"],
            rows: providers.into_iter().map(row).collect(),
        }
    }
}

impl Stat {
    fn of(label: &'static str, value: i64, note: impl Into<String>) -> Self {
        Self { label, value: grouped(value), note: note.into() }
    }

    fn average(label: &'static str, tally: Tally) -> Self {
        let value = tally.total.checked_div(tally.times);
        Self { label, value: value.map_or("–".to_owned(), milliseconds), note: String::new() }
    }
}

fn plus(one: Tally, other: Tally) -> Tally {
    Tally { times: one.times + other.times, total: one.total.saturating_add(other.total) }
}

fn milliseconds(ms: i64) -> String {
    duration(TimeDelta::milliseconds(ms))
}

/// A part of a whole, of a hundred.
fn share(part: i64, all: i64) -> String {
    match (part * 1000).checked_div(all) {
        None => String::new(),
        Some(permille) => format!("{}.{} %", permille / 10, permille % 10),
    }
}

fn thousandths(amount: i64) -> String {
    format!("{}.{:03}", amount / 1000, amount.unsigned_abs() % 1000)
}

/// A number with a comma between thousands.
fn grouped(value: i64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::range::Range;
    use super::*;

    fn tally(at: &str, what: What, name: &str, times: i64, total: i64) -> CountedTally {
        let tally = Tally { times, total };
        CountedTally { at: at.to_owned(), what, name: name.to_owned(), tally }
    }

    #[test]
    fn what_was_counted_is_summed_drawn_and_ranked() {
        let span = Range::Week.span("2026-03-01T12:00:00Z".parse().unwrap());
        let tallies = [
            tally("2026-02-27", What::Outcome, "succeeded", 3, 6),
            tally("2026-03-01", What::Outcome, "succeeded", 1_000, 1_000),
            tally("2026-03-01", What::Outcome, "failed", 1, 0),
            tally("2026-03-01", What::Latency, "1000", 4, 3_000),
            tally("", What::Model, "a/cheap", 900, 900),
            tally("", What::Model, "b/dear", 104, 52_000),
            tally("", What::Key, "", 1_004, 52_900),
            tally("", What::Provider, "fal used", 30, 3_000_000),
            tally("", What::Provider, "bfl failed", 10, 500_000),
        ];
        let figures = Figures::new(&tallies, &span, &[]);
        assert_eq!(figures.spent(), "52.900");
        let sections = figures.sections();
        let generations = &sections[0];
        let stats: Vec<_> = generations.stats.iter().map(|it| it.value.as_str()).collect();
        assert_eq!(stats, ["1,004", "1,003", "1", "0", "0", "1,006"]);
        assert_eq!(generations.stats[1].note, "99.9 %");
        let values = &generations.charts[0].series[0].values;
        assert_eq!((values[4], values[6]), (Some(3.0), Some(1_000.0)));
        let models = &generations.rankings[0];
        assert_eq!(models.rows[0], ("b/dear".to_owned(), vec!["104".into(), "$52.000".into()]));
        assert_eq!(generations.rankings[1].rows[0].0, "No key");
        let providers = &generations.rankings[2].rows;
        assert_eq!(providers[0].1, ["30", "100.0 %", "0", "$3.000"]);
        assert_eq!(providers[1].1, ["10", "0.0 %", "10", "$0.500"]);
        let performance = &sections[1];
        assert_eq!(performance.stats[0].value, "875 ms");
        assert_eq!(performance.stats[3].value, "750 ms");
        assert_eq!(performance.charts[0].series[0].values[5], None, "nothing on that day");
    }

    #[test]
    fn nothing_at_all_is_shown_too() {
        let span = Range::Day.span("2026-03-01T12:00:00Z".parse().unwrap());
        let sections = Figures::new(&[], &span, &[]).sections();
        assert!(sections.iter().all(|section| section.charts[0].is_empty()));
        assert_eq!((share(0, 0).as_str(), grouped(1_234_567).as_str()), ("", "1,234,567"));
    }
}
