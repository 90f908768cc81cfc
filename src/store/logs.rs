//! Looking through requests, activity and generations.

use std::cmp::Reverse;

use actors::activity::Activity;
use actors::api_key::KeyStatus;
use actors::generation::{Generation, Status};
use actors::id::{AccountId, ApiKeyId, GenerationId};
use actors::logged_request::{RequestLine, StatusClass};
use actors::ports::StoreError;
use actors::ports::deliveries::LoggedDelivery;
use actors::ports::logs::{GenerationFilter, LogStore, Page, RequestFilter, Window};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::activities::ActivityRow;
use crate::store::delivery_log::{LoggedRow, with_status};
use crate::store::generations::key;
use crate::store::paging::{Paging, Sought};
use crate::store::{Store, database, on};

const REQUESTS: Paging = Paging {
    table: "logged_requests",
    columns: "logged.*",
    joined: "",
    matches: "($5 IS NULL
             OR lower(logged.key_name) LIKE $5 ESCAPE '!'
             OR lower(logged.key_prefix) LIKE $5 ESCAPE '!'
             OR lower(logged.method) LIKE $5 ESCAPE '!'
             OR lower(logged.endpoint) LIKE $5 ESCAPE '!'
             OR lower(logged.query) LIKE $5 ESCAPE '!'
             OR lower(logged.code) LIKE $5 ESCAPE '!'
             OR logged.ip_hash LIKE $5 ESCAPE '!'
             OR CAST(logged.status AS TEXT) LIKE $5 ESCAPE '!'
             OR (logged.replayed AND 'replay' LIKE $5 ESCAPE '!'))
         AND ($6 IS NULL OR logged.id = $6 OR logged.api_key_id = $6)
         AND ($7 IS NULL OR logged.method = $7)
         AND ($8 IS NULL OR logged.api_key_id = $8)",
};

const ACTIVITIES: Paging = Paging {
    table: "activities",
    columns: "logged.*, COALESCE(users.name, api_keys.name) AS name",
    joined: "LEFT JOIN users ON logged.actor = 'user' AND users.id = logged.actor_id
         LEFT JOIN api_keys ON logged.actor = 'key'
           AND api_keys.account_id = logged.account_id AND api_keys.id = logged.actor_id",
    matches: "($5 IS NULL
             OR lower(logged.description) LIKE $5 ESCAPE '!'
             OR lower(logged.category || '.' || logged.action) LIKE $5 ESCAPE '!'
             OR lower(COALESCE(users.name, api_keys.name, logged.actor)) LIKE $5 ESCAPE '!')
         AND ($6 IS NULL OR logged.id = $6)
         AND ($7 IS NULL OR logged.category = $7)
         AND ($8 IS NULL OR logged.actor_id = $8)",
};

const GENERATIONS: Paging = Paging {
    table: "generations",
    columns: "logged.id",
    joined: "",
    matches: "($5 IS NULL
             OR lower(logged.model) LIKE $5 ESCAPE '!'
             OR logged.media LIKE $5 ESCAPE '!'
             OR logged.status LIKE $5 ESCAPE '!'
             OR lower(logged.failure_code) LIKE $5 ESCAPE '!'
             OR lower(logged.failure_message) LIKE $5 ESCAPE '!')
         AND ($6 IS NULL OR logged.id = $6)
         AND ($7 IS NULL OR logged.model = $7)
         AND ($8 IS NULL OR logged.api_key_id = $8)",
};

const NEWEST: &str = "SELECT id, status FROM generations
     WHERE account_id = $1 ORDER BY id DESC LIMIT $2";

const DELIVERIES: &str = "SELECT logged.*, {resent status} AS resent_status
     FROM webhook_deliveries AS logged
     WHERE logged.account_id = $1 AND logged.generation_id = $2
     ORDER BY logged.id LIMIT $3";

