//! Accounts, and the credit that operators grant them.

use std::sync::LazyLock;

use actors::account::{Account, AccountKind, Plan, Standing};
use actors::activity::{Actor, By, Deed, NewActivity};
use actors::api_key::ApiKey;
use actors::id::AccountId;
use actors::ledger::{Balance, EntryKind, EntrySubject, LedgerEntry, MovementError};
use actors::money::Credits;
use actors::operator::{AccountChange, Act, NewOperatorAction, Subject};
use actors::ports::{AccountStore, Grant, GrantRefusal, StoreError};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::store::ledger::{EntryRow, KeyOfGrant};
use crate::store::rowset::{ACCOUNT_KEY, AccountKey, Id, Kind, SetStatement, Time};
use crate::store::standings::{self, StandingRow};
use crate::store::transaction::WriteTransaction;
use crate::store::{
    Store, activities, alerts, database, is_unique_violation, keys, ledger, on, operator,
};

/// Writes a new account with its balance.
static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("id", Kind::Id),
            ("name", Kind::Text),
            ("kind", Kind::Text),
            ("plan", Kind::Text),
            ("email", Kind::Text),
            ("failover_on_moderation", Kind::Bool),
            ("balance_millicredits", Kind::Int),
            ("ledger_seq", Kind::Int),
            ("created_at", Kind::Time),
        ],
        "INSERT INTO accounts (
             id, name, kind, plan, email, failover_on_moderation, balance_millicredits, ledger_seq,
             created_at)
         SELECT
             id, name, kind, plan, email, failover_on_moderation, balance_millicredits, ledger_seq,
             created_at
         FROM {rows} AS r",
    )
});

const FIND: &str = "SELECT * FROM accounts WHERE id = $1 AND deleted_at IS NULL";

/// Ids are made in time order, so this is oldest first. The nil id is before every other.
const LIST: &str = "SELECT * FROM accounts WHERE id > $1 AND deleted_at IS NULL
     ORDER BY id LIMIT $2";

/// Reads an account, locked.
static LOAD: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &ACCOUNT_KEY,
        "SELECT stored.* FROM {rows} AS r
         JOIN accounts AS stored ON stored.id = r.account_id AND stored.deleted_at IS NULL
         {for update by id}",
    )
});

static CHANGE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("plan", Kind::Text),
            ("suspended_at", Kind::Time),
            ("failover_on_moderation", Kind::Bool),
        ],
        "UPDATE accounts SET
             plan = r.plan,
             suspended_at = r.suspended_at,
             failover_on_moderation = r.failover_on_moderation
         FROM {rows} AS r WHERE accounts.id = r.account_id",
    )
});

const ANY: &str = "SELECT EXISTS (SELECT 1 FROM accounts)";

/// Nobody else may write accounts until the transaction ends, since there is no row to lock
/// yet. SQLite has one writer at a time and needs no such thing.
const LOCK_ALL_POSTGRES: &str = "LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE";

