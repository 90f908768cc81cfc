//! API keys.

use std::net::IpAddr;
use std::sync::LazyLock;

use actors::account::Plan;
use actors::activity::{By, Deed, NewActivity};
use actors::api_key::{ApiKey, Credential, Rotated, Rotation, Scope};
use actors::id::{AccountId, ApiKeyId};
use actors::money::Credits;
use actors::ports::{KeyRefusal, KeyStore, StoreError};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::store::rowset::{AccountKey, Id, KEY, Key, Kind, SetStatement, Time};
use crate::store::spendings::{self, SpendingColumns};
use crate::store::standings::{self, StandingRow};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, activities, database, on};

/// Writes a new key.
static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("name", Kind::Text),
            ("prefix", Kind::Text),
            ("hash", Kind::Text),
            ("scopes", Kind::Json),
            ("allowed_ips", Kind::Json),
            ("region", Kind::Text),
            ("created_at", Kind::Time),
            ("expires_at", Kind::Time),
            ("monthly_limit_millicredits", Kind::Int),
            ("spent_month", Kind::Int),
            ("spent_millicredits", Kind::Int),
        ],
        "INSERT INTO api_keys (
             account_id, id, name, prefix, hash, scopes, allowed_ips, region, created_at, expires_at,
             monthly_limit_millicredits, spent_month, spent_millicredits)
         SELECT
             account_id, id, name, prefix, hash, scopes, allowed_ips, region, created_at, expires_at,
             monthly_limit_millicredits, spent_month, spent_millicredits
         FROM {rows} AS r",
    )
});

/// Reads keys, locked.
static LOAD: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "SELECT stored.* FROM {rows} AS r
         JOIN api_keys AS stored ON stored.account_id = r.account_id AND stored.id = r.id
         {for update by id}",
    )
});

/// How many keys of an account can still be used at a time.
static COUNT_USABLE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("at", Kind::Time)],
        "SELECT COUNT(*) AS usable FROM {rows} AS r
         JOIN api_keys AS stored ON stored.account_id = r.account_id
         WHERE stored.revoked_at IS NULL
           AND (stored.expires_at IS NULL OR stored.expires_at > r.at)",
    )
});

/// Notes that a key was replaced, once.
static ROTATE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("rotated_at", Kind::Time),
            ("expires_at", Kind::Time),
        ],
        "UPDATE api_keys SET
             rotated_at = r.rotated_at,
             expires_at = r.expires_at
         FROM {rows} AS r
         WHERE api_keys.account_id = r.account_id
           AND api_keys.id = r.id
           AND api_keys.rotated_at IS NULL
           AND api_keys.revoked_at IS NULL",
    )
});

/// The first revocation counts.
static REVOKE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("id", Kind::Id), ("at", Kind::Time)],
        "UPDATE api_keys SET revoked_at = COALESCE(api_keys.revoked_at, r.at)
         FROM {rows} AS r
         WHERE api_keys.account_id = r.account_id AND api_keys.id = r.id",
    )
});

/// In the writer's order of locks: it locks keys that have a limit.
static TOUCH: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("id", Kind::Id), ("at", Kind::Time)],
        "UPDATE api_keys SET last_used_at = used.at
         FROM (
             SELECT stored.id, r.at FROM {rows} AS r
             JOIN api_keys AS stored ON stored.id = r.id
             {for update by id}
         ) AS used
         WHERE api_keys.id = used.id
           AND (api_keys.last_used_at IS NULL OR api_keys.last_used_at < used.at)",
    )
});

static DELETE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "DELETE FROM api_keys WHERE EXISTS (
             SELECT 1 FROM {rows} AS r
             WHERE api_keys.account_id = r.account_id AND api_keys.id = r.id)",
    )
});

const LIST_BY_PREFIX: &str = "SELECT api_keys.*, accounts.plan, accounts.suspended_at FROM api_keys
     JOIN accounts ON accounts.id = api_keys.account_id
     WHERE api_keys.prefix = $1 ORDER BY api_keys.id";

const FIND: &str = "SELECT api_keys.*, accounts.plan, accounts.suspended_at FROM api_keys
     JOIN accounts ON accounts.id = api_keys.account_id
     WHERE api_keys.id = $1";

/// Ids are made in time order, so this is newest first.
const LIST: &str = "SELECT * FROM api_keys WHERE account_id = $1 ORDER BY id DESC";

