//! What an operator does with webhook endpoints from the command line and in the dashboard, once
//! they exist.
//!
//! Each function checks what was typed and hands one unit of work to the store. A running server
//! finds what is to be sent within three seconds.

use std::sync::Arc;

use actors::alert::{AlertProblem, AlertSettings};
use actors::id::{AccountId, DeliveryId, EndpointId};
use actors::ports::deliveries::{DeliveryLog, NotificationStore, Resend};
use actors::ports::{DeliveryStore, Enabling, EndpointRefusal, EndpointStore, WebhookSender};
use actors::webhook::{DeliveryStatus, EventName, TryResult, WebhookDelivery};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::identity::{Context, IdentityError, endpoint_secret, invalid, subscribable};

/// Hours for which a replaced secret may go on signing.
pub const OVERLAP_HOURS_MAX: u32 = 168;

/// Enables an endpoint again. After it was disabled for its failures only one event is sent at
/// first, and it must not be too early; `force` lifts that.
///
/// # Errors
/// [`IdentityError`].
pub async fn enable(
    context: &Context,
    account_id: AccountId,
    id: EndpointId,
    force: bool,
) -> Result<(), IdentityError> {
    let (at, probe) = (context.clock.now(), DeliveryId(context.ids.next()));
    let enabling = Enabling { at, force, probe };
    Ok(context.store.enable_endpoint(account_id, id, enabling, context.by_at(at)).await??)
}

/// Disables an endpoint; its events are kept.
///
/// # Errors
/// [`IdentityError`].
pub async fn disable(
    context: &Context,
    account_id: AccountId,
    id: EndpointId,
) -> Result<(), IdentityError> {
    let existed = context.store.disable_endpoint(account_id, id, context.by()).await?;
    found(existed)
}

/// Removes an endpoint with its deliveries.
///
/// # Errors
/// [`IdentityError`].
pub async fn delete(
    context: &Context,
    account_id: AccountId,
    id: EndpointId,
) -> Result<(), IdentityError> {
    found(context.store.delete_endpoint(account_id, id, context.by()).await?)
}

/// Changes what an endpoint is told from now on.
///
/// # Errors
/// [`IdentityError`].
pub async fn edit(
    context: &Context,
    account_id: AccountId,
    id: EndpointId,
    events: &[EventName],
) -> Result<Vec<EventName>, IdentityError> {
    let events = subscribable(events)?;
    found(context.store.edit_endpoint(account_id, id, &events, context.by()).await?)?;
    Ok(events)
}

/// A new secret, shown this once.
#[derive(Debug)]
pub struct RotatedSecret {
    /// The new one.
    pub secret: SecretString,
    /// Until when the one before signs too.
    pub previous_until: Option<DateTime<Utc>>,
}

/// Replaces the secret; for `overlap_hours` both sign.
///
/// # Errors
/// [`IdentityError`].
pub async fn rotate_secret(
    context: &Context,
    account_id: AccountId,
    id: EndpointId,
    overlap_hours: u32,
) -> Result<RotatedSecret, IdentityError> {
    if overlap_hours > OVERLAP_HOURS_MAX {
        let problem = format!("must be at most {OVERLAP_HOURS_MAX} hours");
        return Err(invalid("the overlap", problem));
    }
    let overlap = TimeDelta::hours(i64::from(overlap_hours));
    let previous_until = (overlap_hours > 0).then(|| context.clock.now() + overlap);
    let secret = endpoint_secret();
    let store = &context.store;
    let by = context.by();
    let rotated =
        store.rotate_endpoint_secret(account_id, id, secret.clone(), previous_until, by).await?;
    found(rotated)?;
    Ok(RotatedSecret { secret, previous_until })
}

/// Sends a test event at once, also to an endpoint that is disabled, and answers what came of it.
/// It is tried once, is in the log, and counts for nothing.
///
/// # Errors
/// [`IdentityError`].
pub async fn test(
    context: &Context,
    sender: &dyn WebhookSender,
    account_id: AccountId,
    id: EndpointId,
) -> Result<(DeliveryId, TryResult), IdentityError> {
    let endpoint = context.store.find_endpoint(account_id, id).await?;
    let endpoint = endpoint.ok_or(EndpointRefusal::UnknownEndpoint)?;
    let data = json!({
        "account_id": account_id,
        "model_identifier": "webhook/test",
        "generation_status": "succeeded",
        "generation_id": Uuid::nil(),
    });
    let mut delivery = WebhookDelivery {
        account_id,
        endpoint_id: id,
        id: DeliveryId(context.ids.next()),
        event: EventName::WebhookTest,
        data: Arc::new(data),
        ..WebhookDelivery::blank(context.clock.now())
    };
    let body = delivery.body();
    let headers = delivery.headers(&body, &endpoint, context.clock.now());
    let reply = sender.post(&endpoint.url, headers, Bytes::from(body)).await;
    let result = reply.into_result(context.clock.now());
    delivery.tries = 1;
    delivery.status = match result.is_success() {
        true => DeliveryStatus::Delivered,
        false => DeliveryStatus::Exhausted,
    };
    let delivery_id = delivery.id;
    context.store.log_test(delivery, result.clone()).await?;
    Ok((delivery_id, result))
}

/// Sends a delivery again as a new one.
///
/// # Errors
/// [`IdentityError`].
pub async fn replay(
    context: &Context,
    account_id: AccountId,
    delivery_id: DeliveryId,
) -> Result<u64, IdentityError> {
    let logged = context.store.find_delivery(account_id, delivery_id).await?;
    let logged = logged.ok_or(EndpointRefusal::UnknownDelivery)?;
    resend(context, account_id, logged.delivery.endpoint_id, Resend::One(delivery_id)).await
}

/// Sends again what happened from the first time on and before the second, each as a new delivery.
///
/// # Errors
/// [`IdentityError`].
pub async fn replay_between(
    context: &Context,
    account_id: AccountId,
    id: EndpointId,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<u64, IdentityError> {
    if from >= until {
        return Err(invalid("the time range", "must end after it begins"));
    }
    resend(context, account_id, id, Resend::Between(from, until)).await
}

/// Sends what was kept while the endpoint was disabled, in order.
///
/// # Errors
/// [`IdentityError`].
pub async fn deliver_queued(
    context: &Context,
    account_id: AccountId,
    id: EndpointId,
) -> Result<u64, IdentityError> {
    resend(context, account_id, id, Resend::Queued).await
}

async fn resend(
    context: &Context,
    account_id: AccountId,
    id: EndpointId,
    resend: Resend,
) -> Result<u64, IdentityError> {
    let (at, ids) = (context.clock.now(), Arc::clone(&context.ids));
    Ok(context.store.resend(account_id, id, resend, at, ids).await??)
}

/// Changes what an account is told of its balance.
///
/// # Errors
/// [`IdentityError`].
pub async fn set_alerts(
    context: &Context,
    account_id: AccountId,
    settings: AlertSettings,
) -> Result<AlertSettings, IdentityError> {
    let problem = |problem: AlertProblem| invalid("the thresholds", problem.to_string());
    let settings = settings.checked().map_err(problem)?;
    match context.store.set_alerts(account_id, settings.clone(), context.by()).await? {
        true => Ok(settings),
        false => Err(EndpointRefusal::UnknownAccount.into()),
    }
}

fn found(existed: bool) -> Result<(), IdentityError> {
    if existed { Ok(()) } else { Err(EndpointRefusal::UnknownEndpoint.into()) }
}
