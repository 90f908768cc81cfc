//! The shapes of an account's use (`spec/contract.md` 1.2), which handlers build by hand.
#![expect(dead_code, reason = "only their shape is used")]

use std::collections::HashMap;

use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(as = Usage, description = "What an account has used over some days, today included.")]
pub(in crate::http) struct UsageSchema {
    #[schema(format = "uuid")]
    account_id: String,
    usage_period_days: u32,
    usage_credit_balance: f64,
    usage_total_requests: u64,
    usage_total_success: u64,
    usage_total_client_errors: u64,
    usage_total_server_errors: u64,
    usage_total_generations: u64,
    /// More than generations, where one provider failed and the next was asked.
    usage_total_provider_submissions: u64,
    usage_total_estimated_cost: f64,
    usage_endpoints: Vec<EndpointUsageSchema>,
    usage_providers: Vec<ProviderUsageSchema>,
}

#[derive(ToSchema)]
#[schema(as = EndpointUsage, description = "The requests of one route.")]
pub(in crate::http) struct EndpointUsageSchema {
    endpoint: String,
    total_requests: u64,
    success_count: u64,
    client_error_count: u64,
    server_error_count: u64,
    /// How often each code was answered.
    error_codes: HashMap<String, u64>,
}

#[derive(ToSchema)]
#[schema(as = ProviderUsage, description = "The submissions to one provider by their outcome.")]
pub(in crate::http) struct ProviderUsageSchema {
    provider: String,
    total_submissions: u64,
    used_count: u64,
    cancelled_count: u64,
    discarded_count: u64,
    failed_count: u64,
    total_estimated_cost: f64,
    /// Of what failed, was discarded, or was canceled.
    wasted_estimated_cost: f64,
}
