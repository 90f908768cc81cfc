//! Telling files apart by what is in them, and making one kind of picture out of another.
//!
//! Names, content types and promises are not believed: one provider calls JPEG `image/png`.

use std::io::Cursor;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use tokio::sync::Semaphore;
use url::Url;

use crate::ratio::Ratio;
use crate::{Error, OutputFile, OutputFormat};

/// The first bytes of a file that [`sniff`] needs to see.
pub const SNIFF_BYTES: usize = 16;
/// The longest side of a picture that is converted, and the memory that it may take: the
/// largest that any model makes is 4096 pixels wide.
const SIDE_MAX: u32 = 8192;
const DECODED_BYTES_MAX: u64 = 512 << 20;
/// Quality of JPEGs that are made out of other pictures: hardly any loss to be seen.
const JPEG_QUALITY: u8 = 92;
/// Conversions at once: each takes a processor and up to [`DECODED_BYTES_MAX`].
static CONVERSIONS: Semaphore = Semaphore::const_new(2);

/// What a file is, by its first [`SNIFF_BYTES`] bytes.
pub fn sniff(start: &[u8]) -> Option<OutputFormat> {
    if start.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some(OutputFormat::Png);
    }
    if start.starts_with(b"\xff\xd8\xff") {
        return Some(OutputFormat::Jpg);
    }
    match (start.get(..4), start.get(4..8), start.get(8..12)) {
        (Some(b"RIFF"), _, Some(b"WEBP")) => Some(OutputFormat::Webp),
        // HEIC, AVIF and QuickTime are built alike; their brands are others.
        (_, Some(b"ftyp"), Some(brand)) => match brand {
            b"avif" | b"avis" | b"heic" | b"heix" | b"mif1" | b"msf1" | b"qt  " => None,
            _ => Some(OutputFormat::Mp4),
        },
        _ => None,
    }
}

/// A file is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Neither a picture nor a film that we know.
    #[error("the output is not a PNG, JPEG, WebP or MP4 file")]
    Unknown,
    /// A film where a picture was asked for, or the reverse.
    #[error("the output is a {} file, and {} was asked for", .0.as_str(), .1.as_str())]
    OtherKind(OutputFormat, OutputFormat),
    /// It cannot be decoded, or takes too much to do so.
    #[error("the output is a damaged or too large picture")]
    Undecodable,
}

/// The file in the format that was asked for: as it is when it has it already, else converted.
///
/// # Errors
/// [`Misfit`].
pub async fn in_format(bytes: Bytes, wanted: OutputFormat) -> Result<Bytes, Misfit> {
    let found = sniff(&bytes).ok_or(Misfit::Unknown)?;
    if found == wanted {
        return Ok(bytes);
    }
    if found == OutputFormat::Mp4 || wanted == OutputFormat::Mp4 {
        return Err(Misfit::OtherKind(found, wanted));
    }
    on_a_thread(move || encode(&decode(&bytes)?, wanted)).await
}

/// The middle of a picture in another ratio, in the format that was asked for; for models that
/// know one ratio only.
pub(crate) async fn cropped(
    bytes: Bytes,
    ratio: Ratio,
    wanted: OutputFormat,
) -> Result<Bytes, Misfit> {
    on_a_thread(move || {
        let picture = decode(&bytes)?;
        let (width, height) = ratio.within(picture.width(), picture.height());
        let (x, y) = ((picture.width() - width) / 2, (picture.height() - height) / 2);
        encode(&picture.crop_imm(x, y, width, height), wanted)
    })
    .await
}

async fn on_a_thread(
    work: impl FnOnce() -> Result<Bytes, Misfit> + Send + 'static,
) -> Result<Bytes, Misfit> {
    let permit = CONVERSIONS.acquire().await.map_err(|_| Misfit::Undecodable)?;
    let work = tokio::task::spawn_blocking(move || {
        // Held by the thread, not by the future: work goes on when nobody waits for it.
        let _permit = permit;
        work()
    });
    work.await.unwrap_or(Err(Misfit::Undecodable))
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, Misfit> {
    let undecodable = Misfit::Undecodable;
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|_| undecodable)?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE_MAX), Some(SIDE_MAX));
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    reader.decode().map_err(|_| undecodable)
}

fn encode(picture: &DynamicImage, wanted: OutputFormat) -> Result<Bytes, Misfit> {
    let mut bytes = Cursor::new(Vec::new());
    let encoded = match wanted {
        OutputFormat::Png => picture.to_rgba8().write_to(&mut bytes, ImageFormat::Png),
        OutputFormat::Jpg => {
            let encoder =
                image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
            picture.to_rgb8().write_with_encoder(encoder)
        }
        OutputFormat::Webp => picture.to_rgba8().write_to(&mut bytes, ImageFormat::WebP),
        OutputFormat::Mp4 => return Err(Misfit::Undecodable),
    };
    encoded.map_err(|_| Misfit::Undecodable)?;
    Ok(bytes.into_inner().into())
}

/// A file that a provider sent as base64, with or without padding.
///
/// # Errors
/// [`Error::Protocol`] when it is not one.
pub(crate) fn from_base64(text: &str) -> Result<OutputFile, Error> {
    let text = text.trim();
    let bytes = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
    let bytes = bytes.map_err(|_| Error::Protocol("a file is not base64".to_owned()))?;
    from_bytes(bytes.into())
}

