//! The API: from requests to use cases and back.
//!
//! `routes` is the table of contents; `frame` is what every request passes. A handler extracts,
//! calls one use case, and converts.

mod account;
mod body;
mod callbacks;
mod conditional;
mod content;
mod cors;
mod envelope;
mod estimates;
mod events;
mod files;
mod frame;
mod generations;
mod health;
mod idempotency;
mod input_files;
mod library;
mod model_health;
mod moderation;
mod openapi;
mod page;
mod provider_health;
mod rate_limit;
mod record;
mod request_log;
mod routes;
mod service_health;
mod status;
mod unread;
mod usage;
mod waiting;

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, Error, web};
use actors::catalogue::Catalogue;
use actors::engine::{
    CallbackRefusal, CallbackTarget, CancelError, Cancellation, Engine, SubmitError,
    deletion::DeleteError,
};
use actors::file_urls::FileUrls;
use actors::generation::{Generation, NewGeneration};
use actors::id::{AccountId, GenerationId};
use actors::offering::Offering;
use actors::ports::{AccountStore, GenerationStore, IdSource, RequestLogStore};
use actors::router::Router;
use actors::watchers::Watchers;
use async_trait::async_trait;
use object_store::ObjectStore;
use providers::RawCallback;
use providers::clock::Clock;
use providers::name::ProviderName;

pub use self::body::BodyLimits;
pub use self::events::{StreamLimits, Streams};
pub use self::health::Readiness;
pub use self::idempotency::Idempotency;
pub use self::openapi::Document;
use crate::auth::Auth;
use crate::callback_urls::SignedCallbackUrls;
use crate::input_files::InputFiles;
use crate::metrics::Metrics;
use crate::moderation::Moderation;
use crate::request_log::RequestLog;
use crate::storage_probe::StorageProbe;

/// What handlers work with. One per process, shared by all workers.
pub struct AppState {
    pub engine: Arc<dyn Generating>,
    pub generations: Arc<dyn GenerationStore>,
    pub idempotency: Idempotency,
    pub accounts: Arc<dyn AccountStore>,
    /// Where usage is read.
    pub requests: Arc<dyn RequestLogStore>,
    /// Where answered requests go.
    pub request_log: RequestLog,
    pub catalogue: Arc<Catalogue>,
    pub offering: Arc<Offering>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub callbacks: Arc<SignedCallbackUrls>,
    pub files: FileUrls,
    /// Where the files behind [`AppState::files`] are.
    pub outputs: Arc<dyn ObjectStore>,
    pub readiness: Arc<dyn Readiness>,
    pub router: Arc<Router>,
    /// Those that this server can ask.
    pub configured_providers: BTreeSet<ProviderName>,
    pub storage_probe: StorageProbe,
    pub metrics: Metrics,
    pub body: BodyLimits,
    pub input_files: InputFiles,
    pub moderation: Moderation,
    /// Who waits for what happens to a generation.
    pub watchers: Watchers,
    /// Room for open event streams.
    pub streams: Streams,
    /// What this server says of itself.
    pub document: Document,
}

/// What the API asks of the engine, so that its tests need no actors.
#[async_trait(?Send)]
pub trait Generating: Send + Sync {
    /// See [`Engine::submit`].
    async fn submit(&self, new: NewGeneration) -> Result<Generation, SubmitError>;

    /// See [`Engine::cancel`].
    async fn cancel(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<Cancellation, CancelError>;

    /// See [`Engine::delete`].
    async fn delete(&self, account_id: AccountId, id: GenerationId) -> Result<u64, DeleteError>;

    /// See [`Engine::call_back`].
    async fn call_back(
        &self,
        target: CallbackTarget,
        callback: RawCallback<'_>,
    ) -> Result<(), CallbackRefusal>;
}

#[async_trait(?Send)]
impl Generating for Engine {
    async fn submit(&self, new: NewGeneration) -> Result<Generation, SubmitError> {
        Self::submit(self, new).await
    }

    async fn cancel(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<Cancellation, CancelError> {
        Self::cancel(self, account_id, id).await
    }

    async fn delete(&self, account_id: AccountId, id: GenerationId) -> Result<u64, DeleteError> {
        Self::delete(self, account_id, id).await
    }

    async fn call_back(
        &self,
        target: CallbackTarget,
        callback: RawCallback<'_>,
    ) -> Result<(), CallbackRefusal> {
        Self::call_back(self, target, callback).await
    }
}

/// The application that each worker serves.
pub fn app(
    state: Arc<AppState>,
    auth: Arc<Auth>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(web::Data::from(state))
        .app_data(web::Data::from(auth))
        .configure(routes::configure)
        .wrap(from_fn(frame::frame))
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
