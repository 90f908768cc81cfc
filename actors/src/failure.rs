//! Why an attempt or a generation failed, in one closed list.

use std::fmt;

use providers::Error;

/// The reason of a failure. The wire gives each a BSE code (`spec/contract.md` 3, B.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureCode {
    /// The content was refused.
    ContentPolicyViolation,
    /// The provider did not answer in time.
    ProviderTimeout,
    /// The provider is down or overloaded.
    ProviderUnavailable,
    /// The provider ran the job and it failed, or its answer could not be read.
    ProviderError,
    /// The provider does not accept the input.
    ProviderRejectedRequest,
    /// The provider limits our requests.
    ProviderRateLimited,
    /// Our account at the provider is out of funds.
    ProviderCreditsExhausted,
    /// Our credential was refused.
    ProviderAuthenticationFailed,
    /// Several providers were asked and each failed.
    AllProvidersFailed,
    /// Something in this server kept failing on it.
    GenerationFailed,
    /// The whole time allowed has passed.
    GenerationTimedOut,
    /// The result was no file that we take, or could not be fetched.
    OutputProcessingFailed,
    /// Our own store did not take the result.
    OutputNotStored,
}

impl FailureCode {
    /// Every code.
    pub const ALL: [Self; 13] = [
        Self::ContentPolicyViolation,
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
        Self::OutputNotStored,
    ];

    /// The text in tables: the contract's error type, except where it has one for two of ours.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContentPolicyViolation => "content_policy_violation",
            Self::ProviderTimeout => "provider_timeout",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::ProviderError => "provider_error",
            Self::ProviderRejectedRequest => "provider_rejected_request",
            Self::ProviderRateLimited => "provider_rate_limited",
            Self::ProviderCreditsExhausted => "provider_credits_exhausted",
            Self::ProviderAuthenticationFailed => "provider_authentication_failed",
            Self::AllProvidersFailed => "all_providers_failed",
            Self::GenerationFailed => "generation_failed",
            Self::GenerationTimedOut => "generation_timed_out",
            Self::OutputProcessingFailed => "output_processing_failed",
            Self::OutputNotStored => "output_not_stored",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The code of the public contract (`spec/contract.md` 3.1 and, for those marked there
    /// as ours, B.1). Webhook payloads carry it, so it belongs to the domain.
    pub fn wire_code(self) -> &'static str {
        match self {
            Self::ContentPolicyViolation => "BSE2006",
            Self::ProviderTimeout => "BSE4001",
            Self::ProviderUnavailable => "BSE4002",
            Self::ProviderError => "BSE4003",
            Self::ProviderRejectedRequest => "BSE4004",
            Self::ProviderRateLimited => "BSE4005",
            Self::ProviderCreditsExhausted => "BSE4008",
            Self::ProviderAuthenticationFailed => "BSE4009",
            Self::AllProvidersFailed => "BSE4010",
            Self::GenerationFailed => "BSE5001",
            Self::GenerationTimedOut => "BSE5002",
            Self::OutputProcessingFailed | Self::OutputNotStored => "BSE5003",
        }
    }

    /// Whether asking another provider cannot help: the input itself is at fault
    /// (`spec/providers.md`, section 12), or we are, and would pay for one more result to lose.
    pub fn is_decisive(self) -> bool {
        matches!(
            self,
            Self::ContentPolicyViolation | Self::ProviderRejectedRequest | Self::OutputNotStored
        )
    }
}

/// Characters of a failure's sentence.
const MESSAGE_MAX: usize = 500;

/// A failure as it is recorded: the reason, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The reason.
    pub code: FailureCode,
    /// A sentence for the owner of the generation; carries no secret and no provider text
    /// beyond what the adapter let through.
    pub message: String,
}

impl Failure {
    /// Builds one. The sentence may be a provider's: it is cut, and what no database or log
    /// should have to hold is left out.
    pub fn new(code: FailureCode, message: impl AsRef<str>) -> Self {
        let printable = message.as_ref().chars().filter(|char| !char.is_control());
        Self { code, message: printable.take(MESSAGE_MAX).collect() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::Rejected(reason) => (FailureCode::ProviderRejectedRequest, reason),
            Error::Moderated(reason) => (FailureCode::ContentPolicyViolation, reason),
            Error::RateLimited { .. } => {
                (FailureCode::ProviderRateLimited, "The provider is limiting requests.".to_owned())
            }
            Error::OutOfCredit => (
                FailureCode::ProviderCreditsExhausted,
                "The provider account has no remaining credit.".to_owned(),
            ),
            Error::Unauthorized => (
                FailureCode::ProviderAuthenticationFailed,
                "The provider credentials were refused.".to_owned(),
            ),
            Error::Unavailable | Error::Overloaded { .. } => {
                (FailureCode::ProviderUnavailable, "The provider is unavailable.".to_owned())
            }
            Error::TimedOut => {
                (FailureCode::ProviderTimeout, "The provider did not answer in time.".to_owned())
            }
            Error::Failed(reason) => (FailureCode::ProviderError, reason),
            Error::Protocol(_) | Error::Unsupported => {
                (FailureCode::ProviderError, "The provider returned an error.".to_owned())
            }
        };
        Self::new(code, message)
    }
}
