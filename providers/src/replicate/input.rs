//! From a request to the input of a model at Replicate.
//!
//! Each model has inputs of its own, but the names mean the same nearly everywhere. So a model
//! is a list of the names that it takes, and [`Draft::value`] says what each name is given.
//! Names marked below as taken from memory were not in the spec's sources.

use serde_json::{Map, Value, json};

use crate::options::{Enhance, Options};
use crate::{Error, OutputFormat, Request};

/// What models take besides a prompt. `name=other` gives `other` the meaning of `name`.
const MODELS: [(&str, &str); 25] = [
    (
        "black-forest-labs/flux-schnell",
        "aspect_ratio num_outputs seed output_format output_quality disable_safety_checker",
    ),
    (
        "black-forest-labs/flux-dev",
        "aspect_ratio num_outputs seed output_format output_quality disable_safety_checker image \
         guidance num_inference_steps",
    ),
    // From memory, down to klein.
    (
        "black-forest-labs/flux-1.1-pro",
        "aspect_ratio seed output_format output_quality safety_tolerance prompt_upsampling \
         image=image_prompt",
    ),
    (
        "black-forest-labs/flux-1.1-pro-ultra",
        "aspect_ratio seed output_format_jpg_png safety_tolerance raw image=image_prompt \
         image_prompt_strength",
    ),
    ("black-forest-labs/flux-2-pro", FLUX_2),
    ("black-forest-labs/flux-2-max", FLUX_2),
    (
        "black-forest-labs/flux-2-flex",
        "aspect_ratio images=input_images megapixels=resolution seed output_format \
         safety_tolerance prompt_upsampling guidance num_inference_steps=steps",
    ),
    ("black-forest-labs/flux-2-klein-4b", KLEIN),
    ("black-forest-labs/flux-2-klein-9b", KLEIN),
    ("bytedance/seedream-4", "aspect_ratio images=image_input size enhance_prompt"),
    // From memory, both.
    ("bytedance/seedream-4.5", "aspect_ratio images=image_input size enhance_prompt"),
    (
        "bytedance/seedream-5-lite",
        "aspect_ratio images=image_input size enhance_prompt output_format_png_jpeg",
    ),
    ("bytedance/seedance-1-pro", SEEDANCE),
    ("bytedance/seedance-1-pro-fast", SEEDANCE),
    (
        "bytedance/seedance-1.5-pro",
        "aspect_ratio image last_frame_image duration resolution camera_fixed seed generate_audio",
    ),
    ("google/nano-banana", "aspect_ratio images=image_input output_format_jpg_png"),
    // From memory, to Imagen.
    ("google/nano-banana-2", "aspect_ratio images=image_input resolution output_format_jpg_png"),
    ("google/nano-banana-pro", "aspect_ratio images=image_input resolution output_format_jpg_png"),
    ("google/imagen-4", "aspect_ratio resolution=image_size output_format_jpg_png"),
    ("google/imagen-4-ultra", "aspect_ratio resolution=image_size output_format_jpg_png"),
    ("google/imagen-4-fast", "aspect_ratio output_format_jpg_png"),
    ("qwen/qwen-image", "aspect_ratio image negative_prompt seed enhance_prompt output_format"),
    // From memory, to the end.
    (
        "kwaivgi/kling-v1.5-pro",
        "aspect_ratio image=start_image duration negative_prompt guidance=cfg_scale",
    ),
    (
        "openai/gpt-image-2",
        "aspect_ratio images=input_images num_outputs=number_of_images output_format_jpeg \
         output_quality=output_compression background gpt_moderation=moderation",
    ),
    ("google/veo-2", "aspect_ratio image duration seed"),
];

const FLUX_2: &str = "aspect_ratio images=input_images megapixels=resolution seed output_format \
                      safety_tolerance";
const KLEIN: &str = "aspect_ratio images plain_megapixels=output_megapixels seed output_format \
                     disable_safety_checker";
const SEEDANCE: &str = "aspect_ratio image last_frame_image duration resolution camera_fixed seed";
const VEO_3: &str = "aspect_ratio image last_frame_image=last_frame duration resolution \
                     generate_audio negative_prompt seed";
const RUNWAY_IMAGE: &str = "aspect_ratio images=reference_images resolution seed";
const RUNWAY_VIDEO: &str = "aspect_ratio image duration seed";
/// For models that an operator has added: names that are the same nearly everywhere. What the
/// request leaves open is not sent, so a model needs only those that its catalogue offers.
const OTHERS: &str = "aspect_ratio image num_outputs seed last_frame_image duration resolution \
                      generate_audio negative_prompt guidance num_inference_steps";

fn names(model: &str) -> &'static str {
    let model = model.split_once(':').map_or(model, |(model, _)| model);
    if let Some((_, names)) = MODELS.iter().find(|(name, _)| *name == model) {
        return names;
    }
    match model {
        "google/veo-3.1" | "google/veo-3.1-fast" | "google/veo-3.1-lite" => VEO_3,
        "runwayml/gen4-image" | "runwayml/gen4-image-turbo" => RUNWAY_IMAGE,
        "runwayml/gen4-turbo" | "runwayml/gen-4.5" => RUNWAY_VIDEO,
        _ => OTHERS,
    }
}

/// Whether a model takes a seed, by which its jobs can be told apart.
pub(super) fn takes_seed(model: &str) -> bool {
    names(model).split_whitespace().any(|name| name == "seed")
}

