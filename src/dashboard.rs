//! The pages for people: from a browser's requests to use cases and back.
//!
//! `configure` is the table of contents; `frame` is what every request for a page passes. A
//! handler extracts, calls one use case, and fills in a template of `templates/`. Every page
//! works without scripts; those of `static/` make it quicker.

mod activity;
mod alerts;
mod api_keys;
mod assets;
mod billing;
pub mod chart;
mod credits;
mod domains;
mod entry;
mod errors;
mod export;
mod flash;
mod form;
mod frame;
mod generation;
mod generations;
mod home;
mod layout;
mod listing;
mod live;
mod logs;
mod members;
mod metrics;
mod models;
mod nav;
mod notifications;
mod operator;
mod playground;
mod problem;
mod profile;
mod settings;
mod teams;
mod theme;
mod webhook;
mod webhooks;

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::guard::{Guard, GuardContext};
use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, LOCATION};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig, get, post};
use actors::account::Plans;
use actors::engine::Engine;
use actors::file_urls::FileUrls;
use actors::id::NodeId;
use actors::offering::Offering;
use actors::ports::WebhookSender;
use actors::retention::Retention;
use actors::router::Router;
use askama::Template;
use chrono::{DateTime, Utc};
use prometheus_client::registry::Registry;

use self::flash::Flash;
pub use self::frame::Policy;
pub use self::live::Live;
use crate::error::page::PageError;
use crate::identity::Context;
use crate::people::People;

/// The first segments of the paths that are pages. Everything else is the API's, and so are its
/// answers to what does not exist.
const PLACES: [&str; 12] = [
    "",
    "theme",
    "sign-in",
    "sign-up",
    "sign-out",
    "password",
    "email",
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
    /// Who signs in, and to which accounts.
    pub people: Arc<People>,
    /// The models that this server runs.
    pub offering: Arc<Offering>,
    /// Sends the test events of webhook endpoints.
    pub webhook_sender: Arc<dyn WebhookSender>,
    /// Cancels and deletes generations.
    pub engine: Engine,
    /// Makes links to outputs.
    pub files: FileUrls,
    /// Where the outside world reaches this server, without a slash at the end.
    pub url: String,
    /// What each plan allows.
    pub plans: Plans,
    /// For how long what an account has is kept.
    pub kept: Retention,
    /// What is known of providers.
    pub router: Arc<Router>,
    /// What is measured.
    pub metrics: Arc<Registry>,
    /// This process.
    pub process: Process,
    /// The open streams of pages that change while one looks at them.
    pub live: Live,
    /// What browsers may do with pages.
    pub policy: Policy,
}

/// This process, for those who run it.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Its name among those that could share a database.
    pub node: NodeId,
    /// When it was started.
    pub started_at: DateTime<Utc>,
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
            .route("/theme", post().to(theme::choose))
            .configure(entry)
            .configure(own)
            .configure(insight)
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
            .route("/home/{slug}/domains", get().to(domains::list))
            .route("/home/{slug}/credits", get().to(credits::list))
            .route("/home/{slug}/credits/live", get().to(credits::watch))
            .route("/home/{slug}/billing", get().to(billing::show))
            .route("/home/{slug}/billing/live", get().to(billing::watch))
            .route("/home/{slug}/billing/alerts", post().to(billing::save_alerts))
            .route("/home/{slug}/notifications", get().to(notifications::list))
            .route("/home/{slug}/notifications/alerts", post().to(notifications::save_alerts))
            .route("/home/{slug}/notifications/live", get().to(notifications::watch))
            .route("/home/{slug}/notifications/read", post().to(notifications::read_all))
            .route("/home/{slug}/notifications/{id}/read", post().to(notifications::read))
            .route("/home/{slug}/notifications/{id}/dismiss", post().to(notifications::dismiss))
            .configure(team)
            .configure(console)
            .route("/home/{slug}/models", get().to(models::list))
            .route("/home/{slug}/models/{model:.+}", get().to(models::show))
            .route("/playground", get().to(playground::show))
            .route("/playground/models/{model:.+}", get().to(playground::describe))
            .default_service(web::to(errors::not_found)),
    );
}

/// The ways in.
fn entry(config: &mut ServiceConfig) {
    use entry::{email, first, invitation, password, sign_in, sign_up};
    config
        .route("/", get().to(home::start))
        .route("/sign-in", get().to(sign_in::show))
        .route("/sign-in", post().to(sign_in::sign_in))
        .route("/sign-out", post().to(sign_in::sign_out))
        .route("/sign-up", get().to(sign_up::show))
        .route("/sign-up", post().to(sign_up::ask))
        .route("/sign-up/{token}", get().to(sign_up::open))
        .route("/sign-up/{token}", post().to(sign_up::finish))
        .route("/first/{token}", get().to(first::show))
        .route("/first/{token}", post().to(first::create))
        .route("/password/reset", get().to(password::show))
        .route("/password/reset", post().to(password::ask))
        .route("/password/reset/{token}", get().to(password::open))
        .route("/password/reset/{token}", post().to(password::set))
        .route("/email/{token}", get().to(email::open))
        .route("/email/{token}", post().to(email::confirm))
        .route("/invitations/{token}", get().to(invitation::open))
        .route("/invitations/{token}", post().to(invitation::accept))
        .route("/invitations/{token}/new", post().to(invitation::accept_as_new));
}

