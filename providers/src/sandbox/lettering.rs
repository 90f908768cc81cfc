//! Words on a picture: the prompt as large as it fits, a line about the job below.
//!
//! There is no shaping: characters stand side by side in the order of the text, and those
//! that the font lacks are drawn as its box.

use std::sync::LazyLock;

use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont as _, point};
use image::RgbImage;

/// DejaVu Sans Bold: covers Latin, Greek, Cyrillic and many symbols, under a free license.
static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(dejavu::sans::bold()).expect("the embedded font is a font")
});

/// The prompt's letters, largest first, as parts of the shorter side.
const SIZES: [f32; 9] = [0.135, 0.12, 0.105, 0.092, 0.08, 0.07, 0.062, 0.055, 0.048];
/// Letters smaller than this many pixels cannot be read.
const SIZE_MIN: f32 = 9.0;
/// The footer's letters, as a part of the shorter side.
const FOOTER: f32 = 0.034;
const MARGIN: f32 = 0.08;
const LINE_HEIGHT: f32 = 1.22;
/// How much of what is behind a letter its shadow takes away.
const SHADOW: f32 = 0.5;
const FOOTER_INK: f32 = 0.75;

/// Letters for a canvas of one size, drawn once and laid over any number of frames.
pub(super) struct Lettering {
    width: u32,
    height: u32,
    /// How much each pixel is darkened, then how much it is whitened, of 255.
    ink: Vec<[u8; 2]>,
}

impl Lettering {
    /// Sets the prompt in the middle, and a line with a text at either end at the bottom.
    pub(super) fn set(size: (u32, u32), prompt: &str, footer: (&str, &str)) -> Self {
        let (width, height) = size;
        let blank = vec![[0; 2]; width as usize * height as usize];
        let mut lettering = Self { width, height, ink: blank };
        let short = width.min(height) as f32;
        let margin = short * MARGIN;
        let room = width as f32 - 2.0 * margin;

        let footer_size = (short * FOOTER).max(SIZE_MIN);
        let baseline = height as f32 - margin * 0.75;
        let rule = baseline - footer_size * 1.7;
        lettering.rule(margin, rule, room);
        let (left, right) = footer;
        let right_start = width as f32 - margin - text_width(right, footer_size);
        lettering.line(right, right_start, baseline, footer_size, FOOTER_INK);
        if margin + text_width(left, footer_size) + footer_size < right_start {
            lettering.line(left, margin, baseline, footer_size, FOOTER_INK);
        }

        let tall = rule - 2.0 * margin;
        let (size, lines) = arrange(prompt, short, room, tall);
        let pitch = size * LINE_HEIGHT;
        let top = margin + (tall - pitch * lines.len() as f32) / 2.0;
        for (i, line) in lines.iter().enumerate() {
            let baseline = top + pitch * (i as f32 + 0.8);
            lettering.line(line, margin, baseline, size, 1.0);
        }
        lettering
    }

    /// Lays the letters over a canvas of the size they were set for.
    pub(super) fn print(&self, canvas: &mut RgbImage) {
        for (pixel, [shade, light]) in canvas.chunks_exact_mut(3).zip(&self.ink) {
            if (*shade, *light) == (0, 0) {
                continue;
            }
            let (shade, light) = (u32::from(*shade), u32::from(*light));
            for value in pixel {
                let darkened = u32::from(*value) * (255 - shade) / 255;
                *value = (darkened + (255 - darkened) * light / 255) as u8;
            }
        }
    }

    fn rule(&mut self, x: f32, y: f32, length: f32) {
        for step in 0..length as i32 {
            self.add(x as i32 + step, y as i32, 1, 0.35);
        }
    }

    fn line(&mut self, text: &str, x: f32, baseline: f32, size: f32, strength: f32) {
        let drop = (size / 30.0).max(1.0).round();
        let font = FONT.as_scaled(PxScale::from(size));
        let mut pen = x;
        for c in text.chars() {
            let id = font.glyph_id(c);
            let glyph = id.with_scale_and_position(size, point(pen, baseline));
            pen += font.h_advance(id);
            let Some(outline) = FONT.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            let (left, top) = (corner.x as i32, corner.y as i32);
            outline.draw(|dx, dy, cover| {
                let (x, y) = (left + dx as i32, top + dy as i32);
                self.add(x + drop as i32, y + drop as i32, 0, cover * SHADOW * strength);
                self.add(x, y, 1, cover * strength);
            });
        }
    }

    /// Adds ink to a pixel, unless it lies outside: an overhanging letter is cut off.
    fn add(&mut self, x: i32, y: i32, layer: usize, cover: f32) {
        let inside = (0..self.width as i32).contains(&x) && (0..self.height as i32).contains(&y);
        if inside {
            let ink = &mut self.ink[(y as u32 * self.width + x as u32) as usize][layer];
            *ink = ink.saturating_add((cover * 255.0) as u8);
        }
    }
}

/// The largest size at which a text fits, and its lines at that size.
fn arrange(text: &str, short: f32, room: f32, tall: f32) -> (f32, Vec<String>) {
    let lines_max = |size: f32| (tall / (size * LINE_HEIGHT)).max(1.0) as usize;
    let mut smallest = SIZE_MIN;
    for size in SIZES.map(|part| (part * short).max(SIZE_MIN)) {
        let unbroken = text.split_whitespace().all(|word| text_width(word, size) <= room);
        if unbroken {
            let lines = wrap(text, size, room);
            if lines.len() <= lines_max(size) {
                return (size, lines);
            }
        }
        smallest = size;
    }
    let mut lines = wrap(text, smallest, room);
    if lines.len() > lines_max(smallest) {
        lines.truncate(lines_max(smallest));
        if let Some(last) = lines.last_mut() {
            while text_width(last, smallest) + text_width("…", smallest) > room {
                last.pop();
            }
            last.push('…');
        }
    }
    (smallest, lines)
}

/// Breaks a text between words, and inside those that are longer than a line.
fn wrap(text: &str, size: f32, room: f32) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let start = line.len();
        if start > 0 {
            line.push(' ');
        }
        line.push_str(word);
        if text_width(&line, size) <= room {
            continue;
        }
        line.truncate(start);
        if start > 0 {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            line.push(c);
            if text_width(&line, size) > room && line.chars().nth(1).is_some() {
                line.pop();
                lines.push(std::mem::take(&mut line));
                line.push(c);
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn text_width(text: &str, size: f32) -> f32 {
    let font = FONT.as_scaled(PxScale::from(size));
    text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_never_wider_than_the_room() {
        let text = "a lighthouse made of folded paper, Donaudampfschifffahrtsgesellschaftskapitän";
        for size in [12.0, 30.0, 80.0] {
            let lines = wrap(text, size, 300.0);
            assert!(lines.iter().all(|line| text_width(line, size) <= 300.0), "{lines:?}");
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
    }

    #[test]
    fn a_short_text_is_large_and_a_long_one_is_cut() {
        let (large, lines) = arrange("fox", 768.0, 600.0, 500.0);
        assert_eq!((large, lines), (SIZES[0] * 768.0, vec!["fox".to_owned()]));
        let (small, lines) = arrange(&"word ".repeat(400), 300.0, 250.0, 100.0);
        assert!(small < large);
        assert!(lines.last().unwrap().ends_with('…'));
    }

    #[test]
    fn characters_outside_the_font_leave_ink_too() {
        for text in ["a fox", "狐", "лиса", "🦊"] {
            let lettering = Lettering::set((128, 128), text, ("", ""));
            assert!(lettering.ink.iter().any(|[_, light]| *light > 200), "{text}");
        }
    }
}
