//! Teams and who belongs to them.

use std::sync::LazyLock;

use actors::account::{Account, AccountKind};
use actors::activity::{By, Deed, NewActivity};
use actors::id::{AccountId, TokenId, UserId};
use actors::member::{Member, Membership, PERSONAL};
use actors::permission::{Permission, Role, may};
use actors::ports::StoreError;
use actors::ports::teams::{MembershipStore, TeamRefusal, TeamStore};
use actors::user::Email;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::store::accounts::{self, AccountRow};
use crate::store::rowset::{ACCOUNT_KEY, AccountKey, Id, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, activities, database, is_unique_violation, on, removal, tokens};

/// `personal` comes before `team`.
const LIST_MEMBERSHIPS: &str = "SELECT accounts.*, members.role, members.user_id
     FROM members
     JOIN accounts ON accounts.id = members.account_id
     WHERE members.user_id = $1 AND accounts.deleted_at IS NULL
     ORDER BY accounts.kind, accounts.name, accounts.id";

/// The primary owner is first.
const LIST_MEMBERS: &str = "SELECT
         members.user_id,
         members.role,
         members.joined_at,
         users.name,
         users.email,
         accounts.primary_owner_id
     FROM members
     JOIN users ON users.id = members.user_id
     JOIN accounts ON accounts.id = members.account_id
     WHERE members.account_id = $1
     ORDER BY CASE WHEN accounts.primary_owner_id = members.user_id THEN 0 ELSE 1 END,
         members.joined_at, members.user_id";

/// Reads and locks the row of a team that is there.
static LOCK_TEAM: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &ACCOUNT_KEY,
        "SELECT stored.id, stored.primary_owner_id FROM {rows} AS r
         JOIN accounts AS stored ON stored.id = r.account_id
         WHERE stored.kind = 'team' AND stored.deleted_at IS NULL
         {for update}",
    )
});

static LOAD_ROLE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("user_id", Kind::Id)],
        "SELECT members.role, users.email FROM {rows} AS r
         JOIN members ON members.account_id = r.account_id AND members.user_id = r.user_id
         JOIN users ON users.id = members.user_id",
    )
});

static COUNT_TEAMS: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("user_id", Kind::Id)],
        "SELECT COUNT(*) AS teams FROM {rows} AS r
         JOIN accounts ON accounts.primary_owner_id = r.user_id AND accounts.kind = 'team'",
    )
});

/// Gives an account its primary owner, and a team its slug.
static OWN: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("slug", Kind::Text), ("user_id", Kind::Id)],
        "UPDATE accounts SET primary_owner_id = r.user_id, slug = r.slug FROM {rows} AS r
         WHERE accounts.id = r.account_id AND accounts.primary_owner_id IS NULL",
    )
});

static HAND_OVER: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("giver", Kind::Id), ("heir", Kind::Id)],
        "UPDATE accounts SET primary_owner_id = r.heir FROM {rows} AS r
         WHERE accounts.id = r.account_id AND accounts.primary_owner_id = r.giver",
    )
});

static CHANGE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("name", Kind::Text), ("slug", Kind::Text)],
        "UPDATE accounts SET name = r.name, slug = r.slug FROM {rows} AS r
         WHERE accounts.id = r.account_id",
    )
});

static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("user_id", Kind::Id),
            ("role", Kind::Text),
            ("joined_at", Kind::Time),
        ],
        "INSERT INTO members (account_id, user_id, role, joined_at)
         SELECT account_id, user_id, role, joined_at FROM {rows} AS r",
    )
});

static SET_ROLE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("user_id", Kind::Id), ("role", Kind::Text)],
        "UPDATE members SET role = r.role FROM {rows} AS r
         WHERE members.account_id = r.account_id AND members.user_id = r.user_id",
    )
});

static REMOVE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("user_id", Kind::Id)],
        "DELETE FROM members WHERE EXISTS (
             SELECT 1 FROM {rows} AS r
             WHERE members.account_id = r.account_id AND members.user_id = r.user_id)",
    )
});

