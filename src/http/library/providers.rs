//! `GET /v1/library/providers`: the eight services behind the models (`spec/contract.md` 11.1).

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use actors::offering::{Offering, Service};
use providers::MediaKind;
use providers::name::ProviderName;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Authorized, LibraryRead};
use crate::http::AppState;
use crate::http::conditional::library_answer;
use crate::http::openapi::parameters::IfNoneMatch;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Providers)]
pub(in crate::http) struct ProvidersOut {
    providers: Vec<ProviderOut>,
    providers_total: usize,
    /// Ours.
    catalogue_version: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provider)]
struct ProviderOut {
    provider_id: &'static str,
    provider_name: &'static str,
    provider_description: &'static str,
    provider_website: &'static str,
    provider_docs: &'static str,
    /// `active` when this server can ask it, or its emulator; else `inactive`.
    provider_status: &'static str,
    babysea_implementation: ImplementationOut,
    /// Ours: whether the emulator answers under this name.
    provider_stand_in: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderImplementation, description = "How this server works with it.")]
struct ImplementationOut {
    delivery_method: &'static str,
    #[schema(required)]
    cancel_method: Option<&'static str>,
    #[schema(required)]
    webhook_verification: Option<&'static str>,
    error_mapping: &'static str,
    cost_tracking: &'static str,
    schema_conversion: &'static str,
    failover_strategy: &'static str,
    health_monitoring: &'static str,
    supported_media_types: Vec<&'static str>,
    supported_models_total: usize,
}

#[utoipa::path(
    get,
    path = "/v1/library/providers",
    tag = "library",
    summary = "List the providers",
    params(IfNoneMatch),
    responses(
        (status = 200, description = "The services behind the models.", body = ProvidersOut),
        (status = 304, description = "What the client has is what there is.")
    ),
    security(("api_key" = ["library:read"]))
)]
pub(in crate::http) async fn list_providers(
    _caller: Authorized<LibraryRead>,
    state: Data<AppState>,
    request: HttpRequest,
) -> HttpResponse {
    library_answer(&request, &state, "Providers retrieved successfully", || {
        let listed = ProviderName::ALL.into_iter().filter_map(|name| Some((name, card(name)?)));
        let providers: Vec<ProviderOut> =
            listed.map(|(name, card)| provider_out(name, card, &state.offering)).collect();
        ProvidersOut {
            providers_total: providers.len(),
            providers,
            catalogue_version: state.offering.catalogue_version().to_owned(),
        }
    })
}

fn provider_out(name: ProviderName, card: Card, offering: &Offering) -> ProviderOut {
    let runs = |kind: MediaKind| {
        let models = offering.models().filter(move |(model, _)| model.media == kind);
        models.filter(|(_, providers)| providers.contains(&name)).count()
    };
    let (images, videos) = (runs(MediaKind::Image), runs(MediaKind::Video));
    let kinds = [(MediaKind::Image, images), (MediaKind::Video, videos)];
    let kinds = kinds.into_iter().filter(|(_, models)| *models > 0);
    let service = offering.service(name);
    ProviderOut {
        provider_id: name.as_str(),
        provider_name: card.name,
        provider_description: card.description,
        provider_website: card.website,
        provider_docs: card.docs,
        provider_status: if service.is_some() { "active" } else { "inactive" },
        babysea_implementation: ImplementationOut {
            delivery_method: card.delivery,
            cancel_method: card.cancel,
            webhook_verification: card.verification,
            error_mapping: "bse_error_codes",
            cost_tracking: "per_generation_usd",
            schema_conversion: "unified_to_native",
            failover_strategy: "sequential_provider_chain",
            health_monitoring: "circuit_breaker",
            supported_media_types: kinds.map(|(kind, _)| kind.as_str()).collect(),
            supported_models_total: images + videos,
        },
        provider_stand_in: service == Some(Service::Simulated),
    }
}

/// What is known of a provider, whether this server has it or not.
struct Card {
    name: &'static str,
    description: &'static str,
    website: &'static str,
    docs: &'static str,
    delivery: &'static str,
    /// A queue that is canceled only gives up what it has not begun.
    cancel: Option<&'static str>,
    verification: Option<&'static str>,
}

const WEBHOOK: &str = "webhook_with_polling";
const INLINE: &str = "synchronous";
const POLLING: &str = "polling";
const CANCEL: Option<&str> = Some("prediction_cancel_api");
const CANCEL_QUEUED: Option<&str> = Some("queue_cancel_api");

/// The embedded providers are none of the library: they are for trying things out.
fn card(name: ProviderName) -> Option<Card> {
    let card = |text: [&'static str; 4], delivery, cancel, verification| {
        let [name, description, website, docs] = text;
        Some(Card { name, description, website, docs, delivery, cancel, verification })
    };
    match name {
        ProviderName::AlibabaCloud => card(ALIBABA_CLOUD, POLLING, CANCEL_QUEUED, None),
        ProviderName::Bfl => card(BFL, POLLING, None, None),
        ProviderName::Byteplus => card(BYTEPLUS, POLLING, CANCEL_QUEUED, None),
        ProviderName::Cloudflare => card(CLOUDFLARE, INLINE, None, None),
        ProviderName::Fal => card(FAL, WEBHOOK, CANCEL_QUEUED, Some("ed25519")),
        ProviderName::OpenAi => card(OPENAI, INLINE, None, None),
        ProviderName::Replicate => card(REPLICATE, WEBHOOK, CANCEL, Some("hmac_sha256")),
        ProviderName::Runway => card(RUNWAY, POLLING, CANCEL, None),
        ProviderName::SandboxInline
        | ProviderName::SandboxPolling
        | ProviderName::SandboxWebhook => None,
    }
}

const ALIBABA_CLOUD: [&str; 4] = [
    "Alibaba Cloud",
    "Model Studio: Qwen, Wan and others of the Tongyi family",
    "https://www.alibabacloud.com",
    "https://www.alibabacloud.com/help/en/model-studio",
];
const BFL: [&str; 4] =
    ["BFL", "Black Forest Labs, the lab behind FLUX", "https://bfl.ai", "https://docs.bfl.ai"];
const BYTEPLUS: [&str; 4] = [
    "BytePlus",
    "ModelArk: Seedream and Seedance of ByteDance",
    "https://www.byteplus.com",
    "https://docs.byteplus.com/en/docs/ModelArk",
];
const CLOUDFLARE: [&str; 4] = [
    "Cloudflare",
    "Workers AI: open models on Cloudflare's network",
    "https://www.cloudflare.com",
    "https://developers.cloudflare.com/workers-ai",
];
const FAL: [&str; 4] =
    ["FAL", "Hosted models behind a queue", "https://fal.ai", "https://docs.fal.ai"];
const OPENAI: [&str; 4] = [
    "OpenAI",
    "The GPT image models at their lab",
    "https://openai.com",
    "https://platform.openai.com/docs",
];
const REPLICATE: [&str; 4] =
    ["Replicate", "Hosted model runner", "https://replicate.com", "https://replicate.com/docs"];
const RUNWAY: [&str; 4] = [
    "Runway",
    "The Gen-4 models at their lab",
    "https://runwayml.com",
    "https://docs.dev.runwayml.com",
];
