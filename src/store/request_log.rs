//! The log of authenticated requests, the days they are counted into, and usage.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actors::account::Plan;
use actors::id::AccountId;
use actors::logged_request::{DayKey, LoggedRequest, RequestCounts, by_day};
use actors::ports::{RequestLogStore, StoreError};
use actors::tally;
use actors::usage::{EndpointUsage, ProviderUsage, Usage, UsageWindow};
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use providers::name::ProviderName;
use serde::Serialize;

use crate::store::rowset::{Id, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, database, is_unique_violation, on, tallies};

/// Writes requests whose key is still there.
static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("api_key_id", Kind::Id),
            ("key_name", Kind::Text),
            ("key_prefix", Kind::Text),
            ("key_status", Kind::Text),
            ("method", Kind::Text),
            ("endpoint", Kind::Text),
            ("query", Kind::Text),
            ("status", Kind::Int),
            ("code", Kind::Text),
            ("replayed", Kind::Bool),
            ("ip_hash", Kind::Text),
            ("user_agent", Kind::Text),
            ("requested_at", Kind::Time),
            ("took_us", Kind::Int),
        ],
        "INSERT INTO logged_requests (
             account_id, id, api_key_id, key_name, key_prefix, key_status, method, endpoint,
             query, status, code, replayed, ip_hash, user_agent, requested_at, took_us)
         SELECT
             r.account_id, r.id, r.api_key_id, r.key_name, r.key_prefix, r.key_status, r.method,
             r.endpoint, r.query, r.status, r.code, r.replayed, r.ip_hash, r.user_agent,
             r.requested_at, r.took_us
         FROM {rows} AS r
         JOIN api_keys AS stored
           ON stored.account_id = r.account_id AND stored.id = r.api_key_id",
    )
});

/// Adds to days.
static COUNT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("day", Kind::Text),
            ("endpoint", Kind::Text),
            ("code", Kind::Text),
            ("successes", Kind::Int),
            ("client_errors", Kind::Int),
            ("server_errors", Kind::Int),
        ],
        "INSERT INTO request_days (
             account_id, day, endpoint, code, successes, client_errors, server_errors)
         SELECT account_id, day, endpoint, code, successes, client_errors, server_errors
         FROM {rows} AS r WHERE true
         ON CONFLICT (account_id, day, endpoint, code) DO UPDATE SET
             successes = request_days.successes + excluded.successes,
             client_errors = request_days.client_errors + excluded.client_errors,
             server_errors = request_days.server_errors + excluded.server_errors",
    )
});

const ENDPOINTS: &str = "SELECT endpoint, code,
         CAST(SUM(successes) AS BIGINT) AS successes,
         CAST(SUM(client_errors) AS BIGINT) AS client_errors,
         CAST(SUM(server_errors) AS BIGINT) AS server_errors
     FROM request_days
     WHERE account_id = $1 AND day >= $2
     GROUP BY endpoint, code ORDER BY endpoint, code";

/// The first attempt is written with its generation, so there are as many of those as
/// generations, also of deleted ones.
const PROVIDERS: &str = "SELECT provider, outcome, COUNT(*) AS attempts,
         COUNT(*) FILTER (WHERE number = 1) AS generations,
         CAST(SUM(estimated_cost_microcredits) AS BIGINT) AS cost
     FROM attempts
     WHERE account_id = $1 AND generation_id >= $2
     GROUP BY provider, outcome ORDER BY provider, outcome";

