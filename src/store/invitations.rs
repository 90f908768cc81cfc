//! Invitations to teams.

use std::sync::LazyLock;

use actors::activity::{By, Deed, NewActivity};
use actors::id::{AccountId, InvitationId, UserId};
use actors::member::Invitation;
use actors::permission::{Permission, Role, may};
use actors::ports::StoreError;
use actors::ports::teams::{InvitationStore, NewInvitation, TeamRefusal};
use actors::user::Email;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::store::members::{self, Team};
use crate::store::rowset::{ACCOUNT_KEY, AccountKey, Id, KEY, Key, Kind, SetStatement, Time};
use crate::store::transaction::WriteTransaction;
use crate::store::{Store, activities, database, on};

static INSERT: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("email", Kind::Text),
            ("role", Kind::Text),
            ("token_hash", Kind::Text),
            ("created_at", Kind::Time),
            ("expires_at", Kind::Time),
        ],
        "INSERT INTO invitations (account_id, id, email, role, token_hash, created_at, expires_at)
         SELECT account_id, id, email, role, token_hash, created_at, expires_at
         FROM {rows} AS r",
    )
});

static COUNT_PLACES: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &ACCOUNT_KEY,
        "SELECT
             (SELECT COUNT(*) FROM members WHERE members.account_id = r.account_id)
             + (SELECT COUNT(*) FROM invitations WHERE invitations.account_id = r.account_id)
             AS places
         FROM {rows} AS r",
    )
});

/// Which of some addresses are those of members, or have an invitation that is not of this id.
static TAKEN: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("id", Kind::Id), ("email", Kind::Text)],
        "SELECT r.email, TRUE AS member FROM {rows} AS r
         JOIN users ON users.email = r.email
         JOIN members ON members.account_id = r.account_id AND members.user_id = users.id
         UNION ALL
         SELECT r.email, FALSE AS member FROM {rows} AS r
         JOIN invitations ON invitations.account_id = r.account_id
           AND invitations.email = r.email AND invitations.id <> r.id",
    )
});

static LOAD: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "SELECT stored.* FROM {rows} AS r
         JOIN invitations AS stored ON stored.account_id = r.account_id AND stored.id = r.id
         {for update}",
    )
});

static SET_ROLE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("id", Kind::Id), ("role", Kind::Text)],
        "UPDATE invitations SET role = r.role FROM {rows} AS r
         WHERE invitations.account_id = r.account_id AND invitations.id = r.id",
    )
});

static RENEW: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[
            ("account_id", Kind::Id),
            ("id", Kind::Id),
            ("token_hash", Kind::Text),
            ("expires_at", Kind::Time),
        ],
        "UPDATE invitations SET token_hash = r.token_hash, expires_at = r.expires_at
         FROM {rows} AS r
         WHERE invitations.account_id = r.account_id AND invitations.id = r.id",
    )
});

static REMOVE: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &KEY,
        "DELETE FROM invitations WHERE EXISTS (
             SELECT 1 FROM {rows} AS r
             WHERE invitations.account_id = r.account_id AND invitations.id = r.id)",
    )
});

static SLUG_AND_EMAIL: LazyLock<SetStatement> = LazyLock::new(|| {
    SetStatement::new(
        &[("account_id", Kind::Id), ("user_id", Kind::Id)],
        "SELECT accounts.slug, users.email FROM {rows} AS r
         JOIN accounts ON accounts.id = r.account_id
         JOIN users ON users.id = r.user_id",
    )
});

/// Ids are made in time order, so this is newest first.
const LIST: &str = "SELECT * FROM invitations WHERE account_id = $1 ORDER BY id DESC";

const FIND: &str = "SELECT invitations.*, accounts.name AS team FROM invitations
     JOIN accounts ON accounts.id = invitations.account_id
     WHERE invitations.token_hash = $1";

const FIND_KEY: &str = "SELECT account_id, id FROM invitations WHERE token_hash = $1";

