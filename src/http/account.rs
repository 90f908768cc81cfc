//! `GET /v1/user/account` and `GET /v1/user/billing`: whose account it is, and what it has.

use actix_web::web::Data;
use actors::account::{Account, AccountKind};
use actors::id::AccountId;
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use super::envelope::{Success, timestamp};
use crate::auth::{AccountRead, Authorized};
use crate::error::{ApiError, ErrorCode};

/// `spec/contract.md` 1.3.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account, description = "The account of the key.")]
pub(super) struct AccountOut {
    #[schema(value_type = String, format = "uuid")]
    account_id: AccountId,
    account_name: String,
    #[schema(required)]
    account_email: Option<String>,
    account_is_personal: bool,
    #[schema(required)]
    account_picture_url: Option<String>,
    #[schema(format = DateTime)]
    account_created_at: String,
}

#[utoipa::path(
    get,
    path = "/v1/user/account",
    tag = "account",
    summary = "Show the account",
    responses((status = 200, description = "The account.", body = AccountOut)),
    security(("api_key" = ["account:read"]))
)]
pub(super) async fn get_account(
    caller: Authorized<AccountRead>,
    state: Data<AppState>,
) -> Result<Success<AccountOut>, ApiError> {
    let account = find_account(&state, caller.key.account_id).await?;
    let out = AccountOut {
        account_id: account.id,
        account_name: account.name,
        account_email: account.email,
        account_is_personal: account.kind == AccountKind::Personal,
        account_picture_url: None,
        account_created_at: timestamp(account.created_at),
    };
    Ok(Success::new("Account data retrieved successfully", out))
}

/// `spec/contract.md` 1.4. A plan is shown as part of a subscription, and operators give plans
/// without one: then all but the balance is null, as the contract says of who has none.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Billing, description = "Without a subscription all but the balance is null.")]
pub(super) struct BillingOut {
    #[schema(value_type = String, format = "uuid")]
    account_id: AccountId,
    #[schema(required)]
    billing_plan: Option<String>,
    billing_credit_balance: f64,
    #[schema(required)]
    billing_subscription_status: Option<String>,
    #[schema(required)]
    billing_cancel_at_period_end: Option<bool>,
    #[schema(required)]
    billing_currency: Option<String>,
    #[schema(required, format = DateTime)]
    billing_period_starts_at: Option<String>,
    #[schema(required, format = DateTime)]
    billing_period_ends_at: Option<String>,
    #[schema(required, format = DateTime)]
    billing_created_at: Option<String>,
    #[schema(required, format = DateTime)]
    billing_updated_at: Option<String>,
}

#[utoipa::path(
    get,
    path = "/v1/user/billing",
    tag = "account",
    summary = "Show the credit and the subscription",
    responses((status = 200, description = "What there is.", body = BillingOut)),
    security(("api_key" = ["account:read"]))
)]
pub(super) async fn get_billing(
    caller: Authorized<AccountRead>,
    state: Data<AppState>,
) -> Result<Success<BillingOut>, ApiError> {
    let account = find_account(&state, caller.key.account_id).await?;
    let out = BillingOut {
        account_id: account.id,
        billing_plan: None,
        billing_credit_balance: account.balance.to_number(),
        billing_subscription_status: None,
        billing_cancel_at_period_end: None,
        billing_currency: None,
        billing_period_starts_at: None,
        billing_period_ends_at: None,
        billing_created_at: None,
        billing_updated_at: None,
    };
    Ok(Success::new("User billing data retrieved successfully", out))
}

/// The account of a key.
pub(super) async fn find_account(state: &AppState, id: AccountId) -> Result<Account, ApiError> {
    let found = state.accounts.find_account(id).await?;
    found.ok_or_else(|| ApiError::new(ErrorCode::AccountNotFound))
}
