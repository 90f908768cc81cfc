//! Every route of the server on one page.

use actix_web::web::{self, ServiceConfig, delete, get, head, post};
use actix_web::{HttpResponse, Resource, Route};

use super::{
    account, callbacks, content, estimates, events, files, generations, health, library,
    model_health, openapi, provider_health, service_health, status, usage,
};
use crate::error::{ApiError, ErrorCode};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(only_get("/v1/status", get().to(status::get_status)))
        .service(only_get("/v1/usage", get().to(usage::get_usage)))
        .service(only_get("/v1/user/account", get().to(account::get_account)))
        .service(only_get("/v1/user/billing", get().to(account::get_billing)))
        .service(only_get("/v1/estimate/{model:.*}", get().to(estimates::get_estimate)))
        .service(only_get("/v1/library/models", get().to(library::list_models)))
        .service(only_get("/v1/library/providers", get().to(library::providers::list_providers)))
        .service(only_get("/v1/health/inference/models", get().to(model_health::get_model_health)))
        .service(only_post(
            "/v1/generate/image/{model:.*}",
            post().to(generations::create_image_generation),
        ))
        .service(only_post(
            "/v1/generate/video/{model:.*}",
            post().to(generations::create_video_generation),
        ))
        // Before `{id}`, which it would else be.
        .service(only_get("/v1/content/list", get().to(content::list_generations)))
        .service(
            only("/v1/content/{id}", "GET, DELETE", get().to(generations::get_generation))
                .route(delete().to(content::delete_generation)),
        )
        .service(only_get("/v1/content/{id}/events", get().to(events::watch_generation)))
        .service(only_post(
            "/v1/content/generation/cancel/{id}",
            post().to(generations::cancel_generation),
        ))
        .service(only_get(
            "/v1/health/inference/providers",
            get().to(provider_health::get_provider_health),
        ))
        .service(only_get("/v1/health/storage", get().to(service_health::get_storage_health)))
        .service(only_get("/v1/health/cache", get().to(service_health::get_cache_health)))
        .service(only_post(
            "/callbacks/{provider}/{account}/{generation}/{attempt}/{token}",
            post().to(callbacks::take_callback),
        ))
        .service(read("/files/{key:.*}", get().to(files::get_file), head().to(files::get_file)))
        .service(only_get("/openapi.json", get().to(openapi::get_document)))
        .service(only_get("/docs", get().to(openapi::get_page)))
        .service(read("/livez", get().to(health::get_livez), head().to(health::get_livez)))
        .service(read("/readyz", get().to(health::get_readyz), head().to(health::get_readyz)))
        .default_service(web::to(refuse_route));
}

fn only_get(path: &str, route: Route) -> Resource {
    only(path, "GET", route)
}

fn only_post(path: &str, route: Route) -> Resource {
    only(path, "POST", route)
}

/// Outside `/v1` HEAD is answered: load balancers and browsers ask with it.
fn read(path: &str, get: Route, head: Route) -> Resource {
    only(path, "GET, HEAD", get).route(head)
}

/// A resource that refuses every other method, HEAD included (`spec/contract.md` B.3), before
/// anybody asks for a key.
fn only(path: &str, allow: &'static str, route: Route) -> Resource {
    let refuse = move || async move { refused(ApiError::method_not_allowed(allow)) };
    web::resource(path).route(route).default_service(web::to(refuse))
}

async fn refuse_route() -> Result<HttpResponse, ApiError> {
    refused(ApiError::new(ErrorCode::RouteNotFound))
}

fn refused(error: ApiError) -> Result<HttpResponse, ApiError> {
    Err(error)
}
