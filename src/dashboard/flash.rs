//! What a page says once about what was done on the page before: a cookie that the next page
//! shows and takes away.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite};
use url::form_urlencoded::byte_serialize;

const NAME: &str = "flash";
/// Bytes of a cookie that are read; ours are shorter.
const LENGTH_MAX: usize = 1000;

/// One sentence, and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flash {
    pub(super) kind: FlashKind,
    pub(super) text: String,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlashKind {
    Success,
    Error,
}

impl FlashKind {
    /// The text in the cookie and in the style sheet.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
        }
    }
}

impl Flash {
    /// How its cookie begins.
    pub(super) const COOKIE: &[u8] = b"flash=";

    pub(super) fn success(text: impl Into<String>) -> Self {
        Self { kind: FlashKind::Success, text: text.into() }
    }

    pub(super) fn error(text: impl Into<String>) -> Self {
        Self { kind: FlashKind::Error, text: text.into() }
    }

    /// What the page before has left; nothing that is not of our making.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        let cookie = request.cookie(NAME)?;
        let value = Some(cookie.value()).filter(|value| value.len() <= LENGTH_MAX)?;
        let (kind, text) = url::form_urlencoded::parse(value.as_bytes()).next()?;
        let kind =
            [FlashKind::Success, FlashKind::Error].into_iter().find(|it| it.as_str() == kind);
        Some(Self { kind: kind?, text: text.into_owned() })
    }

    /// Carries it to the next page.
    pub(super) fn cookie(&self) -> Cookie<'static> {
        let text: String = byte_serialize(self.text.as_bytes()).collect();
        cookie(format!("{}={text}", self.kind.as_str()))
    }
}

/// Takes it away from a browser that was shown it.
pub(super) fn removal() -> Cookie<'static> {
    let mut cookie = cookie(String::new());
    cookie.make_removal();
    cookie
}

fn cookie(value: String) -> Cookie<'static> {
    Cookie::build(NAME, value).path("/").http_only(true).same_site(SameSite::Lax).finish()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_flash_comes_back_as_it_was_and_nothing_else_does() {
        for text in ["“ci” was revoked", "a=b&c; d, é\n<script>"] {
            let flash = Flash::error(text);
            let request = TestRequest::default().cookie(flash.cookie()).to_http_request();
            assert_eq!(Flash::of(&request), Some(flash));
        }
        for value in ["", "warning=x", "success", &"x".repeat(LENGTH_MAX + 1)] {
            let cookie = Cookie::new(NAME, value.to_owned());
            let found = Flash::of(&TestRequest::default().cookie(cookie).to_http_request());
            assert!(found.is_none_or(|flash| flash.text.is_empty()), "{value}");
        }
    }
}
