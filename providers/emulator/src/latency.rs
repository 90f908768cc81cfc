//! How long jobs take (`spec/providers.md`, section 10) and how many a provider takes (section 9).

use crate::media::Sketch;
use crate::settings::Provider;

/// How far run times of pictures and of films spread.
pub(crate) const SIGMA_IMAGE: f64 = 0.35;
pub(crate) const SIGMA_VIDEO: f64 = 0.25;
/// The median time in the queue, in seconds, when nobody else is there.
pub(crate) const QUEUE_SECONDS: f64 = 0.2;
/// The median times of answers to a submit and to everything else, in seconds.
pub(crate) const SUBMIT_SECONDS: f64 = 0.18;
pub(crate) const READ_SECONDS: f64 = 0.09;

/// Median run times in seconds by the beginning of the model's name, the most special first. A
/// film's is for the length that stands beside it.
type Row = (Provider, &'static str, f64, Option<f64>);
const TYPICAL: [Row; 41] = [
    (Provider::Replicate, "black-forest-labs/flux-schnell", 1.4, None),
    (Provider::Replicate, "black-forest-labs", 4.0, None),
    (Provider::Replicate, "google/nano-banana", 10.5, None),
    (Provider::Replicate, "bytedance/seedream", 14.4, None),
    (Provider::Replicate, "qwen/qwen-image", 3.5, None),
    (Provider::Replicate, "openai/gpt-image", 29.0, None),
    (Provider::Replicate, "bytedance/seedance-1-lite", 38.0, Some(5.0)),
    (Provider::Replicate, "bytedance/seedance", 47.0, Some(5.0)),
    (Provider::Replicate, "google/veo", 62.0, Some(8.0)),
    (Provider::Fal, "fal-ai/flux/schnell", 0.9, None),
    (Provider::Fal, "fal-ai/flux", 4.0, None),
    (Provider::Fal, "fal-ai/nano-banana", 10.0, None),
    (Provider::Fal, "fal-ai/bytedance/seedream", 13.0, None),
    (Provider::Fal, "fal-ai/bytedance/seedance", 50.0, Some(5.0)),
    (Provider::Fal, "fal-ai/wan", 100.0, Some(5.0)),
    (Provider::Fal, "fal-ai/veo", 62.0, Some(8.0)),
    (Provider::Fal, "fal-ai/gpt-image", 25.0, None),
    (Provider::Bfl, "flux-2-klein", 0.8, None),
    (Provider::Bfl, "flux-2-max", 12.0, None),
    (Provider::Bfl, "flux-2-flex", 28.0, None),
    (Provider::Bfl, "flux", 7.0, None),
    (Provider::OpenAi, "sora-2-pro", 90.0, Some(4.0)),
    (Provider::OpenAi, "sora", 45.0, Some(4.0)),
    (Provider::OpenAi, "", 28.0, None),
    (Provider::Cloudflare, "@cf/black-forest-labs/flux-1-schnell", 1.8, None),
    (Provider::Cloudflare, "@cf/stabilityai", 5.5, None),
    (Provider::Cloudflare, "", 8.0, None),
    (Provider::BytePlus, "seedream", 13.0, None),
    (Provider::BytePlus, "seedance-1-0-lite", 60.0, Some(10.0)),
    (Provider::BytePlus, "seedance", 85.0, Some(10.0)),
    (Provider::BytePlus, "dreamina-seedance", 108.0, Some(4.0)),
    (Provider::AlibabaCloud, "qwen-image", 16.5, None),
    (Provider::AlibabaCloud, "wan2.5-i2i", 42.0, None),
    (Provider::AlibabaCloud, "wan2.5-t2i", 9.0, None),
    (Provider::AlibabaCloud, "wan2.6-t2i", 9.0, None),
    (Provider::AlibabaCloud, "wanx", 31.0, None),
    (Provider::AlibabaCloud, "wan", 120.0, Some(5.0)),
    (Provider::Runway, "gen4_image", 41.0, None),
    (Provider::Runway, "gemini", 11.0, None),
    (Provider::Runway, "veo", 60.0, Some(8.0)),
    (Provider::Runway, "gen4", 64.0, Some(5.0)),
];

/// What a picture and a film take that nobody has measured.
const OTHERWISE: (f64, f64) = (10.0, 60.0);

/// The median run time of a job, in seconds.
pub(crate) fn typical(provider: Provider, model: &str, sketch: &Sketch) -> f64 {
    let known = TYPICAL
        .iter()
        .find(|(of, start, _, _)| *of == provider && model.starts_with(start))
        .map(|(_, _, seconds, length)| (*seconds, *length));
    match (known, sketch.seconds) {
        (Some((seconds, Some(length))), Some(asked)) => seconds * f64::from(asked) / length,
        (Some((seconds, _)), None) => seconds,
        (Some((_, None)) | None, Some(_)) => OTHERWISE.1,
        (None, None) => OTHERWISE.0,
    }
}

/// What a grown-up account may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Submits per minute and key.
    pub(crate) per_minute: u32,
    /// Jobs at once per key.
    pub(crate) concurrency: Option<usize>,
}

/// The usual limits of a provider.
pub(crate) fn usual(provider: Provider) -> Limits {
    let (per_minute, concurrency) = match provider {
        Provider::Replicate => (600, None),
        Provider::Fal => (60_000, Some(40)),
        Provider::Bfl => (60_000, Some(24)),
        Provider::OpenAi => (250, None),
        Provider::Cloudflare => (720, None),
        Provider::BytePlus => (500, Some(10)),
        Provider::AlibabaCloud => (300, Some(5)),
        Provider::Runway => (60_000, Some(20)),
    };
    Limits { per_minute, concurrency }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_films_take_longer_and_the_most_special_name_wins() {
        let film = |seconds| Sketch { seconds: Some(seconds), ..Sketch::default() };
        let of = |seconds| typical(Provider::Runway, "gen4_turbo", &film(seconds));
        assert_eq!((of(5.0), of(10.0)), (64.0, 128.0));
        let picture = Sketch::default();
        assert_eq!(typical(Provider::Runway, "gen4_image", &picture), 41.0);
        assert_eq!(typical(Provider::Fal, "fal-ai/flux/schnell", &picture), 0.9);
        assert_eq!(typical(Provider::Fal, "fal-ai/flux/dev", &picture), 4.0);
        assert_eq!(typical(Provider::Bfl, "unheard-of", &picture), OTHERWISE.0);
    }
}
