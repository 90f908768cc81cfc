//! Still pictures.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _, ImageError, RgbImage};

use super::backdrop::Backdrop;
use super::job::Artwork;
use super::lettering::Lettering;

/// Good enough for print at the size of a stamp, and half the size of the highest.
const JPEG_QUALITY: u8 = 85;

/// The containers of a picture.
#[derive(Debug, Clone, Copy)]
pub(super) enum PictureFormat {
    Png,
    Jpeg,
    Webp,
}

/// Draws one picture of an artwork and packs it.
pub(super) fn draw(
    artwork: &Artwork,
    index: u32,
    format: PictureFormat,
    maker: &str,
) -> Result<Vec<u8>, ImageError> {
    let size = artwork.ratio.picture_size();
    let place = format!("{}  ·  {} of {}", artwork.ratio, index + 1, artwork.count);
    let backdrop = Backdrop::of(artwork.seed, &artwork.prompt, index);
    paint(size, &backdrop, &artwork.prompt, (maker, &place), format)
}

/// Paints and packs a picture of this size, with a line of two texts at its lower edge.
pub(super) fn paint(
    size: (u32, u32),
    backdrop: &Backdrop,
    prompt: &str,
    footer: (&str, &str),
    format: PictureFormat,
) -> Result<Vec<u8>, ImageError> {
    let (width, height) = size;
    let mut canvas = RgbImage::new(width, height);
    backdrop.paint(0.0, &mut canvas);
    Lettering::set(size, prompt, footer).print(&mut canvas);

    let mut file = Vec::new();
    let color = ExtendedColorType::Rgb8;
    match format {
        PictureFormat::Png => {
            PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Up)
                .write_image(&canvas, width, height, color)?;
        }
        PictureFormat::Jpeg => {
            JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY)
                .write_image(&canvas, width, height, color)?;
        }
        PictureFormat::Webp => {
            WebPEncoder::new_lossless(&mut file).write_image(&canvas, width, height, color)?;
        }
    }
    Ok(file)
}
