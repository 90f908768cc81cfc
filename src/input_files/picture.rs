//! What a file is, by its content: nobody has to tell the truth in a header or a name.

use std::fmt;
use std::io::Cursor;

use image::{ImageDecoder, ImageFormat, ImageReader, Limits};

use super::Fault;

/// Most memory for what stands beside the pixels, such as a compressed colour profile.
const EXTRAS_MAX: u64 = 64 * 1024 * 1024;

/// How long the sides of a picture may be, in pixels, both inclusive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides {
    pub(super) min: u32,
    pub(super) max: u32,
}

/// Which side of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Width,
    Height,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Width => "width",
            Self::Height => "height",
        })
    }
}

/// Reads format and size. Answers the bytes of memory that [`decode`] will take.
///
/// The size comes before the rest is decoded, so a few bytes that claim to be a huge picture
/// cost nothing.
pub(super) fn read_header(bytes: &[u8], sides: Sides) -> Result<u64, Fault> {
    let format = format(bytes)?;
    let decoder = decoder(bytes, format)?;
    let (width, height) = decoder.dimensions();
    for (side, pixels) in [(Side::Width, width), (Side::Height, height)] {
        if pixels > sides.max {
            return Err(Fault::TooLarge { side, pixels, max: sides.max });
        }
        if pixels < sides.min {
            return Err(Fault::TooSmall { side, pixels, min: sides.min });
        }
    }
    let pixels = decoder.total_bytes().saturating_mul(copies(format));
    // Some decoders make a copy of the file.
    Ok(pixels.saturating_add(bytes.len() as u64))
}

/// Decodes all of it: a head that looks well says nothing about what follows.
pub(super) fn decode(bytes: &[u8]) -> Result<(), Fault> {
    let format = format(bytes)?;
    // The decoder paints grey what is missing.
    if format == ImageFormat::Jpeg && !jpeg_ends(bytes) {
        return Err(Fault::Undecodable);
    }
    let decoder = decoder(bytes, format)?;
    let size = usize::try_from(decoder.total_bytes()).map_err(|_| Fault::Memory)?;
    decoder.read_image(&mut vec![0; size]).map_err(|_| Fault::Undecodable)
}

fn format(bytes: &[u8]) -> Result<ImageFormat, Fault> {
    use ImageFormat::{Jpeg, Png, WebP};
    let known = image::guess_format(bytes).ok();
    known.filter(|format| matches!(format, Jpeg | Png | WebP)).ok_or(Fault::Format)
}

fn decoder(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder + '_, Fault> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(EXTRAS_MAX);
    reader.limits(limits);
    reader.into_decoder().map_err(|_| Fault::Undecodable)
}

/// How many times the size of the decoded pixels a decoder takes, the pixels included. PNG is
/// decoded line by line; a progressive JPEG keeps 16 bits for each sample until its last scan;
/// a WebP without loss is made as four channels and then copied.
fn copies(format: ImageFormat) -> u64 {
    match format {
        ImageFormat::Png => 1,
        _ => 3,
    }
}

/// Whether a JPEG is there to its end: its segments are walked through to the end marker, so
/// that the end of a thumbnail inside of one does not count.
fn jpeg_ends(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    let mut at = 2;
    loop {
        // Between segments, and in a scan, everything up to the next marker is skipped: a zero
        // or a restart after 0xff belongs to the scan.
        let marker = loop {
            match bytes.get(at..at + 2) {
                Some([0xff, 0x00 | 0xd0..=0xd7]) => at += 2,
                Some([0xff, 0xff]) | Some([0x00..=0xfe, _]) => at += 1,
                Some([0xff, marker]) => break *marker,
                _ => return false,
            }
        };
        at += 2;
        match marker {
            END => return true,
            // Markers without a length.
            0x01 | 0xd8 => {}
            _ => match bytes.get(at..at + 2) {
                Some([high, low]) => at += usize::from(u16::from_be_bytes([*high, *low])),
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests;
