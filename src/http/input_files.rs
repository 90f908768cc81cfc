//! Whether the files that a request names may be fetched.
//!
//! Asked before credit moves, so that the client is told. Whoever fetches them later asks again
//! at the connection, where alone it can be known (`spec/faults.md` B3).

use actors::input::Input;
use futures_util::future::join_all;
use serde_json::json;
use url::{Host, Url};

use crate::address_guard::{Policy, UrlProblem, check_url, resolve_checked};
use crate::error::{ApiError, ErrorCode};

/// A named file, with its place in the body.
struct Named<'a> {
    field: &'static str,
    pointer: String,
    url: &'a Url,
}

/// Why a file is refused.
struct Refusal {
    code: ErrorCode,
    reason: String,
}

/// Checks all of them at once; how many there may be, the model has said already.
///
/// # Errors
/// BSE2001 for what no URL of a public file looks like, BSE2009 for where none can be.
pub(super) async fn check(input: &Input, policy: Policy) -> Result<(), ApiError> {
    let named = named(input);
    let checks = named.iter().map(|named| check_one(named.url, policy));
    let refused: Vec<_> = named
        .iter()
        .zip(join_all(checks).await)
        .filter_map(|(named, checked)| checked.err().map(|refusal| (named, refusal)))
        .collect();
    let Some((first, _)) = refused.first() else { return Ok(()) };
    let malformed = refused.iter().any(|(_, refusal)| refusal.code == ErrorCode::InvalidInput);
    let code = if malformed { ErrorCode::InvalidInput } else { ErrorCode::FileDownloadError };
    let issues: Vec<_> = refused
        .iter()
        .map(|(named, Refusal { reason, .. })| {
            json!({ "field": named.field, "pointer": named.pointer, "reason": reason })
        })
        .collect();
    Err(ApiError::new(code).details(json!({ "field": first.field, "issues": issues })))
}

fn named(input: &Input) -> Vec<Named<'_>> {
    let (many, last) = ("generation_input_file", "generation_input_file_last_content");
    let many = input.input_files.iter().enumerate().map(|(index, url)| Named {
        field: many,
        pointer: format!("/{many}/{index}"),
        url,
    });
    let last =
        input.last_frame.iter().map(|url| Named { field: last, pointer: format!("/{last}"), url });
    many.chain(last).collect()
}

async fn check_one(url: &Url, policy: Policy) -> Result<(), Refusal> {
    let url = check_url(url.as_str(), policy).map_err(|problem| Refusal {
        code: match problem {
            UrlProblem::LocalName | UrlProblem::Address(_) => ErrorCode::FileDownloadError,
            UrlProblem::TooLong
            | UrlProblem::Characters
            | UrlProblem::Malformed
            | UrlProblem::Scheme
            | UrlProblem::UserInfo
            | UrlProblem::Port
            | UrlProblem::Fragment
            | UrlProblem::UnusualHost => ErrorCode::InvalidInput,
        },
        reason: sentence(&problem.to_string()),
    })?;
    // An address has been judged by now; a name means one only when it is looked up.
    let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
    let port = url.port_or_known_default().unwrap_or(443);
    let resolved = resolve_checked(name, port, policy).await;
    resolved.map(drop).map_err(|_| Refusal {
        code: ErrorCode::FileDownloadError,
        // The address that a name has inside our network is nothing to tell.
        reason: "The host has no public address.".to_owned(),
    })
}

/// `the host is …` as a sentence.
fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
