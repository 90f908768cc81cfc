//! The log of what was sent to endpoints, sending it again, and what owners are told.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::activity::By;
use crate::alert::{AlertSettings, Alerts};
use crate::batch::Try;
use crate::id::{AccountId, DeliveryId, EndpointId};
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
    /// How the delivery stands that it was resent as.
    pub resent_status: Option<DeliveryStatus>,
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
    /// Deliveries of an endpoint, newest first, before the last one of the page before.
    async fn list_deliveries(
        &self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<LoggedDelivery>, StoreError>;

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

    /// Lets go of what was queued before that time, oldest first, and answers how many.
    async fn expire_queued_any_account(
        &self,
        queued_before: DateTime<Utc>,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError>;
}

/// What owners are told, and want to be told.
#[async_trait]
pub trait NotificationStore: Send + Sync {
    /// Notifications of an account, newest first.
    async fn list_notifications(
        &self,
        account_id: AccountId,
        limit: u32,
    ) -> Result<Vec<Notification>, StoreError>;

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
