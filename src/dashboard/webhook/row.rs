//! A delivery as a row of the log, and how it stands.

use actors::id::{DeliveryId, GenerationId};
use actors::ports::deliveries::LoggedDelivery;
use actors::webhook::DeliveryStatus;
use chrono::{DateTime, Utc};

/// Characters of a payload in a row.
const PREVIEW: usize = 60;

#[derive(Debug, Hash)]
pub(super) struct Row {
    pub(super) id: DeliveryId,
    pub(super) event: &'static str,
    pub(super) generation_id: Option<GenerationId>,
    pub(super) payload: String,
    /// The HTTP status of the last try, with its tone.
    pub(super) status_code: Option<(u16, &'static str)>,
    pub(super) error: String,
    pub(super) attempts: u32,
    pub(super) created_at: DateTime<Utc>,
    pub(super) is_replay: bool,
    pub(super) state: DeliveryState,
}

/// How a delivery stands, for people: what was resent stands as what it was resent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::dashboard) enum DeliveryState {
    Delivered,
    Failed,
    /// To be sent; the endpoint has refused it before.
    Retrying,
    Pending,
    Queued,
    Expired,
}

impl DeliveryState {
    pub(in crate::dashboard) fn of(logged: &LoggedDelivery) -> Self {
        match logged.status() {
            DeliveryStatus::Delivered => Self::Delivered,
            DeliveryStatus::Exhausted => Self::Failed,
            DeliveryStatus::Expired => Self::Expired,
            DeliveryStatus::Queued => Self::Queued,
            // One that it was resent as has tries of its own.
            _ if logged.delivery.status == DeliveryStatus::Pending && logged.delivery.tries > 0 => {
                Self::Retrying
            }
            DeliveryStatus::Pending | DeliveryStatus::Resent => Self::Pending,
        }
    }

    pub(in crate::dashboard) fn label(self) -> &'static str {
        match self {
            Self::Delivered => "Delivered",
            Self::Failed => "Failed",
            Self::Retrying => "Retrying",
            Self::Pending => "Pending",
            Self::Queued => "Queued",
            Self::Expired => "Expired",
        }
    }

    pub(in crate::dashboard) fn tone(self) -> &'static str {
        match self {
            Self::Delivered => "good",
            Self::Failed | Self::Expired => "bad",
            Self::Retrying | Self::Queued => "warning",
            Self::Pending => "info",
        }
    }
}

impl Row {
    pub(super) fn of(logged: &LoggedDelivery) -> Self {
        let delivery = &logged.delivery;
        Self {
            id: delivery.id,
            event: delivery.event.as_str(),
            generation_id: delivery.generation_id,
            payload: preview(&delivery.data.to_string()),
            status_code: logged.last_status.map(|status| (status, tone(status))),
            error: logged.last_error.clone().unwrap_or_default(),
            attempts: delivery.tries,
            created_at: delivery.created_at,
            is_replay: delivery.replay_of.is_some(),
            state: DeliveryState::of(logged),
        }
    }
}

/// The tone of an HTTP status.
pub(super) fn tone(status: u16) -> &'static str {
    match status {
        200..=299 => "good",
        300..=499 => "warning",
        _ => "bad",
    }
}

fn preview(text: &str) -> String {
    let mut preview: String = text.chars().take(PREVIEW).collect();
    if preview.len() < text.len() {
        preview.push('…');
    }
    preview
}

#[cfg(test)]
mod tests {
    use actors::webhook::WebhookDelivery;

    use super::*;

    fn state(status: DeliveryStatus, tries: u32, resent: Option<DeliveryStatus>) -> DeliveryState {
        let blank = WebhookDelivery::blank(DateTime::UNIX_EPOCH);
        DeliveryState::of(&LoggedDelivery {
            delivery: WebhookDelivery { status, tries, ..blank },
            finished_at: None,
            last_status: None,
            last_error: None,
            resent_status: resent,
        })
    }

    #[test]
    fn what_was_resent_stands_as_what_it_was_resent_as() {
        use DeliveryStatus::{Delivered, Exhausted, Pending, Resent};
        assert_eq!(state(Resent, 0, Some(Delivered)), DeliveryState::Delivered);
        assert_eq!(state(Resent, 0, Some(Exhausted)), DeliveryState::Failed);
        assert_eq!(state(Resent, 0, None), DeliveryState::Pending);
        assert_eq!(state(Pending, 0, None), DeliveryState::Pending);
        assert_eq!(state(Pending, 2, None), DeliveryState::Retrying);
    }

    #[test]
    fn a_long_payload_is_cut_between_characters() {
        assert_eq!(preview("{}"), "{}");
        let cut = preview(&"ü".repeat(100));
        assert_eq!((cut.chars().count(), cut.chars().last()), (PREVIEW + 1, Some('…')));
    }
}
