//! The link of the first start, which makes whoever follows it the owner.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::sign_up::{PersonIn, PersonPage};
use super::{Bare, enter, spent, status};
use crate::auth::session::{OpenForm, Sessions};
use crate::dashboard::flash::Flash;
use crate::dashboard::problem::Problem;
use crate::dashboard::{Dashboard, page_with};
use crate::error::page::PageError;

const SIGN_IN: (&str, &str) = ("/sign-in", "Sign in");

pub(in crate::dashboard) async fn show(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    token: Path<String>,
) -> Result<HttpResponse, PageError> {
    match dashboard.people.check_first(&token).await {
        Ok(()) => choose(&request, &token, (String::new(), String::new()), Problem::default()),
        Err(error) => spent(&request, error, SIGN_IN),
    }
}

pub(in crate::dashboard) async fn create(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    sessions: Data<Sessions>,
    token: Path<String>,
    form: OpenForm<PersonIn>,
) -> Result<HttpResponse, PageError> {
    let people = &dashboard.people;
    if let Err(error) = people.check_first(&token).await {
        return spent(&request, error, SIGN_IN);
    }
    let PersonIn { email, name, password } = form.0;
    match people.create_first_owner(&token, &email, &name, &password).await {
        Ok(user) => {
            let flash = Flash::success("Welcome. This server is yours");
            enter(&request, &sessions, user.id, "/", Some(flash)).await
        }
        Err(error) => choose(&request, &token, (email, name), Problem::with(error)?),
    }
}

fn choose(
    request: &HttpRequest,
    token: &str,
    (typed_email, name): (String, String),
    problem: Problem,
) -> Result<HttpResponse, PageError> {
    let page = PersonPage {
        layout: Bare::of(request, "First owner"),
        title: "Set up this server".to_owned(),
        text: "You become its operator, and the owner of its first account.".to_owned(),
        button: "Create owner",
        action: format!("/first/{token}"),
        email: None,
        typed_email,
        name,
        problem,
    };
    page_with(status(&page.problem), &page)
}
