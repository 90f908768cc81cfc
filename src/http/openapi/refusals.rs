//! Which errors each operation may answer with.

use std::collections::BTreeMap;

use crate::error::ErrorCode;

/// What every operation may answer: the checks of the key come first (`spec/contract.md` 4.1),
/// then the limit of requests.
const EVERYWHERE: [ErrorCode; 8] = [
    ErrorCode::AuthenticationRequired,
    ErrorCode::AuthenticationFailed,
    ErrorCode::InsufficientPermissions,
    ErrorCode::RateLimitExceeded,
    ErrorCode::AuthRateLimited,
    ErrorCode::IpNotAllowed,
    ErrorCode::InternalError,
    ErrorCode::ServiceUnavailable,
];

const GENERATE: [ErrorCode; 22] = [
    ErrorCode::InsufficientCredits,
    ErrorCode::AccountNotFound,
    ErrorCode::ConcurrencyLimitExceeded,
    ErrorCode::InvalidInput,
    ErrorCode::FileTooLarge,
    ErrorCode::FileTooSmall,
    ErrorCode::UnsupportedFileFormat,
    ErrorCode::FileLoadError,
    ErrorCode::ContentPolicyViolation,
    ErrorCode::FileSizeExceeded,
    ErrorCode::ParameterOutOfRange,
    ErrorCode::FileDownloadError,
    ErrorCode::PayloadTooLarge,
    ErrorCode::ModelNotFound,
    // Of a repeated key whose generation was deleted.
    ErrorCode::GenerationNotFound,
    ErrorCode::IdempotencyKeyConflict,
    ErrorCode::IdempotencyRequestInProgress,
    ErrorCode::ProviderRejectedRequest,
    ErrorCode::AllProvidersFailed,
    ErrorCode::OutputProcessingFailed,
    ErrorCode::GenerationFailed,
    ErrorCode::GenerationTimedOut,
];

const ACCOUNT: [ErrorCode; 1] = [ErrorCode::AccountNotFound];
const USAGE: [ErrorCode; 2] = [ErrorCode::AccountNotFound, ErrorCode::InvalidInput];
const LIST: [ErrorCode; 1] = [ErrorCode::InvalidInput];
const DELETE: [ErrorCode; 2] = [ErrorCode::GenerationNotFound, ErrorCode::StorageError];
const ESTIMATE: [ErrorCode; 3] =
    [ErrorCode::InvalidInput, ErrorCode::ParameterOutOfRange, ErrorCode::ModelNotFound];
const WATCH: [ErrorCode; 3] =
    [ErrorCode::GenerationNotFound, ErrorCode::ConcurrencyLimitExceeded, ErrorCode::InvalidInput];
const GENERATION: [ErrorCode; 1] = [ErrorCode::GenerationNotFound];
const CANCEL: [ErrorCode; 2] = [ErrorCode::GenerationNotFound, ErrorCode::GenerationNotCancelable];

/// By operation; `None` for one that is not in the table.
fn own(operation: &str) -> Option<&'static [ErrorCode]> {
    Some(match operation {
        "create_image_generation" | "create_video_generation" => &GENERATE,
        "get_generation" => &GENERATION,
        "delete_generation" => &DELETE,
        "cancel_generation" => &CANCEL,
        "watch_generation" => &WATCH,
        "list_generations" => &LIST,
        "get_account" | "get_billing" => &ACCOUNT,
        "get_usage" => &USAGE,
        "get_estimate" => &ESTIMATE,
        "get_status"
        | "list_models"
        | "list_providers"
        | "get_provider_health"
        | "get_model_health"
        | "get_storage_health"
        | "get_cache_health" => &[],
        _ => return None,
    })
}

/// The errors of an operation by HTTP status, by number within each.
pub(super) fn by_status(operation: &str) -> Option<BTreeMap<u16, Vec<ErrorCode>>> {
    let own = own(operation)?;
    let mut statuses = BTreeMap::<u16, Vec<ErrorCode>>::new();
    for code in ErrorCode::ALL {
        if EVERYWHERE.contains(&code) || own.contains(&code) {
            statuses.entry(code.row().status).or_default().push(code);
        }
    }
    Some(statuses)
}
