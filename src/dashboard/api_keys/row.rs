//! A key as a row of the list.

use actors::api_key::{ApiKey, KeyStatus};
use actors::id::ApiKeyId;
use chrono::{DateTime, Utc};

use crate::dashboard::listing::{ListQuery, Order};

pub(super) struct Row {
    pub(super) id: ApiKeyId,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) last_used_at: Option<DateTime<Utc>>,
    /// When it stops working, of one that works and will stop.
    pub(super) ends_at: Option<DateTime<Utc>>,
    pub(super) status: KeyStatus,
    /// From where it may be used; empty for anywhere.
    pub(super) addresses: Vec<String>,
}

impl Row {
    pub(super) fn of(key: &ApiKey, now: DateTime<Utc>) -> Self {
        let status = key.status(now);
        Self {
            id: key.id,
            name: key.name.clone(),
            prefix: key.prefix.clone(),
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            ends_at: key.expires_at.filter(|_| status.authenticates()),
            status,
            addresses: key.allowed_ips.iter().map(ToString::to_string).collect(),
        }
    }

    pub(super) fn label(&self) -> &'static str {
        match self.status {
            KeyStatus::Active => "Active",
            KeyStatus::Rotated => "Rotated",
            KeyStatus::Expired => "Expired",
            KeyStatus::Revoked => "Revoked",
        }
    }

    pub(super) fn tone(&self) -> &'static str {
        match self.status {
            KeyStatus::Active => "good",
            KeyStatus::Rotated => "special",
            KeyStatus::Expired => "warning",
            KeyStatus::Revoked => "bad",
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.status == KeyStatus::Active
    }

    pub(super) fn is_rotated(&self) -> bool {
        self.status == KeyStatus::Rotated
    }

    pub(super) fn works(&self) -> bool {
        self.status.authenticates()
    }

    fn has(&self, text: &str) -> bool {
        let fields = [self.name.as_str(), self.prefix.as_str(), self.label()];
        let addresses = self.addresses.iter().map(String::as_str);
        fields.into_iter().chain(addresses).any(|field| field.to_lowercase().contains(text))
    }
}

/// Those that a search finds, in order; the newest first unless another order is asked for.
pub(super) fn arranged(mut rows: Vec<Row>, query: &ListQuery) -> Vec<Row> {
    if let Some(text) = query.search() {
        rows.retain(|row| row.has(&text));
    }
    let Some((column, order)) = query.order() else { return rows };
    match column {
        "name" => rows.sort_by_cached_key(|row| row.name.to_lowercase()),
        "last_used" => rows.sort_by_key(|row| row.last_used_at),
        "created" => rows.sort_by_key(|row| row.created_at),
        "status" => rows.sort_by_key(Row::label),
        _ => return rows,
    }
    if order == Order::Descending {
        rows.reverse();
    }
    rows
}
