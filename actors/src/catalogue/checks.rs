//! From a written model to a [`Model`], or everything that is wrong with it
//! (`spec/domain.md` C.2).

use providers::name::ProviderName;
use providers::{MediaKind, OutputFormat};

use crate::catalogue::field::{Field, check_spec, first_repeated};
use crate::catalogue::spec::{CatalogueProblem, ModelSpec, PriceSpec};
use crate::catalogue::{InputFiles, Model, Offer, PriceSource};
use crate::money::Credits;
use crate::pricing::{COUNT_MAX, Choice, Price, PricingError, Rates, audio_key, thousandths};

/// Input files that a model may take at most: as many URLs of the greatest length as fit a
/// body of 100 KB.
const INPUT_FILES_MAX: u32 = 48;

/// The longest video that can be described, an hour: far beyond every known model, and short
/// enough that a duration is never mistaken for milliseconds.
const DURATION_MS_MAX: u64 = 3_600_000;

/// Models described twice, in one file or in two.
pub(super) fn duplicates(specs: &[ModelSpec]) -> Vec<CatalogueProblem> {
    let problem = |(index, spec): (usize, &ModelSpec)| {
        if spec.identifier.is_empty() {
            return None;
        }
        let first = specs[..index].iter().find(|first| first.identifier == spec.identifier)?;
        let reason = match first.place.line {
            Some(line) => format!("was already described in {}:{line}", first.place.file),
            None => format!("was already described in {}", first.place.file),
        };
        Some(Report::problem_of(spec, "identifier", reason))
    };
    specs.iter().enumerate().filter_map(problem).collect()
}

/// One model.
pub(super) fn check_model(spec: &ModelSpec) -> Result<Model, Vec<CatalogueProblem>> {
    let mut report = Report { spec, problems: Vec::new() };
    report.identifier();
    let media = report.media();
    let price_source = report.price_source();
    let stack = report.stack();
    report.ratios();
    let formats = report.formats(media);
    report.counts();
    report.resolutions();
    let durations_ms = report.durations(media);
    report.choices_of_video(media);
    let price = report.price(media);
    let fields = report.fields();
    if let Some(price) = &price {
        report.amounts(price, &durations_ms);
    }
    match (media, price_source, price) {
        (Some(media), Some(price_source), Some(price)) if report.problems.is_empty() => Ok(Model {
            identifier: spec.identifier.clone(),
            media,
            price_source,
            stack,
            ratios: spec.ratios.clone(),
            formats,
            output_number_max: spec.output_number_max,
            input_files: InputFiles { min: spec.input_files_min, max: spec.input_files_max },
            last_frame: spec.last_frame,
            durations_ms,
            resolutions: spec.resolutions.clone(),
            audio: spec.audio,
            fields,
            price,
        }),
        _ => Err(report.problems),
    }
}

/// What was found so far. Each method looks at one key, or at keys that belong together, and
/// returns what it made of them as far as it could.
struct Report<'a> {
    spec: &'a ModelSpec,
    problems: Vec<CatalogueProblem>,
}

