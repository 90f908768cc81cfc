//! The link that confirms a new address. Looking at it changes nothing: programs that check mail
//! follow links too.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::{Bare, spent};
use crate::auth::session::OpenForm;
use crate::dashboard::flash::Flash;
use crate::dashboard::form::Nothing;
use crate::dashboard::problem::Problem;
use crate::dashboard::{Dashboard, page_with, redirect};
use crate::error::page::PageError;

const PROFILE: (&str, &str) = ("/home/settings", "My profile");

#[derive(Template)]
#[template(path = "entry/confirm.html")]
struct ConfirmPage {
    layout: Bare,
    title: &'static str,
    text: String,
    button: &'static str,
    action: String,
}

pub(in crate::dashboard) async fn open(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    token: Path<String>,
) -> Result<HttpResponse, PageError> {
    let (user, email, _) = match dashboard.people.find_email_change(&token).await {
        Ok(found) => found,
        Err(error) => return spent(&request, error, PROFILE),
    };
    let page = ConfirmPage {
        layout: Bare::of(&request, "New address"),
        title: "Confirm your new address",
        text: format!("{} signs in as {email} from now on.", user.email),
        button: "Confirm",
        action: format!("/email/{token}"),
    };
    page_with(StatusCode::OK, &page)
}

pub(in crate::dashboard) async fn confirm(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    token: Path<String>,
    _form: OpenForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    match dashboard.people.confirm_email(&token).await {
        Ok(email) => {
            let flash = Flash::success(format!("Your address is {email}"));
            Ok(redirect("/home/settings", flash))
        }
        Err(crate::people::PeopleError::LinkSpent) => {
            spent(&request, crate::people::PeopleError::LinkSpent, PROFILE)
        }
        Err(error) => Ok(redirect("/home/settings", Problem::flash(error)?)),
    }
}
