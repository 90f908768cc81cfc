//! Time as a port: nothing in this workspace asks the operating system for it directly.

use chrono::{DateTime, Utc};

/// Tells the time, rounded to microseconds, which is what both databases keep.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> DateTime<Utc>;
}
