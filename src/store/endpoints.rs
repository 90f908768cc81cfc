//! Webhook endpoints, as an operator handles them.

use std::sync::LazyLock;

use actors::id::{AccountId, EndpointId};
use actors::ports::{EndpointRefusal, EndpointStore, StoreError};
use actors::webhook::WebhookEndpoint;
use async_trait::async_trait;
use secrecy::ExposeSecret;
use serde::Serialize;
use uuid::Uuid;

use crate::store::rowset::{ACCOUNT_KEY, AccountKey, Id, Kind, SetStatement, Time};
use crate::store::standings::{self, StandingRow};
use crate::store::transaction::WriteTransaction;
use crate::store::webhooks::EndpointRow;
use crate::store::{Store, database, on};

/// Writes a new endpoint.
static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("url", Kind::Text),
            ("events", Kind::Json),
            ("secret_sealed", Kind::Text),
            ("enabled", Kind::Bool),
            ("exhausted_in_a_row", Kind::Int),
            ("created_at", Kind::Time),
        ],
        "INSERT INTO webhook_endpoints (
             account_id, id, url, events, secret_sealed, enabled, exhausted_in_a_row, created_at)
         SELECT
             account_id, id, url, events, secret_sealed, enabled, exhausted_in_a_row, created_at
         FROM {rows} AS r",
    )
});

static COUNT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &ACCOUNT_KEY,
        "SELECT COUNT(*) AS endpoints FROM {rows} AS r
         JOIN webhook_endpoints AS stored ON stored.account_id = r.account_id",
    )
});

/// Enabling begins the count of exhausted deliveries again, or the next one that is exhausted
/// would disable the endpoint at once.
static SET_ENABLED: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("id", Kind::Id), ("enabled", Kind::Bool)],
        "UPDATE webhook_endpoints SET
             enabled = r.enabled,
             exhausted_in_a_row =
                 CASE WHEN r.enabled THEN 0 ELSE webhook_endpoints.exhausted_in_a_row END
         FROM {rows} AS r
         WHERE webhook_endpoints.account_id = r.account_id AND webhook_endpoints.id = r.id",
    )
});

/// Its deliveries go with it, by the foreign key.
const DELETE: &str = "DELETE FROM webhook_endpoints WHERE account_id = $1 AND id = $2";

/// Ids are made in time order, so this is newest first.
const LIST: &str = "SELECT * FROM webhook_endpoints WHERE account_id = $1 ORDER BY id DESC";

const FIND_OWNER: &str = "SELECT account_id FROM webhook_endpoints WHERE id = $1";

#[async_trait]
impl EndpointStore for Store {
    async fn create_endpoint(
        &self,
        endpoint: WebhookEndpoint,
        endpoints_max: u32,
    ) -> Result<Result<(), EndpointRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let account = [AccountKey::new(endpoint.state.account_id)];
        // The account's row is locked so that two new endpoints count each other.
        let found: Vec<StandingRow> = transaction.fetch(&standings::LOAD, &account).await?;
        if found.is_empty() {
            return Ok(Err(EndpointRefusal::UnknownAccount));
        }
        let count: Vec<(i64,)> = transaction.fetch(&COUNT, &account).await?;
        if count.first().is_some_and(|(count,)| *count >= i64::from(endpoints_max)) {
            return Ok(Err(EndpointRefusal::TooMany(endpoints_max)));
        }
        let row = self.new_endpoint_out(&endpoint);
        transaction.write("webhook_endpoints", &INSERT, &[row]).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn list_endpoints(
        &self,
        account_id: AccountId,
    ) -> Result<Vec<WebhookEndpoint>, StoreError> {
        let rows: Vec<EndpointRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST).bind(account_id.0).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(|row| self.open_endpoint(row)).collect()
    }

    async fn set_endpoint_enabled(
        &self,
        account_id: AccountId,
        id: EndpointId,
        enabled: bool,
    ) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let row = Switch { account_id: Id(account_id.0), id: Id(id.0), enabled };
        let existed = transaction.execute(&SET_ENABLED, &[row]).await?;
        transaction.commit().await?;
        Ok(existed > 0)
    }

    async fn delete_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
    ) -> Result<bool, StoreError> {
        on!(&self.db, pool => {
            let query = sqlx::query(DELETE).bind(account_id.0).bind(id.0);
            query.execute(pool).await.map(|done| done.rows_affected() > 0)
        })
        .map_err(database)
    }

    async fn find_endpoint_owner_any_account(
        &self,
        id: EndpointId,
    ) -> Result<Option<AccountId>, StoreError> {
        let owner: Option<Uuid> = on!(&self.db, pool => {
            sqlx::query_scalar(FIND_OWNER).bind(id.0).fetch_optional(pool).await
        })
        .map_err(database)?;
        Ok(owner.map(AccountId))
    }
}

impl Store {
    fn new_endpoint_out<'a>(&self, endpoint: &'a WebhookEndpoint) -> NewEndpointOut<'a> {
        let state = &endpoint.state;
        let secret = endpoint.secret.expose_secret().as_bytes();
        NewEndpointOut {
            account_id: Id(state.account_id.0),
            id: Id(state.id.0),
            url: endpoint.url.as_str(),
            events: state.events.iter().map(|event| event.as_str()).collect(),
            secret_sealed: self.webhook_key.seal(state.id.0.as_bytes(), secret),
            enabled: state.enabled,
            exhausted_in_a_row: state.exhausted_in_a_row,
            created_at: Time(endpoint.created_at),
        }
    }
}

#[derive(Debug, Serialize)]
struct Switch {
    account_id: Id,
    id: Id,
    enabled: bool,
}

/// A new endpoint on its way into the database.
#[derive(Debug, Serialize)]
struct NewEndpointOut<'a> {
    account_id: Id,
    id: Id,
    url: &'a str,
    events: Vec<&'static str>,
    secret_sealed: String,
    enabled: bool,
    exhausted_in_a_row: u32,
    created_at: Time,
}