#[async_trait]
impl KeyStore for Store {
    async fn create_key(
        &self,
        key: ApiKey,
        keys_max: u32,
        by: By,
    ) -> Result<Result<(), KeyRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        // The account's row is locked so that two new keys count each other.
        let account: Vec<StandingRow> =
            transaction.fetch(&standings::LOAD, &[AccountKey::new(key.account_id)]).await?;
        if !account.iter().any(StandingRow::is_live) {
            return Ok(Err(KeyRefusal::UnknownAccount));
        }
        let at = Moment { account_id: Id(key.account_id.0), at: Time(key.created_at) };
        let usable: Vec<(i64,)> = transaction.fetch(&COUNT_USABLE, &[at]).await?;
        if usable.first().is_some_and(|(usable,)| *usable >= i64::from(keys_max)) {
            return Ok(Err(KeyRefusal::TooMany(keys_max)));
        }
        insert(&mut transaction, &key).await?;
        log(&mut transaction, &key, "created", by).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn list_keys_by_prefix_any_account(
        &self,
        prefix: &str,
    ) -> Result<Vec<Credential>, StoreError> {
        let rows: Vec<CredentialRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST_BY_PREFIX).bind(prefix).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn find_key_any_account(&self, id: ApiKeyId) -> Result<Option<Credential>, StoreError> {
        let row: Option<CredentialRow> = on!(&self.db, pool => {
            sqlx::query_as(FIND).bind(id.0).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(TryInto::try_into).transpose()
    }

    async fn list_keys(&self, account_id: AccountId) -> Result<Vec<ApiKey>, StoreError> {
        let rows: Vec<KeyRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST).bind(account_id.0).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn rotate_key(
        &self,
        account_id: AccountId,
        id: ApiKeyId,
        rotation: Rotation,
        by: By,
    ) -> Result<Result<Rotated, KeyRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let Some(key) = load(&mut transaction, account_id, id).await? else {
            return Ok(Err(KeyRefusal::UnknownKey));
        };
        let rotated = match key.rotate(rotation) {
            Ok(rotated) => rotated,
            Err(status) => return Ok(Err(KeyRefusal::NotActive(status))),
        };
        transaction.write("api_keys", &ROTATE, &[rotation_out(&rotated.old)]).await?;
        insert(&mut transaction, &rotated.new).await?;
        log(&mut transaction, &rotated.old, "rotated", by).await?;
        transaction.commit().await?;
        Ok(Ok(rotated))
    }

    async fn revoke_key(
        &self,
        account_id: AccountId,
        id: ApiKeyId,
        by: By,
    ) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let Some(key) = load(&mut transaction, account_id, id).await? else { return Ok(false) };
        if key.revoked_at.is_some() {
            return Ok(true);
        }
        let revoked = Revocation { account_id: Id(account_id.0), id: Id(id.0), at: Time(by.at) };
        transaction.write("api_keys", &REVOKE, &[revoked]).await?;
        log(&mut transaction, &key, "revoked", by).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn limit_key(
        &self,
        account_id: AccountId,
        id: ApiKeyId,
        limit: Option<Credits>,
    ) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let limit = spendings::limit_out(account_id, id, limit);
        let existed = transaction.execute(&spendings::LIMIT, &[limit]).await?;
        transaction.commit().await?;
        Ok(existed > 0)
    }

    async fn delete_key(
        &self,
        account_id: AccountId,
        id: ApiKeyId,
        by: By,
    ) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let Some(key) = load(&mut transaction, account_id, id).await? else { return Ok(false) };
        let gone = Key { account_id: Id(account_id.0), id: Id(id.0) };
        transaction.write("api_keys", &DELETE, &[gone]).await?;
        log(&mut transaction, &key, "deleted", by).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn touch_keys(&self, used: Vec<(ApiKeyId, DateTime<Utc>)>) -> Result<(), StoreError> {
        let rows: Vec<Use> =
            used.into_iter().map(|(id, at)| Use { id: Id(id.0), at: Time(at) }).collect();
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        transaction.execute(&TOUCH, &rows).await?;
        transaction.commit().await
    }
}

/// Writes a new key as part of a unit.
pub(crate) async fn insert(
    transaction: &mut WriteTransaction<'_>,
    key: &ApiKey,
) -> Result<(), StoreError> {
    transaction.write("api_keys", &INSERT, &[key_out(key)]).await
}

/// Reads and locks a key as part of a unit.
async fn load(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    id: ApiKeyId,
) -> Result<Option<ApiKey>, StoreError> {
    let key = Key { account_id: Id(account_id.0), id: Id(id.0) };
    let rows: Vec<KeyRow> = transaction.fetch(&LOAD, &[key]).await?;
    rows.into_iter().next().map(TryInto::try_into).transpose()
}

