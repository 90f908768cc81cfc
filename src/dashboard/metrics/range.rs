//! Of which time numbers are shown, and the points of a chart over it.

use actors::ports::tallies::Grain;
use actors::tally::hour;
use chrono::{DateTime, Days, TimeDelta, Utc};

/// Points of a chart for so long that days would be too many: weeks.
const DAYS_OF_A_WEEK: usize = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    Day,
    Week,
    Month,
    Quarter,
}

impl Range {
    pub(super) const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Quarter];

    /// The text in the address; anything else is a month.
    pub(super) fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|range| range.as_str() == text).unwrap_or(Self::Month)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Quarter => "90d",
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Day => "24 hours",
            Self::Week => "7 days",
            Self::Month => "30 days",
            Self::Quarter => "90 days",
        }
    }

    /// The hours or days up to now.
    pub(super) fn span(self, now: DateTime<Utc>) -> Span {
        let days = match self {
            Self::Day => return Span::hours(now),
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
        };
        Span::days(now, days, if self == Self::Quarter { DAYS_OF_A_WEEK } else { 1 })
    }
}

/// The points of charts, and what is counted to which.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) grain: Grain,
    /// The first hour or day, by its text.
    pub(super) since: String,
    /// What a point is.
    pub(super) point: &'static str,
    pub(super) labels: Vec<String>,
    /// Each hour or day by its text, in order.
    units: Vec<String>,
    /// How many of them are a point.
    per_point: usize,
}

impl Span {
    fn hours(now: DateTime<Utc>) -> Self {
        let hours = (0..24).rev().map(|back| now - TimeDelta::hours(back));
        let (units, labels): (Vec<_>, Vec<_>) =
            hours.map(|at| (hour(at), at.format("%H:00").to_string())).unzip();
        Self {
            grain: Grain::Hour,
            since: units[0].clone(),
            point: "Hour (UTC)",
            labels,
            units,
            per_point: 1,
        }
    }

    fn days(now: DateTime<Utc>, days: u64, per_point: usize) -> Self {
        let today = now.date_naive();
        let days = (0..days).rev().filter_map(|back| today.checked_sub_days(Days::new(back)));
        let days: Vec<_> = days.collect();
        let labels = days.chunks(per_point).map(|days| days[0].format("%b %-d").to_string());
        let units: Vec<_> = days.iter().map(|day| day.format("%Y-%m-%d").to_string()).collect();
        Self {
            grain: Grain::Day,
            since: units[0].clone(),
            point: if per_point == 1 { "Day (UTC)" } else { "Week from (UTC)" },
            labels: labels.collect(),
            units,
            per_point,
        }
    }

    /// The point that an hour or day belongs to.
    pub(super) fn point_of(&self, unit: &str) -> Option<usize> {
        let index = self.units.binary_search_by(|it| it.as_str().cmp(unit)).ok()?;
        Some(index / self.per_point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_now_and_every_hour_or_day_has_its_point() {
        let now = "2026-03-01T00:30:00Z".parse().unwrap();
        let day = Range::Day.span(now);
        assert_eq!((day.since.as_str(), day.labels.len()), ("2026-02-28T01", 24));
        assert_eq!(day.point_of("2026-03-01T00"), Some(23));
        assert_eq!(day.point_of("2026-02-28T00"), None);
        let week = Range::Week.span(now);
        assert_eq!((week.since.as_str(), week.labels[6].as_str()), ("2026-02-23", "Mar 1"));
        let quarter = Range::Quarter.span(now);
        assert_eq!((quarter.labels.len(), quarter.since.as_str()), (13, "2025-12-02"));
        assert_eq!(quarter.point_of("2025-12-09"), Some(1));
        assert_eq!(quarter.point_of("2026-03-01"), Some(12));
    }
}