#[async_trait]
impl InvitationStore for Store {
    async fn invite(
        &self,
        account_id: AccountId,
        inviter: UserId,
        invitations: Vec<NewInvitation>,
        places_max: u32,
    ) -> Result<Result<(), TeamRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let Some(team) = Team::lock(&mut transaction, account_id).await? else {
            return Ok(Err(TeamRefusal::NotAllowed));
        };
        let Some((role, _)) = team.role(&mut transaction, inviter).await? else {
            return Ok(Err(TeamRefusal::NotAllowed));
        };
        let granted = |new: &NewInvitation| role.grants().contains(&new.invitation.role);
        if !may(role, Permission::InviteMembers) || !invitations.iter().all(granted) {
            return Ok(Err(TeamRefusal::NotAllowed));
        }
        let places: Vec<(i64,)> =
            transaction.fetch(&COUNT_PLACES, &[AccountKey::new(account_id)]).await?;
        let places = places.first().map_or(0, |(places,)| *places) + invitations.len() as i64;
        if places > i64::from(places_max) {
            return Ok(Err(TeamRefusal::TooMany(places_max)));
        }
        if let Some(refusal) = taken(&mut transaction, &invitations).await? {
            return Ok(Err(refusal));
        }
        for new in &invitations {
            transaction.write("invitations", &INSERT, &[invitation_out(new)]).await?;
            self.post(&mut transaction, &new.mail).await?;
            let told = format!("{} as {}", new.invitation.email, new.invitation.role.as_str());
            let deed = Deed::new("invitation", "sent", told);
            let activity = NewActivity { account_id, by: new.by, deed };
            activities::record(&mut transaction, &activity).await?;
        }
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn list_invitations(&self, account_id: AccountId) -> Result<Vec<Invitation>, StoreError> {
        let rows: Vec<InvitationRow> = on!(&self.db, pool => {
            sqlx::query_as(LIST).bind(account_id.0).fetch_all(pool).await
        })
        .map_err(database)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn find_invitation_any_account(
        &self,
        token_hash: &str,
    ) -> Result<Option<(Invitation, String)>, StoreError> {
        let row: Option<FoundRow> = on!(&self.db, pool => {
            sqlx::query_as(FIND).bind(token_hash).fetch_optional(pool).await
        })
        .map_err(database)?;
        row.map(|row| Ok((row.invitation.try_into()?, row.team))).transpose()
    }

    async fn change_invitation(
        &self,
        account_id: AccountId,
        manager: UserId,
        id: InvitationId,
        role: Role,
    ) -> Result<Result<(), TeamRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let (manager, invitation) = match managed(&mut transaction, account_id, manager, id).await?
        {
            Ok(managed) => managed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if !manager.grants().contains(&role) {
            return Ok(Err(TeamRefusal::NotAllowed));
        }
        if invitation.role == role {
            return Ok(Err(TeamRefusal::SameRole));
        }
        let row = json!({
            "account_id": Id(account_id.0),
            "id": Id(id.0),
            "role": role.as_str(),
        });
        transaction.write("invitations", &SET_ROLE, &[row]).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn renew_invitation(
        &self,
        manager: UserId,
        renewed: NewInvitation,
    ) -> Result<Result<(), TeamRefusal>, StoreError> {
        let (account_id, id) = (renewed.invitation.account_id, renewed.invitation.id);
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        if let Err(refusal) = managed(&mut transaction, account_id, manager, id).await? {
            return Ok(Err(refusal));
        }
        let row = json!({
            "account_id": Id(account_id.0),
            "id": Id(id.0),
            "token_hash": renewed.token_hash,
            "expires_at": Time(renewed.invitation.expires_at),
        });
        transaction.write("invitations", &RENEW, &[row]).await?;
        self.post(&mut transaction, &renewed.mail).await?;
        let deed = Deed::new("invitation", "sent", format!("{}, again", renewed.invitation.email));
        let activity = NewActivity { account_id, by: renewed.by, deed };
        activities::record(&mut transaction, &activity).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn remove_invitation(
        &self,
        account_id: AccountId,
        manager: UserId,
        id: InvitationId,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError> {
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        let invitation = match managed(&mut transaction, account_id, manager, id).await? {
            Ok((_, invitation)) => invitation,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let key = Key { account_id: Id(account_id.0), id: Id(id.0) };
        transaction.write("invitations", &REMOVE, &[key]).await?;
        let deed = Deed::new("invitation", "revoked", invitation.email.to_string());
        activities::record(&mut transaction, &NewActivity { account_id, by, deed }).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn accept_invitation(
        &self,
        token_hash: &str,
        user_id: UserId,
        by: By,
    ) -> Result<Result<String, TeamRefusal>, StoreError> {
        let found: Option<(Uuid, Uuid)> = on!(&self.db, pool => {
            sqlx::query_as(FIND_KEY).bind(token_hash).fetch_optional(pool).await
        })
        .map_err(database)?;
        let Some((account_id, id)) = found else {
            return Ok(Err(TeamRefusal::UnknownInvitation));
        };
        let account_id = AccountId(account_id);
        let mut transaction = WriteTransaction::begin(&self.db).await?;
        // The team first, as everywhere, and then the invitation as it is now.
        let Some(team) = Team::lock(&mut transaction, account_id).await? else {
            return Ok(Err(TeamRefusal::UnknownInvitation));
        };
        let key = || Key { account_id: Id(account_id.0), id: Id(id) };
        let rows: Vec<InvitationRow> = transaction.fetch(&LOAD, &[key()]).await?;
        let row = rows.into_iter().next().filter(|row| row.token_hash == token_hash);
        let Some(row) = row else { return Ok(Err(TeamRefusal::UnknownInvitation)) };
        let invitation = Invitation::try_from(row)?;
        if !invitation.is_active(by.at) {
            return Ok(Err(TeamRefusal::Expired));
        }
        let whom = json!({ "account_id": Id(account_id.0), "user_id": Id(user_id.0) });
        let found: Vec<(String, String)> = transaction.fetch(&SLUG_AND_EMAIL, &[whom]).await?;
        let Some((slug, email)) = found.into_iter().next() else {
            return Ok(Err(TeamRefusal::UnknownMember));
        };
        if invitation.email.as_str() != email {
            return Ok(Err(TeamRefusal::OtherAddress));
        }
        transaction.write("invitations", &REMOVE, &[key()]).await?;
        if team.role(&mut transaction, user_id).await?.is_some() {
            return Ok(Err(TeamRefusal::AlreadyMember(invitation.email)));
        }
        members::join(&mut transaction, account_id, user_id, invitation.role, by.at).await?;
        let told = format!("{email} joined as {}", invitation.role.as_str());
        let deed = Deed::new("membership", "joined", told);
        activities::record(&mut transaction, &NewActivity { account_id, by, deed }).await?;
        transaction.commit().await?;
        Ok(Ok(slug))
    }
}

/// The role of somebody who may manage invitations, and the invitation, locked.
async fn managed(
    transaction: &mut WriteTransaction<'_>,
    account_id: AccountId,
    manager: UserId,
    id: InvitationId,
) -> Result<Result<(Role, Invitation), TeamRefusal>, StoreError> {
    let Some(team) = Team::lock(transaction, account_id).await? else {
        return Ok(Err(TeamRefusal::NotAllowed));
    };
    let role = team.role(transaction, manager).await?.map(|(role, _)| role);
    let Some(role) = role.filter(|role| may(*role, Permission::ManageInvitations)) else {
        return Ok(Err(TeamRefusal::NotAllowed));
    };
    let key = Key { account_id: Id(account_id.0), id: Id(id.0) };
    let rows: Vec<InvitationRow> = transaction.fetch(&LOAD, &[key]).await?;
    match rows.into_iter().next() {
        Some(row) => Ok(Ok((role, row.try_into()?))),
        None => Ok(Err(TeamRefusal::UnknownInvitation)),
    }
}

/// Why one of these people cannot be invited.
async fn taken(
    transaction: &mut WriteTransaction<'_>,
    invitations: &[NewInvitation],
) -> Result<Option<TeamRefusal>, StoreError> {
    let rows: Vec<_> = invitations
        .iter()
        .map(|new| {
            json!({
                "account_id": Id(new.invitation.account_id.0),
                "id": Id(new.invitation.id.0),
                "email": new.invitation.email.as_str(),
            })
        })
        .collect();
    let taken: Vec<(String, bool)> = transaction.fetch(&TAKEN, &rows).await?;
    let Some((email, member)) = taken.into_iter().next() else { return Ok(None) };
    let email = Email::parse(&email).map_err(|_| StoreError::Corrupt(format!("user {email}")))?;
    Ok(Some(match member {
        true => TeamRefusal::AlreadyMember(email),
        false => TeamRefusal::AlreadyInvited(email),
    }))
}

fn invitation_out(new: &NewInvitation) -> serde_json::Value {
    let invitation = &new.invitation;
    json!({
        "account_id": Id(invitation.account_id.0),
        "id": Id(invitation.id.0),
        "email": invitation.email.as_str(),
        "role": invitation.role.as_str(),
        "token_hash": new.token_hash,
        "created_at": Time(invitation.created_at),
        "expires_at": Time(invitation.expires_at),
    })
}

#[derive(Debug, sqlx::FromRow)]
struct InvitationRow {
    account_id: Uuid,
    id: Uuid,
    email: String,
    role: String,
    token_hash: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl TryFrom<InvitationRow> for Invitation {
    type Error = StoreError;

    fn try_from(row: InvitationRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("invitation {}", row.id));
        Ok(Self {
            account_id: AccountId(row.account_id),
            id: InvitationId(row.id),
            email: Email::parse(&row.email).map_err(|_| corrupt())?,
            role: Role::parse(&row.role).ok_or_else(corrupt)?,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

#[derive(Debug, sqlx::FromRow)]
struct FoundRow {
    #[sqlx(flatten)]
    invitation: InvitationRow,
    team: String,
}
