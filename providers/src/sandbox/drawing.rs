//! Drawing for others: a picture or a film of an exact size.
//!
//! The sandbox itself draws in the ratio that was asked for and as small as it likes.

use bytes::Bytes;

use super::backdrop::Backdrop;
use super::film;
use super::lettering::Lettering;
use super::picture::{self, PictureFormat};
use crate::OutputFormat;

/// The longest side, in pixels: what the providers offer at most.
pub const SIDE_MAX: u32 = 4096;
/// The longest film, in seconds.
pub const SECONDS_MAX: f32 = 20.0;

/// How many pixels a film is encoded of, all its frames together: a second's work for a
/// processor. A large film has fewer frames.
const FILM_PIXELS: f32 = 8_000_000.0;

/// One file to draw.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// What is written in the middle.
    pub prompt: String,
    /// Changes the colors.
    pub seed: i64,
    /// Which of several files of one prompt it is; changes the colors too.
    pub index: u32,
    /// Width and height in pixels. Odd sides of a film are made even.
    pub size: (u32, u32),
    /// The container.
    pub format: OutputFormat,
    /// How long a film is.
    pub seconds: f32,
    /// What is written in the lower left corner.
    pub maker: String,
}

/// Why a drawing could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the file could not be drawn")]
pub struct CannotDraw(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Drawing {
    /// Draws it: the same bytes every time. Takes a processor for up to seconds, so call it
    /// where nothing waits.
    ///
    /// # Errors
    /// [`CannotDraw`] when the encoder fails.
    pub fn draw(&self) -> Result<Bytes, CannotDraw> {
        let clamped = |side: u32| side.clamp(16, SIDE_MAX);
        let size = (clamped(self.size.0), clamped(self.size.1));
        let backdrop = Backdrop::of(self.seed, &self.prompt, self.index);
        let picture = |format| {
            let place = format!("{} x {}", size.0, size.1);
            picture::paint(size, &backdrop, &self.prompt, (&self.maker, &place), format)
                .map_err(|error| CannotDraw(error.into()))
        };
        let bytes = match self.format {
            OutputFormat::Png => picture(PictureFormat::Png)?,
            OutputFormat::Jpg => picture(PictureFormat::Jpeg)?,
            OutputFormat::Webp => picture(PictureFormat::Webp)?,
            OutputFormat::Mp4 => self.film(size, &backdrop)?,
        };
        Ok(Bytes::from(bytes))
    }

    fn film(&self, size: (u32, u32), backdrop: &Backdrop) -> Result<Vec<u8>, CannotDraw> {
        let size = (size.0 / 2 * 2, size.1 / 2 * 2);
        let seconds = self.seconds.clamp(0.1, SECONDS_MAX);
        let place = format!("{} x {}  ·  {seconds:.1} s", size.0, size.1);
        let lettering = Lettering::set(size, &self.prompt, (&self.maker, &place));
        let affordable = FILM_PIXELS / (size.0 as f32 * size.1 as f32 * seconds);
        let frames_per_second = (affordable as u32).clamp(1, film::FRAMES_PER_SECOND);
        film::roll(size, seconds, frames_per_second, backdrop, &lettering)
            .map_err(|error| CannotDraw(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(size: (u32, u32), format: OutputFormat) -> Drawing {
        let (prompt, maker) = ("a fox".to_owned(), "somebody".to_owned());
        Drawing { prompt, seed: 1, index: 0, size, format, seconds: 0.5, maker }
    }

    #[test]
    fn pictures_have_exactly_the_size_that_was_asked_for() {
        for format in [OutputFormat::Png, OutputFormat::Jpg, OutputFormat::Webp] {
            let bytes = drawing((123, 77), format).draw().unwrap();
            let picture = image::load_from_memory(&bytes).unwrap();
            assert_eq!((picture.width(), picture.height()), (123, 77), "{format:?}");
        }
    }

    #[test]
    fn odd_sides_of_a_film_are_made_even() {
        let bytes = drawing((101, 65), OutputFormat::Mp4).draw().unwrap();
        assert_eq!(&bytes[4..8], b"ftyp");
        // The track's header ends with width and height as 16.16 fixed point.
        let at = bytes.windows(4).position(|name| name == b"tkhd").unwrap();
        let number = |from: usize| u16::from_be_bytes([bytes[from], bytes[from + 1]]);
        let end = at - 4 + u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
        assert_eq!((number(end - 8), number(end - 4)), (100, 64));
    }
}
