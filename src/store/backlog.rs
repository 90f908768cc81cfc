//! What is waiting, for metrics and readiness.

use actors::ports::{Backlog, BacklogStore, StoreError};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::store::{Store, database, on};

const IN_FLIGHT: &str = "SELECT status, COUNT(*) AS number, MIN(due_at) AS due_at
     FROM generations WHERE due_at IS NOT NULL GROUP BY status";

const OLDEST_DELIVERY: &str = "SELECT MIN((
         SELECT MIN(next_try_at) FROM webhook_deliveries
         WHERE webhook_deliveries.account_id = webhook_endpoints.account_id
           AND webhook_deliveries.endpoint_id = webhook_endpoints.id
           AND webhook_deliveries.next_try_at IS NOT NULL)) AS due_at
     FROM webhook_endpoints WHERE enabled AND (paused_until IS NULL OR paused_until <= $1)";

#[derive(Debug, sqlx::FromRow)]
struct InFlightRow {
    status: String,
    number: i64,
    due_at: Option<DateTime<Utc>>,
}

#[async_trait]
impl BacklogStore for Store {
    async fn backlog(&self, now: DateTime<Utc>) -> Result<Backlog, StoreError> {
        let (rows, delivery): (Vec<InFlightRow>, (Option<DateTime<Utc>>,)) = on!(&self.db, pool => {
            let rows = sqlx::query_as(IN_FLIGHT).fetch_all(pool).await.map_err(database)?;
            let oldest = sqlx::query_as(OLDEST_DELIVERY).bind(now).fetch_one(pool).await;
            (rows, oldest.map_err(database)?)
        });
        let mut backlog = Backlog { delivery_due_at: delivery.0, ..Backlog::default() };
        for row in rows {
            let number = u64::try_from(row.number).unwrap_or_default();
            match row.status.as_str() {
                "pending" => backlog.pending = number,
                _ => backlog.processing = number,
            }
            let oldest = [backlog.generation_due_at, row.due_at];
            backlog.generation_due_at = oldest.into_iter().flatten().min();
        }
        Ok(backlog)
    }
}
