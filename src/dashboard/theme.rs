//! Light or dark: as the system is, or as was chosen on this browser.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::LOCATION;
use actix_web::web::Form;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::auth::session::local_path;

/// `static/theme.js` writes it too.
const NAME: &str = "theme";

/// A choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Theme {
    System,
    Light,
    Dark,
}

impl Theme {
    pub(super) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// The text in the cookie, in forms and in the style sheet.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    pub(super) fn icon(self) -> &'static str {
        match self {
            Self::System => "monitor",
            Self::Light => "sun",
            Self::Dark => "moon",
        }
    }

    /// What this browser has chosen.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let cookie = request.cookie(NAME);
        let chosen =
            cookie.and_then(|it| Self::ALL.into_iter().find(|theme| theme.as_str() == it.value()));
        chosen.unwrap_or(Self::System)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ThemeIn {
    theme: Theme,
    /// The page to go back to.
    next: String,
}

/// Without scripts. It changes nothing but this browser's looks, so it needs no session.
pub(super) async fn choose(form: Form<ThemeIn>) -> HttpResponse {
    let cookie = Cookie::build(NAME, form.theme.as_str())
        .path("/")
        .same_site(SameSite::Lax)
        .max_age(Duration::days(365))
        .finish();
    HttpResponse::SeeOther()
        .insert_header((LOCATION, local_path(&form.next).unwrap_or("/")))
        .cookie(cookie)
        .finish()
}
