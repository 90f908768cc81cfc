//! Webhook deliveries on their way, and what they do to their endpoints.

use std::sync::{Arc, LazyLock};

use actors::batch::{DeliveryTried, EndpointFault, Tried, Try, TryOutcome};
use actors::id::{AccountId, DeliveryId, EndpointId, GenerationId};
use actors::ports::{DeliveryStore, StoreError};
use actors::webhook::{DeliveryStatus, EventName, WebhookDelivery, WebhookEndpoint};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::store::endpoint_rows::EndpointRow;
use crate::store::rowset::{ACCOUNT_KEY, Id, KEY, Kind, SetStatement, Time};
use crate::store::writer::Unit;
use crate::store::{Store, database, on};

/// Reads deliveries by key.
pub(crate) static LOAD_DELIVERIES: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "SELECT stored.* FROM {rows} AS r
         JOIN webhook_deliveries AS stored
           ON stored.account_id = r.account_id AND stored.id = r.id
         {for update by id}",
    )
});

/// Reads all endpoints of accounts. The row set is of accounts.
pub(crate) static LOAD_ENDPOINTS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &ACCOUNT_KEY,
        "SELECT
             stored.account_id,
             stored.id,
             stored.events,
             stored.enabled,
             stored.probing,
             stored.exhausted_in_a_row,
             stored.failing_since,
             stored.disabled_reason,
             stored.disabled_at,
             stored.cooldown_until,
             stored.cooldown_ms,
             stored.paused_until
         FROM {rows} AS r
         JOIN webhook_endpoints AS stored ON stored.account_id = r.account_id
         {for update by id}",
    )
});

/// Writes new deliveries.
pub(crate) static INSERT_DELIVERIES: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("endpoint_id", Kind::Id),
            ("event", Kind::Text),
            ("generation_id", Kind::Id),
            ("data", Kind::Json),
            ("status", Kind::Text),
            ("next_try_at", Kind::Time),
            ("created_at", Kind::Time),
            ("queued_at", Kind::Time),
            ("replay_of", Kind::Id),
            ("in_order", Kind::Bool),
        ],
        "INSERT INTO webhook_deliveries (
             account_id, id, endpoint_id, event, generation_id, data, status, tries,
             next_try_at, created_at, queued_at, replay_of, in_order)
         SELECT
             account_id, id, endpoint_id, event, generation_id, data, status, 0,
             next_try_at, created_at, queued_at, replay_of, in_order
         FROM {rows} AS r",
    )
});

/// Writes the results of tries, each only where the delivery has had as many as expected. One
/// that was queued meanwhile may have arrived all the same, and nothing else.
pub(crate) static UPDATE_DELIVERIES: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("status", Kind::Text),
            ("tries_before", Kind::Int),
            ("tries", Kind::Int),
            ("next_try_at", Kind::Time),
            ("finished_at", Kind::Time),
            ("last_status", Kind::Int),
            ("last_error", Kind::Text),
        ],
        "UPDATE webhook_deliveries SET
             status = r.status,
             tries = r.tries,
             next_try_at = r.next_try_at,
             finished_at = r.finished_at,
             last_status = r.last_status,
             last_error = r.last_error
         FROM {rows} AS r
         WHERE webhook_deliveries.account_id = r.account_id
           AND webhook_deliveries.id = r.id
           AND webhook_deliveries.tries = r.tries_before
           AND (webhook_deliveries.status = 'pending'
             OR webhook_deliveries.status = 'queued' AND r.status IN ('queued', 'delivered'))",
    )
});

/// Writes tries down.
pub(crate) static INSERT_TRIES: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("delivery_id", Kind::Id),
            ("number", Kind::Int),
            ("at", Kind::Time),
            ("status", Kind::Int),
            ("error", Kind::Text),
            ("took_ms", Kind::Int),
            ("excerpt", Kind::Text),
        ],
        "INSERT INTO webhook_tries (
             account_id, delivery_id, number, at, status, error, took_ms, excerpt)
         SELECT account_id, delivery_id, number, at, status, error, took_ms, excerpt
         FROM {rows} AS r",
    )
});

/// Queues what is pending for endpoints that have just been disabled: any number of rows.
pub(crate) static QUEUE_PENDING: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("endpoint_id", Kind::Id), ("at", Kind::Time)],
        "UPDATE webhook_deliveries SET
             status = 'queued',
             next_try_at = NULL,
             queued_at = r.at
         FROM {rows} AS r
         WHERE webhook_deliveries.account_id = r.account_id
           AND webhook_deliveries.endpoint_id = r.endpoint_id
           AND webhook_deliveries.next_try_at IS NOT NULL",
    )
});

