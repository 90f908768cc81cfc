//! The log of deliveries and their tries, and sending them again.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actors::batch::{Tried, Try};
use actors::id::{AccountId, DeliveryId, EndpointId, first_at};
use actors::ports::deliveries::{
    DeliveryLog, EndpointHealth, LogFilter, LogPage, LogQuery, LoggedDelivery, Resend,
};
use actors::ports::{Enabling, EndpointRefusal, IdSource, StoreError};
use actors::webhook::endpoint::EndpointState;
use actors::webhook::{DeliveryStatus, TryResult, WebhookDelivery};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::store::endpoints::load_state;
use crate::store::rowset::{Id, Key, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;
use crate::store::webhooks::{
    DeliveryRow, INSERT_DELIVERIES, INSERT_TRIES, LOAD_DELIVERIES, UPDATE_DELIVERIES, delivery_out,
    tried_out, try_out,
};
use crate::store::{Store, database, on};

/// Deliveries sent again in one transaction, so that none is long.
const RESEND_PAGE: u32 = 500;

/// Deliveries among which one call looks for a text: some 10 ms.
const SEARCHED_MAX: u32 = 2000;

/// How what was `logged` as resent stands: once delivered for good, else as the last that it was
/// resent as.
const RESENT_STATUS: &str = "CASE WHEN logged.status = 'resent' THEN (
     SELECT again.status FROM webhook_deliveries AS again
     WHERE again.account_id = logged.account_id AND again.in_order
       AND again.replay_of = COALESCE(logged.replay_of, logged.id)
     ORDER BY again.status <> 'delivered', again.created_at DESC LIMIT 1) END";

/// Newest first; ids are made in time order. `{which}` is the condition of a filter, each of which
/// has an index of its own or is true of most.
const LIST: &str = "SELECT logged.*, {resent status} AS resent_status
     FROM (
         SELECT * FROM webhook_deliveries
         WHERE account_id = $1 AND endpoint_id = $2 AND {which}
         ORDER BY {order} DESC LIMIT $4) AS logged
     WHERE ($5 IS NULL
            OR lower(logged.event) LIKE $5 ESCAPE '!'
            OR lower(logged.last_error) LIKE $5 ESCAPE '!'
            OR CAST(logged.last_status AS TEXT) LIKE $5 ESCAPE '!')
       AND ($6 IS NULL OR logged.generation_id = $6 OR logged.id = $6)
     ORDER BY logged.id DESC LIMIT $7";

/// The last of those among which a text was looked for, when they are as many as can be.
const LAST_SEARCHED: &str = "SELECT id FROM webhook_deliveries
     WHERE account_id = $1 AND endpoint_id = $2 AND {which}
     ORDER BY {order} DESC LIMIT 1 OFFSET $4";

const RECENT: &str = "SELECT status FROM webhook_deliveries
     WHERE account_id = $1 AND endpoint_id = $2 AND status <> 'resent'
     ORDER BY id DESC LIMIT $3";

const WAITING: &str = "SELECT
         (SELECT COUNT(*) FROM (
             SELECT 1 AS one FROM webhook_deliveries
             WHERE account_id = $1 AND endpoint_id = $2 AND next_try_at IS NOT NULL
             LIMIT $3) AS pending) AS pending,
         (SELECT COUNT(*) FROM (
             SELECT 1 AS one FROM webhook_deliveries
             WHERE account_id = $1 AND endpoint_id = $2 AND status = 'queued'
             LIMIT $3) AS queued) AS queued";

const FIND: &str = "SELECT logged.*, {resent status} AS resent_status
     FROM webhook_deliveries AS logged
     WHERE logged.account_id = $1 AND logged.id = $2";

const LIST_TRIES: &str = "SELECT * FROM webhook_tries
     WHERE account_id = $1 AND delivery_id = $2 ORDER BY number";

const FIND_OWNER: &str = "SELECT account_id FROM webhook_deliveries WHERE id = $1";