#[async_trait]
impl AccountStore for Store {
    async fn create_account(
        &self,
        account: Account,
        grant: Option<Grant>,
        act: Act,
    ) -> Result<Account, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let account = insert(&mut transaction, account, grant).await?;
        let action = NewOperatorAction {
            act,
            action: "account.created",
            subject: Subject::Account(account.id),
            was: String::new(),
            became: format!("{}, {}", account.plan.as_str(), account.balance),
        };
        operator::record(&mut transaction, &action).await?;
        transaction.commit().await?;
        Ok(account)
    }

    async fn create_first_account(
        &self,
        account: Account,
        grant: Grant,
        key: ApiKey,
    ) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        if any_for_good(&mut transaction).await.map_err(database)? {
            return Ok(false);
        }
        insert(&mut transaction, account, Some(grant)).await?;
        keys::insert(&mut transaction, &key).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn has_accounts(&self) -> Result<bool, StoreError> {
        on!(&self.db, pool => sqlx::query_scalar(ANY).fetch_one(pool).await).map_err(database)
    }

    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let row: Option<AccountRow> = on!(&self.db, pool => {
            sqlx::query_as(FIND).bind(id.0).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(TryInto::try_into).transpose()
    }

    async fn list_accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        let after = after.map_or(Uuid::nil(), |id| id.0);
        let rows: Vec<AccountRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST).bind(after).bind(i64::from(limit)).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn grant(
        &self,
        account_id: AccountId,
        grant: Grant,
        act: Act,
    ) -> Result<Result<LedgerEntry, GrantRefusal>, StoreError> {
        match self.grant_once(account_id, &grant, &act).await {
            // Somebody used the key at the same moment for another account, whose row we did
            // not lock. What they did is durable now, and decides.
            Err(error) if is_unique_violation(&error) => {
                self.grant_once(account_id, &grant, &act).await
            }
            answered => answered,
        }
    }

    async fn change_account(
        &self,
        id: AccountId,
        change: AccountChange,
        act: Act,
    ) -> Result<bool, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let rows: Vec<AccountRow> = transaction.fetch(&LOAD, &[AccountKey::new(id)]).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(false) };
        let before = Account::try_from(row)?;
        let after = change.apply(before.clone(), act.by.at);
        if after == before {
            return Ok(true);
        }
        let row = json!({
            "account_id": Id(id.0),
            "plan": after.plan.as_str(),
            "suspended_at": after.suspended_at.map(Time),
            "failover_on_moderation": after.failover_on_moderation,
        });
        transaction.write("accounts", &CHANGE, &[row]).await?;
        // Its members are not told by whom.
        let by = By { actor: Actor::System, ..act.by };
        let deed = Deed::new("account", "updated", change.told());
        activities::record(&mut transaction, &NewActivity { account_id: id, by, deed }).await?;
        let action = NewOperatorAction {
            act,
            action: change.action(),
            subject: Subject::Account(id),
            was: change.state(&before).to_owned(),
            became: change.state(&after).to_owned(),
        };
        operator::record(&mut transaction, &action).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn list_entries(
        &self,
        account_id: AccountId,
        after_seq: i64,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        let rows: Vec<EntryRow> = on!(&self.db, pool => {
            sqlx::query_as(ledger::LIST)
                .bind(account_id.0)
                .bind(after_seq)
                .bind(i64::from(limit))
                .fetch_all(pool)
                .await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

impl Store {
    async fn grant_once(
        &self,
        account_id: AccountId,
        grant: &Grant,
        act: &Act,
    ) -> Result<Result<LedgerEntry, GrantRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let account = [AccountKey::new(account_id)];
        let found: Vec<StandingRow> = transaction.fetch(&standings::LOAD, &account).await?;
        let Some(found) = found.into_iter().find(StandingRow::is_live) else {
            return Ok(Err(GrantRefusal::UnknownAccount));
        };
        let used: Vec<EntryRow> =
            transaction.fetch(&ledger::FIND_GRANT, &[KeyOfGrant::new(&grant.key)]).await?;
        if let Some(used) = used.into_iter().next() {
            let entry = LedgerEntry::try_from(used)?;
            let same = entry.account_id == account_id && entry.amount == grant.amount;
            return Ok(if same { Ok(entry) } else { Err(GrantRefusal::KeyConflict) });
        }
        let before = Standing::try_from(found)?;
        let (mut after, entry) = match granted(before.balance, account_id, grant) {
            Ok((balance, entry)) => (Standing { balance, ..before }, entry),
            Err(MovementError::TooLarge | MovementError::InsufficientCredit) => {
                return Ok(Err(GrantRefusal::TooLarge));
            }
        };
        let mut alerts = alerts::load(&mut transaction, account_id).await?;
        if alerts.rise(after.balance.credits) {
            after.alert_below = alerts.alert_below();
            alerts::save(&mut transaction, account_id, &alerts).await?;
        }
        transaction.write("ledger_entries", &ledger::INSERT, &[ledger::entry_out(&entry)]).await?;
        let changed = [standings::standing_out(account_id, before, after)];
        transaction.write("accounts", &standings::UPDATE, &changed).await?;
        let action = NewOperatorAction {
            act: act.clone(),
            action: "credit.granted",
            subject: Subject::Account(account_id),
            was: before.balance.credits.to_string(),
            became: after.balance.credits.to_string(),
        };
        operator::record(&mut transaction, &action).await?;
        transaction.commit().await?;
        Ok(Ok(entry))
    }
}

/// The balance after a grant, and the entry that says so.
fn granted(
    mut balance: Balance,
    account_id: AccountId,
    grant: &Grant,
) -> Result<(Balance, LedgerEntry), MovementError> {
    let subject = EntrySubject {
        key: Some(grant.key.clone()),
        description: Some(grant.description.clone()),
        ..EntrySubject::default()
    };
    let entry = balance.record(account_id, EntryKind::Add, grant.amount, subject, grant.at)?;
    Ok((balance, entry))
}

/// Whether there is an account, with the answer staying true until the transaction ends.
async fn any_for_good(transaction: &mut WriteTransaction<'_>) -> Result<bool, sqlx::Error> {
    match transaction {
        WriteTransaction::Sqlite(transaction, _) => {
            sqlx::query_scalar(ANY).fetch_one(&mut **transaction).await
        }
        WriteTransaction::Postgres(transaction) => {
            sqlx::query(LOCK_ALL_POSTGRES).execute(&mut **transaction).await?;
            sqlx::query_scalar(ANY).fetch_one(&mut **transaction).await
        }
    }
}

/// Writes a new account with its first grant as part of a unit.
pub(crate) async fn insert(
    transaction: &mut WriteTransaction<'_>,
    account: Account,
    grant: Option<Grant>,
) -> Result<Account, StoreError> {
    let nothing = Balance { credits: Credits::ZERO, seq: 0 };
    let first = grant.map(|grant| {
        granted(nothing, account.id, &grant).expect("any amount fits on top of nothing")
    });
    let balance = first.as_ref().map_or(nothing, |(balance, _)| *balance);
    let account = Account { balance: balance.credits, ..account };
    transaction.write("accounts", &INSERT, &[account_out(&account, balance.seq)]).await?;
    if let Some((_, entry)) = first {
        let entry = [ledger::entry_out(&entry)];
        transaction.write("ledger_entries", &ledger::INSERT, &entry).await?;
    }
    Ok(account)
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct AccountRow {
    id: Uuid,
    name: String,
    kind: String,
    plan: String,
    email: Option<String>,
    failover_on_moderation: bool,
    suspended_at: Option<DateTime<Utc>>,
    balance_millicredits: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<AccountRow> for Account {
    type Error = StoreError;

    fn try_from(row: AccountRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("account {}", row.id));
        Ok(Self {
            id: AccountId(row.id),
            kind: AccountKind::parse(&row.kind).ok_or_else(corrupt)?,
            plan: Plan::parse(&row.plan).ok_or_else(corrupt)?,
            balance: Credits::from_balance(row.balance_millicredits).map_err(|_| corrupt())?,
            name: row.name,
            email: row.email,
            failover_on_moderation: row.failover_on_moderation,
            suspended_at: row.suspended_at,
            created_at: row.created_at,
        })
    }
}

/// A new account on its way into the database.
#[derive(Debug, Serialize)]
struct AccountOut<'a> {
    id: Id,
    name: &'a str,
    kind: &'static str,
    plan: &'static str,
    email: Option<&'a str>,
    failover_on_moderation: bool,
    balance_millicredits: i64,
    ledger_seq: i64,
    created_at: Time,
}

fn account_out(account: &Account, ledger_seq: i64) -> AccountOut<'_> {
    AccountOut {
        id: Id(account.id.0),
        name: &account.name,
        kind: account.kind.as_str(),
        plan: account.plan.as_str(),
        email: account.email.as_deref(),
        failover_on_moderation: account.failover_on_moderation,
        balance_millicredits: account.balance.thousandths(),
        ledger_seq,
        created_at: Time(account.created_at),
    }
}
