//! The cookie that holds a session's token.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};

/// With the prefix browsers take it from this very host by HTTPS only, and from no subdomain.
const SECURE: &str = "__Host-babysea";
const PLAIN: &str = "babysea";

#[derive(Debug, Clone, Copy)]
pub(super) struct CookieName {
    pub(super) secure: bool,
}

impl CookieName {
    fn name(self) -> &'static str {
        if self.secure { SECURE } else { PLAIN }
    }

    pub(super) fn read(self, request: &HttpRequest) -> Option<String> {
        request.cookie(self.name()).map(|cookie| cookie.value().to_owned())
    }

    pub(super) fn with(self, token: String, max: Duration) -> Cookie<'static> {
        let seconds = i64::try_from(max.as_secs()).unwrap_or(i64::MAX);
        self.built(token, CookieDuration::seconds(seconds))
    }

    /// The one that takes it away.
    pub(super) fn gone(self) -> Cookie<'static> {
        self.built(String::new(), CookieDuration::ZERO)
    }

    fn built(self, value: String, max_age: CookieDuration) -> Cookie<'static> {
        Cookie::build(self.name(), value)
            .path("/")
            .http_only(true)
            .secure(self.secure)
            // Links from elsewhere, such as those in mails, find people signed in; forms do not.
            .same_site(SameSite::Lax)
            .max_age(max_age)
            .finish()
    }
}
