//! Taking up an invitation, by somebody who has an account or has none yet.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::sign_up::{PersonIn, PersonPage};
use super::{Bare, enter, spent, status};
use crate::auth::session::{CsrfForm, OpenForm, Sessions, SignedIn};
use crate::dashboard::flash::Flash;
use crate::dashboard::form::Nothing;
use crate::dashboard::problem::Problem;
use crate::dashboard::{Dashboard, page_with, redirect};
use crate::error::page::PageError;
use crate::people::Invited;

const HOME: (&str, &str) = ("/", "Go to the dashboard");

#[derive(Template)]
#[template(path = "entry/invitation.html")]
struct InvitationPage {
    layout: Bare,
    team: String,
    role: &'static str,
    email: String,
    token: String,
    /// Who is signed in, with the text that a form has to bring along.
    person: Option<(String, String)>,
    /// Whether that is whom the invitation is for.
    is_theirs: bool,
}

pub(in crate::dashboard) async fn open(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    token: Path<String>,
) -> Result<HttpResponse, PageError> {
    let invited = match dashboard.people.find_invitation(&token).await {
        Ok(invited) => invited,
        Err(error) => return spent(&request, error, HOME),
    };
    let person = sessions.find(&request).await?;
    if person.is_none() && !invited.is_known {
        return choose(&request, &token, &invited, String::new(), Problem::default());
    }
    let email = invited.invitation.email.to_string();
    let is_theirs = person.as_ref().is_some_and(|it| it.user.email == invited.invitation.email);
    let page = InvitationPage {
        layout: Bare::of(&request, "Invitation"),
        team: invited.team,
        role: invited.invitation.role.as_str(),
        email,
        token: token.into_inner(),
        person: person.map(|it| (it.user.email.to_string(), it.csrf().to_owned())),
        is_theirs,
    };
    page_with(StatusCode::OK, &page)
}

/// By whoever is signed in.
pub(in crate::dashboard) async fn accept(
    request: HttpRequest,
    person: SignedIn,
    dashboard: Data<Dashboard>,
    token: Path<String>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    let people = &dashboard.people;
    let team = match people.find_invitation(&token).await {
        Ok(invited) => invited.team,
        Err(error) => return spent(&request, error, HOME),
    };
    match people.accept_invitation(&token, &person.user).await {
        Ok(slug) => {
            let flash = Flash::success(format!("You have joined {team}"));
            Ok(redirect(&format!("/home/{slug}/members"), flash))
        }
        Err(error) => Ok(redirect("/", Problem::flash(error)?)),
    }
}

/// By somebody new.
pub(in crate::dashboard) async fn accept_as_new(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    token: Path<String>,
    form: OpenForm<PersonIn>,
) -> Result<HttpResponse, PageError> {
    let people = &dashboard.people;
    let invited = match people.find_invitation(&token).await {
        Ok(invited) => invited,
        Err(error) => return spent(&request, error, HOME),
    };
    match people.accept_as_new(&token, &form.0.name, &form.0.password).await {
        Ok((user, slug)) => {
            let flash = Flash::success(format!("Welcome to {}", invited.team));
            let to = format!("/home/{slug}/members");
            enter(&request, &sessions, user.id, &to, Some(flash)).await
        }
        Err(error) => choose(&request, &token, &invited, form.0.name, Problem::with(error)?),
    }
}

fn choose(
    request: &HttpRequest,
    token: &str,
    invited: &Invited,
    name: String,
    problem: Problem,
) -> Result<HttpResponse, PageError> {
    let page = PersonPage {
        layout: Bare::of(request, "Invitation"),
        title: format!("Join {}", invited.team),
        text: format!("You are invited as {}.", invited.invitation.role.as_str()),
        button: "Join",
        action: format!("/invitations/{token}/new"),
        email: Some(invited.invitation.email.to_string()),
        typed_email: String::new(),
        name,
        problem,
    };
    page_with(status(&page.problem), &page)
}
