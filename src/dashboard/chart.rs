//! Charts as SVG, drawn on the server: bars stacked by series, and lines.
//!
//! The drawing is stretched to the width there is, so everything with a shape that must not be
//! stretched, which is text, stands beside it as HTML. Behind each chart is a table with the same
//! numbers: that is what a screen reader is given.

use askama::Template;

/// Units of the drawing, which knows no pixels.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;
/// Lines across the drawing, besides the ground.
const STEPS: u32 = 4;
/// Texts below the drawing, at most.
const LABELS_MAX: usize = 7;
/// Part of a bar's place that stays empty.
const GAP: f64 = 0.25;

/// What is drawn for each series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// On top of each other: parts of a whole.
    Bars,
    /// Each by itself, such as percentiles.
    Lines,
}

/// Values over points in time or over names.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows, in a few words.
    pub title: &'static str,
    /// What the values are, such as `ms`; empty for a count.
    pub unit: &'static str,
    /// What is drawn.
    pub shape: Shape,
    /// What the points are, such as `Day`: the heading of the table's first column.
    pub point: &'static str,
    /// The points, in order.
    pub points: Vec<String>,
    /// The series, the first at the bottom. Each has a value for each point.
    pub series: Vec<Series>,
}

/// One colour of a chart.
#[derive(Debug, Clone)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// The colour, as the style sheet knows it.
    pub tone: Tone,
    /// A value for each point; nothing is drawn where there is none.
    pub values: Vec<Option<f64>>,
}

/// A colour with a meaning, or one of several without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// What went well.
    Good,
    /// What is worth a look.
    Warning,
    /// What went wrong.
    Bad,
    /// What neither went well nor wrong.
    Quiet,
    /// One of many, told apart from the others; counted from 0.
    Nth(usize),
}

impl Tone {
    /// The class of the style sheet.
    fn class(self) -> &'static str {
        const NTH: [&str; 6] = ["tone-1", "tone-2", "tone-3", "tone-4", "tone-5", "tone-6"];
        match self {
            Self::Good => "tone-good",
            Self::Warning => "tone-warning",
            Self::Bad => "tone-bad",
            Self::Quiet => "tone-quiet",
            Self::Nth(n) => NTH[n % NTH.len()],
        }
    }
}

#[derive(Template)]
#[template(path = "components/chart.html")]
struct Drawing<'a> {
    chart: &'a Chart,
    /// Texts beside the drawing, from top to bottom.
    scale: Vec<String>,
    /// Heights of the lines across.
    lines: Vec<f64>,
    marks: Vec<Marks>,
    /// What is told of each point under the pointer.
    hints: Vec<Hint>,
    /// Texts below the drawing, from left to right.
    labels: Vec<&'a str>,
}

/// What is drawn of one series.
struct Marks {
    class: &'static str,
    /// A path: filled for bars, stroked for lines.
    path: String,
}

struct Hint {
    x: f64,
    width: f64,
    text: String,
}

impl Chart {
    /// The chart as HTML.
    ///
    /// # Errors
    /// None that happen: writing to memory does not fail.
    pub fn to_html(&self) -> askama::Result<String> {
        let top = nice_top(self.largest());
        let drawing = Drawing {
            chart: self,
            scale: (0..=STEPS).rev().map(|step| number(share(top, step))).collect(),
            lines: (0..STEPS).map(|step| HEIGHT * f64::from(step) / f64::from(STEPS)).collect(),
            marks: match self.shape {
                Shape::Bars => self.bars(top),
                Shape::Lines => self.paths(top),
            },
            hints: self.hints(),
            labels: thin_out(&self.points),
        };
        drawing.render()
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.series
            .iter()
            .flat_map(|series| &series.values)
            .all(|value| value.unwrap_or(0.0) == 0.0)
    }

    /// A value as the table shows it; an en dash where there is none.
    fn cell(&self, series: &Series, point: &usize) -> String {
        match series.values.get(*point).copied().flatten() {
            None => "–".to_owned(),
            Some(value) if self.unit.is_empty() => number(value),
            Some(value) => format!("{} {}", number(value), self.unit),
        }
    }

