//! What one provider of a stack can do.

use providers::{MediaKind, OutputFormat};

use super::Report;
use crate::catalogue::InputFiles;
use crate::catalogue::capabilities::Capabilities;
use crate::catalogue::field::{Field, check_spec};
use crate::catalogue::spec::{CapabilitiesSpec, FieldSpec};
use crate::pricing::{COUNT_MAX, thousandths};

/// Input files that a model may take at most: as many URLs of the greatest length as fit a
/// body of 100 KB.
const INPUT_FILES_MAX: u32 = 48;

/// The longest video that can be described, an hour: far beyond every known model, and short
/// enough that a duration is never mistaken for milliseconds.
const DURATION_MS_MAX: u64 = 3_600_000;

impl Report<'_> {
    pub(super) fn capabilities(
        &mut self,
        media: Option<MediaKind>,
        spec: &CapabilitiesSpec,
    ) -> Capabilities {
        self.ratios(spec);
        let formats = self.formats(media, spec);
        self.counts(spec);
        self.resolutions(spec);
        let durations_ms = self.durations(media, spec);
        self.choices_of_video(media, spec);
        Capabilities {
            ratios: spec.ratios.clone(),
            formats,
            output_number_max: spec.output_number_max,
            input_files: InputFiles { min: spec.input_files_min, max: spec.input_files_max },
            last_frame: spec.last_frame,
            durations_ms,
            resolutions: spec.resolutions.clone(),
            audio: spec.audio,
            fields: self.fields(&spec.fields),
        }
    }

    /// `1:1`, `16:9`: names, not pixels (`spec/domain.md` N7). Clients rely on there being one
    /// (`spec/contract.md` 0.3 rule 17).
    fn ratios(&mut self, spec: &CapabilitiesSpec) {
        let side = |side: &str| {
            (1..=2).contains(&side.len())
                && side.bytes().all(|b| b.is_ascii_digit())
                && !side.starts_with('0')
        };
        for ratio in &spec.ratios {
            if !ratio.split_once(':').is_some_and(|(width, height)| side(width) && side(height)) {
                self.add("ratios", format!("`{ratio}` is not a ratio such as 16:9"));
            }
        }
        self.distinct("ratios", &spec.ratios);
        if spec.ratios.is_empty() {
            self.add("ratios", "needs at least one ratio, the default first");
        }
    }

    fn formats(&mut self, media: Option<MediaKind>, spec: &CapabilitiesSpec) -> Vec<OutputFormat> {
        let mut formats = Vec::new();
        for text in &spec.formats {
            let Some(format) = OutputFormat::parse(text) else {
                self.add("formats", format!("`{text}` is no known format"));
                continue;
            };
            let makes = match format {
                OutputFormat::Png | OutputFormat::Jpg | OutputFormat::Webp => MediaKind::Image,
                OutputFormat::Mp4 => MediaKind::Video,
            };
            if media.is_some_and(|media| media != makes) {
                self.add("formats", format!("`{text}` is a format of {} models", makes.as_str()));
            }
            formats.push(format);
        }
        self.distinct("formats", &spec.formats);
        if spec.formats.is_empty() {
            self.add("formats", "needs at least one format, the default first");
        }
        formats
    }

    fn counts(&mut self, spec: &CapabilitiesSpec) {
        if !(1..=COUNT_MAX).contains(&spec.output_number_max) {
            self.add("output_number_max", format!("must be from 1 to {COUNT_MAX}"));
        }
        if spec.input_files_max > INPUT_FILES_MAX {
            self.add("input_files_max", format!("must be from 0 to {INPUT_FILES_MAX}"));
        }
        if spec.input_files_min > spec.input_files_max {
            self.add("input_files_min", "is above `input_files_max`");
        }
    }

    fn resolutions(&mut self, spec: &CapabilitiesSpec) {
        for resolution in &spec.resolutions {
            // An underscore would make the keys of the price ambiguous.
            let shaped = (1..=16).contains(&resolution.len())
                && resolution.bytes().all(|b| b.is_ascii_alphanumeric())
                && !["audio", "noaudio"].contains(&resolution.as_str());
            if !shaped {
                self.add("resolutions", format!("`{resolution}` is not a tier such as 720p"));
            }
        }
        self.distinct("resolutions", &spec.resolutions);
    }

    fn durations(&mut self, media: Option<MediaKind>, spec: &CapabilitiesSpec) -> Vec<u64> {
        let mut durations_ms = Vec::new();
        for seconds in &spec.durations {
            match thousandths(*seconds) {
                Some(ms @ 1..=DURATION_MS_MAX) => durations_ms.push(ms),
                Some(_) | None => self.add(
                    "durations",
                    format!("{seconds} is not a length in seconds of at most three decimals"),
                ),
            }
        }
        self.distinct("durations", &spec.durations);
        match media {
            Some(MediaKind::Image) if !spec.durations.is_empty() => {
                self.add("durations", "an image model has none");
            }
            Some(MediaKind::Video) if spec.durations.is_empty() => {
                self.add("durations", "a video model needs at least one");
            }
            Some(_) | None => {}
        }
        durations_ms.sort_unstable();
        durations_ms
    }

    fn choices_of_video(&mut self, media: Option<MediaKind>, spec: &CapabilitiesSpec) {
        let (audio, last_frame) = (spec.audio, spec.last_frame);
        if media == Some(MediaKind::Image) && audio {
            self.add("audio", "an image model has no sound");
        }
        if media == Some(MediaKind::Image) && last_frame {
            self.add("last_frame", "an image model has no last frame");
        }
        if last_frame && spec.input_files_max == 0 {
            self.add("last_frame", "needs an input file to start from: `input_files_max` is 0");
        }
    }

    fn fields(&mut self, specs: &[FieldSpec]) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        for spec in specs {
            match check_spec(spec) {
                Ok(field) if fields.iter().any(|other| other.name == field.name) => {
                    self.add(&spec.name, "is defined twice");
                }
                Ok(field) => fields.push(field),
                Err(reasons) => {
                    for reason in reasons {
                        self.add(&spec.name, reason);
                    }
                }
            }
        }
        fields
    }
}
