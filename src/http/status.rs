//! `GET /v1/status`: whether a key works, and which one it is.

use actors::id::{AccountId, ApiKeyId};
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Success, timestamp};
use crate::auth::{AccountRead, Authorized};

/// `spec/contract.md` 1.1.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status, description = "The key that was sent, and the account it belongs to.")]
pub(super) struct StatusOut {
    #[schema(value_type = String, format = "uuid")]
    account_id: AccountId,
    #[schema(value_type = String, format = "uuid")]
    apikey_id: ApiKeyId,
    apikey_name: String,
    /// The first nine characters.
    apikey_prefix: String,
    #[schema(format = DateTime)]
    apikey_created_at: String,
    #[schema(format = DateTime)]
    apikey_last_used_at: String,
    #[schema(required, format = DateTime)]
    apikey_expires_at: Option<String>,
}

#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "account",
    summary = "Check a key",
    responses((status = 200, description = "The key works.", body = StatusOut)),
    security(("api_key" = ["account:read"]))
)]
pub(super) async fn get_status(caller: Authorized<AccountRead>) -> Success<StatusOut> {
    let key = &caller.key;
    let status = StatusOut {
        account_id: key.account_id,
        apikey_id: key.id,
        apikey_name: key.name.clone(),
        apikey_prefix: key.prefix.clone(),
        apikey_created_at: timestamp(key.created_at),
        // This very use, as in the contract's example; the row learns of it a second later.
        apikey_last_used_at: timestamp(caller.at),
        apikey_expires_at: key.expires_at.map(timestamp),
    };
    Success::new("API connected successfully", status)
}
