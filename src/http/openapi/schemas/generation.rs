//! The shapes of generations (`spec/contract.md` 1.6, 7.2, 7.4), which handlers build by hand.
#![expect(dead_code, reason = "only their shape is used")]

use serde::Serialize;
use utoipa::ToSchema;

/// The fields of single models are not listed here: [`super::super::models`] adds them.
#[derive(ToSchema)]
#[schema(
    as = GenerationRequest,
    description = "What to generate. These fields every model knows, though not every model takes \
                   each of them; many have further ones of their own. What is not a field of the \
                   model is refused. A null counts as absent."
)]
pub(in crate::http) struct RequestSchema {
    #[schema(max_length = 10000, pattern = "\\S")]
    generation_prompt: String,
    /// One of the model's ratios; its first one when absent.
    generation_ratio: Option<String>,
    /// One of the model's formats; its first one when absent.
    generation_output_format: Option<String>,
    /// How many outputs, up to the model's limit; 1 when absent.
    #[schema(minimum = 1)]
    generation_output_number: Option<u32>,
    /// Seconds, one of the model's lengths; required for a video, refused for an image.
    generation_duration: Option<f64>,
    /// One of the model's; its first one when absent.
    generation_resolution: Option<String>,
    /// For models that can make sound; false when absent.
    generation_generate_audio: Option<bool>,
    /// Public URLs of JPEG, PNG or WebP images.
    generation_input_file: Option<Vec<String>>,
    /// Public URL of the picture that a video ends with.
    #[schema(format = "uri")]
    generation_input_file_last_content: Option<String>,
    /// `fastest`, or providers of the model joined with `, ` in the order to try them;
    /// `fastest` when absent.
    generation_provider_order: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(
    as = Created,
    description = "Told apart by `generation_status`, which only one that was canceled has, or, \
                   where the client asked to wait, one that has ended."
)]
pub(in crate::http) enum CreatedSchema {
    Initialized(InitializedSchema),
    Canceled(CanceledMeanwhileSchema),
    Finished(Box<GenerationSchema>),
}

#[derive(Serialize, ToSchema)]
#[schema(as = Initialized, description = "A provider has the job.")]
pub(in crate::http) struct InitializedSchema {
    model_identifier: String,
    /// The providers in the order in which they are tried.
    generation_provider_order: Vec<String>,
    /// The provider's own name of the job.
    generation_prediction_id: String,
    #[schema(format = "uuid")]
    generation_id: String,
    /// True.
    generation_initialized: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CanceledMeanwhile, description = "It was canceled before a provider had it.")]
pub(in crate::http) struct CanceledMeanwhileSchema {
    #[schema(format = "uuid")]
    generation_id: String,
    generation_status: CanceledStatus,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CanceledStatus)]
pub(in crate::http) enum CanceledStatus {
    Canceled,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GenerationStatus, description = "The last three are final.")]
pub(in crate::http) enum StatusSchema {
    Pending,
    Processing,
    Succeeded,
    Failed,
    Canceled,
}

#[derive(Serialize, ToSchema)]
#[schema(
    as = Generation,
    description = "The record of a generation. The model's own fields, `generation_…`, stand \
                   beside these."
)]
pub(in crate::http) struct GenerationSchema {
    #[schema(format = "uuid")]
    account_id: String,
    #[schema(format = "uuid")]
    generation_id: String,
    model_identifier: String,
    /// The providers in the order in which they are tried.
    generation_provider_order: Vec<String>,
    /// The one whose result it is; null until there is one.
    #[schema(required)]
    generation_provider_used: Option<String>,
    /// The provider's own name of the job; null until there is one.
    #[schema(required)]
    generation_prediction_id: Option<String>,
    generation_status: StatusSchema,
    generation_prompt: String,
    generation_ratio: String,
    generation_output_format: String,
    #[schema(minimum = 1)]
    generation_output_number: u32,
    #[schema(required)]
    generation_input_file: Option<Vec<String>>,
    /// Only for models that take one.
    generation_input_file_last_content: Option<String>,
    /// Signed URLs, good for as long as the files are kept; null before and after that.
    #[schema(required)]
    generation_output_file: Option<Vec<String>>,
    #[schema(format = DateTime)]
    generation_created_at: String,
    #[schema(required, format = DateTime)]
    generation_started_at: Option<String>,
    #[schema(required, format = DateTime)]
    generation_completed_at: Option<String>,
    /// Seconds from its acceptance to its end.
    #[schema(required, minimum = 0)]
    generation_metrics_total_time: Option<f64>,
    /// Seconds at the provider.
    #[schema(required, minimum = 0)]
    generation_metrics_predict_time: Option<f64>,
    /// Seconds; only for a video.
    #[schema(nullable = false)]
    generation_duration: Option<f64>,
    /// Only for models with resolutions.
    #[schema(nullable = false)]
    generation_resolution: Option<String>,
    /// Only for models that can make sound.
    #[schema(nullable = false)]
    generation_generate_audio: Option<bool>,
    /// `audio` or `noaudio`; only for models that can make sound.
    #[schema(nullable = false)]
    generation_audio_mode: Option<String>,
    /// Only when it has failed.
    #[schema(nullable = false)]
    generation_error: Option<String>,
    /// The code of an error; only when it has failed.
    #[schema(nullable = false, pattern = "^BSE[0-9]{4}$")]
    generation_error_code: Option<String>,
    /// True; only when its files were removed.
    #[schema(nullable = false)]
    generation_removed: Option<bool>,
}

#[derive(ToSchema)]
#[schema(as = Generations, description = "A page of an account's generations, newest first.")]
pub(in crate::http) struct GenerationsSchema {
    generations: Vec<GenerationSchema>,
}

#[derive(ToSchema)]
#[schema(as = GenerationEvent, description = "One of the at most three steps of a life, or what an attempt has come to.")]
pub(in crate::http) struct EventSchema {
    /// 1 to 3: its place in the life. An attempt has none.
    #[schema(pattern = "^[123]$", nullable = false)]
    id: Option<String>,
    event: EventNameSchema,
    /// An object with `generation_id`, `generation_status` and `timestamp`; the last one has the
    /// record as `generation`. Of an attempt: `generation_id`, `attempt_order`, `provider`,
    /// `outcome`, `submitted_at`, `resolved_at`, and `error` as in `provider_errors` when it has
    /// failed.
    #[schema(content_media_type = "application/json")]
    data: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = GenerationEventName)]
pub(in crate::http) enum EventNameSchema {
    #[serde(rename = "generation.pending")]
    Pending,
    #[serde(rename = "generation.started")]
    Started,
    #[serde(rename = "generation.completed")]
    Completed,
    #[serde(rename = "generation.failed")]
    Failed,
    #[serde(rename = "generation.canceled")]
    Canceled,
    #[serde(rename = "generation.attempt")]
    Attempt,
}
