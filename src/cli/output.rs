//! How an answer reaches the operator: one JSON document, or text in columns.

use std::fmt::Write as _;
use std::io::Write as _;

use actors::money::Credits;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// What a command has to say, for machines and for people.
#[derive(Debug)]
pub struct Answer {
    document: Value,
    text: String,
    failure: bool,
}

impl Answer {
    /// The same thing twice.
    pub fn new(document: Value, text: impl Into<String>) -> Self {
        Self { document, text: text.into(), failure: false }
    }

    /// The command did its work, and what it found is bad.
    pub fn failed(self) -> Self {
        Self { failure: true, ..self }
    }

    /// Whether the process ends with 1.
    pub fn is_failure(&self) -> bool {
        self.failure
    }
}

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// One JSON document instead of text.
    pub json: bool,
}

impl Output {
    /// Prints an answer.
    pub fn print(self, answer: &Answer) {
        if self.json {
            print(&answer.document.to_string());
        } else {
            print(answer.text.trim_end());
        }
    }

    /// Prints why there is no answer.
    pub fn print_error(self, message: &str) {
        if self.json {
            print(&json!({ "error": { "message": message } }).to_string());
        } else {
            // Whoever reads it is gone: there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "error: {message}");
        }
    }
}

fn print(text: &str) {
    // A closed pipe, as from `| head`, is the reader's wish and no error of ours.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Columns as wide as their widest cell, or `nothing` when there are no rows.
pub(crate) fn table<const N: usize>(
    titles: [&str; N],
    rows: &[[String; N]],
    nothing: &str,
) -> String {
    if rows.is_empty() {
        return nothing.to_owned();
    }
    let mut widths = titles.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: [&str; N]| {
        let start = text.len();
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(text, "{cell:width$}  ");
        }
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    };
    line(titles);
    rows.iter().for_each(|row| line(row.each_ref().map(String::as_str)));
    text
}

/// Lines of `name  value`, the values under each other.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    fields.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:width$}  {value}");
        text
    })
}

/// A time as the API writes it.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time that may be absent.
pub(crate) fn time_or(at: Option<DateTime<Utc>>, absent: &str) -> String {
    at.map_or_else(|| absent.to_owned(), time)
}

/// An amount as a JSON number; exact, since thousandths of this size fit a double.
pub(crate) fn number(credits: Credits) -> Value {
    json!(credits.to_number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_end_without_spaces() {
        let rows = [["a".to_owned(), "bcd".to_owned()], ["efgh".to_owned(), String::new()]];
        assert_eq!(table(["ONE", "TWO"], &rows, "none"), "ONE   TWO\na     bcd\nefgh\n");
        assert_eq!(table(["ONE"], &[], "none"), "none");
    }

    #[test]
    fn fields_are_aligned() {
        let lines = fields(&[("id", "1".to_owned()), ("name", "a b".to_owned())]);
        assert_eq!(lines, "id    1\nname  a b\n");
    }

    #[test]
    fn amounts_are_exact_numbers() {
        for (text, shown) in [("0.001", "0.001"), ("10", "10.0"), ("9999999.999", "9999999.999")] {
            assert_eq!(number(Credits::parse(text).unwrap()).to_string(), shown);
        }
    }
}