impl Report<'_> {
    fn problem_of(spec: &ModelSpec, field: &str, reason: impl Into<String>) -> CatalogueProblem {
        CatalogueProblem {
            place: spec.place.clone(),
            model: spec.identifier.clone(),
            field: field.to_owned(),
            reason: reason.into(),
        }
    }

    fn add(&mut self, field: &str, reason: impl Into<String>) {
        self.problems.push(Self::problem_of(self.spec, field, reason));
    }

    fn identifier(&mut self) {
        let part = |part: &str| {
            part.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && part.bytes().all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_')
                })
        };
        let identifier = &self.spec.identifier;
        let shaped =
            identifier.split_once('/').is_some_and(|(lab, model)| part(lab) && part(model));
        if !shaped || identifier.len() > 100 {
            self.add("identifier", "must be `lab/model`: lower case, digits, `.`, `-` and `_`");
        }
    }

    fn media(&mut self) -> Option<MediaKind> {
        let known = [MediaKind::Image, MediaKind::Video];
        let media = self.spec.media.as_deref();
        let found = media.and_then(|text| known.into_iter().find(|kind| kind.as_str() == text));
        if found.is_none() {
            self.add("media", "must be `image` or `video`");
        }
        found
    }

    fn price_source(&mut self) -> Option<PriceSource> {
        let found = self.spec.price_source.as_deref().and_then(PriceSource::parse);
        if found.is_none() {
            self.add("price_source", "must be `published`, `operator` or `placeholder`");
        }
        found
    }

    fn stack(&mut self) -> Vec<Offer> {
        let mut stack: Vec<Offer> = Vec::new();
        for offer in &self.spec.stack {
            let raw = &offer.raw_model_id;
            if raw.is_empty() || raw.len() > 200 || !raw.bytes().all(|b| b.is_ascii_graphic()) {
                self.add("stack", format!("`{}` lacks the provider's model name", offer.provider));
            }
            match ProviderName::parse(&offer.provider) {
                None => self.add("stack", format!("`{}` is no known provider", offer.provider)),
                Some(provider) if stack.iter().any(|other| other.provider == provider) => {
                    self.add("stack", format!("`{provider}` is listed twice"));
                }
                Some(provider) => stack.push(Offer { provider, raw_model_id: raw.clone() }),
            }
        }
        if self.spec.stack.is_empty() {
            self.add("stack", "needs at least one provider");
        }
        stack
    }

    /// `1:1`, `16:9`: names, not pixels (`spec/domain.md` N7). Clients rely on there being one
    /// (`spec/contract.md` 0.3 rule 17).
    fn ratios(&mut self) {
        let side = |side: &str| {
            (1..=2).contains(&side.len())
                && side.bytes().all(|b| b.is_ascii_digit())
                && !side.starts_with('0')
        };
        for ratio in &self.spec.ratios {
            if !ratio.split_once(':').is_some_and(|(width, height)| side(width) && side(height)) {
                self.add("ratios", format!("`{ratio}` is not a ratio such as 16:9"));
            }
        }
        self.distinct("ratios", &self.spec.ratios);
        if self.spec.ratios.is_empty() {
            self.add("ratios", "needs at least one ratio, the default first");
        }
    }

    fn formats(&mut self, media: Option<MediaKind>) -> Vec<OutputFormat> {
        let mut formats = Vec::new();
        for text in &self.spec.formats {
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
        self.distinct("formats", &self.spec.formats);
        if self.spec.formats.is_empty() {
            self.add("formats", "needs at least one format, the default first");
        }
        formats
    }

    fn counts(&mut self) {
        if !(1..=COUNT_MAX).contains(&self.spec.output_number_max) {
            self.add("output_number_max", format!("must be from 1 to {COUNT_MAX}"));
        }
        if self.spec.input_files_max > INPUT_FILES_MAX {
            self.add("input_files_max", format!("must be from 0 to {INPUT_FILES_MAX}"));
        }
        if self.spec.input_files_min > self.spec.input_files_max {
            self.add("input_files_min", "is above `input_files_max`");
        }
    }

    fn resolutions(&mut self) {
        for resolution in &self.spec.resolutions {
            // An underscore would make the keys of the price ambiguous.
            let shaped = (1..=16).contains(&resolution.len())
                && resolution.bytes().all(|b| b.is_ascii_alphanumeric())
                && !["audio", "noaudio"].contains(&resolution.as_str());
            if !shaped {
                self.add("resolutions", format!("`{resolution}` is not a tier such as 720p"));
            }
        }
        self.distinct("resolutions", &self.spec.resolutions);
    }

    fn durations(&mut self, media: Option<MediaKind>) -> Vec<u64> {
        let mut durations_ms = Vec::new();
        for seconds in &self.spec.durations {
            match thousandths(*seconds) {
                Some(ms @ 1..=DURATION_MS_MAX) => durations_ms.push(ms),
                Some(_) | None => self.add(
                    "durations",
                    format!("{seconds} is not a length in seconds of at most three decimals"),
                ),
            }
        }
        self.distinct("durations", &self.spec.durations);
        match media {
            Some(MediaKind::Image) if !self.spec.durations.is_empty() => {
                self.add("durations", "an image model has none");
            }
            Some(MediaKind::Video) if self.spec.durations.is_empty() => {
                self.add("durations", "a video model needs at least one");
            }
            Some(_) | None => {}
        }
        durations_ms.sort_unstable();
        durations_ms
    }

    fn choices_of_video(&mut self, media: Option<MediaKind>) {
        let (audio, last_frame) = (self.spec.audio, self.spec.last_frame);
        if media == Some(MediaKind::Image) && audio {
            self.add("audio", "an image model has no sound");
        }
        if media == Some(MediaKind::Image) && last_frame {
            self.add("last_frame", "an image model has no last frame");
        }
        if last_frame && self.spec.input_files_max == 0 {
            self.add("last_frame", "needs an input file to start from: `input_files_max` is 0");
        }
    }

    fn price(&mut self, media: Option<MediaKind>) -> Option<Price> {
        let rates = match &self.spec.price {
            None => {
                // Not billable means not offered, never free (`spec/domain.md` D.2).
                self.add("price", "is missing");
                return None;
            }
            Some(PriceSpec::Flat(number)) => Rates::Flat(self.rate("price", *number)?),
            Some(PriceSpec::Tiers(_)) => self.tiers()?,
        };
        Some(match media? {
            MediaKind::Image => Price::PerImage(rates),
            MediaKind::Video => Price::PerSecond(rates),
        })
    }

    /// What the tiers depend on is told from how their keys are spelled; they must then be
    /// exactly the choices that the model offers.
    fn tiers(&mut self) -> Option<Rates> {
        let Some(PriceSpec::Tiers(tiers)) = &self.spec.price else { return None };
        let sound = [audio_key(false), audio_key(true)];
        let resolutions = &self.spec.resolutions;
        let ends = |key: &String| sound.iter().any(|end| key.ends_with(&format!("_{end}")));
        let by_both = tiers.keys().any(ends);
        let by_audio = !by_both && tiers.keys().any(|key| sound.contains(&key.as_str()));
        let expected: Vec<String> = if by_both {
            let keys = |resolution| sound.iter().map(move |end| format!("{resolution}_{end}"));
            resolutions.iter().flat_map(keys).collect()
        } else if by_audio {
            sound.iter().map(|&key| key.to_owned()).collect()
        } else {
            resolutions.clone()
        };

        let before = self.problems.len();
        if (by_both || by_audio) && !self.spec.audio {
            self.add("price", "depends on sound, and `audio` is not true");
        }
        if !by_audio && resolutions.is_empty() {
            self.add("price", "depends on the resolution, and there are no `resolutions`");
        }
        for key in tiers.keys().filter(|key| !expected.contains(key)) {
            self.add(&format!("price.{key}"), "is a tier that the model does not offer");
        }
        let mut rates = Vec::with_capacity(expected.len());
        for key in expected {
            let field = format!("price.{key}");
            match tiers.get(&key) {
                None => self.add(&field, "is missing"),
                Some(number) => {
                    let rate = self.rate(&field, *number);
                    rates.extend(rate.map(|rate| (key, rate)));
                }
            }
        }
        if self.problems.len() > before {
            return None;
        }
        Some(match (by_both, by_audio) {
            (true, _) => Rates::ByResolutionAndAudio(rates),
            (false, true) => Rates::ByAudio(rates),
            (false, false) => Rates::ByResolution(rates),
        })
    }

    fn rate(&mut self, field: &str, number: f64) -> Option<Credits> {
        let rate = thousandths(number)
            .filter(|rate| *rate > 0)
            .and_then(|rate| i64::try_from(rate).ok())
            .and_then(|rate| Credits::from_thousandths(rate).ok());
        if rate.is_none() {
            self.add(field, format!("{number} is not an amount above 0 with three decimals"));
        }
        rate
    }

    /// No request of this model may turn out free or beyond every balance.
    fn amounts(&mut self, price: &Price, durations_ms: &[u64]) {
        let lengths = [durations_ms.first().copied(), durations_ms.last().copied()];
        let tiers: Vec<(Option<&str>, Option<bool>)> = match self.spec.resolutions.as_slice() {
            [] => vec![(None, Some(false)), (None, Some(true))],
            all => all
                .iter()
                .flat_map(|name| [false, true].map(|audio| (Some(name.as_str()), Some(audio))))
                .collect(),
        };
        for (resolution, audio) in tiers {
            for duration_ms in lengths {
                let quote = price.quote(&Choice { resolution, audio, duration_ms });
                let total = quote.and_then(|quote| quote.total(COUNT_MAX));
                match total {
                    Ok(total) if total > Credits::ZERO => {}
                    Ok(_) => return self.add("price", "makes the shortest video free"),
                    // Without its length a video has no price: that was reported already.
                    Err(PricingError::NoDuration) => {}
                    Err(error) => return self.add("price", error.to_string()),
                }
            }
        }
    }

    fn fields(&mut self) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        for spec in &self.spec.fields {
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

    fn distinct<T: PartialEq + std::fmt::Display>(&mut self, field: &str, items: &[T]) {
        if let Some(item) = first_repeated(items) {
            self.add(field, format!("`{item}` is listed twice"));
        }
    }
}
