use std::collections::HashSet;
use std::fmt::Write as _;

use super::*;

#[test]
fn the_table_of_codes_is_the_one_that_was_reviewed() {
    let mut table = String::new();
    for code in ErrorCode::ALL {
        let Row { code, kind, status, retryable, message, origin } = code.row();
        let retry = if retryable { "retry" } else { "-" };
        writeln!(table, "{code} {kind} {status} {retry} {origin:?}: {message}").unwrap();
    }
    assert_eq!(table, include_str!("codes.txt"));
}

#[test]
fn numbers_and_types_are_unique_and_in_order() {
    let numbers: Vec<_> = ErrorCode::ALL.iter().map(|code| code.row().code).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let types: HashSet<_> = ErrorCode::ALL.iter().map(|code| code.row().kind).collect();
    assert_eq!(types.len(), ErrorCode::ALL.len());
}

#[test]
fn only_429_and_a_running_idempotent_request_are_retryable_client_errors() {
    for code in ErrorCode::ALL {
        let row = code.row();
        assert_eq!(code.status().as_u16(), row.status);
        if row.status < 500 {
            let expected = row.status == 429 || code == ErrorCode::IdempotencyRequestInProgress;
            assert_eq!(row.retryable, expected, "{}", row.code);
        }
    }
}

#[test]
fn records_and_errors_use_the_same_codes() {
    for failure in FailureCode::ALL {
        let row = ErrorCode::of(failure).row();
        assert_eq!(row.code, failure.wire_code());
        // For clients, two of ours are one.
        let is_ours = failure == FailureCode::OutputNotStored;
        assert_eq!(row.kind == failure.as_str(), !is_ours, "{failure:?}");
    }
}

#[test]
fn absent_members_are_omitted() {
    let error = ApiError::new(ErrorCode::RouteNotFound).to_json().to_string();
    assert_eq!(
        error,
        r#"{"code":"BSE2017","type":"route_not_found","message":"The requested resource does not exist.","retryable":false}"#
    );
}

#[test]
fn a_store_failure_tells_the_client_nothing() {
    let error = ApiError::from(StoreError::Corrupt("account 7".to_owned()));
    assert_eq!(error.code(), ErrorCode::InternalError);
    assert!(!error.to_json().to_string().contains("account 7"));
    assert!(error.cause().unwrap().to_string().contains("account 7"));
    let error = ApiError::from(StoreError::Overloaded);
    assert_eq!(error.code(), ErrorCode::ServiceUnavailable);
    let mut headers = HeaderMap::new();
    error.put_headers(&mut headers);
    assert_eq!(headers.get(RETRY_AFTER).unwrap(), "1");
}

#[test]
fn a_generation_that_failed_here_or_ran_out_of_time_is_told_as_that() {
    for (reason, code, retryable) in [
        (FailureCode::GenerationFailed, ErrorCode::GenerationFailed, false),
        (FailureCode::GenerationTimedOut, ErrorCode::GenerationTimedOut, true),
    ] {
        let failed = crate::http::samples::failed(&[], reason);
        let error = ApiError::generation_failed(&failed, reason);
        assert_eq!((error.code(), error.is_retryable()), (code, retryable));
    }
}
