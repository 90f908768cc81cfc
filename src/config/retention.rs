//! For how long things are kept.

use std::time::Duration;

use actors::retention::Retention;
use chrono::TimeDelta;

use super::reader::Reader;
use super::{DAY_MS, HOUR_MS};

#[derive(Debug, Clone, Copy)]
pub struct RetentionConfig {
    /// At most, whatever a plan says.
    pub kept: Retention,
    /// From the end of a round to the next.
    pub interval: Duration,
    /// How old a file is at least that is removed because nothing owns it.
    pub orphans_after: Duration,
}

impl RetentionConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let kept = |kept: Duration| TimeDelta::from_std(kept).unwrap_or(TimeDelta::MAX);
        Self {
            kept: Retention {
                files_max: kept(reader.millis("retention.files_max_ms", 1000..=366 * DAY_MS)),
                records_max: kept(reader.millis("retention.records_max_ms", 1000..=366 * DAY_MS)),
                queued_max: kept(
                    reader.millis("webhooks.queue_kept_ms", 72 * HOUR_MS..=366 * DAY_MS),
                ),
            },
            interval: reader.millis("retention.interval_ms", 100..=DAY_MS),
            orphans_after: reader.millis("retention.orphans_after_ms", 1000..=366 * DAY_MS),
        }
    }
}