/// Writes down what was done to a key as part of a unit.
async fn log(
    transaction: &mut WriteTransaction<'_>,
    key: &ApiKey,
    action: &'static str,
    by: By,
) -> Result<(), StoreError> {
    let deed = Deed::api_key(action, &key.name, &key.prefix);
    let activity = NewActivity { account_id: key.account_id, by, deed };
    activities::record(transaction, &activity).await
}

#[derive(Debug, Serialize)]
struct Moment {
    account_id: Id,
    at: Time,
}

#[derive(Debug, Serialize)]
struct Revocation {
    account_id: Id,
    id: Id,
    at: Time,
}

#[derive(Debug, Serialize)]
struct Use {
    id: Id,
    at: Time,
}

#[derive(Debug, sqlx::FromRow)]
struct KeyRow {
    account_id: Uuid,
    id: Uuid,
    name: String,
    prefix: String,
    hash: String,
    scopes: Json<Vec<String>>,
    allowed_ips: Json<Vec<String>>,
    region: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    rotated_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    #[sqlx(flatten)]
    spending: SpendingColumns,
}

impl TryFrom<KeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("API key {}", row.id));
        let scopes = row.scopes.0.iter().map(|scope| Scope::parse(scope));
        // An address that cannot be read must not widen the list by dropping out of it.
        let allowed_ips = row.allowed_ips.0.iter().map(|ip| ip.parse::<IpAddr>().ok());
        Ok(Self {
            account_id: AccountId(row.account_id),
            id: ApiKeyId(row.id),
            scopes: scopes.collect::<Option<_>>().ok_or_else(corrupt)?,
            allowed_ips: allowed_ips.collect::<Option<_>>().ok_or_else(corrupt)?,
            name: row.name,
            prefix: row.prefix,
            hash: row.hash,
            region: row.region,
            created_at: row.created_at,
            expires_at: row.expires_at,
            rotated_at: row.rotated_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            spending: row.spending.read().ok_or_else(corrupt)?,
        })
    }
}

#[derive(Debug, sqlx::FromRow)]
struct CredentialRow {
    #[sqlx(flatten)]
    key: KeyRow,
    plan: String,
    suspended_at: Option<DateTime<Utc>>,
}

impl TryFrom<CredentialRow> for Credential {
    type Error = StoreError;

    fn try_from(row: CredentialRow) -> Result<Self, StoreError> {
        let key = ApiKey::try_from(row.key)?;
        let corrupt = || StoreError::Corrupt(format!("account {}", key.account_id));
        let plan = Plan::parse(&row.plan).ok_or_else(corrupt)?;
        Ok(Self { plan, suspended: row.suspended_at.is_some(), key })
    }
}

/// A new key on its way into the database.
#[derive(Debug, Serialize)]
struct KeyOut<'a> {
    account_id: Id,
    id: Id,
    name: &'a str,
    prefix: &'a str,
    hash: &'a str,
    scopes: Vec<&'static str>,
    allowed_ips: Vec<String>,
    region: Option<&'a str>,
    created_at: Time,
    expires_at: Option<Time>,
    monthly_limit_millicredits: Option<i64>,
    spent_month: u32,
    spent_millicredits: i64,
}

fn key_out(key: &ApiKey) -> KeyOut<'_> {
    KeyOut {
        account_id: Id(key.account_id.0),
        id: Id(key.id.0),
        name: &key.name,
        prefix: &key.prefix,
        hash: &key.hash,
        scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
        allowed_ips: key.allowed_ips.iter().map(|ip| ip.to_canonical().to_string()).collect(),
        region: key.region.as_deref(),
        created_at: Time(key.created_at),
        expires_at: key.expires_at.map(Time),
        monthly_limit_millicredits: key.spending.limit.map(Credits::thousandths),
        spent_month: key.spending.month.0,
        spent_millicredits: key.spending.spent.thousandths(),
    }
}

/// A replaced key on its way into the database.
#[derive(Debug, Serialize)]
struct RotationOut {
    account_id: Id,
    id: Id,
    rotated_at: Option<Time>,
    expires_at: Option<Time>,
}

fn rotation_out(old: &ApiKey) -> RotationOut {
    RotationOut {
        account_id: Id(old.account_id.0),
        id: Id(old.id.0),
        rotated_at: old.rotated_at.map(Time),
        expires_at: old.expires_at.map(Time),
    }
}
