//! Why a page cannot be shown.

use std::error::Error;
use std::fmt;

use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actors::ports::StoreError;

/// Why a page cannot be shown. `src/dashboard` makes a page of it in the look of all others.
#[derive(Debug)]
pub enum PageError {
    /// It does not exist, or not for this person.
    NotFound,
    /// This person may see it and not do this.
    Forbidden,
    /// The form was not made for this session, or is from before the last sign-in.
    Stale,
    /// The request is none that a page of ours sends.
    Malformed,
    /// There is more to do than can be done; it is worth trying again.
    Busy,
    /// Something is wrong here. The cause is for the log only.
    Internal(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "the page does not exist",
            Self::Forbidden => "the role does not allow it",
            Self::Stale => "the form is not of this session",
            Self::Malformed => "the request is malformed",
            Self::Busy => "too much is going on",
            Self::Internal(_) => "a page failed",
        })
    }
}

impl Error for PageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Internal(cause) => Some(&**cause),
            Self::NotFound | Self::Forbidden | Self::Stale | Self::Malformed | Self::Busy => None,
        }
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forbidden | Self::Stale => StatusCode::FORBIDDEN,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded => Self::Busy,
            other => Self::Internal(Box::new(other)),
        }
    }
}

impl From<askama::Error> for PageError {
    fn from(error: askama::Error) -> Self {
        Self::Internal(Box::new(error))
    }
}