/// What happened in a time, in the order of ids. Replays are not replayed, tests neither, and what
/// is still to be sent is sent anyway, or with the rest of the queue that it is in again.
const LIST_BETWEEN: &str = "SELECT id FROM webhook_deliveries AS logged
     WHERE account_id = $1 AND endpoint_id = $2 AND id > $3
       AND created_at >= $4 AND created_at < $5
       AND replay_of IS NULL AND event <> 'webhook.test' AND status <> 'pending'
       AND (status <> 'resent'
            OR COALESCE({resent status}, 'gone') NOT IN ('pending', 'queued'))
     ORDER BY id LIMIT $6";

/// What is queued for an endpoint, locked, in the order of what it tells: what was resent in vain
/// is as old as what it repeats. The page is found in the index, or a long queue would be sorted
/// for each.
static SELECT_QUEUED: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("endpoint_id", Kind::Id), ("page", Kind::Int)],
        "SELECT stored.* FROM (
             SELECT account_id, id FROM webhook_deliveries
             WHERE account_id = (SELECT account_id FROM {rows} AS r)
               AND endpoint_id = (SELECT endpoint_id FROM {rows} AS r)
               AND status = 'queued'
             ORDER BY COALESCE(replay_of, id)
             LIMIT (SELECT page FROM {rows} AS r)) AS page
         JOIN webhook_deliveries AS stored
           ON stored.account_id = page.account_id AND stored.id = page.id
         WHERE stored.status = 'queued'
         ORDER BY COALESCE(stored.replay_of, stored.id)
         {for update}",
    )
});

pub(super) static CLOSE_QUEUED: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("status", Kind::Text),
            ("finished_at", Kind::Time),
        ],
        "UPDATE webhook_deliveries SET status = r.status, finished_at = r.finished_at
         FROM {rows} AS r
         WHERE webhook_deliveries.account_id = r.account_id
           AND webhook_deliveries.id = r.id
           AND webhook_deliveries.status = 'queued'",
    )
});

#[async_trait]
impl DeliveryLog for Store {
    async fn list_deliveries(
        &self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        query: &LogQuery,
        limit: u32,
    ) -> Result<LogPage, StoreError> {
        let before = query.before.map_or(Uuid::max(), |id| id.0);
        let (pattern, id) = searched(query.text.as_deref());
        let wanted = limit.saturating_add(1);
        let searched = if query.text.is_some() { SEARCHED_MAX } else { wanted };
        let rows: Vec<LoggedRow> = on!(&self.db, pool => {
            sqlx::query_as(filtered(LIST, query.filter))
                .bind(account_id.0)
                .bind(endpoint_id.0)
                .bind(before)
                .bind(i64::from(searched))
                .bind(&pattern)
                .bind(id)
                .bind(i64::from(wanted))
                .fetch_all(pool)
                .await
        })
        .map_err(database)?;
        let more = rows.len() > limit as usize;
        let deliveries = rows.into_iter().take(limit as usize).map(TryInto::try_into);
        let deliveries = deliveries.collect::<Result<Vec<LoggedDelivery>, _>>()?;
        let next = match (more, &query.text) {
            (true, _) => deliveries.last().map(|last| last.delivery.id),
            (false, None) => None,
            (false, Some(_)) => on!(&self.db, pool => {
                sqlx::query_scalar(filtered(LAST_SEARCHED, query.filter))
                    .bind(account_id.0)
                    .bind(endpoint_id.0)
                    .bind(before)
                    .bind(i64::from(SEARCHED_MAX - 1))
                    .fetch_optional(pool)
                    .await
            })
            .map_err(database)?
            .map(DeliveryId),
        };
        Ok(LogPage { deliveries, next })
    }

