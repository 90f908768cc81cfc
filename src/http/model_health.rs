//! `GET /v1/health/inference/models`: which providers can be asked for which model. One that this
//! server does not have, or that fails at this model, cannot.

use actix_web::web::Data;
use actors::catalogue::{Model, Offer};
use actors::pricing::Rates;
use providers::name::ProviderName;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::AppState;
use super::envelope::Success;
use super::library::pricing;
use super::openapi::schemas::health::AvailabilitySchema;
use crate::auth::{Authorized, HealthRead};

/// `spec/contract.md` 10.2.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelsHealth)]
pub(super) struct ModelHealthOut {
    /// `models`
    service: &'static str,
    /// Every model has a provider that can be asked.
    healthy: bool,
    models: Vec<ModelOut>,
    models_total: usize,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelHealth)]
struct ModelOut {
    model_identifier: String,
    /// `image` or `video`
    model_type: &'static str,
    /// Here a number or absent, never a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, nullable = false)]
    model_pricing: Option<Value>,
    /// By id.
    #[schema(value_type = HashMap<String, AvailabilitySchema>)]
    providers: Map<String, Value>,
}

#[utoipa::path(
    get,
    path = "/v1/health/inference/models",
    tag = "health",
    summary = "Show which provider can be asked for which model",
    responses((status = 200, description = "Every model with its providers.", body = ModelHealthOut)),
    security(("api_key" = ["health:read"]))
)]
pub(super) async fn get_model_health(
    caller: Authorized<HealthRead>,
    state: Data<AppState>,
) -> Success<ModelHealthOut> {
    let mut healthy = true;
    let mut models = Vec::new();
    for (model, here) in state.offering.models() {
        let serves = |provider: &ProviderName| {
            state.router.is_available(&model.identifier, *provider, caller.at)
        };
        let available: Vec<ProviderName> = here.iter().copied().filter(serves).collect();
        healthy &= !available.is_empty();
        models.push(model_out(model, &available));
    }
    let health = ModelHealthOut { service: "models", healthy, models_total: models.len(), models };
    Success::new("Model health data retrieved successfully", health)
}

fn model_out(model: &Model, available: &[ProviderName]) -> ModelOut {
    let rates = model.price().rates();
    let provider = |offer: &Offer| {
        let available = available.contains(&offer.provider);
        let raw_model_id = available.then_some(&offer.raw_model_id);
        let health = json!({ "available": available, "raw_model_id": raw_model_id });
        (offer.provider.as_str().to_owned(), health)
    };
    ModelOut {
        model_identifier: model.identifier.clone(),
        model_type: model.media.as_str(),
        model_pricing: matches!(rates, Rates::Flat(_)).then(|| pricing(rates)),
        providers: model.stack.iter().map(provider).collect(),
    }
}
