//! The dialogs of the page.

use actors::id::{InvitationId, UserId};
use actors::member::{INVITATIONS_AT_ONCE, Invitation, Member};
use actors::permission::{Permission, Role};

use super::Team;
use super::row::label;
use crate::auth::session::Workspace;
use crate::dashboard::problem::Problem;
use crate::error::page::PageError;

/// What the page is asking.
#[derive(Debug)]
pub(super) enum Dialog {
    Invite(InviteForm),
    Role(Subject),
    Remove(Subject),
    /// Whether to send a code.
    Transfer(Subject),
    /// What code was sent.
    Code(Subject, Problem),
    InvitationRole(Subject),
    InvitationRemove(Subject),
}

/// Whom a dialog is about.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) roles: Vec<RoleChoice>,
}

/// A line of a selector.
#[derive(Debug)]
pub(super) struct RoleChoice {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) is_chosen: bool,
}

fn choices(granter: Role, chosen: Role) -> Vec<RoleChoice> {
    let choice = |role: &Role| RoleChoice {
        value: role.as_str(),
        label: label(*role),
        is_chosen: *role == chosen,
    };
    granter.grants().iter().map(choice).collect()
}

impl Dialog {
    /// The one that the address names, if whoever asks may do that.
    pub(super) fn asked(name: &str, id: &str, workspace: &Workspace, team: &Team) -> Option<Self> {
        let member = || {
            let id = UserId::parse(id)?;
            team.members.iter().find(|member| member.user_id == id)
        };
        let managed = || member().filter(|member| workspace.role.manages(member.role));
        let may = |permission| workspace.may(permission).then_some(());
        let invitation = || {
            may(Permission::ManageInvitations)?;
            let id = InvitationId::parse(id)?;
            team.invitations.iter().find(|invitation| invitation.id == id)
        };
        let granter = workspace.role;
        match name {
            "invite" => {
                may(Permission::InviteMembers)?;
                Some(Self::Invite(InviteForm::empty(granter)))
            }
            "role" => managed().map(|it| Self::Role(Subject::member(it, granter))),
            "remove" => managed().map(|it| Self::Remove(Subject::member(it, granter))),
            "transfer" => {
                may(Permission::TransferOwnership)?;
                managed().map(|it| Self::Transfer(Subject::member(it, granter)))
            }
            "invitation-role" => {
                invitation().map(|it| Self::InvitationRole(Subject::invited(it, granter)))
            }
            "invitation-remove" => {
                invitation().map(|it| Self::InvitationRemove(Subject::invited(it, granter)))
            }
            _ => None,
        }
    }

    /// What asks for the code that hands the team over to this member.
    pub(super) fn code(team: &Team, id: UserId, problem: Problem) -> Option<Self> {
        let member = team.members.iter().find(|member| member.user_id == id)?;
        Some(Self::Code(Subject::member(member, Role::PrimaryOwner), problem))
    }

    /// Whether it is shown again because of what was typed.
    pub(super) fn has_problem(&self) -> bool {
        match self {
            Self::Invite(form) => form.problem.is_some(),
            Self::Code(_, problem) => problem.is_some(),
            Self::Role(_)
            | Self::Remove(_)
            | Self::Transfer(_)
            | Self::InvitationRole(_)
            | Self::InvitationRemove(_) => false,
        }
    }
}

impl Subject {
    fn member(member: &Member, granter: Role) -> Self {
        Self {
            id: member.user_id.to_string(),
            name: member.name.clone(),
            roles: choices(granter, member.role),
        }
    }

    fn invited(invitation: &Invitation, granter: Role) -> Self {
        Self {
            id: invitation.id.to_string(),
            name: invitation.email.to_string(),
            roles: choices(granter, invitation.role),
        }
    }
}

/// Addresses, each with a role. Without scripts all rows are there, and those that stay empty are
/// not sent; with scripts only as many as are wanted.
#[derive(Debug)]
pub(super) struct InviteForm {
    pub(super) rows: Vec<InviteRow>,
    pub(super) problem: Problem,
    granter: Role,
}

#[derive(Debug)]
pub(super) struct InviteRow {
    pub(super) email: String,
    role: Role,
}

impl InviteForm {
    fn empty(granter: Role) -> Self {
        Self { rows: Vec::new(), problem: Problem::default(), granter }.padded()
    }

    /// What was typed: fields `email` and `role`, in turn.
    pub(super) fn read(fields: &[(String, String)], granter: Role) -> Self {
        let mut rows: Vec<InviteRow> = Vec::new();
        for (name, value) in fields {
            match name.as_str() {
                "email" => rows.push(InviteRow { email: value.clone(), role: Role::Member }),
                "role" => {
                    if let (Some(row), Some(role)) = (rows.last_mut(), Role::parse(value)) {
                        row.role = role;
                    }
                }
                _ => {}
            }
        }
        Self { rows, problem: Problem::default(), granter }
    }

    /// Whom to invite, and as what.
    pub(super) fn filled(&self) -> Result<Vec<(String, Role)>, PageError> {
        let filled = self.rows.iter().filter(|row| !row.email.trim().is_empty());
        let filled: Vec<_> = filled.map(|row| (row.email.clone(), row.role)).collect();
        let granted = filled.iter().all(|(_, role)| self.granter.grants().contains(role));
        if granted { Ok(filled) } else { Err(PageError::Forbidden) }
    }

    /// The same with what is wrong with it.
    pub(super) fn with(self, problem: Problem) -> Self {
        Self { problem, ..self }.padded()
    }

    fn padded(mut self) -> Self {
        self.rows.truncate(INVITATIONS_AT_ONCE);
        let blank = || InviteRow { email: String::new(), role: Role::Member };
        self.rows.resize_with(INVITATIONS_AT_ONCE, blank);
        self
    }

    pub(super) fn choices(&self, row: &InviteRow) -> Vec<RoleChoice> {
        choices(self.granter, row.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_address_has_the_role_that_follows_it() {
        let typed = fields(&[
            ("csrf", "x"),
            ("email", "a@b.c"),
            ("role", "owner"),
            ("email", " "),
            ("role", "owner"),
            ("email", "d@e.f"),
        ]);
        let read = InviteForm::read(&typed, Role::Owner).filled().unwrap();
        assert_eq!(read, [("a@b.c".to_owned(), Role::Owner), ("d@e.f".to_owned(), Role::Member)]);
        assert!(InviteForm::read(&typed, Role::Member).filled().is_err(), "above the own role");
        let upwards = fields(&[("email", "a@b.c"), ("role", "primary-owner")]);
        assert!(InviteForm::read(&upwards, Role::PrimaryOwner).filled().is_err());
    }
}
