//! How an endpoint stands, in words.

use actors::id::EndpointId;
use actors::ports::deliveries::EndpointHealth;
use actors::webhook::WebhookEndpoint;
use actors::webhook::endpoint::DisableReason;
use chrono::{DateTime, Utc};

use crate::dashboard::webhooks::row::{Recent, counted};

#[derive(Debug, Hash)]
pub(super) struct Standing {
    pub(super) id: EndpointId,
    pub(super) url: String,
    pub(super) events: Vec<&'static str>,
    pub(super) enabled: bool,
    pub(super) probing: bool,
    /// Why and when it was disabled, unless by its owner.
    pub(super) disabled: Option<(&'static str, DateTime<Utc>)>,
    /// Before when it cannot be enabled.
    pub(super) enable_after: Option<DateTime<Utc>>,
    /// Until when it has asked to be left alone.
    pub(super) paused_until: Option<DateTime<Utc>>,
    pub(super) exhausted_in_a_row: u32,
    /// Until when the secret before this one signs too.
    pub(super) previous_until: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) recent: Recent,
    pending: u64,
    queued: u64,
}

impl Standing {
    pub(super) fn of(endpoint: &WebhookEndpoint, health: &EndpointHealth) -> Self {
        let state = &endpoint.state;
        let failure = state.disabled.filter(|it| it.reason != DisableReason::Owner);
        Self {
            id: state.id,
            url: endpoint.url.to_string(),
            events: state.events.iter().map(|event| event.as_str()).collect(),
            enabled: state.enabled,
            probing: state.probing,
            disabled: failure.map(|it| (reason(it.reason), it.at)),
            enable_after: state.cooldown.filter(|_| !state.enabled).map(|it| it.until),
            paused_until: state.paused_until.filter(|_| state.enabled),
            exhausted_in_a_row: state.exhausted_in_a_row,
            previous_until: endpoint.previous.as_ref().map(|(_, until)| *until),
            created_at: endpoint.created_at,
            recent: Recent::of(health),
            pending: health.pending,
            queued: health.queued,
        }
    }

    /// Leaves out what is over.
    pub(super) fn at(mut self, now: DateTime<Utc>) -> Self {
        let ahead = |time: &DateTime<Utc>| *time > now;
        self.enable_after = self.enable_after.filter(ahead);
        self.paused_until = self.paused_until.filter(ahead);
        self.previous_until = self.previous_until.filter(ahead);
        self
    }

    pub(super) fn has_queued(&self) -> bool {
        self.queued > 0
    }

    /// `1 event`, `3 events`.
    pub(super) fn queued(&self) -> String {
        match self.queued {
            1 => "1 event".to_owned(),
            many => format!("{} events", counted(many)),
        }
    }

    pub(super) fn pending(&self) -> String {
        counted(self.pending)
    }
}

fn reason(reason: DisableReason) -> &'static str {
    match reason {
        DisableReason::Owner => "It was disabled by hand.",
        DisableReason::Failing => "Too many deliveries in a row failed.",
        DisableReason::FailingTooLong => "For days it has taken nothing.",
        DisableReason::Gone => "It answered 410 Gone.",
        DisableReason::ProbeFailed => "It was enabled again, and the first delivery failed.",
        DisableReason::Quarantined => "What sends to it has failed on our side again and again.",
    }
}
