//! What the members of an account may do (`spec/dashboard.md` 1.2 and 1.3).

use self::Permission::{
    BuyPlans, ChangeAlerts, ChangeRoles, DeleteTeam, EditSettings, InviteMembers, LeaveTeam,
    ManageDomains, ManageGenerations, ManageInvitations, ManageKeys, ManageWebhooks, RemoveMembers,
    TransferOwnership, View,
};

/// What somebody is in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks on, and may invite others who do.
    Member,
    /// Runs it from day to day.
    Owner,
    /// Answers for it: exactly one, who is not stored as such but named by the account.
    PrimaryOwner,
}

impl Role {
    /// Every role, the lowest first.
    pub const ALL: [Self; 3] = [Self::Member, Self::Owner, Self::PrimaryOwner];

    /// The text on pages and in forms. The first two are also what tables hold.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Owner => "owner",
            Self::PrimaryOwner => "primary-owner",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Which roles somebody of this one may give to others: none above the own one, and never
    /// that of the primary owner, which is transferred.
    pub fn grants(self) -> &'static [Self] {
        match self {
            Self::Member => &[Self::Member],
            Self::Owner | Self::PrimaryOwner => &[Self::Member, Self::Owner],
        }
    }

    /// Whether somebody of this role may change the role of somebody of that one, or remove
    /// them: downwards only.
    pub fn manages(self, other: Self) -> bool {
        may(self, ChangeRoles) && self > other
    }
}

/// An act that not every member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Look at any page of the account, copy and export what is there.
    View,
    /// Create, rotate, revoke and delete API keys.
    ManageKeys,
    /// Create, change, test and delete webhook endpoints, and send events again.
    ManageWebhooks,
    /// Add, verify and remove domains.
    ManageDomains,
    /// Cancel and delete generations.
    ManageGenerations,
    /// Subscribe, change the plan, and buy credit.
    BuyPlans,
    /// Change what the owner is told of the balance.
    ChangeAlerts,
    /// Invite others, with a role that [`Role::grants`].
    InviteMembers,
    /// Change, renew and remove invitations.
    ManageInvitations,
    /// Change the roles of those whom one [`manages`](Role::manages).
    ChangeRoles,
    /// Remove those whom one [`manages`](Role::manages).
    RemoveMembers,
    /// Make somebody else the primary owner.
    TransferOwnership,
    /// Change name and address of the team.
    EditSettings,
    /// Delete the team.
    DeleteTeam,
    /// Leave the team.
    LeaveTeam,
}

impl Permission {
    /// Every permission, in the order of the matrix.
    pub const ALL: [Self; 15] = [
        View,
        ManageKeys,
        ManageWebhooks,
        ManageDomains,
        ManageGenerations,
        BuyPlans,
        ChangeAlerts,
        InviteMembers,
        ManageInvitations,
        ChangeRoles,
        RemoveMembers,
        TransferOwnership,
        EditSettings,
        DeleteTeam,
        LeaveTeam,
    ];

    /// Whether it makes sense in a team only.
    pub fn is_of_teams(self) -> bool {
        match self {
            InviteMembers | ManageInvitations | ChangeRoles | RemoveMembers | TransferOwnership
            | EditSettings | DeleteTeam | LeaveTeam => true,
            View | ManageKeys | ManageWebhooks | ManageDomains | ManageGenerations | BuyPlans
            | ChangeAlerts => false,
        }
    }
}

/// Whether somebody of this role may do this.
pub fn may(role: Role, permission: Permission) -> bool {
    match permission {
        View | InviteMembers => true,
        ManageKeys | ManageWebhooks | ManageDomains | ManageGenerations | ManageInvitations
        | ChangeRoles | RemoveMembers => role >= Role::Owner,
        BuyPlans | ChangeAlerts | TransferOwnership | EditSettings | DeleteTeam => {
            role == Role::PrimaryOwner
        }
        LeaveTeam => role != Role::PrimaryOwner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_is_that_of_the_specification() {
        let row = |permission: Permission| {
            let cell = |role| if may(role, permission) { "yes" } else { "no" };
            let [primary, owner, member] =
                [Role::PrimaryOwner, Role::Owner, Role::Member].map(cell);
            format!("{permission:?}: {primary} {owner} {member}")
        };
        let matrix: Vec<String> = Permission::ALL.into_iter().map(row).collect();
        assert_eq!(
            matrix,
            [
                "View: yes yes yes",
                "ManageKeys: yes yes no",
                "ManageWebhooks: yes yes no",
                "ManageDomains: yes yes no",
                "ManageGenerations: yes yes no",
                "BuyPlans: yes no no",
                "ChangeAlerts: yes no no",
                "InviteMembers: yes yes yes",
                "ManageInvitations: yes yes no",
                "ChangeRoles: yes yes no",
                "RemoveMembers: yes yes no",
                "TransferOwnership: yes no no",
                "EditSettings: yes no no",
                "DeleteTeam: yes no no",
                "LeaveTeam: no yes yes",
            ]
        );
    }

    #[test]
    fn nobody_grants_above_the_own_role_or_manages_upwards() {
        for role in Role::ALL {
            for granted in role.grants() {
                assert!(*granted <= role && *granted != Role::PrimaryOwner);
            }
        }
        let managed: Vec<(Role, Role)> = Role::ALL
            .into_iter()
            .flat_map(|role| Role::ALL.map(|other| (role, other)))
            .filter(|(role, other)| role.manages(*other))
            .collect();
        let (member, owner, primary) = (Role::Member, Role::Owner, Role::PrimaryOwner);
        assert_eq!(managed, [(owner, member), (primary, member), (primary, owner)]);
    }

    #[test]
    fn every_role_is_read_back() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("admin"), None);
    }
}
