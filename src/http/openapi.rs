//! The API described as OpenAPI 3.1, for programs and people.
//!
//! Handlers carry their own description. What they share is added by `answers`, and what the
//! models of this server take by `models`, so that the document of a server says what that
//! server does.

mod answers;
mod components;
mod docs;
mod models;
pub(super) mod parameters;
mod refusals;
pub(super) mod schemas;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use actors::offering::Offering;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::OpenApi;

use super::{
    AppState, account, content, estimates, events, generations, library, model_health,
    provider_health, service_health, status, usage,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "babysea",
        description = include_str!("openapi/introduction.md"),
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        status::get_status,
        generations::create_image_generation,
        generations::create_video_generation,
        generations::get_generation,
        generations::cancel_generation,
        content::list_generations,
        content::delete_generation,
        events::watch_generation,
        estimates::get_estimate,
        library::list_models,
        library::providers::list_providers,
        model_health::get_model_health,
        account::get_account,
        account::get_billing,
        usage::get_usage,
        provider_health::get_provider_health,
        service_health::get_storage_health,
        service_health::get_cache_health,
    ),
    tags(
        (name = "generations", description = "Make pictures and films."),
        (name = "library", description = "What there is and what it costs."),
        (name = "account", description = "Who you are, and what you have used."),
        (name = "health", description = "How this server and its providers do."),
    )
)]
struct Annotations;

/// The document and its page, made once.
#[derive(Debug)]
pub struct Document {
    json: Served,
    page: Served,
    /// What the page may do.
    policy: HeaderValue,
}

/// Bytes that do not change as long as the server runs.
#[derive(Debug)]
struct Served {
    bytes: Bytes,
    etag: String,
}

impl Document {
    /// Describes this server: every route, and the models that it runs.
    pub fn of(offering: &Offering) -> Self {
        let mut document = contract();
        models::add(&mut document, offering);
        Self {
            page: Served::new(docs::render(&document)),
            policy: docs::policy(),
            json: Served::new(format!("{document:#}")),
        }
    }
}

/// What holds for every server.
fn contract() -> Value {
    // Plain data with text keys: there is nothing in it that cannot be written.
    let mut document = serde_json::to_value(Annotations::openapi()).unwrap_or_default();
    answers::complete(&mut document);
    document
}

impl Served {
    fn new(text: String) -> Self {
        let hash = Sha256::digest(text.as_bytes());
        let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { bytes: text.into(), etag: format!("\"{hash}\"") }
    }

    fn answer(&self, request: &HttpRequest, content_type: &str) -> HttpResponse {
        let known = request.headers().get(IF_NONE_MATCH).and_then(|it| it.to_str().ok());
        let known = known.is_some_and(|known| {
            known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == self.etag)
        });
        let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .insert_header((ETAG, self.etag.as_str()))
            // Kept, but asked about each time: a new version or catalogue shows at once.
            .insert_header((CACHE_CONTROL, "public, no-cache"))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
        if known {
            return response.finish();
        }
        response.insert_header((CONTENT_TYPE, content_type)).body(self.bytes.clone())
    }
}

pub(super) async fn get_document(state: Data<AppState>, request: HttpRequest) -> HttpResponse {
    state.document.json.answer(&request, "application/json")
}

/// A page without scripts: its style is in it, named by its hash, and it loads nothing.
pub(super) async fn get_page(state: Data<AppState>, request: HttpRequest) -> HttpResponse {
    let mut response = state.document.page.answer(&request, "text/html; charset=utf-8");
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, state.document.policy.clone());
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests;
