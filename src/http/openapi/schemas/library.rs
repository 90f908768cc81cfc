//! Shapes of the library (`spec/contract.md` 11.2) that its own types do not say.
#![expect(dead_code, reason = "only their shape is used")]

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Price, description = "One price, or one for each tier.")]
pub(in crate::http) enum PriceSchema {
    Flat(f64),
    Tiers(HashMap<String, f64>),
}
