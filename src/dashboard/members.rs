//! Members of a team and invitations to it (`spec/dashboard.md` 1.4).

mod dialog;
mod row;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::account::AccountKind;
use actors::id::{InvitationId, UserId};
use actors::member::{Invitation, Member};
use actors::permission::{Permission, Role};
use actors::ports::teams::{InvitationStore, TeamStore};
use askama::Template;
use serde::Deserialize;

use self::dialog::{Dialog, InviteForm};
use self::row::{InvitationRow, MemberRow};
use super::flash::Flash;
use super::form::Nothing;
use super::layout::Layout;
use super::nav::Area;
use super::problem::Problem;
use super::{Dashboard, page_with, redirect};
use crate::auth::session::{CsrfForm, Workspace};
use crate::error::page::PageError;
use crate::people::PeopleError;

#[derive(Template)]
#[template(path = "members/page.html")]
struct MembersPage {
    layout: Layout,
    members: Vec<MemberRow>,
    invitations: Vec<InvitationRow>,
    query: Search,
    may_invite: bool,
    may_manage: bool,
    dialog: Option<Dialog>,
    path: String,
    csrf: String,
}

/// What is searched for in each of the two tables.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Search {
    members: String,
    invitations: String,
}

/// Which dialog is open, and for whom.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    dialog: String,
    id: String,
}

pub(super) async fn list(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    query: Query<Search>,
    asked: Query<Asked>,
) -> Result<HttpResponse, PageError> {
    let team = Team::load(&dashboard, &workspace).await?;
    let dialog = Dialog::asked(&asked.dialog, &asked.id, &workspace, &team);
    show(&dashboard, &workspace, &request, query.into_inner(), team, dialog)
}

pub(super) async fn invite(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    form: CsrfForm<Vec<(String, String)>>,
) -> Result<HttpResponse, PageError> {
    let team = Team::load(&dashboard, &workspace).await?;
    workspace.require(Permission::InviteMembers)?;
    let typed = InviteForm::read(&form.0, workspace.role);
    let (people, user) = (&dashboard.people, &workspace.person.user);
    match people.invite(user, &workspace.account, &typed.filled()?).await {
        Ok(1) => Ok(back(&workspace, Flash::success("Invitation sent"))),
        Ok(count) => Ok(back(&workspace, Flash::success(format!("{count} invitations sent")))),
        Err(error) => {
            let form = typed.with(Problem::with(error)?);
            let dialog = Some(Dialog::Invite(form));
            show(&dashboard, &workspace, &request, Search::default(), team, dialog)
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct RoleIn {
    role: String,
}

impl RoleIn {
    fn read(&self) -> Result<Role, PageError> {
        Role::parse(&self.role).ok_or(PageError::BadForm)
    }
}

pub(super) async fn change_role(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    form: CsrfForm<RoleIn>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ChangeRoles)?;
    let (user, account_id) = (&workspace.person.user, workspace.account.id);
    let changed = dashboard.people.change_role(user, account_id, user_id(&path)?, form.0.read()?);
    done(&workspace, changed.await, "Role updated")
}

pub(super) async fn remove(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::RemoveMembers)?;
    let (user, id) = (&workspace.person.user, user_id(&path)?);
    if id == user.id {
        // One leaves by another door.
        return Err(PageError::Forbidden);
    }
    let removed = dashboard.people.remove_member(user, workspace.account.id, id);
    done(&workspace, removed.await, "Member removed")
}

/// Sends the code without which nobody hands a team over, and asks for it.
pub(super) async fn send_transfer_code(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::TransferOwnership)?;
    let id = user_id(&path)?;
    let (people, user) = (&dashboard.people, &workspace.person.user);
    match people.send_transfer_code(user, &workspace.account).await {
        Ok(()) | Err(PeopleError::TooSoon) => {}
        Err(error) => return Ok(back(&workspace, Problem::flash(error)?)),
    }
    let team = Team::load(&dashboard, &workspace).await?;
    let dialog = Dialog::code(&team, id, Problem::default()).ok_or(PageError::NotFound)?;
    show(&dashboard, &workspace, &request, Search::default(), team, Some(dialog))
}

#[derive(Debug, Deserialize)]
pub(super) struct CodeIn {
    pub(super) code: String,
}