    async fn endpoint_health(
        &self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        recent: u32,
        counted_max: u32,
    ) -> Result<EndpointHealth, StoreError> {
        let (account_id, endpoint_id) = (account_id.0, endpoint_id.0);
        let statuses: Vec<String> = on!(&self.db, pool => {
            let query = sqlx::query_scalar(RECENT).bind(account_id).bind(endpoint_id);
            query.bind(i64::from(recent)).fetch_all(pool).await
        })
        .map_err(database)?;
        let (pending, queued): (i64, i64) = on!(&self.db, pool => {
            let query = sqlx::query_as(WAITING).bind(account_id).bind(endpoint_id);
            query.bind(i64::from(counted_max)).fetch_one(pool).await
        })
        .map_err(database)?;
        let corrupt = || StoreError::Corrupt(format!("a delivery of endpoint {endpoint_id}"));
        let read = |status: &String| DeliveryStatus::parse(status).ok_or_else(corrupt);
        Ok(EndpointHealth {
            recent: statuses.iter().map(read).collect::<Result<_, _>>()?,
            pending: pending.unsigned_abs(),
            queued: queued.unsigned_abs(),
        })
    }

    async fn find_delivery(
        &self,
        account_id: AccountId,
        id: DeliveryId,
    ) -> Result<Option<LoggedDelivery>, StoreError> {
        let row: Option<LoggedRow> = on!(&self.db, pool => {
            sqlx::query_as(with_status(FIND)).bind(account_id.0).bind(id.0).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(TryInto::try_into).transpose()
    }

    async fn list_tries(
        &self,
        account_id: AccountId,
        id: DeliveryId,
    ) -> Result<Vec<Try>, StoreError> {
        let rows: Vec<TryRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST_TRIES).bind(account_id.0).bind(id.0).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn find_delivery_owner_any_account(
        &self,
        id: DeliveryId,
    ) -> Result<Option<AccountId>, StoreError> {
        let owner: Option<Uuid> = on!(&self.db, pool => {
            sqlx::query_scalar(FIND_OWNER).bind(id.0).fetch_optional(pool).await
        })
        .map_err(database)?;
        Ok(owner.map(AccountId))
    }

    async fn resend(
        &self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        resend: Resend,
        at: DateTime<Utc>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Result<u64, EndpointRefusal>, StoreError> {
        // Made after what they tell of, so none of a time has an id from before it.
        let mut after = DeliveryId(match resend {
            Resend::Between(from, _) => first_at(from),
            Resend::One(_) | Resend::Queued => Uuid::nil(),
        });
        let mut sent = 0;
        loop {
            // Before it is anybody's turn to write: the log may be long.
            let found = match resend {
                Resend::Queued => Vec::new(),
                Resend::One(id) => vec![id],
                Resend::Between(from, until) => {
                    self.list_between(account_id, endpoint_id, (from, until), after).await?
                }
            };
            let mut transaction = WriteTransaction::begin(&self.db).await?;
            match load_state(&mut transaction, account_id, endpoint_id).await? {
                None => return Ok(Err(EndpointRefusal::UnknownEndpoint)),
                Some(endpoint) if !endpoint.enabled => return Ok(Err(EndpointRefusal::Disabled)),
                Some(_) => {}
            }
            let page = match resend {
                Resend::Queued => {
                    load_queued(&mut transaction, account_id, endpoint_id, RESEND_PAGE).await?
                }
                Resend::One(_) | Resend::Between(..) => {
                    load(&mut transaction, account_id, endpoint_id, &found).await?
                }
            };
            if page.is_empty() && matches!(resend, Resend::One(_)) {
                return Ok(Err(EndpointRefusal::UnknownDelivery));
            }
            again(&mut transaction, &page, at, || DeliveryId(ids.next())).await?;
            transaction.commit().await?;
            sent += page.len() as u64;
            if found.len().max(page.len()) < RESEND_PAGE as usize {
                return Ok(Ok(sent));
            }
            after = found.last().copied().unwrap_or(after);
        }
    }

    async fn log_test(
        &self,
        delivery: WebhookDelivery,
        result: TryResult,
    ) -> Result<(), StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let open = WebhookDelivery { status: DeliveryStatus::Pending, ..delivery.clone() };
        transaction.write("webhook_deliveries", &INSERT_DELIVERIES, &[delivery_out(&open)]).await?;
        let tried = Tried { delivery: delivery.clone(), tries_before: 0, last: result.clone() };
        let tried = [tried_out(&tried)];
        transaction.write("webhook_deliveries", &UPDATE_DELIVERIES, &tried).await?;
        let (account_id, delivery_id) = (delivery.account_id, delivery.id);
        let one = Try { account_id, delivery_id, number: delivery.tries, result };
        transaction.write("webhook_tries", &INSERT_TRIES, &[try_out(&one)]).await?;
        transaction.commit().await
    }
}

/// A statement with the condition of a filter, as indexes name it. Built from constants only.
fn filtered(statement: &str, filter: Option<LogFilter>) -> AssertSqlSafe<String> {
    let (which, order) = match filter {
        None => ("id < $3", "id"),
        Some(LogFilter::Delivered) => ("id < $3 AND status = 'delivered'", "id"),
        Some(LogFilter::Failed) => ("id < $3 AND status IN ('exhausted', 'expired')", "id"),
        Some(LogFilter::Queued) => ("id < $3 AND status = 'queued'", "id"),
        // Few at most times, and to be sorted: SQLite would rather read the whole log in order.
        Some(LogFilter::Pending) => {
            ("NOT id >= $3 AND next_try_at IS NOT NULL", "COALESCE(id, id)")
        }
    };
    with_status(&statement.replace("{which}", which).replace("{order}", order))
}

/// A statement that tells how what was resent stands. Built from constants only.
pub(super) fn with_status(statement: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(statement.replace("{resent status}", RESENT_STATUS))
}

/// What is looked for: an id as such, anything else as a part of a text.
pub(crate) fn searched(text: Option<&str>) -> (Option<String>, Option<Uuid>) {
    match text.map(|text| (text, Uuid::try_parse(text))) {
        None => (None, None),
        Some((_, Ok(id))) => (None, Some(id)),
        Some((text, Err(_))) => {
            let literal: String = (text.to_lowercase().chars())
                .flat_map(|c| matches!(c, '%' | '_' | '!').then_some('!').into_iter().chain([c]))
                .collect();
            (Some(format!("%{literal}%")), None)
        }
    }
}

/// The oldest of what is queued becomes the probe of an endpoint that was enabled.
pub(crate) async fn resend_oldest(
    transaction: &mut WriteTransaction<'_>,
    endpoint: &EndpointState,
    enabling: &Enabling,
) -> Result<(), StoreError> {
    let oldest = load_queued(transaction, endpoint.account_id, endpoint.id, 1).await?;
    again(transaction, &oldest, enabling.at, || enabling.probe).await
}

/// The oldest that are queued for an endpoint, locked.
async fn load_queued(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    endpoint_id: EndpointId,
    page: u32,
) -> Result<Vec<WebhookDelivery>, StoreError> {
    let (account_id, endpoint_id) = (Id(account_id.0), Id(endpoint_id.0));
    let of = [QueueOf { account_id, endpoint_id, page }];
    let rows: Vec<DeliveryRow> = transaction.fetch(&SELECT_QUEUED, &of).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Those of an endpoint that are still there, locked, in the order of ids.
async fn load(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    endpoint_id: EndpointId,
    ids: &[DeliveryId],
) -> Result<Vec<WebhookDelivery>, StoreError> {
    let key = |id: &DeliveryId| Key { account_id: Id(account_id.0), id: Id(id.0) };
    let keys: Vec<Key> = ids.iter().map(key).collect();
    let rows: Vec<DeliveryRow> = transaction.fetch(&LOAD_DELIVERIES, &keys).await?;
    let mut deliveries: Vec<WebhookDelivery> =
        rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
    deliveries.retain(|delivery| delivery.endpoint_id == endpoint_id);
    deliveries.sort_unstable_by_key(|delivery| delivery.id);
    Ok(deliveries)
}

impl Store {
    /// A page of what happened in a time.
    async fn list_between(
        &self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        after: DeliveryId,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let ids: Vec<Uuid> = on!(&self.db, pool => {
            sqlx::query_scalar(with_status(LIST_BETWEEN))
                .bind(account_id.0)
                .bind(endpoint_id.0)
                .bind(after.0)
                .bind(from)
                .bind(until)
                .bind(i64::from(RESEND_PAGE))
                .fetch_all(pool)
                .await
        })
        .map_err(database)?;
        Ok(ids.into_iter().map(DeliveryId).collect())
    }
}

/// Writes each as a new delivery that is due now. What was queued has been resent.
async fn again(
    transaction: &mut WriteTransaction<'_>,
    before: &[WebhookDelivery],
    at: DateTime<Utc>,
    next_id: impl Fn() -> DeliveryId,
) -> Result<(), StoreError> {
    let new: Vec<WebhookDelivery> = before
        .iter()
        .map(|delivery| WebhookDelivery {
            account_id: delivery.account_id,
            endpoint_id: delivery.endpoint_id,
            id: next_id(),
            event: delivery.event,
            generation_id: delivery.generation_id,
            data: Arc::clone(&delivery.data),
            replay_of: Some(delivery.replay_of.unwrap_or(delivery.id)),
            in_order: delivery.status == DeliveryStatus::Queued,
            ..WebhookDelivery::blank(at)
        })
        .collect();
    let rows: Vec<_> = new.iter().map(delivery_out).collect();
    transaction.write("webhook_deliveries", &INSERT_DELIVERIES, &rows).await?;
    let resent: Vec<ClosedOut> = before
        .iter()
        .filter(|delivery| delivery.status == DeliveryStatus::Queued)
        .map(|delivery| ClosedOut {
            account_id: Id(delivery.account_id.0),
            id: Id(delivery.id.0),
            status: DeliveryStatus::Resent.as_str(),
            finished_at: Time(at),
        })
        .collect();
    transaction.write("webhook_deliveries", &CLOSE_QUEUED, &resent).await
}

#[derive(Debug, Serialize)]
struct QueueOf {
    account_id: Id,
    endpoint_id: Id,
    page: u32,
}

/// A delivery that is not queued any more, on its way into the database.
#[derive(Debug, Serialize)]
pub(super) struct ClosedOut {
    pub(super) account_id: Id,
    pub(super) id: Id,
    pub(super) status: &'static str,
    pub(super) finished_at: Time,
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct LoggedRow {
    #[sqlx(flatten)]
    delivery: DeliveryRow,
    finished_at: Option<DateTime<Utc>>,
    last_status: Option<i64>,
    last_error: Option<String>,
    resent_status: Option<String>,
}

impl TryFrom<LoggedRow> for LoggedDelivery {
    type Error = StoreError;

    fn try_from(row: LoggedRow) -> Result<Self, StoreError> {
        Ok(Self {
            delivery: row.delivery.try_into()?,
            finished_at: row.finished_at,
            last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
            last_error: row.last_error,
            resent_status: row.resent_status.as_deref().and_then(DeliveryStatus::parse),
        })
    }
}

#[derive(Debug, sqlx::FromRow)]
struct TryRow {
    account_id: Uuid,
    delivery_id: Uuid,
    number: i64,
    at: DateTime<Utc>,
    status: Option<i64>,
    error: Option<String>,
    took_ms: i64,
    excerpt: Option<String>,
}

impl TryFrom<TryRow> for Try {
    type Error = StoreError;

    fn try_from(row: TryRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("try {} of {}", row.number, row.delivery_id));
        Ok(Self {
            account_id: AccountId(row.account_id),
            delivery_id: DeliveryId(row.delivery_id),
            number: u32::try_from(row.number).map_err(|_| corrupt())?,
            result: TryResult {
                status: row.status.and_then(|status| u16::try_from(status).ok()),
                error: row.error,
                at: row.at,
                took: Duration::from_millis(u64::try_from(row.took_ms).map_err(|_| corrupt())?),
                excerpt: row.excerpt,
                retry_after: None,
            },
        })
    }
}
