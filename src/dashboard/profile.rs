//! What people see and change of themselves (`spec/dashboard.md` 1.6).

mod browser;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_DISPOSITION, ContentType};
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::id::SessionId;
use askama::Template;
use serde::Deserialize;

use self::browser::BrowserRow;
use super::flash::Flash;
use super::form::Nothing;
use super::layout::Layout;
use super::members::CodeIn;
use super::nav::Area;
use super::problem::Problem;
use super::{Dashboard, page_with, redirect};
use crate::auth::session::{CsrfForm, Personal, Sessions, SignedIn, Workspace};
use crate::error::page::PageError;
use crate::people::PeopleError;

const PATH: &str = "/home/settings";

#[derive(Template)]
#[template(path = "profile/page.html")]
struct ProfilePage {
    layout: Layout,
    name: String,
    email: String,
    /// What was typed as the new address.
    new_email: String,
    browsers: Vec<BrowserRow>,
    /// The card that a problem is about.
    card: Card,
    problem: Problem,
    may_delete: bool,
    dialog: Option<Dialog>,
    csrf: String,
}

/// A card with a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Card {
    None,
    Name,
    Email,
    Password,
    Deletion,
}

impl ProfilePage {
    /// What is wrong with a field of the form in a card.
    fn wrong(&self, card: Card, field: &str) -> &str {
        if self.card == card { self.problem.of(field) } else { "" }
    }
}

/// What the page is asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialog {
    Delete,
    /// What code was sent.
    Code,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    dialog: String,
}

/// What is shown again after a form was refused.
struct Again {
    card: Card,
    problem: Problem,
    name: Option<String>,
    new_email: String,
    dialog: Option<Dialog>,
}

impl Again {
    fn new(card: Card, problem: Problem) -> Self {
        Self { card, problem, name: None, new_email: String::new(), dialog: None }
    }

    fn asking(dialog: Dialog) -> Self {
        Self { dialog: Some(dialog), ..Self::new(Card::None, Problem::default()) }
    }
}

pub(super) async fn show(
    own: Personal,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    request: HttpRequest,
    asked: Query<Asked>,
) -> Result<HttpResponse, PageError> {
    let again = match asked.dialog.as_str() {
        "delete" => Again::asking(Dialog::Delete),
        _ => Again::new(Card::None, Problem::default()),
    };
    draw(&own.0, &dashboard, &sessions, &request, again).await
}

#[derive(Debug, Deserialize)]
pub(super) struct NameIn {
    name: String,
}

