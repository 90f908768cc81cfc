//! What listens: the API with its pages, and the operator's metrics.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::{HttpServer, web};
use anyhow::Context;
use prometheus_client::registry::Registry as MetricsRegistry;

use crate::auth::Auth;
use crate::auth::session::Sessions;
use crate::config::Config;
use crate::dashboard::{self, Dashboard};
use crate::http::{self, AppState};
use crate::metrics;

pub(super) fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

/// Metrics are no reason not to serve: a second server on a machine finds the port taken.
pub(super) fn listen_for_operator(address: SocketAddr) -> Option<TcpListener> {
    match TcpListener::bind(address) {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::error!(%address, %error, "no metrics: set operator.listen to another address");
            None
        }
    }
}

/// Where this process reaches itself.
pub(super) fn local_url(address: SocketAddr) -> anyhow::Result<url::Url> {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    Ok(url::Url::parse(&format!("http://{}", SocketAddr::new(ip, address.port())))?)
}

/// What pages need, besides the API.
pub(super) struct Pages {
    pub(super) sessions: web::Data<Sessions>,
    pub(super) dashboard: web::Data<Dashboard>,
}

pub(super) fn serve_api(
    config: &Config,
    listener: TcpListener,
    state: Arc<AppState>,
    auth: &Arc<Auth>,
    pages: Pages,
) -> anyhow::Result<ServerHandle> {
    let auth = Arc::clone(auth);
    let app = move || {
        // The API's routes come first, so that pages cost it nothing.
        http::app(Arc::clone(&state), Arc::clone(&auth))
            .app_data(web::Data::clone(&pages.sessions))
            .configure(|config| dashboard::configure(config, &pages.dashboard))
    };
    let server = HttpServer::new(app)
        .workers(config.server.workers)
        .client_request_timeout(config.server.head_timeout)
        .keep_alive(config.server.keep_alive)
        .shutdown_timeout(config.server.shutdown_timeout.as_secs())
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok(handle)
}

pub(super) fn serve_operator(
    listener: TcpListener,
    registry: Arc<MetricsRegistry>,
) -> anyhow::Result<ServerHandle> {
    let app = move || {
        let registry = Arc::clone(&registry);
        actix_web::App::new().configure(move |config| metrics::configure(config, registry))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().listen(listener)?.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok(handle)
}
