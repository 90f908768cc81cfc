//! Who belongs to which account.

use actors::account::AccountKind;
use actors::id::UserId;
use actors::member::{Membership, PERSONAL};
use actors::permission::Role;
use actors::ports::StoreError;
use actors::ports::people::MembershipStore;
use async_trait::async_trait;
use uuid::Uuid;

use crate::store::accounts::AccountRow;
use crate::store::{Store, database, on};

/// `personal` comes before `team`.
const LIST_MEMBERSHIPS: &str = "SELECT accounts.*, members.role, members.user_id
     FROM members
     JOIN accounts ON accounts.id = members.account_id
     WHERE members.user_id = $1 AND accounts.deleted_at IS NULL
     ORDER BY accounts.kind, accounts.name, accounts.id";

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

/// The role that follows from the row of a member and that of the account.
pub(crate) fn role(stored: &str, user_id: Uuid, primary_owner_id: Option<Uuid>) -> Option<Role> {
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
        let account = actors::account::Account::try_from(row.account)?;
        let corrupt = || StoreError::Corrupt(format!("a member of account {}", account.id));
        let role = role(&row.role, row.user_id, row.primary_owner_id).ok_or_else(corrupt)?;
        let slug = match account.kind {
            AccountKind::Personal => PERSONAL.to_owned(),
            AccountKind::Team => row.slug.ok_or_else(corrupt)?,
        };
        Ok(Self { slug, role, account })
    }
}
