//! A request as a row of the log, and as a line of a file.

use actors::api_key::{ApiKey, KeyStatus};
use actors::logged_request::RequestLine;
use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use crate::dashboard::listing::{ListQuery, Order};

/// Characters of a hash in a row.
const HASH_SHOWN: usize = 12;

/// What a file has of each request: what is documented, and then what came later.
pub(super) const FIELDS: &[&str] = &[
    "apikey_name",
    "apikey_prefix",
    "method",
    "endpoint",
    "status_code",
    "error_code",
    "ip_hash",
    "timestamp",
    "params",
    "replay",
];

pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) prefix: String,
    /// How the key stands now.
    key: KeyStatus,
    pub(super) method: String,
    pub(super) endpoint: String,
    pub(super) params: String,
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) ip_hash: String,
    pub(super) replayed: bool,
    pub(super) at: DateTime<Utc>,
}

impl Row {
    pub(super) fn of(line: &RequestLine, keys: &[ApiKey], now: DateTime<Utc>) -> Self {
        let key = keys.iter().find(|key| key.id == line.key_id);
        Self {
            id: line.id,
            name: line.key_name.clone(),
            prefix: line.key_prefix.clone(),
            key: key.map_or(line.key_status, |key| key.status(now)),
            method: line.method.clone(),
            endpoint: line.endpoint.clone(),
            params: line.query.clone().unwrap_or_default(),
            status: line.status,
            code: line.code.clone().unwrap_or_default(),
            ip_hash: line.ip_hash.clone(),
            replayed: line.replayed,
            at: line.at,
        }
    }

    /// A symbol, its tone, and what it says of the key.
    pub(super) fn key_icon(&self) -> (&'static str, &'static str, &'static str) {
        match self.key {
            KeyStatus::Active => ("key-round", "quiet", "Active key"),
            KeyStatus::Rotated => ("rotate-cw", "special", "Rotated key"),
            KeyStatus::Expired => ("clock", "bad", "Expired key"),
            KeyStatus::Revoked => ("signal", "pink", "Revoked key"),
        }
    }

    pub(super) fn tone(&self) -> &'static str {
        match self.status {
            ..300 => "good",
            300..400 => "info",
            400..500 => "warning",
            500.. => "bad",
        }
    }

    pub(super) fn short_hash(&self) -> &str {
        self.ip_hash.get(..HASH_SHOWN).unwrap_or(&self.ip_hash)
    }

    pub(super) fn timestamp(&self) -> String {
        timestamp(self.at)
    }
}

fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The cells of a file, as [`FIELDS`] names them.
pub(super) fn cells(line: &RequestLine) -> [String; 10] {
    [
        line.key_name.clone(),
        line.key_prefix.clone(),
        line.method.clone(),
        line.endpoint.clone(),
        line.status.to_string(),
        line.code.clone().unwrap_or_default(),
        line.ip_hash.clone(),
        timestamp(line.at),
        line.query.clone().unwrap_or_default(),
        line.replayed.to_string(),
    ]
}

/// The rows of a page in the order that is asked for. The log itself is in the order of time, and a
/// page of it is what is put in order, as documented: nobody sorts all that there is.
pub(super) fn arranged(mut rows: Vec<Row>, query: &ListQuery) -> Vec<Row> {
    let Some((column, order)) = query.order() else { return rows };
    match column {
        "name" => rows.sort_by_cached_key(|row| row.name.to_lowercase()),
        "method" => rows.sort_by(|one, other| one.method.cmp(&other.method)),
        "endpoint" => rows.sort_by(|one, other| one.endpoint.cmp(&other.endpoint)),
        "status" => rows.sort_by_key(|row| row.status),
        "code" => rows.sort_by(|one, other| one.code.cmp(&other.code)),
        _ => return rows,
    }
    if order == Order::Descending {
        rows.reverse();
    }
    rows
}
