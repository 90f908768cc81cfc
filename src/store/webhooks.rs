//! Webhook endpoints and deliveries.

use std::sync::LazyLock;

use actors::batch::{DeliveryTried, TryOutcome};
use actors::id::{AccountId, DeliveryId, EndpointId, GenerationId};
use actors::ports::{DeliveryStore, StoreError};
use actors::webhook::{
    DeliveryStatus, EndpointState, EventName, TryResult, WebhookDelivery, WebhookEndpoint,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use url::Url;
use uuid::Uuid;

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
         {for update}",
    )
});

/// Reads all endpoints of accounts. The row set is of accounts.
pub(crate) static LOAD_ENDPOINTS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &ACCOUNT_KEY,
        "SELECT stored.account_id, stored.id, stored.events, stored.enabled,
                stored.exhausted_in_a_row
         FROM {rows} AS r
         JOIN webhook_endpoints AS stored ON stored.account_id = r.account_id
         {for update}",
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
            ("created_at", Kind::Time),
        ],
        "INSERT INTO webhook_deliveries (
             account_id, id, endpoint_id, event, generation_id, data, status, tries,
             next_try_at, created_at)
         SELECT
             account_id, id, endpoint_id, event, generation_id, data, 'pending', 0,
             created_at, created_at
         FROM {rows} AS r",
    )
});

/// Writes the results of tries; a delivery that is no longer pending stays as it is.
pub(crate) static UPDATE_DELIVERIES: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("status", Kind::Text),
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
           AND webhook_deliveries.status = 'pending'",
    )
});

/// Writes what deliveries did to their endpoints.
pub(crate) static UPDATE_ENDPOINTS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("enabled", Kind::Bool),
            ("exhausted_in_a_row", Kind::Int),
        ],
        "UPDATE webhook_endpoints SET
             enabled = r.enabled,
             exhausted_in_a_row = r.exhausted_in_a_row
         FROM {rows} AS r
         WHERE webhook_endpoints.account_id = r.account_id AND webhook_endpoints.id = r.id",
    )
});

/// Enabled endpoints that have something due. One seek per endpoint, however much waits.
const LIST_DUE_ENDPOINTS: &str = "SELECT account_id, id FROM webhook_endpoints
     WHERE enabled AND EXISTS (
         SELECT 1 FROM webhook_deliveries
         WHERE webhook_deliveries.account_id = webhook_endpoints.account_id
           AND webhook_deliveries.endpoint_id = webhook_endpoints.id
           AND webhook_deliveries.next_try_at IS NOT NULL
           AND webhook_deliveries.next_try_at <= $1)
     LIMIT $2";

/// One endpoint.
const FIND_ENDPOINT: &str = "SELECT * FROM webhook_endpoints WHERE account_id = $1 AND id = $2";

/// Pending deliveries of an endpoint, oldest first.
const LIST_PENDING: &str = "SELECT * FROM webhook_deliveries
     WHERE account_id = $1 AND endpoint_id = $2 AND next_try_at IS NOT NULL
     ORDER BY next_try_at, id LIMIT $3";

#[async_trait]
impl DeliveryStore for Store {
    async fn list_due_endpoints_any_account(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(AccountId, EndpointId)>, StoreError> {
        let found: Vec<(Uuid, Uuid)> = on!(&self.db, pool => {
            let query = sqlx::query_as(LIST_DUE_ENDPOINTS).bind(now).bind(i64::from(limit));
            query.fetch_all(pool).await
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
        limit: u32,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        let found: Vec<DeliveryRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST_PENDING)
                .bind(account_id.0)
                .bind(endpoint_id.0)
                .bind(i64::from(limit))
                .fetch_all(pool)
                .await
        })
        .map_err(database)?;
        found.into_iter().map(TryInto::try_into).collect()
    }

    async fn record_try(
        &self,
        account_id: AccountId,
        tried: DeliveryTried,
    ) -> Result<Option<TryOutcome>, StoreError> {
        self.submit(|reply| Unit::Try(account_id, Box::new(tried), reply)).await
    }
}

