//! What a client is told of a request that was judged.

use actors::id::AccountId;
use actors::input::Input;
use serde_json::json;

use super::AppState;
use crate::error::{ApiError, ErrorCode};
use crate::moderation::{Question, Refusal};

/// Has a request judged, if that is wanted.
///
/// # Errors
/// BSE2006 when its content is not wanted, BSE3002 when nobody could judge it.
pub(super) async fn check(
    state: &AppState,
    account_id: AccountId,
    model: &str,
    input: &Input,
) -> Result<(), ApiError> {
    let question = Question { account_id, model, input, at: state.clock.now() };
    match state.moderation.check(question, &*state.ids).await {
        Ok(()) => Ok(()),
        Err(Refusal::Denied(reason)) => {
            let refused = ApiError::new(ErrorCode::ContentPolicyViolation);
            Err(match reason {
                Some(reason) => refused.details(json!({ "reason": reason })),
                None => refused,
            })
        }
        Err(Refusal::Unjudged) => Err(ApiError::busy()),
    }
}