pub(super) async fn transfer(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<(String, String)>,
    form: CsrfForm<CodeIn>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::TransferOwnership)?;
    let (id, account_id) = (user_id(&path)?, workspace.account.id);
    let (people, user) = (&dashboard.people, &workspace.person.user);
    match people.transfer_team(user, account_id, id, &form.0.code).await {
        Err(PeopleError::WrongCode) => {
            let problem = Problem::with(PeopleError::WrongCode)?;
            let team = Team::load(&dashboard, &workspace).await?;
            let dialog = Dialog::code(&team, id, problem).ok_or(PageError::NotFound)?;
            show(&dashboard, &workspace, &request, Search::default(), team, Some(dialog))
        }
        transferred => done(&workspace, transferred, "Ownership transferred"),
    }
}

pub(super) async fn change_invitation(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    form: CsrfForm<RoleIn>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ManageInvitations)?;
    let (people, user) = (&dashboard.people, &workspace.person.user);
    let (account_id, id) = (workspace.account.id, invitation_id(&path)?);
    let changed = people.change_invitation(user, account_id, id, form.0.read()?).await;
    done(&workspace, changed, "Invitation updated")
}

pub(super) async fn renew_invitation(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ManageInvitations)?;
    let (people, user) = (&dashboard.people, &workspace.person.user);
    let renewed = people.renew_invitation(user, &workspace.account, invitation_id(&path)?).await;
    done(&workspace, renewed, "Invitation renewed")
}

pub(super) async fn remove_invitation(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ManageInvitations)?;
    let (people, user) = (&dashboard.people, &workspace.person.user);
    let removed = people.remove_invitation(user, workspace.account.id, invitation_id(&path)?).await;
    done(&workspace, removed, "Invitation removed")
}

fn user_id(path: &(String, String)) -> Result<UserId, PageError> {
    UserId::parse(&path.1).ok_or(PageError::NotFound)
}

fn invitation_id(path: &(String, String)) -> Result<InvitationId, PageError> {
    InvitationId::parse(&path.1).ok_or(PageError::NotFound)
}

/// Back to the list, with what came of it.
fn done(
    workspace: &Workspace,
    outcome: Result<(), PeopleError>,
    said: &str,
) -> Result<HttpResponse, PageError> {
    Ok(match outcome {
        Ok(()) => back(workspace, Flash::success(said)),
        Err(error) => back(workspace, Problem::flash(error)?),
    })
}

fn back(workspace: &Workspace, flash: Flash) -> HttpResponse {
    redirect(&Area::Members.path(&workspace.slug), flash)
}

/// Who is in a team, and who is asked to be.
struct Team {
    members: Vec<Member>,
    invitations: Vec<Invitation>,
}

impl Team {
    /// An account of one person has no members.
    async fn load(dashboard: &Dashboard, workspace: &Workspace) -> Result<Self, PageError> {
        if workspace.account.kind != AccountKind::Team {
            return Err(PageError::NotFound);
        }
        let (store, id) = (&dashboard.context.store, workspace.account.id);
        let members = store.list_members(id).await?;
        Ok(Self { members, invitations: store.list_invitations(id).await? })
    }
}

fn show(
    dashboard: &Dashboard,
    workspace: &Workspace,
    request: &HttpRequest,
    query: Search,
    team: Team,
    dialog: Option<Dialog>,
) -> Result<HttpResponse, PageError> {
    let now = dashboard.context.clock.now();
    let members = team.members.iter().map(|member| MemberRow::of(member, workspace));
    let invitations = team.invitations.iter().map(|it| InvitationRow::of(it, now));
    let status = match dialog.as_ref().is_some_and(Dialog::has_problem) {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::OK,
    };
    let page = MembersPage {
        layout: Layout::workspace(request, workspace, Area::Members),
        members: members.filter(|row| row.matches(&query.members)).collect(),
        invitations: invitations.filter(|row| row.matches(&query.invitations)).collect(),
        query,
        may_invite: workspace.may(Permission::InviteMembers),
        may_manage: workspace.may(Permission::ManageInvitations),
        dialog,
        path: Area::Members.path(&workspace.slug),
        csrf: workspace.csrf().to_owned(),
    };
    page_with(status, &page)
}