/// Writes how endpoints stand.
pub(crate) static UPDATE_ENDPOINTS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("enabled", Kind::Bool),
            ("probing", Kind::Bool),
            ("exhausted_in_a_row", Kind::Int),
            ("failing_since", Kind::Time),
            ("disabled_reason", Kind::Text),
            ("disabled_at", Kind::Time),
            ("cooldown_until", Kind::Time),
            ("cooldown_ms", Kind::Int),
            ("paused_until", Kind::Time),
        ],
        "UPDATE webhook_endpoints SET
             enabled = r.enabled,
             probing = r.probing,
             exhausted_in_a_row = r.exhausted_in_a_row,
             failing_since = r.failing_since,
             disabled_reason = r.disabled_reason,
             disabled_at = r.disabled_at,
             cooldown_until = r.cooldown_until,
             cooldown_ms = r.cooldown_ms,
             paused_until = r.paused_until
         FROM {rows} AS r
         WHERE webhook_endpoints.account_id = r.account_id AND webhook_endpoints.id = r.id",
    )
});

/// Enabled endpoints that have something due. One seek per endpoint, however much waits.
const LIST_DUE_ENDPOINTS: &str = "SELECT account_id, id FROM webhook_endpoints
     WHERE (account_id, id) > ($1, $2)
       AND enabled
       AND (paused_until IS NULL OR paused_until <= $3)
       AND EXISTS (
         SELECT 1 FROM webhook_deliveries
         WHERE webhook_deliveries.account_id = webhook_endpoints.account_id
           AND webhook_deliveries.endpoint_id = webhook_endpoints.id
           AND webhook_deliveries.next_try_at IS NOT NULL
           AND webhook_deliveries.next_try_at <= $3)
     ORDER BY account_id, id LIMIT $4";

/// One endpoint.
const FIND_ENDPOINT: &str = "SELECT * FROM webhook_endpoints WHERE account_id = $1 AND id = $2";

/// Pending deliveries of an endpoint that are due, in the order in which they are.
const LIST_PENDING: &str = "SELECT * FROM webhook_deliveries
     WHERE account_id = $1 AND endpoint_id = $2
       AND next_try_at IS NOT NULL AND next_try_at <= $3
       AND (next_try_at, id) > ($4, $5)
     ORDER BY next_try_at, id LIMIT $6";

#[async_trait]
impl DeliveryStore for Store {
    async fn list_due_endpoints_any_account(
        &self,
        now: DateTime<Utc>,
        after: Option<(AccountId, EndpointId)>,
        limit: u32,
    ) -> Result<Vec<(AccountId, EndpointId)>, StoreError> {
        // The nil ids are before all others.
        let (account_id, id) = after.map_or((Uuid::nil(), Uuid::nil()), |(a, id)| (a.0, id.0));
        let found: Vec<(Uuid, Uuid)> = on!(&self.db, pool => {
            sqlx::query_as(LIST_DUE_ENDPOINTS)
                .bind(account_id)
                .bind(id)
                .bind(now)
                .bind(i64::from(limit))
                .fetch_all(pool)
                .await
        })
        .map_err(database)?;
        Ok(found.into_iter().map(|(account, id)| (AccountId(account), EndpointId(id))).collect())
    }

    async fn find_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
    ) -> Result<Option<WebhookEndpoint>, StoreError> {
        let row: Option<EndpointRow> = on!(&self.db, pool => {
            sqlx::query_as(FIND_ENDPOINT).bind(account_id.0).bind(id.0).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(|row| self.open_endpoint(row)).transpose()
    }

    async fn list_pending(
        &self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        due_before: DateTime<Utc>,
        after: Option<(DateTime<Utc>, DeliveryId)>,
        limit: u32,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        let (after_at, after_id) =
            after.map_or((DateTime::UNIX_EPOCH, Uuid::nil()), |(at, id)| (at, id.0));
        let found: Vec<DeliveryRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST_PENDING)
                .bind(account_id.0)
                .bind(endpoint_id.0)
                .bind(due_before)
                .bind(after_at)
                .bind(after_id)
                .bind(i64::from(limit))
                .fetch_all(pool)
                .await
        })
        .map_err(database)?;
        found.into_iter().map(TryInto::try_into).collect()
    }

    async fn record_tries(
        &self,
        account_id: AccountId,
        tried: Vec<DeliveryTried>,
    ) -> Result<Vec<Option<TryOutcome>>, StoreError> {
        self.submit(|reply| Unit::Tries(account_id, tried, reply)).await
    }

    async fn disable(
        &self,
        account_id: AccountId,
        fault: EndpointFault,
    ) -> Result<bool, StoreError> {
        self.submit(|reply| Unit::Disable(account_id, fault, reply)).await
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct DeliveryRow {
    account_id: Uuid,
    id: Uuid,
    endpoint_id: Uuid,
    event: String,
    generation_id: Option<Uuid>,
    data: Json<Value>,
    status: String,
    tries: i64,
    next_try_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    queued_at: Option<DateTime<Utc>>,
    replay_of: Option<Uuid>,
    in_order: bool,
}

impl TryFrom<DeliveryRow> for WebhookDelivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("webhook delivery {}", row.id));
        Ok(Self {
            account_id: AccountId(row.account_id),
            endpoint_id: EndpointId(row.endpoint_id),
            id: DeliveryId(row.id),
            event: EventName::parse(&row.event).ok_or_else(corrupt)?,
            generation_id: row.generation_id.map(GenerationId),
            status: DeliveryStatus::parse(&row.status).ok_or_else(corrupt)?,
            tries: u32::try_from(row.tries).map_err(|_| corrupt())?,
            data: Arc::new(row.data.0),
            created_at: row.created_at,
            next_try_at: row.next_try_at.unwrap_or(row.created_at),
            queued_at: row.queued_at,
            replay_of: row.replay_of.map(DeliveryId),
            in_order: row.in_order,
        })
    }
}