#[async_trait]
impl LogStore for Store {
    async fn search_requests(
        &self,
        account_id: AccountId,
        window: &Window,
        filter: &RequestFilter,
        limit: u32,
    ) -> Result<Page<RequestLine>, StoreError> {
        // What is rare has a partial index, and so has what was asked with a key.
        const RARE: &str = "logged_requests_rare";
        let (indexed, index) = match filter.class {
            None if filter.key.is_some() => ("api_key_id = {key}", "logged_requests_key"),
            None => ("", ""),
            Some(StatusClass::Success) => ("", ""),
            Some(StatusClass::Redirect) => ("status >= 300 AND status / 100 = 3", RARE),
            Some(StatusClass::ClientError) => ("status >= 300 AND status / 100 = 4", RARE),
            Some(StatusClass::ServerError) => ("status >= 300 AND status / 100 = 5", RARE),
        };
        // Most are of this class, so no index is kept of it.
        let also = match filter.class {
            Some(StatusClass::Success) => "logged.status < 300",
            _ => "",
        };
        let key = filter.key.map(|id| id.0);
        let sought = Sought { indexed, index, also, key, ..Sought::default() };
        let page = REQUESTS.page(&self.db, account_id, (window, sought), limit, RequestRow::id);
        let Page { rows, next } = page.await?;
        let rows = rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Page { rows, next })
    }

    async fn search_activities(
        &self,
        account_id: AccountId,
        window: &Window,
        category: Option<&str>,
        limit: u32,
    ) -> Result<Page<Activity>, StoreError> {
        let sought = Sought { name: category, ..Sought::default() };
        let id = |row: &ActivityRow| row.id;
        let page = ACTIVITIES.page(&self.db, account_id, (window, sought), limit, id).await?;
        Ok(Page { rows: page.rows.into_iter().map(Into::into).collect(), next: page.next })
    }

    async fn search_generations(
        &self,
        account_id: AccountId,
        window: &Window,
        filter: &GenerationFilter,
        limit: u32,
    ) -> Result<Page<Generation>, StoreError> {
        // What did not succeed has a partial index; what is in flight is among the newest.
        let (indexed, also) = match filter.status {
            None => ("", ""),
            Some(Status::Pending) => ("", "logged.status = 'pending'"),
            Some(Status::Processing) => ("", "logged.status = 'processing'"),
            Some(Status::Succeeded) => ("", "logged.status = 'succeeded'"),
            Some(Status::Failed) => ("status = 'failed'", ""),
            Some(Status::Canceled) => ("status = 'canceled'", ""),
        };
        let key_id = filter.key.map(|id| id.0);
        let name = filter.model.as_deref();
        let sought = Sought { indexed, also, name, key: key_id, ..Sought::default() };
        // An id is found wherever it is.
        let named = window.text.as_deref().and_then(|text| Uuid::try_parse(text).ok());
        if let Some(id) = named {
            return self.only(account_id, GenerationId(id), filter).await;
        }
        let id = |row: &(Uuid,)| row.0;
        let page = GENERATIONS.page(&self.db, account_id, (window, sought), limit, id).await?;
        let keys: Vec<_> =
            page.rows.iter().map(|row| key(account_id, GenerationId(row.0))).collect();
        let mut rows = self.read(&keys).await?;
        rows.sort_unstable_by_key(|generation| Reverse(generation.id));
        if window.oldest_first {
            rows.reverse();
        }
        Ok(Page { rows, next: page.next })
    }

    async fn newest_generations(
        &self,
        account_id: AccountId,
        limit: u32,
    ) -> Result<Vec<(GenerationId, String)>, StoreError> {
        let rows: Vec<(Uuid, String)> = on!(&self.db, pool => {
            let query = sqlx::query_as(NEWEST).bind(account_id.0).bind(i64::from(limit));
            query.fetch_all(pool).await
        })
        .map_err(database)?;
        Ok(rows.into_iter().map(|(id, status)| (GenerationId(id), status)).collect())
    }

    async fn generation_deliveries(
        &self,
        account_id: AccountId,
        id: GenerationId,
        limit: u32,
    ) -> Result<Vec<LoggedDelivery>, StoreError> {
        let rows: Vec<LoggedRow> = on!(&self.db, pool => {
            let query = sqlx::query_as(with_status(DELIVERIES)).bind(account_id.0).bind(id.0);
            query.bind(i64::from(limit)).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

impl Store {
    /// The generation of an id, if it is one of those that a filter lets through.
    async fn only(
        &self,
        account_id: AccountId,
        id: GenerationId,
        filter: &GenerationFilter,
    ) -> Result<Page<Generation>, StoreError> {
        let mut rows = self.read(&[key(account_id, id)]).await?;
        rows.retain(|generation| {
            filter.status.is_none_or(|status| generation.status() == status)
                && filter.model.as_ref().is_none_or(|model| generation.model == *model)
                && (filter.key.is_none() || generation.asked_by.key == filter.key)
        });
        Ok(Page { rows, next: None })
    }
}

#[derive(Debug, sqlx::FromRow)]
struct RequestRow {
    id: Uuid,
    api_key_id: Uuid,
    key_name: String,
    key_prefix: String,
    key_status: String,
    method: String,
    endpoint: String,
    query: Option<String>,
    status: i64,
    code: Option<String>,
    replayed: bool,
    ip_hash: String,
    user_agent: Option<String>,
    requested_at: DateTime<Utc>,
}

impl RequestRow {
    fn id(&self) -> Uuid {
        self.id
    }
}

impl TryFrom<RequestRow> for RequestLine {
    type Error = StoreError;

    fn try_from(row: RequestRow) -> Result<Self, StoreError> {
        let name = row.id;
        let corrupt = || StoreError::Corrupt(format!("logged request {name}"));
        Ok(Self {
            id: row.id,
            key_id: ApiKeyId(row.api_key_id),
            key_name: row.key_name,
            key_prefix: row.key_prefix,
            key_status: KeyStatus::parse(&row.key_status).ok_or_else(corrupt)?,
            method: row.method,
            endpoint: row.endpoint,
            query: row.query,
            status: u16::try_from(row.status).map_err(|_| corrupt())?,
            code: row.code,
            replayed: row.replayed,
            ip_hash: row.ip_hash,
            user_agent: row.user_agent,
            at: row.requested_at,
        })
    }
}
