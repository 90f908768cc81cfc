//! A job whose id says everything about it.
//!
//! The sandbox keeps no record of its jobs: an id holds what is to be drawn, when it is due
//! and what becomes of it. So a process that has never seen a job answers for it exactly as
//! the one that accepted it would have.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ratio::Ratio;
use super::steering::{Outcome, Steering};
use crate::{DeliveryMode, Error, JobRef, MediaKind, OutputFormat, Request};

const PREFIX: &str = "sbx_";
/// Changes when the meaning of the bytes does; ids of other versions are not ours.
const VERSION: u8 = 1;
/// Longer ids are refused unread. Ours stay below: [`PROMPT_BYTES_MAX`] and
/// [`MODEL_BYTES_MAX`] leave room for the fixed part.
const ID_LENGTH_MAX: usize = 512;
/// A prompt is cut to this many characters, also where it never passes through an id: the
/// result must be the same on every path.
const PROMPT_CHARS_MAX: usize = 120;
const PROMPT_BYTES_MAX: usize = 220;
const MODEL_BYTES_MAX: usize = 48;
/// More files than any model offers, few enough to draw in one go.
const COUNT_MAX: u32 = 16;
/// The longest film, in milliseconds; what is longer is rejected, not cut.
const FILM_LENGTH_MAX: u64 = 15_000;
/// The length of a film when none was asked for, in milliseconds.
const FILM_LENGTH_DEFAULT: u64 = 5_000;
/// A job that is far from due is asked for again after this long.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// What is to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Artwork {
    pub(super) model: String,
    pub(super) prompt: String,
    pub(super) ratio: Ratio,
    pub(super) format: OutputFormat,
    pub(super) count: u32,
    pub(super) seed: i64,
    /// Films only: the length.
    pub(super) length: Duration,
    /// Films only: the shorter side in pixels, at most.
    pub(super) short_side: u32,
}

/// One job of one sandbox provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) correlation: Uuid,
    pub(super) delivery: DeliveryMode,
    pub(super) due: DateTime<Utc>,
    pub(super) latency: Duration,
    pub(super) outcome: Outcome,
    pub(super) artwork: Artwork,
}

/// How far a job is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting { retry_after: Option<Duration> },
    Done,
    Failed,
}

impl Job {
    /// The job that this request makes, or made: the same request gives the same job.
    pub(super) fn of(
        delivery: DeliveryMode,
        request: &Request,
        steering: &Steering,
    ) -> Result<Self, Error> {
        let Request {
            correlation,
            submitted_at,
            model,
            media,
            prompt,
            ratio,
            format,
            count,
            // The sandbox draws from nothing but the prompt.
            input_files: _,
            last_frame: _,
            duration_ms,
            resolution,
            // Films are silent, also when sound is asked for.
            audio: _,
            // Read into the steering.
            options: _,
            // The job is the same; whoever calls uses these.
            delivery: _,
            callback: _,
        } = request;
        let fits = match media {
            MediaKind::Image => *format != OutputFormat::Mp4,
            MediaKind::Video => *format == OutputFormat::Mp4,
        };
        if !fits {
            let text = format!("{} cannot be made as {}", media.as_str(), format.as_str());
            return Err(Error::Rejected(text));
        }
        if !(1..=COUNT_MAX).contains(count) {
            return Err(Error::Rejected(format!("{count} outputs cannot be made")));
        }
        let length_ms = duration_ms.unwrap_or(FILM_LENGTH_DEFAULT);
        if !(1..=FILM_LENGTH_MAX).contains(&length_ms) {
            return Err(Error::Rejected(format!("a length of {length_ms} ms cannot be made")));
        }
        let latency = match steering.outcome {
            Outcome::CallBackBeforeSubmitReturns => Duration::ZERO,
            Outcome::Succeed
            | Outcome::Fail
            | Outcome::Moderate
            | Outcome::RateLimit
            | Outcome::OutOfCredit
            | Outcome::Hang
            | Outcome::LoseSubmitResponse
            | Outcome::NeverCallBack
            | Outcome::CallBackTwice
            | Outcome::CallBackForged => steering.latency,
        };
        Ok(Self {
            correlation: *correlation,
            delivery,
            due: *submitted_at + latency,
            latency,
            outcome: steering.outcome,
            artwork: Artwork {
                model: cut(model, usize::MAX, MODEL_BYTES_MAX),
                prompt: cut(prompt, PROMPT_CHARS_MAX, PROMPT_BYTES_MAX),
                ratio: Ratio::parse(ratio)?,
                format: *format,
                count: *count,
                seed: steering.seed,
                length: Duration::from_millis(length_ms),
                short_side: short_side(resolution.as_deref()),
            },
        })
    }

