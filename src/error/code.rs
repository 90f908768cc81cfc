//! The table of codes.

use actix_web::http::StatusCode;
use actors::failure::FailureCode;

/// Every error of the API, by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    AuthenticationRequired,
    AuthenticationFailed,
    InsufficientPermissions,
    InsufficientCredits,
    RateLimitExceeded,
    AuthRateLimited,
    IpNotAllowed,
    AccountNotFound,
    ConcurrencyLimitExceeded,
    InvalidInput,
    FileTooLarge,
    FileTooSmall,
    UnsupportedFileFormat,
    FileLoadError,
    ContentPolicyViolation,
    FileSizeExceeded,
    ParameterOutOfRange,
    FileDownloadError,
    PayloadTooLarge,
    ModelNotFound,
    GenerationNotFound,
    GenerationNotCancelable,
    MethodNotAllowed,
    IdempotencyKeyConflict,
    IdempotencyRequestInProgress,
    RouteNotFound,
    GenerationInFlight,
    InternalError,
    ServiceUnavailable,
    StorageError,
    ProviderTimeout,
    ProviderUnavailable,
    ProviderError,
    ProviderRejectedRequest,
    ProviderRateLimited,
    ProviderCreditsExhausted,
    ProviderAuthenticationFailed,
    AllProvidersFailed,
    GenerationFailed,
    GenerationTimedOut,
    OutputProcessingFailed,
}

/// Whose word a row is (`spec/contract.md` 0.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// BabySea documents all of it.
    Documented,
    /// BabySea documents the code; the text, and for some the type, is ours.
    TextOurs,
    /// Our choice in a gap; never to be presented as BabySea's.
    Ours,
}

/// What one code means on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// `BSE####`.
    pub code: &'static str,
    /// `type`.
    pub kind: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// The text for people.
    pub message: &'static str,
    /// Who says so.
    pub origin: Origin,
}

const fn row(
    code: &'static str,
    kind: &'static str,
    status: u16,
    retryable: bool,
    message: &'static str,
    origin: Origin,
) -> Row {
    Row { code, kind, status, retryable, message, origin }
}

impl ErrorCode {
    /// Every code, by number.
    pub const ALL: [Self; 41] = [
        Self::AuthenticationRequired,
        Self::AuthenticationFailed,
        Self::InsufficientPermissions,
        Self::InsufficientCredits,
        Self::RateLimitExceeded,
        Self::AuthRateLimited,
        Self::IpNotAllowed,
        Self::AccountNotFound,
        Self::ConcurrencyLimitExceeded,
        Self::InvalidInput,
        Self::FileTooLarge,
        Self::FileTooSmall,
        Self::UnsupportedFileFormat,
        Self::FileLoadError,
        Self::ContentPolicyViolation,
        Self::FileSizeExceeded,
        Self::ParameterOutOfRange,
        Self::FileDownloadError,
        Self::PayloadTooLarge,
        Self::ModelNotFound,
        Self::GenerationNotFound,
        Self::GenerationNotCancelable,
        Self::MethodNotAllowed,
        Self::IdempotencyKeyConflict,
        Self::IdempotencyRequestInProgress,
        Self::RouteNotFound,
        Self::GenerationInFlight,
        Self::InternalError,
        Self::ServiceUnavailable,
        Self::StorageError,
        Self::ProviderTimeout,
        Self::ProviderUnavailable,
        Self::ProviderError,
        Self::ProviderRejectedRequest,
        Self::ProviderRateLimited,
        Self::ProviderCreditsExhausted,
        Self::ProviderAuthenticationFailed,
        Self::AllProvidersFailed,
        Self::GenerationFailed,
        Self::GenerationTimedOut,
        Self::OutputProcessingFailed,
    ];