    /// What a screen reader is told in place of the drawing.
    fn summary(&self) -> String {
        let names: Vec<&str> = self.series.iter().map(|series| series.name.as_str()).collect();
        match (self.points.first(), self.points.last()) {
            (Some(first), Some(last)) => {
                format!("{}: {}, from {first} to {last}", self.title, names.join(", "))
            }
            _ => format!("{}: no data", self.title),
        }
    }

    fn value(&self, series: &Series, point: usize) -> f64 {
        // What is no number has no height.
        let value = series.values.get(point).copied().flatten().unwrap_or(0.0);
        if value.is_finite() { value.max(0.0) } else { 0.0 }
    }

    /// The height that the scale has to reach.
    fn largest(&self) -> f64 {
        let at = |point: usize| {
            let values = self.series.iter().map(|series| self.value(series, point));
            match self.shape {
                Shape::Bars => values.sum::<f64>(),
                Shape::Lines => values.fold(0.0, f64::max),
            }
        };
        (0..self.points.len()).map(at).fold(0.0, f64::max)
    }

    /// The width of one point's place.
    fn place(&self) -> f64 {
        WIDTH / (self.points.len().max(1) as f64)
    }

    fn bars(&self, top: f64) -> Vec<Marks> {
        let (place, gap) = (self.place(), self.place() * GAP);
        let mut grounds = vec![0.0; self.points.len()];
        let mut bars = |series: &Series| {
            let mut path = String::new();
            for (point, ground) in grounds.iter_mut().enumerate() {
                let value = self.value(series, point);
                if value > 0.0 {
                    let (x, width) = (place * point as f64 + gap / 2.0, place - gap);
                    let (y, height) =
                        (HEIGHT * (1.0 - (*ground + value) / top), HEIGHT * value / top);
                    path += &format!("M{x:.2} {y:.2}h{width:.2}v{height:.2}h-{width:.2}z");
                    *ground += value;
                }
            }
            Marks { class: series.tone.class(), path }
        };
        self.series.iter().map(&mut bars).collect()
    }

    fn paths(&self, top: f64) -> Vec<Marks> {
        let place = self.place();
        let path = |series: &Series| {
            let mut path = String::new();
            let mut draws = false;
            for (point, value) in series.values.iter().enumerate() {
                // A gap where there is no value, rather than a line through nothing.
                if value.is_none() {
                    draws = false;
                    continue;
                }
                let x = place * (point as f64 + 0.5);
                let y = HEIGHT * (1.0 - self.value(series, point) / top);
                path += &format!("{}{x:.2} {y:.2}", if draws { 'L' } else { 'M' });
                if !draws {
                    // A value alone would else not be seen.
                    path += "h0.01";
                }
                draws = true;
            }
            Marks { class: series.tone.class(), path }
        };
        self.series.iter().map(path).collect()
    }

    fn hints(&self) -> Vec<Hint> {
        let place = self.place();
        let hint = |(point, name): (usize, &String)| {
            let mut text = name.clone();
            for series in &self.series {
                text += &format!("\n{}: {}", series.name, self.cell(series, &point));
            }
            Hint { x: place * point as f64, width: place, text }
        };
        self.points.iter().enumerate().map(hint).collect()
    }
}

/// The end of the scale: 1, 2 or 5 and zeros, and at least the value.
fn nice_top(largest: f64) -> f64 {
    if largest <= 0.0 {
        return f64::from(STEPS);
    }
    let power = 10f64.powf(largest.log10().floor());
    let step = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0].into_iter().find(|step| step * power >= largest);
    step.unwrap_or(10.0) * power
}

fn share(top: f64, step: u32) -> f64 {
    top * f64::from(step) / f64::from(STEPS)
}

/// As short as it stays exact enough to read: `12`, `0.052`, `1,250`, `3.4M`.
fn number(value: f64) -> String {
    match value.abs() {
        strange if !strange.is_finite() => "–".to_owned(),
        large if large >= 10_000_000.0 => format!("{}M", short(value / 1_000_000.0, 1)),
        thousands if thousands >= 1000.0 => {
            let whole = format!("{value:.0}");
            let start = usize::from(whole.starts_with('-'));
            let mut text = whole;
            let mut at = text.len();
            while at > start + 3 {
                at -= 3;
                text.insert(at, ',');
            }
            text
        }
        _ => short(value, 3),
    }
}

