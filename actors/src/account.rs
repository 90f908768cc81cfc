//! The tenant, and the plan that says what it may do.

use chrono::{DateTime, TimeDelta, Utc};
use providers::MediaKind;

use crate::id::AccountId;
use crate::ledger::Balance;
use crate::money::Credits;

/// The tenant: keys, webhooks, credit, limits and generations belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Display name.
    pub name: String,
    /// Personal or team.
    pub kind: AccountKind,
    /// Which limits apply.
    pub plan: Plan,
    /// Contact address.
    pub email: Option<String>,
    /// Whether content that one provider refuses is offered to the next.
    pub failover_on_moderation: bool,
    /// Since when it may not use the API, if that is so.
    pub suspended_at: Option<DateTime<Utc>>,
    /// What it can spend now.
    pub balance: Credits,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Whose account it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountKind {
    /// One person's.
    Personal,
    /// A team's.
    Team,
}

impl AccountKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Personal, Self::Team];

    /// The text in tables and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Team => "team",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A named set of limits (`spec/contract.md` 12.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Free.
    Free,
    /// Starter.
    Starter,
    /// Pro.
    Pro,
    /// Scale.
    Scale,
    /// Enterprise.
    Enterprise,
}

impl Plan {
    /// Every plan, smallest first.
    pub const ALL: [Self; 5] =
        [Self::Free, Self::Starter, Self::Pro, Self::Scale, Self::Enterprise];

    /// The text in tables and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Starter => "starter",
            Self::Pro => "pro",
            Self::Scale => "scale",
            Self::Enterprise => "enterprise",
        }
    }

    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Free => "Free",
            Self::Starter => "Starter",
            Self::Pro => "Pro",
            Self::Scale => "Scale",
            Self::Enterprise => "Enterprise",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plan| plan.as_str() == text)
    }

    /// For how long the files of a generation are kept once it has succeeded
    /// (`spec/contract.md` 12.3).
    pub fn files_kept(self) -> TimeDelta {
        match self {
            Self::Free => TimeDelta::hours(1),
            Self::Starter => TimeDelta::hours(12),
            Self::Pro => TimeDelta::days(1),
            Self::Scale => TimeDelta::days(5),
            Self::Enterprise => TimeDelta::days(7),
        }
    }

    /// For how long records and logs are kept: generations, requests, webhook deliveries, and
    /// what happened (`spec/contract.md` 12.3).
    pub fn records_kept(self) -> TimeDelta {
        match self {
            Self::Free => TimeDelta::days(1),
            Self::Starter => TimeDelta::days(7),
            Self::Pro => TimeDelta::days(30),
            Self::Scale => TimeDelta::days(180),
            Self::Enterprise => TimeDelta::days(365),
        }
    }
}

/// What a plan allows (`spec/contract.md` 6.1, 12.3; the caps on generations in flight are
/// ours, B.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanLimits {
    /// Generations in any 60 seconds.
    pub generations_per_minute: u32,
    /// API requests in any 60 seconds.
    pub requests_per_minute: u32,
    /// Images in flight at once.
    pub images_in_flight_max: u32,
    /// Videos in flight at once.
    pub videos_in_flight_max: u32,
}

impl PlanLimits {
    /// How many generations of this kind may be in flight at once.
    pub fn in_flight_max(&self, media: MediaKind) -> u32 {
        match media {
            MediaKind::Image => self.images_in_flight_max,
            MediaKind::Video => self.videos_in_flight_max,
        }
    }
}

/// The limits of every plan, as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plans {
    /// In the order of [`Plan::ALL`].
    limits: [PlanLimits; 5],
}

impl Plans {
    /// Asks for the limits of each plan.
    pub fn new(limits: impl FnMut(Plan) -> PlanLimits) -> Self {
        Self { limits: Plan::ALL.map(limits) }
    }

    /// The limits of a plan.
    pub fn limits(&self, plan: Plan) -> PlanLimits {
        self.limits[plan as usize]
    }
}

/// What changes on an account's row with every generation, and decides about the next one.
/// Counts are kept there, and not counted, so that a cap is exact and costs no look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which limits apply.
    pub plan: Plan,
    /// What it can spend, and the number of its last ledger entry.
    pub balance: Balance,
    /// Images in flight.
    pub images_in_flight: u32,
    /// Videos in flight.
    pub videos_in_flight: u32,
    /// Generations that have a record.
    pub generations: u64,
    /// Whether content that one provider refuses is offered to the next.
    pub failover_on_moderation: bool,
    /// A balance below this crosses a threshold that somebody is to be told of; zero when there
    /// is none. Kept here so that nothing else has to be read for a generation.
    pub alert_below: Credits,
}

impl Standing {
    /// How many generations of this kind are in flight.
    pub fn in_flight(&self, media: MediaKind) -> u32 {
        match media {
            MediaKind::Image => self.images_in_flight,
            MediaKind::Video => self.videos_in_flight,
        }
    }

    /// A generation was accepted.
    pub fn enter(&mut self, media: MediaKind) {
        let in_flight = self.in_flight_mut(media);
        *in_flight = in_flight.saturating_add(1);
        self.generations = self.generations.saturating_add(1);
    }

    /// A generation has ended.
    pub fn leave(&mut self, media: MediaKind) {
        let in_flight = self.in_flight_mut(media);
        *in_flight = in_flight.saturating_sub(1);
    }

    /// The record of a generation that has ended was deleted.
    pub fn forget(&mut self) {
        self.generations = self.generations.saturating_sub(1);
    }

    fn in_flight_mut(&mut self, media: MediaKind) -> &mut u32 {
        match media {
            MediaKind::Image => &mut self.images_in_flight,
            MediaKind::Video => &mut self.videos_in_flight,
        }
    }
}

/// The credit a new account starts with (`spec/contract.md` 9.4), in thousandths.
pub const WELCOME_CREDIT_THOUSANDTHS: i64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_has_limits_of_its_own() {
        let plans = Plans::new(|plan| {
            let per_minute = plan.as_str().len() as u32;
            PlanLimits {
                generations_per_minute: per_minute,
                requests_per_minute: per_minute,
                images_in_flight_max: 2,
                videos_in_flight_max: 1,
            }
        });
        for plan in Plan::ALL {
            let limits = plans.limits(plan);
            assert_eq!(limits.generations_per_minute as usize, plan.as_str().len());
            assert_eq!(limits.in_flight_max(MediaKind::Image), 2);
            assert_eq!(limits.in_flight_max(MediaKind::Video), 1);
        }
    }
}
