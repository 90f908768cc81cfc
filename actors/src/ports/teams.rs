//! Teams: who belongs to them, who is asked to, and what happened in them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::account::Account;
use crate::activity::{Activity, By};
use crate::id::{AccountId, ActivityId, InvitationId, TokenId, UserId};
use crate::mail::NewMail;
use crate::member::{Invitation, Member, Membership};
use crate::permission::Role;
use crate::ports::StoreError;
use crate::user::Email;

/// Which accounts people belong to.
#[async_trait]
pub trait MembershipStore: Send + Sync {
    /// The accounts of a person: the personal one first, then teams by name.
    async fn list_memberships(&self, user_id: UserId) -> Result<Vec<Membership>, StoreError>;
}

/// Why something was not done to a team or its members. What is allowed is decided again in the
/// transaction that does it, by the roles of that moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TeamRefusal {
    /// Not with this role.
    #[error("your role does not allow this")]
    NotAllowed,
    /// Another team has it.
    #[error("this address is taken")]
    SlugTaken,
    /// So many teams, or so many members and invitations, are the most.
    #[error("there can be at most {0}")]
    TooMany(u32),
    /// No such member.
    #[error("no such member")]
    UnknownMember,
    /// That is the role already.
    #[error("this is the role already")]
    SameRole,
    /// Is in the team already.
    #[error("{0} is a member already")]
    AlreadyMember(Email),
    /// Has an invitation already.
    #[error("{0} is invited already")]
    AlreadyInvited(Email),
    /// No such invitation, or not any more.
    #[error("this invitation does not exist any more")]
    UnknownInvitation,
    /// Its time is over.
    #[error("this invitation has expired")]
    Expired,
    /// It is for somebody else.
    #[error("this invitation is for another address")]
    OtherAddress,
    /// The code was used, or its time is over.
    #[error("this code has expired, or was used")]
    CodeSpent,
}

/// Teams and their members.
#[async_trait]
pub trait TeamStore: Send + Sync {
    /// Writes a team, with its primary owner, who may have `teams_max` of them.
    async fn create_team(
        &self,
        account: Account,
        slug: &str,
        owner: UserId,
        teams_max: u32,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError>;

    /// Changes name and slug.
    async fn change_team(
        &self,
        account_id: AccountId,
        name: &str,
        slug: &str,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError>;

    /// Everybody in it: the primary owner first, then by time.
    async fn list_members(&self, account_id: AccountId) -> Result<Vec<Member>, StoreError>;

    /// Gives a member another role, on behalf of another one.
    async fn change_role(
        &self,
        account_id: AccountId,
        manager: UserId,
        user_id: UserId,
        role: Role,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError>;

    /// Removes a member, on behalf of another one or of himself.
    async fn remove_member(
        &self,
        account_id: AccountId,
        manager: UserId,
        user_id: UserId,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError>;

    /// Makes another member the primary owner; the one before becomes an owner, and the code is
    /// used up.
    async fn transfer_team(
        &self,
        account_id: AccountId,
        from: UserId,
        to: UserId,
        code: TokenId,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError>;

    /// Deletes a team for its primary owner; the code is used up. Nobody can get in any more,
    /// by page or by key, when it returns; what is in flight and what is stored is removed later.
    async fn delete_team(
        &self,
        account_id: AccountId,
        owner: UserId,
        code: TokenId,
        at: DateTime<Utc>,
    ) -> Result<Result<(), TeamRefusal>, StoreError>;
}

/// An invitation on its way to somebody.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// For whom, and as what.
    pub invitation: Invitation,
    /// SHA-256 of the token in its link.
    pub token_hash: String,
    /// Brings the link.
    pub mail: NewMail,
    /// Who sends it.
    pub by: By,
}

/// Invitations to teams.
#[async_trait]
pub trait InvitationStore: Send + Sync {
    /// Writes invitations, all or none, up to `places_max` members and invitations together.
    async fn invite(
        &self,
        account_id: AccountId,
        inviter: UserId,
        invitations: Vec<NewInvitation>,
        places_max: u32,
    ) -> Result<Result<(), TeamRefusal>, StoreError>;

    /// Every one of a team, newest first.
    async fn list_invitations(&self, account_id: AccountId) -> Result<Vec<Invitation>, StoreError>;

    /// The one with this token, and the name of its team.
    async fn find_invitation_any_account(
        &self,
        token_hash: &str,
    ) -> Result<Option<(Invitation, String)>, StoreError>;

    /// Changes the role that it brings.
    async fn change_invitation(
        &self,
        account_id: AccountId,
        manager: UserId,
        id: InvitationId,
        role: Role,
    ) -> Result<Result<(), TeamRefusal>, StoreError>;

    /// Sends it again with another token and more time.
    async fn renew_invitation(
        &self,
        manager: UserId,
        renewed: NewInvitation,
    ) -> Result<Result<(), TeamRefusal>, StoreError>;

    /// Takes it back.
    async fn remove_invitation(
        &self,
        account_id: AccountId,
        manager: UserId,
        id: InvitationId,
        by: By,
    ) -> Result<Result<(), TeamRefusal>, StoreError>;

    /// Makes a person with the address of the invitation a member. Answers the team's slug.
    async fn accept_invitation(
        &self,
        token_hash: &str,
        user_id: UserId,
        by: By,
    ) -> Result<Result<String, TeamRefusal>, StoreError>;
}

/// What people did.
#[async_trait]
pub trait ActivityStore: Send + Sync {
    /// Lines of an account's log, newest first, before the last one of the page before.
    async fn list_activities(
        &self,
        account_id: AccountId,
        before: Option<ActivityId>,
        limit: u32,
    ) -> Result<Vec<Activity>, StoreError>;
}
