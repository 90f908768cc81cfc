//! When an endpoint is given up, and how it comes back.
//!
//! ```text
//! enabled ──▶ disabled ──(cooldown, then enabled by its owner)──▶ probing ──▶ enabled
//!                ▲                                                   │
//!                └───────── the probe fails: the cooldown doubles ───┘
//! ```

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::id::{AccountId, EndpointId};
use crate::webhook::{DeliveryPolicy, EventName, TryResult, WebhookDelivery};

/// The part of an endpoint that changes with what happens to its deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointState {
    /// Whose.
    pub account_id: AccountId,
    /// Its id.
    pub id: EndpointId,
    /// What it wants to be told.
    pub events: Vec<EventName>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Whether it was enabled again and has taken nothing since: one delivery decides.
    pub probing: bool,
    /// Deliveries in a row that used up their fast tries.
    pub exhausted_in_a_row: u32,
    /// Since when every try has failed; absent after a success.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why it is disabled, while it is.
    pub disabled: Option<Disabled>,
    /// How long it has to stay disabled; none after a success.
    pub cooldown: Option<Cooldown>,
    /// Until when it has asked to be left alone.
    pub paused_until: Option<DateTime<Utc>>,
}

/// That an endpoint was disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disabled {
    /// Why.
    pub reason: DisableReason,
    /// When.
    pub at: DateTime<Utc>,
}

/// How long an endpoint that we disabled has to stay so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooldown {
    /// When it is over.
    pub until: DateTime<Utc>,
    /// How long it was, for the next one.
    pub length: Duration,
}

/// Why an endpoint was disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisableReason {
    /// By its owner.
    Owner,
    /// Too many deliveries in a row used up their fast tries.
    Failing,
    /// Nothing but failures for too long.
    FailingTooLong,
    /// It answered 410.
    Gone,
    /// It was enabled again, and the first delivery failed.
    ProbeFailed,
    /// What sends to it has died again and again.
    Quarantined,
}

impl DisableReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Owner,
        Self::Failing,
        Self::FailingTooLong,
        Self::Gone,
        Self::ProbeFailed,
        Self::Quarantined,
    ];

    /// The text in tables and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Failing => "failing",
            Self::FailingTooLong => "failing_too_long",
            Self::Gone => "gone",
            Self::ProbeFailed => "probe_failed",
            Self::Quarantined => "quarantined",
        }
    }

    /// What it is called in an account's log (`spec/dashboard.md` 5.3).
    pub fn action(self) -> &'static str {
        match self {
            Self::Quarantined => "quarantined",
            Self::Owner | Self::Failing | Self::FailingTooLong | Self::Gone | Self::ProbeFailed => {
                "disabled"
            }
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// Why an endpoint is not enabled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnableRefusal {
    /// We disabled it a moment ago.
    #[error(
        "it was disabled because of its failures and can be enabled again from {}",
        .until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    )]
    CoolingDown {
        /// When it may be.
        until: DateTime<Utc>,
    },
}

impl EndpointState {
    /// A new endpoint.
    pub fn new(account_id: AccountId, id: EndpointId, events: Vec<EventName>) -> Self {
        Self {
            account_id,
            id,
            events,
            enabled: true,
            probing: false,
            exhausted_in_a_row: 0,
            failing_since: None,
            disabled: None,
            cooldown: None,
            paused_until: None,
        }
    }

    /// Whether a success would change nothing.
    pub fn is_calm(&self) -> bool {
        self.enabled
            && !self.probing
            && self.exhausted_in_a_row == 0
            && self.failing_since.is_none()
            && self.cooldown.is_none()
            && self.paused_until.is_none()
    }

    /// How long it still wants to be left alone.
    pub fn pause(&self, now: DateTime<Utc>) -> Option<Duration> {
        (self.paused_until? - now).to_std().ok().filter(|wait| !wait.is_zero())
    }

    /// Takes the result of a try in, after the delivery has; answers why the endpoint is to be
    /// disabled now, and disables it.
    pub fn record(
        &mut self,
        delivery: &WebhookDelivery,
        result: &TryResult,
        policy: &DeliveryPolicy,
    ) -> Option<DisableReason> {
        if result.is_success() {
            self.exhausted_in_a_row = 0;
            self.failing_since = None;
            // What it asked for may have been said after this was sent.
            self.paused_until = self.paused_until.filter(|until| *until > result.at);
            // What was on its way when it was disabled says nothing of how it is now.
            if self.enabled {
                self.probing = false;
                self.cooldown = None;
            }
            return None;
        }
        if delivery.tries == policy.fast_tries() {
            self.exhausted_in_a_row = self.exhausted_in_a_row.saturating_add(1);
        }
        if let Some(pause) = result.pause() {
            self.paused_until = Some(result.at + pause);
        }
        let since = *self.failing_since.get_or_insert(result.at);
        if !self.enabled {
            return None;
        }
        let failing = (result.at - since).to_std().unwrap_or_default();
        let fast_tries_used = delivery.tries >= policy.fast_tries();
        let reason = if result.is_gone() {
            DisableReason::Gone
        } else if self.probing && fast_tries_used {
            DisableReason::ProbeFailed
        } else if self.exhausted_in_a_row >= policy.disable_after {
            DisableReason::Failing
        } else if failing >= policy.failing_max && fast_tries_used {
            DisableReason::FailingTooLong
        } else {
            return None;
        };
        self.disable(reason, result.at, policy);
        Some(reason)
    }

    /// Disables it. By its owner it can be enabled again at once, otherwise after a while.
    pub fn disable(&mut self, reason: DisableReason, at: DateTime<Utc>, policy: &DeliveryPolicy) {
        self.enabled = false;
        self.probing = false;
        self.disabled = Some(Disabled { reason, at });
        if reason == DisableReason::Owner {
            return;
        }
        let before = self.cooldown.map(|cooldown| cooldown.length * 2);
        let length = before.unwrap_or(policy.cooldown).min(policy.cooldown_max);
        let until = at + TimeDelta::from_std(length).unwrap_or(TimeDelta::MAX);
        self.cooldown = Some(Cooldown { until, length });
    }

    /// Enables it again; the next delivery is the probe. Its counts begin anew, or the next
    /// failure would disable it at once. Nothing changes when it is enabled already.
    ///
    /// # Errors
    /// [`EnableRefusal`]; nothing changed.
    pub fn enable(&mut self, at: DateTime<Utc>) -> Result<(), EnableRefusal> {
        if self.enabled {
            return Ok(());
        }
        if let Some(until) = self.cooldown.map(|cooldown| cooldown.until).filter(|end| at < *end) {
            return Err(EnableRefusal::CoolingDown { until });
        }
        let by_owner = self.disabled.is_some_and(|it| it.reason == DisableReason::Owner);
        self.enabled = true;
        self.probing = !by_owner || self.cooldown.is_some();
        self.disabled = None;
        self.exhausted_in_a_row = 0;
        self.failing_since = None;
        self.paused_until = None;
        Ok(())
    }

    /// Ends the cooldown before its time, for an operator who knows better. How long it was is
    /// remembered.
    pub fn lift_cooldown(&mut self, at: DateTime<Utc>) {
        if let Some(cooldown) = &mut self.cooldown {
            cooldown.until = cooldown.until.min(at);
        }
    }
}

#[cfg(test)]
mod tests;
