//! A generation as a row of the list, and as a line of a file.

use actors::api_key::ApiKey;
use actors::generation::{Generation, State, Status};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::dashboard::listing::{ListQuery, Order};

/// What a file has of each generation.
pub(super) const FIELDS: &[&str] = &[
    "generation_id",
    "generation_status",
    "model_identifier",
    "generation_provider_used",
    "outputs",
    "cost",
    "apikey_id",
    "created_at",
    "completed_at",
    "duration_ms",
    "error_code",
];

pub(super) struct Row {
    pub(super) id: String,
    pub(super) href: String,
    pub(super) status: Status,
    pub(super) model: String,
    pub(super) provider: &'static str,
    /// How many, of how many that were asked for.
    pub(super) outputs: usize,
    pub(super) asked: u32,
    pub(super) cost: String,
    cost_thousandths: i64,
    /// The name of the key, where it is still there.
    pub(super) key: String,
    pub(super) key_id: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) completed_at: String,
    took: Option<TimeDelta>,
    pub(super) error: &'static str,
}

impl Row {
    pub(super) fn of(generation: &Generation, keys: &[ApiKey], path: &str) -> Self {
        let key = generation.asked_by.key;
        let named = keys.iter().find(|one| Some(one.id) == key);
        let cost = charged(generation);
        Self {
            id: generation.id.to_string(),
            href: format!("{path}/{}", generation.id),
            status: generation.status(),
            model: generation.model.clone(),
            provider: generation.provider_used().map_or("", |name| name.as_str()),
            outputs: outputs(generation),
            asked: generation.input.count,
            cost: cost.clone().unwrap_or_default(),
            cost_thousandths: cost.map_or(0, |_| generation.amount.thousandths()),
            key: named.map(|key| key.name.clone()).unwrap_or_default(),
            key_id: key.map(|key| key.to_string()).unwrap_or_default(),
            created_at: generation.created_at,
            completed_at: generation.completed_at().map(timestamp).unwrap_or_default(),
            took: took(generation),
            error: error(generation),
        }
    }

    pub(super) fn label(&self) -> &'static str {
        status_label(self.status)
    }

    pub(super) fn tone(&self) -> &'static str {
        status_tone(self.status)
    }

    pub(super) fn created(&self) -> String {
        timestamp(self.created_at)
    }

    pub(super) fn took(&self) -> String {
        self.took.map(duration).unwrap_or_default()
    }

    pub(super) fn took_ms(&self) -> String {
        self.took.map(|took| took.num_milliseconds().to_string()).unwrap_or_default()
    }
}

pub(in crate::dashboard) fn status_label(status: Status) -> &'static str {
    match status {
        Status::Pending => "Pending",
        Status::Processing => "Processing",
        Status::Succeeded => "Succeeded",
        Status::Failed => "Failed",
        Status::Canceled => "Canceled",
    }
}

pub(in crate::dashboard) fn status_tone(status: Status) -> &'static str {
    match status {
        Status::Pending => "quiet",
        Status::Processing => "info",
        Status::Succeeded => "good",
        Status::Failed => "bad",
        Status::Canceled => "warning",
    }
}

/// A time span for people.
pub(in crate::dashboard) fn duration(took: TimeDelta) -> String {
    let ms = took.num_milliseconds().max(0);
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000.. => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// What was charged; what has not ended well costs nothing.
fn charged(generation: &Generation) -> Option<String> {
    (generation.status() == Status::Succeeded).then(|| generation.amount.to_string())
}

/// The files that it made, whether or not they are still kept.
fn outputs(generation: &Generation) -> usize {
    match generation.state() {
        State::Succeeded { outputs, .. } => outputs.len(),
        State::Pending
        | State::Processing { .. }
        | State::Failed { .. }
        | State::Canceled { .. } => 0,
    }
}

fn took(generation: &Generation) -> Option<TimeDelta> {
    generation.completed_at().map(|at| at - generation.created_at)
}

fn error(generation: &Generation) -> &'static str {
    match generation.state() {
        State::Failed { failure, .. } => failure.code.wire_code(),
        State::Pending
        | State::Processing { .. }
        | State::Succeeded { .. }
        | State::Canceled { .. } => "",
    }
}

fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The cells of a file, as [`FIELDS`] names them.
pub(super) fn cells(generation: &Generation) -> [String; 11] {
    let row = Row::of(generation, &[], "");
    let (created, took_ms) = (row.created(), row.took_ms());
    [
        row.id,
        row.status.as_str().to_owned(),
        row.model,
        row.provider.to_owned(),
        row.outputs.to_string(),
        row.cost,
        row.key_id,
        created,
        row.completed_at,
        took_ms,
        row.error.to_owned(),
    ]
}

/// The rows of a page in the order that is asked for; the list itself is in the order of time.
pub(super) fn arranged(mut rows: Vec<Row>, query: &ListQuery) -> Vec<Row> {
    let Some((column, order)) = query.order() else { return rows };
    match column {
        "status" => rows.sort_by_key(Row::label),
        "model" => rows.sort_by(|one, other| one.model.cmp(&other.model)),
        "provider" => rows.sort_by_key(|row| row.provider),
        "cost" => rows.sort_by_key(|row| row.cost_thousandths),
        "key" => rows.sort_by_cached_key(|row| row.key.to_lowercase()),
        "duration" => rows.sort_by_key(|row| row.took),
        _ => return rows,
    }
    if order == Order::Descending {
        rows.reverse();
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_exact_enough() {
        for (ms, text) in [
            (-5, "0 ms"),
            (999, "999 ms"),
            (1_250, "1.2 s"),
            (59_999, "59.9 s"),
            (61_500, "1 min 1 s"),
        ] {
            assert_eq!(duration(TimeDelta::milliseconds(ms)), text);
        }
    }
}
