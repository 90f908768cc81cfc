//! Settings of a team (`spec/dashboard.md` 1.5).

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::account::AccountKind;
use actors::permission::Permission;
use askama::Template;
use serde::Deserialize;

use super::flash::Flash;
use super::form::Nothing;
use super::layout::Layout;
use super::members::CodeIn;
use super::nav::Area;
use super::problem::Problem;
use super::{Dashboard, page_with, redirect};
use crate::auth::session::{CsrfForm, Workspace};
use crate::error::page::PageError;
use crate::people::PeopleError;

#[derive(Template)]
#[template(path = "settings/page.html")]
struct SettingsPage {
    layout: Layout,
    team: String,
    name: String,
    slug: String,
    problem: Problem,
    may_edit: bool,
    may_delete: bool,
    may_leave: bool,
    dialog: Option<Dialog>,
    path: String,
    csrf: String,
}

/// What the page is asking.
enum Dialog {
    Leave,
    Delete,
    /// What code was sent.
    Code(Problem),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    dialog: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct TeamIn {
    pub(super) name: String,
    #[serde(default)]
    pub(super) slug: String,
}

pub(super) async fn show(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    asked: Query<Asked>,
) -> Result<HttpResponse, PageError> {
    let dialog = match asked.dialog.as_str() {
        "leave" if workspace.may(Permission::LeaveTeam) => Some(Dialog::Leave),
        "delete" if workspace.may(Permission::DeleteTeam) => Some(Dialog::Delete),
        _ => None,
    };
    draw(&dashboard, &workspace, &request, None, dialog)
}

pub(super) async fn update(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    form: CsrfForm<TeamIn>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::EditSettings)?;
    let (people, user) = (&dashboard.people, &workspace.person.user);
    let typed = form.0;
    match people.change_team(user, workspace.account.id, &typed.name, &typed.slug).await {
        Ok(slug) => Ok(redirect(&Area::Settings.path(&slug), Flash::success("Team updated"))),
        Err(error) => {
            let problem = Problem::with(error)?;
            draw(&dashboard, &workspace, &request, Some((typed, problem)), None)
        }
    }
}

pub(super) async fn leave(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::LeaveTeam)?;
    let user = &workspace.person.user;
    match dashboard.people.remove_member(user, workspace.account.id, user.id).await {
        Ok(()) => {
            let flash = Flash::success(format!("You have left {}", workspace.account.name));
            Ok(redirect("/", flash))
        }
        Err(error) => Ok(redirect(&Area::Settings.path(&workspace.slug), Problem::flash(error)?)),
    }
}

/// Sends the code without which no team is deleted, and asks for it.
pub(super) async fn send_deletion_code(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::DeleteTeam)?;
    let (people, user) = (&dashboard.people, &workspace.person.user);
    match people.send_team_deletion_code(user, &workspace.account).await {
        Ok(()) | Err(PeopleError::TooSoon) => {
            let dialog = Some(Dialog::Code(Problem::default()));
            draw(&dashboard, &workspace, &request, None, dialog)
        }
        Err(error) => Ok(redirect(&Area::Settings.path(&workspace.slug), Problem::flash(error)?)),
    }
}

pub(super) async fn delete(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    form: CsrfForm<CodeIn>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::DeleteTeam)?;
    let (people, user) = (&dashboard.people, &workspace.person.user);
    match people.delete_team(user, workspace.account.id, &form.0.code).await {
        Ok(()) => {
            let flash = Flash::success(format!("{} was deleted", workspace.account.name));
            Ok(redirect("/", flash))
        }
        Err(error) => {
            let dialog = Some(Dialog::Code(Problem::with(error)?));
            draw(&dashboard, &workspace, &request, None, dialog)
        }
    }
}

fn draw(
    dashboard: &Dashboard,
    workspace: &Workspace,
    request: &HttpRequest,
    typed: Option<(TeamIn, Problem)>,
    dialog: Option<Dialog>,
) -> Result<HttpResponse, PageError> {
    if workspace.account.kind != AccountKind::Team {
        return Err(PageError::NotFound);
    }
    let team = workspace.account.name.clone();
    let stored = TeamIn { name: team.clone(), slug: workspace.slug.clone() };
    let (typed, problem) = typed.unwrap_or((stored, Problem::default()));
    let is_wrong = match &dialog {
        Some(Dialog::Code(problem)) => problem.is_some(),
        Some(Dialog::Leave | Dialog::Delete) | None => problem.is_some(),
    };
    let page = SettingsPage {
        layout: Layout::workspace(request, workspace, Area::Settings),
        team,
        name: typed.name,
        slug: typed.slug,
        problem,
        may_edit: workspace.may(Permission::EditSettings),
        may_delete: workspace.may(Permission::DeleteTeam) && dashboard.people.rules.team_deletion,
        may_leave: workspace.may(Permission::LeaveTeam),
        dialog,
        path: Area::Settings.path(&workspace.slug),
        csrf: workspace.csrf().to_owned(),
    };
    page_with(if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }, &page)
}
