//! The pages for people: from a browser's requests to use cases and back.
//!
//! `configure` is the table of contents; `frame` is what every request for a page passes. A
//! handler extracts, calls one use case, and fills in a template of `templates/`. Every page
//! works without scripts; those of `static/` make it quicker.

mod api_keys;
mod assets;
pub mod chart;
mod errors;
mod flash;
mod form;
mod frame;
mod layout;
mod listing;
mod live;
mod models;
mod nav;
mod notifications;
mod playground;
mod theme;
mod webhook;
mod webhooks;

use std::sync::Arc;

use actix_web::guard::{Guard, GuardContext};
use actix_web::http::header::{ContentType, LOCATION};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig, get, post};
use actix_web::{HttpRequest, HttpResponse};
use actors::offering::Offering;
use actors::ports::WebhookSender;
use askama::Template;

use self::flash::Flash;
pub use self::frame::Policy;
pub use self::live::Live;
use crate::auth::session::{Sessions, SignedIn};
use crate::error::page::PageError;
use crate::identity::Context;

/// The first segments of the paths that are pages. Everything else is the API's, and so are its
/// answers to what does not exist.
const PLACES: [&str; 11] = [
    "",
    "theme",
    "sign-in",
    "sign-up",
    "sign-out",
    "password",
    "invitations",
    "first",
    "home",
    "playground",
    "operator",
];

/// What pages work with. One per process, shared by all workers.
pub struct Dashboard {
    /// Where use cases are done.
    pub context: Context,
    /// The models that this server runs.
    pub offering: Arc<Offering>,
    /// Sends the test events of webhook endpoints.
    pub webhook_sender: Arc<dyn WebhookSender>,
    /// Where the outside world reaches this server, without a slash at the end.
    pub url: String,
    /// The open streams of pages that change while one looks at them.
    pub live: Live,
    /// What browsers may do with pages.
    pub policy: Policy,
}

/// Every page on one page.
pub fn configure(config: &mut ServiceConfig, dashboard: &Data<Dashboard>) {
    config.service(
        web::scope("/static")
            .app_data(Data::clone(dashboard))
            .wrap(from_fn(frame::frame))
            .route("/{version}/{name}", get().to(assets::get_asset)),
    );
    config.service(
        web::scope("")
            .guard(Pages)
            .app_data(Data::clone(dashboard))
            .wrap(from_fn(frame::frame))
            .route("/", get().to(home))
            .route("/theme", post().to(theme::choose))
            .route("/home/{slug}/api-keys", get().to(api_keys::list))
            .route("/home/{slug}/api-keys", post().to(api_keys::create))
            .route("/home/{slug}/api-keys/live", get().to(api_keys::watch))
            .route("/home/{slug}/api-keys/{id}/rotate", post().to(api_keys::rotate))
            .route("/home/{slug}/api-keys/{id}/revoke", post().to(api_keys::revoke))
            .route("/home/{slug}/api-keys/{id}/delete", post().to(api_keys::delete))
            .route("/home/{slug}/webhooks", get().to(webhooks::list))
            .route("/home/{slug}/webhooks", post().to(webhooks::create))
            .route("/home/{slug}/webhooks/live", get().to(webhooks::watch))
            .route("/home/{slug}/webhooks/{id}", get().to(webhook::show))
            .route("/home/{slug}/webhooks/{id}/live", get().to(webhook::watch))
            .route("/home/{slug}/webhooks/{id}/enable", post().to(webhook::enable))
            .route("/home/{slug}/webhooks/{id}/disable", post().to(webhook::disable))
            .route("/home/{slug}/webhooks/{id}/events", post().to(webhook::edit))
            .route("/home/{slug}/webhooks/{id}/rotate", post().to(webhook::rotate))
            .route("/home/{slug}/webhooks/{id}/test", post().to(webhook::test))
            .route("/home/{slug}/webhooks/{id}/deliver", post().to(webhook::deliver_queued))
            .route("/home/{slug}/webhooks/{id}/replay", post().to(webhook::replay_between))
            .route("/home/{slug}/webhooks/{id}/replay/{delivery}", post().to(webhook::replay))
            .route("/home/{slug}/webhooks/{id}/delete", post().to(webhook::delete))
            .route("/home/{slug}/notifications", get().to(notifications::list))
            .route("/home/{slug}/notifications/live", get().to(notifications::watch))
            .route("/home/{slug}/notifications/read", post().to(notifications::read_all))
            .route("/home/{slug}/notifications/{id}/read", post().to(notifications::read))
            .route("/home/{slug}/notifications/{id}/dismiss", post().to(notifications::dismiss))
            .route("/home/{slug}/models", get().to(models::list))
            .route("/home/{slug}/models/{model:.+}", get().to(models::show))
            .route("/playground", get().to(playground::show))
            .route("/playground/models/{model:.+}", get().to(playground::describe))
            .default_service(web::to(errors::not_found)),
    );
}

/// Lets through what asks for a page.
struct Pages;

impl Guard for Pages {
    fn check(&self, context: &GuardContext<'_>) -> bool {
        let path = context.head().uri.path();
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        PLACES.contains(&first)
    }
}

/// Leads to the first workspace of whoever is signed in, which is the personal one if there is one.
async fn home(
    person: SignedIn,
    sessions: Data<Sessions>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let memberships = sessions.memberships.list_memberships(person.user.id).await?;
    let places = layout::places(&request, &memberships, None);
    let first = places.first().ok_or(PageError::NotFound)?;
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, first.href.as_str())).finish())
}

/// A page as an answer.
fn page(template: &impl Template) -> Result<HttpResponse, PageError> {
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(template.render()?))
}

/// The end of a form: the page to go on with, and what to say there.
fn redirect(to: &str, flash: Flash) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, to)).cookie(flash.cookie()).finish()
}
