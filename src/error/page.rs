//! What can go wrong at a page of the dashboard.
//!
//! The answer of an error made here is plain; what frames the pages draws it.

use std::error::Error;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentType, LOCATION, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use actors::ports::StoreError;

/// Seconds after which there may be room again.
const BUSY_RETRY_SECONDS: u32 = 1;

/// A refusal as a person sees it.
#[derive(Debug)]
pub enum PageError {
    /// Nobody is signed in: to the page for that, and from there to `next`.
    SignIn { next: Option<String> },
    /// Nobody is signed in, and who asks is a script.
    NotSignedIn,
    /// The form did not come from a page that this person was shown, or not lately.
    Forged,
    /// What was sent is no form of ours.
    BadForm,
    /// The role of this person does not allow it.
    Forbidden,
    /// There is no such thing, or it is another account's.
    NotFound,
    /// Too many tries; the seconds until the next one.
    TooMany { retry_after: u32 },
    /// Too much to do now.
    Busy,
    /// Our fault. The cause goes to the log.
    Internal(Box<dyn Error + Send + Sync>),
}

impl PageError {
    /// Our fault.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }

    /// The heading of its page.
    pub fn title(&self) -> &'static str {
        match self {
            Self::SignIn { .. } | Self::NotSignedIn => "Sign in",
            Self::Forged => "This form has expired",
            Self::BadForm => "This form cannot be read",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::TooMany { .. } => "Too many tries",
            Self::Busy => "Too busy",
            Self::Internal(_) => "Something went wrong",
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        match self {
            Self::SignIn { .. } | Self::NotSignedIn => "Sign in to see this page.".to_owned(),
            Self::Forged => "Go back, reload the page, and try again.".to_owned(),
            Self::BadForm => "Go back, reload the page, and fill the form in again.".to_owned(),
            Self::Forbidden => "Your role in this workspace does not allow this.".to_owned(),
            Self::NotFound => "There is nothing here, or it is not yours to see.".to_owned(),
            Self::TooMany { retry_after } => format!("Try again in {retry_after} seconds."),
            Self::Busy => "Try again in a moment.".to_owned(),
            Self::Internal(_) => "We have noted it. Try again in a moment.".to_owned(),
        }
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

impl Error for PageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Internal(source) => Some(source.as_ref()),
            Self::SignIn { .. }
            | Self::NotSignedIn
            | Self::Forged
            | Self::BadForm
            | Self::Forbidden
            | Self::NotFound
            | Self::TooMany { .. }
            | Self::Busy => None,
        }
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded => Self::Busy,
            StoreError::Corrupt(_) | StoreError::Database(_) => Self::internal(error),
        }
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignIn { .. } => StatusCode::SEE_OTHER,
            Self::NotSignedIn => StatusCode::UNAUTHORIZED,
            Self::Forged | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::BadForm => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        answer.insert_header((CACHE_CONTROL, "no-store"));
        match self {
            Self::SignIn { next } => {
                answer.insert_header((LOCATION, sign_in(next.as_deref())));
            }
            Self::TooMany { retry_after } => {
                answer.insert_header((RETRY_AFTER, *retry_after));
            }
            Self::Busy => {
                answer.insert_header((RETRY_AFTER, BUSY_RETRY_SECONDS));
            }
            Self::NotSignedIn
            | Self::Forged
            | Self::BadForm
            | Self::Forbidden
            | Self::NotFound
            | Self::Internal(_) => {}
        }
        answer.content_type(ContentType::plaintext()).body(format!(
            "{}. {}\n",
            self.title(),
            self.advice()
        ))
    }
}

/// The page where one signs in, and where that leads.
fn sign_in(next: Option<&str>) -> String {
    match next {
        None => "/sign-in".to_owned(),
        Some(next) => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            format!("/sign-in?{}", query.append_pair("next", next).finish())
        }
    }
}
