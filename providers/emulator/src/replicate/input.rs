//! What the models on Replicate take.

use providers::{MediaKind, OutputFormat};
use serde_json::{Map, Value};

use super::problem_field;
use crate::input::{self, given, text, whole};
use crate::media::Sketch;

/// What to draw, or what is wrong with the input.
pub(super) fn sketch(
    model: &str,
    kind: MediaKind,
    fields: &Map<String, Value>,
) -> Result<Sketch, Vec<Value>> {
    let mut wrong = Vec::new();
    if text(fields, "prompt").is_none() {
        wrong.push(problem_field("input", "required", "prompt is required"));
    }
    let mut check = |name: &str, allowed: std::ops::RangeInclusive<i64>| {
        let Some(value) = given(fields, name) else { return };
        let field = format!("input.{name}");
        match value.as_i64() {
            None => wrong.push(problem_field(&field, "invalid_type", "Must be an integer")),
            Some(value) if value > *allowed.end() => {
                let text = format!("Must be less than or equal to {}", allowed.end());
                wrong.push(problem_field(&field, "number_lte", &text));
            }
            Some(value) if value < *allowed.start() => {
                let text = format!("Must be greater than or equal to {}", allowed.start());
                wrong.push(problem_field(&field, "number_gte", &text));
            }
            Some(_) => {}
        }
    };
    check("num_outputs", 1..=4);
    check("max_images", 1..=15);
    check("duration", 1..=15);
    let shape = text(fields, "aspect_ratio").unwrap_or(match kind {
        MediaKind::Image => "1:1",
        MediaKind::Video => "16:9",
    });
    let ratio = match shape {
        "match_input_image" | "custom" | "adaptive" => (1, 1),
        shape => input::ratio(shape).unwrap_or_else(|| {
            wrong.push(problem_field("input.aspect_ratio", "enum", "Must be one of the ratios"));
            (1, 1)
        }),
    };
    let format = match (kind, text(fields, "output_format")) {
        (MediaKind::Video, _) => OutputFormat::Mp4,
        (MediaKind::Image, None) => default_format(model),
        (MediaKind::Image, Some(name)) => input::picture_format(name).unwrap_or_else(|| {
            wrong.push(problem_field("input.output_format", "enum", "Must be webp, jpg or png"));
            OutputFormat::Webp
        }),
    };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let several = if model.contains("seedream") { "max_images" } else { "num_outputs" };
    Ok(Sketch {
        prompt: text(fields, "prompt").unwrap_or_default().to_owned(),
        seed: whole(fields, "seed").unwrap_or(0),
        size: size(model, kind, ratio, fields),
        format,
        count: whole(fields, several).and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        seconds: (kind == MediaKind::Video).then(|| whole(fields, "duration").unwrap_or(5) as f32),
    })
}

fn default_format(model: &str) -> OutputFormat {
    match model {
        "google/nano-banana" | "bytedance/seedream-4" => OutputFormat::Jpg,
        _ => OutputFormat::Webp,
    }
}

fn size(
    model: &str,
    kind: MediaKind,
    ratio: (u32, u32),
    fields: &Map<String, Value>,
) -> (u32, u32) {
    if let (Some(width), Some(height)) = (whole(fields, "width"), whole(fields, "height"))
        && let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height))
    {
        return (width, height);
    }
    if kind == MediaKind::Video {
        let usual = if model.contains("seedance") { "1080p" } else { "720p" };
        let tier = text(fields, "resolution").unwrap_or(usual);
        return input::size_of_tier(ratio, tier).unwrap_or((1280, 720));
    }
    let megapixel = 1024.0 * 1024.0;
    let pixels = match (text(fields, "megapixels"), text(fields, "size")) {
        (Some("0.25"), _) => megapixel / 4.0,
        (_, Some("2K")) => 4.0 * megapixel,
        (_, Some("4K")) => 16.0 * megapixel,
        (_, None) if model.contains("seedream") => 4.0 * megapixel,
        _ => megapixel,
    };
    input::size_of_area(ratio, pixels)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_wrong_field_of_an_input_is_named() {
        let input = json!({ "num_outputs": 5, "aspect_ratio": "wide", "output_format": "gif" });
        let fields = input.as_object().unwrap();
        let wrong = sketch("black-forest-labs/flux-schnell", MediaKind::Image, fields).unwrap_err();
        let names: Vec<_> = wrong.iter().map(|field| field["field"].as_str().unwrap()).collect();
        let expected = ["input", "input.num_outputs", "input.aspect_ratio", "input.output_format"];
        assert_eq!(names, expected);
    }

    #[test]
    fn sizes_and_counts_follow_the_model() {
        let of = |model: &str, kind, input: Value| sketch(model, kind, input.as_object().unwrap());
        let flux = json!({ "prompt": "a", "aspect_ratio": "16:9", "megapixels": "0.25" });
        let flux = of("black-forest-labs/flux-schnell", MediaKind::Image, flux).unwrap();
        assert_eq!((flux.size, flux.count), ((688, 384), 1));
        let film = json!({ "prompt": "a", "resolution": "480p", "duration": 2 });
        let film = of("bytedance/seedance-1-pro", MediaKind::Video, film).unwrap();
        assert_eq!((film.size, film.seconds), ((852, 480), Some(2.0)));
    }
}
