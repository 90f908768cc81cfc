//! What the models on fal take.

use providers::{MediaKind, OutputFormat};
use serde_json::{Map, Value};

use crate::input::{self, given, text, whole};
use crate::media::Sketch;

const SIZES: [(&str, (u32, u32)); 8] = [
    ("square_hd", (1024, 1024)),
    ("square", (512, 512)),
    ("portrait_4_3", (768, 1024)),
    ("portrait_16_9", (576, 1024)),
    ("landscape_4_3", (1024, 768)),
    ("landscape_16_9", (1024, 576)),
    ("auto_2K", (2048, 2048)),
    ("auto_4K", (4096, 4096)),
];
const COUNT_MAX: i64 = 4;
const PIXELS: f64 = 1024.0 * 1024.0;

/// What to draw; where the input makes no sense, what would be drawn without it.
pub(super) fn sketch(model: &str, fields: &Map<String, Value>) -> Sketch {
    let kind = input::makes(model).unwrap_or(MediaKind::Image);
    let count = whole(fields, "num_images").unwrap_or(1).clamp(1, COUNT_MAX);
    Sketch {
        prompt: text(fields, "prompt").unwrap_or_default().to_owned(),
        seed: whole(fields, "seed").unwrap_or(0),
        size: size(model, kind, fields),
        format: format(model, kind, fields),
        count: if kind == MediaKind::Video { 1 } else { count as u32 },
        seconds: (kind == MediaKind::Video)
            .then(|| whole(fields, "duration").unwrap_or(5).clamp(1, 20) as f32),
    }
}

fn format(model: &str, kind: MediaKind, fields: &Map<String, Value>) -> OutputFormat {
    let usual = if model.contains("flux") { OutputFormat::Jpg } else { OutputFormat::Png };
    match kind {
        MediaKind::Video => OutputFormat::Mp4,
        MediaKind::Image => {
            text(fields, "output_format").and_then(input::picture_format).unwrap_or(usual)
        }
    }
}

fn size(model: &str, kind: MediaKind, fields: &Map<String, Value>) -> (u32, u32) {
    let shape = text(fields, "aspect_ratio").and_then(input::ratio);
    if kind == MediaKind::Video {
        let usual = if model.contains("seedance") { "1080p" } else { "720p" };
        let tier = text(fields, "resolution").unwrap_or(usual);
        let size = input::size_of_tier(shape.unwrap_or((16, 9)), tier);
        return size.unwrap_or((1280, 720));
    }
    if let Some(ratio) = shape {
        return input::size_of_area(ratio, PIXELS);
    }
    match given(fields, "image_size") {
        Some(Value::Object(size)) => {
            let side = |name| u32::try_from(whole(size, name)?).ok();
            side("width").zip(side("height")).unwrap_or((1024, 1024))
        }
        Some(Value::String(name)) => named(name).unwrap_or((1024, 768)),
        Some(_) | None if model.contains("banana") || model.contains("kontext") => (1024, 1024),
        Some(_) | None if model.contains("seedream") => (2048, 2048),
        Some(_) | None => (1024, 768),
    }
}

fn named(name: &str) -> Option<(u32, u32)> {
    SIZES.iter().find(|(known, _)| *known == name).map(|(_, size)| *size)
}

/// What is wrong with an input, as the model says it.
pub(super) fn problems(model: &str, fields: &Value) -> Option<Vec<Value>> {
    let mut problems = Vec::new();
    let mut add = |field: &str, kind: &str, text: &str| {
        problems.push(super::error_at(&["body", field], text, kind));
    };
    let fields = fields.as_object()?;
    let is_upscaler = model.contains("upscale");
    if text(fields, "prompt").is_none() && !is_upscaler {
        add("prompt", "missing", "Field required");
    }
    match whole(fields, "num_images") {
        Some(count) if count > COUNT_MAX => {
            add("num_images", "less_than_equal", "Input should be less than or equal to 4");
        }
        Some(count) if count < 1 => {
            add("num_images", "greater_than_equal", "Input should be greater than or equal to 1");
        }
        Some(_) | None => {}
    }
    match given(fields, "image_size") {
        Some(Value::String(name)) if named(name).is_none() => {
            add("image_size", "one_of", "Input should be one of the named sizes");
        }
        _ => {}
    }
    if let Some(shape) = text(fields, "aspect_ratio")
        && input::ratio(shape).is_none()
        && shape != "auto"
    {
        add("aspect_ratio", "one_of", "Input should be one of the ratios");
    }
    if let Some(duration) = given(fields, "duration")
        && input::makes(model) == Some(MediaKind::Video)
        && !duration.is_string()
    {
        add("duration", "one_of", "Input should be a string");
    }
    (!problems.is_empty()).then_some(problems)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_size_of_a_picture_is_a_name_a_pair_or_a_ratio() {
        let of = |model: &str, input: Value| sketch(model, input.as_object().unwrap()).size;
        assert_eq!(of("fal-ai/flux/schnell", json!({})), (1024, 768));
        assert_eq!(of("fal-ai/flux/schnell", json!({ "image_size": "square" })), (512, 512));
        let pair = json!({ "image_size": { "width": 640, "height": 320 } });
        assert_eq!(of("fal-ai/flux/schnell", pair), (640, 320));
        let ratio = json!({ "aspect_ratio": "16:9" });
        assert_eq!(of("fal-ai/nano-banana", ratio), (1360, 768));
        let film = json!({ "aspect_ratio": "9:16", "resolution": "480p", "duration": "3" });
        assert_eq!(of("fal-ai/bytedance/seedance/v1/pro/text-to-video", film), (480, 852));
    }

    #[test]
    fn what_is_wrong_is_named_field_by_field() {
        let wrong = problems("fal-ai/veo3", &json!({ "num_images": 9, "duration": 5 })).unwrap();
        let fields: Vec<_> = wrong.iter().map(|one| one["loc"][1].as_str().unwrap()).collect();
        assert_eq!(fields, ["prompt", "num_images", "duration"]);
        assert_eq!(problems("fal-ai/flux/dev", &json!({ "prompt": "a" })), None);
    }
}
