//! Webhook endpoints, as an operator handles them.

use std::sync::LazyLock;

use actors::activity::{By, Deed, NewActivity};
use actors::id::{AccountId, EndpointId};
use actors::ports::{Enabling, EndpointRefusal, EndpointStore, StoreError};
use actors::webhook::endpoint::{DisableReason, EndpointState};
use actors::webhook::{DeliveryPolicy, EventName, WebhookEndpoint};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use uuid::Uuid;

use crate::store::endpoint_rows::{EndpointRow, EndpointStateRow, endpoint_out};
use crate::store::rowset::{ACCOUNT_KEY, AccountKey, Id, KEY, Key, Kind, SetStatement, Time};
use crate::store::standings::{self, StandingRow};
use crate::store::transaction::WriteTransaction;
use crate::store::webhooks::UPDATE_ENDPOINTS;
use crate::store::{Store, activities, database, delivery_log, in_turn, on, webhooks};

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

/// Reads endpoints by key, locked.
static LOAD: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "SELECT stored.* FROM {rows} AS r
         JOIN webhook_endpoints AS stored
           ON stored.account_id = r.account_id AND stored.id = r.id
         {for update by id}",
    )
});

static SET_EVENTS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("id", Kind::Id), ("events", Kind::Json)],
        "UPDATE webhook_endpoints SET events = r.events
         FROM {rows} AS r
         WHERE webhook_endpoints.account_id = r.account_id AND webhook_endpoints.id = r.id",
    )
});

/// Changes secrets, of which the one before the last rotation may be absent.
static SET_SECRETS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("secret_sealed", Kind::Text),
            ("previous_secret_sealed", Kind::Text),
            ("previous_secret_until", Kind::Time),
        ],
        "UPDATE webhook_endpoints SET
             secret_sealed = r.secret_sealed,
             previous_secret_sealed = r.previous_secret_sealed,
             previous_secret_until = r.previous_secret_until
         FROM {rows} AS r
         WHERE webhook_endpoints.account_id = r.account_id AND webhook_endpoints.id = r.id",
    )
});

/// A page of its deliveries and their tries: all of them could be millions, and everybody else
/// would wait for that transaction.
const DELETE_DELIVERIES: &str = "DELETE FROM webhook_deliveries
     WHERE (account_id, id) IN (
         SELECT account_id, id FROM webhook_deliveries
         WHERE account_id = $1 AND endpoint_id = $2
         ORDER BY id LIMIT $3)";
const DELETE_PAGE: u32 = 500;

/// The deliveries that are left go with it, by the foreign key.
static DELETE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "DELETE FROM webhook_endpoints
         WHERE (account_id, id) IN (SELECT account_id, id FROM {rows} AS r)",
    )
});

/// Ids are made in time order, so this is newest first.
const LIST: &str = "SELECT * FROM webhook_endpoints WHERE account_id = $1 ORDER BY id DESC";

/// A page of all endpoints, to be sealed anew.
const LIST_ALL: &str = "SELECT * FROM webhook_endpoints WHERE (account_id, id) > ($1, $2)
     ORDER BY account_id, id LIMIT $3";
const RESEAL_PAGE: u32 = 500;

const FIND_OWNER: &str = "SELECT account_id FROM webhook_endpoints WHERE id = $1";

#[async_trait]
impl EndpointStore for Store {
    async fn create_endpoint(
        &self,
        endpoint: WebhookEndpoint,
        endpoints_max: u32,
        by: By,
    ) -> Result<Result<(), EndpointRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let account = [AccountKey::new(endpoint.state.account_id)];
        // The account's row is locked so that two new endpoints count each other.
        let found: Vec<StandingRow> = transaction.fetch(&standings::LOAD, &account).await?;
        if !found.iter().any(StandingRow::is_live) {
            return Ok(Err(EndpointRefusal::UnknownAccount));
        }
        let count: Vec<(i64,)> = transaction.fetch(&COUNT, &account).await?;
        if count.first().is_some_and(|(count,)| *count >= i64::from(endpoints_max)) {
            return Ok(Err(EndpointRefusal::TooMany(endpoints_max)));
        }
        let row = self.new_endpoint_out(&endpoint);
        transaction.write("webhook_endpoints", &INSERT, &[row]).await?;
        let (account_id, id) = (endpoint.state.account_id, endpoint.state.id);
        log(&mut transaction, account_id, Deed::webhook("created", id, None), by).await?;
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