#[async_trait]
impl MembershipStore for Store {
    async fn list_memberships(&self, user_id: UserId) -> Result<Vec<Membership>, StoreError> {
        let rows: Vec<MembershipRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST_MEMBERSHIPS).bind(user_id.0).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

#[async_trait]
impl TeamStore for Store {
    async fn create_team(
        &self,
        account: Account,
        slug: &str,
        owner: UserId,
        teams_max: u32,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let user = [json!({ "user_id": Id(owner.0) })];
        let teams: Vec<(i64,)> = transaction.fetch(&COUNT_TEAMS, &user).await?;
        if teams.first().is_some_and(|(teams,)| *teams >= i64::from(teams_max)) {
            return Ok(Err(TeamRefusal::TooMany(teams_max)));
        }
        let account = accounts::insert(&mut transaction, account, None).await?;
        match own(&mut transaction, account.id, Some(slug), owner).await {
            Err(error) if is_unique_violation(&error) => return Ok(Err(TeamRefusal::SlugTaken)),
            owned => owned?,
        }
        join_as_owner(&mut transaction, account.id, owner, by.at).await?;
        let deed = Deed::new("membership", "joined", format!("{} was created", account.name));
        let activity = NewActivity { account_id: account.id, by, deed };
        activities::record(&mut transaction, &activity).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn change_team(
        &self,
        account_id: AccountId,
        name: &str,
        slug: &str,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        if Team::lock(&mut transaction, account_id).await?.is_none() {
            return Ok(Err(TeamRefusal::NotAllowed));
        }
        let row = json!({ "account_id": Id(account_id.0), "name": name, "slug": slug });
        match transaction.write("accounts", &CHANGE, &[row]).await {
            Err(error) if is_unique_violation(&error) => return Ok(Err(TeamRefusal::SlugTaken)),
            written => written?,
        }
        let deed = Deed::new("account", "updated", format!("Name {name}, address {slug}"));
        activities::record(&mut transaction, &NewActivity { account_id, by, deed }).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn list_members(&self, account_id: AccountId) -> Result<Vec<Member>, StoreError> {
        let rows: Vec<MemberRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST_MEMBERS).bind(account_id.0).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn change_role(
        &self,
        account_id: AccountId,
        manager: UserId,
        user_id: UserId,
        role: Role,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let Some(team) = Team::lock(&mut transaction, account_id).await? else {
            return Ok(Err(TeamRefusal::NotAllowed));
        };
        let Some((manager, _)) = team.role(&mut transaction, manager).await? else {
            return Ok(Err(TeamRefusal::NotAllowed));
        };
        let Some((before, email)) = team.role(&mut transaction, user_id).await? else {
            return Ok(Err(TeamRefusal::UnknownMember));
        };
        if !manager.manages(before) || !manager.grants().contains(&role) {
            return Ok(Err(TeamRefusal::NotAllowed));
        }
        if before == role {
            return Ok(Err(TeamRefusal::SameRole));
        }
        set_role(&mut transaction, account_id, user_id, role).await?;
        let told = format!("{email} is {} instead of {}", role.as_str(), before.as_str());
        let deed = Deed::new("membership", "role_changed", told);
        activities::record(&mut transaction, &NewActivity { account_id, by, deed }).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn remove_member(
        &self,
        account_id: AccountId,
        manager: UserId,
        user_id: UserId,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let Some(team) = Team::lock(&mut transaction, account_id).await? else {
            return Ok(Err(TeamRefusal::NotAllowed));
        };
        let Some((role, _)) = team.role(&mut transaction, manager).await? else {
            return Ok(Err(TeamRefusal::NotAllowed));
        };
        let Some((before, email)) = team.role(&mut transaction, user_id).await? else {
            return Ok(Err(TeamRefusal::UnknownMember));
        };
        let leaves = manager == user_id;
        let allowed = if leaves { may(role, Permission::LeaveTeam) } else { role.manages(before) };
        if !allowed {
            return Ok(Err(TeamRefusal::NotAllowed));
        }
        let row = json!({ "account_id": Id(account_id.0), "user_id": Id(user_id.0) });
        transaction.write("members", &REMOVE, &[row]).await?;
        let told = if leaves { format!("{email} left") } else { format!("{email} was removed") };
        let deed = Deed::new("membership", "removed", told);
        activities::record(&mut transaction, &NewActivity { account_id, by, deed }).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn transfer_team(
        &self,
        account_id: AccountId,
        from: UserId,
        to: UserId,
        code: TokenId,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let Some(team) = Team::lock(&mut transaction, account_id).await? else {
            return Ok(Err(TeamRefusal::NotAllowed));
        };
        if team.primary_owner_id != Some(from.0) || from == to {
            return Ok(Err(TeamRefusal::NotAllowed));
        }
        let Some((_, email)) = team.role(&mut transaction, to).await? else {
            return Ok(Err(TeamRefusal::UnknownMember));
        };
        if !tokens::spend(&mut transaction, from, code, by.at).await? {
            return Ok(Err(TeamRefusal::CodeSpent));
        }
        let row = json!({
            "account_id": Id(account_id.0),
            "giver": Id(from.0),
            "heir": Id(to.0),
        });
        transaction.write("accounts", &HAND_OVER, &[row]).await?;
        // The one before stays, as an owner, which is what is stored of both.
        set_role(&mut transaction, account_id, to, Role::Owner).await?;
        let deed = Deed::new("membership", "role_changed", format!("{email} is primary-owner"));
        activities::record(&mut transaction, &NewActivity { account_id, by, deed }).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn delete_team(
        &self,
        account_id: AccountId,
        owner: UserId,
        code: TokenId,
        at: DateTime<Utc>,
    ) -> Result<Result<(), TeamRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let Some(team) = Team::lock(&mut transaction, account_id).await? else {
            return Ok(Err(TeamRefusal::NotAllowed));
        };
        if team.primary_owner_id != Some(owner.0) {
            return Ok(Err(TeamRefusal::NotAllowed));
        }
        if !tokens::spend(&mut transaction, owner, code, at).await? {
            return Ok(Err(TeamRefusal::CodeSpent));
        }
        removal::begin(&mut transaction, account_id, at).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }
}

/// A team whose row is locked, so that its members and their roles stay as they are.
pub(crate) struct Team {
    account_id: AccountId,
    primary_owner_id: Option<Uuid>,
}

impl Team {
    /// `None` when it is not there, or not a team.
    pub(crate) async fn lock(
        transaction: &mut WriteTransaction<'_>,
        account_id: AccountId,
    ) -> Result<Option<Self>, StoreError> {
        let key = [AccountKey::new(account_id)];
        let found: Vec<(Uuid, Option<Uuid>)> = transaction.fetch(&LOCK_TEAM, &key).await?;
        let found = found.into_iter().next();
        Ok(found.map(|(_, primary_owner_id)| Self { account_id, primary_owner_id }))
    }

    /// What somebody is in it, and the address.
    pub(crate) async fn role(
        &self,
        transaction: &mut WriteTransaction<'_>,
        user_id: UserId,
    ) -> Result<Option<(Role, Email)>, StoreError> {
        let key = json!({ "account_id": Id(self.account_id.0), "user_id": Id(user_id.0) });
        let found: Vec<(String, String)> = transaction.fetch(&LOAD_ROLE, &[key]).await?;
        let Some((stored, email)) = found.into_iter().next() else { return Ok(None) };
        let corrupt = || StoreError::Corrupt(format!("member {user_id}"));
        let role = role(&stored, user_id.0, self.primary_owner_id).ok_or_else(corrupt)?;
        Ok(Some((role, Email::parse(&email).map_err(|_| corrupt())?)))
    }
}

/// Gives a new account its primary owner as part of a unit.
pub(crate) async fn own(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    slug: Option<&str>,
    user_id: UserId,
) -> Result<(), StoreError> {
    let row = json!({
        "account_id": Id(account_id.0),
        "slug": slug,
        "user_id": Id(user_id.0),
    });
    transaction.write("accounts", &OWN, &[row]).await
}

/// Makes the primary owner of an account its member as part of a unit.
pub(crate) async fn join_as_owner(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    user_id: UserId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    join(transaction, account_id, user_id, Role::Owner, at).await
}

/// Makes somebody a member as part of a unit.
pub(crate) async fn join(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    user_id: UserId,
    role: Role,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = json!({
        "account_id": Id(account_id.0),
        "user_id": Id(user_id.0),
        "role": role.as_str(),
        "joined_at": Time(at),
    });
    transaction.write("members", &INSERT, &[row]).await
}

async fn set_role(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    user_id: UserId,
    role: Role,
) -> Result<(), StoreError> {
    let row = json!({
        "account_id": Id(account_id.0),
        "user_id": Id(user_id.0),
        "role": role.as_str(),
    });
    transaction.write("members", &SET_ROLE, &[row]).await
}

/// The role that follows from the row of a member and that of the account.
fn role(stored: &str, user_id: Uuid, primary_owner_id: Option<Uuid>) -> Option<Role> {
    match Role::parse(stored)? {
        _ if primary_owner_id == Some(user_id) => Some(Role::PrimaryOwner),
        Role::PrimaryOwner => None,
        role @ (Role::Owner | Role::Member) => Some(role),
    }
}

#[derive(Debug, sqlx::FromRow)]
struct MembershipRow {
    #[sqlx(flatten)]
    account: AccountRow,
    slug: Option<String>,
    primary_owner_id: Option<Uuid>,
    role: String,
    user_id: Uuid,
}

impl TryFrom<MembershipRow> for Membership {
    type Error = StoreError;

    fn try_from(row: MembershipRow) -> Result<Self, StoreError> {
        let account = Account::try_from(row.account)?;
        let corrupt = || StoreError::Corrupt(format!("a member of account {}", account.id));
        let role = role(&row.role, row.user_id, row.primary_owner_id).ok_or_else(corrupt)?;
        let slug = match account.kind {
            AccountKind::Personal => PERSONAL.to_owned(),
            AccountKind::Team => row.slug.ok_or_else(corrupt)?,
        };
        Ok(Self { slug, role, account })
    }
}

#[derive(Debug, sqlx::FromRow)]
struct MemberRow {
    user_id: Uuid,
    role: String,
    joined_at: DateTime<Utc>,
    name: String,
    email: String,
    primary_owner_id: Option<Uuid>,
}

impl TryFrom<MemberRow> for Member {
    type Error = StoreError;

    fn try_from(row: MemberRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("member {}", row.user_id));
        Ok(Self {
            user_id: UserId(row.user_id),
            role: role(&row.role, row.user_id, row.primary_owner_id).ok_or_else(corrupt)?,
            email: Email::parse(&row.email).map_err(|_| corrupt())?,
            name: row.name,
            joined_at: row.joined_at,
        })
    }
}
