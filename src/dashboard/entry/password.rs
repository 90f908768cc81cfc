//! A password that was forgotten.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::sign_up::AddressIn;
use super::{Bare, message, spent, status};
use crate::auth::session::OpenForm;
use crate::dashboard::flash::Flash;
use crate::dashboard::problem::Problem;
use crate::dashboard::{Dashboard, page_with, redirect};
use crate::error::page::PageError;
use crate::people::PeopleError;

const AGAIN: (&str, &str) = ("/password/reset", "Reset password");

#[derive(Template)]
#[template(path = "entry/address.html")]
struct ResetPage {
    layout: Bare,
    title: &'static str,
    text: &'static str,
    button: &'static str,
    action: &'static str,
    email: String,
    problem: Problem,
}

#[derive(Template)]
#[template(path = "entry/new_password.html")]
struct NewPasswordPage {
    layout: Bare,
    action: String,
    email: String,
    problem: Problem,
}

#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct NewPasswordIn {
    password: String,
    repeat: String,
}

pub(in crate::dashboard) async fn show(request: HttpRequest) -> Result<HttpResponse, PageError> {
    again(&request, String::new(), Problem::default())
}

pub(in crate::dashboard) async fn ask(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    form: OpenForm<AddressIn>,
) -> Result<HttpResponse, PageError> {
    match dashboard.people.request_reset(&form.0.email).await {
        Ok(()) => {
            let text = "If there is an account with this address, it has been sent a link. \
                        It works for an hour.";
            let next = ("/sign-in", "Back to sign in");
            message(&request, StatusCode::OK, ("Check your mail", text), next)
        }
        Err(error) => again(&request, form.0.email, Problem::with(error)?),
    }
}

fn again(
    request: &HttpRequest,
    email: String,
    problem: Problem,
) -> Result<HttpResponse, PageError> {
    let page = ResetPage {
        layout: Bare::of(request, "Reset password"),
        title: "Reset password",
        text: "We send you a link to choose a new one.",
        button: "Send link",
        action: "/password/reset",
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
    match dashboard.people.find_reset(&token).await {
        Ok((user, _)) => choose(&request, &token, user.email.to_string(), Problem::default()),
        Err(error) => spent(&request, error, AGAIN),
    }
}

pub(in crate::dashboard) async fn set(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    token: Path<String>,
    form: OpenForm<NewPasswordIn>,
) -> Result<HttpResponse, PageError> {
    let people = &dashboard.people;
    let user = match people.find_reset(&token).await {
        Ok((user, _)) => user,
        Err(error) => return spent(&request, error, AGAIN),
    };
    let set = match form.0.password == form.0.repeat {
        true => people.reset_password(&token, &form.0.password).await,
        false => Err(PeopleError::invalid("repeat", "must be the same password")),
    };
    match set {
        Ok(_) => Ok(redirect("/sign-in", Flash::success("Your password was changed. Sign in"))),
        Err(error) => choose(&request, &token, user.email.to_string(), Problem::with(error)?),
    }
}

fn choose(
    request: &HttpRequest,
    token: &str,
    email: String,
    problem: Problem,
) -> Result<HttpResponse, PageError> {
    let page = NewPasswordPage {
        layout: Bare::of(request, "New password"),
        action: format!("/password/reset/{token}"),
        email,
        problem,
    };
    page_with(status(&page.problem), &page)
}
