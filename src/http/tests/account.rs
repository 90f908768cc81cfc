//! What an account is told about itself.

use serde_json::json;

use super::check_error;
use super::server::Server;

#[actix_web::test]
async fn usage_has_the_documented_shape() {
    let server = Server::start().await;
    let reply = server.get("/v1/usage?days=7").await;
    assert_eq!(reply.json["message"], "Usage data retrieved successfully");
    // The example of `spec/contract.md` 13.10.
    let expected = json!({"account_id":"3f6c1d0e-8b1a-4d57-9c7e-51d0a6b2e904","usage_period_days":7,"usage_credit_balance":4.1,"usage_total_requests":41,"usage_total_success":38,"usage_total_client_errors":3,"usage_total_server_errors":0,"usage_total_generations":9,"usage_total_provider_submissions":10,"usage_total_estimated_cost":0.3,
        "usage_endpoints":[{"endpoint":"/v1/content/{generation_id}","total_requests":31,"success_count":29,"client_error_count":2,"server_error_count":0,"error_codes":{"BSE1005":2}},{"endpoint":"/v1/generate/image","total_requests":10,"success_count":9,"client_error_count":1,"server_error_count":0,"error_codes":{"BSE2001":1}}],
        "usage_providers":[{"provider":"fal","total_submissions":8,"used_count":6,"cancelled_count":1,"discarded_count":0,"failed_count":1,"total_estimated_cost":0.24,"wasted_estimated_cost":0.06},{"provider":"replicate","total_submissions":2,"used_count":2,"cancelled_count":0,"discarded_count":0,"failed_count":0,"total_estimated_cost":0.06,"wasted_estimated_cost":0.0}]});
    assert_eq!(reply.json["data"].to_string(), expected.to_string());
    let reply = server.get("/v1/usage?days=soon").await;
    check_error(&reply, 400, "BSE2001");
    assert_eq!(reply.json["error"]["details"]["field"], "days");
}

#[actix_web::test]
async fn an_account_without_a_subscription_has_a_balance_and_nothing_else() {
    let server = Server::start().await;
    let reply = server.get("/v1/user/account").await;
    assert_eq!(reply.json["message"], "Account data retrieved successfully");
    let account = json!({"account_id":"3f6c1d0e-8b1a-4d57-9c7e-51d0a6b2e904","account_name":"Paper Lab","account_email":"ops@paperlab.example","account_is_personal":false,"account_picture_url":null,"account_created_at":"2026-05-19T17:40:00.000Z"});
    assert_eq!(reply.json["data"].to_string(), account.to_string());
    let reply = server.get("/v1/user/billing").await;
    assert_eq!(reply.json["message"], "User billing data retrieved successfully");
    let billing = json!({"account_id":"3f6c1d0e-8b1a-4d57-9c7e-51d0a6b2e904","billing_plan":null,"billing_credit_balance":4.1,"billing_subscription_status":null,"billing_cancel_at_period_end":null,"billing_currency":null,"billing_period_starts_at":null,"billing_period_ends_at":null,"billing_created_at":null,"billing_updated_at":null});
    assert_eq!(reply.json["data"].to_string(), billing.to_string());
    server.keys.change(0, |row| row.account_id.0 = uuid::Uuid::nil());
    server.clock.forward(1000);
    for path in ["/v1/user/account", "/v1/user/billing", "/v1/usage?days=7"] {
        check_error(&server.get(path).await, 404, "BSE1008");
    }
}
