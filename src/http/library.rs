//! `GET /v1/library/models`: what can be asked for, at what price, and who runs it.
//!
//! Only what this server runs is listed: clients send what they find here
//! (`spec/contract.md` 11.2, 0.3 rule 17).

pub(super) mod providers;

use ::providers::MediaKind;
use ::providers::name::ProviderName;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use actors::catalogue::Model;
use actors::pricing::Rates;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::AppState;
use super::conditional::library_answer;
use super::openapi::parameters::IfNoneMatch;
use super::openapi::schemas::library::PriceSchema;
use crate::auth::{Authorized, LibraryRead};
use crate::decimal::{credits, seconds};
use crate::model_fields;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Models)]
pub(super) struct ModelsOut {
    models: Vec<ModelOut>,
    models_total: usize,
    /// Ours: the version that generations are stored with.
    catalogue_version: String,
}

/// `spec/contract.md` 11.2; what stands after `specific_schema` is ours.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub(super) struct ModelOut {
    /// `image` or `video`
    model_type: &'static str,
    model_identifier: String,
    /// Credit for an output or a second of it; by resolution and sound where those matter.
    #[schema(value_type = PriceSchema)]
    model_pricing: Value,
    model_supported_provider: Vec<&'static str>,
    schema: SchemaOut,
    specific_schema: Vec<String>,
    /// `published`, `operator` or `placeholder`
    model_price_source: &'static str,
    /// Every field with what it accepts and what it becomes when it is omitted.
    #[schema(value_type = Object)]
    model_fields: Map<String, Value>,
    /// What fields ask of each other, in words.
    model_rules: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelSchema, description = "What the fields that all models know may be.")]
struct SchemaOut {
    generation_prompt: bool,
    generation_ratio: Vec<String>,
    generation_output_format: Vec<&'static str>,
    generation_output_number: u32,
    generation_input_file: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<f64>>, nullable = false)]
    generation_duration: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    generation_resolution: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    generation_generate_audio: Option<bool>,
}

#[utoipa::path(
    get,
    path = "/v1/library/models",
    tag = "library",
    summary = "List the models",
    params(IfNoneMatch),
    responses(
        (status = 200, description = "The models that this server runs.", body = ModelsOut),
        (status = 304, description = "What the client has is what there is.")
    ),
    security(("api_key" = ["library:read"]))
)]
pub(super) async fn list_models(
    _caller: Authorized<LibraryRead>,
    state: Data<AppState>,
    request: HttpRequest,
) -> HttpResponse {
    library_answer(&request, &state, "Models retrieved successfully", || {
        let models: Vec<ModelOut> =
            state.offering.models().map(|(model, providers)| model_out(model, providers)).collect();
        ModelsOut {
            models_total: models.len(),
            models,
            catalogue_version: state.offering.catalogue_version().to_owned(),
        }
    })
}

fn model_out(model: &Model, providers: &[ProviderName]) -> ModelOut {
    ModelOut {
        model_type: model.media.as_str(),
        model_identifier: model.identifier.clone(),
        model_pricing: pricing(model.price().rates()),
        model_supported_provider: providers.iter().map(|name| name.as_str()).collect(),
        schema: schema(model),
        specific_schema: model.specific_schema().into_iter().map(str::to_owned).collect(),
        model_price_source: model.price_source.as_str(),
        model_fields: model_fields::describe(model),
        model_rules: model_fields::rules(model),
    }
}

/// A number, or a map from tier to number (`spec/contract.md` 9.6).
pub(super) fn pricing(rates: &Rates) -> Value {
    match rates {
        Rates::Flat(rate) => credits(*rate),
        Rates::ByResolution(_) | Rates::ByAudio(_) | Rates::ByResolutionAndAudio(_) => {
            let tiers = rates.tiers().iter();
            Value::Object(tiers.map(|(key, rate)| (key.clone(), credits(*rate))).collect())
        }
    }
}

fn schema(model: &Model) -> SchemaOut {
    let durations = model.durations_ms.iter().map(|ms| seconds(*ms)).collect();
    SchemaOut {
        generation_prompt: true,
        generation_ratio: model.ratios.clone(),
        generation_output_format: model.formats.iter().map(|format| format.as_str()).collect(),
        generation_output_number: model.output_number_max,
        generation_input_file: model.input_files.max > 0,
        generation_duration: (model.media == MediaKind::Video).then_some(durations),
        generation_resolution: (!model.resolutions.is_empty()).then(|| model.resolutions.clone()),
        generation_generate_audio: model.audio.then_some(true),
    }
}
