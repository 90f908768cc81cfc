//! From a request to a call of DashScope's. Sizes have an asterisk between their sides there.
//! What the newest models take is from memory: the spec's sources end before them.

use serde_json::{Map, Value, json};

use crate::options::{Enhance, Options};
use crate::ratio::{Ratio, pixels};
use crate::{Error, MediaKind, Request};

pub(super) const INLINE_PATH: &str = "/services/aigc/multimodal-generation/generation";

/// What Qwen-Image makes and nothing else.
const QWEN_SIZES: [(u32, u32); 5] =
    [(1328, 1328), (1664, 928), (928, 1664), (1472, 1140), (1140, 1472)];
/// What the other pictures have when no resolution is asked for: 1280 by 1280.
const PIXELS: u64 = 1280 * 1280;
const FILMS_480: [(u32, u32); 3] = [(832, 480), (480, 832), (624, 624)];
const FILMS_720: [(u32, u32); 5] = [(1280, 720), (720, 1280), (960, 960), (1088, 832), (832, 1088)];
const FILMS_1080: [(u32, u32); 5] =
    [(1920, 1080), (1080, 1920), (1440, 1440), (1632, 1248), (1248, 1632)];

/// Where a model is asked, and so how it delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Inline,
    Job(&'static str),
}

impl Route {
    pub(super) fn of(model: &str, media: MediaKind, with_files: bool) -> Self {
        let older = ["wan2.1", "wan2.2", "wan2.5", "wanx"];
        let is_older = older.iter().any(|start| model.starts_with(start));
        match media {
            MediaKind::Video => Self::Job("/services/aigc/video-generation/video-synthesis"),
            MediaKind::Image if is_older && (with_files && model.contains("i2i")) => {
                Self::Job("/services/aigc/image2image/image-synthesis")
            }
            MediaKind::Image if is_older => Self::Job("/services/aigc/text2image/image-synthesis"),
            MediaKind::Image => Self::Inline,
        }
    }
}

/// The body of a submit.
pub(super) fn of(request: &Request) -> Result<Value, Error> {
    let Request {
        // It has no place for an id of ours.
        correlation: _,
        submitted_at: _,
        model,
        media,
        // In `input` below, where the families differ.
        prompt: _,
        ratio: _,
        input_files: _,
        last_frame: _,
        resolution: _,
        // It makes what it makes; pictures are converted afterwards.
        format: _,
        count,
        duration_ms,
        audio,
        // Read below.
        options: _,
        // Each model has one way, and nobody is called back.
        delivery: _,
        callback: _,
    } = request;
    let options = Options::of(request)?;
    let (mut input, mut parameters) = match media {
        MediaKind::Image => (picture_input(request)?, picture_size(request)?),
        MediaKind::Video => (film_input(request)?, film_size(request)?),
    };
    let Options {
        seed,
        // It always judges as it likes.
        moderation: _,
        enhance_prompt,
        output_quality: _,
        guidance_scale: _,
        num_inference_steps: _,
        raw: _,
        image_prompt_strength: _,
        negative_prompt,
        watermark,
        camera_fixed: _,
        background: _,
    } = options;
    match (media, Route::of(model, *media, !request.input_files.is_empty())) {
        // Among the parameters there, beside the prompt here.
        (MediaKind::Image, Route::Inline) => {
            put(&mut parameters, "negative_prompt", negative_prompt.map(Value::from));
        }
        _ => put(&mut input, "negative_prompt", negative_prompt.map(Value::from)),
    }
    let extend = enhance_prompt.map(|enhance| json!(enhance != Enhance::Off));
    put(&mut parameters, "prompt_extend", extend);
    put(&mut parameters, "seed", seed.map(Value::from));
    // It is told, since what it does otherwise differs from model to model.
    put(&mut parameters, "watermark", Some(json!(watermark.unwrap_or(false))));
    match media {
        // It makes one, and knows no such parameter.
        MediaKind::Image if model.starts_with("z-image") => {}
        MediaKind::Image => put(&mut parameters, "n", Some(json!(count))),
        MediaKind::Video if *count != 1 => {
            return Err(Error::Rejected("The model makes one output at a time.".to_owned()));
        }
        MediaKind::Video => {
            put(&mut parameters, "duration", duration_ms.map(|millis| json!(millis / 1000)));
            put(&mut parameters, "audio", audio.map(Value::from));
        }
    }
    Ok(json!({ "model": model, "input": input, "parameters": parameters }))
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value);
    }
}

