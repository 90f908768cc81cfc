//! What an operator can watch, and the route that shows it.
//!
//! Every label has a small fixed set of values: route templates and not paths, status classes
//! and not texts. Nothing that a client sends becomes a label.

pub mod overview;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, web};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds. A cached read takes less than a millisecond, a commit some, a bcrypt tens; POST
/// generate may wait for a provider for 18 s.
const LATENCY_BUCKETS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0];
/// The route of a request that none matched.
const UNMATCHED: &str = "unmatched";

/// What the HTTP layer measures.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Histogram>,
    pub auth: AuthMetrics,
    pub request_log: RequestLogMetrics,
}

/// What the log of requests measures.
#[derive(Debug, Clone, Default)]
pub struct RequestLogMetrics {
    /// Requests that were written.
    pub written: Counter,
    /// Requests that were not, because too many waited or the database refused them.
    pub dropped: Counter,
}

/// What authentication measures.
#[derive(Debug, Clone, Default)]
pub struct AuthMetrics {
    outcomes: Family<OutcomeLabel, Counter>,
    /// Keys that wait for a bcrypt thread.
    pub bcrypt_waiting: Gauge,
    /// Keys that a bcrypt thread was asked about.
    pub bcrypt_taken: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// How an authentication ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthOutcome {
    /// A known key.
    Cached,
    /// A key that bcrypt had to be asked about.
    Verified,
    /// No key was sent.
    Missing,
    /// Not a good key.
    Failed,
    /// From an address that failed too often.
    Limited,
    /// From an address that the key is not for.
    IpNotAllowed,
    /// Without the scope of the route.
    NoScope,
    /// Of an account that is suspended.
    Suspended,
    /// Too many keys were being checked.
    Busy,
    /// The store failed.
    Error,
}

impl AuthOutcome {
    /// The text of the label.
    fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Verified => "verified",
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::Limited => "limited",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::NoScope => "no_scope",
            Self::Suspended => "suspended",
            Self::Busy => "busy",
            Self::Error => "error",
        }
    }
}

impl Metrics {
    /// Registers everything in this file; others register theirs in the same registry.
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::<RequestLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(LATENCY_BUCKETS)
        });
        registry.register(
            "babysea_http_request_duration_seconds",
            "Time from the request's head to the answer's, by route, method and status class",
            requests.clone(),
        );
        let auth = AuthMetrics::default();
        registry.register(
            "babysea_auth_outcomes",
            "Authentications by how they ended",
            auth.outcomes.clone(),
        );
        registry.register(
            "babysea_bcrypt_queue_depth",
            "API keys that wait for a bcrypt thread",
            auth.bcrypt_waiting.clone(),
        );
        registry.register(
            "babysea_bcrypt_verifications",
            "API keys that a bcrypt thread was asked about",
            auth.bcrypt_taken.clone(),
        );
        let request_log = RequestLogMetrics::default();
        registry.register(
            "babysea_request_log_written",
            "Requests that were written to the log",
            request_log.written.clone(),
        );
        registry.register(
            "babysea_request_log_dropped",
            "Requests that are missing in the log and in usage",
            request_log.dropped.clone(),
        );
        Self { requests, auth, request_log }
    }

    /// Takes an answered request in. `route` is the template that matched.
    pub fn observe(
        &self,
        route: Option<String>,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let route = route.unwrap_or_else(|| UNMATCHED.to_owned());
        let labels = RequestLabels { route, method: known(method), status: class(status) };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

impl AuthMetrics {
    pub fn count(&self, outcome: AuthOutcome) {
        self.outcomes.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).inc();
    }

    #[cfg(test)]
    pub(crate) fn counted(&self, outcome: AuthOutcome) -> u64 {
        self.outcomes.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).get()
    }
}

/// Clients may send any word as a method.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}

/// `GET /metrics`, for the operator's listener.
pub fn configure(config: &mut web::ServiceConfig, registry: Arc<Registry>) {
    config.app_data(web::Data::from(registry)).route("/metrics", web::get().to(get_metrics));
}

async fn get_metrics(registry: web::Data<Registry>) -> HttpResponse {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written as text");
            HttpResponse::InternalServerError().finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, test};

    use super::*;

    #[actix_web::test]
    async fn the_operator_sees_what_was_measured() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.auth.count(AuthOutcome::Cached);
        metrics.auth.bcrypt_waiting.inc();
        let took = Duration::from_millis(3);
        let route = Some("/v1/content/{id}".to_owned());
        metrics.observe(route, &Method::GET, StatusCode::OK, took);
        let odd = Method::from_bytes(b"BREW").unwrap();
        metrics.observe(None, &odd, StatusCode::NOT_FOUND, took);

        let registry = Arc::new(registry);
        let app = App::new().configure(|config| configure(config, registry));
        let app = test::init_service(app).await;
        let request = test::TestRequest::get().uri("/metrics").to_request();
        let text = test::call_and_read_body(&app, request).await;
        let text = std::str::from_utf8(&text).unwrap();
        for line in [
            "babysea_auth_outcomes_total{outcome=\"cached\"} 1",
            "babysea_bcrypt_queue_depth 1",
            "babysea_http_request_duration_seconds_bucket{le=\"0.005\",route=\"/v1/content/{id}\",method=\"GET\",status=\"2xx\"} 1",
            "babysea_http_request_duration_seconds_count{route=\"unmatched\",method=\"other\",status=\"4xx\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
