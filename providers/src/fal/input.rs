//! From a request to the endpoint and the input of a model at fal.
//!
//! A model here is an application with endpoints for text, for pictures to be edited, and so
//! on; which one is meant follows from the files of the request. What each takes is a list of
//! names, as for Replicate. Those not in the spec's table are from memory.

use serde_json::{Map, Value, json};

use crate::options::{Enhance, Options};
use crate::ratio::{Ratio, pixels};
use crate::{Error, OutputFormat, Request};

/// An application.
struct App {
    name: &'static str,
    /// What is appended when there is no picture, and when there is one.
    text: &'static str,
    picture: &'static str,
    takes: &'static str,
}

const fn app(
    name: &'static str,
    text: &'static str,
    picture: &'static str,
    takes: &'static str,
) -> App {
    App { name, text, picture, takes }
}

const FLUX_2: &str = "image_size images seed safety_tolerance output_format";
const KLEIN: &str = "image_size images seed num_images enable_safety_checker output_format";
const SEEDREAM: &str =
    "image_size images num_images seed enable_safety_checker enhance_prompt_mode";
const SEEDANCE: &str = "aspect_ratio image end_image resolution duration camera_fixed seed \
                        enable_safety_checker generate_audio";
const BANANA: &str =
    "aspect_ratio images num_images output_format seed safety_tolerance resolution";
const IMAGEN: &str = "aspect_ratio num_images resolution output_format seed";
const VEO_3: &str = "aspect_ratio image last_frame resolution duration_s generate_audio \
                     negative_prompt seed";

const APPS: [App; 27] = [
    app(
        "fal-ai/flux/schnell",
        "",
        "",
        "image_size num_images seed enable_safety_checker output_format",
    ),
    app(
        "fal-ai/flux-pro/v1.1",
        "",
        "/redux",
        "image_size image num_images seed enable_safety_checker safety_tolerance output_format \
         enhance_prompt",
    ),
    app(
        "fal-ai/flux-pro/v1.1-ultra",
        "",
        "",
        "aspect_ratio image num_images seed enable_safety_checker safety_tolerance output_format \
         raw image_prompt_strength enhance_prompt",
    ),
    app("fal-ai/flux-2-pro", "", "/edit", FLUX_2),
    app("fal-ai/flux-2-max", "", "/edit", FLUX_2),
    app(
        "fal-ai/flux-2-flex",
        "",
        "/edit",
        "image_size images seed safety_tolerance output_format guidance_scale \
         num_inference_steps enable_prompt_expansion",
    ),
    app("fal-ai/flux-2/klein/4b", "", "/edit", KLEIN),
    app("fal-ai/flux-2/klein/9b", "", "/edit", KLEIN),
    app("fal-ai/nano-banana", "", "/edit", BANANA),
    app("fal-ai/nano-banana-2", "", "/edit", BANANA),
    app("fal-ai/nano-banana-pro", "", "/edit", BANANA),
    app("fal-ai/bytedance/seedream/v4", "/text-to-image", "/edit", SEEDREAM),
    app("fal-ai/bytedance/seedream/v4.5", "/text-to-image", "/edit", SEEDREAM),
    app("fal-ai/bytedance/seedream/v5/lite", "/text-to-image", "/edit", SEEDREAM),
    app("fal-ai/bytedance/seedance/v1/pro", "/text-to-video", "/image-to-video", SEEDANCE),
    app("fal-ai/bytedance/seedance/v1/pro/fast", "/text-to-video", "/image-to-video", SEEDANCE),
    app("fal-ai/bytedance/seedance/v1.5/pro", "/text-to-video", "/image-to-video", SEEDANCE),
    app("fal-ai/veo2", "", "/image-to-video", "aspect_ratio image duration_s"),
    app("fal-ai/veo3", "", "/image-to-video", VEO_3),
    app("fal-ai/veo3.1", "", "/image-to-video", VEO_3),
    app("fal-ai/veo3.1/fast", "", "/image-to-video", VEO_3),
    app("fal-ai/veo3.1/lite", "", "/image-to-video", VEO_3),
    app("fal-ai/imagen4/preview", "", "", IMAGEN),
    app("fal-ai/imagen4/preview/fast", "", "", IMAGEN),
    app("fal-ai/imagen4/preview/ultra", "", "", IMAGEN),
    app(
        "fal-ai/qwen-image",
        "",
        "",
        "image_size num_images seed negative_prompt output_format enable_safety_checker",
    ),
    app(
        "fal-ai/kling-video/v1.5/pro",
        "/text-to-video",
        "/image-to-video",
        "aspect_ratio image duration negative_prompt cfg_scale",
    ),
];

/// For models that an operator has added, by their full endpoint.
const OTHERS: &str = "aspect_ratio image num_images seed resolution duration generate_audio \
                      negative_prompt guidance_scale num_inference_steps";

/// Where a request goes, and what with.
pub(super) fn of(request: &Request) -> Result<(String, Map<String, Value>), Error> {
    let app = APPS.iter().find(|app| app.name == request.model);
    let takes = app.map_or(OTHERS, |app| app.takes);
    let draft = Draft { request, options: Options::of(request)? };
    let mut input = Map::from_iter([("prompt".to_owned(), request.prompt.clone().into())]);
    for meaning in takes.split_whitespace() {
        draft.put(meaning, &mut input)?;
    }
    draft.check(takes)?;
    let endpoint = match app {
        Some(app) => format!("{}{}", app.name, draft.suffix(app)),
        None => request.model.clone(),
    };
    Ok((endpoint, input))
}

