//! Making a team.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::flash::Flash;
use super::layout::Layout;
use super::nav::Area;
use super::problem::Problem;
use super::settings::TeamIn;
use super::{Dashboard, page_with, redirect};
use crate::auth::session::{CsrfForm, Personal, Workspace};
use crate::error::page::PageError;

#[derive(Template)]
#[template(path = "teams/new.html")]
struct NewTeamPage {
    layout: Layout,
    name: String,
    slug: String,
    problem: Problem,
    csrf: String,
}

pub(super) async fn show(own: Personal, request: HttpRequest) -> Result<HttpResponse, PageError> {
    let typed = TeamIn { name: String::new(), slug: String::new() };
    draw(&own.0, &request, typed, Problem::default())
}

pub(super) async fn create(
    own: Personal,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    form: CsrfForm<TeamIn>,
) -> Result<HttpResponse, PageError> {
    let (typed, user) = (form.0, &own.0.person.user);
    match dashboard.people.create_team(user, &typed.name, &typed.slug).await {
        Ok(slug) => {
            let flash = Flash::success("Team created");
            Ok(redirect(&Area::Members.path(&slug), flash))
        }
        Err(error) => draw(&own.0, &request, typed, Problem::with(error)?),
    }
}

fn draw(
    own: &Workspace,
    request: &HttpRequest,
    typed: TeamIn,
    problem: Problem,
) -> Result<HttpResponse, PageError> {
    let status = match problem.is_some() {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::OK,
    };
    let page = NewTeamPage {
        layout: Layout::workspace(request, own, Area::Profile).titled("Create team"),
        name: typed.name,
        slug: typed.slug,
        problem,
        csrf: own.csrf().to_owned(),
    };
    page_with(status, &page)
}
