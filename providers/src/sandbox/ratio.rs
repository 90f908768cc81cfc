//! Aspect ratios, and the sizes in pixels that keep them.

use crate::Error;

/// The longer side of a picture, in pixels, at most: enough to look at, quick to draw.
const PICTURE_SIDE: u32 = 768;
/// No side may be more than this many times the other: the prompt has to fit in.
const STRETCH_MAX: u32 = 8;

/// A ratio in the terms it was asked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ratio {
    width: u32,
    height: u32,
}

impl Ratio {
    /// Reads a text such as `16:9`.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let sides = text.split_once(':').and_then(|(width, height)| {
            Some((width.parse::<u16>().ok()?, height.parse::<u16>().ok()?))
        });
        sides
            .and_then(|(width, height)| Self::of(width.into(), height.into()))
            .ok_or_else(|| Error::Rejected(format!("the ratio {text:?} is not acceptable")))
    }

    /// A ratio of two sides, unless it is too long or no ratio at all.
    fn of(width: u32, height: u32) -> Option<Self> {
        let acceptable = width.min(height) > 0
            && width <= STRETCH_MAX.saturating_mul(height)
            && height <= STRETCH_MAX.saturating_mul(width);
        acceptable.then_some(Self { width, height })
    }

    /// The same in its lowest terms.
    fn lowest(self) -> Self {
        let divisor = greatest_common_divisor(self.width, self.height);
        Self { width: self.width / divisor, height: self.height / divisor }
    }

    /// Width and height of a picture: the ratio exactly, wherever its terms are small enough.
    pub(super) fn picture_size(self) -> (u32, u32) {
        let Self { width, height } = self.lowest();
        let longer = width.max(height);
        match PICTURE_SIDE / longer {
            0 => (PICTURE_SIDE * width / longer, PICTURE_SIDE * height / longer),
            times => (times * width, times * height),
        }
    }

    /// Width and height of a film of about this short side; even, as the encoder needs them.
    pub(super) fn film_size(self, short_side: u32) -> (u32, u32) {
        let Self { width, height } = self.lowest();
        let shorter = width.min(height);
        // Odd terms need an even multiple.
        let step = if width.is_multiple_of(2) && height.is_multiple_of(2) { 1 } else { 2 };
        match short_side / shorter / step * step {
            0 => {
                let even = |side: u32| (short_side * side / shorter / 2 * 2).max(16);
                (even(width), even(height))
            }
            times => (times * width, times * height),
        }
    }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.width, self.height)
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATIOS: [(&str, u32, u32); 9] = [
        ("1:1", 1, 1),
        ("16:9", 16, 9),
        ("9:16", 9, 16),
        ("4:3", 4, 3),
        ("3:4", 3, 4),
        ("3:2", 3, 2),
        ("2:3", 2, 3),
        ("21:9", 21, 9),
        ("4:5", 4, 5),
    ];

    #[test]
    fn pictures_keep_the_ratio_exactly() {
        for (text, w, h) in RATIOS {
            let (width, height) = Ratio::parse(text).unwrap().picture_size();
            assert_eq!(width * h, height * w, "{text}");
            assert!((700..=768).contains(&width.max(height)), "{text}: {width}x{height}");
        }
    }

    #[test]
    fn films_keep_the_ratio_exactly_with_even_sides() {
        for (text, w, h) in RATIOS {
            for short_side in [180, 240, 320] {
                let (width, height) = Ratio::parse(text).unwrap().film_size(short_side);
                assert_eq!(width * h, height * w, "{text}");
                assert_eq!((width % 2, height % 2), (0, 0), "{text}");
                assert!((160..=320).contains(&width.min(height)), "{text}: {width}x{height}");
            }
        }
    }

    #[test]
    fn large_terms_are_kept_as_near_as_integers_allow() {
        let ratio = Ratio::parse("1000:999").unwrap();
        assert_eq!(ratio.picture_size(), (768, 767));
        assert_eq!(ratio.film_size(240), (240, 240));
    }

    #[test]
    fn what_is_no_ratio_is_rejected() {
        for text in ["", "1", "0:1", "1:0", "0:0", "9:1", "1:9", "-1:1", "a:b", "1:1:1", "70000:1"]
        {
            assert!(matches!(Ratio::parse(text), Err(Error::Rejected(_))), "{text}");
        }
    }
}