/// A file that a provider sent as it is.
///
/// # Errors
/// [`Error::Protocol`] when it is no picture and no film.
pub(crate) fn from_bytes(bytes: Bytes) -> Result<OutputFile, Error> {
    let format = sniff(&bytes).ok_or(Misfit::Unknown);
    let format = format.map_err(|misfit| Error::Protocol(misfit.to_string()))?;
    Ok(OutputFile::Bytes { format, bytes })
}

/// A file that a provider gave an address of, which may hold the file itself (`data:`).
///
/// # Errors
/// [`Error::Protocol`] when it is no address of a file.
pub(crate) fn from_address(text: &str) -> Result<OutputFile, Error> {
    if let Some(data) = text.strip_prefix("data:") {
        let (_, encoded) = data.split_once(";base64,").ok_or_else(no_address)?;
        return from_base64(encoded);
    }
    let url = Url::parse(text).map_err(|_| no_address())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(no_address());
    }
    Ok(OutputFile::Url(url))
}

fn no_address() -> Error {
    Error::Protocol("a file has no readable address".to_owned())
}

/// Fetches the files that a request names, for providers that want the files themselves. The
/// addresses are customers': whoever implements this sees to it that they lead nowhere private.
#[async_trait::async_trait]
pub trait InputFiles: Send + Sync {
    /// The bytes of one file.
    ///
    /// # Errors
    /// [`Error::Rejected`] when it cannot be had.
    async fn fetch(&self, url: &Url) -> Result<Bytes, Error>;
}

/// The pictures that a request names, in order, with what they are.
pub(crate) async fn input_pictures(
    source: &Arc<dyn InputFiles>,
    urls: &[Url],
) -> Result<Vec<(OutputFormat, Bytes)>, Error> {
    let mut pictures = Vec::with_capacity(urls.len());
    for url in urls {
        let bytes = source.fetch(url).await?;
        let picture = sniff(&bytes).filter(|format| *format != OutputFormat::Mp4);
        let no_picture = || Error::Rejected("An input file is not a picture.".to_owned());
        pictures.push((picture.ok_or_else(no_picture)?, bytes));
    }
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(format: ImageFormat, width: u32, height: u32) -> Bytes {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(width, height).write_to(&mut bytes, format).unwrap();
        bytes.into_inner().into()
    }

    #[test]
    fn files_are_told_apart_by_their_first_bytes() {
        let start = |format| picture(format, 2, 2).slice(..SNIFF_BYTES);
        assert_eq!(sniff(&start(ImageFormat::Png)), Some(OutputFormat::Png));
        assert_eq!(sniff(&start(ImageFormat::Jpeg)), Some(OutputFormat::Jpg));
        assert_eq!(sniff(&start(ImageFormat::WebP)), Some(OutputFormat::Webp));
        assert_eq!(sniff(b"\0\0\0\x20ftypisom\0\0\0\0"), Some(OutputFormat::Mp4));
        for other in
            ["", "<!doctype html>", "{}", "GIF89a0000000000", "\0\0\0 ftypavif", "RIFF0000WAVEfmt "]
        {
            assert_eq!(sniff(other.as_bytes()), None, "{other}");
        }
    }

    #[tokio::test]
    async fn pictures_come_in_the_format_asked_for_whatever_they_were() {
        for made in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            for wanted in [OutputFormat::Png, OutputFormat::Jpg, OutputFormat::Webp] {
                let bytes = in_format(picture(made, 3, 2), wanted).await.unwrap();
                assert_eq!(sniff(&bytes), Some(wanted));
            }
        }
        let png = picture(ImageFormat::Png, 3, 2);
        assert_eq!(in_format(png.clone(), OutputFormat::Png).await, Ok(png.clone()));
        let film = Misfit::OtherKind(OutputFormat::Png, OutputFormat::Mp4);
        assert_eq!(in_format(png.clone(), OutputFormat::Mp4).await, Err(film));
        let damaged = in_format(png.slice(..40), OutputFormat::Jpg).await;
        assert_eq!(damaged, Err(Misfit::Undecodable));
        let page = Bytes::from_static(b"<html></html>");
        assert_eq!(in_format(page, OutputFormat::Jpg).await, Err(Misfit::Unknown));
    }

    #[tokio::test]
    async fn the_middle_of_a_square_has_the_ratio_asked_for() {
        for (ratio, size) in [("16:9", (1024, 576)), ("9:16", (576, 1024)), ("1:1", (1024, 1024))] {
            let square = picture(ImageFormat::Jpeg, 1024, 1024);
            let ratio = Ratio::parse(ratio).unwrap();
            let bytes = cropped(square, ratio, OutputFormat::Png).await.unwrap();
            let picture = decode(&bytes).unwrap();
            assert_eq!((picture.width(), picture.height()), size);
        }
    }

    #[test]
    fn addresses_may_hold_the_file_itself() {
        let png = picture(ImageFormat::Png, 2, 2);
        let text = format!("data:image/jpeg;base64,{}", STANDARD.encode(&png));
        let file = OutputFile::Bytes { format: OutputFormat::Png, bytes: png };
        assert_eq!(from_address(&text), Ok(file));
        let file = from_address("https://a.example/1?sig=x").unwrap();
        assert!(matches!(&file, OutputFile::Url(url) if url.path() == "/1"));
        assert!(!format!("{file:?}").contains("sig"));
        for bad in ["", "1.png", "ftp://a.example/1", "file:///etc/passwd", "data:,x"] {
            assert!(from_address(bad).is_err(), "{bad}");
        }
    }
}
