//! An endpoint as a row of the list, and how endpoints have done, as marks in a line.

use actors::id::EndpointId;
use actors::ports::deliveries::EndpointHealth;
use actors::webhook::{DeliveryStatus, WebhookEndpoint};
use chrono::{DateTime, Utc};

use crate::dashboard::listing::{ListQuery, Order};
use crate::dashboard::webhooks::COUNTED_MAX;

#[derive(Debug, Hash)]
pub(super) struct Row {
    pub(super) id: EndpointId,
    pub(super) url: String,
    pub(super) events: usize,
    pub(super) enabled: bool,
    pub(super) probing: bool,
    pub(super) created_at: DateTime<Utc>,
    pub(super) recent: Recent,
    waiting: u64,
}

impl Row {
    pub(super) fn of(endpoint: &WebhookEndpoint, health: &EndpointHealth) -> Self {
        let state = &endpoint.state;
        Self {
            id: state.id,
            url: endpoint.url.to_string(),
            events: state.events.len(),
            enabled: state.enabled,
            probing: state.probing,
            created_at: endpoint.created_at,
            recent: Recent::of(health),
            waiting: health.pending + health.queued,
        }
    }

    pub(super) fn status(&self) -> &'static str {
        if self.enabled { "Enabled" } else { "Disabled" }
    }

    pub(super) fn tone(&self) -> &'static str {
        if self.enabled { "good" } else { "bad" }
    }

    /// What it still has to take; empty for nothing.
    pub(super) fn waiting(&self) -> String {
        if self.waiting == 0 { String::new() } else { counted(self.waiting) }
    }

    fn has(&self, text: &str) -> bool {
        [self.url.as_str(), self.status()].iter().any(|it| it.to_lowercase().contains(text))
    }
}

/// A number that was not counted beyond the limit.
pub(in crate::dashboard) fn counted(count: u64) -> String {
    let max = u64::from(COUNTED_MAX);
    if count < max { count.to_string() } else { format!("{max}+") }
}

/// How the last deliveries of an endpoint stand, the oldest first.
#[derive(Debug, Hash)]
pub(in crate::dashboard) struct Recent(Vec<DeliveryStatus>);

impl Recent {
    pub(in crate::dashboard) fn of(health: &EndpointHealth) -> Self {
        Self(health.recent.iter().rev().copied().collect())
    }

    pub(in crate::dashboard) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tone of each.
    pub(in crate::dashboard) fn tones(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|status| match status {
            DeliveryStatus::Delivered => "tone-good",
            DeliveryStatus::Exhausted | DeliveryStatus::Expired => "tone-bad",
            DeliveryStatus::Pending | DeliveryStatus::Queued | DeliveryStatus::Resent => {
                "tone-quiet"
            }
        })
    }

    /// The same in words.
    pub(in crate::dashboard) fn summary(&self) -> String {
        let count = |tone| self.tones().filter(|it| *it == tone).count();
        let (good, bad) = (count("tone-good"), count("tone-bad"));
        let waiting = self.0.len() - good - bad;
        let mut text = format!("{good} delivered, {bad} failed");
        if waiting > 0 {
            text.push_str(&format!(", {waiting} not sent yet"));
        }
        text
    }
}

/// Those that a search finds, in order; the newest first unless another order is asked for.
pub(super) fn arranged(mut rows: Vec<Row>, query: &ListQuery) -> Vec<Row> {
    if let Some(text) = query.search() {
        rows.retain(|row| row.has(&text));
    }
    let Some((column, order)) = query.order() else { return rows };
    match column {
        "url" => rows.sort_by_cached_key(|row| row.url.to_lowercase()),
        "status" => rows.sort_by_key(Row::status),
        "created" => rows.sort_by_key(|row| row.created_at),
        "waiting" => rows.sort_by_key(|row| row.waiting),
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
    fn the_marks_of_an_endpoint_are_told_in_words_too() {
        use DeliveryStatus::{Delivered, Exhausted, Queued};
        let health =
            EndpointHealth { recent: vec![Queued, Delivered, Exhausted], ..Default::default() };
        let recent = Recent::of(&health);
        assert_eq!(recent.tones().collect::<Vec<_>>(), ["tone-bad", "tone-good", "tone-quiet"]);
        assert_eq!(recent.summary(), "1 delivered, 1 failed, 1 not sent yet");
        assert!(Recent::of(&EndpointHealth::default()).is_empty());
    }

    #[test]
    fn what_was_not_counted_to_the_end_says_so() {
        assert_eq!((counted(999), counted(1000)), ("999".to_owned(), "1000+".to_owned()));
    }
}