    /// The table. A correction is made here and nowhere else.
    #[rustfmt::skip]
    pub const fn row(self) -> Row {
        use Origin::{Documented, Ours, TextOurs};
        match self {
            Self::AuthenticationRequired => row("BSE1001", "authentication_required", 401, false, "Missing API key. Provide a valid key via the Authorization header.", Documented),
            Self::AuthenticationFailed => row("BSE1002", "authentication_failed", 401, false, "Invalid or expired API key.", Documented),
            Self::InsufficientPermissions => row("BSE1003", "insufficient_permissions", 403, false, "API key does not have permission for this resource.", Documented),
            Self::InsufficientCredits => row("BSE1004", "insufficient_credits", 402, false, "Insufficient credits. Please upgrade your plan or wait for renewal.", Documented),
            Self::RateLimitExceeded => row("BSE1005", "rate_limit_exceeded", 429, true, "Rate limit exceeded. Please retry after the period indicated in the Retry-After header.", Documented),
            Self::AuthRateLimited => row("BSE1006", "auth_rate_limited", 429, true, "Too many authentication attempts. Please retry later.", TextOurs),
            Self::IpNotAllowed => row("BSE1007", "ip_not_allowed", 403, false, "This IP address is not in the allowlist for this API key.", Documented),
            Self::AccountNotFound => row("BSE1008", "account_not_found", 404, false, "Account not found.", TextOurs),
            Self::ConcurrencyLimitExceeded => row("BSE1009", "concurrency_limit_exceeded", 429, true, "Concurrency limit exceeded. Please wait for running generations to finish.", TextOurs),
            Self::InvalidInput => row("BSE2001", "invalid_input", 400, false, "The request body contains invalid parameters.", Documented),
            Self::FileTooLarge => row("BSE2002", "file_too_large", 422, false, "The dimensions of an input image are above the maximum.", TextOurs),
            Self::FileTooSmall => row("BSE2003", "file_too_small", 422, false, "The dimensions of an input image are below the minimum.", TextOurs),
            Self::UnsupportedFileFormat => row("BSE2004", "unsupported_file_format", 422, false, "An input file is not a JPEG, PNG or WebP image.", TextOurs),
            Self::FileLoadError => row("BSE2005", "file_load_error", 422, false, "An input file could not be decoded.", TextOurs),
            Self::ContentPolicyViolation => row("BSE2006", "content_policy_violation", 422, false, "The request was refused on content grounds.", TextOurs),
            Self::FileSizeExceeded => row("BSE2007", "file_size_exceeded", 422, false, "An input file is larger than the maximum.", TextOurs),
            Self::ParameterOutOfRange => row("BSE2008", "parameter_out_of_range", 422, false, "A numeric parameter is out of range.", TextOurs),
            Self::FileDownloadError => row("BSE2009", "file_download_error", 422, false, "An input file could not be downloaded.", TextOurs),
            Self::PayloadTooLarge => row("BSE2010", "payload_too_large", 413, false, "The request body exceeds the 100 KB limit.", TextOurs),
            Self::ModelNotFound => row("BSE2011", "model_not_found", 404, false, "The requested model does not exist.", Ours),
            Self::GenerationNotFound => row("BSE2012", "generation_not_found", 404, false, "The generation was not found.", Ours),
            Self::GenerationNotCancelable => row("BSE2013", "generation_not_cancelable", 409, false, "The generation can no longer be canceled.", Ours),
            Self::MethodNotAllowed => row("BSE2014", "method_not_allowed", 405, false, "The method is not supported for this resource.", Ours),
            Self::IdempotencyKeyConflict => row("BSE2015", "idempotency_key_conflict", 409, false, "This Idempotency-Key was already used with a different request body.", TextOurs),
            Self::IdempotencyRequestInProgress => row("BSE2016", "idempotency_request_in_progress", 409, true, "A request with this Idempotency-Key is still being processed. Retry once the original request completes.", TextOurs),
            Self::RouteNotFound => row("BSE2017", "route_not_found", 404, false, "The requested resource does not exist.", Ours),
            Self::GenerationInFlight => row("BSE2018", "generation_in_flight", 409, false, "The generation is still running; cancel it first.", Ours),
            Self::InternalError => row("BSE3001", "internal_error", 500, true, "An internal error occurred.", Ours),
            Self::ServiceUnavailable => row("BSE3002", "service_unavailable", 503, true, "The service is temporarily unavailable.", Ours),
            Self::StorageError => row("BSE3003", "storage_error", 503, true, "The storage service is temporarily unavailable.", Ours),
            Self::ProviderTimeout => row("BSE4001", "provider_timeout", 504, true, "The provider did not answer in time.", Ours),
            Self::ProviderUnavailable => row("BSE4002", "provider_unavailable", 503, true, "The provider is unavailable.", Ours),
            Self::ProviderError => row("BSE4003", "provider_error", 502, true, "The provider returned an error.", Ours),
            Self::ProviderRejectedRequest => row("BSE4004", "provider_rejected_request", 502, false, "The provider rejected the request.", Ours),
            Self::ProviderRateLimited => row("BSE4005", "provider_rate_limited", 503, true, "The provider is limiting requests.", Ours),
            Self::ProviderCreditsExhausted => row("BSE4008", "provider_credits_exhausted", 503, false, "The provider account has no remaining credit.", Ours),
            Self::ProviderAuthenticationFailed => row("BSE4009", "provider_authentication_failed", 502, false, "The provider credentials were refused.", Ours),
            Self::AllProvidersFailed => row("BSE4010", "all_providers_failed", 502, true, "All providers failed for this generation.", Ours),
            Self::GenerationFailed => row("BSE5001", "generation_failed", 500, false, "The generation failed.", Ours),
            Self::GenerationTimedOut => row("BSE5002", "generation_timed_out", 504, true, "The generation did not finish in time.", Ours),
            Self::OutputProcessingFailed => row("BSE5003", "output_processing_failed", 500, true, "The output could not be stored.", Ours),
        }
    }

    /// Its HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The error of a failed attempt or generation.
    pub fn of(failure: FailureCode) -> Self {
        match failure {
            FailureCode::ContentPolicyViolation => Self::ContentPolicyViolation,
            FailureCode::ProviderTimeout => Self::ProviderTimeout,
            FailureCode::ProviderUnavailable => Self::ProviderUnavailable,
            FailureCode::ProviderError => Self::ProviderError,
            FailureCode::ProviderRejectedRequest => Self::ProviderRejectedRequest,
            FailureCode::ProviderRateLimited => Self::ProviderRateLimited,
            FailureCode::ProviderCreditsExhausted => Self::ProviderCreditsExhausted,
            FailureCode::ProviderAuthenticationFailed => Self::ProviderAuthenticationFailed,
            FailureCode::AllProvidersFailed => Self::AllProvidersFailed,
            FailureCode::GenerationFailed => Self::GenerationFailed,
            FailureCode::GenerationTimedOut => Self::GenerationTimedOut,
            FailureCode::OutputProcessingFailed | FailureCode::OutputNotStored => {
                Self::OutputProcessingFailed
            }
        }
    }
}