/// What is one person's. Before `{slug}`, which they would else be.
fn own(config: &mut ServiceConfig) {
    config
        .route("/home/settings", get().to(profile::show))
        .route("/home/settings/name", post().to(profile::rename))
        .route("/home/settings/email", post().to(profile::change_email))
        .route("/home/settings/password", post().to(profile::change_password))
        .route("/home/settings/export", post().to(profile::export))
        .route("/home/settings/sessions/end-others", post().to(profile::end_other_sessions))
        .route("/home/settings/sessions/{id}/end", post().to(profile::end_session))
        .route("/home/settings/deletion-code", post().to(profile::send_deletion_code))
        .route("/home/settings/delete", post().to(profile::delete))
        .route("/home/teams", get().to(teams::show))
        .route("/home/teams", post().to(teams::create));
}

/// What happened in a workspace.
fn insight(config: &mut ServiceConfig) {
    config
        .route("/home/{slug}", get().to(metrics::show))
        .route("/home/{slug}/live", get().to(metrics::watch))
        .route("/home/{slug}/generations", get().to(generations::list))
        .route("/home/{slug}/generations/live", get().to(generations::watch))
        .route("/home/{slug}/generations.{format}", get().to(generations::download))
        .route("/home/{slug}/generations/{id}", get().to(generation::show))
        .route("/home/{slug}/generations/{id}/live", get().to(generation::watch))
        .route("/home/{slug}/generations/{id}/cancel", post().to(generation::cancel))
        .route("/home/{slug}/generations/{id}/delete", post().to(generation::delete))
        .route("/home/{slug}/logs", get().to(logs::list))
        .route("/home/{slug}/logs/live", get().to(logs::watch))
        .route("/home/{slug}/logs.{format}", get().to(logs::download))
        .route("/home/{slug}/activity", get().to(activity::list))
        .route("/home/{slug}/activity/live", get().to(activity::watch))
        .route("/home/{slug}/activity.{format}", get().to(activity::download));
}

/// What is a team's.
fn team(config: &mut ServiceConfig) {
    config
        .route("/home/{slug}/members", get().to(members::list))
        .route("/home/{slug}/members/invite", post().to(members::invite))
        .route("/home/{slug}/members/{id}/role", post().to(members::change_role))
        .route("/home/{slug}/members/{id}/remove", post().to(members::remove))
        .route("/home/{slug}/members/{id}/transfer-code", post().to(members::send_transfer_code))
        .route("/home/{slug}/members/{id}/transfer", post().to(members::transfer))
        .route("/home/{slug}/members/invitations/{id}/role", post().to(members::change_invitation))
        .route("/home/{slug}/members/invitations/{id}/renew", post().to(members::renew_invitation))
        .route(
            "/home/{slug}/members/invitations/{id}/remove",
            post().to(members::remove_invitation),
        )
        .route("/home/{slug}/settings", get().to(settings::show))
        .route("/home/{slug}/settings", post().to(settings::update))
        .route("/home/{slug}/settings/leave", post().to(settings::leave))
        .route("/home/{slug}/settings/deletion-code", post().to(settings::send_deletion_code))
        .route("/home/{slug}/settings/delete", post().to(settings::delete));
}

/// Who runs this server.
fn console(config: &mut ServiceConfig) {
    use operator::{account, accounts, audit, overview, users};
    config
        .route("/operator", get().to(overview::show))
        .route("/operator/live", get().to(overview::watch))
        .route("/operator/accounts", get().to(accounts::list))
        .route("/operator/accounts/{id}", get().to(account::show))
        .route("/operator/accounts/{id}/plan", post().to(account::change_plan))
        .route("/operator/accounts/{id}/credit", post().to(account::grant_credit))
        .route("/operator/accounts/{id}/suspend", post().to(account::suspend))
        .route("/operator/accounts/{id}/resume", post().to(account::resume))
        .route("/operator/users", get().to(users::list))
        .route("/operator/users/{id}/operator", post().to(users::set_operator))
        .route("/operator/users/{id}/sessions", post().to(users::end_sessions))
        .route("/operator/audit", get().to(audit::list));
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

/// A page as an answer.
fn page(template: &impl Template) -> Result<HttpResponse, PageError> {
    page_with(StatusCode::OK, template)
}

/// A page as an answer that is another than "here it is", such as a form that was refused.
fn page_with(status: StatusCode, template: &impl Template) -> Result<HttpResponse, PageError> {
    Ok(HttpResponse::build(status).content_type(ContentType::html()).body(template.render()?))
}

/// The end of a form: the page to go on with, and what to say there.
fn redirect(to: &str, flash: Flash) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, to)).cookie(flash.cookie()).finish()
}
