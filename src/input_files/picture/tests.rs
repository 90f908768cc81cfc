use image::{DynamicImage, GrayImage, RgbImage};

use super::*;

const SIDES: Sides = Sides { min: 64, max: 8192 };

fn drawn(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let shade = |x: u32, y: u32| image::Rgb([(x % 251) as u8, (y % 241) as u8, 7]);
    encoded(format, RgbImage::from_fn(width, height, shade).into())
}

fn encoded(format: ImageFormat, picture: DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn look(bytes: &[u8]) -> Result<(), Fault> {
    read_header(bytes, SIDES)?;
    decode(bytes)
}

#[test]
fn whole_pictures_of_the_three_formats_are_taken() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        for (width, height) in [(64, 64), (65, 300), (8192, 64)] {
            assert_eq!(look(&drawn(format, width, height)), Ok(()), "{format:?}");
        }
    }
}

#[test]
fn a_picture_that_is_cut_anywhere_is_refused() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let whole = drawn(format, 200, 200);
        for tenth in 1..10 {
            let cut = &whole[..whole.len() * tenth / 10];
            assert_eq!(look(cut), Err(Fault::Undecodable), "{tenth} tenths of {format:?}");
        }
    }
}

/// The end of a thumbnail is not the end of the picture, and what cameras append is no harm.
#[test]
fn a_jpeg_ends_where_its_own_end_is() {
    let whole = drawn(ImageFormat::Jpeg, 100, 100);
    let thumbnail = [&[0xff, 0xe1, 0, 6][..], &[0xff, 0xd8, 0xff, 0xd9]].concat();
    let with_thumbnail = [&whole[..2], &thumbnail, &whole[2..]].concat();
    assert!(jpeg_ends(&with_thumbnail));
    assert!(!jpeg_ends(&with_thumbnail[..with_thumbnail.len() - 2]));
    assert!(jpeg_ends(&[&whole[..], b"appended"].concat()));
    for malformed in
        [&b""[..], b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe0\0\0"]
    {
        assert!(!jpeg_ends(malformed));
    }
}

#[test]
fn other_formats_are_told_by_their_content() {
    let gif = b"GIF89a\x40\0\x40\0\x80\0\0\0\0\0\xff\xff\xff;";
    let bmp = [b"BM", &[0; 60][..]].concat();
    for other in [&b""[..], gif, &bmp, b"<svg/>", b"<!doctype html>", b"%PDF-1.7", &[0; 100]] {
        assert_eq!(look(other), Err(Fault::Format));
    }
    for head in [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff\xe0", b"RIFF\x20\0\0\0WEBPVP8 "] {
        assert_eq!(look(head), Err(Fault::Undecodable));
    }
}

#[test]
fn sides_are_told_with_their_limits() {
    let width = |pixels| Fault::TooSmall { side: Side::Width, pixels, min: 64 };
    assert_eq!(look(&drawn(ImageFormat::Png, 63, 64)), Err(width(63)));
    let height = Fault::TooSmall { side: Side::Height, pixels: 63, min: 64 };
    assert_eq!(look(&drawn(ImageFormat::WebP, 64, 63)), Err(height));
    let height = Fault::TooLarge { side: Side::Height, pixels: 8193, max: 8192 };
    assert_eq!(look(&drawn(ImageFormat::Jpeg, 64, 8193)), Err(height));
}

/// A head that claims more than any memory holds.
#[test]
fn a_huge_claim_is_refused_unread() {
    let mut png = drawn(ImageFormat::Png, 64, 64);
    png[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    let huge = Fault::TooLarge { side: Side::Width, pixels: 30_000, max: 8192 };
    assert_eq!(look(&png), Err(huge));
}

#[test]
fn the_memory_of_a_picture_is_known_beforehand() {
    let gray = encoded(ImageFormat::Png, GrayImage::new(1000, 1000).into());
    assert_eq!(read_header(&gray, SIDES), Ok(1_000_000 + gray.len() as u64));
    let rgb = drawn(ImageFormat::Jpeg, 1000, 1000);
    assert_eq!(read_header(&rgb, SIDES), Ok(9_000_000 + rgb.len() as u64));
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
