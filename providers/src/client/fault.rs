//! Failures of a call, with the answer to whether the provider may have acted on it.

use crate::{Acceptance, Error, SubmitError};

/// The provider has certainly not taken the job.
pub(crate) fn refused(error: Error) -> SubmitError {
    SubmitError { error, acceptance: Acceptance::Refused }
}

/// The provider may have taken the job.
pub(crate) fn lost(error: Error) -> SubmitError {
    SubmitError { error, acceptance: Acceptance::Unknown }
}

/// No answer, or not a whole one. Only a connection that was never made says that nothing left.
pub(super) fn of(error: &reqwest::Error) -> SubmitError {
    if error.is_builder() {
        return refused(Error::Protocol("the request cannot be made".to_owned()));
    }
    if error.is_connect() {
        return refused(Error::Unavailable);
    }
    if error.is_timeout() {
        return lost(Error::TimedOut);
    }
    lost(Error::Unavailable)
}