pub(super) async fn rename(
    own: Personal,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    request: HttpRequest,
    form: CsrfForm<NameIn>,
) -> Result<HttpResponse, PageError> {
    match dashboard.people.rename(&own.0.person.user, &form.0.name).await {
        Ok(()) => Ok(redirect(PATH, Flash::success("Name updated"))),
        Err(error) => {
            let mut again = Again::new(Card::Name, Problem::with(error)?);
            again.name = Some(form.0.name);
            draw(&own.0, &dashboard, &sessions, &request, again).await
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct EmailIn {
    email: String,
    repeat: String,
    current: String,
}

pub(super) async fn change_email(
    own: Personal,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    request: HttpRequest,
    form: CsrfForm<EmailIn>,
) -> Result<HttpResponse, PageError> {
    let (people, user) = (&dashboard.people, &own.0.person.user);
    let EmailIn { email, repeat, current } = form.0;
    let client = people.auth.client(&request);
    match people.request_email(user, &email, &repeat, &current, client).await {
        Ok(address) => {
            let said = format!("We have sent a link to {address}. Your address changes with it");
            Ok(redirect(PATH, Flash::success(said)))
        }
        Err(error) => {
            let mut again = Again::new(Card::Email, Problem::with(error)?);
            again.new_email = email;
            draw(&own.0, &dashboard, &sessions, &request, again).await
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct PasswordIn {
    current: String,
    password: String,
    repeat: String,
}

pub(super) async fn change_password(
    own: Personal,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    request: HttpRequest,
    form: CsrfForm<PasswordIn>,
) -> Result<HttpResponse, PageError> {
    let (people, person) = (&dashboard.people, &own.0.person);
    let PasswordIn { current, password, repeat } = form.0;
    let client = people.auth.client(&request);
    let changed = match password == repeat {
        true => {
            let keep = person.session_id;
            people.change_password(&person.user, keep, &current, &password, client).await
        }
        false => Err(PeopleError::invalid("repeat", "must be the same password")),
    };
    match changed {
        Ok(()) => {
            let said = "Password updated. Every other browser was signed out";
            Ok(redirect(PATH, Flash::success(said)))
        }
        Err(error) => {
            let again = Again::new(Card::Password, Problem::with(error)?);
            draw(&own.0, &dashboard, &sessions, &request, again).await
        }
    }
}

pub(super) async fn end_session(
    person: SignedIn,
    sessions: Data<Sessions>,
    path: Path<String>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    let id = SessionId::parse(&path).ok_or(PageError::NotFound)?;
    if id == person.session_id || !sessions.sessions.end_session(person.user.id, id).await? {
        return Err(PageError::NotFound);
    }
    Ok(redirect(PATH, Flash::success("Browser signed out")))
}

pub(super) async fn end_other_sessions(
    person: SignedIn,
    sessions: Data<Sessions>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    sessions.sessions.end_other_sessions(person.user.id, Some(person.session_id)).await?;
    Ok(redirect(PATH, Flash::success("Every other browser was signed out")))
}

/// A form and not a link, so that nothing but this page makes a browser ask for it.
pub(super) async fn export(
    person: SignedIn,
    dashboard: Data<Dashboard>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    let document = match dashboard.people.export(&person.user).await {
        Ok(document) => document,
        Err(error) => return Err(PageError::internal(error)),
    };
    let day = dashboard.context.clock.now().format("%Y-%m-%d");
    let name = format!("attachment; filename=\"babysea-data-export-{day}.json\"");
    let body = serde_json::to_string_pretty(&document).map_err(PageError::internal)?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(ContentType::json()).insert_header((CONTENT_DISPOSITION, name));
    Ok(answer.body(body))
}

/// Sends the code without which nobody is deleted, and asks for it.
pub(super) async fn send_deletion_code(
    own: Personal,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    request: HttpRequest,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    match dashboard.people.send_user_deletion_code(&own.0.person.user).await {
        Ok(()) | Err(PeopleError::TooSoon) => {
            let again = Again::asking(Dialog::Code);
            draw(&own.0, &dashboard, &sessions, &request, again).await
        }
        Err(error) => Ok(redirect(PATH, Problem::flash(error)?)),
    }
}

pub(super) async fn delete(
    own: Personal,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    request: HttpRequest,
    form: CsrfForm<CodeIn>,
) -> Result<HttpResponse, PageError> {
    match dashboard.people.delete_user(&own.0.person.user, &form.0.code).await {
        Ok(()) => {
            let mut answer = redirect("/sign-in", Flash::success("Your account was deleted"));
            answer.add_cookie(&sessions.no_cookie()).map_err(PageError::internal)?;
            Ok(answer)
        }
        Err(error) => {
            let again = Again::new(Card::Deletion, Problem::with(error)?);
            let again = Again { dialog: Some(Dialog::Code), ..again };
            draw(&own.0, &dashboard, &sessions, &request, again).await
        }
    }
}

async fn draw(
    own: &Workspace,
    dashboard: &Dashboard,
    sessions: &Sessions,
    request: &HttpRequest,
    again: Again,
) -> Result<HttpResponse, PageError> {
    let person = &own.person;
    let browsers = sessions.list(person.user.id).await?;
    let browsers = browsers.iter().map(|session| BrowserRow::of(session, person.session_id));
    let status = match again.problem.is_some() {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::OK,
    };
    let page = ProfilePage {
        layout: Layout::workspace(request, own, Area::Profile),
        name: again.name.unwrap_or_else(|| person.user.name.clone()),
        email: person.user.email.to_string(),
        new_email: again.new_email,
        browsers: browsers.collect(),
        card: again.card,
        problem: again.problem,
        may_delete: dashboard.people.rules.user_deletion,
        dialog: again.dialog,
        csrf: person.csrf().to_owned(),
    };
    page_with(status, &page)
}