/// The whole `input` of a job: the same for the same request, whenever it is made.
pub(super) fn of(request: &Request) -> Result<Map<String, Value>, Error> {
    let draft = Draft { request, options: Options::of(request)? };
    let mut input = Map::new();
    input.insert("prompt".to_owned(), request.prompt.clone().into());
    for name in names(&request.model).split_whitespace() {
        let (meaning, name) = name.split_once('=').unwrap_or((name, name));
        if let Some(value) = draft.value(meaning) {
            // Names of formats say which they take after an underscore.
            let name = if name.starts_with("output_format") { "output_format" } else { name };
            input.insert(name.to_owned(), value);
        }
    }
    if request.count > 1 && !names(&request.model).contains("num_outputs") {
        return Err(Error::Rejected("The model makes one output at a time.".to_owned()));
    }
    draft.check_files(&input)?;
    Ok(input)
}

struct Draft<'a> {
    request: &'a Request,
    options: Options,
}

impl Draft<'_> {
    /// What an input is given; `None` when the request leaves it open.
    fn value(&self, meaning: &str) -> Option<Value> {
        let Request {
            // Found again by the seed; there is no place for an id of ours.
            correlation: _,
            submitted_at: _,
            // In the path.
            model: _,
            // Said by the model.
            media: _,
            // In every input.
            prompt: _,
            ratio,
            format,
            count,
            input_files,
            last_frame,
            duration_ms,
            resolution,
            audio,
            // Read into `self.options`.
            options: _,
            // Beside the input.
            delivery: _,
            callback: _,
        } = self.request;
        let files = || input_files.iter().map(|url| url.as_str());
        match meaning {
            "aspect_ratio" => Some(json!(ratio)),
            "num_outputs" => Some(json!(count)),
            "output_format" => Some(json!(format.as_str())),
            "output_format_jpg_png" => Some(json!(png_or(*format, "jpg"))),
            "output_format_png_jpeg" => Some(json!(png_or(*format, "jpeg"))),
            "output_format_jpeg" => Some(match format {
                OutputFormat::Webp => json!("webp"),
                other => json!(png_or(*other, "jpeg")),
            }),
            "image" => files().next().map(Value::from),
            "images" => {
                (!input_files.is_empty()).then(|| files().map(Value::from).collect::<Value>())
            }
            "last_frame_image" => last_frame.as_ref().map(|url| json!(url.as_str())),
            // Whole seconds: the catalogue has no others.
            "duration" => duration_ms.map(|millis| json!(millis / 1000)),
            "resolution" | "size" => resolution.as_ref().map(|tier| json!(tier)),
            "megapixels" => megapixels(resolution.as_deref()).map(|mp| json!(format!("{mp} MP"))),
            "plain_megapixels" => megapixels(resolution.as_deref()).map(|mp| json!(mp)),
            "generate_audio" => audio.map(Value::from),
            other => self.option(other),
        }
    }

    fn option(&self, meaning: &str) -> Option<Value> {
        let Options {
            seed: _,
            moderation,
            enhance_prompt,
            output_quality,
            guidance_scale,
            num_inference_steps,
            raw,
            image_prompt_strength,
            negative_prompt,
            // It puts none on anything.
            watermark: _,
            camera_fixed,
            background,
        } = &self.options;
        let enhance = enhance_prompt.map(|enhance| enhance != Enhance::Off);
        match meaning {
            "seed" => Some(json!(self.options.seed_or_own(self.request))),
            "disable_safety_checker" => moderation.map(|strict| json!(!strict)),
            // Six accepts the most, but five with input pictures; two is the default.
            "safety_tolerance" => moderation.map(|strict| json!(if strict { 2 } else { 5 })),
            "gpt_moderation" => moderation.map(|strict| json!(if strict { "auto" } else { "low" })),
            "prompt_upsampling" | "enhance_prompt" => enhance.map(Value::from),
            "output_quality" => output_quality.map(Value::from),
            "guidance" => guidance_scale.map(Value::from),
            "num_inference_steps" => num_inference_steps.map(Value::from),
            "raw" => raw.map(Value::from),
            "image_prompt_strength" => {
                image_prompt_strength.filter(|_| !self.request.input_files.is_empty()).map(json)
            }
            "negative_prompt" => negative_prompt.clone().map(Value::from),
            "camera_fixed" => camera_fixed.map(Value::from),
            "background" => background.clone().map(Value::from),
            _ => None,
        }
    }

    /// A file that the model has no place for must not be left out silently: the result would
    /// be another one.
    fn check_files(&self, input: &Map<String, Value>) -> Result<(), Error> {
        let placed = |url: &url::Url| {
            let text = Some(url.as_str());
            input.values().any(|value| match value {
                Value::Array(items) => items.iter().any(|item| item.as_str() == text),
                other => other.as_str() == text,
            })
        };
        let mut files = self.request.input_files.iter().chain(&self.request.last_frame);
        match files.all(placed) {
            true => Ok(()),
            false => Err(Error::Rejected("The model cannot take all input files.".to_owned())),
        }
    }
}

fn json(number: f64) -> Value {
    Value::from(number)
}

fn png_or(format: OutputFormat, jpeg: &'static str) -> &'static str {
    match format {
        // It makes no WebP: what is lost least is converted afterwards.
        OutputFormat::Png | OutputFormat::Webp => "png",
        OutputFormat::Jpg | OutputFormat::Mp4 => jpeg,
    }
}

fn megapixels(tier: Option<&str>) -> Option<&str> {
    tier?.strip_suffix("MP")
}
