//! What an endpoint's actor asks of others: the store, as long as it takes, and the endpoint,
//! once.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::batch::{DeliveryTried, TryOutcome};
use crate::env::Env;
use crate::id::{AccountId, EndpointId};
use crate::metrics::StatusLabel;
use crate::ports::StoreError;
use crate::retry::Waits;
use crate::webhook::{TryResult, WebhookDelivery, WebhookEndpoint};

/// The wait after the store did not answer.
const RETRY_INITIAL: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Reads the endpoint, waiting for the store as long as it takes.
///
/// # Errors
/// Its row cannot be understood.
pub(super) async fn find_endpoint(
    env: &Env,
    account_id: AccountId,
    id: EndpointId,
) -> Result<Option<WebhookEndpoint>, StoreError> {
    let mut waits = Waits::new(RETRY_INITIAL, RETRY_MAX);
    loop {
        match env.deliveries.find_endpoint(account_id, id).await {
            Ok(found) => return Ok(found),
            Err(error @ StoreError::Corrupt(_)) => return Err(error),
            Err(error) => tracing::warn!(endpoint = %id, %error, "cannot read the endpoint"),
        }
        tokio::time::sleep(waits.next(env.ids.spread())).await;
    }
}

/// One HTTP try.
pub(super) async fn post(
    env: &Env,
    endpoint: &WebhookEndpoint,
    delivery: &WebhookDelivery,
) -> TryResult {
    let body = delivery.body();
    let headers = delivery.headers(&body, endpoint, env.clock.now());
    let reply = env.sender.post(&endpoint.url, headers, Bytes::from(body)).await;
    let result = reply.into_result(env.clock.now());
    let status = if result.is_success() { "delivered" } else { "failed" };
    env.metrics.webhook_tries.get_or_create(&StatusLabel { status }).inc();
    result
}

/// Writes results of tries down, waiting for the store as long as it takes.
pub(super) async fn record(
    env: &Env,
    account_id: AccountId,
    tried: Vec<DeliveryTried>,
) -> Vec<(DeliveryTried, Option<TryOutcome>)> {
    let mut waits = Waits::new(RETRY_INITIAL, RETRY_MAX);
    let mut recorded = Vec::with_capacity(tried.len());
    let (mut rest, mut size) = (VecDeque::from(tried), usize::MAX);
    while !rest.is_empty() {
        let some: Vec<DeliveryTried> = rest.iter().take(size).cloned().collect();
        match env.deliveries.record_tries(account_id, some).await {
            Ok(outcomes) => recorded.extend(rest.drain(..outcomes.len()).zip(outcomes)),
            Err(error) => {
                tracing::warn!(tries = rest.len(), %error, "cannot record tries");
                if !matches!(error, StoreError::Overloaded) {
                    // One of them may be why; it goes to the end, and holds up no other.
                    size = 1;
                    rest.rotate_left(1);
                }
                tokio::time::sleep(waits.next(env.ids.spread())).await;
            }
        }
    }
    recorded
}
