//! Signing in and out.

use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::{Bare, enter, status};
use crate::auth::session::{CsrfForm, OpenForm, Sessions, SignedIn, local_path};
use crate::dashboard::flash::Flash;
use crate::dashboard::form::Nothing;
use crate::dashboard::problem::Problem;
use crate::dashboard::{Dashboard, page_with};
use crate::error::page::PageError;
use crate::people::PeopleError;

#[derive(Template)]
#[template(path = "entry/sign_in.html")]
struct SignInPage {
    layout: Bare,
    email: String,
    next: String,
    problem: Problem,
    sign_up: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct SignInQuery {
    next: String,
}

#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct SignInIn {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

pub(in crate::dashboard) async fn show(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    query: Query<SignInQuery>,
) -> Result<HttpResponse, PageError> {
    let next = local_path(&query.next).unwrap_or("/");
    if sessions.find(&request).await?.is_some() {
        return Ok(HttpResponse::SeeOther().insert_header((LOCATION, next)).finish());
    }
    let page = SignInPage {
        layout: Bare::of(&request, "Sign in"),
        email: String::new(),
        next: next.to_owned(),
        problem: Problem::default(),
        sign_up: dashboard.people.rules.sign_up,
    };
    page_with(StatusCode::OK, &page)
}

pub(in crate::dashboard) async fn sign_in(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    form: OpenForm<SignInIn>,
) -> Result<HttpResponse, PageError> {
    let SignInIn { email, password, next } = form.0;
    let next = local_path(&next).unwrap_or("/").to_owned();
    let people = &dashboard.people;
    let client = people.auth.client(&request);
    let error = match people.sign_in(&email, &password, client).await {
        Ok(user) => return enter(&request, &sessions, user.id, &next, None).await,
        Err(error) => error,
    };
    let wait = match &error {
        PeopleError::TooManyTries { retry_after } => Some(*retry_after),
        _ => None,
    };
    let problem = Problem::with(error)?;
    let layout = Bare::of(&request, "Sign in");
    let status = wait.map_or_else(|| status(&problem), |_| StatusCode::TOO_MANY_REQUESTS);
    let sign_up = people.rules.sign_up;
    let mut answer = page_with(status, &SignInPage { layout, email, next, problem, sign_up })?;
    if let Some(seconds) = wait {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Ok(answer)
}

pub(in crate::dashboard) async fn sign_out(
    person: SignedIn,
    sessions: Data<Sessions>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    let cookie = sessions.end(&person).await?;
    let flash = Flash::success("You are signed out");
    let mut answer = HttpResponse::SeeOther();
    answer.insert_header((LOCATION, "/sign-in")).cookie(cookie).cookie(flash.cookie());
    Ok(answer.finish())
}
