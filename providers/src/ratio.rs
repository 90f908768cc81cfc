//! From canonical ratios to what providers want: their own names of shapes, or pixels.

use crate::Error;

/// A ratio of width to height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ratio {
    width: u32,
    height: u32,
}

impl Ratio {
    /// Reads a text such as `16:9`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let sides = text.split_once(':').and_then(|(width, height)| {
            Some((width.parse::<u16>().ok()?, height.parse::<u16>().ok()?))
        });
        match sides {
            Some((width, height)) if width > 0 && height > 0 => {
                Ok(Self { width: width.into(), height: height.into() })
            }
            _ => Err(Error::Rejected(format!("The ratio {text:?} is not readable."))),
        }
    }

    /// Width and height that have about this ratio and about so many pixels, each a multiple of
    /// `step`, and none longer than `longest`.
    pub(crate) fn size(self, pixels: u64, step: u32, longest: u32) -> (u32, u32) {
        let (w, h) = (f64::from(self.width), f64::from(self.height));
        let scale = (pixels as f64 / (w * h)).sqrt();
        let scale = scale.min(f64::from(longest) / w.max(h));
        let side = |side: f64| {
            let steps = (side * scale / f64::from(step)).round().max(1.0);
            // Far below the range of the type: `longest` bounds it.
            steps as u32 * step
        };
        (side(w), side(h))
    }

    /// The largest width and height of this ratio within others.
    pub(crate) fn within(self, width: u32, height: u32) -> (u32, u32) {
        let (w, h) = (u64::from(self.width), u64::from(self.height));
        let narrowed = u64::from(height) * w / h;
        let lowered = u64::from(width) * h / w;
        if narrowed <= u64::from(width) {
            ((narrowed.max(1)) as u32, height)
        } else {
            (width, (lowered.max(1)) as u32)
        }
    }

    /// The size out of a list whose ratio is nearest to this one; `None` when even that one is
    /// more than a twelfth away, which would be another shape.
    pub(crate) fn nearest(self, sizes: &[(u32, u32)]) -> Option<(u32, u32)> {
        let wanted = f64::from(self.width) / f64::from(self.height);
        let away = |(width, height): (u32, u32)| {
            (f64::from(width) / f64::from(height) / wanted).ln().abs()
        };
        let nearest = sizes.iter().copied().min_by(|a, b| away(*a).total_cmp(&away(*b)))?;
        (away(nearest) < 1.0 / 12.0).then_some(nearest)
    }
}

/// The pixels of a resolution tier such as `2MP`, `2K` or `720p`; `None` for other words.
/// `2K` is 2048 by 2048, `720p` is 1280 by 720.
pub(crate) fn pixels(tier: &str) -> Option<u64> {
    let number = |suffix: &str| tier.strip_suffix(suffix)?.parse::<u64>().ok();
    if let Some(megapixels) = number("MP").filter(|megapixels| *megapixels <= 16) {
        return Some(megapixels << 20);
    }
    if let Some(side) = number("K").filter(|side| *side <= 8) {
        return Some((side << 10) * (side << 10));
    }
    number("p").filter(|lines| *lines <= 4320).map(|lines| lines * lines * 16 / 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(text: &str) -> Ratio {
        Ratio::parse(text).unwrap()
    }

    #[test]
    fn sizes_keep_to_steps_pixels_and_the_longest_side() {
        for (text, pixels, step, longest, size) in [
            ("1:1", 1 << 20, 16, 4096, (1024, 1024)),
            ("16:9", 1 << 20, 16, 4096, (1360, 768)),
            ("9:16", 1 << 20, 16, 4096, (768, 1360)),
            ("16:9", 1 << 20, 32, 1440, (1376, 768)),
            ("21:9", 1 << 20, 32, 1440, (1440, 608)),
            ("3:4", 4 << 20, 16, 4096, (1776, 2368)),
            ("1:8", 1 << 24, 16, 4096, (512, 4096)),
        ] {
            assert_eq!(ratio(text).size(pixels, step, longest), size, "{text}");
        }
    }

    #[test]
    fn a_list_of_sizes_offers_the_nearest_or_none() {
        let sizes = [(1328, 1328), (1664, 928), (928, 1664), (1472, 1140), (1140, 1472)];
        assert_eq!(ratio("16:9").nearest(&sizes), Some((1664, 928)));
        assert_eq!(ratio("4:3").nearest(&sizes), Some((1472, 1140)));
        assert_eq!(ratio("1:1").nearest(&sizes), Some((1328, 1328)));
        assert_eq!(ratio("21:9").nearest(&sizes), None);
        assert_eq!(ratio("1:1").nearest(&[]), None);
    }

    #[test]
    fn tiers_are_pixels() {
        assert_eq!(pixels("1MP"), Some(1_048_576));
        assert_eq!(pixels("2K"), Some(4_194_304));
        assert_eq!(pixels("720p"), Some(921_600));
        for other in ["", "MP", "512", "99999999999K", "-1p", "4k"] {
            assert_eq!(pixels(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_no_ratio_is_rejected() {
        for text in ["", "1", "0:1", "1:0", "-1:1", "a:b", "1:1:1", "70000:1"] {
            assert!(matches!(Ratio::parse(text), Err(Error::Rejected(_))), "{text}");
        }
    }
}
