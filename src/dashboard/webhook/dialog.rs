//! The dialogs of the page of an endpoint.

use actors::batch::Try;
use actors::id::DeliveryId;
use actors::permission::Permission;
use actors::ports::deliveries::{DeliveryLog, LoggedDelivery};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::Place;
use super::row::{Row, tone};
use crate::dashboard::Dashboard;
use crate::dashboard::webhooks::form::EndpointForm;
use crate::error::page::PageError;

/// For how long a replaced secret may sign too, in hours; the first is chosen.
pub(super) const OVERLAP_HOURS: [(u32, &str); 5] = [
    (0, "Stop at once"),
    (1, "1 hour"),
    (24, "24 hours"),
    (72, "72 hours (3 days)"),
    (168, "168 hours (7 days)"),
];
/// How a time is typed.
const TYPED_TIME: [&str; 2] = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];

/// What is open.
pub(super) enum Dialog {
    Edit(EndpointForm),
    Rotate,
    /// A new secret, in the clear, and until when the one before signs too.
    Rotated {
        secret: String,
        until: Option<DateTime<Utc>>,
    },
    Range(RangeForm),
    Delete,
    /// A delivery with its tries.
    Delivery(Box<Shown>),
}

/// Which dialog an address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    dialog: String,
    id: String,
}

impl Place {
    /// The dialog that an address asks for; `None` when this person may not use it.
    pub(super) async fn asked(
        &self,
        dashboard: &Dashboard,
        asked: &Asked,
    ) -> Result<Option<Dialog>, PageError> {
        if asked.dialog == "delivery" {
            return self.delivery(dashboard, &asked.id).await;
        }
        if !self.workspace.may(Permission::ManageWebhooks) {
            return Ok(None);
        }
        Ok(match asked.dialog.as_str() {
            "edit" => {
                let events = self.endpoint.state.events.clone();
                Some(Dialog::Edit(EndpointForm { events, ..EndpointForm::default() }))
            }
            "rotate" => Some(Dialog::Rotate),
            "replay" => Some(Dialog::Range(RangeForm::last_hour(dashboard.context.clock.now()))),
            "delete" => Some(Dialog::Delete),
            _ => None,
        })
    }

    async fn delivery(&self, dashboard: &Dashboard, id: &str) -> Result<Option<Dialog>, PageError> {
        let Some(id) = DeliveryId::parse(id) else { return Ok(None) };
        let (store, account_id) = (&dashboard.context.store, self.workspace.account.id);
        let found = store.find_delivery(account_id, id).await?;
        let here = |logged: &LoggedDelivery| logged.delivery.endpoint_id == self.endpoint.state.id;
        let Some(logged) = found.filter(here) else { return Ok(None) };
        let tries = store.list_tries(account_id, id).await?;
        Ok(Some(Dialog::Delivery(Box::new(Shown::of(&logged, tries)))))
    }
}

/// A delivery with its tries, as it is shown.
pub(super) struct Shown {
    pub(super) row: Row,
    pub(super) payload: String,
    pub(super) replay_of: Option<DeliveryId>,
    pub(super) next_try_at: Option<DateTime<Utc>>,
    pub(super) tries: Vec<ShownTry>,
}

/// A try, as it is shown.
pub(super) struct ShownTry {
    pub(super) number: u32,
    pub(super) at: DateTime<Utc>,
    /// The HTTP status with its tone.
    pub(super) status: Option<(u16, &'static str)>,
    pub(super) took: String,
    pub(super) error: String,
    pub(super) answer: String,
}

impl Shown {
    fn of(logged: &LoggedDelivery, tries: Vec<Try>) -> Self {
        let delivery = &logged.delivery;
        let body = delivery.body();
        let pretty =
            serde_json::from_str::<Value>(&body).and_then(|it| serde_json::to_string_pretty(&it));
        let is_pending = delivery.status == actors::webhook::DeliveryStatus::Pending;
        Self {
            row: Row::of(logged),
            payload: pretty.unwrap_or(body),
            replay_of: delivery.replay_of,
            next_try_at: is_pending.then_some(delivery.next_try_at),
            tries: tries.into_iter().map(ShownTry::of).collect(),
        }
    }

    pub(super) fn is_test(&self) -> bool {
        self.row.event == actors::webhook::EventName::WebhookTest.as_str()
    }
}

impl ShownTry {
    fn of(one: Try) -> Self {
        Self {
            number: one.number,
            at: one.result.at,
            status: one.result.status.map(|status| (status, tone(status))),
            took: format!("{} ms", one.result.took.as_millis()),
            error: one.result.error.unwrap_or_default(),
            answer: one.result.excerpt.unwrap_or_default(),
        }
    }
}

/// A time range, as it was typed: in UTC.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::dashboard) struct RangeIn {
    pub(super) from: String,
    pub(super) until: String,
}

/// The form that asks for one.
pub(super) struct RangeForm {
    pub(super) typed: RangeIn,
    pub(super) error: String,
}

impl RangeForm {
    fn last_hour(now: DateTime<Utc>) -> Self {
        let text = |at: DateTime<Utc>| at.format(TYPED_TIME[0]).to_string();
        let until = now + TimeDelta::minutes(1);
        let typed = RangeIn { from: text(until - TimeDelta::hours(1)), until: text(until) };
        Self { typed, error: String::new() }
    }
}

impl RangeIn {
    /// Both ends; `None` for what is no time.
    pub(super) fn read(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let time = |text: &str| {
            let read = |form: &&str| NaiveDateTime::parse_from_str(text, form).ok();
            TYPED_TIME.iter().find_map(read).map(|time| time.and_utc())
        };
        time(&self.from).zip(time(&self.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_browsers_write_it() {
        let range = |from: &str, until: &str| {
            RangeIn { from: from.to_owned(), until: until.to_owned() }.read()
        };
        let (from, until) = range("2026-11-28T10:00", "2026-11-28T11:00:30").unwrap();
        assert_eq!((until - from).num_seconds(), 3630);
        assert!(range("yesterday", "2026-11-28T11:00").is_none());
        let form = RangeForm::last_hour(from);
        assert_eq!(form.typed.read().unwrap().1, from + TimeDelta::minutes(1));
    }
}
