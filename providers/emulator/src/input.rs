//! Reading what was asked for: fields of a JSON body, ratios, sizes, and what a model makes.

use providers::{MediaKind, OutputFormat};
use serde_json::{Map, Value};

/// A field that is a text and not empty.
pub(crate) fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// A field that is a whole number, also one in quotes, as some clients send it.
pub(crate) fn whole(fields: &Map<String, Value>, name: &str) -> Option<i64> {
    let value = fields.get(name)?;
    value.as_i64().or_else(|| value.as_str()?.trim_end_matches('s').parse().ok())
}

/// A field that is there and not null.
pub(crate) fn given<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// The terms of a ratio such as `16:9`.
pub(crate) fn ratio(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once(':')?;
    let terms = (width.parse().ok()?, height.parse().ok()?);
    (terms.0 > 0 && terms.1 > 0 && terms.0 <= 10_000 && terms.1 <= 10_000).then_some(terms)
}

/// Width and height such as `1024x768`.
pub(crate) fn size(text: &str, between: char) -> Option<(u32, u32)> {
    let (width, height) = text.split_once(between)?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

/// A size of about so many pixels, in multiples of 16.
pub(crate) fn size_of_area(ratio: (u32, u32), pixels: f64) -> (u32, u32) {
    let (width, height) = (f64::from(ratio.0), f64::from(ratio.1));
    let unit = (pixels / (width * height)).sqrt();
    let side = |terms: f64| ((terms * unit / 16.0).round() as u32 * 16).max(64);
    (side(width), side(height))
}

/// The size of a film whose shorter side is named by a tier such as `720p`; both sides even.
pub(crate) fn size_of_tier(ratio: (u32, u32), tier: &str) -> Option<(u32, u32)> {
    let short: u32 = tier.trim_end_matches(['p', 'P']).parse().ok().filter(|s| *s <= 2160)?;
    let longer = ratio.0.max(ratio.1);
    let shorter = ratio.0.min(ratio.1);
    let long = (short * longer / shorter).min(4096) / 2 * 2;
    let short = short / 2 * 2;
    Some(if ratio.0 >= ratio.1 { (long, short) } else { (short, long) })
}

/// A picture's format by the name that a provider gives it.
pub(crate) fn picture_format(name: &str) -> Option<OutputFormat> {
    match name {
        "png" => Some(OutputFormat::Png),
        "jpg" | "jpeg" => Some(OutputFormat::Jpg),
        "webp" => Some(OutputFormat::Webp),
        _ => None,
    }
}

/// Parts of the names of models that make films, and of those that make pictures.
const FILM_WORDS: [&str; 20] = [
    "seedance",
    "veo",
    "sora",
    "kling",
    "hailuo",
    "video",
    "-t2v",
    "-i2v",
    "-r2v",
    "-kf2v",
    "pixverse",
    "gen4_turbo",
    "gen4-turbo",
    "gen4.5",
    "gen-4.5",
    "gen3a",
    "ltx",
    "act_two",
    "/wan",
    "happyhorse",
];
const PICTURE_WORDS: [&str; 15] = [
    "flux",
    "banana",
    "seedream",
    "seededit",
    "image",
    "imagen",
    "t2i",
    "i2i",
    "ideogram",
    "recraft",
    "stable-diffusion",
    "sdxl",
    "lucid",
    "phoenix",
    "dreamshaper",
];

/// What a model makes, by its name; `None` when there is no such model.
pub(crate) fn makes(model: &str) -> Option<MediaKind> {
    let has = |words: &[&str]| words.iter().any(|word| model.contains(word));
    // A film word decides: there is `text-to-video` of models that make pictures too.
    if has(&FILM_WORDS) && !model.contains("-t2i") {
        return Some(MediaKind::Video);
    }
    has(&PICTURE_WORDS).then_some(MediaKind::Image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_ratio_and_fit_their_models() {
        assert_eq!(size_of_area((1, 1), 1_048_576.0), (1024, 1024));
        assert_eq!(size_of_area((16, 9), 1_048_576.0), (1360, 768));
        assert_eq!(size_of_tier((16, 9), "720p"), Some((1280, 720)));
        assert_eq!(size_of_tier((9, 16), "1080p"), Some((1080, 1920)));
        assert_eq!(size_of_tier((1, 1), "many"), None);
        assert_eq!(size("1280*720", '*'), Some((1280, 720)));
        assert_eq!((ratio("0:1"), ratio("16:9")), (None, Some((16, 9))));
    }

    #[test]
    fn a_models_name_says_what_it_makes() {
        for (model, kind) in [
            ("black-forest-labs/flux-schnell", Some(MediaKind::Image)),
            ("bytedance/seedance-1-pro", Some(MediaKind::Video)),
            ("fal-ai/wan-25-preview/text-to-video", Some(MediaKind::Video)),
            ("wan2.5-t2i-preview", Some(MediaKind::Image)),
            ("wan2.5-i2v-preview", Some(MediaKind::Video)),
            ("gen4_image", Some(MediaKind::Image)),
            ("somebody/unheard-of", None),
        ] {
            assert_eq!(makes(model), kind, "{model}");
        }
    }
}