    async fn enable_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
        enabling: Enabling,
        by: By,
    ) -> Result<Result<(), EndpointRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let Some(mut state) = load_state(&mut transaction, account_id, id).await? else {
            return Ok(Err(EndpointRefusal::UnknownEndpoint));
        };
        if state.enabled {
            return Ok(Ok(()));
        }
        if enabling.force {
            state.lift_cooldown(enabling.at);
        }
        if let Err(refusal) = state.enable(enabling.at) {
            return Ok(Err(refusal.into()));
        }
        let changed = [endpoint_out(&state)];
        transaction.write("webhook_endpoints", &UPDATE_ENDPOINTS, &changed).await?;
        if state.probing {
            delivery_log::resend_oldest(&mut transaction, &state, &enabling).await?;
        }
        log(&mut transaction, account_id, Deed::webhook("enabled", id, None), by).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn disable_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
        by: By,
    ) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let Some(mut state) = load_state(&mut transaction, account_id, id).await? else {
            return Ok(false);
        };
        if state.enabled {
            // There is no policy to what an owner does.
            state.disable(DisableReason::Owner, by.at, &DeliveryPolicy::default());
            let changed = [endpoint_out(&state)];
            transaction.write("webhook_endpoints", &UPDATE_ENDPOINTS, &changed).await?;
            let disabled = [webhooks::disabled_out(account_id, id, by.at)];
            transaction.execute(&webhooks::QUEUE_PENDING, &disabled).await?;
            log(&mut transaction, account_id, Deed::webhook("disabled", id, None), by).await?;
            transaction.commit().await?;
        }
        Ok(true)
    }

    async fn edit_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
        events: &[EventName],
        by: By,
    ) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let events = events.iter().map(|event| event.as_str()).collect();
        let row = EventsOut { account_id: Id(account_id.0), id: Id(id.0), events };
        if transaction.execute(&SET_EVENTS, &[row]).await? == 0 {
            return Ok(false);
        }
        log(&mut transaction, account_id, Deed::webhook("updated", id, Some("events")), by).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn rotate_endpoint_secret(
        &self,
        account_id: AccountId,
        id: EndpointId,
        secret: SecretString,
        previous_until: Option<DateTime<Utc>>,
        by: By,
    ) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let key = [Key { account_id: Id(account_id.0), id: Id(id.0) }];
        let found: Vec<EndpointRow> = transaction.fetch(&LOAD, &key).await?;
        let Some(found) = found.into_iter().next() else { return Ok(false) };
        let secret = secret.expose_secret().as_bytes();
        let row = SecretsOut {
            account_id: Id(account_id.0),
            id: Id(id.0),
            secret_sealed: self.webhook_key.seal(id.0.as_bytes(), secret),
            previous_secret_sealed: previous_until.map(|_| found.secret_sealed),
            previous_secret_until: previous_until.map(Time),
        };
        transaction.write("webhook_endpoints", &SET_SECRETS, &[row]).await?;
        log(&mut transaction, account_id, Deed::webhook("updated", id, Some("secret")), by).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn delete_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
        by: By,
    ) -> Result<bool, StoreError> {
        loop {
            let deleted = in_turn!(&self.db, pool => {
                let page = sqlx::query(DELETE_DELIVERIES).bind(account_id.0).bind(id.0);
                let done = page.bind(i64::from(DELETE_PAGE)).execute(pool).await;
                done.map(|done| done.rows_affected())
            })
            .map_err(database)?;
            if deleted < u64::from(DELETE_PAGE) {
                break;
            }
        }
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let key = Key { account_id: Id(account_id.0), id: Id(id.0) };
        if transaction.execute(&DELETE, &[key]).await? == 0 {
            return Ok(false);
        }
        log(&mut transaction, account_id, Deed::webhook("deleted", id, None), by).await?;
        transaction.commit().await?;
        Ok(true)
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

/// Writes down what was done to an endpoint as part of a unit.
async fn log(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    deed: Deed,
    by: By,
) -> Result<(), StoreError> {
    activities::record(transaction, &NewActivity { account_id, by, deed }).await
}

impl Store {
    /// Seals the secrets of all endpoints with the key that this store seals with; they may have
    /// been sealed with the one before. Answers how many endpoints there are. May be repeated.
    ///
    /// # Errors
    /// A secret that opens with neither key, or the database failed. Pages that were done stay.
    pub async fn reseal(&self) -> Result<u64, StoreError> {
        let (mut done, mut after) = (0, (Uuid::nil(), Uuid::nil()));
        loop {
            let mut transaction = WriteTransaction::begin(&self.db).await?;
            let rows: Vec<EndpointRow> = on!(&self.db, pool => {
                sqlx::query_as(LIST_ALL)
                    .bind(after.0)
                    .bind(after.1)
                    .bind(i64::from(RESEAL_PAGE))
                    .fetch_all(pool)
                    .await
            })
            .map_err(database)?;
            let Some(last) = rows.last().map(EndpointRow::key) else { return Ok(done) };
            done += rows.len() as u64;
            let endpoints = rows.into_iter().map(|row| self.open_endpoint(row));
            let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
            let sealed: Vec<_> =
                endpoints.iter().map(|endpoint| self.secrets_out(endpoint)).collect();
            transaction.write("webhook_endpoints", &SET_SECRETS, &sealed).await?;
            transaction.commit().await?;
            after = last;
        }
    }

    fn secrets_out(&self, endpoint: &WebhookEndpoint) -> SecretsOut {
        let id = endpoint.state.id.0;
        let seal = |secret: &SecretString| {
            self.webhook_key.seal(id.as_bytes(), secret.expose_secret().as_bytes())
        };
        SecretsOut {
            account_id: Id(endpoint.state.account_id.0),
            id: Id(id),
            secret_sealed: seal(&endpoint.secret),
            previous_secret_sealed: endpoint.previous.as_ref().map(|(secret, _)| seal(secret)),
            previous_secret_until: endpoint.previous.as_ref().map(|(_, until)| Time(*until)),
        }
    }

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

/// How an endpoint stands, locked until the transaction ends.
pub(crate) async fn load_state(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    id: EndpointId,
) -> Result<Option<EndpointState>, StoreError> {
    let key = [Key { account_id: Id(account_id.0), id: Id(id.0) }];
    let found: Vec<EndpointStateRow> = transaction.fetch(&LOAD, &key).await?;
    found.into_iter().next().map(TryInto::try_into).transpose()
}

/// What an endpoint is told, on its way into the database.
#[derive(Debug, Serialize)]
struct EventsOut {
    account_id: Id,
    id: Id,
    events: Vec<&'static str>,
}

/// The secrets of an endpoint on their way into the database.
#[derive(Debug, Serialize)]
struct SecretsOut {
    account_id: Id,
    id: Id,
    secret_sealed: String,
    previous_secret_sealed: Option<String>,
    previous_secret_until: Option<Time>,
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
