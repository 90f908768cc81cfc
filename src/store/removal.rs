//! Accounts that were deleted.
//!
//! With the deletion, everything by which somebody can get in goes, in one transaction. What may
//! be much, generations with their files and what hangs on them, goes afterwards, and can be
//! broken off at any point. The ledger stays, as it always does, and with it the account's row.

use std::sync::LazyLock;

use actors::id::AccountId;
use actors::ports::StoreError;
use actors::ports::people::RemovalStore;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::store::rowset::{ACCOUNT_KEY, AccountKey, Id, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, database, on};

/// What is left says nothing of whose it was.
static MARK: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("at", Kind::Time)],
        "UPDATE accounts SET
             deleted_at = r.at,
             name = 'Deleted account',
             email = NULL,
             slug = NULL,
             primary_owner_id = NULL
         FROM {rows} AS r
         WHERE accounts.id = r.account_id AND accounts.deleted_at IS NULL",
    )
});

static FINISH: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("at", Kind::Time)],
        "UPDATE accounts SET removed_at = r.at FROM {rows} AS r
         WHERE accounts.id = r.account_id
           AND accounts.deleted_at IS NOT NULL AND accounts.generations = 0",
    )
});

fn delete(statement: &str) -> SetStatement {
    SetStatement::new(&ACCOUNT_KEY, statement)
}

/// Deletes all rows of an account from a table.
macro_rules! delete_from {
    ($table:literal) => {
        LazyLock::new(|| {
            delete(concat!(
                "DELETE FROM ",
                $table,
                " WHERE account_id IN (SELECT account_id FROM {rows} AS r)"
            ))
        })
    };
}

/// With deliveries and the log of requests, by the foreign keys.
static WAYS_IN: [LazyLock<SetStatement>; 6] = [
    delete_from!("members"),
    delete_from!("invitations"),
    delete_from!("one_time_tokens"),
    delete_from!("mails"),
    delete_from!("api_keys"),
    delete_from!("webhook_endpoints"),
];

static REST: [LazyLock<SetStatement>; 7] = [
    delete_from!("idempotency_records"),
    delete_from!("attempts"),
    delete_from!("request_days"),
    delete_from!("tallies"),
    delete_from!("activities"),
    delete_from!("notifications"),
    delete_from!("credit_alerts"),
];

const LIST: &str = "SELECT id FROM accounts
     WHERE deleted_at <= $1 AND removed_at IS NULL ORDER BY id LIMIT $2";

#[async_trait]
impl RemovalStore for Store {
    async fn list_removals_any_account(
        &self,
        deleted_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<AccountId>, StoreError> {
        let rows: Vec<Uuid> = on!(&self.db, pool => {
            let query = sqlx::query_scalar(LIST).bind(deleted_before);
            query.bind(i64::from(limit)).fetch_all(pool).await
        })
        .map_err(database)?;
        Ok(rows.into_iter().map(AccountId).collect())
    }

    async fn finish_removal(
        &self,
        account_id: AccountId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let row = json!({ "account_id": Id(account_id.0), "at": Time(at) });
        if transaction.execute(&FINISH, &[row]).await? == 0 {
            return Ok(());
        }
        for statement in &REST {
            transaction.execute(statement, &[AccountKey::new(account_id)]).await?;
        }
        transaction.commit().await
    }
}

/// Deletes an account as part of a unit: nobody can get in any more.
pub(crate) async fn begin(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = json!({ "account_id": Id(account_id.0), "at": Time(at) });
    transaction.write("accounts", &MARK, &[row]).await?;
    for statement in &WAYS_IN {
        transaction.execute(statement, &[AccountKey::new(account_id)]).await?;
    }
    Ok(())
}
