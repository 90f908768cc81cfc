//! Signing up: an address, a link, a name and a password.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::{Bare, enter, message, spent, status};
use crate::auth::session::{OpenForm, Sessions};
use crate::dashboard::flash::Flash;
use crate::dashboard::problem::Problem;
use crate::dashboard::{Dashboard, page_with};
use crate::error::page::PageError;

/// Where one goes on after a link that does not work.
const AGAIN: (&str, &str) = ("/sign-up", "Sign up");

#[derive(Template)]
#[template(path = "entry/address.html")]
struct AddressPage {
    layout: Bare,
    title: &'static str,
    text: &'static str,
    button: &'static str,
    action: &'static str,
    email: String,
    problem: Problem,
}

#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct AddressIn {
    pub(super) email: String,
}

/// Choosing a name and a password.
#[derive(Template)]
#[template(path = "entry/person.html")]
pub(super) struct PersonPage {
    pub(super) layout: Bare,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) button: &'static str,
    /// Where the form is sent to.
    pub(super) action: String,
    /// Absent: it is typed.
    pub(super) email: Option<String>,
    pub(super) typed_email: String,
    pub(super) name: String,
    pub(super) problem: Problem,
}

#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct PersonIn {
    #[serde(default)]
    pub(super) email: String,
    pub(super) name: String,
    pub(super) password: String,
}

pub(in crate::dashboard) async fn show(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
) -> Result<HttpResponse, PageError> {
    if !dashboard.people.rules.sign_up {
        return Err(PageError::NotFound);
    }
    again(&request, String::new(), Problem::default())
}

pub(in crate::dashboard) async fn ask(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    form: OpenForm<AddressIn>,
) -> Result<HttpResponse, PageError> {
    match dashboard.people.request_sign_up(&form.0.email).await {
        Ok(()) => {
            let said =
                ("Check your mail", "We have sent you a link to go on with. It works for an hour.");
            message(&request, StatusCode::OK, said, ("/sign-in", "Back to sign in"))
        }
        Err(error) => again(&request, form.0.email, Problem::with(error)?),
    }
}

fn again(
    request: &HttpRequest,
    email: String,
    problem: Problem,
) -> Result<HttpResponse, PageError> {
    let page = AddressPage {
        layout: Bare::of(request, "Sign up"),
        title: "Create your account",
        text: "We send you a link to go on with.",
        button: "Continue",
        action: "/sign-up",
        email,
        problem,
    };
    page_with(status(&page.problem), &page)
}

pub(in crate::dashboard) async fn open(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    token: Path<String>,
) -> Result<HttpResponse, PageError> {
    match dashboard.people.open_sign_up(&token) {
        Ok(email) => {
            let email = email.to_string();
            choose(&request, &token, email, String::new(), Problem::default())
        }
        Err(error) => spent(&request, error, AGAIN),
    }
}

pub(in crate::dashboard) async fn finish(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    token: Path<String>,
    form: OpenForm<PersonIn>,
) -> Result<HttpResponse, PageError> {
    let people = &dashboard.people;
    let email = match people.open_sign_up(&token) {
        Ok(email) => email.to_string(),
        Err(error) => return spent(&request, error, AGAIN),
    };
    match people.sign_up(&token, &form.0.name, &form.0.password).await {
        Ok(user) => {
            let flash = Flash::success("Welcome");
            enter(&request, &sessions, user.id, "/", Some(flash)).await
        }
        Err(error) => choose(&request, &token, email, form.0.name, Problem::with(error)?),
    }
}

fn choose(
    request: &HttpRequest,
    token: &str,
    email: String,
    name: String,
    problem: Problem,
) -> Result<HttpResponse, PageError> {
    let page = PersonPage {
        layout: Bare::of(request, "Sign up"),
        title: "Finish signing up".to_owned(),
        text: "Choose what others see, and a password.".to_owned(),
        button: "Create account",
        action: format!("/sign-up/{token}"),
        email: Some(email),
        typed_email: String::new(),
        name,
        problem,
    };
    page_with(status(&page.problem), &page)
}
