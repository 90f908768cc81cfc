//! `GET /v1/status`: whether a key works, and which one it is.

use actors::id::{AccountId, ApiKeyId};
use serde::Serialize;

use super::envelope::{Success, timestamp};
use crate::auth::{AccountRead, Authorized};

/// `spec/contract.md` 1.1.
#[derive(Debug, Serialize)]
pub(super) struct StatusOut {
    account_id: AccountId,
    apikey_id: ApiKeyId,
    apikey_name: String,
    apikey_prefix: String,
    apikey_created_at: String,
    apikey_last_used_at: String,
    apikey_expires_at: Option<String>,
}

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