impl Store {
    /// An endpoint with its secret opened. The secret is bound to the endpoint's id, so a
    /// sealed text moved to another row does not open.
    pub(crate) fn open_endpoint(&self, row: EndpointRow) -> Result<WebhookEndpoint, StoreError> {
        let id = row.state.id;
        let corrupt = || StoreError::Corrupt(format!("secret of webhook endpoint {id}"));
        let secret = self.webhook_key.open(id.as_bytes(), &row.secret_sealed);
        let secret = secret.map_err(|_| corrupt())?;
        let secret = str::from_utf8(secret.expose_secret()).map_err(|_| corrupt())?;
        row.open(SecretString::from(secret))
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct EndpointStateRow {
    account_id: Uuid,
    id: Uuid,
    events: Json<Vec<String>>,
    enabled: bool,
    exhausted_in_a_row: i64,
}

impl TryFrom<EndpointStateRow> for EndpointState {
    type Error = StoreError;

    fn try_from(row: EndpointStateRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("webhook endpoint {}", row.id));
        let events = row.events.0.iter().map(|event| EventName::parse(event));
        Ok(Self {
            account_id: AccountId(row.account_id),
            id: EndpointId(row.id),
            events: events.collect::<Option<_>>().ok_or_else(corrupt)?,
            enabled: row.enabled,
            exhausted_in_a_row: u32::try_from(row.exhausted_in_a_row).map_err(|_| corrupt())?,
        })
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct EndpointRow {
    #[sqlx(flatten)]
    state: EndpointStateRow,
    url: String,
    pub(crate) secret_sealed: String,
    created_at: DateTime<Utc>,
}

impl EndpointRow {
    /// The endpoint, given its opened secret.
    pub(crate) fn open(self, secret: SecretString) -> Result<WebhookEndpoint, StoreError> {
        let url = Url::parse(&self.url);
        let url = url.map_err(|_| StoreError::Corrupt(format!("URL of {}", self.state.id)))?;
        Ok(WebhookEndpoint {
            state: self.state.try_into()?,
            url,
            secret,
            created_at: self.created_at,
        })
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct DeliveryRow {
    account_id: Uuid,
    id: Uuid,
    endpoint_id: Uuid,
    event: String,
    generation_id: Uuid,
    data: Json<Value>,
    status: String,
    tries: i64,
    next_try_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
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
            generation_id: GenerationId(row.generation_id),
            status: DeliveryStatus::parse(&row.status).ok_or_else(corrupt)?,
            tries: u32::try_from(row.tries).map_err(|_| corrupt())?,
            data: row.data.0,
            created_at: row.created_at,
            next_try_at: row.next_try_at.unwrap_or(row.created_at),
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
    generation_id: Id,
    data: &'a Value,
    created_at: Time,
}

/// A new delivery as a row.
pub(crate) fn delivery_out(delivery: &WebhookDelivery) -> DeliveryOut<'_> {
    DeliveryOut {
        account_id: Id(delivery.account_id.0),
        id: Id(delivery.id.0),
        endpoint_id: Id(delivery.endpoint_id.0),
        event: delivery.event.as_str(),
        generation_id: Id(delivery.generation_id.0),
        data: &delivery.data,
        created_at: Time(delivery.created_at),
    }
}

/// A tried delivery on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct TriedOut<'a> {
    account_id: Id,
    id: Id,
    status: &'static str,
    tries: u32,
    next_try_at: Option<Time>,
    finished_at: Option<Time>,
    last_status: Option<u16>,
    last_error: Option<&'a str>,
}

/// A tried delivery as a row.
pub(crate) fn tried_out<'a>(delivery: &WebhookDelivery, result: &'a TryResult) -> TriedOut<'a> {
    let pending = delivery.status == DeliveryStatus::Pending;
    TriedOut {
        account_id: Id(delivery.account_id.0),
        id: Id(delivery.id.0),
        status: delivery.status.as_str(),
        tries: delivery.tries,
        next_try_at: pending.then_some(Time(delivery.next_try_at)),
        finished_at: (!pending).then_some(Time(result.at)),
        last_status: result.status,
        last_error: result.error.as_deref(),
    }
}

/// A changed endpoint on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct EndpointOut {
    account_id: Id,
    id: Id,
    enabled: bool,
    exhausted_in_a_row: u32,
}

/// A changed endpoint as a row.
pub(crate) fn endpoint_out(endpoint: &EndpointState) -> EndpointOut {
    EndpointOut {
        account_id: Id(endpoint.account_id.0),
        id: Id(endpoint.id.0),
        enabled: endpoint.enabled,
        exhausted_in_a_row: endpoint.exhausted_in_a_row,
    }
}