/// Without zeros at the end.
fn short(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// As many of the points as there is room to name, evenly, the first and the last among them.
fn thin_out(points: &[String]) -> Vec<&str> {
    if points.len() <= LABELS_MAX {
        return points.iter().map(String::as_str).collect();
    }
    let (last, spaces) = (points.len() - 1, LABELS_MAX - 1);
    // Off by less than a point where they cannot stand evenly, which nobody sees.
    (0..LABELS_MAX).map(|label| points[(label * last + spaces / 2) / spaces].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(shape: Shape) -> Chart {
        let series = |name: &str, tone, values: &[f64]| Series {
            name: name.to_owned(),
            tone,
            values: values.iter().copied().map(Some).collect(),
        };
        Chart {
            title: "Generations by outcome",
            unit: "",
            shape,
            point: "Day",
            points: ["Nov 1", "Nov 2", "Nov <3>"].map(str::to_owned).to_vec(),
            series: vec![
                series("Succeeded", Tone::Good, &[6.0, 0.0, 2.0]),
                series("Failed", Tone::Bad, &[2.0, 1.0, 2.0]),
            ],
        }
    }

    #[test]
    fn bars_stand_on_each_other_and_end_at_the_scale() {
        let marks = chart(Shape::Bars).bars(8.0);
        assert_eq!(marks[0].class, "tone-good");
        assert!(
            marks[0].path.starts_with("M41.67 25.00h250.00v75.00h-250.00z"),
            "{}",
            marks[0].path
        );
        assert!(marks[1].path.starts_with("M41.67 0.00h250.00v25.00"), "{}", marks[1].path);
        assert_eq!(marks[0].path.matches('z').count(), 2, "nothing is drawn for nothing");
    }

    #[test]
    fn a_line_has_a_gap_where_there_is_no_value() {
        let mut chart = chart(Shape::Lines);
        chart.series[0].values[1] = None;
        let path = &chart.paths(8.0)[0].path;
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert!(!path.contains('L'));
    }

    #[test]
    fn the_table_has_every_number_and_texts_are_escaped() {
        let html = chart(Shape::Bars).to_html().unwrap();
        for text in ["<th scope=\"row\">Nov 1</th>", "Nov &#60;3&#62;", "Succeeded", "Failed"] {
            assert!(html.contains(text), "{text} is missing in {html}");
        }
        assert!(!html.contains("style="), "the policy forbids it");
        assert_eq!(html.matches("<td").count(), 6);
    }

    #[test]
    fn nothing_at_all_is_drawn_too() {
        let nothing = Chart { points: Vec::new(), series: Vec::new(), ..chart(Shape::Bars) };
        assert!(nothing.is_empty());
        nothing.to_html().unwrap();
        let strange = [f64::NAN, f64::INFINITY, -1.0].map(Some).to_vec();
        let series = vec![Series { name: "x".to_owned(), tone: Tone::Nth(7), values: strange }];
        let html = Chart { series, ..chart(Shape::Lines) }.to_html().unwrap();
        assert!(!html.contains("d=\"NaN") && !html.contains(" NaN"), "{html}");
    }

    #[test]
    fn the_scale_ends_at_a_round_number_and_numbers_are_short() {
        for (largest, top) in [(0.0, 4.0), (0.052, 0.08), (7.0, 8.0), (8.1, 10.0), (101.0, 200.0)] {
            assert!((nice_top(largest) - top).abs() < 1e-9, "{largest}: {}", nice_top(largest));
        }
        for (value, text) in [
            (0.0, "0"),
            (0.052, "0.052"),
            (12.5, "12.5"),
            (1250.0, "1,250"),
            (1_250_000.0, "1,250,000"),
            (34_000_000.0, "34M"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn labels_are_few_and_even() {
        let points: Vec<String> = (1..=31).map(|day| day.to_string()).collect();
        assert_eq!(thin_out(&points), ["1", "6", "11", "16", "21", "26", "31"]);
        assert_eq!(thin_out(&points[..24]), ["1", "5", "9", "13", "16", "20", "24"]);
        assert_eq!(thin_out(&points[..3]), ["1", "2", "3"]);
    }
}