struct Draft<'a> {
    request: &'a Request,
    options: Options,
}

impl Draft<'_> {
    fn suffix(&self, app: &App) -> &'static str {
        match (self.request.input_files.is_empty(), &self.request.last_frame) {
            (false, Some(_)) if app.takes == VEO_3 => "/first-last-frame-to-video",
            (true, _) => app.text,
            (false, _) => app.picture,
        }
    }

    /// Adds what a name is given, if the request says anything of it.
    fn put(&self, meaning: &str, input: &mut Map<String, Value>) -> Result<(), Error> {
        let Request {
            // It has no place for an id of ours.
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
            // In host and query.
            delivery: _,
            callback: _,
        } = self.request;
        let urls = || input_files.iter().map(|url| Value::from(url.as_str()));
        let both_ends = last_frame.is_some() && !input_files.is_empty();
        let (name, value) = match meaning {
            "aspect_ratio" => (meaning, Some(json!(ratio))),
            "image_size" => (meaning, Some(self.size()?)),
            "num_images" => (meaning, Some(json!(count))),
            "output_format" => (
                meaning,
                Some(json!(match format {
                    // It makes no WebP: what is lost least is converted afterwards.
                    OutputFormat::Png | OutputFormat::Webp => "png",
                    OutputFormat::Jpg | OutputFormat::Mp4 => "jpeg",
                })),
            ),
            "images" => ("image_urls", (!input_files.is_empty()).then(|| urls().collect())),
            "image" => ("image_url", urls().next()),
            "end_image" => ("end_image_url", last_frame.as_ref().map(|url| json!(url.as_str()))),
            "last_frame" if both_ends => {
                // Both have other names when there are two.
                let first = input.remove("image_url").unwrap_or_default();
                input.insert("first_frame_url".to_owned(), first);
                ("last_frame_url", last_frame.as_ref().map(|url| json!(url.as_str())))
            }
            "duration" => (meaning, duration_ms.map(|ms| json!((ms / 1000).to_string()))),
            "duration_s" => ("duration", duration_ms.map(|ms| json!(format!("{}s", ms / 1000)))),
            "resolution" => (meaning, resolution.as_ref().map(|tier| json!(tier))),
            "generate_audio" => (meaning, audio.map(Value::from)),
            option => (option, self.option(option)),
        };
        if let Some(value) = value {
            input.insert(name.to_owned(), value);
        }
        Ok(())
    }

    fn option(&self, meaning: &str) -> Option<Value> {
        let Options {
            seed,
            moderation,
            enhance_prompt,
            // It has no such thing.
            output_quality: _,
            guidance_scale,
            num_inference_steps,
            raw,
            image_prompt_strength,
            negative_prompt,
            // It puts none on anything.
            watermark: _,
            camera_fixed,
            // OpenAI's alone.
            background: _,
        } = &self.options;
        match meaning {
            "seed" => seed.map(Value::from),
            "enable_safety_checker" => moderation.map(Value::from),
            "safety_tolerance" => moderation.map(|strict| json!(if strict { "2" } else { "5" })),
            "enhance_prompt" | "enable_prompt_expansion" => {
                enhance_prompt.map(|enhance| json!(enhance != Enhance::Off))
            }
            // Off is not on offer: it always does one or the other.
            "enhance_prompt_mode" => enhance_prompt.and_then(|enhance| match enhance {
                Enhance::Off => None,
                Enhance::Standard => Some(json!("standard")),
                Enhance::Fast => Some(json!("fast")),
            }),
            "guidance_scale" | "cfg_scale" => guidance_scale.map(Value::from),
            "num_inference_steps" => num_inference_steps.map(Value::from),
            "raw" => raw.map(Value::from),
            "image_prompt_strength" => {
                image_prompt_strength.filter(|_| !self.request.input_files.is_empty()).map(json)
            }
            "negative_prompt" => negative_prompt.clone().map(Value::from),
            "camera_fixed" => camera_fixed.map(Value::from),
            _ => None,
        }
    }

    fn size(&self) -> Result<Value, Error> {
        let tier = self.request.resolution.as_deref();
        let area = tier.and_then(pixels).unwrap_or(1 << 20);
        let (width, height) = Ratio::parse(&self.request.ratio)?.size(area, 16, 4096);
        Ok(json!({ "width": width, "height": height }))
    }

    /// What a model has no place for must not be left out silently: the result would be
    /// another one.
    fn check(&self, takes: &str) -> Result<(), Error> {
        let takes = |name: &str| takes.split_whitespace().any(|taken| taken == name);
        let Request { count, input_files, last_frame, .. } = self.request;
        let files = match (takes("images"), takes("image")) {
            (true, _) => usize::MAX,
            (_, true) => 1,
            _ => 0,
        };
        let last = match last_frame {
            None => true,
            Some(_) => takes("end_image") || (takes("last_frame") && !input_files.is_empty()),
        };
        if input_files.len() > files || !last {
            return Err(Error::Rejected("The model cannot take all input files.".to_owned()));
        }
        if *count > 1 && !takes("num_images") {
            return Err(Error::Rejected("The model makes one output at a time.".to_owned()));
        }
        Ok(())
    }
}

fn json(number: f64) -> Value {
    Value::from(number)
}
