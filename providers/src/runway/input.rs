//! From a request to a call of Runway's. Ratios are sizes there, and every model has its own.

use serde_json::{Map, Value, json};

use crate::options::Options;
use crate::ratio::Ratio;
use crate::{Error, MediaKind, Request};

/// Characters of a prompt, in units of UTF-16.
const PROMPT_MAX: usize = 1000;

const PICTURES_720: [(u32, u32); 6] =
    [(720, 720), (1280, 720), (720, 1280), (960, 720), (720, 960), (1680, 720)];
const PICTURES_1080: [(u32, u32); 6] =
    [(1080, 1080), (1920, 1080), (1080, 1920), (1440, 1080), (1080, 1440), (2112, 912)];
const NANO_BANANA: [(u32, u32); 10] = [
    (1024, 1024),
    (1344, 768),
    (768, 1344),
    (1184, 864),
    (864, 1184),
    (1536, 672),
    (832, 1248),
    (1248, 832),
    (896, 1152),
    (1152, 896),
];
const FILMS: [(u32, u32); 6] =
    [(1280, 720), (720, 1280), (1104, 832), (832, 1104), (960, 960), (1584, 672)];
const FILMS_720: [(u32, u32); 2] = [(1280, 720), (720, 1280)];
const FILMS_1080: [(u32, u32); 2] = [(1920, 1080), (1080, 1920)];

/// The path and the body of a submit.
pub(super) fn of(request: &Request) -> Result<(&'static str, Value), Error> {
    let Request {
        // It has no place for an id of ours.
        correlation: _,
        submitted_at: _,
        model,
        media,
        prompt,
        ratio,
        // It makes what it makes; pictures are converted afterwards.
        format: _,
        count,
        input_files,
        last_frame,
        duration_ms,
        resolution,
        audio,
        // Read below.
        options: _,
        // It is polled.
        delivery: _,
        callback: _,
    } = request;
    if *count != 1 {
        return Err(Error::Rejected("The model makes one output at a time.".to_owned()));
    }
    // Others take longer ones, so this is no judgement of the input.
    if prompt.encode_utf16().count() > PROMPT_MAX {
        return Err(Error::Failed("The prompt is too long for the provider.".to_owned()));
    }
    let veo = model.starts_with("veo3");
    let films = if veo { 2 } else { 1 };
    let fits = match media {
        MediaKind::Image => input_files.len() <= 3 && last_frame.is_none(),
        MediaKind::Video => {
            input_files.len() <= 1
                && (last_frame.is_none() || (films == 2 && !input_files.is_empty()))
        }
    };
    if !fits {
        return Err(Error::Rejected("The model cannot take all input files.".to_owned()));
    }
    let tier = resolution.as_deref();
    let sizes: &[(u32, u32)] = match (media, tier) {
        (MediaKind::Image, _) if model == "gemini_2.5_flash" => &NANO_BANANA,
        (MediaKind::Image, Some("720p")) => &PICTURES_720,
        (MediaKind::Image, _) => &PICTURES_1080,
        (MediaKind::Video, Some("1080p")) if veo => &FILMS_1080,
        (MediaKind::Video, _) if veo || input_files.is_empty() => &FILMS_720,
        (MediaKind::Video, _) => &FILMS,
    };
    let none = || Error::Rejected("The model does not have this ratio.".to_owned());
    let (width, height) = Ratio::parse(ratio)?.nearest(sizes).ok_or_else(none)?;
    let mut body = json!({
        "model": model,
        "promptText": prompt,
        "ratio": format!("{width}:{height}"),
    });
    let first = input_files.iter().map(|url| json!({ "uri": url.as_str(), "position": "first" }));
    let last = last_frame.iter().map(|url| json!({ "uri": url.as_str(), "position": "last" }));
    let path = match media {
        MediaKind::Image => {
            let references = input_files.iter().map(|url| json!({ "uri": url.as_str() }));
            if !input_files.is_empty() {
                body["referenceImages"] = references.collect();
            }
            "/v1/text_to_image"
        }
        MediaKind::Video if input_files.is_empty() => "/v1/text_to_video",
        MediaKind::Video => {
            body["promptImage"] = first.chain(last).collect();
            "/v1/image_to_video"
        }
    };
    let optional = options(request, veo)?;
    let duration = duration_ms.map(|millis| json!(millis / 1000));
    let sound = audio.filter(|_| veo).map(Value::from);
    for (name, value) in [("duration", duration), ("audio", sound)].into_iter().chain(optional) {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    Ok((path, body))
}

fn options(request: &Request, veo: bool) -> Result<[(&'static str, Option<Value>); 3], Error> {
    let Options {
        seed,
        moderation,
        // It has no such things.
        enhance_prompt: _,
        output_quality: _,
        guidance_scale: _,
        num_inference_steps: _,
        raw: _,
        image_prompt_strength: _,
        negative_prompt,
        watermark: _,
        camera_fixed: _,
        background: _,
    } = Options::of(request)?;
    let threshold = |strict: bool| if strict { "auto" } else { "low" };
    let moderation = moderation.filter(|_| !veo).map(|strict| {
        Value::Object(Map::from_iter([(
            "publicFigureThreshold".to_owned(),
            json!(threshold(strict)),
        )]))
    });
    Ok([
        ("seed", seed.filter(|_| !veo).map(Value::from)),
        ("contentModeration", moderation),
        ("negativePrompt", negative_prompt.filter(|_| veo).map(Value::from)),
    ])
}
