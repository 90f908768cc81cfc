//! Shapes of health (`spec/contract.md` 10.2) that its own types do not say.
#![expect(dead_code, reason = "only their shape is used")]

use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(as = Availability, description = "Whether a provider can be asked for a model.")]
pub(in crate::http) struct AvailabilitySchema {
    available: bool,
    /// The provider's own name of the model.
    #[schema(required)]
    raw_model_id: Option<String>,
}
