//! What operations take beside a body.
#![expect(dead_code, reason = "only their shape is used")]

use utoipa::IntoParams;

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct ModelPath {
    /// A model of the library, such as `sandbox/inline`. Its slash may stand in the path as it
    /// is or as `%2F`.
    #[param(example = "sandbox/inline")]
    model_identifier: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct GenerationPath {
    /// The id that the creation was answered with.
    #[param(format = "uuid")]
    generation_id: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::http) struct IdempotencyHeader {
    /// Makes a repetition safe for 24 hours: the same key with the same body is answered with
    /// what the first request was answered.
    #[param(rename = "Idempotency-Key", nullable = false, pattern = "^[A-Za-z0-9_.:-]{1,255}$")]
    idempotency_key: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::http) struct Preference {
    /// `wait=N` waits up to N seconds, 60 at most, and answers the finished record when it is
    /// ready by then; what cannot be read is ignored (RFC 7240). Ours.
    #[param(rename = "Prefer", nullable = false, example = "wait=20")]
    prefer: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::http) struct LastEventId {
    /// The last event that was heard: the stream goes on after it.
    #[param(rename = "Last-Event-ID", nullable = false)]
    last_event_id: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct EventsQuery {
    /// Whether to tell attempts too, as events named `generation.attempt` without an id, whenever
    /// one begins or has come to something; false when absent. Ours.
    #[param(nullable = false)]
    attempts: Option<bool>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::http) struct IfNoneMatch {
    /// The `ETag` of what the client has.
    #[param(rename = "If-None-Match", nullable = false)]
    if_none_match: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Days {
    /// How many days, today included; 30 when absent, brought into 1 to 90.
    #[param(nullable = false)]
    days: Option<i64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PageQuery {
    /// How many; 50 when absent, brought into 1 to 100.
    #[param(nullable = false)]
    limit: Option<i64>,
    /// How many to leave out; 0 when absent.
    #[param(nullable = false)]
    offset: Option<i64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct EstimateQuery {
    /// How many outputs; 1 when absent, brought into 1 to 100.
    #[param(nullable = false)]
    count: Option<i64>,
    /// Seconds; one of a video model's lengths, and required for one.
    #[param(nullable = false)]
    duration: Option<f64>,
    /// One of the model's; its first one when absent.
    #[param(nullable = false)]
    resolution: Option<String>,
    /// For models that can make sound; false when absent.
    #[param(nullable = false)]
    audio: Option<bool>,
}
