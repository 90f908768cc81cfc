//! Webhook endpoints as rows, their secrets sealed.

use std::time::Duration;

use actors::id::{AccountId, EndpointId};
use actors::ports::StoreError;
use actors::webhook::endpoint::{Cooldown, DisableReason, Disabled, EndpointState};
use actors::webhook::{EventName, WebhookEndpoint};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::types::Json;
use url::Url;
use uuid::Uuid;

use crate::store::Store;
use crate::store::rowset::{Id, Time};

impl Store {
    /// An endpoint with its secrets opened. A secret is bound to the endpoint's id, so a sealed
    /// text moved to another row does not open.
    pub(crate) fn open_endpoint(&self, row: EndpointRow) -> Result<WebhookEndpoint, StoreError> {
        let id = row.state.id;
        let secret = self.open_secret(id, &row.secret_sealed)?;
        let previous = match (&row.previous_secret_sealed, row.previous_secret_until) {
            (Some(sealed), Some(until)) => Some((self.open_secret(id, sealed)?, until)),
            (None, _) | (_, None) => None,
        };
        let url = Url::parse(&row.url);
        let url = url.map_err(|_| StoreError::Corrupt(format!("URL of webhook endpoint {id}")))?;
        let (state, created_at) = (row.state.try_into()?, row.created_at);
        Ok(WebhookEndpoint { state, url, secret, previous, created_at })
    }

    fn open_secret(&self, id: Uuid, sealed: &str) -> Result<SecretString, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("secret of webhook endpoint {id}"));
        let secret = self.webhook_key.open(id.as_bytes(), sealed).map_err(|_| corrupt())?;
        let secret = str::from_utf8(secret.expose_secret()).map_err(|_| corrupt())?;
        Ok(SecretString::from(secret))
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct EndpointStateRow {
    account_id: Uuid,
    id: Uuid,
    events: Json<Vec<String>>,
    enabled: bool,
    probing: bool,
    exhausted_in_a_row: i64,
    failing_since: Option<DateTime<Utc>>,
    disabled_reason: Option<String>,
    disabled_at: Option<DateTime<Utc>>,
    cooldown_until: Option<DateTime<Utc>>,
    cooldown_ms: Option<i64>,
    paused_until: Option<DateTime<Utc>>,
}

impl TryFrom<EndpointStateRow> for EndpointState {
    type Error = StoreError;

    fn try_from(row: EndpointStateRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("webhook endpoint {}", row.id));
        let events = row.events.0.iter().map(|event| EventName::parse(event));
        let disabled = match (row.disabled_reason, row.disabled_at) {
            (Some(reason), Some(at)) => {
                let reason = DisableReason::parse(&reason).ok_or_else(corrupt)?;
                Some(Disabled { reason, at })
            }
            (None, _) | (_, None) => None,
        };
        let cooldown = match (row.cooldown_until, row.cooldown_ms) {
            (Some(until), Some(length)) => {
                let length = u64::try_from(length).map_err(|_| corrupt())?;
                Some(Cooldown { until, length: Duration::from_millis(length) })
            }
            (None, _) | (_, None) => None,
        };
        Ok(Self {
            account_id: AccountId(row.account_id),
            id: EndpointId(row.id),
            events: events.collect::<Option<_>>().ok_or_else(corrupt)?,
            enabled: row.enabled,
            probing: row.probing,
            exhausted_in_a_row: u32::try_from(row.exhausted_in_a_row).map_err(|_| corrupt())?,
            failing_since: row.failing_since,
            disabled,
            cooldown,
            paused_until: row.paused_until,
        })
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct EndpointRow {
    #[sqlx(flatten)]
    state: EndpointStateRow,
    url: String,
    pub(crate) secret_sealed: String,
    pub(crate) previous_secret_sealed: Option<String>,
    previous_secret_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl EndpointRow {
    /// Which endpoint it is.
    pub(crate) fn key(&self) -> (Uuid, Uuid) {
        (self.state.account_id, self.state.id)
    }
}

/// How an endpoint stands, on its way into the database.
#[derive(Debug, Serialize)]
pub(crate) struct EndpointOut {
    account_id: Id,
    id: Id,
    enabled: bool,
    probing: bool,
    exhausted_in_a_row: u32,
    failing_since: Option<Time>,
    disabled_reason: Option<&'static str>,
    disabled_at: Option<Time>,
    cooldown_until: Option<Time>,
    cooldown_ms: Option<u64>,
    paused_until: Option<Time>,
}

/// How an endpoint stands, as a row.
pub(crate) fn endpoint_out(endpoint: &EndpointState) -> EndpointOut {
    let millis = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    EndpointOut {
        account_id: Id(endpoint.account_id.0),
        id: Id(endpoint.id.0),
        enabled: endpoint.enabled,
        probing: endpoint.probing,
        exhausted_in_a_row: endpoint.exhausted_in_a_row,
        failing_since: endpoint.failing_since.map(Time),
        disabled_reason: endpoint.disabled.map(|disabled| disabled.reason.as_str()),
        disabled_at: endpoint.disabled.map(|disabled| Time(disabled.at)),
        cooldown_until: endpoint.cooldown.map(|cooldown| Time(cooldown.until)),
        cooldown_ms: endpoint.cooldown.map(|cooldown| millis(cooldown.length)),
        paused_until: endpoint.paused_until.map(Time),
    }
}