    /// The id that says all this.
    pub(super) fn reference(&self) -> Result<JobRef, Error> {
        let wire = Wire {
            version: VERSION,
            delivery: delivery_code(self.delivery),
            correlation: *self.correlation.as_bytes(),
            due_us: self.due.timestamp_micros(),
            latency_ms: millis(self.latency),
            outcome: self.outcome,
            format: self.artwork.format.as_str().to_owned(),
            ratio: self.artwork.ratio.to_string(),
            count: self.artwork.count,
            seed: self.artwork.seed,
            length_ms: millis(self.artwork.length),
            short_side: self.artwork.short_side,
            model: self.artwork.model.clone(),
            prompt: self.artwork.prompt.clone(),
        };
        let bytes = postcard::to_allocvec(&wire).map_err(|_| malformed())?;
        Ok(JobRef(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Reads an id back, unless another provider made it.
    pub(super) fn parse(delivery: DeliveryMode, reference: &JobRef) -> Result<Self, Error> {
        let JobRef(text) = reference;
        if text.len() > ID_LENGTH_MAX {
            return Err(malformed());
        }
        let encoded = text.strip_prefix(PREFIX).ok_or_else(malformed)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| malformed())?;
        let (wire, rest) = postcard::take_from_bytes::<Wire>(&bytes).map_err(|_| malformed())?;
        if !rest.is_empty() || wire.delivery != delivery_code(delivery) {
            return Err(malformed());
        }
        wire.into_job(delivery).ok_or_else(malformed)
    }

    /// How far it is at this moment.
    pub(super) fn stage(&self, now: DateTime<Utc>) -> Stage {
        if self.outcome == Outcome::Hang {
            return Stage::Waiting { retry_after: None };
        }
        // Negative once it is due.
        match (self.due - now).to_std() {
            Ok(left) if !left.is_zero() => {
                Stage::Waiting { retry_after: Some(left.min(RETRY_AFTER_MAX)) }
            }
            Ok(_) | Err(_) if self.outcome == Outcome::Fail => Stage::Failed,
            Ok(_) | Err(_) => Stage::Done,
        }
    }
}

/// What the bytes of an id hold, in this order.
#[derive(Serialize, Deserialize)]
struct Wire {
    version: u8,
    delivery: u8,
    correlation: [u8; 16],
    due_us: i64,
    latency_ms: u64,
    outcome: Outcome,
    format: String,
    ratio: String,
    count: u32,
    seed: i64,
    length_ms: u64,
    short_side: u32,
    model: String,
    prompt: String,
}

impl Wire {
    /// The job, unless one of the values is none that a job can have.
    fn into_job(self, delivery: DeliveryMode) -> Option<Job> {
        let possible = self.version == VERSION
            && (1..=COUNT_MAX).contains(&self.count)
            && (1..=FILM_LENGTH_MAX).contains(&self.length_ms)
            && TIERS.iter().any(|(_, short_side)| *short_side == self.short_side);
        possible.then_some(())?;
        Some(Job {
            correlation: Uuid::from_bytes(self.correlation),
            delivery,
            due: DateTime::from_timestamp_micros(self.due_us)?,
            latency: Duration::from_millis(self.latency_ms),
            outcome: self.outcome,
            artwork: Artwork {
                model: self.model,
                prompt: self.prompt,
                ratio: Ratio::parse(&self.ratio).ok()?,
                format: OutputFormat::parse(&self.format)?,
                count: self.count,
                seed: self.seed,
                length: Duration::from_millis(self.length_ms),
                short_side: self.short_side,
            },
        })
    }
}

/// The tiers of a film and the short sides that stand for them: much smaller than their
/// names say, since these films are looked at, not shown in a cinema.
const TIERS: [(&str, u32); 3] = [("720p", 240), ("480p", 180), ("1080p", 320)];

fn short_side(resolution: Option<&str>) -> u32 {
    let tier = TIERS.iter().find(|(tier, _)| Some(*tier) == resolution);
    tier.unwrap_or(&TIERS[0]).1
}

fn delivery_code(delivery: DeliveryMode) -> u8 {
    match delivery {
        DeliveryMode::Inline => 0,
        DeliveryMode::Polling => 1,
        DeliveryMode::Callback => 2,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn malformed() -> Error {
    Error::Protocol("this is no job of this sandbox provider".to_owned())
}

/// The beginning of a text; an ellipsis stands for the rest.
fn cut(text: &str, chars_max: usize, bytes_max: usize) -> String {
    const ELLIPSIS: char = '…';
    if text.len() <= bytes_max && text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let room = bytes_max - ELLIPSIS.len_utf8();
    let mut short = String::new();
    for c in text.chars().take(chars_max - 1) {
        if short.len() + c.len_utf8() > room {
            break;
        }
        short.push(c);
    }
    short.push(ELLIPSIS);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(prompt: &str) -> Job {
        Job {
            correlation: Uuid::from_u128(7),
            delivery: DeliveryMode::Polling,
            due: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            latency: Duration::from_millis(600_000),
            outcome: Outcome::CallBackBeforeSubmitReturns,
            artwork: Artwork {
                model: cut(&"m".repeat(200), usize::MAX, MODEL_BYTES_MAX),
                prompt: cut(prompt, PROMPT_CHARS_MAX, PROMPT_BYTES_MAX),
                ratio: Ratio::parse("21:9").unwrap(),
                format: OutputFormat::Webp,
                count: COUNT_MAX,
                seed: i64::MIN,
                length: Duration::from_millis(FILM_LENGTH_MAX),
                short_side: 320,
            },
        }
    }

    #[test]
    fn an_id_says_everything_and_stays_short() {
        for prompt in ["a fox", &"🦊".repeat(500), &"ж".repeat(500), &"x".repeat(5000)] {
            let job = job(prompt);
            let reference = job.reference().unwrap();
            assert!(reference.0.len() < ID_LENGTH_MAX, "{}", reference.0.len());
            assert_eq!(Job::parse(DeliveryMode::Polling, &reference), Ok(job));
        }
    }

    #[test]
    fn ids_of_others_and_damaged_ids_are_refused() {
        let JobRef(good) = job("a fox").reference().unwrap();
        let damaged = [
            String::new(),
            "sbx_".to_owned(),
            "sbx_!!!!".to_owned(),
            "ufawqhfynnddngldkgtslldrkq".to_owned(),
            good[4..].to_owned(),
            good[..good.len() - 4].to_owned(),
            format!("{good}AAAA"),
            format!("{good}{}", "A".repeat(600)),
        ];
        for text in damaged {
            let parsed = Job::parse(DeliveryMode::Polling, &JobRef(text.clone()));
            assert!(matches!(parsed, Err(Error::Protocol(_))), "{text}");
        }
        for other in [DeliveryMode::Inline, DeliveryMode::Callback] {
            assert!(Job::parse(other, &JobRef(good.clone())).is_err());
        }
    }

    #[test]
    fn a_job_waits_until_it_is_due() {
        let mut job = job("a fox");
        job.outcome = Outcome::Succeed;
        let stage = |job: &Job, ms: i64| job.stage(job.due + chrono::TimeDelta::milliseconds(ms));
        let waiting = |ms| Stage::Waiting { retry_after: Some(Duration::from_millis(ms)) };
        assert_eq!(stage(&job, -300), waiting(300));
        assert_eq!(stage(&job, -600_000), waiting(10_000));
        assert_eq!(stage(&job, 0), Stage::Done);
        assert_eq!(stage(&job, 1), Stage::Done);
        job.outcome = Outcome::Fail;
        assert_eq!(stage(&job, -300), waiting(300));
        assert_eq!(stage(&job, 0), Stage::Failed);
        job.outcome = Outcome::Hang;
        assert_eq!(stage(&job, 1_000_000), Stage::Waiting { retry_after: None });
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("short", 5, 5), "short");
        assert_eq!(cut("longer", 5, 100), "long…");
        assert_eq!(cut("ééé", 100, 5), "é…");
    }
}
