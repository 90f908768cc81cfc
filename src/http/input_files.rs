//! What a client is told of input files that cannot be taken.

use actors::id::AccountId;
use actors::input::Input;
use serde_json::{Value, json};

use super::AppState;
use crate::error::{ApiError, ErrorCode};
use crate::input_files::{Fault, Refusal, Unfit};

/// Checks the files that a request names, all of them at once.
///
/// # Errors
/// BSE2002 to BSE2005, BSE2007 or BSE2009: that of the first file that is unfit, with all of
/// them in the details, each with its own code. BSE3002 when too many are being checked.
pub(super) async fn check(
    state: &AppState,
    account_id: AccountId,
    input: &Input,
) -> Result<(), ApiError> {
    match state.input_files.check(account_id, input).await {
        Ok(()) => Ok(()),
        Err(Refusal::Busy) => Err(ApiError::busy()),
        Err(Refusal::Unfit(unfit)) => Err(refuse(&unfit)),
    }
}

fn refuse(unfit: &[Unfit]) -> ApiError {
    let code = unfit.first().map_or(ErrorCode::FileDownloadError, |first| code(first.fault));
    let mut details = json!({ "field": unfit.first().map(|first| first.field) });
    if let [only] = unfit {
        put_limits(&mut details, only.fault);
    }
    details["issues"] = unfit.iter().map(issue).collect();
    ApiError::new(code).details(details)
}

fn issue(unfit: &Unfit) -> Value {
    let Unfit { field, index, fault } = unfit;
    let pointer = match index {
        Some(index) => format!("/{field}/{index}"),
        None => format!("/{field}"),
    };
    let reason = sentence(&fault.to_string());
    let code = code(*fault).row().code;
    let mut issue = json!({ "field": field, "pointer": pointer, "reason": reason, "code": code });
    put_limits(&mut issue, *fault);
    issue
}

/// `spec/contract.md` 7.8: whatever is wrong with an address is a failed download.
fn code(fault: Fault) -> ErrorCode {
    match fault {
        Fault::Url(_) | Fault::NotPublic | Fault::Call(_) | Fault::Redirect | Fault::Status(_) => {
            ErrorCode::FileDownloadError
        }
        Fault::Bytes { .. } => ErrorCode::FileSizeExceeded,
        Fault::Format => ErrorCode::UnsupportedFileFormat,
        Fault::Undecodable | Fault::Memory => ErrorCode::FileLoadError,
        Fault::TooSmall { .. } => ErrorCode::FileTooSmall,
        Fault::TooLarge { .. } => ErrorCode::FileTooLarge,
    }
}

fn put_limits(target: &mut Value, fault: Fault) {
    match fault {
        Fault::TooSmall { min, .. } => target["min"] = json!(min),
        Fault::TooLarge { max, .. } => target["max"] = json!(max),
        Fault::Bytes { max } => target["max"] = json!(max),
        Fault::Url(_)
        | Fault::NotPublic
        | Fault::Call(_)
        | Fault::Redirect
        | Fault::Status(_)
        | Fault::Format
        | Fault::Undecodable
        | Fault::Memory => {}
    }
}

/// `the host is …` as a sentence.
fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
