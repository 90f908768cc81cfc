//! The lines of the two tables.

use actors::id::{InvitationId, UserId};
use actors::member::{Invitation, Member};
use actors::permission::{Permission, Role};
use chrono::{DateTime, Utc};

use crate::auth::session::Workspace;

/// How a role is called.
pub(super) fn label(role: Role) -> &'static str {
    match role {
        Role::Member => "Member",
        // What is stored of a primary owner is an owner too.
        Role::Owner | Role::PrimaryOwner => "Owner",
    }
}

#[derive(Debug)]
pub(super) struct MemberRow {
    pub(super) id: UserId,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) role: Role,
    pub(super) joined_at: DateTime<Utc>,
    pub(super) is_you: bool,
    /// Whether whoever looks may change or remove this member.
    pub(super) is_managed: bool,
    /// Whether whoever looks may hand the team over to this member.
    pub(super) is_heir: bool,
}

impl MemberRow {
    pub(super) fn of(member: &Member, workspace: &Workspace) -> Self {
        let is_you = member.user_id == workspace.person.user.id;
        Self {
            id: member.user_id,
            name: member.name.clone(),
            email: member.email.to_string(),
            role: member.role,
            joined_at: member.joined_at,
            is_you,
            is_managed: workspace.role.manages(member.role),
            is_heir: workspace.may(Permission::TransferOwnership) && !is_you,
        }
    }

    pub(super) fn label(&self) -> &'static str {
        label(self.role)
    }

    pub(super) fn is_primary(&self) -> bool {
        self.role == Role::PrimaryOwner
    }

    /// Searched are names and roles (`spec/dashboard.md` 1.4), and what a role's badges say.
    pub(super) fn matches(&self, search: &str) -> bool {
        let badge = if self.is_primary() { "primary owner" } else { "" };
        found(search, &[&self.name, self.role.as_str(), badge])
    }
}

#[derive(Debug)]
pub(super) struct InvitationRow {
    pub(super) id: InvitationId,
    pub(super) email: String,
    role: Role,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) is_active: bool,
}

impl InvitationRow {
    pub(super) fn of(invitation: &Invitation, now: DateTime<Utc>) -> Self {
        Self {
            id: invitation.id,
            email: invitation.email.to_string(),
            role: invitation.role,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
            is_active: invitation.is_active(now),
        }
    }

    pub(super) fn label(&self) -> &'static str {
        label(self.role)
    }

    /// Searched are addresses and roles.
    pub(super) fn matches(&self, search: &str) -> bool {
        found(search, &[&self.email, self.role.as_str()])
    }
}

fn found(search: &str, texts: &[&str]) -> bool {
    let search = search.trim().to_lowercase();
    search.is_empty() || texts.iter().any(|text| text.to_lowercase().contains(&search))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_looks_for_a_part_in_any_case() {
        for search in ["", "  ", "ada", "LOVE", "own"] {
            assert!(found(search, &["Ada Lovelace", "owner"]), "{search}");
        }
        assert!(!found("bob", &["Ada Lovelace", "owner"]));
    }
}