#[async_trait]
impl RequestLogStore for Store {
    async fn log_requests(&self, requests: Vec<LoggedRequest>) -> Result<(), StoreError> {
        let rows: Vec<RequestOut<'_>> = requests.iter().map(request_out).collect();
        let days = by_day(&requests);
        let days: Vec<DayOut<'_>> = days.iter().map(|(day, counts)| day_out(day, counts)).collect();
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        match transaction.execute(&INSERT, &rows).await {
            Ok(_) => {}
            // The ids were drawn for these very requests: they have been written, and whoever
            // did it has not heard of the commit.
            Err(error) if is_unique_violation(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        transaction.write("request_days", &COUNT, &days).await?;
        let counted = tally::of_requests(&requests);
        transaction.write("tallies", &tallies::ADD, &tallies::tallies_out(&counted)).await?;
        transaction.commit().await
    }

    async fn forget_requests_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.forget_requests(plan, before, limit).await
    }

    async fn usage(&self, account_id: AccountId, window: UsageWindow) -> Result<Usage, StoreError> {
        let (day, first_id) = (day_text(window.from), window.first_id());
        let (endpoints, providers) = on!(&self.db, pool => {
            let endpoints = sqlx::query_as(ENDPOINTS).bind(account_id.0).bind(day);
            let endpoints = endpoints.fetch_all(pool).await.map_err(database)?;
            let providers = sqlx::query_as(PROVIDERS).bind(account_id.0).bind(first_id);
            (endpoints, providers.fetch_all(pool).await.map_err(database)?)
        });
        let (providers, generations) = by_provider(providers)?;
        Ok(Usage { endpoints: by_endpoint(endpoints)?, providers, generations })
    }
}

#[derive(Debug, sqlx::FromRow)]
struct EndpointRow {
    endpoint: String,
    code: String,
    successes: i64,
    client_errors: i64,
    server_errors: i64,
}

fn by_endpoint(rows: Vec<EndpointRow>) -> Result<Vec<EndpointUsage>, StoreError> {
    let mut endpoints = BTreeMap::<String, EndpointUsage>::new();
    for row in rows {
        let counts = RequestCounts {
            successes: count(row.successes)?,
            client_errors: count(row.client_errors)?,
            server_errors: count(row.server_errors)?,
        };
        let name = row.endpoint.clone();
        let usage = endpoints.entry(row.endpoint).or_insert_with(|| EndpointUsage {
            endpoint: name,
            counts: RequestCounts::default(),
            codes: Vec::new(),
        });
        usage.counts.add(counts);
        if !row.code.is_empty() {
            usage.codes.push((row.code, counts.total()));
        }
    }
    Ok(endpoints.into_values().collect())
}

#[derive(Debug, sqlx::FromRow)]
struct ProviderRow {
    provider: String,
    outcome: String,
    attempts: i64,
    generations: i64,
    cost: i64,
}

fn by_provider(rows: Vec<ProviderRow>) -> Result<(Vec<ProviderUsage>, u64), StoreError> {
    let mut providers = BTreeMap::<&'static str, ProviderUsage>::new();
    let mut generations = 0;
    for row in rows {
        let corrupt = |what: &str| StoreError::Corrupt(format!("an attempt's {what}"));
        let provider = ProviderName::parse(&row.provider).ok_or_else(|| corrupt("provider"))?;
        let usage =
            providers.entry(provider.as_str()).or_insert_with(|| ProviderUsage::new(provider));
        let attempts = count(row.attempts)?;
        let wasted = match row.outcome.as_str() {
            "pending" => false,
            "used" => {
                usage.used = attempts;
                false
            }
            "canceled" => {
                usage.canceled = attempts;
                true
            }
            "discarded" => {
                usage.discarded = attempts;
                true
            }
            "failed" => {
                usage.failed = attempts;
                true
            }
            _ => return Err(corrupt("outcome")),
        };
        usage.submissions += attempts;
        usage.cost_microcredits += row.cost;
        usage.wasted_microcredits += if wasted { row.cost } else { 0 };
        generations += count(row.generations)?;
    }
    Ok((providers.into_values().collect(), generations))
}

fn count(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("a count of {number}")))
}

/// The text of a day in tables, which sorts as days do.
pub(crate) fn day_text(day: NaiveDate) -> String {
    day.format("%Y-%m-%d").to_string()
}

/// A request on its way into the database.
#[derive(Debug, Serialize)]
struct RequestOut<'a> {
    account_id: Id,
    id: Id,
    api_key_id: Id,
    key_name: &'a str,
    key_prefix: &'a str,
    key_status: &'static str,
    method: &'a str,
    endpoint: &'a str,
    query: Option<&'a str>,
    status: u16,
    code: Option<&'static str>,
    replayed: bool,
    ip_hash: &'a str,
    user_agent: Option<&'a str>,
    requested_at: Time,
    took_us: u64,
}

fn request_out(request: &LoggedRequest) -> RequestOut<'_> {
    RequestOut {
        account_id: Id(request.key.account_id.0),
        id: Id(request.id),
        api_key_id: Id(request.key.id.0),
        key_name: &request.key.name,
        key_prefix: &request.key.prefix,
        key_status: request.key_status.as_str(),
        method: &request.method,
        endpoint: &request.endpoint,
        query: request.query.as_deref(),
        status: request.status,
        code: request.code,
        replayed: request.replayed,
        ip_hash: &request.ip_hash,
        user_agent: request.user_agent.as_deref(),
        requested_at: Time(request.at),
        took_us: u64::try_from(request.took.as_micros()).unwrap_or(u64::MAX),
    }
}

/// What a batch adds to a day.
#[derive(Debug, Serialize)]
struct DayOut<'a> {
    account_id: Id,
    day: String,
    endpoint: &'a str,
    code: &'static str,
    successes: u64,
    client_errors: u64,
    server_errors: u64,
}

fn day_out<'a>(day: &'a DayKey, counts: &RequestCounts) -> DayOut<'a> {
    DayOut {
        account_id: Id(day.account_id.0),
        day: day_text(day.day),
        endpoint: &day.endpoint,
        code: day.code.unwrap_or_default(),
        successes: counts.successes,
        client_errors: counts.client_errors,
        server_errors: counts.server_errors,
    }
}