fn too_many_files() -> Error {
    Error::Rejected("The model cannot take all input files.".to_owned())
}

fn picture_input(request: &Request) -> Result<Map<String, Value>, Error> {
    let Request { model, prompt, input_files, last_frame, .. } = request;
    if last_frame.is_some() {
        return Err(too_many_files());
    }
    if Route::of(model, MediaKind::Image, !input_files.is_empty()) == Route::Inline {
        let pictures = input_files.iter().map(|url| json!({ "image": url.as_str() }));
        let content: Vec<Value> = pictures.chain([json!({ "text": prompt })]).collect();
        let messages = json!([{ "role": "user", "content": content }]);
        return Ok(Map::from_iter([("messages".to_owned(), messages)]));
    }
    let mut input = Map::from_iter([("prompt".to_owned(), json!(prompt))]);
    if !input_files.is_empty() {
        if !model.contains("i2i") {
            return Err(too_many_files());
        }
        let urls = input_files.iter().map(|url| Value::from(url.as_str()));
        input.insert("images".to_owned(), urls.collect());
    }
    Ok(input)
}

fn picture_size(request: &Request) -> Result<Map<String, Value>, Error> {
    let Request { model, ratio, resolution, .. } = request;
    let ratio = Ratio::parse(ratio)?;
    let (width, height) = match model.as_str() {
        "qwen-image" | "qwen-image-plus" | "qwen-image-max" => {
            ratio.nearest(&QWEN_SIZES).ok_or_else(no_ratio)?
        }
        _ => ratio.size(resolution.as_deref().and_then(pixels).unwrap_or(PIXELS), 16, 4096),
    };
    Ok(Map::from_iter([("size".to_owned(), json!(format!("{width}*{height}")))]))
}

fn no_ratio() -> Error {
    Error::Rejected("The model does not have this ratio.".to_owned())
}

/// Whether a film's model takes its pictures as a list of media, and a ratio instead of a size.
fn takes_media(model: &str) -> bool {
    model.starts_with("wan2.7") || model.starts_with("happyhorse")
}

fn film_input(request: &Request) -> Result<Map<String, Value>, Error> {
    let Request { model, prompt, input_files, last_frame, .. } = request;
    let mut input = Map::from_iter([("prompt".to_owned(), json!(prompt))]);
    let medium = |kind: &str, url: &url::Url| json!({ "type": kind, "url": url.as_str() });
    if takes_media(model) {
        let kind = if model.contains("r2v") { "reference_image" } else { "first_frame" };
        let pictures = input_files.iter().map(|url| medium(kind, url));
        let last = last_frame.iter().map(|url| medium("last_frame", url));
        let media: Vec<Value> = pictures.chain(last).collect();
        if !media.is_empty() {
            input.insert("media".to_owned(), json!(media));
        }
        return Ok(input);
    }
    match (input_files.as_slice(), last_frame) {
        ([], None) => {}
        ([one], None) => put(&mut input, "img_url", Some(json!(one.as_str()))),
        _ => return Err(too_many_files()),
    }
    Ok(input)
}

fn film_size(request: &Request) -> Result<Map<String, Value>, Error> {
    let Request { model, ratio, resolution, input_files, .. } = request;
    let tier = resolution.as_deref().unwrap_or("720p");
    let resolution = ("resolution".to_owned(), json!(tier.to_uppercase()));
    if takes_media(model) {
        return Ok(Map::from_iter([resolution, ("ratio".to_owned(), json!(ratio))]));
    }
    // With a picture the film has the picture's ratio.
    if !input_files.is_empty() {
        return Ok(Map::from_iter([resolution]));
    }
    let sizes: &[(u32, u32)] = match tier {
        "480p" => &FILMS_480,
        "1080p" => &FILMS_1080,
        _ => &FILMS_720,
    };
    let (width, height) = Ratio::parse(ratio)?.nearest(sizes).ok_or_else(no_ratio)?;
    Ok(Map::from_iter([("size".to_owned(), json!(format!("{width}*{height}")))]))
}
