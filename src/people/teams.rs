//! What people do with their teams.

use actors::account::{Account, AccountKind, Plan};
use actors::id::{AccountId, UserId};
use actors::mail::Mail;
use actors::member::{self, slug_of};
use actors::money::Credits;
use actors::permission::Role;
use actors::ports::teams::TeamStore;
use actors::user::{Purpose, User};

use super::{People, PeopleError, name};

/// Teams that one person is the primary owner of: each may have things stored and in flight.
const TEAMS_MAX: u32 = 20;

impl People {
    /// Makes a team, which belongs to whoever makes it. Answers its slug.
    ///
    /// # Errors
    /// [`PeopleError`]; for `slug`, when it has to be chosen because it does not follow from the
    /// name.
    pub async fn create_team(
        &self,
        owner: &User,
        typed_name: &str,
        typed_slug: &str,
    ) -> Result<String, PeopleError> {
        let name = name(typed_name)?;
        let slug = slug(&name, typed_slug)?;
        let by = self.context.of(owner.id).by();
        let account = Account {
            id: AccountId(self.context.ids.next()),
            name,
            kind: AccountKind::Team,
            plan: Plan::Free,
            email: None,
            balance: Credits::ZERO,
            failover_on_moderation: false,
            suspended_at: None,
            created_at: by.at,
        };
        self.context.store.create_team(account, &slug, owner.id, TEAMS_MAX, by).await??;
        Ok(slug)
    }

    /// Changes name and slug of a team. Answers the slug.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn change_team(
        &self,
        user: &User,
        account_id: AccountId,
        typed_name: &str,
        typed_slug: &str,
    ) -> Result<String, PeopleError> {
        let name = name(typed_name)?;
        let slug = slug(&name, typed_slug)?;
        let by = self.context.of(user.id).by();
        self.context.store.change_team(account_id, &name, &slug, by).await??;
        Ok(slug)
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn change_role(
        &self,
        manager: &User,
        account_id: AccountId,
        user_id: UserId,
        role: Role,
    ) -> Result<(), PeopleError> {
        let by = self.context.of(manager.id).by();
        let store = &self.context.store;
        Ok(store.change_role(account_id, manager.id, user_id, role, by).await??)
    }

    /// Removes a member; of oneself, that is leaving.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn remove_member(
        &self,
        manager: &User,
        account_id: AccountId,
        user_id: UserId,
    ) -> Result<(), PeopleError> {
        let by = self.context.of(manager.id).by();
        Ok(self.context.store.remove_member(account_id, manager.id, user_id, by).await??)
    }

    /// Sends the primary owner the code that hands a team over.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn send_transfer_code(
        &self,
        owner: &User,
        team: &Account,
    ) -> Result<(), PeopleError> {
        let mail = |code| {
            let mail = Mail::TransferCode { team: team.name.clone(), code };
            self.mail_about(&owner.email, team.id, mail)
        };
        self.send_code(owner, Purpose::Transfer(team.id), mail).await
    }

    /// Makes another member the primary owner.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn transfer_team(
        &self,
        owner: &User,
        account_id: AccountId,
        to: UserId,
        code: &str,
    ) -> Result<(), PeopleError> {
        let code = self.check_code(owner, &Purpose::Transfer(account_id), code).await?;
        let by = self.context.of(owner.id).by();
        Ok(self.context.store.transfer_team(account_id, owner.id, to, code, by).await??)
    }

    /// Sends the primary owner the code that deletes a team.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn send_team_deletion_code(
        &self,
        owner: &User,
        team: &Account,
    ) -> Result<(), PeopleError> {
        if !self.rules.team_deletion {
            return Err(PeopleError::Disabled);
        }
        let mail = |code| {
            let mail = Mail::TeamDeletionCode { team: team.name.clone(), code };
            self.mail_about(&owner.email, team.id, mail)
        };
        self.send_code(owner, Purpose::AccountDeletion(team.id), mail).await
    }

    /// Deletes a team with everything in it.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn delete_team(
        &self,
        owner: &User,
        account_id: AccountId,
        code: &str,
    ) -> Result<(), PeopleError> {
        if !self.rules.team_deletion {
            return Err(PeopleError::Disabled);
        }
        let code = self.check_code(owner, &Purpose::AccountDeletion(account_id), code).await?;
        Ok(self.context.store.delete_team(account_id, owner.id, code, self.now()).await??)
    }
}

/// The slug that was chosen, or else the one that follows from the name.
fn slug(name: &str, typed: &str) -> Result<String, PeopleError> {
    match typed.trim() {
        "" => slug_of(name).ok_or_else(|| {
            PeopleError::invalid(
                "slug",
                "must be chosen, since the name cannot stand in an address",
            )
        }),
        typed => member::slug(typed).map_err(|problem| PeopleError::invalid("slug", problem)),
    }
}
