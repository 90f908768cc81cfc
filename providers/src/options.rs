//! The model-specific fields of a request, with types.
//!
//! Adapters destructure [`Options`] in full, as they do `Request`: a field that is added here
//! does not compile until each of them has decided about it.

use serde_json::{Map, Value};

use crate::{Error, Request};

/// How much a prompt is rewritten before it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enhance {
    Off,
    Standard,
    Fast,
}

/// Fields by their public names without `generation_`; absent when the model has none such or
/// the request left it open.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Options {
    pub(crate) seed: Option<i64>,
    /// Whether the provider is to judge strictly.
    pub(crate) moderation: Option<bool>,
    pub(crate) enhance_prompt: Option<Enhance>,
    /// 0 to 100.
    pub(crate) output_quality: Option<u64>,
    pub(crate) guidance_scale: Option<f64>,
    pub(crate) num_inference_steps: Option<u64>,
    pub(crate) raw: Option<bool>,
    pub(crate) image_prompt_strength: Option<f64>,
    pub(crate) negative_prompt: Option<String>,
    pub(crate) watermark: Option<bool>,
    pub(crate) camera_fixed: Option<bool>,
    pub(crate) background: Option<String>,
}

impl Options {
    /// Reads the fields of a request.
    ///
    /// # Errors
    /// [`Error::Rejected`] for a field that no adapter knows, or one of another type: an
    /// operator's own catalogue may have such. Dropping it silently would sell something else
    /// than was asked for.
    pub(crate) fn of(request: &Request) -> Result<Self, Error> {
        Self::read(&request.options)
    }

    fn read(fields: &Map<String, Value>) -> Result<Self, Error> {
        let mut options = Self::default();
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let taken = options.take(name.strip_prefix("generation_").unwrap_or(name), value);
            if taken.is_none() {
                return Err(Error::Rejected(format!("The provider cannot take {name}.")));
            }
        }
        Ok(options)
    }

    fn take(&mut self, name: &str, value: &Value) -> Option<()> {
        match name {
            "seed" => self.seed = Some(value.as_i64()?),
            "moderation" => self.moderation = Some(value.as_bool()?),
            "enhance_prompt" => self.enhance_prompt = Some(enhance(value)?),
            "prompt_extend" => self.enhance_prompt = Some(extend(value.as_bool()?)),
            "output_quality" => self.output_quality = Some(value.as_u64()?),
            "guidance_scale" => self.guidance_scale = Some(value.as_f64()?),
            "num_inference_steps" => self.num_inference_steps = Some(value.as_u64()?),
            "raw" => self.raw = Some(value.as_bool()?),
            "image_prompt_strength" => self.image_prompt_strength = Some(value.as_f64()?),
            "negative_prompt" => self.negative_prompt = Some(value.as_str()?.to_owned()),
            "watermark" => self.watermark = Some(value.as_bool()?),
            "camera_fixed" => self.camera_fixed = Some(value.as_bool()?),
            "background" => self.background = Some(value.as_str()?.to_owned()),
            _ => return None,
        }
        Some(())
    }

    /// The seed, or one that belongs to this submission alone: a job made with it can be told
    /// from all others when the answer to its submit is lost.
    pub(crate) fn seed_or_own(&self, request: &Request) -> i64 {
        self.seed.unwrap_or_else(|| own_seed(request))
    }
}

/// 31 bits of the submission's id that differ between any two of them.
pub(crate) fn own_seed(request: &Request) -> i64 {
    let [.., a, b, c, d] = *request.correlation.as_bytes();
    i64::from(u32::from_be_bytes([a, b, c, d]) >> 1)
}

fn enhance(value: &Value) -> Option<Enhance> {
    match value.as_str()? {
        "off" => Some(Enhance::Off),
        "standard" => Some(Enhance::Standard),
        "fast" => Some(Enhance::Fast),
        _ => None,
    }
}

fn extend(on: bool) -> Enhance {
    if on { Enhance::Standard } else { Enhance::Off }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: &Value) -> Result<Options, Error> {
        Options::read(fields.as_object().unwrap())
    }

    #[test]
    fn fields_are_read_by_their_public_names_and_null_is_absent() {
        let options = read(&json!({
            "generation_seed": 7, "generation_moderation": false, "generation_raw": null,
            "generation_enhance_prompt": "fast", "generation_guidance_scale": 3.5,
        }));
        let expected = Options {
            seed: Some(7),
            moderation: Some(false),
            enhance_prompt: Some(Enhance::Fast),
            guidance_scale: Some(3.5),
            ..Options::default()
        };
        assert_eq!(options, Ok(expected));
    }

    #[test]
    fn fields_that_no_adapter_knows_are_refused_by_name() {
        for field in ["generation_style", "seed_too", "generation_sandbox_outcome"] {
            let refused = Err(Error::Rejected(format!("The provider cannot take {field}.")));
            assert_eq!(read(&json!({ field: 1 })), refused);
        }
        assert!(read(&json!({ "generation_seed": "7" })).is_err());
        assert!(read(&json!({ "generation_enhance_prompt": "much" })).is_err());
    }
}
