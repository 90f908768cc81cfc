//! How much work a request is, so that times of different requests can be compared.

use providers::MediaKind;

use crate::input::Input;

/// Thousandths of a unit of work: of a picture of one megapixel, or of a second of video in 720p,
/// for each output. At least 1.
pub fn work_milli(media: MediaKind, input: &Input) -> u32 {
    let seconds = match media {
        MediaKind::Image => 1.0,
        MediaKind::Video => input.duration_ms.unwrap_or(1000) as f64 / 1000.0,
    };
    let size = input.resolution.as_deref().map_or(1.0, |tier| size_of(media, tier));
    let work = 1000.0 * f64::from(input.count.max(1)) * seconds * size;
    // Saturates: more than four million units is as good as infinite.
    (work.round() as u32).max(1)
}

/// Pixels of a tier over those of the usual one. A tier of another form is as large as usual.
fn size_of(media: MediaKind, tier: &str) -> f64 {
    let number = |suffix: &str| tier.strip_suffix(suffix).and_then(|it| it.parse::<f64>().ok());
    let lines = number("p").or_else(|| number("k").map(|thousands| thousands * 540.0));
    match (media, number("MP"), number("K"), lines) {
        (MediaKind::Image, Some(megapixels), ..) => megapixels,
        (MediaKind::Image, _, Some(thousands), _) => thousands * thousands,
        (MediaKind::Image, ..) => tier.parse().map_or(1.0, |side: f64| (side / 1024.0).powi(2)),
        (MediaKind::Video, .., Some(lines)) => (lines / 720.0).powi(2),
        (MediaKind::Video, ..) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(media: MediaKind, count: u32, duration_ms: Option<u64>, tier: Option<&str>) -> u32 {
        let order = [providers::name::ProviderName::Fal];
        let new =
            crate::fakes::new_generation(uuid::Uuid::nil(), &order, chrono::DateTime::UNIX_EPOCH);
        let resolution = tier.map(str::to_owned);
        work_milli(media, &Input { count, duration_ms, resolution, ..new.input })
    }

    #[test]
    fn work_grows_with_outputs_seconds_and_pixels() {
        use MediaKind::{Image, Video};
        for (media, count, duration, tier, expected) in [
            (Image, 1, None, None, 1_000),
            (Image, 3, None, None, 3_000),
            (Image, 1, None, Some("4MP"), 4_000),
            (Image, 2, None, Some("2K"), 8_000),
            (Image, 1, None, Some("512"), 250),
            (Image, 1, None, Some("huge"), 1_000),
            (Video, 1, Some(5_000), Some("720p"), 5_000),
            (Video, 1, Some(5_000), Some("1080p"), 11_250),
            (Video, 1, Some(1_000), Some("480p"), 444),
            (Video, 1, Some(1_000), Some("4k"), 9_000),
            (Video, 2, Some(10_000), None, 20_000),
            (Image, u32::MAX, None, Some("4K"), u32::MAX),
        ] {
            assert_eq!(work(media, count, duration, tier), expected, "{tier:?} {duration:?}");
        }
    }
}