/// A new delivery on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct DeliveryOut<'a> {
    account_id: Id,
    id: Id,
    endpoint_id: Id,
    event: &'static str,
    generation_id: Option<Id>,
    data: &'a Value,
    status: &'static str,
    next_try_at: Option<Time>,
    created_at: Time,
    queued_at: Option<Time>,
    replay_of: Option<Id>,
    in_order: bool,
}

/// A new delivery as a row.
pub(crate) fn delivery_out(delivery: &WebhookDelivery) -> DeliveryOut<'_> {
    let pending = delivery.status == DeliveryStatus::Pending;
    DeliveryOut {
        account_id: Id(delivery.account_id.0),
        id: Id(delivery.id.0),
        endpoint_id: Id(delivery.endpoint_id.0),
        event: delivery.event.as_str(),
        generation_id: delivery.generation_id.map(|id| Id(id.0)),
        data: &delivery.data,
        status: delivery.status.as_str(),
        next_try_at: pending.then_some(Time(delivery.next_try_at)),
        created_at: Time(delivery.created_at),
        queued_at: delivery.queued_at.map(Time),
        replay_of: delivery.replay_of.map(|id| Id(id.0)),
        in_order: delivery.in_order,
    }
}

/// A tried delivery on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct TriedOut<'a> {
    account_id: Id,
    id: Id,
    status: &'static str,
    tries_before: u32,
    tries: u32,
    next_try_at: Option<Time>,
    finished_at: Option<Time>,
    last_status: Option<u16>,
    last_error: Option<&'a str>,
}

/// A tried delivery as a row.
pub(crate) fn tried_out(tried: &Tried) -> TriedOut<'_> {
    let Tried { delivery, tries_before, last: result } = tried;
    let pending = delivery.status == DeliveryStatus::Pending;
    TriedOut {
        account_id: Id(delivery.account_id.0),
        id: Id(delivery.id.0),
        status: delivery.status.as_str(),
        tries_before: *tries_before,
        tries: delivery.tries,
        next_try_at: pending.then_some(Time(delivery.next_try_at)),
        finished_at: (!delivery.status.is_open()).then_some(Time(result.at)),
        last_status: result.status,
        last_error: result.error.as_deref(),
    }
}

/// A try on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct TryOut<'a> {
    account_id: Id,
    delivery_id: Id,
    number: u32,
    at: Time,
    status: Option<u16>,
    error: Option<&'a str>,
    took_ms: u64,
    excerpt: Option<&'a str>,
}

/// A try as a row.
pub(crate) fn try_out(one: &Try) -> TryOut<'_> {
    TryOut {
        account_id: Id(one.account_id.0),
        delivery_id: Id(one.delivery_id.0),
        number: one.number,
        at: Time(one.result.at),
        status: one.result.status,
        error: one.result.error.as_deref(),
        took_ms: u64::try_from(one.result.took.as_millis()).unwrap_or_default(),
        excerpt: one.result.excerpt.as_deref(),
    }
}

/// An endpoint that was disabled, whose pending deliveries are to be queued.
#[derive(Debug, Serialize)]
pub(crate) struct DisabledOut {
    account_id: Id,
    endpoint_id: Id,
    at: Time,
}

/// A disabled endpoint as a row.
pub(crate) fn disabled_out(
    account_id: AccountId,
    endpoint_id: EndpointId,
    at: DateTime<Utc>,
) -> DisabledOut {
    DisabledOut { account_id: Id(account_id.0), endpoint_id: Id(endpoint_id.0), at: Time(at) }
}
