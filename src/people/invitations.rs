//! Invitations to teams.

use std::collections::BTreeSet;

use actors::account::Account;
use actors::id::{AccountId, InvitationId};
use actors::mail::Mail;
use actors::member::{INVITATION_LASTS, INVITATIONS_AT_ONCE, Invitation};
use actors::permission::Role;
use actors::ports::people::UserStore;
use actors::ports::teams::{InvitationStore, NewInvitation, TeamRefusal};
use actors::user::User;

use super::{People, PeopleError, email, links};
use crate::secrets::token_hash;

/// Members and invitations of a team together: a page shows all of them.
const PLACES_MAX: u32 = 200;

/// What a link to an invitation leads to.
#[derive(Debug, Clone)]
pub struct Invited {
    pub invitation: Invitation,
    /// The name of the team.
    pub team: String,
    /// Whether there is a user with the address already.
    pub is_known: bool,
}

impl People {
    /// Invites some people, all or none; the first is the address as typed.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn invite(
        &self,
        inviter: &User,
        team: &Account,
        typed: &[(String, Role)],
    ) -> Result<usize, PeopleError> {
        if typed.is_empty() || typed.len() > INVITATIONS_AT_ONCE {
            let problem = format!("must be 1 to {INVITATIONS_AT_ONCE} addresses");
            return Err(PeopleError::invalid("email", problem));
        }
        let mut seen = BTreeSet::new();
        let mut invitations = Vec::new();
        for (address, role) in typed {
            let address = email("email", address)?;
            if !seen.insert(address.clone()) {
                let problem = format!("must not name {address} twice");
                return Err(PeopleError::invalid("email", problem));
            }
            let now = self.now();
            let invitation = Invitation {
                account_id: team.id,
                id: InvitationId(self.context.ids.next()),
                email: address,
                role: *role,
                created_at: now,
                expires_at: now + INVITATION_LASTS,
            };
            invitations.push(self.sent(inviter, &team.name, invitation));
        }
        self.context.store.invite(team.id, inviter.id, invitations, PLACES_MAX).await??;
        self.posted();
        Ok(typed.len())
    }

    /// An invitation with a new link in a mail.
    fn sent(&self, inviter: &User, team: &str, invitation: Invitation) -> NewInvitation {
        let token = links::token();
        let mail = Mail::Invitation {
            team: team.to_owned(),
            inviter: inviter.name.clone(),
            role: invitation.role.as_str().to_owned(),
            link: format!("{}/invitations/{token}", self.url),
        };
        NewInvitation {
            token_hash: token_hash(&token),
            mail: self.mail_about(&invitation.email, invitation.account_id, mail),
            by: self.context.of(inviter.id).by(),
            invitation,
        }
    }

    /// Changes the role that an invitation brings.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn change_invitation(
        &self,
        manager: &User,
        account_id: AccountId,
        id: InvitationId,
        role: Role,
    ) -> Result<(), PeopleError> {
        Ok(self.context.store.change_invitation(account_id, manager.id, id, role).await??)
    }

    /// Sends an invitation again, with more time.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn renew_invitation(
        &self,
        manager: &User,
        team: &Account,
        id: InvitationId,
    ) -> Result<(), PeopleError> {
        let found = self.context.store.list_invitations(team.id).await?;
        let found = found.into_iter().find(|invitation| invitation.id == id);
        let invitation = found.ok_or(TeamRefusal::UnknownInvitation)?;
        let expires_at = self.now() + INVITATION_LASTS;
        let renewed = self.sent(manager, &team.name, Invitation { expires_at, ..invitation });
        self.context.store.renew_invitation(manager.id, renewed).await??;
        self.posted();
        Ok(())
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn remove_invitation(
        &self,
        manager: &User,
        account_id: AccountId,
        id: InvitationId,
    ) -> Result<(), PeopleError> {
        let by = self.context.of(manager.id).by();
        Ok(self.context.store.remove_invitation(account_id, manager.id, id, by).await??)
    }

    /// What a link leads to.
    ///
    /// # Errors
    /// [`PeopleError::Team`] when it is taken up, taken back or too old.
    pub async fn find_invitation(&self, token: &str) -> Result<Invited, PeopleError> {
        let store = &self.context.store;
        let found = store.find_invitation_any_account(&token_hash(token)).await?;
        let (invitation, team) = found.ok_or(TeamRefusal::UnknownInvitation)?;
        if !invitation.is_active(self.now()) {
            return Err(TeamRefusal::Expired.into());
        }
        let is_known = store.find_login(&invitation.email).await?.is_some();
        Ok(Invited { invitation, team, is_known })
    }

    /// Makes somebody who is signed in a member. Answers the team's slug.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn accept_invitation(&self, token: &str, user: &User) -> Result<String, PeopleError> {
        let by = self.context.of(user.id).by();
        Ok(self.context.store.accept_invitation(&token_hash(token), user.id, by).await??)
    }

    /// Makes a user of whoever is invited, and a member of him. Answers the team's slug too.
    ///
    /// # Errors
    /// [`PeopleError`]. Broken off in between, the user is there and can take the invitation up.
    pub async fn accept_as_new(
        &self,
        token: &str,
        typed_name: &str,
        password: &str,
    ) -> Result<(User, String), PeopleError> {
        let invited = self.find_invitation(token).await?;
        // The link came to the address, so it is theirs.
        let user = self.create_user(invited.invitation.email, typed_name, password).await?;
        let slug = self.accept_invitation(token, &user).await?;
        Ok((user, slug))
    }
}
