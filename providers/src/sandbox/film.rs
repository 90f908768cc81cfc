//! Films: the picture, moving. H.264 in MP4, which every browser plays; always silent.

mod mp4;

use image::RgbImage;
use openh264::OpenH264API;
use openh264::Timestamp;
use openh264::encoder::{
    Encoder, EncoderConfig, FrameRate, IntraFramePeriod, Profile, RateControlMode, VuiConfig,
};
use openh264::formats::{RgbSliceU8, YUVBuffer};

use self::mp4::Track;
use super::backdrop::Backdrop;
use super::job::Artwork;
use super::lettering::Lettering;

/// Enough for slow motion, and half the work of a real film.
pub(super) const FRAMES_PER_SECOND: u32 = 12;
/// A player can jump to every second second.
const KEY_FRAME_SECONDS: u32 = 2;
/// The background is back where it was after this many seconds.
const TURN_SECONDS: f32 = 9.0;

/// Why a film could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilmError {
    /// The encoder failed.
    #[error("the film could not be encoded")]
    Encode(#[from] openh264::Error),
    /// The encoder gave no parameters, or the file could not be put together.
    #[error("the film could not be packed")]
    Pack(#[from] mp4_atom::Error),
}

/// Draws, encodes and packs one film of an artwork.
pub(super) fn shoot(artwork: &Artwork, index: u32, maker: &str) -> Result<Vec<u8>, FilmError> {
    let size = artwork.ratio.film_size(artwork.short_side);
    let seconds = artwork.length.as_secs_f32();
    let backdrop = Backdrop::of(artwork.seed, &artwork.prompt, index);
    let place = format!("{seconds:.1} s  ·  {} of {}", index + 1, artwork.count);
    let lettering = Lettering::set(size, &artwork.prompt, (maker, &place));
    roll(size, seconds, FRAMES_PER_SECOND, &backdrop, &lettering)
}

/// Encodes and packs a film of this size, both sides even.
pub(super) fn roll(
    size: (u32, u32),
    seconds: f32,
    frames_per_second: u32,
    backdrop: &Backdrop,
    lettering: &Lettering,
) -> Result<Vec<u8>, FilmError> {
    let (width, height) = size;
    let frames = ((seconds * frames_per_second as f32).round() as u32).max(1);
    let mut encoder =
        Encoder::with_api_config(OpenH264API::from_source(), config(frames_per_second))?;
    let mut track = Track::new(size, frames_per_second);
    let mut canvas = RgbImage::new(width, height);
    let mut yuv = YUVBuffer::new(width as usize, height as usize);
    for frame in 0..frames {
        let time = frame as f32 / frames_per_second as f32;
        backdrop.paint(time / TURN_SECONDS, &mut canvas);
        lettering.print(&mut canvas);
        show_progress(&mut canvas, (frame + 1) as f32 / frames as f32);
        yuv.read_rgb8(RgbSliceU8::new(&canvas, (width as usize, height as usize)));
        let at = Timestamp::from_millis(u64::from(frame) * 1000 / u64::from(frames_per_second));
        track.push(&encoder.encode_at(&yuv, at)?.to_vec());
    }
    Ok(track.finish()?)
}

/// One thread and a constant quality, so that the same film is the same bytes every time.
fn config(frames_per_second: u32) -> EncoderConfig {
    EncoderConfig::new()
        .profile(Profile::Baseline)
        .max_frame_rate(FrameRate::from_hz(frames_per_second as f32))
        .rate_control_mode(RateControlMode::Off)
        .intra_frame_period(IntraFramePeriod::from_num_frames(
            KEY_FRAME_SECONDS * frames_per_second,
        ))
        .skip_frames(false)
        .scene_change_detect(false)
        .adaptive_quantization(false)
        .background_detection(false)
        .num_threads(1)
        .vui(VuiConfig::bt601())
}

/// A bar along the lower edge that has grown to its full length in the last frame.
fn show_progress(canvas: &mut RgbImage, part: f32) {
    let (width, height) = canvas.dimensions();
    let thickness = (height / 60).max(2);
    let length = (part * width as f32).round() as u32;
    for y in height - thickness..height {
        for x in 0..length.min(width) {
            canvas.put_pixel(x, y, image::Rgb([235; 3]));
        }
    }
}
