//! The log of what was sent to endpoints, sending it again, and what owners are told.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::activity::By;
use crate::alert::{AlertSettings, Alerts};
use crate::batch::Try;
use crate::id::{AccountId, DeliveryId, EndpointId, NotificationId};
use crate::notification::Notification;
use crate::ports::{EndpointRefusal, IdSource, StoreError};
use crate::webhook::{DeliveryStatus, TryResult, WebhookDelivery};

/// A delivery in the log, with what the last try came to.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedDelivery {
    /// The delivery.
    pub delivery: WebhookDelivery,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The HTTP status of the last try.
    pub last_status: Option<u16>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// How the delivery stands that it was resent as, the last one when that happened again.
    pub resent_status: Option<DeliveryStatus>,
}

impl LoggedDelivery {
    /// How it stands: what was resent as what it was resent as.
    pub fn status(&self) -> DeliveryStatus {
        match (self.delivery.status, self.resent_status) {
            (DeliveryStatus::Resent, Some(again)) => again,
            (status, _) => status,
        }
    }
}

/// Which deliveries are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFilter {
    /// What the endpoint has taken.
    Delivered,
    /// What it never took: all tries were used up, or it was kept for too long.
    Failed,
    /// What is to be sent.
    Pending,
    /// What is kept until the endpoint is enabled.
    Queued,
}

impl LogFilter {
    /// Every filter.
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Failed, Self::Pending, Self::Queued];

    /// The text in addresses and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Queued => "queued",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| filter.as_str() == text)
    }
}

/// What to look for in the log of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// The [`LogPage::next`] of the page before.
    pub before: Option<DeliveryId>,
    /// Only these.
    pub filter: Option<LogFilter>,
    /// Only those with this in their event, status code or error, or that are of this delivery
    /// or generation.
    pub text: Option<String>,
}

/// A page of a log, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    /// The deliveries; with a text there may be none although there are more pages.
    pub deliveries: Vec<LoggedDelivery>,
    /// Where the next page begins, when there is one.
    pub next: Option<DeliveryId>,
}

/// How an endpoint has done lately, and what it still has to take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointHealth {
    /// How its last deliveries stand, newest first.
    pub recent: Vec<DeliveryStatus>,
    /// Deliveries that are to be sent, up to the given number.
    pub pending: u64,
    /// Deliveries that are kept until it is enabled, up to the given number.
    pub queued: u64,
}

/// What is to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// One delivery.
    One(DeliveryId),
    /// What happened from the first time on and before the second.
    Between(DateTime<Utc>, DateTime<Utc>),
    /// What was queued while the endpoint was disabled, in order.
    Queued,
}

/// The log of deliveries.
#[async_trait]
pub trait DeliveryLog: Send + Sync {
    /// A page of an endpoint's deliveries. One call looks at a bounded number of them, so that
    /// a text that is nowhere is not looked for in all.
    async fn list_deliveries(
        &self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        query: &LogQuery,
        limit: u32,
    ) -> Result<LogPage, StoreError>;

    /// How the last `recent` deliveries of an endpoint stand, and how many wait, counted up to
    /// `counted_max`.
    async fn endpoint_health(
        &self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        recent: u32,
        counted_max: u32,
    ) -> Result<EndpointHealth, StoreError>;

    /// Reads one.
    async fn find_delivery(
        &self,
        account_id: AccountId,
        id: DeliveryId,
    ) -> Result<Option<LoggedDelivery>, StoreError>;

    /// Every try of a delivery, first to last.
    async fn list_tries(
        &self,
        account_id: AccountId,
        id: DeliveryId,
    ) -> Result<Vec<Try>, StoreError>;

    /// Whose delivery it is: for an operator who has only its id.
    async fn find_delivery_owner_any_account(
        &self,
        id: DeliveryId,
    ) -> Result<Option<AccountId>, StoreError>;

    /// Sends deliveries again as new ones, in the order of their ids, and answers how many.
    async fn resend(
        &self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        resend: Resend,
        at: DateTime<Utc>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Result<u64, EndpointRefusal>, StoreError>;

    /// Writes a delivery down that was tried once already.
    async fn log_test(
        &self,
        delivery: WebhookDelivery,
        result: TryResult,
    ) -> Result<(), StoreError>;
}

/// What owners are told, and want to be told.
#[async_trait]
pub trait NotificationStore: Send + Sync {
    /// Notifications of an account, newest first, before the last one of the page before.
    async fn list_notifications(
        &self,
        account_id: AccountId,
        before: Option<NotificationId>,
        limit: u32,
    ) -> Result<Vec<Notification>, StoreError>;

    /// How many are not read, counted up to that number.
    async fn count_unread(
        &self,
        account_id: AccountId,
        counted_max: u32,
    ) -> Result<u64, StoreError>;

    /// Marks one as read, or all. Answers how many were not read before.
    async fn read_notifications(
        &self,
        account_id: AccountId,
        only: Option<NotificationId>,
        at: DateTime<Utc>,
    ) -> Result<u64, StoreError>;

    /// Removes one. Answers whether it existed.
    async fn dismiss_notification(
        &self,
        account_id: AccountId,
        id: NotificationId,
    ) -> Result<bool, StoreError>;

    /// What an account wants to be told of its balance, and what it has been.
    async fn find_alerts(&self, account_id: AccountId) -> Result<Alerts, StoreError>;

    /// Changes what it wants. Answers whether the account exists.
    async fn set_alerts(
        &self,
        account_id: AccountId,
        settings: AlertSettings,
        by: By,
    ) -> Result<bool, StoreError>;
}
